"""Requests about single devices: what they read, their configuration, whether they are used.

In: names of devices. Out: the result of each request. Called by: `scans.service`, on its threads;
each device is asked within its deadline (`Attendant`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from undula.devices.registry import Registry
from undula.messages import ConfigRequest, DeviceSetRequest, Readback, Reply
from undula.scans.announcements import Announcements, Told
from undula.scans.attendant import READ_TIMEOUT_S, Attendant
from undula.scans.limits import usable


class DeviceDesk:
    """Answers requests about devices. Thread-safe.

    Args:
        of: the engine whose leases and configuration it asks.
    """

    def __init__(
        self, devices: Registry, attendant: Attendant, says: Announcements, of: Told
    ) -> None:
        self._devices, self._attendant, self._says, self._of = devices, attendant, says, of

    def reading(self, name: str, timeout_s: float = READ_TIMEOUT_S) -> Readback:
        """What a device reads now. Raises: DeviceError when it does not answer."""
        return self._attendant.read(name, lambda: self._devices.reading(name), timeout_s)

    def read(self, names: Sequence[str]) -> dict[str, Any]:
        """Values with their times and units. Raises: InputError, DeviceError."""
        for name in names:
            usable(self._devices, name, "a device to read")
        readings: dict[str, Any] = {}
        flags: list[str] = []
        for name in names:
            reading = self.reading(name)
            flags += reading.flags
            readings[name] = {
                key: {
                    "value": value,
                    "timestamp": reading.timestamps.get(key),
                    "unit": reading.units.get(key, ""),
                }
                for key, value in reading.values.items()
            }
        return {"readings": readings, "flags": flags}

    def read_configuration(
        self, names: Sequence[str], timeout_s: float = READ_TIMEOUT_S
    ) -> dict[str, Any]:
        """Readings of what is read once a run, and their descriptions. Raises: as `read`."""
        for name in names:
            usable(self._devices, name, "a device to read")
        found = {
            name: self._attendant.read(name, self._devices[name].configuration, timeout_s)
            for name in names
        }
        return {
            "readings": {name: reading for name, (reading, _) in found.items()},
            "descriptions": {name: described for name, (_, described) in found.items()},
        }

    def with_readbacks(self, reply: Reply) -> Reply:
        """The reply to a move, with where the axes are. Raises: DeviceError."""
        if reply.result is None:
            return reply
        readbacks = {}
        for name in reply.result["names"]:
            reading = self.reading(name)
            key = name if name in reading.values else next(iter(reading.values))
            readbacks[name] = {"value": reading.values[key], "unit": self._devices[name].unit}
        result = {"readbacks": readbacks, "duration_s": reply.result["duration_s"]}
        return reply.model_copy(update={"result": result})

    def set(self, request: DeviceSetRequest) -> dict[str, Any]:
        """Enable or disable a device, or connect it again. Raises: InputError, BusyError ..."""
        name, enabled = request.device, request.enabled
        if name not in self._devices.names():
            usable(self._devices, name, "a device")
        if enabled is not None and enabled != self._devices[name].entry.enabled:
            self._of.configuration.answer(
                ConfigRequest(
                    request_id=request.request_id,
                    user=request.user,
                    deadline=request.deadline,
                    action="update",
                    devices={name: {"enabled": enabled}},
                )
            )
        elif enabled is not None:
            self._connect_again(name, enabled, f"request {request.request_id[:8]}")
        return self._says.info(name).model_dump()

    def _connect_again(self, name: str, enabled: bool, holder: str) -> None:
        leases = self._of.runner.leases
        leases.take([name], holder, alone=True)
        try:
            if enabled:
                self._devices.enable(name)
            else:
                self._devices.disable(name)
        finally:
            leases.release(holder)
        self._says.configuration_changed()
