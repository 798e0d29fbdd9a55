"""Room: pipes. One frame in, one out: threshold, hit finder, binning. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np

from undula.core.errors import InputError
from undula.pipes.frame import Frame
from undula.pipes.nodes.base import AS_INPUT, Array, Misfit, Node, Port, Results, Shape, parameter
from undula.pipes.nodes.image import as_image, without_value
from undula.pipes.nodes.statistics import sum_dtype

HIGHEST = "in integers the dtype's highest number means: no value"


def _usable(data: Array, low: float, high: float, *, highest: bool) -> Array:
    """Pixels with a value from low to high, as a mask."""
    found = data >= low
    if np.isfinite(high):
        found &= data <= high
    bad = without_value(data, highest=highest)
    if bad is not None:
        found &= ~bad
    return np.asarray(found)


class Threshold(Node):
    """Pixels from `low` to `high` stay (or become 1), all others become 0; the dtype stays."""

    name = "threshold"
    outputs = (
        Port(
            "frames", "frames with 0 outside the window, (y, x), dtype of the input", unit=AS_INPUT
        ),
        Port("count", "pixels inside the window", ndim=0, kinds="i", unit="px"),
    )
    masked = "become 0: NaN, and with highest=true the dtype's highest number"
    low: float = parameter(1.0, "lowest value that stays", unit="counts")
    high: float | None = parameter(None, "highest value that stays; none: all", unit="counts")
    binary: bool = parameter(False, "what stays becomes 1")
    highest: bool = parameter(False, HIGHEST)

    @classmethod
    def conflicts(cls, values: Any) -> Iterable[Misfit]:
        """A window without a value."""
        if values.high is not None and values.low > values.high:
            what = f"nothing stays: low {values.low:g} is above high {values.high:g}"
            yield "low", what, "choose low below high, or leave high out"

    @classmethod
    def shapes(cls, values: Any, inputs: Mapping[str, Shape]) -> Mapping[str, Shape]:
        """As they came."""
        return dict.fromkeys(("frames",), inputs["frames"]) if "frames" in inputs else {}

    def clear(self) -> None:
        """Forget the last frame."""
        self._found: dict[str, object] | None = None

    def accumulate(self, frame: Frame) -> None:
        """Take a frame."""
        data = as_image(frame, self.name)
        high = np.inf if self.high is None else self.high
        inside = _usable(data, self.low, high, highest=self.highest)
        kept = (
            inside.astype(data.dtype) if self.binary else np.where(inside, data, data.dtype.type(0))
        )
        self._found = {"frames": kept, "count": int(np.count_nonzero(inside))}

    def result(self) -> Results:
        """The frame, and how many pixels stayed; None before the first one."""
        return self._found


class Hits(Node):
    """A frame is a hit when at least `pixels` of it are above `above`; only hits are passed on.

    `hit` and `bright` are given for each frame, `frames` only for a hit: the frames in between are
    left out of that port by what this node is for, and do not count as missing.
    """

    name = "hits"
    outputs = (
        Port("frames", "the frames that are hits, as they came, (y, x)", unit=AS_INPUT),
        Port("hit", "1 for a hit, else 0", ndim=0, kinds="i"),
        Port("bright", "pixels above the level", ndim=0, kinds="i", unit="px"),
    )
    masked = "are never bright: NaN, and with highest=true the dtype's highest number"
    above: float = parameter(10.0, "a pixel is bright above this", unit="counts")
    pixels: int = parameter(20, "a frame with so many bright pixels is a hit", ge=1)
    highest: bool = parameter(False, HIGHEST)

    @classmethod
    def shapes(cls, values: Any, inputs: Mapping[str, Shape]) -> Mapping[str, Shape]:
        """As they came."""
        return dict.fromkeys(("frames",), inputs["frames"]) if "frames" in inputs else {}

    def clear(self) -> None:
        """Forget the last frame."""
        self._found: dict[str, object] | None = None

    def accumulate(self, frame: Frame) -> None:
        """Look at a frame."""
        data = as_image(frame, self.name)
        bright = data > self.above
        bad = without_value(data, highest=self.highest)
        count = int(np.count_nonzero(bright if bad is None else bright & ~bad))
        hit = count >= self.pixels
        self._found = {"hit": int(hit), "bright": count} | ({"frames": data} if hit else {})

    def result(self) -> Results:
        """Whether it is a hit, and the frame if so; None before the first one."""
        return self._found


def binned(
    data: Array, rows: int, columns: int, *, how: str = "sum", highest: bool = False
) -> Array:
    """Blocks of rows x columns pixels as one, (y // rows, x // columns).

    Rows and columns that fill no block are left out. Sums of integers are 64 bits wide, sums of
    floats and all means float64. Where some pixels of a block have no value, the sum is the mean
    of the others times the size of the block; where all have none it is NaN.

    >>> binned(np.array([[1, 2, 9], [3, 4, 9]], "u2"), 2, 2)
    array([[10]], dtype=uint64)
    """
    height, width = data.shape[0] // rows, data.shape[1] // columns
    data = data[: height * rows, : width * columns]
    bad = without_value(data, highest=highest)
    if how != "max" and bad is not None and bad.any():
        valid = _folded(~bad, rows, columns, np.add, np.dtype(np.int64))
        total = _folded(np.where(bad, 0, data), rows, columns, np.add, np.dtype(np.float64))
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(valid > 0, total / valid, np.nan)
        return mean * (rows * columns) if how == "sum" else mean
    if how == "max":
        return _folded(data, rows, columns, np.maximum, data.dtype)
    total = _folded(data, rows, columns, np.add, sum_dtype(data.dtype))
    return total if how == "sum" else np.asarray(total / float(rows * columns))


def _folded(data: Array, rows: int, columns: int, fold: np.ufunc, dtype: np.dtype[Any]) -> Array:
    """Blocks as one by adding (or the like) whole rows first, then whole columns of what is left.

    Many times faster than a reduction over axes that are as short as blocks mostly are.
    """
    tall = data[0::rows].astype(dtype)
    for at in range(1, rows):
        fold(tall, data[at::rows], out=tall, casting="same_kind")
    small = tall[:, 0::columns].copy()
    for at in range(1, columns):
        fold(small, tall[:, at::columns], out=small)
    return small


def _no_blocks(shape: Shape, axis: int, by: int, *, crop: bool) -> tuple[str, str] | None:
    """Why frames have no whole blocks along an axis, and what to do; None when they have."""
    length, word = shape[axis], ("rows", "columns")[axis]
    if length < by:
        return f"frames of {shape} have no block of {by} {word}", "choose smaller blocks"
    if length % by and not crop:
        left = f"{by} {word} to a block do not divide frames of {shape}: {length % by} are left"
        whole = [n for n in range(2, min(by, length) + 1) if length % n == 0][-1:] or [1]
        return left, f"choose e.g. {whole[0]}, or crop: true to leave them out"
    return None


class Binning(Node):
    """Blocks of pixels as one: their sum (64 bits, exact for integers) or their mean.

    Rows and columns at the far edges that fill no block are refused, or with `crop` left out.
    """

    name = "binning"
    outputs = (Port("frames", "frames of fewer pixels, (y // rows, x // columns)", unit=AS_INPUT),)
    masked = "the others of a block stand for them, NaN when it has none; the result is float then"
    rows: int = parameter(2, "of a block", ge=1, le=65536, unit="px")
    columns: int = parameter(2, "of a block", ge=1, le=65536, unit="px")
    how: Literal["sum", "mean"] = parameter("sum", "what becomes of a block")
    crop: bool = parameter(False, "leave out rows and columns that fill no block")
    highest: bool = parameter(False, HIGHEST)

    @classmethod
    def shapes(cls, values: Any, inputs: Mapping[str, Shape]) -> Mapping[str, Shape]:
        """Of fewer pixels; nobody knows where blocks do not fit."""
        if "frames" not in inputs or any(cls.misfits(values, inputs, 0)):
            return {}
        height, width = inputs["frames"]
        return {"frames": (height // values.rows, width // values.columns)}

    @classmethod
    def misfits(cls, values: Any, inputs: Mapping[str, Shape], frames: int) -> Iterable[Misfit]:
        """Blocks that are too large, or do not fill the frame."""
        for at, name in enumerate(("rows", "columns")):
            wrong = (
                _no_blocks(inputs["frames"], at, getattr(values, name), crop=values.crop)
                if ("frames" in inputs)
                else None
            )
            if wrong is not None:
                yield name, *wrong

    def clear(self) -> None:
        """Forget the last frame."""
        self._found: Array | None = None

    def accumulate(self, frame: Frame) -> None:
        """Bin a frame."""
        data = as_image(frame, self.name)
        for at, name in enumerate(("rows", "columns")):
            wrong = _no_blocks(data.shape, at, getattr(self, name), crop=self.crop)
            if wrong is not None:
                raise InputError(wrong[0], remedy=wrong[1], where=f"{self.name}.{name}")
        self._found = binned(data, self.rows, self.columns, how=self.how, highest=self.highest)

    def result(self) -> Results:
        """The frame of fewer pixels; None before the first one."""
        return None if self._found is None else {"frames": self._found}
