"""Room: pipes. Which frames a result speaks of, when it speaks of several. Pure.

In: sequence numbers, in any order. Out: first, last, how many, gaps.
"""

from __future__ import annotations

from undula.pipes.intervals import IntervalSet

MOST_GAPS = 10_000


class Coverage:
    """Which frames a result speaks of, by their sequence numbers, in whatever order they come.

    One that comes behind thousands of later gaps is taken for one that was here before: so what is
    kept does not grow with the run, when each third frame comes.

    >>> covered = Coverage()
    >>> for number in (1, 2, 6, 5):
    ...     _ = covered.add(number)
    >>> covered.first, covered.last, covered.frames, covered.gaps
    (1, 6, 4, 2)
    """

    __slots__ = ("first", "frames", "last", "numbers")

    def __init__(self) -> None:
        self.first = self.last = self.frames = 0
        self.numbers = IntervalSet()

    @property
    def gaps(self) -> int:
        """Frames between the first and the last that did not come, or not yet."""
        return self.last - self.first + 1 - self.frames if self.frames else 0

    def add(self, seq_num: int) -> bool:
        """One more frame; False when it was here before, so that it must not count twice."""
        if seq_num in self.numbers:
            return False
        self.numbers.add(seq_num)
        self.numbers.shorten(MOST_GAPS)
        self.first = min(self.first, seq_num) if self.frames else seq_num
        self.last = max(self.last, seq_num)
        self.frames += 1
        return True
