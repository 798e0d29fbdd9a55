"""Motors at work: parameters shown and changed, positions redefined, settings kept and restored.

In: `MotorRequest`s, on a thread of their own. Out: parameters. A device that somebody uses is not
changed: its run and owner are named.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any, TypeVar

from undula.core.errors import InputError, UndulaError
from undula.core.log import get_logger
from undula.devices.loaded import LoadedDevice
from undula.devices.motor import PARAMETERS, MotorView, is_motor
from undula.devices.registry import Registry
from undula.devices.settings import Settings
from undula.messages import MotorRequest
from undula.scans.attendant import READ_TIMEOUT_S, Attendant
from undula.scans.leases import Leases
from undula.scans.limits import usable
from undula.scans.velocities import Velocities

T = TypeVar("T")
HOME_TIMEOUT_S = 600.0
CHANGE_TIMEOUT_S = 15.0
"""More than the writes of one change take to give up by themselves."""
ALL_TIMEOUT_S = 3.0
"""For each motor when all are shown."""
SHOWN_CHANGES = 200
SETTABLE = (*PARAMETERS, "limits", "position", "acceleration", "dial")
ORDER = (
    "sign",
    "offset",
    *[n for n in SETTABLE if n not in ("sign", "offset", "limits")],
    "limits",
)
"""In which settings are restored: a changed offset moves the limits."""


class Motors:
    """Answers requests about motors."""

    def __init__(
        self,
        devices: Registry,
        leases: Leases,
        settings: Settings,
        changed: Callable[[], None],
        *,
        attendant: Attendant,
        velocities: Velocities,
    ) -> None:
        self._velocities = velocities
        self._attendant = attendant
        self._devices = devices
        self._leases = leases
        self._settings = settings
        self._changed = changed
        devices.on_change(lambda change: self.restore({*change.added, *change.rebuilt}))
        self.restore(set(devices.names()))

    def restore(self, names: set[str]) -> None:
        """Set again what devices forget when they are built anew."""
        for name, values in self._settings.holding().items():
            if name not in names or name not in self._devices or not self._devices[name].connected:
                continue
            for parameter in sorted(values, key=ORDER.index):
                try:
                    self._apply(name, parameter, values[parameter])
                except UndulaError as error:
                    get_logger().warning(
                        "setting_not_restored", device=name, setting=parameter, error=str(error)
                    )

        for name, velocity in self._velocities.left().items():
            if name in names and name in self._devices and self._devices[name].connected:
                self._put_back(name, velocity)

    def _put_back(self, name: str, velocity: float) -> None:
        """The velocity that a move had changed when the engine died or the device was lost."""
        try:
            self._apply(name, "velocity", velocity)
        except UndulaError as error:
            get_logger().error("velocity_not_put_back", device=name, error=str(error))
            return
        self._velocities.drop(name)
        get_logger().info("velocity_put_back", device=name, velocity=velocity)

    def _apply(self, name: str, parameter: str, value: Any) -> tuple[Any, bool]:
        def change(view: MotorView) -> tuple[Any, bool]:
            if parameter == "limits":
                return view.set_limits(float(value[0]), float(value[1]))
            return view.set(parameter, float(value))

        return self._ask(name, change, CHANGE_TIMEOUT_S)

    def _ask(
        self, name: str, what: Callable[[MotorView], T], timeout_s: float = READ_TIMEOUT_S
    ) -> T:
        """Ask a motor. Raises: also DeviceError when it does not answer in time."""
        device = self._devices[name]
        return self._attendant.read(name, lambda: what(MotorView(device)), timeout_s)

    def answer(self, request: MotorRequest) -> dict[str, Any]:
        """Carry out a request. Raises: InputError, DeviceError, BusyError."""
        if request.action == "history":
            found = self._settings.history(request.device)[-SHOWN_CHANGES:]
            return {"changes": [asdict(s) for s in found]}
        if request.action == "all":
            return {"motors": self._all()}
        device = usable(self._devices, request.device, "a motor")
        if request.action == "show":
            return {"parameters": self._ask(device.name, MotorView.parameters)}
        if device.read_only:
            raise InputError(
                "it is read-only", remedy="ask staff to lift readOnly", device=device.name
            )
        holder = f"a change by {request.user or 'somebody'} ({request.request_id[:8]})"
        self._leases.take([device.name], holder)
        try:
            if request.action == "home":
                home = self._ask(device.name, lambda view: view.home(request.direction))
                home.wait(HOME_TIMEOUT_S)
            else:
                self._set(request)
        finally:
            self._leases.release(holder)
        self._changed()
        return {"parameters": self._ask(device.name, MotorView.parameters)}

    def _all(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name in self._devices.names():
            device = self._devices[name]
            if not device.connected:
                continue
            try:
                rows = self._attendant.read(name, partial(_rows, device), ALL_TIMEOUT_S)
            except UndulaError as error:
                get_logger().warning("motor_not_read", device=name, error=str(error))
                continue
            if rows is not None:
                found[name] = rows
        return found

    def _set(self, request: MotorRequest) -> None:
        name, values = request.parameter, request.values
        value: Any = values if name == "limits" else values[0] if values else None
        if len(values) != (2 if name == "limits" else 1):
            raise InputError(
                f"{name} takes {2 if name == 'limits' else 1} numbers, not {len(values)}",
                remedy="e.g. undula motor samx limits -5 5" if name == "limits" else "give one",
            )
        if name not in SETTABLE:
            near = difflib.get_close_matches(name, SETTABLE, 1)
            raise InputError(
                f"there is no parameter {name!r}",
                remedy=f"did you mean {near[0]}?" if near else f"use one of {', '.join(SETTABLE)}",
            )
        old, kept = self._apply(request.device, name, value)
        if name == "velocity":
            self._velocities.drop(request.device)  # chosen by a person: not put back any more
        before = list(old) if isinstance(old, tuple) else old
        again = kept and name != "position"
        self._settings.add(request.user, request.device, name, before, value, kept=again)
        if kept and name in ("position", "offset"):
            self._keep_frame(request)

    def _keep_frame(self, request: MotorRequest) -> None:
        """A changed offset is kept itself, with the limits that went along with it."""
        device, user = self._devices[request.device], request.user
        held = self._settings.holding().get(device.name, {})
        offset, limits = self._ask(device.name, lambda view: (view.get("offset"), device.limits()))
        if request.parameter == "position":
            self._settings.add(user, device.name, "offset", held.get("offset"), offset, kept=True)
        if limits is not None:
            now = list(limits)
            self._settings.add(user, device.name, "limits", held.get("limits"), now, kept=True)


def _rows(device: LoadedDevice) -> dict[str, dict[str, Any]] | None:
    """Parameters; None of what is no motor."""
    return MotorView(device).parameters() if is_motor(device) else None
