"""Room: pipes. A small picture of a frame, for people: fewer pixels, 256 levels. Pure.

Put a `latest` edge before it: then it looks at the newest frame whenever it is free, and holds
nobody up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from undula.core.errors import InputError
from undula.pipes.frame import Frame
from undula.pipes.nodes.base import AS_INPUT, Array, Node, Port, Results, Shape, parameter
from undula.pipes.nodes.image import as_image, without_value
from undula.pipes.nodes.pixels import binned


class Preview(Node):
    """A small picture: at most `largest` pixels a side, brightness 1 to 255, 0 for no value.

    Blocks of pixels become their greatest value (so that no spot is lost), their mean, or their
    first pixel (fastest). Without `low` and `high`, levels are taken from the picture, such that
    `clip` per cent of its pixels are darker than 1 and as many brighter than 255.
    """

    name = "preview"
    outputs = (
        Port("image", "picture, (y, x) uint8, 0 where there is no value", kinds="u"),
        Port("levels", "(2,): what is shown as 1 and as 255", ndim=1, kinds="f", unit=AS_INPUT),
    )
    missing = "shows the last frame that came"
    masked = "0 in the picture, left out of the levels; highest=true: also the highest number"
    largest: int = parameter(512, "pixels a side, at most", ge=1, le=8192, unit="px")
    how: Literal["max", "mean", "first"] = parameter("max", "what becomes of a block of pixels")
    low: float | None = parameter(None, "shown as 1; none: by itself", unit="counts")
    high: float | None = parameter(None, "shown as 255; none: by itself", unit="counts")
    clip: float = parameter(
        0.5, "part of the pixels that may be out of levels", ge=0, lt=50, unit="%"
    )
    logarithmic: bool = parameter(False, "brightness by the logarithm of 1 + counts above low")
    highest: bool = parameter(False, "in integers the dtype's highest number means: no value")

    @classmethod
    def shapes(cls, values: Any, inputs: Mapping[str, Shape]) -> Mapping[str, Shape]:
        """The picture, and two levels."""
        levels = {"levels": (2,)}
        if "frames" not in inputs or not all(inputs["frames"]):
            return levels
        by = -(-max(inputs["frames"]) // values.largest)
        blocks = [(length, min(by, length)) for length in inputs["frames"]]
        first = values.how == "first"
        return levels | {"image": tuple(-(-n // b) if first else n // b for n, b in blocks)}

    def clear(self) -> None:
        """Forget the last frame."""
        self._found: dict[str, Array] | None = None

    def accumulate(self, frame: Frame) -> None:
        """Make the picture of a frame."""
        data = as_image(frame, self.name)
        if not data.size:
            raise InputError(f"frame {frame.seq_num} has no pixels", remedy="look at its source")
        by = -(-max(data.shape) // self.largest)
        rows, columns = min(by, data.shape[0]), min(by, data.shape[1])
        if self.how == "first":
            small = data[::rows, ::columns]
            bad = without_value(small, highest=self.highest)
        else:
            small, bad = self._blocks(data, rows, columns)
        values = small.astype(np.float32)
        if bad is not None and bad.any():
            values[bad] = np.nan
        low, high = self._levels(values)
        shown = np.clip((values - low) / (high - low), 0.0, 1.0)
        if self.logarithmic:
            shown = np.log1p(shown * (high - low)) / np.log1p(high - low)
        with np.errstate(invalid="ignore"):
            image = np.where(np.isnan(shown), 0, 1 + np.rint(254 * shown)).astype(np.uint8)
        self._found = {"image": image, "levels": np.array([low, high])}

    def _blocks(self, data: Array, rows: int, columns: int) -> tuple[Array, Array | None]:
        bad = without_value(data, highest=self.highest)
        if bad is None or not bad.any():
            return binned(data, rows, columns, how=self.how), None
        if self.how == "mean":
            small = binned(data, rows, columns, how="mean", highest=self.highest)
            return small, np.isnan(small)
        least = data.dtype.type(np.iinfo(data.dtype).min if data.dtype.kind != "f" else -np.inf)
        small = binned(np.where(bad, least, data), rows, columns, how="max")
        empty = binned((~bad).astype(np.uint8), rows, columns, how="max") == 0
        return small, empty

    def _levels(self, values: Array) -> tuple[float, float]:
        low, high = self.low, self.high
        if low is None or high is None:
            known = values[np.isfinite(values)]
            found = np.percentile(known, (self.clip, 100 - self.clip)) if known.size else (0.0, 1.0)
            low = float(found[0]) if low is None else low
            high = float(found[1]) if high is None else high
        return low, high if high > low else low + max(1.0, 1e-6 * abs(low))

    def result(self) -> Results:
        """Picture and levels; None before the first frame."""
        return self._found
