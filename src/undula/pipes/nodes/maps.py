"""Room: pipes. Maps: numbers put into their places, by trigger or by position. Pure.

In: one number a frame (or a row of them), from a scan over one or two axes. Out: the map so far;
NaN where nothing has been measured yet, and where a frame is missing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from undula.core.errors import InputError
from undula.pipes.frame import Frame
from undula.pipes.intervals import IntervalSet
from undula.pipes.nodes.base import AS_INPUT, Misfit, Node, Port, Results, Shape, parameter
from undula.pipes.nodes.coverage import Coverage

VALUES = Port(
    "values", "one number, or a row of them, (channels,); one alone is a number", ndim=None
)
MOST_PIXELS = 100_000_000


def place_of(
    index: int, shape: tuple[int, ...], *, snake: bool | tuple[bool, ...]
) -> tuple[int, ...]:
    """Where point `index` of a grid scan lies; the last axis is the fast one.

    With `snake` every other row runs back, counted over all rows as scanspec and Bluesky do; it may
    be said for each axis.

    >>> [place_of(index, (2, 3), snake=True) for index in (2, 3, 5)]
    [(0, 2), (1, 2), (1, 0)]
    >>> place_of(6, (2, 2, 3), snake=(False, False, True)), place_of(6, (2, 2, 3), snake=True)
    ((1, 0, 0), (1, 1, 0))
    """
    places = [int(at) for at in np.unravel_index(index, shape)]
    turns = snake if isinstance(snake, tuple) else (snake,) * len(shape)
    row = 0
    for axis, (length, turn) in enumerate(zip(shape, turns, strict=False)):
        rows, row = row, row * length + places[axis]
        if turn and rows % 2:
            places[axis] = length - 1 - places[axis]
    return tuple(places)


def _one_number(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """A row of one number as the number: its map has no axis for it."""
    return values.reshape(()) if values.shape == (1,) else values


def _channels(shape: Shape) -> Shape:
    return () if shape == (1,) else shape


def _no_numbers(place: str, inputs: Mapping[str, Shape]) -> Iterable[Misfit]:
    """Images, of which no map can be made."""
    if len(inputs.get("values", ())) > 1:
        yield (
            place, f"what comes to its values is of shape {inputs['values']}, and a map is made of "
            "a number, or a row of them, for each point",
            "put a node before it that makes one number of a frame, e.g. roi",
        )  # fmt: skip


class GridMap(Node):
    """A map of a grid scan, filled by trigger: the order of points is known, no position needed.

    Point n of the scan is trigger n, from 0 on (or sequence number - 1 where frames know no
    trigger). In a scan the map has the grid of its points; `shape` is for another one, the fast
    axis last, and must be given where no scan runs. A point that was taken again replaces the first
    one. `gaps` counts the points before the last one measured that have no value.
    """

    name = "grid_map"
    inputs = (VALUES,)
    outputs = (
        Port(
            "map",
            "(points of each axis) or (..., channels), NaN where none",
            ndim=None,
            kinds="f",
            unit=AS_INPUT,
        ),
        Port("gaps", "points before the last one that have no value", ndim=0, kinds="i"),
        Port("missing", "their numbers, from 0 on, (gaps,)", ndim=1, kinds="i"),
    )
    covers = "start"
    fresh = True
    missing = "its point stays NaN and is counted in `gaps`; the others keep their places"
    masked = "a value that is NaN stays NaN and is no gap"
    on_grid = True
    shape: tuple[int, ...] | None = parameter(
        None, "points of each axis, the fast one last; none: those of the scan"
    )
    snake: bool | tuple[bool, ...] = parameter(
        False, "every other row runs back; or for each axis whether it does"
    )

    @classmethod
    def conflicts(cls, values: Any) -> Iterable[Misfit]:
        """A shape that no map has."""
        shape = values.shape
        if shape is None:
            return
        if not 1 <= len(shape) <= 3 or min(shape) < 1 or math.prod(shape) > MOST_PIXELS:
            what = f"a map of shape {shape} cannot be"
            yield "shape", what, "give 1 to 3 axes with 1 point or more each"

    @classmethod
    def shapes(cls, values: Any, inputs: Mapping[str, Shape]) -> Mapping[str, Shape]:
        """The map."""
        if values.shape is None or "values" not in inputs:
            return {}
        return {"map": (*values.shape, *_channels(inputs["values"]))}

    @classmethod
    def misfits(cls, values: Any, inputs: Mapping[str, Shape], frames: int) -> Iterable[Misfit]:
        """Images in place of numbers, and more points than the map has."""
        points = math.inf if values.shape is None else math.prod(values.shape)
        if frames > points:
            what = f"{frames} frames come, and a map of {values.shape} has {points} points"
            yield "shape", what, "give it the points of the scan, the fast axis last"
        yield from _no_numbers("shape", inputs)

    def clear(self) -> None:
        """Forget all points."""
        self.covered = Coverage()
        self._points = IntervalSet()
        self._last = -1
        self._map: npt.NDArray[np.float64] | None = None

    def changed(self, names: frozenset[str]) -> None:
        """Another grid: begin anew."""
        if names:
            self.clear()

    def accumulate(self, frame: Frame) -> None:
        """Put one point into its place."""
        if self.shape is None:
            raise InputError("the map has no shape", remedy="where no scan runs, give it one")
        values = _one_number(np.asarray(frame.data, np.float64))
        point = frame.seq_num - 1 if frame.trigger is None else frame.trigger
        points = int(np.prod(self.shape))
        if not 0 <= point < points or values.ndim > 1:
            what = f"of shape {values.shape}" if values.ndim > 1 else f"the point {point}"
            raise InputError(
                f"frame {frame.seq_num} is {what}, and the map has {points} points of a number",
                remedy="give the map the shape of the scan, and one number a point",
            )
        if self._map is None:
            self._map = np.full((*self.shape, *values.shape), np.nan)
        self.covered.add(frame.seq_num)
        self._map[place_of(point, self.shape, snake=self.snake)] = values
        self._points.add(point)
        self._last = max(self._last, point)

    @property
    def missing_points(self) -> IntervalSet:
        """Points before the last one measured that have no value, from 0 on."""
        return IntervalSet([(0, self._last + 1)]) - self._points

    def result(self) -> Results:
        """The map so far; None before the first point."""
        if self._map is None:
            return None
        missing = np.array(list(self.missing_points), np.int64)
        return {"map": self._map.copy(), "gaps": len(missing), "missing": missing}

    def largest_bytes(self, port: str) -> int:
        """Of as many points as there may be."""
        points = 0 if self.shape is None else int(np.prod(self.shape))
        return 8 * points if port == "missing" else 0


class Axis(BaseModel):
    """Pixels of a map along one axis: `num` of them, the first one's middle at `start`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    start: float = Field(description="middle of the first pixel, in the axis's unit")
    stop: float = Field(description="middle of the last pixel, in the axis's unit")
    num: int = Field(ge=1, le=100_000, description="pixels")

    def pixel(self, position: float) -> int | None:
        """The pixel that a position lies in; None outside, or when it is NaN.

        >>> Axis(start=10, stop=0, num=11).pixel(9.4)
        1
        """
        step = (self.stop - self.start) / (self.num - 1) if self.num > 1 else 0.0
        place = (position - self.start) / step if step else 0.0 * position
        if not -0.5 <= place < self.num - 0.5:
            return None
        return min(int(np.floor(place + 0.5)), self.num - 1)


