"""Room: pipes. A frame as an image: what is none is refused, what has no value is found. Pure.

In: a frame, or its data. Out: its pixels, or a mask of them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from undula.core.errors import InputError
from undula.pipes.frame import Array, Frame


def without_value(data: Array, *, highest: bool = False) -> npt.NDArray[np.bool_] | None:
    """Pixels that have no value, as a mask of the same shape; None when there can be none.

    Args:
        data: a frame. In floats NaN and the infinite have no value.
        highest: in integers the highest number that the dtype has is no value, as detectors with
            module gaps write it (65535 in uint16).

    >>> without_value(np.array([1.0, np.nan, np.inf])).tolist()
    [False, True, True]
    """
    if data.dtype.kind == "f":
        return ~np.isfinite(data)
    if highest and data.dtype.kind in "iu":
        return np.asarray(data == np.iinfo(data.dtype).max)
    return None


def as_image(frame: Frame, node: str) -> Array:
    """The data of a frame that must be an image. Raises: InputError."""
    if frame.compression != "none" or frame.data.ndim != 2:
        what = "compressed" if frame.compression != "none" else f"of shape {frame.data.shape}"
        raise InputError(
            f"{node} takes images (y, x), and frame {frame.seq_num} is {what}",
            remedy="put a node before it that makes images of them, e.g. decompress",
        )
    return frame.data
