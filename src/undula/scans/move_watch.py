"""What a direct move should take, and which takes longer. Warns only: `moves` has the deadline.

In: moves that begin, what is still on its way, the time. Out: lines for people. Pure but for the
log. `begin`, `waits` and `end` are called by the moves, `look` often by a watcher.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from undula.core.log import get_logger
from undula.core.settings import WatchdogSettings
from undula.scans.watchdog import Late


@dataclass(slots=True)
class _Move:
    since: float
    expected_s: float
    allowed_s: float
    pending: tuple[str, ...] = ()


class MoveWatch:
    """Follows all direct moves, each by its holder. Thread-safe.

    Args:
        changed: called when a move becomes overdue, or one that was so has ended.
    """

    def __init__(
        self,
        settings: WatchdogSettings,
        changed: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._changed = changed
        self._clock = clock
        self._lock = threading.Lock()
        self._moves: dict[str, _Move] = {}
        self.overdue: list[Late] = []
        """What takes longer than it should, as last looked at."""

    def begin(
        self, holder: str, names: Iterable[str], expected_s: float | None, limit_s: float | None
    ) -> None:
        """A move begins.

        Args:
            expected_s: what it should take, seconds; None: nobody knows, and it is never overdue.
            limit_s: its deadline, seconds: it is told at half of it at the latest.
        """
        if expected_s is None:
            return
        allowed_s = self._settings.factor * expected_s + self._settings.margin_s
        allowed_s = allowed_s if limit_s is None else min(allowed_s, limit_s / 2)
        with self._lock:
            self._moves[holder] = _Move(self._clock(), expected_s, allowed_s, tuple(names))

    def waits(self, holder: str, names: Iterable[str]) -> None:
        """These have not arrived yet."""
        with self._lock:
            if holder in self._moves:
                self._moves[holder].pending = tuple(names)

    def end(self, holder: str) -> None:
        """It has ended."""
        with self._lock:
            self._moves.pop(holder, None)

    def look(self) -> list[Late]:
        """What is overdue now."""
        now, late = self._clock(), list[Late]()
        with self._lock:
            for holder, move in self._moves.items():
                took = now - move.since
                if took <= move.allowed_s:
                    continue
                rest = f"{took:.0f} s, should take {move.expected_s:.1f} s ({holder})"
                late += [Late(f"move, {n}", f"waiting for {n}: {rest}") for n in move.pending]
        known = {one.source for one in self.overdue}
        self.overdue = late
        for one in late:
            if one.source not in known:
                get_logger().warning("overdue", what=one.text, action="warn")
        if {one.source for one in late} != known:
            self._changed()
        return late
