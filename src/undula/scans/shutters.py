"""The shutters of a scan, from outside its plan: closed while it is paused and at its end.

In: devices with the role of a shutter. Out: they are closed, or open again. Called by the thread
that runs the scans, while the RunEngine does nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from undula.core.log import get_logger
from undula.devices.registry import LoadedDevice, Registry
from undula.plans.beam import SHUTTER_TIMEOUT_S, Shutter
from undula.scans.stoppable import Closing


def shutter_of(device: LoadedDevice) -> Shutter | None:
    """Its role; None without one."""
    role = device.entry.shutter
    return None if role is None else Shutter(device.obj, role.open, role.close)


class Shutters:
    """The shutters of the running scan."""

    def __init__(self, devices: Registry) -> None:
        self._devices = devices
        self._names: tuple[str, ...] = ()
        self._reopen = False

    def begin(self, names: Iterable[str], reopen: bool) -> None:
        """A scan with these begins; `reopen`: they are open between its points."""
        self._names, self._reopen = tuple(names), reopen

    def close(self) -> None:
        """Close them; one that cannot be closed is logged, the others are closed."""
        for name in self._names:
            try:
                Closing(self._devices[name]).stop()
            except Exception:  # a driver may raise anything; the others must be closed too
                get_logger().exception("shutter_not_closed", device=name)

    def open_again(self) -> None:
        """Open them after a pause. Raises: DeviceError when one does not open."""
        if not self._reopen:
            return
        for name in self._names:
            device = self._devices[name]
            role = device.entry.shutter
            if role is not None:
                device.put(role.open, SHUTTER_TIMEOUT_S)

    def end(self) -> None:
        """The scan is over."""
        self.close()
        self._names = ()
