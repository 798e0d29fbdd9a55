"""Round and round: Bluesky's spirals, BEC's Fermat spiral, rings.

Bluesky's come from `bluesky.plan_patterns`, so they are its own points.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from undula.core.errors import InputError
from undula.plans.arguments import MAX_POINTS
from undula.plans.trajectory import FloatArray, Trajectory, bounded, steps_in

Axes = tuple[str, str]
GOLDEN_TURN = 2 * math.pi * (1 + math.sqrt(5)) / 2
"""Angle between two points of a Fermat spiral, rad."""


def _path(axes: Axes, points: FloatArray) -> Trajectory:
    if not len(points):
        raise InputError(
            "no point lies in the range", remedy="make the range larger, or the steps smaller"
        )
    return Trajectory(axes, points, (len(points),))


def _of_pattern(axes: Axes, pattern: Callable[..., Any], *args: float, **more: Any) -> Trajectory:
    try:
        columns = pattern("x", "y", *args, **more).by_key()
    except StopIteration:  # a cycler cannot be empty
        columns = {"x": [], "y": []}
    return _path(axes, np.column_stack([columns["x"], columns["y"]]).astype(np.float64))


def spiral(
    axes: Axes, centre: tuple[float, float], size: tuple[float, float], *,
    dr: float, nth: float, dr_y: float | None = None, tilt: float = 0.0,
) -> Trajectory:  # fmt: skip
    """Rings `dr` apart, the n-th with n times `nth` points, within a box around the centre.

    Args:
        centre: in the unit of each axis; size: whole width of the box.
        dr: between two rings; dr_y: along the second axis, when it differs.
        tilt: of the box, rad.

    >>> spiral(("x", "y"), (0, 0), (2, 2), dr=1, nth=4).num_points
    4
    """
    from bluesky.plan_patterns import spiral as pattern

    ratio = (dr_y or dr) / dr
    rings = 2 + steps_in(math.hypot(size[0] / 2, size[1] / (2 * ratio)), dr)
    bounded(int(nth * rings * (rings + 1) / 2))
    return _of_pattern(axes, pattern, *centre, *size, dr, nth, dr_y=dr_y, tilt=tilt)


def fermat(
    axes: Axes, centre: tuple[float, float], size: tuple[float, float], *,
    dr: float, factor: float, dr_y: float | None = None, tilt: float = 0.0,
) -> Trajectory:  # fmt: skip
    """Bluesky's Fermat spiral: the n-th point at radius sqrt(n) dr / factor, 137.508 degrees on.

    Args: as in `spiral`; `factor` divides the radius.

    >>> fermat(("x", "y"), (0, 0), (2, 2), dr=0.5, factor=1).num_points
    5
    """
    from bluesky.plan_patterns import spiral_fermat as pattern

    ratio = (dr_y or dr) / dr
    diagonal = math.hypot(size[0] / 2, size[1] / (2 * ratio))
    bounded(steps_in(1.5 * diagonal * factor, dr) ** 2)
    return _of_pattern(axes, pattern, *centre, *size, dr, factor, dr_y=dr_y, tilt=tilt)


def square(
    axes: Axes, centre: tuple[float, float], size: tuple[float, float], nums: tuple[int, int]
) -> Trajectory:
    """The nodes of a grid, from its middle outwards.

    Args:
        nums: points along each axis, 2 or more.

    >>> square(("x", "y"), (0, 0), (2, 2), (3, 3)).points[0].tolist()
    [0.0, 0.0]
    """
    from bluesky.plan_patterns import spiral_square_pattern as pattern

    bounded(nums[0] * nums[1])
    return _of_pattern(axes, pattern, *centre, *size, *nums)


def fermat_in_box(
    axes: Axes, first: tuple[float, float], second: tuple[float, float],
    step: float, turn: float = 0.0,
) -> Trajectory:  # fmt: skip
    """BEC's Fermat spiral: one point for each square of side `step`, within a box.

    Args:
        first, second: the bounds of the box along each axis.
        step: mean distance of neighbours.
        turn: added to the golden angle, in units of pi.

    >>> fermat_in_box(("x", "y"), (-1, 1), (-1, 1), 1.0).num_points
    3
    """
    wide, high = abs(first[1] - first[0]), abs(second[1] - second[0])
    last = bounded(math.ceil(wide * high * 3.2 / step**2) if step**2 else MAX_POINTS + 1)
    n = np.arange(1, last + 1)
    angle = n * (GOLDEN_TURN + turn * math.pi)
    radius = step / math.sqrt(math.pi) * np.sqrt(n)
    x = sum(first) / 2 + radius * np.cos(angle)
    y = sum(second) / 2 + radius * np.sin(angle)
    inside = (x >= min(first)) & (x <= max(first)) & (y >= min(second)) & (y <= max(second))
    return _path(axes, np.column_stack([x[inside], y[inside]]))


def _ring(radius: float, num: int) -> FloatArray:
    return np.column_stack(
        [radius * np.cos(turns := np.arange(num) * (2 * np.pi / num)), radius * np.sin(turns)]
    )


def rings(
    axes: Axes, centre: tuple[float, float], radii: tuple[float, float], num: int, in_first: int
) -> Trajectory:
    """`num` rings outside the inner radius up to the outer one, the k-th with k * in_first points.

    Each begins at the largest position of the second axis and turns towards the first.

    >>> rings(("x", "y"), (0, 0), (0, 2), 2, 3).num_points
    9
    """
    inner, outer = radii
    if not inner < outer:
        raise InputError(
            f"the outer radius {outer:g} is not larger than the inner one {inner:g}",
            remedy="give the inner radius, then a larger outer one",
        )
    bounded(in_first * num * (num + 1) // 2)
    steps = np.linspace(inner, outer, num + 1)[1:].tolist()
    found = [_ring(radius, k * in_first)[:, ::-1] for k, radius in enumerate(steps, 1)]
    return _path(axes, np.vstack(found) + np.array(centre))


def rings_in_box(
    axes: Axes, first: tuple[float, float], second: tuple[float, float], *,
    spacing: float, in_first: int, centre: tuple[float, float] = (0.0, 0.0),
) -> Trajectory:  # fmt: skip
    """Rings `spacing` apart around a centre, as far as they lie in a box, which may be elsewhere.

    >>> rings_in_box(("x", "y"), (-1, 1), (-1, 1), spacing=1.0, in_first=4).num_points
    4
    """
    corners = [math.hypot(x - centre[0], y - centre[1]) for x in first for y in second]
    num = steps_in(max(corners), spacing) + 2
    bounded(in_first * num * (num + 1) // 2)
    found = np.vstack([_ring(k * spacing, k * in_first) for k in range(1, num + 1)])
    x, y = (found + np.array(centre)).T
    inside = (x >= min(first)) & (x <= max(first)) & (y >= min(second)) & (y <= max(second))
    return _path(axes, np.column_stack([x[inside], y[inside]]))
