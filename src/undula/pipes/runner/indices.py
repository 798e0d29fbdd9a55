"""Room: pipes. Which trigger of its run a frame answers, over the runs of a warm graph. Pure.

In: with each trigger the number of its frame, which goes on from run to run, and the index of the
trigger in its run, which begins with 0 and stays when a point is taken again. Out: the index by the
number. Known to the runner, and told to the process of the source.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

KEPT = 1000
"""Changes that are remembered: each run, and each point that was taken again, is one."""


class TriggerIndices:
    """Indices of triggers by numbers of frames.

    >>> known = TriggerIndices()
    >>> for number, index in ((4, 0), (5, 1), (6, 1), (7, 2)):
    ...     known.give(number, index)
    >>> [known.of(number) for number in (4, 5, 6, 7)], known.of(3)
    ([0, 1, 1, 2], None)
    """

    def __init__(self, plain: Iterable[Sequence[int]] = ()) -> None:
        self._from: list[int] = []
        self._less: list[int] = []
        for number, less in plain:
            self._from.append(int(number))
            self._less.append(int(less))

    def give(self, seq_num: int, index: int) -> None:
        """The frame `seq_num` answers the trigger `index` of its run."""
        less = seq_num - index
        if not self._less or self._less[-1] != less:
            self._from.append(seq_num)
            self._less.append(less)
            del self._from[:-KEPT], self._less[:-KEPT]

    def of(self, seq_num: int) -> int | None:
        """The index; None for a frame before the first trigger that is remembered."""
        at = bisect_right(self._from, seq_num) - 1
        return None if at < 0 else seq_num - self._less[at]

    def plain(self) -> list[list[int]]:
        """For JSON; the constructor takes it."""
        return [list(pair) for pair in zip(self._from, self._less, strict=True)]
