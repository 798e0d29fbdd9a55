"""A device that moves by itself once it was set, and cannot be stopped; for tests of stopping."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from undula.devices.sim.status import SimStatus
from undula.devices.sim.timer import TIMER


class Coasting:
    """It arrives `seconds` after it was set; there is no way to stop it."""

    parent = None
    hints: ClassVar[dict[str, Any]] = {}

    def __init__(self, name: str, seconds: float = 3.0) -> None:
        self.name, self._seconds = name, seconds
        self._from = self._to = 0.0
        self._began = 0.0

    @property
    def position(self) -> float:
        """Where it is now."""
        part = min(1.0, (time.monotonic() - self._began) / self._seconds)
        return self._from + part * (self._to - self._from)

    def set(self, value: float) -> SimStatus:
        """Go there; done when it has arrived."""
        self._from, self._to, self._began = self.position, float(value), time.monotonic()
        status = SimStatus(self)
        TIMER.after(self._seconds, status.finish)
        return status

    def read(self) -> dict[str, Any]:
        """Where it is now."""
        return {self.name: {"value": self.position, "timestamp": time.time()}}

    def describe(self) -> dict[str, Any]:
        """Data key of the position."""
        return {self.name: {"source": "coasting", "dtype": "number", "shape": []}}

    def read_configuration(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def describe_configuration(self) -> dict[str, Any]:
        """Nothing."""
        return {}
