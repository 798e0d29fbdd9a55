"""Room: analysis. Whether a curve is noise without a peak, so that nobody goes to a chance. Pure.

In: positions and values in any order, with gaps. Out: why it must not be relied on, or nothing. In
doubt it is taken for a peak: a refusal of a clear one costs a person more than a look at a bad one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from undula.analysis.edges import tidy

if TYPE_CHECKING:
    import numpy.typing as npt

MIN_POINTS = 15
"""Fewer points say too little about their noise."""
STANDS_OUT = 7.0
"""A point so many times the noise above the middle value is no chance."""
SCATTER = 10.0
"""Of pure noise the variance is that of neighbours, within 1 + SCATTER / sqrt(points)."""


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
