"""Simulated axes: instant, or moving at a velocity, stoppable on the way."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from undula.core.errors import DeviceError, InputError, LimitError
from undula.devices.sim.base import SimDevice
from undula.devices.sim.status import SimStatus
from undula.devices.sim.timer import TIMER
from undula.devices.sim.world import WORLD, SimWorld

ROLES = {
    "samx": "sample_x",
    "samy": "sample_y",
    "energy": "energy",
    "slit_gap": "slit_gap",
    "slit_center": "slit_center",
    "shutter": "shutter",
}


class SimPositioner(SimDevice):
    """An axis, with the `deviceConfig` of BEC's SimPositioner.

    Args:
        delay: 0: a move takes no time. Otherwise it takes distance / velocity.
        limits: low and high, in `unit`; two equal numbers are no limits.
        tolerance: the readback ends within it of the target.
        update_frequency: how often a BEC device would update; kept for the record.
        velocity: unit per second, when `delay` is not 0.
        role: what it moves in the simulated world; known from usual names.
    """

    def __init__(
        self,
        name: str,
        *,
        delay: float = 0,
        limits: Sequence[float] | None = None,
        tolerance: float = 0.0,
        update_frequency: float = 2.0,
        velocity: float = 100.0,
        precision: int = 4,
        unit: str = "mm",
        role: str | None = None,
        start: float = 0.0,
        world: SimWorld = WORLD,
    ) -> None:
        super().__init__(name, unit, precision)
        if not velocity > 0:
            raise InputError(f"velocity is {velocity}", remedy="give more than 0", device=name)
        self.limits = (float(limits[0]), float(limits[1])) if limits else (0.0, 0.0)
        self.tolerance = tolerance
        self.update_frequency = update_frequency
        self.velocity = velocity
        self._offset, self._sign = 0.0, 1.0
        self._takes_time = delay > 0
        self._lock = threading.Lock()
        self._from = self._to = float(start)
        self._began = self._ends = 0.0
        self._status: SimStatus | None = None
        self._stamp = time.time()
        role = role or ROLES.get(name)
        if role:
            world.connect(role, lambda: self.position)

    @property
    def instant(self) -> bool:
        """A move takes no time."""
        return not self._takes_time

    @property
    def offset(self) -> float:
        """User position at dial position 0; changing it moves nothing, but names places anew."""
        return self._offset

    @offset.setter
    def offset(self, offset: float) -> None:
        self.stop()
        low, high = self.limits
        with self._lock:
            by, self._offset = offset - self._offset, offset
            self._from, self._to = self._from + by, self._to + by
            self._stamp = time.time()
        if low < high:
            self.limits = (low + by, high + by)

    @property
    def sign(self) -> float:
        """1.0 or -1.0: user = sign * dial + offset. Changing it keeps the user position."""
        return self._sign

    @sign.setter
    def sign(self, sign: float) -> None:
        dial = self._sign * (self._to - self._offset)
        self._sign = sign
        self._offset = self._to - sign * dial

    def set_position(self, position: float) -> None:
        """Call the present place `position`."""
        self.offset += position - self.position

    @property
    def position(self) -> float:
        """Readback, in `egu`; on the way during a move."""
        if self._status is None:
            return self._to
        with self._lock:
            return self._at(time.monotonic())

    def _at(self, moment: float) -> float:
        if moment >= self._ends or self._ends <= self._began:
            return self._to
        part = (moment - self._began) / (self._ends - self._began)
        return self._from + part * (self._to - self._from)

    @property
    def moving(self) -> bool:
        """On the way."""
        return self._status is not None

    def value(self) -> float:
        """Readback."""
        return self.position

    def read(self) -> dict[str, Any]:
        """Readback, with the time of the last arrival or of now during a move."""
        stamp = self._stamp if self._status is None else time.time()
        return {self.name: {"value": self.position, "timestamp": stamp}}

    def describe(self) -> dict[str, Any]:
        """Data key of the readback, with the limits that it has."""
        keys = super().describe()
        low, high = self.limits
        if low < high:
            keys[self.name]["limits"] = {"control": {"low": low, "high": high}}
        return keys

    def check_value(self, target: float) -> None:
        """Raises: LimitError; InputError for what is no finite number."""
        if not isinstance(target, int | float | np.number) or not math.isfinite(target):
            raise InputError(f"{target!r} is no place", remedy="give a number", device=self.name)
        low, high = self.limits
        if low < high and not low <= target <= high:
            raise LimitError(
                f"target {target:g} {self.egu} is outside {low:g}..{high:g} {self.egu}",
                remedy=f"choose {low:g}..{high:g} {self.egu}",
                device=self.name,
            )

    def set(self, target: float) -> SimStatus:
        """Move there. Raises: LimitError."""
        self.check_value(target)
        if not self._takes_time:
            self._to = float(target)
            self._stamp = time.time()
            return self._done
        self.stop()
        status = SimStatus(self)
        with self._lock:
            self._from, self._began = self._to, time.monotonic()
            self._to, self._status = float(target), status
            duration_s = abs(self._to - self._from) / self.velocity
            self._ends = self._began + duration_s
        TIMER.after(duration_s, lambda: self._arrive(status))
        return status

    def _arrive(self, status: SimStatus) -> None:
        with self._lock:
            if self._status is not status:
                return
            self._status, self._stamp = None, time.time()
        status.finish()

    def stop(self, *, success: bool = False) -> None:
        """Stay where it is now; the move that was going on ends without success."""
        with self._lock:
            status, self._status = self._status, None
            if status is None:
                return
            self._to = self._at(time.monotonic())
            self._stamp = time.time()
        error = DeviceError(
            f"stopped at {self._to:g} {self.egu}", remedy="move it again", device=self.name
        )
        status.finish(None if success else error)

    def locate(self) -> dict[str, float]:
        """Where it should be and where it is."""
        return {"setpoint": self._to, "readback": self.position}

    def read_configuration(self) -> dict[str, Any]:
        """Velocity, unit per second."""
        key = f"{self.name}_velocity"
        return {key: {"value": self.velocity, "timestamp": self._stamp}}

    def describe_configuration(self) -> dict[str, Any]:
        """Velocity, unit per second."""
        key = f"{self.name}_velocity"
        units = f"{self.egu}/s"
        return {key: {"source": f"sim:{key}", "dtype": "number", "shape": [], "units": units}}


class SimShutter(SimPositioner):
    """A fast shutter: 1 or `open`, 0 or `closed`. Closes when it is stopped in an emergency."""

    WORDS: ClassVar[dict[str, int]] = {"open": 1, "closed": 0}

    def __init__(self, name: str, *, role: str = "shutter", world: SimWorld = WORLD) -> None:
        super().__init__(name, limits=[0, 1], unit="", role=role, start=1.0, world=world)

    def check_value(self, target: float | str) -> None:
        """Raises: InputError for what is neither open nor closed."""
        number = self.WORDS.get(target) if isinstance(target, str) else target
        if number not in (0, 1):
            raise InputError(
                f"{target!r} is no state of a shutter",
                remedy="give open or closed",
                device=self.name,
            )

    def set(self, target: float | str) -> SimStatus:
        """Open or close it."""
        self.check_value(target)
        return super().set(self.WORDS[target] if isinstance(target, str) else target)

    def stop(self, *, success: bool = False) -> None:
        """Close it, unless all is well: then it stays as it is."""
        if not success:
            self.set(0)
