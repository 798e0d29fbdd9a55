"""Room: analysis. Peak statistics: where a curve or map is highest, centre of mass, width.

Pure numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class PeakStats:
    """Statistics of y over x; x in the unit of the axis, None where they are not defined.

    `peak` and `minimum` are (x, y) pairs. `com` is the centre of mass above the lowest value. `cen`
    is the middle between the two half-height crossings, `fwhm` their distance; half height lies
    midway between the lowest and the highest value.
    """

    peak: tuple[float, float]
    minimum: tuple[float, float]
    com: float | None
    cen: float | None
    fwhm: float | None


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
    if total <= 0 or not np.isfinite(total):
        return PeakStats(peak, minimum, None, None, None)
    # Relative to the peak, so that a narrow peak far from zero loses no digits.
    com = peak[0] + float(np.sum(weights * (xs - peak[0]))) / total
    cen, fwhm = _half_height(xs, ys, top, (peak[1] + minimum[1]) / 2)
    return PeakStats(peak, minimum, com, cen, fwhm)


@dataclass(frozen=True, slots=True)
class MapStats:
    """Where a map is highest, and its centre of mass above the lowest value.

    Places are (slow, fast). `com` is None where all values are the same.
    """

    peak: tuple[float, float]
    height: float
    com: tuple[float, float] | None


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
    return MapStats((float(top[0]), float(top[1])), float(zs.max()), com)


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
