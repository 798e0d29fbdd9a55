"""Room: pipes. Sets of sequence numbers, kept as intervals. Pure.

In: numbers, mostly one after the other. Out: unions, differences, counts, text. Adding the next
number costs two comparisons, whatever has been added before. `changes` gives what is new, `packed`
makes a short text of intervals that come at equal distances.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence

Interval = tuple[int, int]
"""First number, and the one after the last."""
MOST_TIMES = 10_000_000


class IntervalSet:
    """A set of whole numbers.

    >>> some = IntervalSet([(1, 4), (6, 7)])
    >>> some.add(4)
    >>> some.text(), len(some), 5 in some
    ('1-4, 6', 5, False)
    """

    __slots__ = ("_changed_from", "_count", "_starts", "_stops")

    def __init__(self, intervals: Iterable[Sequence[int]] = ()) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        self._count = 0
        self._changed_from: int | None = None
        for start, stop in intervals:
            self.add_range(start, stop)

    def add(self, number: int) -> None:
        """Put one number in."""
        stops = self._stops
        if stops and stops[-1] == number:
            stops[-1] = number + 1
            self._count += 1
            if self._changed_from is None or number < self._changed_from:
                self._changed_from = number
        else:
            self.add_range(number, number + 1)

    def add_range(self, start: int, stop: int) -> None:
        """Put the numbers from `start` up to but not `stop` in."""
        if stop <= start:
            return
        if self._changed_from is None or start < self._changed_from:
            self._changed_from = start
        starts, stops = self._starts, self._stops
        low = bisect_right(stops, start - 1)  # the first interval that touches or lies above
        high = bisect_right(starts, stop)  # the first that begins above and does not touch
        if low < high:
            start, stop = min(start, starts[low]), max(stop, stops[high - 1])
        self._count += stop - start - sum(stops[low:high]) + sum(starts[low:high])
        starts[low:high], stops[low:high] = [start], [stop]

    def changes(self) -> list[Interval]:
        """What was put in since this was asked last, and perhaps some of what was there before.

        >>> some = IntervalSet([(1, 4)])
        >>> some.changes(), some.changes()
        ([(1, 4)], [])
        >>> some.add(9)
        >>> some.changes()
        [(9, 10)]
        """
        start, self._changed_from = self._changed_from, None
        if start is None:
            return []
        at = bisect_right(self._stops, start)
        found = list(zip(self._starts[at:], self._stops[at:], strict=True))
        return [(max(start, found[0][0]), found[0][1]), *found[1:]] if found else []

    def shorten(self, most: int) -> None:
        """Keep `most` intervals at most: the lowest become one, with the gaps between them.

        >>> some = IntervalSet([(1, 2), (3, 4), (5, 6), (7, 8), (9, 10)])
        >>> some.shorten(4)
        >>> some
        IntervalSet([(1, 6), (7, 8), (9, 10)])
        """
        if len(self._starts) > most:
            self.add_range(self._starts[0], self._stops[-(most // 2) - 1])

    def remove(self, other: IntervalSet) -> None:
        """Take all numbers of another set out; that is no change that `changes` tells."""
        left = self - other
        self._starts, self._stops, self._count = left._starts, left._stops, left._count

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
        return self._count

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

    @property
    def highest(self) -> int:
        """The greatest number; 0 of none."""
        return self._stops[-1] - 1 if self._stops else 0

    @property
    def pieces(self) -> int:
        """How many intervals there are."""
        return len(self._starts)

    def text(self, most: int = 8) -> str:
        """For people: `1-400, 402`; at most `most` intervals, then how many more there are."""
        found = self.intervals()
        shown = [str(a) if b - a == 1 else f"{a}-{b - 1}" for a, b in found[:most]]
        if len(found) > most:
            shown.append(f"and {len(found) - most} more intervals")
        return ", ".join(shown) or "none"

    def __repr__(self) -> str:
        return f"IntervalSet({self.intervals()})"


def packed(intervals: Iterable[Interval]) -> list[list[int]]:
    """Intervals as lists for JSON: `[start, stop]`, or `[start, stop, step, times]` for many alike.

    >>> packed([(1, 2), (4, 5), (7, 8), (9, 20)])
    [[1, 2, 3, 3], [9, 20]]
    """
    found: list[list[int]] = []
    for start, stop in intervals:
        last = found[-1] if found else [0, 0]
        if stop - start == last[1] - last[0]:
            if len(last) == 2:
                last += [start - last[0], 2]
                continue
            if start == last[0] + last[2] * last[3]:
                last[3] += 1
                continue
        found.append([start, stop])
    return found


def unpacked(plain: Iterable[Sequence[int]]) -> Iterator[Interval]:
    """What `packed` was given. Raises: ValueError, TypeError.

    >>> list(unpacked([[1, 2, 3, 3], [9, 20]]))
    [(1, 2), (4, 5), (7, 8), (9, 20)]
    """
    for part in plain:
        start, stop, step, times = (*part, 0, 1) if len(part) == 2 else part
        if times > MOST_TIMES:
            raise ValueError(f"{times} intervals in one")
        for number in range(times):
            yield int(start + number * step), int(stop + number * step)
