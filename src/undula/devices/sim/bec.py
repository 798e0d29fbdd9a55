"""Simulated devices that BEC's configurations name and our own beamline does not need.

In: `deviceConfig` as in BEC's files. Out: Bluesky-protocol devices. Written from what such a device
is for; none of BEC's code is in here.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from undula.core.errors import DeviceError, InputError
from undula.devices.sim.axes import SimPositioner
from undula.devices.sim.base import SimDevice
from undula.devices.sim.detectors import SimMonitor
from undula.devices.sim.models import curve
from undula.devices.sim.pushing import Pushing
from undula.devices.sim.status import SimStatus
from undula.devices.sim.timer import TIMER
from undula.devices.sim.world import WORLD, SimWorld
from undula.devices.telling import PROGRESS_EVERY_S, SILENT, Telling


class SimReadOnly(SimDevice):
    """A value that one can only look at: the ring current, mA, where its name begins so."""

    def __init__(self, name: str, *, value: float = 1.0, world: SimWorld = WORLD) -> None:
        ring = name.startswith("ring_current")
        super().__init__(name, "mA" if ring else "", 3)
        self._ring, self._fixed, self._world = ring, value, world

    def value(self) -> float:
        """mA, or what it was made with."""
        return self._world.ring_current() if self._ring else self._fixed


class SimMonitorAsync(Pushing, SimMonitor):
    """A monitor that gives counts by itself, ten times a second, while a run listens.

    Args:
        sim_init: model of the counts over the position of samx, e.g. GaussianModel.
    """

    def __init__(
        self,
        name: str,
        *,
        sim_init: Mapping[str, Any] | None = None,
        precision: int = 0,
        world: SimWorld = WORLD,
    ) -> None:
        super().__init__(name, precision=precision, world=world)
        self._curve = curve(sim_init) if sim_init else None

    def counted(self, count_time_s: float) -> int:
        """Counts; by the model, when there is one."""
        if self._curve is None:
            return super().counted(count_time_s)
        place = np.asarray([self._world.where("sample_x")], dtype=np.float64)
        return self._world.poisson(max(0.0, float(self._curve(place)[0])))

    def pushed(self) -> dict[str, Any]:
        """New counts."""
        counts = self.counted(self.NOMINAL_S)
        return {self.name: {"value": counts, "timestamp": time.time()}}


class SimAsyncGauss2D(Pushing, SimDevice):
    """Images of a round spot, float64, shape (rows, columns), given by itself five times a second.

    Args:
        shape: rows, columns.
        sigma: of the spot, pixels.
        amplitude: its height.
    """

    push_rate_hz = 5.0
    dtype = "array"

    def __init__(
        self,
        name: str,
        *,
        shape: tuple[int, int] = (32, 32),
        sigma: float = 6.0,
        amplitude: float = 100.0,
    ) -> None:
        if not sigma > 0:
            raise InputError(f"sigma is {sigma}", remedy="give more than 0", device=name)
        super().__init__(name)
        self._shape = (int(shape[0]), int(shape[1]))
        y, x = (np.arange(n) - (n - 1) / 2 for n in self._shape)
        self._spot = amplitude * np.exp(-(y[:, None] ** 2 + x[None, :] ** 2) / (2 * sigma**2))
        self._random = np.random.default_rng()

    def shape(self) -> list[int]:
        """Rows, columns."""
        return list(self._shape)

    def value(self) -> npt.NDArray[np.float64]:
        """One image with noise."""
        return self._spot + self._random.normal(0.0, 1.0, self._shape)

    def pushed(self) -> dict[str, Any]:
        """A new image."""
        return self.read()


class SimRamp(SimPositioner):
    """A value that goes to its target in steps and so takes its time: 10 units a second."""

    tell: Telling = SILENT

    def __init__(self, name: str, *, ramp_rate: float = 10.0) -> None:
        super().__init__(name, delay=1, velocity=ramp_rate, unit="")

    def set(self, value: float) -> Any:
        """Begin to go there, telling how far it is."""
        start, status = self.position, super().set(value)

        def look() -> None:
            way = abs(float(value) - start)
            gone = way if status.done and status.success else min(abs(self.position - start), way)
            self.tell.progress(gone, way)
            if not status.done:
                TIMER.after(PROGRESS_EVERY_S, look)

        look()
        return status


class SimGroup:
    """Several signals or axes under one name, read together: `NAME_PART` is the data key.

    Parts are attributes; they are set through them, not by the name of the whole.
    """

    parent = None

    def __init__(self, name: str, parts: Mapping[str, SimDevice]) -> None:
        self.name = name
        self.parts = dict(parts)
        for part, device in self.parts.items():
            setattr(self, part, device)

    @property
    def instant(self) -> bool:
        """Reads are done on return."""
        return True

    @property
    def hints(self) -> dict[str, Any]:
        """Each part is worth a column."""
        return {"fields": [device.name for device in self.parts.values()]}

    def _merged(self, method: str) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for device in self.parts.values():
            merged |= getattr(device, method)()
        return merged

    def read(self) -> dict[str, Any]:
        """Values of all parts."""
        return self._merged("read")

    def describe(self) -> dict[str, Any]:
        """Data keys of all parts."""
        return self._merged("describe")

    def read_configuration(self) -> dict[str, Any]:
        """Configuration of all parts."""
        return self._merged("read_configuration")

    def describe_configuration(self) -> dict[str, Any]:
        """Description of that."""
        return self._merged("describe_configuration")

    def stop(self, *, success: bool = False) -> None:
        """Stop what moves."""
        for device in self.parts.values():
            if isinstance(device, SimPositioner):
                device.stop(success=success)


class SimHexapod(SimGroup):
    """Three axes x, y, z, mm, under one name: `hexapod.x`."""

    def __init__(self, name: str) -> None:
        super().__init__(name, {axis: SimPositioner(f"{name}_{axis}") for axis in "xyz"})


class SimDynamicSignals(SimGroup):
    """Five numbers under one name, made when it is built."""

    def __init__(self, name: str) -> None:
        parts = {f"message{i}": SimReadOnly(f"{name}_message{i}", value=i) for i in range(1, 6)}
        super().__init__(name, parts)


class SimFlyer:
    """A Bluesky flyer: started, it takes `num` samples evenly over `delay` seconds by itself.

    Args:
        delay: duration of the flight, seconds.
        num: samples.
        update_frequency: how often a BEC device would tell; kept for the record.
    """

    parent = None
    tell: Telling = SILENT

    def __init__(
        self, name: str, *, delay: float = 1.0, num: int = 20, update_frequency: float = 2.0
    ) -> None:
        if not delay >= 0 or num < 1 or not update_frequency > 0:
            raise InputError(
                "it would never end, or never tell",
                remedy="give delay, num and update_frequency above 0",
                device=name,
            )
        self.name = name
        self.update_frequency = update_frequency
        self._delay_s, self._num = float(delay), int(num)
        self._began: float | None = None
        self._status: SimStatus | None = None

    def kickoff(self) -> SimStatus:
        """Start; done when it flies. Raises: DeviceError when it flies already."""
        if self._status is not None and not self._status.done:
            raise DeviceError("it flies already", remedy="wait for its end", device=self.name)
        self._began, self._status = time.time(), SimStatus(self)
        status, started = self._status, SimStatus(self)
        TIMER.after(self._delay_s, status.finish)
        self._tell_progress()
        started.finish()
        return started

    def _tell_progress(self) -> None:
        status = self._status
        taken = self._num if status is not None and status.success else self._due()
        self.tell.progress(taken, self._num, "samples")
        if status is not None and not status.done:
            TIMER.after(1.0 / self.update_frequency, self._tell_progress)

    def complete(self) -> SimStatus:
        """The status of the flight. Raises: DeviceError when it was not started."""
        if self._status is None:
            raise DeviceError("it was not started", remedy="kickoff first", device=self.name)
        return self._status

    def stop(self, *, success: bool = False) -> None:
        """End the flight; its samples so far stay."""
        if self._status is not None:
            error = DeviceError("the flight was stopped", remedy="fly again", device=self.name)
            self._status.finish(None if success else error)

    def describe_collect(self) -> dict[str, Any]:
        """One stream, named like the device, with one key."""
        key = {"source": f"sim:{self.name}", "dtype": "number", "shape": [], "units": ""}
        return {self.name: {self.name: key}}

    def _due(self) -> int:
        """Samples that are taken by now."""
        if self._began is None:
            return 0
        step = self._delay_s / self._num
        return int(min(self._num, (time.time() - self._began) / step if step else self._num))

    def collect(self) -> Iterator[dict[str, Any]]:
        """The samples that are due by now."""
        if self._began is None:
            return
        step = self._delay_s / self._num
        for i in range(self._due()):
            stamp = self._began + i * step
            value = float(np.sin(2 * np.pi * i / self._num))
            yield {
                "time": stamp,
                "data": {self.name: value},
                "timestamps": {self.name: stamp},
            }

    def read(self) -> dict[str, Any]:
        """Whether it flies: 1 or 0."""
        flies = self._status is not None and not self._status.done
        return {self.name: {"value": int(flies), "timestamp": time.time()}}

    def describe(self) -> dict[str, Any]:
        """One key."""
        return {self.name: {"source": f"sim:{self.name}", "dtype": "integer", "shape": []}}

    def read_configuration(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def describe_configuration(self) -> dict[str, Any]:
        """Nothing."""
        return {}
