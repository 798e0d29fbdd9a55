"""Room: pipes. Centre of mass, peaks of a curve, spots of an image. Pure.

In: frames. Out: where the light is, in pixels, one entry a spot, the brightest first.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from undula.core.errors import InputError
from undula.pipes.frame import Frame
from undula.pipes.nodes.base import AS_INPUT, Array, Node, Port, Results, parameter
from undula.pipes.nodes.image import as_image, without_value

HIGHEST = "in integers the dtype's highest number means: no value"
MASKED = "NaN counts as background; highest=true: also the dtype's highest number"


Mask = npt.NDArray[np.bool_]
BLOCK_PIXELS = 65_536


def middle_and_spread(data: Array, bad: Mask | None) -> tuple[float, float]:
    """Median, and median distance from it, of the pixels that have a value; NaN without any.

    Counts of 8 or 16 bits are counted by value first, which is exact and several times faster.
    """
    if data.dtype.kind in "bu" and data.dtype.itemsize <= 2:
        counts = np.bincount(data.ravel() if bad is None else data[~bad])
        values = np.flatnonzero(counts).astype(np.float64)
        counts = counts[counts > 0]
    else:
        values = (data if bad is None else data[~bad]).ravel().astype(np.float64)
        counts = np.ones(0, np.int64)
    if not values.size:
        return math.nan, math.nan
    if not counts.size:
        middle = float(np.median(values))
        return middle, float(np.median(np.abs(values - middle)))
    middle = _counted_median(values, counts)
    apart = np.abs(values - middle)
    order = np.argsort(apart, kind="stable")
    return middle, _counted_median(apart[order], counts[order])


def _counted_median(values: Array, counts: Array) -> float:
    """Median of ascending values that are there so many times."""
    ends = np.cumsum(counts)
    total = int(ends[-1])
    low, high = np.searchsorted(ends, [(total - 1) // 2, total // 2], side="right")
    return (float(values[low]) + float(values[high])) / 2


def centre_above(data: Array, level: float, bad: Mask | None) -> tuple[float, float, float]:
    """Centre (x, y) and sum of what is above a level, the level taken off; NaN when there is none.

    >>> centre_above(np.array([[0, 0], [1, 3]]), 0.0, None)
    (0.75, 1.0, 4.0)
    """
    rows, columns = np.zeros(data.shape[0]), np.zeros(data.shape[1])
    step = max(1, BLOCK_PIXELS // max(data.shape[1], 1))
    for at in range(0, data.shape[0], step):
        weight = np.subtract(data[at : at + step], level, dtype=np.float64)
        np.maximum(weight, 0.0, out=weight)
        if bad is not None:
            weight[bad[at : at + step]] = 0.0
        rows[at : at + step] = weight.sum(axis=1)
        columns += weight.sum(axis=0)
    total = float(rows.sum())
    if not total > 0:
        return math.nan, math.nan, 0.0
    x, y = float(columns @ np.arange(len(columns))), float(rows @ np.arange(len(rows)))
    return x / total, y / total, total


class CentreOfMass(Node):
    """Centre of what is above a level: (x, y) and the sum there, background taken off.

    The level is `above` when that is positive, else the median of the frame. What is below the
    level does not count; where nothing is above it, x and y are NaN.
    """

    name = "centre_of_mass"
    outputs = (
        Port("x", "centre along x", ndim=0, kinds="f", unit="px"),
        Port("y", "centre along y", ndim=0, kinds="f", unit="px"),
        Port("sum", "what is above the level, level taken off", ndim=0, kinds="f", unit=AS_INPUT),
    )
    masked = MASKED
    above: float = parameter(0.0, "level; 0: the median of each frame", ge=0, unit="counts")
    highest: bool = parameter(False, HIGHEST)

    def clear(self) -> None:
        """Forget the last frame."""
        self._found: dict[str, float] | None = None

    def accumulate(self, frame: Frame) -> None:
        """Look at a frame."""
        data = as_image(frame, self.name)
        bad = without_value(data, highest=self.highest)
        level = self.above or middle_and_spread(data, bad)[0]
        if math.isnan(level):  # not one pixel has a value
            level = 0.0
        x, y, total = centre_above(data, level, bad)
        self._found = {"x": x, "y": y, "sum": total}

    def result(self) -> Results:
        """Centre and sum; None before the first frame."""
        return self._found


class Peaks(Node):
    """Peaks of a curve: places, heights, widths at half height; the highest first.

    A peak is a point above both of its neighbours (the middle of a flat top) that stands out by
    `prominence` from the higher of the two valleys beside it. The width is taken at half of its
    prominence, between points, and is in the unit of a point. Source: `scipy.signal.find_peaks`.
    """

    name = "peaks"
    inputs = (Port("frames", "curves, (points,)", ndim=1),)
    outputs = (
        Port("place", "of each peak, in points, (peaks,)", ndim=1, kinds="f"),
        Port("height", "of each peak, (peaks,)", ndim=1, kinds="f", unit=AS_INPUT),
        Port("width", "of each peak at half prominence, in points, (peaks,)", ndim=1, kinds="f"),
    )
    masked = "NaN counts as the lowest value of the curve"
    prominence: float = parameter(1.0, "how far a peak stands out", gt=0)
    most: int = parameter(20, "peaks at most, the highest", ge=1, le=10_000)

    def clear(self) -> None:
        """Forget the last curve."""
        self._found: dict[str, Any] | None = None

    def accumulate(self, frame: Frame) -> None:
        """Look at a curve."""
        from scipy import signal

        curve = np.asarray(frame.data, np.float64)
        if curve.ndim != 1:
            raise InputError(
                f"{self.name} takes curves, and frame {frame.seq_num} is {curve.shape}",
                remedy="put a node before it that makes a curve, e.g. azimuthal",
            )
        low = np.nanmin(curve, initial=math.inf)
        curve = np.nan_to_num(curve, nan=low if math.isfinite(low) else 0.0)
        places, facts = signal.find_peaks(curve, prominence=self.prominence, width=0)
        order = np.argsort(-curve[places], kind="stable")[: self.most]
        self._found = {
            "place": places[order].astype(np.float64),
            "height": curve[places][order],
            "width": facts["widths"][order],
        }

    def largest_bytes(self, port: str) -> int:
        """Of as many peaks as there may be."""
        return 8 * self.most if port in ("place", "height", "width") else 0

    def result(self) -> Results:
        """Peaks; None before the first curve."""
        return self._found


SPOT_FIELDS = ("x", "y", "sum", "max", "pixels")


def find_spots(
    data: Array, bad: Mask | None = None, *, sigmas: float, smallest: int, most: int
) -> npt.NDArray[np.float64]:
    """Spots of an image: connected pixels (by edge or corner) that stand out of the background.

    Args:
        data: (y, x), any real dtype.
        bad: pixels without a value, which belong to no spot.
        sigmas: a pixel stands out when it is so many times the noise above the background. Both
            are robust (median and median distance from it), so that the spots do not count.
        smallest: pixels of a spot, at least.
        most: spots at most, the brightest ones.
    Returns: (spots, 5) with the columns of SPOT_FIELDS, the largest sum first; x and y are weighted
    with the counts above the background, which `sum` and `max` have off as well.
    """
    from scipy import ndimage

    background, spread = middle_and_spread(data, bad)
    # counts of a quiet detector are all the same: then the noise is that of counting
    noise = 1.4826 * spread or math.sqrt(max(background, 1.0))
    bright = np.asarray(data > background + sigmas * noise)
    if bad is not None:
        bright &= ~bad
    if not bright.any():
        return np.zeros((0, len(SPOT_FIELDS)))
    labels, count = ndimage.label(bright, structure=np.ones((3, 3)))
    inside = np.flatnonzero(bright)
    number = labels.ravel()[inside] - 1
    weight = data.ravel()[inside].astype(np.float64) - background
    y, x = np.divmod(inside, data.shape[1])
    sums = np.bincount(number, weight, count)
    highest = np.full(count, -np.inf)
    np.maximum.at(highest, number, weight)
    spots = np.column_stack(
        (
            np.bincount(number, weight * x, count) / sums,
            np.bincount(number, weight * y, count) / sums,
            sums,
            highest,
            np.bincount(number, minlength=count),
        )
    )
    spots = spots[spots[:, 4] >= smallest]
    return spots[np.argsort(-spots[:, 2], kind="stable")][:most]


class Spots(Node):
    """Spots of light: connected pixels that stand out of the background, the brightest first.

    Background and noise are the median and the median distance from it over the whole frame: a
    background that is not even wants `correct` before this node.
    """

    name = "spots"
    outputs = (
        Port("spots", "(spots, 5): x, y (px), sum, max (background off), pixels", kinds="f"),
        Port("count", "how many spots", ndim=0, kinds="i"),
    )
    masked = MASKED
    sigmas: float = parameter(6.0, "a pixel stands out by so many times the noise", gt=0)
    smallest: int = parameter(3, "pixels of a spot, at least", ge=1)
    most: int = parameter(1000, "spots at most, the brightest", ge=1, le=100_000)
    highest: bool = parameter(False, HIGHEST)

    def clear(self) -> None:
        """Forget the last frame."""
        self._spots: npt.NDArray[np.float64] | None = None

    def accumulate(self, frame: Frame) -> None:
        """Look at a frame."""
        data = as_image(frame, self.name)
        bad = without_value(data, highest=self.highest)
        self._spots = find_spots(
            data, bad, sigmas=self.sigmas, smallest=self.smallest, most=self.most
        )

    def largest_bytes(self, port: str) -> int:
        """Of as many spots as there may be."""
        return 8 * len(SPOT_FIELDS) * self.most if port == "spots" else 0

    def result(self) -> Results:
        """Spots and their number; None before the first frame."""
        if self._spots is None:
            return None
        return {"spots": self._spots, "count": len(self._spots)}
