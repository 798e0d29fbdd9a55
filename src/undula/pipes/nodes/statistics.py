"""Room: pipes. Sum, mean, variance, histogram and rate of frames, exact in their order. Pure.

In: frames of one shape. Out: images, bins or numbers that cover all frames since the start, or the
last few. Integers are summed in 64 bits: 4 thousand million frames of full-scale 32 bit pixels.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from undula.core.errors import InputError
from undula.pipes.frame import Frame
from undula.pipes.nodes.base import AS_INPUT, Array, Misfit, Node, Port, Results, Shape, parameter
from undula.pipes.nodes.coverage import Coverage
from undula.pipes.nodes.image import as_image, without_value

MISSING = "counted in `gaps`; the result covers the others"
MASKED = "left out, each pixel has its own count; highest=true: also the dtype's highest number"
HIGHEST = "in integers the dtype's highest number means: no value"


_NOTHING = np.zeros(0, np.uint8)


def sum_dtype(dtype: np.dtype[np.generic]) -> np.dtype[np.generic]:
    """The dtype that holds sums of another one: 64 bits of the same kind.

    >>> sum_dtype(np.dtype("uint16")), sum_dtype(np.dtype("float32"))
    (dtype('uint64'), dtype('float64'))
    """
    return np.dtype({"b": "u8", "u": "u8", "i": "i8", "f": "f8"}[dtype.kind])


class _Images(Node):
    """What is added up pixel by pixel, with a count for each pixel where some have no value."""

    covers = "start"
    fresh = True
    missing = MISSING
    masked = MASKED
    block: int = parameter(
        0, "a result for each so many frames, then begin anew; 0: one for all", ge=0
    )
    highest: bool = parameter(False, HIGHEST)

    one_shape = True

    @classmethod
    def shapes(cls, values: Any, inputs: Mapping[str, Shape]) -> Mapping[str, Shape]:
        """Images as large as the frames."""
        images = (port.name for port in cls.outputs if port.ndim == 2)
        return dict.fromkeys(images, inputs["frames"]) if "frames" in inputs else {}

    def clear(self) -> None:
        """Forget all frames."""
        self.queued = self.block > 0
        self._ready: deque[dict[str, Frame]] = deque()
        self._begin()

    def _begin(self) -> None:
        """Forget the frames of this block."""
        self.covered = Coverage()
        self.valid: Array | None = None
        """How many frames had a value at each pixel; None while all had at all."""

    def changed(self, names: frozenset[str]) -> None:
        """Blocks of another size: begin anew."""
        if "block" in names:
            self.clear()

    @abstractmethod
    def _so_far(self) -> dict[str, Any] | None:
        """The result for the frames of this block; None without any."""

    def _filled(self, frame: Frame) -> None:
        """When the block is full, its result is ready, about its frames."""
        if self.block and self.covered.frames >= self.block:
            self._conclude(frame)

    def _conclude(self, frame: Frame) -> None:
        found: dict[str, Any] = self._so_far() or {}
        about = replace(
            frame, data=_NOTHING, compression="none", checksum=None, again=False, slot=-1,
            seq_num=self.covered.last, first=self.covered.first, count=self.covered.frames,
        )  # fmt: skip
        self._ready.append(
            {name: replace(about, data=np.asarray(one)) for name, one in found.items()}
        )
        self._begin()

    def finish(self) -> None:
        """The last block's result, however many frames it has."""
        if self.block and self.covered.frames:
            self._conclude(self._latest)

    def result(self) -> Results:
        """What covers all frames so far; with blocks, that of the next full one, or None."""
        if self.block:
            return self._ready.popleft() if self._ready else None
        return self._so_far()

    def _wants(self, port: str) -> bool:
        return self.wanted is None or port in self.wanted

    @property
    def gaps(self) -> int:
        """Frames that did not come, as far as sequence numbers show."""
        return self.covered.gaps

    def _taken(self, frame: Frame, shape: tuple[int, ...] | None) -> tuple[Array, Array] | None:
        """Data with 0 where there is no value, and the mask of that; None for a frame again."""
        data = as_image(frame, self.name)
        if shape is not None and data.shape != shape:
            raise InputError(
                f"{self.name} holds frames of {shape}, and frame {frame.seq_num} is {data.shape}",
                remedy="clear the node when the size of the detector's frames is changed",
            )
        self._same_kind(data, frame.seq_num)
        if not self.covered.add(frame.seq_num):
            return None
        self._latest = replace(frame, data=_NOTHING)
        bad = without_value(data, highest=self.highest)
        if bad is None or not bad.any():
            if self.valid is not None:
                self.valid += 1
            return data, np.zeros(0, bool)
        if self.valid is None:
            self.valid = np.full(data.shape, self.covered.frames - 1, np.int64)
        self.valid += ~bad
        return np.where(bad, data.dtype.type(0), data), bad

    def _same_kind(self, data: Array, seq_num: int) -> None:
        """Refuse what cannot be added to what is there, before it is counted."""

    def _counts(self) -> Array | int:
        return self.covered.frames if self.valid is None else self.valid


