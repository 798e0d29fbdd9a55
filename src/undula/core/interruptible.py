"""Room: core. A person's code that runs piece by piece on a thread which belongs to others.

In: a generator. Out: the same generator, which another thread can end while it computes without
giving anything. Nothing else on the thread is ever interrupted: what was sent too late is taken
back when the code gives something or ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import threading
from collections.abc import Generator
from typing import Any


class EndedError(BaseException):
    """Raised inside of the code; not an `Exception`, which it may well catch."""


class OwnCode:
    """Which piece runs now. Thread-safe; one generator at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: int | None = None
        self._piece = 0
        self._sent = False

    @property
    def piece(self) -> int:
        """Number of the piece that runs; 0 when none does."""
        with self._lock:
            return self._piece if self._thread is not None else 0

    def interrupt(self, piece: int) -> bool:
        """Interrupt that piece. Returns: whether it still ran."""
        with self._lock:
            if self._thread is None or piece != self._piece:
                return False
            self._sent = True
            _raise_in(self._thread, EndedError)
            return True

    def run(self, plan: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """The generator. Raises: what it raises; `EndedError` when it was ended."""
        value: Any = None
        error: BaseException | None = None
        while True:
            self._enter()
            try:
                try:
                    given = plan.send(value) if error is None else plan.throw(error)
                finally:
                    self._leave()
            except StopIteration as stop:
                return stop.value
            except EndedError:
                self._leave()
                with contextlib.suppress(RuntimeError):  # it goes on nevertheless
                    plan.close()
                raise
            value = error = None
            try:
                value = yield given
            except GeneratorExit:
                plan.close()
                raise
            except BaseException as exc:  # whatever it is, the plan gets it
                error = exc

    def _enter(self) -> None:
        with self._lock:
            self._piece += 1
            self._thread = threading.get_ident()

    def _leave(self) -> None:
        while True:
            try:
                with self._lock:
                    if self._sent and self._thread is not None:
                        _raise_in(self._thread, None)
                    self._thread, self._sent = None, False
                return
            except EndedError:  # it came just now: the code has left already
                continue


def _raise_in(thread: int, kind: type[BaseException] | None) -> None:
    """Raise in a thread at its next step; None takes back what was not raised yet."""
    what = None if kind is None else ctypes.py_object(kind)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), what)
