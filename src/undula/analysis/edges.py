"""Room: analysis. Derivative, edges and backgrounds of a curve. Pure numpy.

In: positions and values in any order, with gaps. Out: curves and places in the axis's unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from undula.analysis.statistics import peak_stats
from undula.core.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    FloatArray = npt.NDArray[np.float64]

MIN_POINTS = 5
MIN_CONTRAST = 4.0
"""The steepest slope must be so many times the usual one, or there is no edge."""

UNEVEN = 3.0
"""Steps that differ by more than this factor are made even first."""


@dataclass(frozen=True, slots=True)
class Edge:
    """Where a curve rises or falls most.

    `position` is the middle of the peak of the derivative, `width` its full width at half maximum,
    both in the axis's unit; `rising` says which way.
    """

    position: float
    width: float | None
    rising: bool


def tidy(x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """The curve ascending in x, without points that are not finite; equal x are averaged."""
    import numpy as np

    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if xs.shape != ys.shape or xs.ndim != 1:
        raise InputError(
            f"{xs.shape} positions and {ys.shape} values are no curve",
            remedy="give as many values as positions, in one dimension",
        )
    good = np.isfinite(xs) & np.isfinite(ys)
    places, inverse = np.unique(xs[good], return_inverse=True)
    sums = np.bincount(inverse, weights=ys[good], minlength=len(places))
    counts = np.bincount(inverse, minlength=len(places))
    return places, sums / np.maximum(counts, 1)


def derivative(x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """The slope of a curve between its points.

    Returns: positions, ascending, and slopes, shape (distinct positions - 1,) both.
    Raises: InputError with fewer than 2 distinct positions.

    >>> [values.tolist() for values in derivative([0, 1, 3], [0, 2, 2])]
    [[0.5, 2.0], [2.0, 0.0]]
    """
    import numpy as np

    xs, ys = tidy(x, y)
    if len(xs) < 2:
        raise InputError("one position has no slope", remedy="measure at 2 positions or more")
    return (xs[1:] + xs[:-1]) / 2, np.diff(ys) / np.diff(xs)


def evened(xs: FloatArray, ys: FloatArray) -> tuple[FloatArray, FloatArray]:
    """A curve whose points lie closer at some places, with the means of as many even steps.

    Between points that are close together the slope is all noise.
    """
    import numpy as np

    gaps = np.diff(xs)
    if len(xs) < MIN_POINTS or not np.max(gaps) > UNEVEN * np.min(gaps):
        return xs, ys
    steps = np.linspace(xs[0], xs[-1], len(xs) + 1)
    step = np.clip(np.searchsorted(steps, xs, side="right") - 1, 0, len(xs) - 1)
    counts = np.bincount(step, minlength=len(xs))
    used = counts > 0
    means = [np.bincount(step, weights=v, minlength=len(xs))[used] / counts[used] for v in (xs, ys)]
    return means[0], means[1]


def edge(x: npt.ArrayLike, y: npt.ArrayLike) -> Edge:
    """The edge of a curve: where its derivative is highest, and how wide it is there.

    Raises: InputError with fewer than 5 points, or when no slope stands out.

    >>> edge([0, 1, 2, 3, 4, 5, 6], [0, 0, 0, 1, 2, 2, 2]).position
    3.0
    """
    import numpy as np

    x, y = evened(*tidy(x, y))
    places, slopes = derivative(x, y)
    if len(places) < MIN_POINTS - 1:
        raise InputError(
            f"{len(places) + 1} points are too few for an edge",
            remedy=f"scan over it with {MIN_POINTS} points or more",
        )
    rising = bool(np.max(slopes) >= -np.min(slopes))
    curve = slopes if rising else -slopes
    # An edge adds up over its points, noise cancels: what rises is compared with how it wanders.
    _, ys = tidy(x, y)
    steps = np.diff(ys)
    spread = 1.4826 * float(np.median(np.abs(steps - np.median(steps))))
    smooth = np.convolve(ys, np.full(3, 1 / 3), "valid")
    steady = np.max(curve) <= 1.5 * abs(float(np.median(slopes)))
    if not np.max(curve) > 0 or steady or float(np.ptp(smooth)) < MIN_CONTRAST * spread:
        raise InputError("no edge stands out", remedy="scan over the whole edge, or count longer")
    stats = peak_stats(places, np.maximum(curve, 0.0))
    middle = stats.cen if stats is not None and stats.cen is not None else None
    position = float(places[int(np.argmax(curve))]) if middle is None else middle
    return Edge(position, stats.fwhm if stats is not None else None, rising)


def background(x: npt.ArrayLike, y: npt.ArrayLike, ends: float = 0.1) -> FloatArray:
    """A straight line through the ends of a curve, at each of its positions.

    Args:
        x: positions, shape (points,).
        y: values, shape (points,).
        ends: share of the points at each end that holds nothing but background, 0 to 0.5.
    Returns: float64, shape (points,), in the unit of y, in the order of x; NaN where x is.
    Raises: InputError with fewer than 2 finite points.

    >>> background([0, 1, 2], [1, 9, 3]).tolist()
    [1.0, 2.0, 3.0]
    """
    import numpy as np

    xs, ys = tidy(x, y)
    if len(xs) < 2 or not 0 < ends <= 0.5:
        raise InputError(
            "there is no background to see",
            remedy="give 2 positions or more, and ends of at most 0.5",
        )
    count = max(1, int(len(xs) * ends))
    x0, x1 = float(np.mean(xs[:count])), float(np.mean(xs[-count:]))
    y0, y1 = float(np.mean(ys[:count])), float(np.mean(ys[-count:]))
    line = y0 + (np.asarray(x, dtype=np.float64) - x0) * ((y1 - y0) / (x1 - x0))
    return np.asarray(line, dtype=np.float64)


def without_background(x: npt.ArrayLike, y: npt.ArrayLike, ends: float = 0.1) -> FloatArray:
    """The values less the straight line through the ends; see `background`."""
    import numpy as np

    return np.asarray(y, dtype=np.float64) - background(x, y, ends)
