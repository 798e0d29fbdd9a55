"""Room: core. A person's code that runs piece by piece on a thread which belongs to others.

In: a generator, or a function. Out: the same, which another thread can end while it computes
without giving anything. Nothing else on the thread is ever interrupted: what was sent too late is
taken back when the code gives something or ends. One may run in another, e.g. a plan in a hook.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import threading
import time
from collections.abc import Callable, Generator
from typing import Any, NamedTuple


class EndedError(BaseException):
    """Raised inside of the code; not an `Exception`, which it may well catch."""


class Piece(NamedTuple):
    """Code that runs now, until it gives something or ends."""

    number: int
    name: str
    since: float
    """Monotonic, s."""


class OwnCode:
    """Which piece runs now, the innermost where one runs in another. Thread-safe; one thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread = 0
        self._numbers = itertools.count(1)
        self._stack: list[Piece] = []
        self._sent = False

    @property
    def piece(self) -> int:
        """Number of the piece that runs; 0 when none does."""
        running = self.running
        return 0 if running is None else running.number

    @property
    def running(self) -> Piece | None:
        """The piece that runs; None when none does."""
        with self._lock:
            return self._stack[-1] if self._stack else None

    def interrupt(self, piece: int) -> bool:
        """Interrupt that piece. Returns: whether it still ran."""
        with self._lock:
            if not self._stack or piece != self._stack[-1].number:
                return False
            self._sent = True
            _raise_in(self._thread, EndedError)
            return True

    def call(self, function: Callable[..., Any], *args: Any, name: str = "") -> Any:
        """What a function returns. Raises: what it raises; `EndedError` when it was ended."""
        piece = next(self._numbers)
        try:
            try:
                self._enter(piece, name)
                return function(*args)
            finally:
                self._leave(piece)
        except EndedError:
            self._leave(piece)
            raise

    def run(self, plan: Generator[Any, Any, Any], name: str = "") -> Generator[Any, Any, Any]:
        """The generator. Raises: what it raises; `EndedError` when it was ended."""
        value: Any = None
        error: BaseException | None = None
        while True:
            piece = next(self._numbers)
            try:
                try:
                    self._enter(piece, name)
                    given = plan.send(value) if error is None else plan.throw(error)
                finally:
                    self._leave(piece)
            except StopIteration as stop:
                return stop.value
            except EndedError:
                self._leave(piece)
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

    def _enter(self, piece: int, name: str) -> None:
        with self._lock:
            self._thread = threading.get_ident()
            self._stack.append(Piece(piece, name, time.monotonic()))

    def _leave(self, piece: int) -> None:
        """The piece gives something or ends, with all that runs in it. As often as one likes."""
        while True:
            try:
                with self._lock:
                    if self._sent:
                        _raise_in(self._thread, None)
                    while self._stack and self._stack[-1].number >= piece:
                        self._stack.pop()
                    self._sent = False
                return
            except EndedError:  # it came just now: the code has left already
                continue


def _raise_in(thread: int, kind: type[BaseException] | None) -> None:
    """Raise in a thread at its next step; None takes back what was not raised yet."""
    what = None if kind is None else ctypes.py_object(kind)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), what)
