"""Room: analysis. Rows of a run that do not simply go on: points taken again, or left out. Pure.

In: the events of its stream `steering`. Out: how many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

STEERING = "steering"


class Turn(NamedTuple):
    """From row `row` on, counted from 1, rows are of another point than the next; see `action`."""

    action: str
    point: int
    row: int


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

    >>> steered([Turn("skipped", 3, 3), Turn("retaken", 1, 7), Turn("resumed", 1, 8)], 9)
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