class Sum(_Images):
    """The sum of all frames, (y, x): integers exactly, in 64 bits, floats in double precision.

    A frame that comes a second time is not counted again. A pixel's sum is that of the frames in
    which it had a value; `valid` says in how many. With `block` 100 there is a result for each 100
    frames that came, the last one for what is left.
    """

    name = "sum"
    outputs = (
        Port("sum", "sum of all frames, (y, x), 64 bits", kinds="iuf", unit=AS_INPUT),
        Port("valid", "frames that had a value at this pixel, (y, x)", kinds="i"),
    )

    def _begin(self) -> None:
        super()._begin()
        self._sum: Array | None = None

    def accumulate(self, frame: Frame) -> None:
        """Add a frame."""
        found = self._taken(frame, None if self._sum is None else self._sum.shape)
        if found is None:
            return
        data, _ = found
        if self._sum is None:
            self._sum = np.zeros(data.shape, sum_dtype(data.dtype))
        np.add(self._sum, data, out=self._sum, casting="same_kind")
        self._filled(frame)

    def _same_kind(self, data: Array, seq_num: int) -> None:
        if self._sum is not None and sum_dtype(data.dtype) != self._sum.dtype:
            raise InputError(
                f"{self.name} adds up in {self._sum.dtype}, and frame {seq_num} is {data.dtype}",
                remedy="clear the node when the detector's frames are changed",
            )

    def _so_far(self) -> dict[str, Any] | None:
        if self._sum is None:
            return None
        found: dict[str, Any] = {}
        if self._wants("sum"):
            found["sum"] = self._sum.copy()
        if self._wants("valid"):
            found["valid"] = np.full(self._sum.shape, self._counts(), np.int64)
        return found


class MeanVariance(_Images):
    """Mean and variance of each pixel over all frames, (y, x) float64, by Welford's way.

    The variance is that of a sample (divided by n - 1), in counts squared; NaN where fewer than two
    frames had a value, as the mean is where none had. For a photon counter it is near the mean.
    Welford's way loses nothing to large means: 10^9 + noise keeps its noise.
    Source: B. P. Welford, Technometrics 4 (1962) 419.
    """

    name = "mean_variance"
    outputs = (
        Port("mean", "mean of all frames, (y, x)", kinds="f", unit=AS_INPUT),
        Port("variance", "variance of all frames, (y, x), unit squared", kinds="f"),
    )

    def _begin(self) -> None:
        super()._begin()
        self._mean: Array | None = None
        self._squares: Array | None = None

    def accumulate(self, frame: Frame) -> None:
        """Take a frame in."""
        found = self._taken(frame, None if self._mean is None else self._mean.shape)
        if found is None:
            return
        data, bad = found
        if self._mean is None or self._squares is None:
            self._mean, self._squares = np.zeros(data.shape), np.zeros(data.shape)
        apart = np.subtract(data, self._mean, dtype=np.float64)
        if bad.size:
            apart[bad] = 0.0
        self._mean += apart / np.maximum(self._counts(), 1)
        after = np.subtract(data, self._mean, dtype=np.float64)
        after *= apart
        self._squares += after
        self._filled(frame)

    def _so_far(self) -> dict[str, Any] | None:
        if self._mean is None:
            return None
        found: dict[str, Any] = {}
        if self._wants("mean"):
            found["mean"] = self.mean()
        if self._wants("variance"):
            found["variance"] = self.variance()
        return found

    def mean(self) -> Array:
        """The mean of each pixel so far, after the first frame."""
        mean = np.zeros(0) if self._mean is None else self._mean
        return np.where(np.asarray(self._counts()) > 0, mean, np.nan)

    def variance(self) -> Array:
        """The variance of each pixel so far, after the first frame."""
        counts = np.asarray(self._counts())
        squares = np.zeros(0) if self._squares is None else self._squares
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(counts > 1, squares / (counts - 1), np.nan)


