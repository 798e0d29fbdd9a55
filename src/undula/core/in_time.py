"""Room: core. A person's code with a time limit, in this process, when no other process will do.

In: a function, seconds. Out: its result or what it raised, or `OverTimeError` with where it was. It
runs on a thread of its own, which is interrupted until it ends: an endless loop is, also one that
catches what it is interrupted with. What waits outside of Python (a sleep, one long computation)
ends when that does; nothing waits for it.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Generic, TypeVar

from undula.core.clock import Deadline
from undula.core.log import get_logger

T = TypeVar("T")
GRACE_S = 2.0
"""So long a caller waits for the interrupted code to end."""
FIRST_S, LAST_S = 0.005, 1.0
"""Between two interruptions: more and more."""
Place = tuple[str, int]


class OverTimeError(Exception):
    """The time is over. `places` are file and line of what ran then, the innermost first."""

    def __init__(self, limit_s: float, places: list[Place]) -> None:
        super().__init__(f"it took longer than {limit_s:g} s")
        self.places = places


class _EndedError(BaseException):
    """Raised inside of the code; not an `Exception`, which it may well catch."""


class _Run(Generic[T]):
    """One call on a thread of its own."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self.result: list[T] = []
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, name="in_time", daemon=True)

    def _run(self) -> None:
        try:
            self.result.append(self._work())
        except BaseException as exc:  # whatever it is, it goes on to the caller
            self.error = exc

    def places(self) -> list[Place]:
        """Where it is now."""
        return [
            (frame.f_code.co_filename, frame.f_lineno)
            for frame in _outwards(sys._current_frames().get(self.thread.ident or 0))
        ]

    def interrupt(self, until: Deadline) -> bool:
        """Interrupt it again and again. Returns: whether it has ended in time."""
        pause_s = FIRST_S
        while self.thread.is_alive() and not until.passed:
            ident = ctypes.c_ulong(self.thread.ident or 0)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(_EndedError))
            self.thread.join(pause_s)
            pause_s = min(1.2 * pause_s, LAST_S)
        return not self.thread.is_alive()


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def in_time(work: Callable[[], T], limit_s: float, grace_s: float = GRACE_S) -> T:
    """The result of `work`, or what it raised.

    Raises: OverTimeError when the time is over; `work` has ended then, or is being ended.
    """
    run = _Run(work)
    run.thread.start()
    run.thread.join(limit_s)
    if run.thread.is_alive():
        places = run.places()
        if not run.interrupt(Deadline(grace_s)):
            get_logger().warning("code_over_time", limit_s=limit_s, place=places[:1])
            threading.Thread(
                target=run.interrupt, args=(Deadline(None),), name="ending", daemon=True
            ).start()
        raise OverTimeError(limit_s, places)
    if run.error is not None:
        raise run.error
    return run.result[0]
