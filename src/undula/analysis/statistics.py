"""Room: analysis. Peak statistics: where a curve is highest, its centre of mass, its width.

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
