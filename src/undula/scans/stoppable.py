"""How each device stops: by its own `stop`, by closing, by what its file declares, or not at all.

In: a device that a scan or move has touched. Out: something with `stop()`, which raises where the
device cannot be stopped, so that nobody takes it for standing.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from undula.core.errors import DeviceError
from undula.devices.epics.stop_client import stop_all
from undula.devices.registry import LoadedDevice
from undula.plans.beam import SHUTTER_TIMEOUT_S

WRITE_TIMEOUT_S = 0.4
CANNOT = "it cannot be stopped from here and may still move"


@runtime_checkable
class Stoppable(Protocol):
    """Anything that can be told to stop."""

    def stop(self) -> object:
        """Stop it; raises where that is not possible."""
        ...


class Closing:
    """A shutter as something that can be stopped: by closing it."""

    def __init__(self, device: LoadedDevice) -> None:
        self._device = device

    def stop(self) -> None:
        """Close it."""
        role = self._device.entry.shutter
        if role is not None:
            self._device.put(role.close, SHUTTER_TIMEOUT_S)


class Declared:
    """A device that stops by values written to PVs, as its entry under `stop` says."""

    def __init__(self, device: LoadedDevice) -> None:
        self._device = device

    def stop(self) -> None:
        """Write them. Raises: DeviceError naming what was not written."""
        result = stop_all(list(self._device.entry.stop.items()), WRITE_TIMEOUT_S)
        failed = [f"{pv}: {why}" for pv, why in result.items() if why]
        if failed:
            raise DeviceError(
                "; ".join(failed), remedy="use the hardware stop", device=self._device.name
            )


class Unstoppable:
    """A device that moves by itself once it was set."""

    def __init__(self, device: LoadedDevice) -> None:
        self._device = device

    def stop(self) -> None:
        """Raises: DeviceError, always."""
        raise DeviceError(
            CANNOT,
            remedy="use the hardware stop; declare stop: for it in the device file",
            device=self._device.name,
        )


def stoppable(device: LoadedDevice) -> Stoppable | None:
    """How it stops; None for what never moves by itself."""
    if device.entry.shutter is not None:
        return Closing(device)
    if device.entry.stop and not hasattr(device.obj, "stop"):
        return Declared(device)
    if isinstance(device.obj, Stoppable):
        return device.obj
    moves = device.movable and not device.read_only and not device.instant
    return Unstoppable(device) if moves and not hasattr(device.obj, "trigger") else None
