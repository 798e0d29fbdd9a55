"""Room: analysis. Peak statistics: where a curve or map is highest, centre of mass, width.

Pure numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class PeakStats:
    """Statistics of y over x; x in the unit of the axis, None where they are not defined.

    `peak` and `minimum` are (x, y) pairs. `com` is the centre of mass above the lowest value. `cen`
    is the middle between the two half-height crossings, `fwhm` their distance; half height lies
    midway between the lowest and the highest value. All three are None of fewer than 3 points.
    """

    peak: tuple[float, float]
    minimum: tuple[float, float]
    com: float | None
    cen: float | None
    fwhm: float | None


_FEWEST = 3
"""Of two points the centre of mass is always the higher one: that says nothing of a peak."""


def _crossing(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], level: float) -> float:
    """x between the first two samples, where the line through them has height `level`."""
    rise = y[1] - y[0]
    return float(x[0] if rise == 0 else x[0] + (level - y[0]) / rise * (x[1] - x[0]))


def peak_stats(x: npt.ArrayLike, y: npt.ArrayLike) -> PeakStats | None:
    """Statistics of a curve; None when it has no finite point.

    Args:
        x: positions, shape (points,), any order, unit of the axis.
        y: values, shape (points,). Points where either is not finite are left out.

    >>> stats = peak_stats([0, 1, 2, 3, 4], [0, 1, 2, 1, 0])
    >>> stats.peak, stats.cen, stats.fwhm, stats.com
    ((2.0, 2.0), 2.0, 2.0, 2.0)
    """
    import numpy as np  # here: a short command needs no statistics

    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    good = np.isfinite(xs) & np.isfinite(ys)
    if not good.any():
        return None
    order = np.argsort(xs[good], kind="stable")
    xs, ys = xs[good][order], ys[good][order]
    top, low = int(np.argmax(ys)), int(np.argmin(ys))
    peak, minimum = (float(xs[top]), float(ys[top])), (float(xs[low]), float(ys[low]))
    weights = ys - ys[low]
    total = float(np.sum(weights))
    if total <= 0 or not np.isfinite(total) or len(xs) < _FEWEST:
        return PeakStats(peak, minimum, None, None, None)
    # Relative to the peak, so that a narrow peak far from zero loses no digits.
    com = peak[0] + float(np.sum(weights * (xs - peak[0]))) / total
    cen, fwhm = _half_height(xs, ys, top, (peak[1] + minimum[1]) / 2)
    return PeakStats(peak, minimum, com, cen, fwhm)


@dataclass(frozen=True, slots=True)
class MapStats:
    """Where a map is highest, its centre of mass above the lowest value, its half height.

    Places and widths are (slow, fast). `com` is None where all values are the same. `cen` is the
    centre of mass of what is above half the height, `fwhm` how far that reaches along each axis;
    half height lies midway between the lowest and the highest value. Both are None where the half
    height reaches the edge of the map, or fewer than 4 points are above it.
    """

    peak: tuple[float, float]
    height: float
    com: tuple[float, float] | None
    cen: tuple[float, float] | None = None
    fwhm: tuple[float, float] | None = None


def map_stats(slow: npt.ArrayLike, fast: npt.ArrayLike, values: npt.ArrayLike) -> MapStats | None:
    """Statistics of a map; None when it has no finite point.

    Args:
        slow, fast: positions of each point, shape (points,), units of their axes.
        values: shape (points,). Points where one of the three is not finite are left out.

    >>> found = map_stats([0, 0, 1, 1], [5, 6, 5, 6], [0, 1, 0, 3])
    >>> found.peak, found.height, found.com
    ((1.0, 6.0), 3.0, (0.75, 6.0))
    """
    import numpy as np

    places = np.asarray([slow, fast], dtype=np.float64)
    zs = np.asarray(values, dtype=np.float64)
    good = np.isfinite(places).all(axis=0) & np.isfinite(zs)
    if not good.any():
        return None
    places, zs = places[:, good], zs[good]
    top = places[:, int(np.argmax(zs))]
    weights = zs - zs.min()
    total = float(np.sum(weights))
    com = None
    if total > 0 and np.isfinite(total):
        middle = top + (weights * (places - top[:, None])).sum(axis=1) / total
        com = (float(middle[0]), float(middle[1]))
    cen, fwhm = _half_height_of_map(places, zs)
    return MapStats((float(top[0]), float(top[1])), float(zs.max()), com, cen, fwhm)


_DIRECTIONS = 32
_DISC = 4.0
"""Full width of an ellipse along an axis over the standard deviation of its area there."""
_MIN_POINTS = 4
_CELL = 1.8
"""Side of a cell over the distance of points that are spread evenly."""
_GRID = 1.5
"""Of a grid the lines along both axes, multiplied, are at most so many times the points."""

_Pair: TypeAlias = "tuple[float, float]"


def _around(
    top: int, over: npt.NDArray[np.bool_], scaled: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """Those of the points `over` that hang together with `top`, by cells of about one point."""
    import numpy as np

    places = np.stack([_cells(values) for values in scaled])
    if np.prod(places.max(axis=1) + 1.0) > _GRID * len(over):  # they lie on no grid
        places = np.floor((scaled + 1.0) * len(over) ** 0.5 / _CELL).astype(np.intp)
    wanted = set(map(tuple, places[:, over].T.tolist()))
    ways = [tuple(places[:, top].tolist())]
    reached = set(ways)
    while ways:
        row, column = ways.pop()
        around = {(row + i, column + k) for i in (-1, 0, 1) for k in (-1, 0, 1)}
        found = (around & wanted) - reached
        reached |= found
        ways += found
    return np.array([tuple(place) in reached for place in places.T.tolist()], dtype=np.bool_)


def _cells(values: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """Which line of a grid each point is on, along one axis; a line is where there are no gaps."""
    import numpy as np

    order = np.argsort(values, kind="stable")
    gaps = np.diff(values[order])
    lines = np.concatenate([[0], np.cumsum(gaps > gaps.max() / 4)])
    found = np.empty(len(values), dtype=np.intp)
    found[order] = lines
    return found


def _half_height_of_map(
    places: npt.NDArray[np.float64], zs: npt.NDArray[np.float64]
) -> tuple[_Pair | None, _Pair | None]:
    """Middle and extent of the area above half the height; None where it is not all seen."""
    import numpy as np

    level = (float(zs.max()) + float(zs.min())) / 2
    over = zs > level
    spans = np.ptp(places, axis=1)
    if np.count_nonzero(over) < _MIN_POINTS or not np.all(spans > 0):
        return None, None
    scaled = (places - places.mean(axis=1, keepdims=True)) / spans[:, None]
    over &= _around(int(np.argmax(zs)), over, scaled)
    if np.count_nonzero(over) < _MIN_POINTS:
        return None, None
    turns = np.linspace(0.0, 2 * np.pi, _DIRECTIONS, endpoint=False)
    along = np.stack([np.cos(turns), np.sin(turns)], axis=1) @ scaled
    if np.any(along[:, over].max(axis=1) >= along.max(axis=1) - 1e-9):
        return None, None
    weights = zs[over] - level
    middle = (weights * places[:, over]).sum(axis=1) / weights.sum()
    widths = _DISC * places[:, over].std(axis=1)
    return (float(middle[0]), float(middle[1])), (float(widths[0]), float(widths[1]))


def _half_height(
    xs: npt.NDArray[np.float64], ys: npt.NDArray[np.float64], top: int, level: float
) -> tuple[float | None, float | None]:
    """Middle and distance of the crossings around `top`; None when one side has none."""
    import numpy as np

    below_left = np.flatnonzero(ys[:top] <= level)
    below_right = np.flatnonzero(ys[top + 1 :] <= level)
    if not len(below_left) or not len(below_right):
        return None, None
    i, j = int(below_left[-1]), top + 1 + int(below_right[0])
    left = _crossing(xs[i : i + 2], ys[i : i + 2], level)
    right = _crossing(xs[j - 1 : j + 1], ys[j - 1 : j + 1], level)
    return (left + right) / 2, right - left
