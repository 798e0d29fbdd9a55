"""Room: files. Which point of its trajectory each row of a run is, and how several runs are one.

In: `seq_num`s and the turns of the stream `steering` (`undula.plans.turns`). Out: points, counted
from 1, and which row stands for each. Pure, but for `write_points`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

STEERING = "steering"
"""The stream in which a run tells its turns."""
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Turns:
    """What a run tells of its points; columns of equal length, all counted from 1.

    From row `row[i]` on, rows are of point `next[i]` and those after it.
    """

    action: Sequence[str] = ()
    point: Sequence[int] = ()
    row: Sequence[int] = ()
    next: Sequence[int] = ()

    @classmethod
    def of(cls, events: Sequence[Mapping[str, Any]]) -> Turns:
        """From the data of the events of the stream `steering`."""
        names = ("action", "point", "row", "next")
        return cls(*([event[f"{STEERING}_{name}"] for event in events] for name in names))

    @property
    def skipped(self) -> frozenset[int]:
        """Points that were left out."""
        pairs = zip(self.action, self.point, strict=True)
        return frozenset(int(p) for action, p in pairs if action == "skipped")

    @property
    def completed(self) -> bool:
        """The run was ended early, as good."""
        return "completed" in self.action


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of one run: their `seq_num`s, its turns, its first point."""

    seq_num: Sequence[int] | Ints
    turns: Turns = field(default=Turns())
    first_point: int = 1

    @property
    def points(self) -> Ints:
        """The point of each row, shape (rows,).

        >>> Part([1, 2, 3], Turns(["skipped"], [2], [2], [3])).points.tolist()
        [1, 3, 4]
        """
        seq = np.asarray(self.seq_num, dtype=np.int64)
        rows = np.array([1, *self.turns.row], dtype=np.int64)
        nexts = np.array([self.first_point, *self.turns.next], dtype=np.int64)
        last = np.searchsorted(rows, seq, side="right") - 1
        return nexts[last] + seq - rows[last]

    @property
    def replaced(self) -> npt.NDArray[np.bool_]:
        """Rows whose point was taken again later, shape (rows,).

        >>> Part([1, 2, 3], Turns(["retaken"], [1], [3], [1])).replaced.tolist()
        [True, False, False]
        """
        points = self.points
        _, newest = np.unique(points[::-1], return_index=True)
        kept = np.zeros(len(points), np.bool_)
        kept[len(points) - 1 - newest] = True
        return ~kept


def write_points(group: Any, part: Part) -> None:
    """Beside the columns of a stream: `point` of each row, from 1, and which rows are `replaced`.

    Args:
        group: HDF5 group of the stream; what is there already is left alone.
    """
    for name, values, text in (
        ("point", part.points, "point of the trajectory, from 1"),
        ("replaced", part.replaced.astype("u1"), "1: its point was taken again later"),
    ):
        if name not in group:
            group.create_dataset(name, data=values).attrs["long_name"] = text


@dataclass(frozen=True, slots=True)
class Joined:
    """The rows of several parts as one, in the order of the trajectory; arrays of equal length.

    Row `i` is row `row[i]`, from 0, of part `part[i]`. `retaken`: its point was taken before, that
    row is left out.
    """

    point: Ints
    part: Ints
    row: Ints
    retaken: npt.NDArray[np.bool_]
    skipped: tuple[int, ...]
    missing: tuple[int, ...]
    given_up: tuple[int, ...] = ()
    """Never measured, and not missing: skipped, or behind the early end of a completed run."""


def join(parts: Sequence[Part], total: int | None = None) -> Joined:
    """One row a point, the newest.

    Args:
        parts: in the order in which they were measured.
        total: points of the trajectory; None: nothing is missing.

    >>> join([Part([1, 2]), Part([1], first_point=3)], 4).missing
    (4,)
    >>> early = join([Part([1, 2], Turns(["completed"], [2], [3], [3]))], 4)
    >>> early.missing, early.given_up
    ((), (3, 4))
    """
    points = [part.points for part in parts]
    every = np.concatenate([*points, np.zeros(0, np.int64)])
    part = np.repeat(np.arange(len(parts)), [len(p) for p in points])
    row = np.concatenate([*(np.arange(len(p)) for p in points), np.zeros(0, np.int64)])
    found, newest = np.unique(every[::-1], return_index=True)
    newest = len(every) - 1 - newest
    _, first = np.unique(every, return_index=True)
    taken = set(found.tolist())
    skipped = {p for one in parts for p in one.turns.skipped} - taken
    ended = any(one.turns.completed for one in parts)
    left = [p for p in range(1, (total or 0) + 1) if p not in taken and p not in skipped]
    return Joined(
        point=found,
        part=part[newest],
        row=row[newest].astype(np.int64),
        retaken=newest != first,
        skipped=tuple(sorted(skipped)),
        missing=() if ended else tuple(left),
        given_up=tuple(sorted({*skipped, *(left if ended else ())})),
    )
