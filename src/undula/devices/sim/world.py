"""The physics behind the simulated beamline: one beam through ring, monochromator, slits, sample.

Everything a detector counts follows from positions and the ring current, so that scans show real
shapes: an absorption edge over energy, a beam profile over a slit, a sample over a stage.
Rates are photons per second; lengths mm; energies eV.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

RING_CURRENT_MA = 400.0
LIFETIME_S = 10 * 3600.0
TOP_UP_EVERY_S = 180.0
FLUX_PER_S = 2.0e7
BEAM_SIGMA_MM = 0.4
EDGE_EV = 7112.0  # Fe K edge
GRAINS = (
    (0.0, 0.0, 0.35, 1.0),
    (1.2, 0.6, 0.25, 0.7),
    (-1.0, -0.8, 0.5, 0.5),
    (0.4, -1.3, 0.2, 0.8),
)
"""Grains of the sample: x, y, sigma (mm), relative iron content."""
POSITIONS = {
    "sample_x": 0.0,
    "sample_y": 0.0,
    "energy": 7200.0,
    "slit_gap": 2.0,
    "slit_center": 0.0,
    "shutter": 1.0,
}


class SimWorld:
    """Positions by role, and what the beam does with them. Thread-safe random numbers."""

    def __init__(self, seed: int | None = None) -> None:
        self._sources: dict[str, Callable[[], float]] = {}
        self._start = time.time()
        self._random = np.random.default_rng(seed)
        self._lock = threading.Lock()

    def connect(self, role: str, position: Callable[[], float]) -> None:
        """Let a positioner say where `role` is."""
        self._sources[role] = position

    def where(self, role: str) -> float:
        """Position of a role, its unit; the default when no device plays it."""
        source = self._sources.get(role)
        return POSITIONS.get(role, 0.0) if source is None else source()

    def ring_current(self) -> float:
        """mA: decays, and is topped up every three minutes."""
        age = (time.time() - self._start) % TOP_UP_EVERY_S
        return RING_CURRENT_MA * math.exp(-age / LIFETIME_S)

    def flux(self) -> float:
        """Photons per second behind the slits."""
        if self.where("shutter") < 0.5:
            return 0.0
        gap, center = max(0.0, self.where("slit_gap")), self.where("slit_center")
        width = BEAM_SIGMA_MM * math.sqrt(2)
        through = math.erf((center + gap / 2) / width) - math.erf((center - gap / 2) / width)
        return FLUX_PER_S * self.ring_current() / RING_CURRENT_MA * 0.5 * through

    def absorption(self) -> float:
        """Of a foil of the sample's element, as mu times thickness: a step and some wiggles."""
        above = self.where("energy") - EDGE_EV
        step = 0.5 + math.atan(above / 1.5) / math.pi
        wiggle = 0.0
        if above > 5.0:
            k = math.sqrt(above * 0.2625)
            wiggle = 0.25 * math.sin(4.2 * k) * math.exp(-0.06 * k * k) / max(1.0, k)
        return 0.25 + step * (1.1 + wiggle)

    def iron(self) -> float:
        """Iron in the beam at the sample's position, relative."""
        x, y = self.where("sample_x"), self.where("sample_y")
        return sum(
            c * math.exp(-((x - gx) ** 2 + (y - gy) ** 2) / (2 * s * s)) for gx, gy, s, c in GRAINS
        )

    def rate(self, role: str) -> float:
        """Counts per second of a detector role."""
        flux = self.flux()
        if role == "i0":
            return 0.1 * flux
        if role == "i1":
            return 0.5 * flux * math.exp(-self.absorption())
        if role in ("diode", "fluorescence"):
            return flux * (0.002 + 0.1 * self.iron() * (self.absorption() - 0.2))
        if role == "scatter":
            return flux * (0.002 + 0.05 * self.iron())
        return 0.05 * flux

    def poisson(self, mean: float) -> int:
        """A number of counts with that mean."""
        with self._lock:
            return int(self._random.poisson(min(mean, 1e15)))

    def poisson_array(self, mean: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Counts for an array of means, int64, same shape."""
        with self._lock:
            return self._random.poisson(mean)


WORLD = SimWorld()
