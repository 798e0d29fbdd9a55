"""A scan that is held: paused by itself until what tripped has been good for a while. Pure.

In: what does not hold, and the time. Out: whether the scan may go on, and a line for people.
"""

from __future__ import annotations

from collections.abc import Sequence

from undula.scans.conditions import Trip, told


class Hold:
    """Whether, since when and why a scan is held. Times are monotonic, seconds."""

    def __init__(self) -> None:
        self.active = False
        self._trips: tuple[Trip, ...] = ()
        self._settle_s = 0.0
        self._since = 0.0
        self._good_since: float | None = None

    def begin(self, trips: Sequence[Trip], now: float) -> None:
        """Hold it because of these."""
        if not self.active:
            self._since = now
        self.active, self._good_since = True, None
        self._trips = tuple(trips)
        self._settle_s = max((t.settle_s for t in trips), default=0.0)

    def see(self, trips: Sequence[Trip], now: float) -> bool:
        """What does not hold now; True when the scan may go on."""
        if trips:
            self.begin(trips, now)
            return False
        if self._good_since is None:
            self._good_since = now
        return self.active and now - self._good_since >= self._settle_s

    def end(self) -> None:
        """It goes on, or ends, or somebody else decides."""
        self.active, self._trips, self._good_since = False, (), None

    def text(self, now: float) -> str:
        """Why and since when; '' when it is not held."""
        if not self.active:
            return ""
        if self._good_since is not None:
            return f"good again, settling for {self._settle_s:g} s: {told(self._trips)}"
        return f"{told(self._trips)}, since {now - self._since:.0f} s"
