"""What cells print, in few messages and no faster than terminals can show it.

In: text of cells. Out: Jupyter's stream messages. A cell that prints for ever, or flushes each
word, would otherwise fill every front end faster than it can read: none would still hear a Ctrl-C.
Only who prints waits for it.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from ipykernel.iostream import OutStream

MOST_CHARACTERS, CHARACTERS_S = 400_000, 4_000_000
"""So many at once, and then so many each second."""
MOST_MESSAGES, MESSAGES_S = 50, 200
"""Flushes that show something, likewise."""


class Gauge:
    """How much may be said at once; it fills again with time.

    Args:
        most: so much at once.
        each_s: so much each second, in the long run.
    """

    def __init__(self, most: float, each_s: float) -> None:
        self._most, self._each_s = float(most), float(each_s)
        self._left, self._since = self._most, 0.0

    def pause_s(self, amount: float, now: float) -> float:
        """How long to wait after so much was said, s.

        Args:
            now: s, of a clock that only goes on.

        >>> gauge = Gauge(most=100, each_s=1000)
        >>> [round(gauge.pause_s(100, now), 3) for now in (1.0, 1.0, 1.2)]
        [0.0, 0.1, 0.0]
        """
        filled = self._left + (now - self._since) * self._each_s
        self._left, self._since = min(filled, self._most) - amount, now
        return max(0.0, -self._left) / self._each_s


class SteadyStream(OutStream):
    """`sys.stdout` of the shared kernel, and its `sys.stderr`."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._characters = Gauge(MOST_CHARACTERS, CHARACTERS_S)
        self._messages = Gauge(MOST_MESSAGES, MESSAGES_S)
        super().__init__(*args, **options)

    def write(self, string: str) -> int | None:
        """Take text; who writes too much of it waits."""
        written: int | None = super().write(string)
        self._wait(self._characters, len(string))
        return written

    def flush(self) -> None:
        """Show what was written; who does that too often waits."""
        with self._buffer_lock:
            shows = any(buffer.tell() for buffer in self._buffers.values())
        super().flush()
        if shows:
            self._wait(self._messages, 1)

    def _wait(self, gauge: Gauge, amount: float) -> None:
        thread = self.pub_thread and self.pub_thread.thread
        if thread is not None and thread.ident != threading.get_ident():
            time.sleep(gauge.pause_s(amount, time.monotonic()))
