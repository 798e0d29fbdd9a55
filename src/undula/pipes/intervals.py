"""Room: pipes. Sets of sequence numbers, kept as intervals. Pure.

In: numbers, mostly one after the other. Out: unions, differences, counts, text. Adding the next
number costs one comparison, whatever has been added before.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence

Interval = tuple[int, int]
"""First number, and the one after the last."""


class IntervalSet:
    """A set of whole numbers.

    >>> some = IntervalSet([(1, 4), (6, 7)])
    >>> some.add(4)
    >>> some.text(), len(some), 5 in some
    ('1-4, 6', 5, False)
    """

    __slots__ = ("_starts", "_stops")

    def __init__(self, intervals: Iterable[Sequence[int]] = ()) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        for start, stop in intervals:
            self.add_range(start, stop)

    def add(self, number: int) -> None:
        """Put one number in."""
        stops = self._stops
        if stops and stops[-1] == number:
            stops[-1] = number + 1
        else:
            self.add_range(number, number + 1)

    def add_range(self, start: int, stop: int) -> None:
        """Put the numbers from `start` up to but not `stop` in."""
        if stop <= start:
            return
        starts, stops = self._starts, self._stops
        low = bisect_right(stops, start - 1)  # the first interval that touches or lies above
        high = bisect_right(starts, stop)  # the first that begins above and does not touch
        if low < high:
            start, stop = min(start, starts[low]), max(stop, stops[high - 1])
        starts[low:high], stops[low:high] = [start], [stop]

    def update(self, other: IntervalSet) -> None:
        """Put all numbers of another set in."""
        for start, stop in other.intervals():
            self.add_range(start, stop)

    def intervals(self) -> list[Interval]:
        """All intervals in ascending order; no two of them touch."""
        return list(zip(self._starts, self._stops, strict=True))

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._starts, number) - 1
        return at >= 0 and number < self._stops[at]

    def __len__(self) -> int:
        return sum(self._stops) - sum(self._starts)

    def __iter__(self) -> Iterator[int]:
        for start, stop in self.intervals():
            yield from range(start, stop)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IntervalSet) and self.intervals() == other.intervals()

    __hash__ = None  # type: ignore[assignment]  # a set that changes has no hash

    def __or__(self, other: IntervalSet) -> IntervalSet:
        found = IntervalSet(self.intervals())
        found.update(other)
        return found

    def __sub__(self, other: IntervalSet) -> IntervalSet:
        found = IntervalSet()
        holes = other.intervals()
        at = 0
        for first, stop in self.intervals():
            start = first
            while at < len(holes) and holes[at][1] <= start:
                at += 1
            near = at
            while near < len(holes) and holes[near][0] < stop:
                found.add_range(start, holes[near][0])
                start = max(start, holes[near][1])
                near += 1
            found.add_range(start, stop)
        return found

    def __and__(self, other: IntervalSet) -> IntervalSet:
        return self - (self - other)

    def text(self, most: int = 8) -> str:
        """For people: `1-400, 402`; at most `most` intervals, then how many more there are."""
        found = self.intervals()
        shown = [str(a) if b - a == 1 else f"{a}-{b - 1}" for a, b in found[:most]]
        if len(found) > most:
            shown.append(f"and {len(found) - most} more intervals")
        return ", ".join(shown) or "none"

    def __repr__(self) -> str:
        return f"IntervalSet({self.intervals()})"