class PositionMap(Node):
    """A map by measured positions, whatever way the scan went: each pixel the mean of its frames.

    Connect `join.frames` (through what makes a number of a frame, one result a frame) and
    `join.positions`: values and positions of one frame share its number. `axes` are the pixels
    along each axis, in the order of the positions. Frames outside the map, or without position, are
    counted in `outside`.
    """

    name = "position_map"
    inputs = (VALUES, Port("positions", "positions of the frame, (axes,)", ndim=1, kinds="f"))
    outputs = (
        Port(
            "map",
            "(pixels of each axis) or (..., channels), NaN where none",
            ndim=None,
            kinds="f",
            unit=AS_INPUT,
        ),
        Port("counts", "frames in each pixel", ndim=None, kinds="i"),
        Port("outside", "frames outside the map, or without position", ndim=0, kinds="i"),
    )
    covers = "start"
    fresh = True
    missing = "takes no part; its pixel shows the frames that came, or stays NaN"
    masked = "a value that is NaN is left out and not counted"
    axes: tuple[Axis, ...] = parameter(
        (Axis(start=0, stop=1, num=11),),
        "pixels along each axis",
        examples=[[{"start": -1, "stop": 1, "num": 21}]],
    )
    patience: int = parameter(1000, "frames that may wait for their other half", ge=1)

    @classmethod
    def conflicts(cls, values: Any) -> Iterable[Misfit]:
        """More axes than a map has, or none."""
        pixels = math.prod(axis.num for axis in values.axes)
        if not 1 <= len(values.axes) <= 2 or pixels > MOST_PIXELS:
            what = f"a map over {len(values.axes)} axes with {pixels} pixels cannot be"
            yield "axes", what, "give one axis or two: {start: 0, stop: 1, num: 11}"

    @classmethod
    def shapes(cls, values: Any, inputs: Mapping[str, Shape]) -> Mapping[str, Shape]:
        """The map, and its counts."""
        if "values" not in inputs:
            return {}
        pixels = tuple(axis.num for axis in values.axes)
        return dict.fromkeys(("map", "counts"), (*pixels, *_channels(inputs["values"])))

    @classmethod
    def misfits(cls, values: Any, inputs: Mapping[str, Shape], frames: int) -> Iterable[Misfit]:
        """Images in place of numbers, and more axes than there are positions."""
        positions = inputs.get("positions")
        if positions is not None and positions[0] < len(values.axes):
            what = f"it has {len(values.axes)} axes, and {positions[0]} positions come"
            yield "axes", what, "give the map as many axes as the positions have"
        yield from _no_numbers("axes", inputs)

    def clear(self) -> None:
        """Forget all points."""
        self.covered = Coverage()
        self._halves: dict[str, dict[int, npt.NDArray[np.float64]]] = {
            "values": {},
            "positions": {},
        }
        self._sums: npt.NDArray[np.float64] | None = None
        self._counts: npt.NDArray[np.int64] | None = None
        self._outside = 0
        self._half = self._unsaid = False

    def changed(self, names: frozenset[str]) -> None:
        """Other pixels: begin anew."""
        if "axes" in names:
            self.clear()

    def receive(self, port: str, frame: Frame) -> None:
        """Take the values or the positions of a frame."""
        values = np.array(frame.data, np.float64)
        values = _one_number(values) if port == "values" else values
        if values.ndim > 1:
            raise InputError(
                f"{port} of frame {frame.seq_num} are of shape {values.shape}",
                remedy="put a node before it that makes one number of a frame, e.g. roi",
            )
        other = self._halves["positions" if port == "values" else "values"]
        half = other.pop(frame.seq_num, None)
        self._half = half is None
        if half is not None:
            pair = (values, half) if port == "values" else (half, values)
            self._unsaid = True
            self._put(frame.seq_num, *pair)
            return
        own = self._halves[port]
        own[frame.seq_num] = values
        if len(own) > self.patience:
            del own[next(iter(own))]
            self._outside += port == "values"

    def _put(
        self, seq_num: int, values: npt.NDArray[np.float64], positions: npt.NDArray[np.float64]
    ) -> None:
        if not self.covered.add(seq_num):
            return
        positions = np.atleast_1d(positions)
        if len(positions) < len(self.axes):
            raise InputError(
                f"frame {seq_num} has {len(positions)} positions, the map {len(self.axes)} axes",
                remedy="give the map as many axes as the positions have",
            )
        pixel = [axis.pixel(float(at)) for axis, at in zip(self.axes, positions, strict=False)]
        if not pixel or None in pixel:
            self._outside += 1
            return
        if self._sums is None or self._counts is None:
            shape = (*(axis.num for axis in self.axes), *values.shape)
            self._sums, self._counts = np.zeros(shape), np.zeros(shape, np.int64)
        place: Any = tuple(pixel)
        known = ~np.isnan(values)
        self._sums[place] += np.where(known, values, 0.0)
        self._counts[place] += known

    def result(self) -> Results:
        """The map so far; None before the first point that lies in it.

        Nothing new with the first half of a frame: whoever keeps one map a frame would keep that.
        """
        if self._sums is None or self._counts is None or (self._half and not self._unsaid):
            return None
        self._unsaid = False
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(self._counts > 0, self._sums / self._counts, np.nan)
        return {"map": mean, "counts": self._counts.copy(), "outside": self._outside}
