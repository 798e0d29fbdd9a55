"""Simulated detectors: counters, a camera, a spectrum; and slow values of ring and room."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from undula.devices.sim.base import SimCounter, SimDevice
from undula.devices.sim.models import curve
from undula.devices.sim.world import BEAM_SIGMA_MM, EDGE_EV, WORLD, SimWorld
from undula.devices.telling import SILENT, Telling

LINES_EV = ((3691.0, 0.05), (6404.0, 1.0), (7058.0, 0.17))
"""Fluorescence lines: energy and strength (Ca, Fe K alpha, Fe K beta)."""


class SimMonitor(SimCounter):
    """A counter with Poisson noise; what it counts follows from its role.

    Args:
        role: i0, i1, diode (fluorescence), scatter, or anything else for a beam monitor; its name
            by default.
    """

    dtype = "integer"
    dtype_numpy = "<i8"
    nx_class = "NXdetector"

    def __init__(
        self, name: str, *, role: str | None = None, precision: int = 0, world: SimWorld = WORLD
    ) -> None:
        super().__init__(name, precision=precision)
        self._role = role or name
        self._world = world
        if self._role in ("i0", "monitor"):
            self.nx_class = "NXmonitor"

    def counted(self, count_time_s: float) -> int:
        """Counts in that time."""
        return self._world.poisson(self._world.rate(self._role) * count_time_s)


class SimCamera(SimCounter):
    """An image of the beam on a screen, uint16 counts, shape (rows, columns).

    Args:
        shape: rows, columns.
        pixel_mm: size of a pixel.
    """

    dtype = "array"
    dtype_numpy = "<u2"
    tell: Telling = SILENT

    def __init__(
        self,
        name: str,
        *,
        shape: Sequence[int] = (48, 64),
        pixel_mm: float = 0.05,
        precision: int = 0,
        world: SimWorld = WORLD,
    ) -> None:
        super().__init__(name, precision=precision)
        self._world = world
        self._pixel_mm = pixel_mm
        self.source: Callable[[float], npt.NDArray[np.uint16]] | None = None
        """What it sees instead of the world's beam, where something stands before it."""
        self.resize(int(shape[0]), int(shape[1]))

    def resize(self, rows: int, columns: int) -> None:
        """Images of that many rows and columns from now on."""
        self._shape = (rows, columns)
        self._y = (np.arange(rows) - (rows - 1) / 2)[:, None] * self._pixel_mm
        self._x = (np.arange(columns) - (columns - 1) / 2)[None, :] * self._pixel_mm

    def shape(self) -> list[int]:
        """Rows, columns."""
        return list(self._shape)

    def noisy(self, mean: npt.NDArray[np.float64]) -> npt.NDArray[np.uint16]:
        """Counts for their means, same shape."""
        return self._world.poisson_array(mean).clip(max=65535).astype(np.uint16)

    def counted(self, count_time_s: float) -> npt.NDArray[np.uint16]:
        """One image."""
        image = self._image(count_time_s)
        self.tell.preview(image)
        return image

    def _image(self, count_time_s: float) -> npt.NDArray[np.uint16]:
        if self.source is not None:
            return self.source(count_time_s)
        center = self._world.where("slit_center")
        spot = np.exp(-((self._x - center) ** 2 + self._y**2) / (2 * BEAM_SIGMA_MM**2))
        return self.noisy(2.0 + spot * self._world.flux() * count_time_s / 5000.0)


class SimWaveform(SimCounter):
    """A fluorescence spectrum, int64 counts, shape (channels,), 10 eV a channel.

    Args:
        channels: how many; also as `shape`, or BEC's `waveform_shape`.
        sim_init: a model of the counts over the channels instead, e.g. GaussianModel.
    """

    dtype = "array"
    dtype_numpy = "<i8"

    def __init__(
        self,
        name: str,
        *,
        channels: int = 1024,
        shape: Sequence[int] | None = None,
        waveform_shape: int | Sequence[int] | None = None,
        sim_init: Mapping[str, Any] | None = None,
        precision: int = 0,
        world: SimWorld = WORLD,
    ) -> None:
        super().__init__(name, precision=precision)
        wanted = shape or waveform_shape or channels
        self._channels = int(wanted if isinstance(wanted, int | float) else wanted[0])
        self._curve = curve(sim_init) if sim_init else None
        self._world = world
        self._energy = np.arange(self._channels) * 10.0

    def shape(self) -> list[int]:
        """Channels."""
        return [self._channels]

    def counted(self, count_time_s: float) -> npt.NDArray[np.int64]:
        """One spectrum: lines of the sample above their edge, and the scattered beam."""
        if self._curve is not None:
            mean = self._curve(np.arange(self._channels, dtype=np.float64)).clip(min=0.0)
            return self._world.poisson_array(mean).astype(np.int64)
        energy = self._world.where("energy")
        strength = self._world.flux() * count_time_s * 2e-4
        mean = np.full(self._channels, 0.2 * count_time_s)
        peaks = [(e, s * self._world.iron()) for e, s in LINES_EV if energy > EDGE_EV or e < 5000]
        for center, height in [*peaks, (energy, 0.3)]:
            width = 40.0 + 0.01 * center
            mean += strength * height * np.exp(-((self._energy - center) ** 2) / (2 * width**2))
        return self._world.poisson_array(mean).astype(np.int64)


class SimRing(SimDevice):
    """Ring current, mA: decays and is topped up."""

    def __init__(self, name: str, *, world: SimWorld = WORLD) -> None:
        super().__init__(name, "mA", 2)
        self._world = world

    def value(self) -> float:
        """mA."""
        return self._world.ring_current()


class SimTemperature(SimDevice):
    """A temperature that sways slowly by a tenth of a degree."""

    def __init__(self, name: str, *, mean: float = 24.0, unit: str = "degC") -> None:
        super().__init__(name, unit, 2)
        self._mean = mean

    def value(self) -> float:
        """In `unit`."""
        return self._mean + 0.1 * math.sin(time.time() / 60.0)
