"""Along lines: logarithmic steps, regions with steps of their own, points one by one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from undula.core.errors import InputError
from undula.plans.trajectory import FloatArray, Trajectory, bounded, number, steps_in

Region = tuple[float, float, int]
SAME = 1e-9
"""Two regions share a point when their ends differ by less than so much of their length."""


def decades(axis: str, start: float, stop: float, num: int) -> Trajectory:
    """`num` points from 10**start to 10**stop, each the same factor above the one before.

    >>> decades("samx", 0, 2, 3).points.ravel().tolist()
    [1.0, 10.0, 100.0]
    """
    with np.errstate(over="ignore"):  # it is refused below
        points = np.logspace(start, stop, num)
    if not np.all(np.isfinite(points)):
        raise InputError(
            f"10 to the power of {max(start, stop):g} is too large",
            remedy="START and STOP are powers of ten: 0 2 goes from 1 to 100",
        )
    return Trajectory((axis,), points[:, None], (num,))


def growing(specs: Sequence[tuple[str, float, float]], num: int) -> Trajectory:
    """`num` points from start to stop whose distances grow evenly on a logarithmic scale, all axes
    together; the last distance is about ten times the first. BEC's meaning of a log scan.

    >>> growing([("samx", 0.0, 9.0)], 3).points.round(3).ravel().tolist()
    [0.0, 2.162, 9.0]
    """
    way = (np.logspace(0, 1, num) - 1) / 9
    axes = tuple(name for name, _, _ in specs)
    return Trajectory(axes, np.column_stack([a + way * (b - a) for _, a, b in specs]), (num,))


def _region(row: object, what: str) -> Region:
    if not isinstance(row, list | tuple) or len(row) != 3:
        raise InputError(f"{what} is {row!r}", remedy="write [start, stop, number of points]")
    start, stop, num = row
    if isinstance(num, bool) or not isinstance(num, int) or num < 1:
        raise InputError(
            f"the number of points of {what} is {num!r}", remedy="give a whole number, 1 or more"
        )
    return number(start, f"start of {what}"), number(stop, f"stop of {what}"), num


def regions(axis: str, rows: Sequence[object]) -> Trajectory:
    """One line after the other; the last point of one that is the first of the next comes once.

    Args:
        rows: (start, stop, number of points) each, in the axis's unit.

    >>> regions("samx", [(0, 1, 3), (1, 3, 2)]).points.ravel().tolist()
    [0.0, 0.5, 1.0, 3.0]
    """
    found = [_region(row, f"region {i}") for i, row in enumerate(rows, 1)]
    bounded(sum(num for *_, num in found))
    points: list[float] = []
    for start, stop, num in found:
        line = np.linspace(start, stop, num).tolist()
        points += line[1:] if points and math.isclose(points[-1], line[0], abs_tol=SAME) else line
    return Trajectory((axis,), np.array(points)[:, None], (len(points),))


def rectangles(axes: tuple[str, str], rows: Sequence[object], snake: bool) -> Trajectory:
    """One small map after the other, the first axis fast; `snake` turns every other line of each.

    Args:
        rows: two (start, stop, number of points) each, of the first and of the second axis.

    >>> rectangles(("x", "y"), [((0, 1, 2), (0, 1, 2))], True).points.tolist()
    [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]
    """
    lines: list[FloatArray] = []
    for i, row in enumerate(rows, 1):
        if not isinstance(row, list | tuple) or len(row) != 2:
            raise InputError(
                f"region {i} is {row!r}",
                remedy="write [[start, stop, points], [start, stop, points]]",
            )
        fast, slow = (
            _region(part, f"region {i} of {axis}") for part, axis in zip(row, axes, strict=True)
        )
        bounded(fast[2] * slow[2] + sum(len(line) for line in lines))
        xs = np.linspace(*fast)
        for k, y in enumerate(np.linspace(*slow).tolist()):
            line = xs[::-1] if snake and k % 2 else xs
            lines.append(np.column_stack([line, np.full(len(line), y)]))
    points = np.vstack(lines)
    return Trajectory(axes, points, (len(points),))


def stepped(axis: str, ends: Sequence[float], steps: Sequence[float]) -> Trajectory:
    """Regions that hang together, each with a step of its own; an end between two comes once.

    A step that does not divide its region is made a little smaller.

    Args:
        ends: one more than there are steps, in the axis's unit, rising or falling.
        steps: of each region, more than 0.

    >>> stepped("energy", [0, 10, 12], [5, 1]).points.ravel().tolist()
    [0.0, 5.0, 10.0, 11.0, 12.0]
    """
    if len(ends) != len(steps) + 1:
        raise InputError(
            f"{len(ends)} ends do not bound {len(steps)} regions",
            remedy="give one end more than steps, e.g. 7000,7100,7150 with 5,0.5",
        )
    away = np.diff(np.asarray(ends, dtype=np.float64))
    if not (np.all(away > 0) or np.all(away < 0)):
        raise InputError(
            "the ends of the regions neither rise nor fall", remedy="give them in order"
        )
    if min(steps) <= 0:
        raise InputError(f"a step is {min(steps):g}", remedy="give steps of more than 0")
    nums = [max(1, steps_in(way, s)) for way, s in zip(away.tolist(), steps, strict=True)]
    bounded(sum(nums) + 1)
    lines = [np.linspace(a, b, n + 1)[1:] for a, b, n in zip(ends, ends[1:], nums, strict=False)]
    points = np.concatenate([[float(ends[0])], *lines])
    return Trajectory((axis,), points[:, None], (len(points),))


def one_by_one(axes: Sequence[str], rows: Sequence[object]) -> Trajectory:
    """Given points, one row of positions each.

    >>> one_by_one(["x", "y"], [[0, 1], [2, 3]]).points.tolist()
    [[0.0, 1.0], [2.0, 3.0]]
    """
    for i, row in enumerate(rows, 1):
        if not isinstance(row, list | tuple) or len(row) != len(axes):
            raise InputError(
                f"point {i} is {row!r}", remedy=f"give {len(axes)} positions for {', '.join(axes)}"
            )
    points: FloatArray = np.array(
        [[number(v, f"point {i}") for v in row] for i, row in enumerate(rows, 1)],  # type: ignore[attr-defined]  # each is a list
        dtype=np.float64,
    )
    bounded(len(points))
    return Trajectory(tuple(axes), points, (len(points),))
