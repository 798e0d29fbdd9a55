"""Geometry: which points a declared plan visits, as numbers only.

In: names and numbers. Out: `Trajectory`. Pure; no device, no message. Grids come from scanspec.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from undula.core.errors import InputError
from undula.core.suggest import named_twice
from undula.plans.arguments import MAX_POINTS

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Trajectory:
    """Points of a step scan, in the order they are visited.

    `points` is float64 of shape (number of points, number of axes), each in its axis's unit.
    `shape` is the shape of the grid (slowest first), (number of points,) when there is none.
    `axes_values` holds the midpoints of each grid dimension, in the order of `axes`.
    """

    axes: tuple[str, ...]
    points: FloatArray
    shape: tuple[int, ...]
    relative: bool = False
    snaking: tuple[bool, ...] = ()
    axes_values: tuple[FloatArray, ...] = ()
    extents: tuple[tuple[float, float], ...] = field(default=())

    @property
    def num_points(self) -> int:
        """Number of points."""
        return len(self.points)

    @property
    def is_grid(self) -> bool:
        """More than one dimension."""
        return len(self.shape) > 1

    def shifted(self, origin: Sequence[float]) -> Trajectory:
        """The absolute trajectory around `origin` (one position per axis, its unit)."""
        start = np.asarray(origin, dtype=np.float64)
        return replace(
            self,
            points=self.points + start,
            relative=False,
            axes_values=tuple(v + o for v, o in zip(self.axes_values, start, strict=False)),
            extents=tuple(
                (low + o, high + o) for (low, high), o in zip(self.extents, start, strict=False)
            ),
        )

    def repeated(self, times: int) -> Trajectory:
        """Each point so many times, one after the other."""
        if times == 1:
            return self
        points = np.repeat(self.points, times, axis=0)
        return Trajectory(self.axes, points, (len(points),), relative=self.relative)

    def distances(self) -> FloatArray:
        """Way of each axis between neighbours, its unit; shape (points - 1, axes)."""
        return np.abs(np.diff(self.points, axis=0))


def _count(num: object, what: str) -> int:
    if isinstance(num, bool) or not isinstance(num, int) or num < 1:
        raise InputError(f"{what} is {num!r}", remedy=f"give {what} as a whole number, 1 or more")
    return bounded(num)


def bounded(num: int) -> int:
    """`num`, unless it is too many points. Raises: InputError."""
    if num > MAX_POINTS:
        raise InputError(
            f"{num:,} points are too many", remedy=f"ask for {MAX_POINTS:,} points or fewer"
        )
    return num


def steps_in(way: float, step: float) -> int:
    """Whole steps that cover a way, rounded up; both in one unit. Raises: InputError.

    A way that is longer than whole steps by a billionth of one only is not one step more.

    >>> steps_in(0.3, 0.1), steps_in(1.0, 0.3)
    (3, 4)
    """
    quotient = abs(way) / step if step > 0 else math.inf
    if not quotient <= MAX_POINTS:
        raise InputError(
            f"a step of {step:g} is too small for a way of {abs(way):g}",
            remedy=f"give a larger one: {MAX_POINTS:,} points are the most",
        )
    return math.ceil(quotient - 1e-9)


def number(value: object, what: str) -> float:
    """`value` as a finite number. Raises: InputError that names `what`."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{what} is {value!r}", remedy=f"give {what} as a number")
    if not np.isfinite(value):
        raise InputError(f"{what} is {value!r}", remedy="give a finite number")
    return float(value)


def _distinct(axes: Sequence[str]) -> tuple[str, ...]:
    for name in axes:
        if not isinstance(name, str):
            raise InputError(f"{name!r} stands where an axis is expected", remedy="name an axis")
    if len(set(axes)) != len(axes):
        raise InputError(f"{named_twice(axes)} is named twice", remedy="name each axis once")
    return tuple(axes)


def line(specs: Sequence[tuple[str, float, float]], num: int) -> Trajectory:
    """`num` equally spaced points from start to stop, all axes together.

    >>> line([("samx", 0.0, 1.0)], 3).points.ravel().tolist()
    [0.0, 0.5, 1.0]
    """
    count = _count(num, "the number of points")
    axes = _distinct([name for name, _, _ in specs])
    columns = [
        np.linspace(number(a, f"start of {n}"), number(b, f"stop of {n}"), count)
        for n, a, b in specs
    ]
    return Trajectory(axes, np.column_stack(columns), (count,))


def listed(specs: Sequence[tuple[str, Sequence[float]]]) -> Trajectory:
    """Given points, all axes together; every list must have the same length."""
    axes = _distinct([name for name, _ in specs])
    lengths = {len(points) for _, points in specs}
    if len(lengths) != 1 or 0 in lengths:
        raise InputError(
            f"the lists have {sorted(lengths)} points", remedy="give lists of one equal length"
        )
    columns = [[number(p, f"a point of {n}") for p in points] for n, points in specs]
    return Trajectory(axes, np.array(columns, dtype=np.float64).T, (lengths.pop(),))


def grid(specs: Sequence[tuple[str, float, float, int]], snake: Sequence[bool]) -> Trajectory:
    """A grid, slowest axis first; `snake[i]` reverses axis i on every other pass.

    >>> grid([("y", 0, 1, 2), ("x", 0, 1, 2)], [False, True]).points.tolist()
    [[0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0]]
    """
    from scanspec.specs import Line  # a quarter of a second, and only grids need it

    axes = _distinct([name for name, *_ in specs])
    bounded(math.prod(_count(num, f"the number of points of {n}") for n, *_, num in specs))
    lines = [
        Line(
            n,
            number(a, f"start of {n}"),
            number(b, f"stop of {n}"),
            _count(num, f"the number of points of {n}"),
        )
        for n, a, b, num in specs
    ]
    spec = None
    for part, back in zip(lines, snake, strict=True):
        turned = ~part if back else part
        spec = turned if spec is None else spec * turned
    if spec is None:
        raise InputError("no axis was named", remedy="name at least one axis")
    midpoints = spec.frames().midpoints
    return Trajectory(
        axes,
        np.column_stack([np.asarray(midpoints[n], dtype=np.float64) for n in axes]),
        tuple(num for *_, num in specs),
        snaking=tuple(snake),
        axes_values=tuple(np.linspace(a, b, num) for _, a, b, num in specs),
        extents=tuple((float(a), float(b)) for _, a, b, _ in specs),
    )
