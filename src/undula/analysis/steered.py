"""Room: analysis. Rows of a run that do not simply go on: points taken again, or left out. Pure.

In: the events of its stream `steering`. Out: how many, and the row that stands for each point.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

STEERING = "steering"


class Turn(NamedTuple):
    """From row `row` on rows are of point `next` and those after it; all counted from 1."""

    action: str
    point: int
    row: int
    next: int


class Steered(NamedTuple):
    """Rows of points that had been taken before, and points that were left out."""

    retaken: int = 0
    skipped: int = 0


def turn_of(event: Mapping[str, Any]) -> Turn:
    """The turn that an event of the stream `steering` tells."""
    said = (event[f"{STEERING}_{field}"] for field in Turn._fields)
    return Turn(*said)


def steered(turns: Sequence[Turn], rows: int) -> Steered:
    """What became of the points of a run that has so many rows.

    >>> again = Turn("retaken", 1, 7, 1), Turn("resumed", 1, 8, 8)
    >>> steered([Turn("skipped", 3, 3, 4), *again], 9)
    Steered(retaken=1, skipped=1)
    """
    retaken, left_out, before = 0, set[int](), ""
    for turn, after in zip_longest(turns, turns[1:]):
        if turn.action == "retaken":
            taken = min(after.row if after is not None else turn.row + 1, rows + 1) > turn.row
            retaken += taken and turn.point not in left_out
            left_out -= {turn.point} if taken else set()
        elif turn.action == "skipped" and before != "retaken":  # else it gives up what was retaken
            left_out.add(turn.point)
        before = turn.action
    return Steered(retaken, len(left_out))


def points_of(turns: Sequence[Turn], seq_nums: Sequence[int], first: int = 1) -> list[int]:
    """The point of the trajectory that each row is of, from 1.

    Args:
        turns: as they were told, ascending in `row`.
        seq_nums: the number of each row.
        first: the first point of the run; more than 1 when it continues another.

    >>> points_of([Turn("retaken", 2, 4, 2), Turn("resumed", 2, 5, 4)], [1, 2, 3, 4, 5])
    [1, 2, 3, 2, 4]
    """
    rows = [turn.row for turn in turns]
    found = []
    for seq_num in seq_nums:
        place = bisect_right(rows, seq_num)
        row, point = (rows[place - 1], turns[place - 1].next) if place else (1, first)
        found.append(point + seq_num - row)
    return found


def last_rows(points: Sequence[int]) -> list[int]:
    """Indices of the rows that count, the last one of each point, in the order of the points.

    >>> last_rows([1, 2, 3, 2, 4])
    [0, 3, 2, 4]
    """
    newest = {point: row for row, point in enumerate(points)}
    return [newest[point] for point in sorted(newest)]
