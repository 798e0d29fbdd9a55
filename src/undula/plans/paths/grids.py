"""Maps: of given positions, hexagonal."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from undula.core.errors import InputError
from undula.plans.paths.lines import SAME
from undula.plans.trajectory import FloatArray, Trajectory, bounded, steps_in

Sides = tuple[float, float, float]


def product(axes: Sequence[str], lists: Sequence[FloatArray], snake: Sequence[bool]) -> FloatArray:
    """Every combination, the slowest first; `snake[i]` reverses axis i on every other pass.

    Returns: float64, shape (product of the lengths, number of axes).

    >>> product(["y", "x"], [np.array([0.0, 1.0]), np.array([0.0, 5.0])], [False, True]).tolist()
    [[0.0, 0.0], [0.0, 5.0], [1.0, 5.0], [1.0, 0.0]]
    """
    points: FloatArray = np.zeros((1, 0))
    for values, back in zip(lists, snake, strict=True):
        passes = [values[::-1] if back and i % 2 else values for i in range(len(points))]
        points = np.column_stack([np.repeat(points, len(values), axis=0), np.concatenate(passes)])
    if points.shape[1] != len(axes):
        raise InputError("no axis was named", remedy="name at least one axis")
    return points


def list_grid(specs: Sequence[tuple[str, Sequence[float]]], snake: Sequence[bool]) -> Trajectory:
    """A map of given positions, slowest axis first.

    >>> list_grid([("y", [0, 1]), ("x", [0, 5])], [False, False]).shape
    (2, 2)
    """
    shape = tuple(len(values) for _, values in specs)
    bounded(math.prod(shape))
    axes = tuple(name for name, _ in specs)
    lists = [np.asarray(values, dtype=np.float64) for _, values in specs]
    return Trajectory(
        axes,
        product(axes, lists, snake),
        shape,
        snaking=tuple(snake),
        axes_values=tuple(lists),
        extents=tuple((float(v.min()), float(v.max())) for v in lists),
    )


def hexagonal(axes: tuple[str, str], first: Sides, second: Sides, snake: bool) -> Trajectory:
    """Rows of points, every other row shifted by half a step, within the bounds.

    Args:
        first: start, stop and step along a row; second: of the rows; each in its axis's unit.
        snake: run back on every other row.

    >>> hexagonal(("x", "y"), (0, 2, 1), (0, 1, 1), True).points.tolist()
    [[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [1.5, 1.0], [0.5, 1.0]]
    """
    x0, x1, dx = first
    y0, y1, dy = second
    if x1 < x0 or y1 < y0:
        raise InputError("a stop lies below its start", remedy="give start, then a stop above it")
    columns, rows = steps_in(x1 - x0, dx) + 2, steps_in(y1 - y0, dy) + 2
    bounded(columns * rows)
    found = []
    for row in range(rows):
        xs = x0 + (dx / 2 if row % 2 else 0.0) + np.arange(columns) * dx
        y = y0 + row * dy
        xs = np.minimum(xs[xs <= x1 + SAME * dx], x1)  # a sum of steps is not quite the stop
        if y <= y1 + SAME * dy and len(xs):
            xs = xs[::-1] if snake and row % 2 else xs
            found.append(np.column_stack([xs, np.full(len(xs), min(y, y1))]))
    points = np.vstack(found)
    return Trajectory(axes, points, (len(points),))
