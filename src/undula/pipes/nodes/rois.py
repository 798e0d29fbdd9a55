"""Room: pipes. Regions of interest: their shapes, and the statistics of many of them at once. Pure.

In: frames, and regions by name (box, circle, polygon), which may be changed while frames flow. Out:
one number a region and statistic, in the order of the regions. Pixel (x, y) is the square whose
centre is at whole numbers x and y; a circle or polygon has the pixels whose centre is in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from undula.pipes.frame import Frame
from undula.pipes.nodes.base import AS_INPUT, Array, Misfit, Node, Port, Results, Shape, parameter
from undula.pipes.nodes.image import as_image, without_value

Mask = npt.NDArray[np.bool_]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Box(_Shape):
    """Pixels from x to x + width - 1, y to y + height - 1; what lies outside the frame is cut."""

    shape: Literal["box"] = "box"
    x: int = Field(description="first column, px")
    y: int = Field(description="first row, px")
    width: int = Field(ge=1, description="columns, px")
    height: int = Field(ge=1, description="rows, px")


class Circle(_Shape):
    """Pixels whose centre is at most `radius` away from (x, y)."""

    shape: Literal["circle"] = "circle"
    x: float = Field(description="of the centre, px")
    y: float = Field(description="of the centre, px")
    radius: float = Field(ge=0, description="px")


class Polygon(_Shape):
    """Pixels whose centre is inside; where it crosses itself, by the even-odd rule."""

    shape: Literal["polygon"] = "polygon"
    points: tuple[tuple[float, float], ...] = Field(
        min_length=3, max_length=1000, description="corners (x, y), px"
    )


def _shape_of(value: Any) -> Any:
    """Which shape a region is: as it says, else by what it has."""
    if not isinstance(value, Mapping):
        return getattr(value, "shape", "box")
    has = "circle" if "radius" in value else "polygon" if "points" in value else "box"
    return value.get("shape", has)


Roi = Annotated[
    Annotated[Box, Tag("box")]
    | Annotated[Circle, Tag("circle")]
    | Annotated[Polygon, Tag("polygon")],
    Discriminator(_shape_of),
]


@dataclass(frozen=True, slots=True)
class Region:
    """A region on frames of one size: the rectangle around it, and which pixels in that."""

    x: int
    y: int
    width: int
    height: int
    mask: Mask | None
    """(height, width); None: all."""

    def of(self, data: Array) -> Array:
        """The rectangle of an image, as a view."""
        return data[self.y : self.y + self.height, self.x : self.x + self.width]


def region(roi: Box | Circle | Polygon, height: int, width: int) -> Region:
    """A region on frames of (height, width); an empty one when it lies outside.

    >>> region(Box(x=-1, y=0, width=3, height=2), 4, 4)
    Region(x=0, y=0, width=2, height=2, mask=None)
    """
    if isinstance(roi, Box):
        left, top = roi.x, roi.y
        right, bottom = roi.x + roi.width, roi.y + roi.height
    elif isinstance(roi, Circle):
        left, right = math.floor(roi.x - roi.radius), math.ceil(roi.x + roi.radius) + 1
        top, bottom = math.floor(roi.y - roi.radius), math.ceil(roi.y + roi.radius) + 1
    else:
        xs, ys = zip(*roi.points, strict=True)
        left, right = math.floor(min(xs)), math.ceil(max(xs)) + 1
        top, bottom = math.floor(min(ys)), math.ceil(max(ys)) + 1
    left, right = (min(max(at, 0), width) for at in (left, right))
    top, bottom = (min(max(at, 0), height) for at in (top, bottom))
    x, y = np.arange(left, right)[None, :], np.arange(top, bottom)[:, None]
    mask: Mask | None = None
    if isinstance(roi, Circle):
        mask = np.asarray((x - roi.x) ** 2 + (y - roi.y) ** 2 <= roi.radius**2)
    elif isinstance(roi, Polygon):
        mask = _inside(roi.points, x, y)
    return Region(left, top, max(right - left, 0), max(bottom - top, 0), mask)


def _is_empty(roi: Box | Circle | Polygon, height: int, width: int) -> bool:
    found = region(roi, height, width)
    return not found.width * found.height or (found.mask is not None and not found.mask.any())


def _inside(points: tuple[tuple[float, float], ...], x: Array, y: Array) -> Mask:
    """Even-odd rule: an edge counts for the rows from its lower end up to, not with, its upper."""
    found = np.zeros(np.broadcast_shapes(x.shape, y.shape), bool)
    for (ax, ay), (bx, by) in zip(points, (*points[1:], points[0]), strict=True):
        if ay == by:
            continue
        across = (ay <= y) != (by <= y)
        found ^= across & (x < ax + (y - ay) * (bx - ax) / (by - ay))
    return found


STATISTICS = ("sum", "mean", "min", "max", "std", "x", "y", "valid")


MOST_REGIONS = 512
BLOCK_PIXELS = 65_536
"""Regions are worked on in parts of so many pixels, which stay in the cache of the processor."""


def statistics(data: Array, where: Region, bad: Mask | None = None) -> tuple[float, ...]:
    """The numbers of one region, in the order of STATISTICS; NaN for what an empty one has not.

    Args:
        data: (y, x), any real dtype. Sums are exact up to 2^53.
        where: the region.
        bad: pixels of the whole frame without a value; None: all have one.
    """
    part, mask = where.of(data), where.mask
    if bad is not None:
        bad = where.of(bad)
        mask = ~bad if mask is None else mask & ~bad
    valid = part.size if mask is None else int(np.count_nonzero(mask))
    if not valid:
        return (0.0, *[math.nan] * 6, 0.0)
    rows_at_once = max(1, BLOCK_PIXELS // max(part.shape[1], 1))
    blocks = [slice(at, at + rows_at_once) for at in range(0, part.shape[0], rows_at_once)]
    rows, columns = np.zeros(part.shape[0]), np.zeros(part.shape[1])
    least, most, squares = math.inf, -math.inf, 0
    small = data.dtype.kind in "bu" and data.dtype.itemsize <= 2  # whose squares sum up exactly
    for block in blocks:
        inside = None if mask is None else mask[block]
        values = part[block] if inside is None else part[block][inside]
        if not values.size:
            continue
        least, most = min(least, float(values.min())), max(most, float(values.max()))
        wide = part[block].astype(np.float64)
        if inside is not None:
            wide[~inside] = 0.0
        rows[block] = wide.sum(axis=1)
        columns += wide.sum(axis=0)
        if small:
            squares += int(np.vdot(wide, wide))
    total = float(rows.sum())
    mean = total / valid
    if small:
        variance = (valid * squares - int(total) ** 2) / valid**2
    else:
        variance = _squares_apart(part, mask, blocks, mean) / valid
    weight = total if total > 0 else math.nan
    x = where.x + float(columns @ np.arange(where.width, dtype=np.float64)) / weight
    y = where.y + float(rows @ np.arange(where.height, dtype=np.float64)) / weight
    return total, mean, least, most, math.sqrt(variance), x, y, float(valid)


def _squares_apart(part: Array, mask: Mask | None, blocks: list[slice], mean: float) -> float:
    """The sum of the squared distances from the mean."""
    found = 0.0
    for block in blocks:
        apart = np.subtract(part[block], mean, dtype=np.float64)
        if mask is not None:
            apart[~mask[block]] = 0.0
        found += float(np.vdot(apart, apart))
    return found


class RoiStatistics(Node):
    """Statistics of many regions at once: one number a region, in the order in which they stand.

    `sum` is exact up to 2^53. `std` is that of the pixels (divided by n). `x` and `y` are the
    centroid, weighted with the counts, in pixels of the whole frame; NaN where the sum is not
    positive. `valid` is how many pixels had a value. A region that has no pixel with a value has
    the sum 0, `valid` 0, and NaN for the rest.

    Regions may be changed while frames flow: the next frame is looked at with the new ones, and the
    results become longer or shorter by then.
    """

    name = "roi"
    outputs = tuple(
        Port(name, means, ndim=1, kinds="f", unit=unit)
        for name, means, unit in (
            ("sum", "sum of each region, (regions,)", AS_INPUT),
            ("mean", "mean of each region", AS_INPUT),
            ("min", "least value in each region", AS_INPUT),
            ("max", "greatest value in each region", AS_INPUT),
            ("std", "standard deviation of the values in each region", AS_INPUT),
            ("x", "centroid of each region along x", "px"),
            ("y", "centroid of each region along y", "px"),
            ("valid", "pixels with a value in each region", "px"),
        )
    )
    masked = "left out and not counted in `valid`; highest=true: also the dtype's highest number"
    rois: dict[str, Roi] = parameter(
        {},
        "regions by name",
        examples=[{"peak": {"shape": "box", "x": 10, "y": 20, "width": 50, "height": 40}}],
    )
    highest: bool = parameter(False, "in integers the dtype's highest number means: no value")

    @classmethod
    def shapes(cls, values: Any, inputs: Mapping[str, Shape]) -> Mapping[str, Shape]:
        """One number a region."""
        return dict.fromkeys(STATISTICS, (len(values.rois),))

    @classmethod
    def misfits(cls, values: Any, inputs: Mapping[str, Shape], frames: int) -> Iterable[Misfit]:
        """No region, and regions without a pixel."""
        if not values.rois:
            remedy = "name one: {beam: {shape: box, x: 0, y: 0, width: 10, height: 10}}"
            yield "rois", "there is no region: nothing would come out", remedy
        if "frames" not in inputs:
            return
        height, width = inputs["frames"]
        outside = [name for name, roi in values.rois.items() if _is_empty(roi, height, width)]
        whose = f"frames of {(height, width)}, (y, x)"
        remedy = f"place it within x 0 to {width - 1} and y 0 to {height - 1}"
        if len(outside) > 1 and len(outside) == len(values.rois):
            what = f"none of its {len(outside)} regions has a pixel of {whose}"
            yield "rois", what, remedy.replace("place it", "place them")
            return
        for name in outside:
            yield f"rois.{name}", f"it has no pixel of {whose}", remedy

    def clear(self) -> None:
        """Forget the last frame."""
        self._size: tuple[int, int] | None = None
        self._regions: list[Region] = []
        self._found: Array | None = None

    @classmethod
    def conflicts(cls, values: Any) -> Iterable[Misfit]:
        """Too many regions."""
        if len(values.rois) > MOST_REGIONS:
            what = f"{len(values.rois)} regions are too many"
            yield "rois", what, f"use {MOST_REGIONS} at most, or a second node"

    def changed(self, names: frozenset[str]) -> None:
        """Make the regions anew for the next frame."""
        if "rois" in names:
            self._size = None

    def largest_bytes(self, port: str) -> int:
        """Of as many regions as there may be."""
        return 8 * MOST_REGIONS if port in STATISTICS else 0

    def accumulate(self, frame: Frame) -> None:
        """Look at a frame."""
        data = as_image(frame, self.name)
        if self._size != data.shape:
            height, width = self._size = data.shape
            self._regions = [region(roi, height, width) for roi in self.rois.values()]
        bad = without_value(data, highest=self.highest)
        if bad is not None and not bad.any():
            bad = None
        self._found = np.array([statistics(data, one, bad) for one in self._regions])

    def result(self) -> Results:
        """By statistic, one number a region; None before the first frame."""
        if self._found is None:
            return None
        found = self._found.reshape(-1, len(STATISTICS))
        return {name: found[:, at].copy() for at, name in enumerate(STATISTICS)}
