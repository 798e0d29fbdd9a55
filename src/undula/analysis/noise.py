"""Room: analysis. Whether a curve or map is noise, so that nobody goes to a chance. Pure.

In: positions and values in any order, with gaps. Out: why it must not be relied on, or nothing. In
doubt it is taken for a peak: a refusal of a clear one costs a person more than a look at a bad one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from undula.analysis.edges import tidy

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from undula.analysis.edges import FloatArray

MIN_POINTS = 15
"""Fewer points say too little about their noise."""
STANDS_OUT = 7.0
"""A point so many times the noise above the middle value is no chance."""
SCATTER = 10.0
"""Of pure noise the variance is that of neighbours, within 1 + SCATTER / sqrt(points)."""


MIN_POINTS_OF_MAP = 60
POINTS_A_CELL = 4
CHANCE = 3.0
"""Of pure noise the means of small cells of a map vary as its values do, within so many sigmas."""


def noise_of(x: npt.ArrayLike, y: npt.ArrayLike) -> str:
    """What says that a curve has no peak; '' when it has one, or too few points to say.

    Two measures, either of which is enough for a peak: the variance of all values against that of
    points beside each other (after von Neumann), and the highest point against the noise.

    Args:
        x: positions, shape (points,).
        y: values, shape (points,); those that are not finite are left out.

    >>> noise_of(range(21), [5.0] * 21)
    'all its values are 5'
    >>> noise_of(range(21), [0, 1, 4, 9, 16, 25, 36, 49, 64, 81, 100, *range(90, -10, -10)])
    ''
    """
    import numpy as np

    _, ys = tidy(x, y)
    if len(ys) >= 2 and not np.ptp(ys) > 0:
        return f"all its values are {ys[0]:g}"
    if len(ys) < MIN_POINTS:
        return ""
    bends = ys[2:] - 2 * ys[1:-1] + ys[:-2]  # of white noise: 6 times its variance
    neighbours = float(np.mean(bends**2)) / 6
    noise = 1.4826 * float(np.median(np.abs(bends))) / 6**0.5
    above = float(np.max(ys) - np.median(ys))
    if float(np.var(ys, ddof=1)) > (1 + SCATTER / len(ys) ** 0.5) * neighbours:
        return ""
    if above > STANDS_OUT * noise:
        return ""
    times = above / noise
    return f"its highest point stands only {times:.1f} times the noise above the middle value"


def noise_of_map(x: npt.ArrayLike, y: npt.ArrayLike, values: npt.ArrayLike) -> str:
    """The same of a map, whose points may lie anywhere.

    The map is cut into cells of a few points; of noise, points of one cell differ as much as those
    of different ones.

    Args:
        x, y: positions, shape (points,).
        values: shape (points,); points where one of the three is not finite are left out.
    """
    import numpy as np

    columns = np.asarray([x, y, values], dtype=np.float64)
    xs, ys, zs = columns[:, np.isfinite(columns).all(axis=0)]
    if len(zs) >= 2 and not np.ptp(zs) > 0:
        return f"all its values are {zs[0]:g}"
    if len(zs) < MIN_POINTS_OF_MAP or not (np.ptp(xs) > 0 and np.ptp(ys) > 0):
        return ""
    side = max(2, int((len(zs) / POINTS_A_CELL) ** 0.5))
    row, column = (_cell(v, side) for v in (ys, xs))
    _, cell, counts = np.unique(row * side + column, return_inverse=True, return_counts=True)
    means = np.bincount(cell, weights=zs) / counts
    within, between = len(zs) - len(means), len(means) - 1
    if within < 1 or between < 1:
        return ""
    inside = float(np.sum((zs - means[cell]) ** 2)) / within
    outside = float(np.sum(counts * (means - zs.mean()) ** 2)) / between
    if outside > inside * (1 + CHANCE * (2 / within + 2 / between) ** 0.5):
        return ""
    noise = inside**0.5
    above = float(np.max(zs) - np.median(zs))
    if above > STANDS_OUT * noise:
        return ""
    times = above / noise
    return f"its highest point stands only {times:.1f} times the noise above the middle value"


def _cell(values: FloatArray, side: int) -> npt.NDArray[np.intp]:
    """The cell of each point along one axis, 0 to side - 1, of as many even steps."""
    import numpy as np

    share = (values - values.min()) / np.ptp(values)
    found: npt.NDArray[np.intp] = np.minimum((share * side).astype(np.intp), side - 1)
    return found
