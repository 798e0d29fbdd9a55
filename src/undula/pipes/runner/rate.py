"""Room: pipes. How often something happens, from counts that are looked at now and then. Pure."""

from __future__ import annotations

PATIENCE = 5.0
"""Nothing for so many usual periods: it happens no more."""


class Rate:
    """Events a second, also where less than one happens between two looks.

    >>> rate = Rate(0.0)
    >>> [rate.at(n // 4, n * 0.25) for n in range(1, 10)]
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0]
    >>> rate.at(2, 4.0), rate.at(2, 9.0)
    (0.5, 0.0)
    """

    def __init__(self, begun: float) -> None:
        self._count, self._since, self._rate_hz = 0, begun, 0.0

    def at(self, count: int, now: float) -> float:
        """Events a second now.

        Args:
            count: of all events so far.
            now: monotonic, s.
        """
        passed_s = max(1e-6, now - self._since)
        if count > self._count:
            periods = count - max(1, self._count)  # between events: the first one ends none
            self._rate_hz = periods / passed_s
            self._count, self._since = count, now
            return self._rate_hz
        if self._rate_hz * passed_s > PATIENCE:
            return 0.0
        return min(self._rate_hz, 1.0 / passed_s)
