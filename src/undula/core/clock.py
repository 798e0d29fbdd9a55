"""Time: UTC epoch seconds for documents, monotonic seconds for spans and deadlines."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now() -> float:
    """Wall clock, seconds since the epoch (UTC)."""
    return time.time()


def iso(stamp: float) -> str:
    """ISO 8601 with zone, for files and people.

    >>> iso(0.0)
    '1970-01-01T00:00:00.000000+00:00'
    """
    return datetime.fromtimestamp(stamp, UTC).isoformat(timespec="microseconds")


class Deadline:
    """A moment on the monotonic clock; `None` seconds means unlimited.

    >>> Deadline(None).left_s() is None
    True
    """

    def __init__(self, duration_s: float | None) -> None:
        self._end = None if duration_s is None else time.monotonic() + duration_s

    def left_s(self) -> float | None:
        """Seconds left, never negative; None when unlimited."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    @property
    def passed(self) -> bool:
        """True once the moment has come."""
        return self._end is not None and time.monotonic() >= self._end
