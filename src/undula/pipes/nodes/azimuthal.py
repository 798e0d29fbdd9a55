"""Room: pipes. Azimuthal integration: rings of an image as a curve.

`azimuthal` is pyFAI's, with geometry, solid angle, polarisation and splitting of pixels. It needs
the extra `pyfai`. `radial_profile` is our own, and does much less: see there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from undula.core.errors import ConfigError, InputError
from undula.pipes.frame import Frame
from undula.pipes.nodes.base import AS_INPUT, Array, Misfit, Node, Port, Results, Shape, parameter
from undula.pipes.nodes.correct import load_image, misfits_of_files
from undula.pipes.nodes.image import as_image, without_value

HIGHEST = "in integers the dtype's highest number means: no value"
MASKED = "left out of their ring; highest=true: also the dtype's highest number"


def radial_profile(
    data: Array, ring: npt.NDArray[np.intp], bins: int, bad: npt.NDArray[np.bool_] | None = None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Mean and number of the pixels of each ring.

    Args:
        data: (y, x).
        ring: (y, x), the ring of each pixel, 0 to bins - 1; `bins` for those that are left out.
        bins: how many rings.
        bad: pixels without a value.
    Returns: (bins,) means, NaN for a ring without pixels, and (bins,) numbers of pixels.
    """
    if bad is not None and bad.any():
        data, ring = np.where(bad, data.dtype.type(0), data), np.where(bad, bins, ring)
    counts = np.bincount(ring.ravel(), minlength=bins + 1)[:bins].astype(np.int64)
    sums = np.bincount(ring.ravel(), data.ravel(), bins + 1)[:bins]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(counts > 0, sums / counts, np.nan), counts


class RadialProfile(Node):
    """The mean of the pixels in rings around a centre: counts a pixel over radius, no more.

    What it does not do: each pixel belongs to one ring, the one that its centre lies in (none is
    split); the detector is taken as flat and at right angles to the beam; there is no correction
    for solid angle, polarisation or absorption, and no scattering vector. Near the centre, and with
    rings narrower than two pixels, the curve is rough. For all that use `azimuthal`.

    Source: the definition of a mean; pixel (x, y) has its centre at whole numbers.
    """

    name = "radial_profile"
    outputs = (
        Port(
            "intensity",
            "mean of each ring, (bins,), NaN without pixels",
            ndim=1,
            kinds="f",
            unit=AS_INPUT,
        ),
        Port("radius", "middle of each ring, (bins,)", ndim=1, kinds="f", unit="px"),
        Port("pixels", "pixels with a value in each ring, (bins,)", ndim=1, kinds="i", unit="px"),
    )
    masked = MASKED
    centre_x: float | None = parameter(None, "of the rings; none: the middle", unit="px")
    centre_y: float | None = parameter(None, "of the rings; none: the middle", unit="px")
    bins: int = parameter(500, "rings", ge=1, le=100_000)
    inner: float = parameter(0.0, "where the first ring begins", ge=0, unit="px")
    outer: float | None = parameter(
        None, "where the last ring ends; none: at the farthest corner", gt=0, unit="px"
    )
    highest: bool = parameter(False, HIGHEST)

    @classmethod
    def conflicts(cls, values: Any) -> Iterable[Misfit]:
        """Rings without width."""
        if values.outer is not None and values.outer <= values.inner:
            what = f"rings from {values.inner:g} to {values.outer:g} px have no width"
            yield "outer", what, "choose outer above inner"

    @classmethod
    def shapes(cls, values: Any, inputs: Mapping[str, Shape]) -> Mapping[str, Shape]:
        """One number a ring."""
        return dict.fromkeys(("intensity", "radius", "pixels"), (values.bins,))

    @classmethod
    def misfits(cls, values: Any, inputs: Mapping[str, Shape], frames: int) -> Iterable[Misfit]:
        """Rings that begin beyond the farthest corner."""
        if "frames" not in inputs or not all(inputs["frames"]):
            return
        height, width = inputs["frames"]
        x = (width - 1) / 2 if values.centre_x is None else values.centre_x
        y = (height - 1) / 2 if values.centre_y is None else values.centre_y
        farthest = float(np.hypot(max(x, width - 1 - x), max(y, height - 1 - y)))
        if values.inner > farthest:
            what = f"frames of {(height, width)} end {farthest:.1f} px from the centre"
            yield "inner", what, "let the rings begin nearer to the centre"

    _rings: npt.NDArray[np.intp] | None = None
    _radius: Array = np.zeros(0)

    def clear(self) -> None:
        """Forget the last frame."""
        self._found: dict[str, Array] | None = None

    def changed(self, names: frozenset[str]) -> None:
        """Other rings."""
        if names - {"highest"}:
            self._rings = None

    def _lay_out(self, height: int, width: int) -> npt.NDArray[np.intp]:
        x = (width - 1) / 2 if self.centre_x is None else self.centre_x
        y = (height - 1) / 2 if self.centre_y is None else self.centre_y
        apart = np.hypot(np.arange(width)[None, :] - x, np.arange(height)[:, None] - y)
        outer = float(apart.max()) * (1 + 1e-12) + 1e-9 if self.outer is None else self.outer
        if outer <= self.inner:
            raise _no_width(self.inner, outer)
        step = (outer - self.inner) / self.bins
        self._radius = self.inner + step * (np.arange(self.bins) + 0.5)
        rings: npt.NDArray[np.intp] = np.floor((apart - self.inner) / step).astype(np.intp)
        rings[(rings < 0) | (rings > self.bins)] = self.bins
        return rings

    def accumulate(self, frame: Frame) -> None:
        """Take the rings of a frame."""
        data = as_image(frame, self.name)
        if not data.size:
            raise InputError(f"frame {frame.seq_num} has no pixels", remedy="look at its source")
        if self._rings is None or self._rings.shape != data.shape:
            self._rings = self._lay_out(*data.shape)
        bad = without_value(data, highest=self.highest)
        mean, pixels = radial_profile(data, self._rings, self.bins, bad)
        self._found = {"intensity": mean, "radius": self._radius, "pixels": pixels}

    def result(self) -> Results:
        """The curve; None before the first frame."""
        return self._found


