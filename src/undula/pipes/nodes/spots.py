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
from undula.pipes.nodes.base import Array, Node, Port, Results, as_image, parameter, without_value

HIGHEST = "in integers the dtype's highest number means: no value"
MASKED = "NaN counts as background; highest=true: also the dtype's highest number"


def usable(data: Array, *, highest: bool) -> npt.NDArray[np.float64]:
    """A frame as float64, NaN where it has no value."""
    bad = without_value(data, highest=highest)
    values = data.astype(np.float64)
    if bad is not None and bad.any():
        values[bad] = np.nan
    return values


def centre_of_mass(weights: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Centre (x, y) of weights (y, x) that are 0 or more; NaN when all are 0.

    >>> centre_of_mass(np.array([[0.0, 0.0], [1.0, 3.0]]))
    (0.75, 1.0)
    """
    columns, rows = weights.sum(axis=0), weights.sum(axis=1)
    total = float(rows.sum())
    if not total > 0:
        return math.nan, math.nan
    return (
        float(columns @ np.arange(len(columns))) / total,
        float(rows @ np.arange(len(rows))) / total,
    )


class CentreOfMass(Node):
    """Centre of what is above a level: (x, y) and the sum there, background taken off.

    The level is `above` when that is positive, else the median of the frame. What is below the
    level does not count; where nothing is above it, x and y are NaN.
    """

    name = "centre_of_mass"
    outputs = (
        Port("x", "centre along x", ndim=0, kinds="f", unit="px"),
        Port("y", "centre along y", ndim=0, kinds="f", unit="px"),
        Port("sum", "what is above the level, level taken off", ndim=0, kinds="f"),
    )
    masked = MASKED
    above: float = parameter(0.0, "level; 0: the median of each frame", ge=0, unit="counts")
    highest: bool = parameter(False, HIGHEST)

    def clear(self) -> None:
        """Forget the last frame."""
        self._found: dict[str, float] | None = None

    def accumulate(self, frame: Frame) -> None:
        """Look at a frame."""
        values = usable(as_image(frame, self.name), highest=self.highest)
        if np.isnan(values).all():
            self._found = {"x": math.nan, "y": math.nan, "sum": 0.0}
            return
        level = self.above or float(np.nanmedian(values))
        weights = np.nan_to_num(np.maximum(values - level, 0.0), nan=0.0)
        x, y = centre_of_mass(weights)
        self._found = {"x": x, "y": y, "sum": float(weights.sum())}

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
        Port("height", "of each peak, (peaks,)", ndim=1, kinds="f"),
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

    def result(self) -> Results:
        """Peaks; None before the first curve."""
        return self._found


SPOT_FIELDS = ("x", "y", "sum", "max", "pixels")


def find_spots(
    values: npt.NDArray[np.float64], *, sigmas: float, smallest: int, most: int
) -> npt.NDArray[np.float64]:
    """Spots of an image: connected pixels (by edge or corner) that stand out of the background.

    Args:
        values: (y, x), NaN where there is no value.
        sigmas: a pixel stands out when it is so many times the noise above the background. Both
            are robust (median and median absolute deviation), so that the spots do not count.
        smallest: pixels of a spot, at least.
        most: spots at most, the brightest ones.
    Returns: (spots, 5) with the columns of SPOT_FIELDS, the largest sum first; x and y are weighted
    with the counts above the background, which `sum` and `max` have off as well.
    """
    from scipy import ndimage

    known = values[~np.isnan(values)]
    if not known.size:
        return np.zeros((0, len(SPOT_FIELDS)))
    background = float(np.median(known))
    noise = 1.4826 * float(np.median(np.abs(known - background)))
    # counts of a quiet detector are all the same: then the noise is that of counting
    noise = noise or math.sqrt(max(background, 1.0))
    light = np.nan_to_num(values - background, nan=0.0)
    labels, count = ndimage.label(light > sigmas * noise, structure=np.ones((3, 3)))
    if not count:
        return np.zeros((0, len(SPOT_FIELDS)))
    inside = np.flatnonzero(labels)
    number = labels.ravel()[inside] - 1
    weight = light.ravel()[inside]
    y, x = np.divmod(inside, values.shape[1])
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

    Background and noise are the median and the median absolute deviation of the whole frame: a
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
        values = usable(as_image(frame, self.name), highest=self.highest)
        self._spots = find_spots(values, sigmas=self.sigmas, smallest=self.smallest, most=self.most)

    def result(self) -> Results:
        """Spots and their number; None before the first frame."""
        if self._spots is None:
            return None
        return {"spots": self._spots, "count": len(self._spots)}
