"""A time limit for a person's file that runs in the main thread of a prompt.

In: seconds. Out: an error in the file's own line when they are over. Also what waits in C is
interrupted, by a signal; elsewhere than in the main thread there is no limit.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from undula.core.errors import TimeoutUndulaError


@contextmanager
def at_most(limit_s: float | None) -> Iterator[None]:
    """Raises: TimeoutUndulaError where the code is when the seconds are over; None: never."""
    if limit_s is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def late(_: int, __: FrameType | None) -> None:
        raise TimeoutUndulaError(
            f"it took longer than {limit_s:g} s", remedy="move what takes long into a function"
        )

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
