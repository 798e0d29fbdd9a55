"""Room: pipes. Dark, flat and mask; and which pixels are hot or dead.

In: frames as the detector gives them, and images in HDF5 files (`/data/dark.h5::/entry/data/data`;
a stack is averaged). Out: corrected frames in floats, NaN where there is no value; or a mask.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from undula.core.errors import ConfigError, InputError
from undula.pipes.frame import Frame
from undula.pipes.nodes.base import AS_INPUT, Array, Misfit, Node, Port, Results, Shape, parameter
from undula.pipes.nodes.image import as_image, without_value
from undula.pipes.nodes.statistics import MeanVariance

DATASET = "/entry/data/data"


def load_image(place: str) -> npt.NDArray[np.float64]:
    """The image that `file.h5::/dataset` names, float64 (y, x); the mean of a stack (n, y, x).

    Raises: ConfigError naming the file.
    """
    path, _, dataset = place.partition("::")
    import h5py
    import hdf5plugin  # noqa: F401  # the file may be compressed

    try:
        with h5py.File(Path(path).expanduser(), "r", locking=False) as file:
            data = np.asarray(file[dataset or DATASET][()], np.float64)
    except (OSError, KeyError, TypeError, ValueError) as exc:
        raise ConfigError(
            f"{place} holds no image: {exc}", remedy=f"write FILE.h5::/DATASET (else {DATASET})"
        ) from exc
    if data.ndim == 3 and len(data):
        data = data.mean(axis=0)
    if data.ndim != 2:
        raise ConfigError(
            f"{place} is of shape {data.shape}", remedy="name an image (y, x), or a stack (n, y, x)"
        )
    return data


def image_shape(place: str) -> Shape:
    """The shape of the image that `load_image` would give. Raises: ConfigError naming the file."""
    path, _, dataset = place.partition("::")
    import h5py

    try:
        with h5py.File(Path(path).expanduser(), "r", locking=False) as file:
            shape = tuple(file[dataset or DATASET].shape)
    except (OSError, KeyError, AttributeError) as exc:
        raise ConfigError(
            f"{place} holds no image: {exc}", remedy=f"write FILE.h5::/DATASET (else {DATASET})"
        ) from exc
    if len(shape) not in (2, 3):
        raise ConfigError(
            f"{place} is of shape {shape}", remedy="name an image (y, x), or a stack (n, y, x)"
        )
    return shape[-2:]


def misfits_of_files(values: Any, names: Sequence[str], shape: Shape | None) -> Iterable[Misfit]:
    """Images in files that cannot be read, or are of another shape than the frames, or the first.

    Args:
        values: of the parameters.
        names: of those that name images; an empty one names none.
        shape: of the frames, where it is known.
    """
    whose = "the frames are"
    for name in names:
        place = getattr(values, name)
        if not place:
            continue
        try:
            found = image_shape(place)
        except ConfigError as exc:
            yield name, exc.what, exc.remedy
            continue
        if shape is not None and found != shape:
            remedy = "take it with the same detector settings"
            yield name, f"the image in {place} is {found}, {whose} {shape}", remedy
        elif shape is None:
            shape, whose = found, f"that in {place} is"


class Correct(Node):
    """(frame - dark) / flat, in floats; pixels that the mask names become NaN.

    The flat is divided by its own mean over the pixels that are used, so that counts keep their
    size. A pixel whose flat is not positive, or whose dark or flat is NaN, has no value either. In
    the mask everything but 0 means: do not use.
    """

    name = "correct"
    outputs = (Port("frames", "corrected frames, (y, x)", kinds="f", unit=AS_INPUT),)
    masked = "become NaN; highest=true: also the dtype's highest number"
    dark: str = parameter("", "FILE.h5::/DATASET, subtracted; empty: none")
    flat: str = parameter("", "FILE.h5::/DATASET, divided by; empty: none")
    mask: str = parameter("", "FILE.h5::/DATASET, not 0: do not use; empty: none")
    dtype: Literal["float32", "float64"] = parameter(
        "float32", "of the result; float32 is exact up to 16.7 million counts"
    )
    highest: bool = parameter(False, "in integers the dtype's highest number means: no value")

    files = ("dark", "flat", "mask")

    @classmethod
    def shapes(cls, values: Any, inputs: Mapping[str, Shape]) -> Mapping[str, Shape]:
        """As they came."""
        return {"frames": inputs["frames"]} if "frames" in inputs else {}

    @classmethod
    def misfits(cls, values: Any, inputs: Mapping[str, Shape], frames: int) -> Iterable[Misfit]:
        """Images that are not there, or of another shape than the frames."""
        return misfits_of_files(values, cls.files, inputs.get("frames"))

    def clear(self) -> None:
        """Forget the last frame; the images are read again."""
        self._found: Array | None = None
        self.use(**{
            name: load_image(place) if (place := getattr(self, name)) else None
            for name in ("dark", "flat", "mask")
        })  # fmt: skip

    def changed(self, names: frozenset[str]) -> None:
        """Read the images that have another name now."""
        if names & {"dark", "flat", "mask", "dtype"}:
            self.clear()

    def use(
        self,
        dark: Array | None = None,
        flat: Array | None = None,
        mask: Array | None = None,
    ) -> None:
        """Correct with these images (y, x) in place of those in files; None: none."""
        images = [image for image in (dark, flat, mask) if image is not None]
        if len({image.shape for image in images}) > 1:
            raise ConfigError(
                "dark, flat and mask differ in shape: "
                + ", ".join(str(image.shape) for image in images),
                remedy="take them with the same detector settings",
            )
        self._dark = None if dark is None else dark.astype(self.dtype)
        self._factor: Array | None = None
        if not images:
            return
        bad = np.zeros(images[0].shape, bool)
        factor = np.ones(images[0].shape)
        if mask is not None:
            bad |= mask != 0
        if dark is not None:
            bad |= ~np.isfinite(dark)
        if flat is not None:
            bad |= ~(np.isfinite(flat) & (flat > 0))
            good = flat[~bad]
            factor = (good.mean() if good.size else 1.0) / np.where(bad, 1.0, flat)
        if bad.any() or flat is not None:
            self._factor = np.where(bad, np.nan, factor).astype(self.dtype)

    def accumulate(self, frame: Frame) -> None:
        """Correct a frame."""
        data = as_image(frame, self.name)
        for image in (self._dark, self._factor):
            if image is not None and image.shape != data.shape:
                raise InputError(
                    f"frame {frame.seq_num} is {data.shape}, its correction {image.shape}",
                    remedy="take dark, flat and mask with the same detector settings",
                )
        bad = without_value(data, highest=self.highest)
        found = (
            data.astype(self.dtype)
            if self._dark is None
            else np.subtract(data, self._dark, dtype=self.dtype)
        )
        if self._factor is not None:
            found *= self._factor
        if bad is not None and bad.any():
            found[bad] = np.nan
        self._found = found

    def result(self) -> Results:
        """The corrected frame; None before the first one."""
        return None if self._found is None else {"frames": self._found}


def odd_pixels(
    mean: npt.NDArray[np.float64],
    variance: npt.NDArray[np.float64] | None = None,
    *,
    hot: float = 8.0,
    dead: float = 0.1,
) -> npt.NDArray[np.uint8]:
    """Which pixels do not behave like the others: 0 good, 1 hot, 2 dead, 3 without a value.

    Args:
        mean: (y, x), of dark frames (hot pixels) or evenly lit ones (dead pixels).
        variance: (y, x); a pixel that never changes, while the median pixel does, is dead.
        hot: a pixel is hot when it is above the median by so many times the spread of all pixels,
            taken as 1.48 times the median absolute deviation, at least the noise of counting.
        dead: a pixel is dead when it is below this part of the median.
    """
    known = mean[np.isfinite(mean)]
    found = np.where(np.isfinite(mean), 0, 3).astype(np.uint8)
    if not known.size:
        return found
    middle = float(np.median(known))
    spread = 1.4826 * float(np.median(np.abs(known - middle)))
    spread = max(spread, np.sqrt(abs(middle)), 1e-9)
    with np.errstate(invalid="ignore"):
        found[mean < dead * middle] = 2
        if variance is not None and np.nanmedian(variance) > 0:
            found[variance == 0] = 2
        found[mean > middle + hot * spread] = 1
        found[~np.isfinite(mean)] = 3
    return found


class OddPixels(MeanVariance):
    """A mask of hot and dead pixels, from all frames since the start: 0 good, 1 hot, 2 dead.

    With dark frames it finds hot pixels, with evenly lit ones dead pixels too. A pixel that has
    never had a value is 3. At least two frames are needed.
    """

    name = "odd_pixels"
    outputs = (
        Port("mask", "(y, x) uint8: 0 good, 1 hot, 2 dead, 3 without a value", kinds="u"),
        Port("count", "pixels that are not good", ndim=0, kinds="i", unit="px"),
    )
    masked = "3 where a pixel never had a value; highest=true: also the dtype's highest number"
    hot: float = parameter(8.0, "above the median by so many times the spread", gt=0)
    dead: float = parameter(0.1, "below this part of the median", ge=0, lt=1)

    def _so_far(self) -> dict[str, Any] | None:
        if self.covered.frames < 2:
            return None
        mask = odd_pixels(self.mean(), self.variance(), hot=self.hot, dead=self.dead)
        return {"mask": mask, "count": int(np.count_nonzero(mask))}