def _no_width(inner: float, outer: float) -> InputError:
    return InputError(
        f"rings from {inner:g} to {outer:g} px have no width",
        remedy="choose outer above inner",
        where=f"{RadialProfile.name}.outer",
    )


def shape_of_poni(text: str) -> Shape | None:
    """The size of the detector that a PONI file tells in numbers; None: it names one, or is older.

    >>> shape_of_poni('Detector: Detector\\nDetector_config: {"max_shape": [600, 800]}')
    (600, 800)
    """
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip().lower() == "detector_config":
            try:
                shape = json.loads(value).get("max_shape")
            except (ValueError, AttributeError):
                return None
            return tuple(shape) if isinstance(shape, list) and len(shape) == 2 else None
    return None


class Azimuthal(Node):
    """Azimuthal integration by pyFAI: intensity over scattering vector, angle or radius.

    The geometry is that of a PONI file, as pyFAI's calibration writes it. Intensity is normalised
    as pyFAI does (solid angle; polarisation when it is given). The detector's own mask is used
    where `mask` names none. Needs `pip install 'undula[pyfai]'`.

    Source: J. Kieffer, V. Valls, N. Blanc, C. Hennig, J. Synchrotron Rad. 27 (2020) 558;
    https://pyfai.readthedocs.io (MIT licence).
    """

    name = "azimuthal"
    outputs = (
        Port("intensity", "of each bin, (bins,)", ndim=1, kinds="f"),
        Port("axis", "middle of each bin, (bins,), in the parameter `unit`", ndim=1, kinds="f"),
        Port("sigma", "error of the intensity from counting, (bins,)", ndim=1, kinds="f"),
    )
    masked = MASKED
    poni: str = parameter("", "a PONI file: distance, centre, rotations, wavelength, detector")
    bins: int = parameter(1000, "points of the curve", ge=2, le=100_000)
    unit: Literal["q_nm^-1", "q_A^-1", "2th_deg", "2th_rad", "r_mm"] = parameter(
        "q_nm^-1", "of the axis"
    )
    method: Literal["bbox", "full", "no"] = parameter("bbox", "how pixels are split between bins")
    polarisation: float | None = parameter(
        None, "polarisation factor, 1 horizontal; none: no correction", ge=-1, le=1
    )
    mask: str = parameter("", "FILE.h5::/DATASET, not 0: do not use; empty: the detector's own")
    highest: bool = parameter(False, HIGHEST)

    files = ("poni", "mask")

    @classmethod
    def shapes(cls, values: Any, inputs: Mapping[str, Shape]) -> Mapping[str, Shape]:
        """One number a bin."""
        return dict.fromkeys(("intensity", "axis", "sigma"), (values.bins,))

    @classmethod
    def misfits(cls, values: Any, inputs: Mapping[str, Shape], frames: int) -> Iterable[Misfit]:
        """A geometry or a mask that is not there, or is that of another detector."""
        shape = inputs.get("frames")
        remedy, theirs = "name a PONI file, e.g. of pyFAI-calib2", None
        try:
            if values.poni:
                theirs = shape_of_poni(Path(values.poni).expanduser().read_text(encoding="utf-8"))
            else:
                yield "poni", "it names no geometry", remedy
        except (OSError, UnicodeDecodeError) as exc:
            yield "poni", f"{values.poni} cannot be read: {exc}", remedy
        if None not in (shape, theirs) and shape != theirs:
            what = f"{values.poni} is for frames of {theirs}, and those that come are {shape}"
            yield "poni", what, "calibrate with this detector, and its present binning"
        yield from misfits_of_files(values, ("mask",), shape or theirs)

    _integrator: Any = None
    _mask: npt.NDArray[np.bool_] | None = None

    @classmethod
    def unit_of(cls, port: str, parameters: Mapping[str, Any]) -> str:
        """That of the axis is a parameter."""
        if port != "axis":
            return super().unit_of(port, parameters)
        return str(parameters.get("unit", "q_nm^-1")).partition("_")[2]

    def clear(self) -> None:
        """Forget the last frame; the geometry stays."""
        self._found: dict[str, Array] | None = None

    def changed(self, names: frozenset[str]) -> None:
        """Another geometry or mask."""
        if names & {"poni", "mask"}:
            self._integrator = self._mask = None

    def prepare(self) -> None:
        """Read the geometry, and lay out the bins where it says the size of the frames."""
        self._integrator = self._load(())
        shape = self._integrator.detector.max_shape
        self._integrator = None
        if shape is not None and all(shape):
            self._integrate(Frame(1, np.zeros(tuple(shape), np.uint16)))

    def _load(self, shape: tuple[int, ...]) -> Any:
        try:
            import pyFAI
        except ImportError as exc:
            raise ConfigError(
                "pyFAI is not installed",
                remedy="pip install 'undula[pyfai]'; radial_profile works without it",
                where=self.name,
            ) from exc
        path = Path(self.poni).expanduser()
        try:
            integrator = pyFAI.load(str(path))
        except Exception as exc:  # pyFAI raises what its parsers do
            raise ConfigError(
                f"{path} gives no geometry: {type(exc).__name__}: {exc}",
                remedy="name a PONI file, e.g. of pyFAI-calib2",
                where=f"{self.name}.poni",
            ) from exc
        if self.mask:
            self._mask = load_image(self.mask) != 0
        elif integrator.detector.mask is not None and integrator.detector.mask.shape == shape:
            self._mask = integrator.detector.mask != 0
        return integrator

    def accumulate(self, frame: Frame) -> None:
        """Integrate a frame."""
        self._found = self._integrate(frame)

    def _integrate(self, frame: Frame) -> dict[str, Array]:
        data = as_image(frame, self.name)
        if self._integrator is None:
            self._integrator = self._load(data.shape)
        mask = self._mask
        bad = without_value(data, highest=self.highest)
        if bad is not None and bad.any():
            mask = bad if mask is None else mask | bad
        if mask is not None and mask.shape != data.shape:
            raise InputError(
                f"frame {frame.seq_num} is {data.shape}, its mask {mask.shape}",
                remedy="give the mask of this detector",
                where=f"{self.name}.mask",
            )
        found = self._integrator.integrate1d(
            data, self.bins, unit=self.unit, mask=mask, error_model="poisson",
            method=(self.method, "csr" if self.method != "no" else "histogram", "cython"),
            polarization_factor=self.polarisation,
        )  # fmt: skip
        return {
            "intensity": np.asarray(found.intensity, np.float64),
            "axis": np.asarray(found.radial, np.float64),
            "sigma": np.asarray(found.sigma, np.float64),
        }

    def result(self) -> Results:
        """The curve; None before the first frame."""
        return self._found