class Histogram(Node):
    """How many pixels have which value, over all frames: `bins` equal bins from `low` to `high`.

    A bin holds its lower edge and not its upper one, the last bin both. Values outside are counted
    in `below` and `above`. Changing the bins begins anew.
    """

    name = "histogram"
    outputs = (
        Port("counts", "pixels in each bin, (bins,) uint64", ndim=1, kinds="u", unit="px"),
        Port("edges", "edges of the bins, (bins + 1,)", ndim=1, kinds="f", unit=AS_INPUT),
        Port("below", "pixels below the first edge", ndim=0, kinds="u", unit="px"),
        Port("above", "pixels above the last edge", ndim=0, kinds="u", unit="px"),
    )
    covers = "start"
    fresh = True
    missing = MISSING
    masked = "left out; highest=true: also the dtype's highest number"
    bins: int = parameter(256, "how many", ge=1, le=1_000_000)
    low: float = parameter(0.0, "lower edge of the first bin", unit="counts")
    high: float = parameter(65536.0, "upper edge of the last bin", unit="counts")
    highest: bool = parameter(False, HIGHEST)

    @classmethod
    def conflicts(cls, values: Any) -> Iterable[Misfit]:
        """Bins without width."""
        if values.high <= values.low:
            what = f"a histogram from {values.low:g} to {values.high:g} has no width"
            yield "high", what, "choose high above low"

    @classmethod
    def shapes(cls, values: Any, inputs: Mapping[str, Shape]) -> Mapping[str, Shape]:
        """Bins, and their edges."""
        return {"counts": (values.bins,), "edges": (values.bins + 1,)}

    def clear(self) -> None:
        """Forget all frames."""
        self.covered = Coverage()
        self._counts = np.zeros(self.bins, np.uint64)
        self._below = self._above = 0

    def changed(self, names: frozenset[str]) -> None:
        """Other bins: begin anew."""
        if names & {"bins", "low", "high"}:
            self.clear()

    def accumulate(self, frame: Frame) -> None:
        """Count a frame's pixels."""
        if not self.covered.add(frame.seq_num):
            return
        data = frame.data.ravel()
        bad = without_value(data, highest=self.highest)
        if bad is not None and bad.any():
            data = data[~bad]
        if data.dtype.kind in "bu" and data.dtype.itemsize <= 2:
            found = np.bincount(data)  # exact, and many times faster: count values, then bins
            values = np.flatnonzero(found)
            data, weights = values, found[values]
        else:
            weights = np.ones(0, np.int64)
        place = self._places(data)
        if not weights.size:
            weights = np.ones(place.shape, np.int64)
        self._below += int(weights[place < 0].sum())
        self._above += int(weights[place >= self.bins].sum())
        inside = (place >= 0) & (place < self.bins)
        found = np.bincount(place[inside], weights[inside], self.bins)
        self._counts += found.astype(np.uint64)

    def _places(self, data: Array) -> Array:
        """The bin of each value, by comparison with the edges; -1 below, `bins` above."""
        data = data.astype(np.float64)  # or it would be compared with rounded edges
        place = np.searchsorted(self._edges(), data, side="right") - 1
        place[data == self.high] = self.bins - 1
        return place

    def _edges(self) -> Array:
        return np.linspace(self.low, self.high, self.bins + 1)

    def result(self) -> Results:
        """Counts and edges; None before the first frame."""
        if not self.covered.frames:
            return None
        return {
            "counts": self._counts.copy(), "edges": self._edges(),
            "below": self._below, "above": self._above,
        }  # fmt: skip


class Rate(Node):
    """Frames a second over the last `window` frames, by the host's or the detector's clock.

    `gaps` counts the frames that did not come since the start.
    """

    name = "rate"
    inputs = (Port("frames", "frames of any shape", ndim=None, compressed=True),)
    outputs = (
        Port("rate", "frames a second", ndim=0, kinds="f", unit="Hz"),
        Port("gaps", "frames that did not come since the start", ndim=0, kinds="i"),
    )
    covers = "window"
    missing = "counted in `gaps`; the rate is that of the frames that came"
    masked = "looks at no pixel"
    window: int = parameter(100, "frames that the rate is taken over", ge=2, le=1_000_000)
    hardware: bool = parameter(False, "by the detector's own clock, where it has one")

    def clear(self) -> None:
        """Forget all frames."""
        self.covered = Coverage()
        self._times: deque[float] = deque(maxlen=self.window)

    def changed(self, names: frozenset[str]) -> None:
        """Keep the times that still belong to the window."""
        self._times = deque(() if "hardware" in names else self._times, maxlen=self.window)

    def accumulate(self, frame: Frame) -> None:
        """Note its time."""
        at = frame.hardware_time if self.hardware else frame.time
        if self.covered.add(frame.seq_num) and at is not None:
            self._times.append(at)

    def result(self) -> Results:
        """NaN before the second frame, and while the clock stands still."""
        span = self._times[-1] - self._times[0] if self._times else 0.0
        rate = (len(self._times) - 1) / span if span > 0 else float("nan")
        return {"rate": rate, "gaps": self.covered.gaps}
