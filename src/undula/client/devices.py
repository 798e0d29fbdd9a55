"""Devices as a client sees them: proxies that read and move through the engine.

`client.devices.samx`, `client.devices["samx"]`. A proxy may stand in any plan's arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from undula.bus.endpoints import (
    DEVICE_CHANGES,
    DEVICE_PREVIEW,
    DEVICE_PROGRESS,
    DEVICE_TABLE,
    DEVICE_VALUES,
    ENGINE_DEVICES,
    FILE_EVENTS,
)
from undula.core.errors import InputError
from undula.messages import (
    DeviceChanges,
    DeviceInfo,
    DevicePreview,
    DeviceProgress,
    DeviceValues,
    FileEvent,
)

if TYPE_CHECKING:
    from undula.bus.ports import Subscription
    from undula.client.client import Client

Reading = dict[str, dict[str, Any]]


class NoSuchDeviceError(InputError, AttributeError):
    """A name that no device has; for Python an `AttributeError`, too."""


class DeviceProxy:
    """One device of the beamline, by its name; values are fetched when asked for."""

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self._name = name

    def __setattr__(self, name: str, value: Any) -> None:
        """Only what there is: a mistyped `samx.velocty = 3` would set nothing, unnoticed."""
        if not name.startswith("_") and not hasattr(type(self), name):
            known = [n for n, v in vars(type(self)).items() if isinstance(v, property) and v.fset]
            near = get_close_matches(name, known, n=1)
            raise NoSuchDeviceError(
                f"{self._name} has no {name!r} to set",
                remedy=f"did you mean {near[0]}?" if near else f"it has {', '.join(known)}",
            )
        super().__setattr__(name, value)

    @property
    def device_name(self) -> str:
        """Name in the device file."""
        return self._name

    @property
    def device_path(self) -> str:
        """The expression that reaches it, e.g. `M.samx`; its name when it is no device any more."""
        try:
            return self.info.path
        except InputError:
            return self._name

    @property
    def name(self) -> str:
        """Name in the device file."""
        return self._name

    @property
    def info(self) -> DeviceInfo:
        """What the engine says of this device now."""
        return self._client.devices.info(self._name)

    @property
    def limits(self) -> tuple[float, float] | None:
        """Low and high limit in the device's unit; None when it has none. May be set."""
        return self.info.limits

    @limits.setter
    def limits(self, limits: tuple[float, float]) -> None:
        self.set_limits(*limits)

    @property
    def unit(self) -> str:
        """Engineering unit."""
        return self.info.unit

    def read(self) -> Reading:
        """Read now: data key to `{"value", "timestamp" (UTC epoch s), "unit"}`."""
        return self._client.read(self._name)[self._name]

    def describe(self) -> dict[str, dict[str, Any]]:
        """Data key to its description, as Bluesky has it: source, dtype, shape, units ..."""
        return dict(self.info.data_keys)

    @property
    def value(self) -> Any:
        """The device's main value now, in its unit."""
        return main_value(self._name, self.read())

    @property
    def position(self) -> Any:
        """Where the device is now (its readback), in its unit."""
        return self.value

    def move(self, target: float | int | str) -> Any:
        """Move there and wait; returns the readback. Raises: LimitError, BusyError, DeviceError."""
        return self._client.mv(self, target)[self._name]["value"]

    set = move

    def move_by(self, distance: float) -> Any:
        """Move so far from where it is, and wait; returns the readback."""
        return self._client.mvr(self, distance)[self._name]["value"]

    @property
    def parameters(self) -> dict[str, dict[str, Any]]:
        """A motor's velocity, offset, dial, limits ...: name to `{"value", "unit", "about"}`."""
        return self._client.motors.parameters(self._name)

    @property
    def velocity(self) -> float:
        """Speed, unit per second; may be set."""
        return float(self._parameter("velocity"))

    @velocity.setter
    def velocity(self, velocity: float) -> None:
        self._client.motors.set(self._name, "velocity", velocity)

    @property
    def acceleration(self) -> float:
        """Unit per second squared; may be set."""
        return float(self._parameter("acceleration"))

    @acceleration.setter
    def acceleration(self, acceleration: float) -> None:
        self._client.motors.set(self._name, "acceleration", acceleration)

    @property
    def offset(self) -> float:
        """User position = sign * dial + offset; may be set."""
        return float(self._parameter("offset"))

    @offset.setter
    def offset(self, offset: float) -> None:
        self._client.motors.set(self._name, "offset", offset)

    @property
    def dial(self) -> float:
        """Position of the controller, in the device's unit."""
        return float(self._parameter("dial"))

    def _parameter(self, name: str) -> Any:
        found = self.parameters
        if name not in found:
            raise NoSuchDeviceError(
                f"{self._name} has no {name}", remedy=f"it has {', '.join(found)}"
            )
        return found[name]["value"]

    def set_position(self, position: float) -> None:
        """Call the present place `position`, without moving."""
        self._client.motors.set_position(self._name, position)

    def set_limits(self, low: float, high: float) -> None:
        """Soft limits, in the device's unit."""
        self._client.motors.set_limits(self._name, low, high)

    def enable(self) -> None:
        """Enable (and connect) the device."""
        self._client.enable(self._name, True)

    def disable(self) -> None:
        """Disable the device: listed, never touched."""
        self._client.enable(self._name, False)

    def __str__(self) -> str:
        return self._name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DeviceProxy) and other._name == self._name

    def __hash__(self) -> int:
        return hash(self._name)

    def __repr__(self) -> str:
        try:
            info = self.info
        except InputError:
            return f"<{self._name}: no longer a device>"
        return f"<{describe(info)}>"


def describe(info: DeviceInfo) -> str:
    """One line about a device.

    >>> describe(DeviceInfo(name="samx", path="M.samx", device_class="SimPositioner",
    ...     kind="positioner", readout_priority="baseline", enabled=True, connected=True,
    ...     unit="mm", limits=(-5, 5)))
    'M.samx positioner, SimPositioner, -5..5 mm'
    """
    text = f"{info.path} {info.kind}, {info.device_class}"
    if info.limits is not None:
        text += f", {info.limits[0]:g}..{info.limits[1]:g} {info.unit}".rstrip()
    elif info.unit:
        text += f", {info.unit}"
    if not info.enabled:
        text += ", disabled"
    elif not info.connected:
        text += f", NOT CONNECTED: {info.problem}"
    if info.leased_by:
        text += f", used by {info.leased_by}"
    return text


def main_value(name: str, reading: Mapping[str, Mapping[str, Any]]) -> Any:
    """The value under the device's own name, else the first one."""
    entry = reading.get(name) or next(iter(reading.values()), None)
    return None if entry is None else entry["value"]


class Devices(Mapping[str, DeviceProxy]):
    """All devices of the beamline by name, and by attribute."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def table(self) -> list[DeviceInfo]:
        """All devices, in the order of the device file."""
        table = self._client.link.connector.get(DEVICE_TABLE)
        if table is not None:
            return table.devices
        result = self._client.link.ask(ENGINE_DEVICES)
        return [DeviceInfo.model_validate(entry) for entry in result["devices"]]

    def heard(self) -> DeviceValues | None:
        """What was last heard of all devices, at most a second old; None before the first."""
        return self._client.link.connector.get(DEVICE_VALUES)

    def info(self, name: str) -> DeviceInfo:
        """One device, by name or by path. Raises: InputError, with the names that come near."""
        table = self.table()
        for info in table:
            if name in (info.name, info.path):
                return info
        near = get_close_matches(name, [info.name for info in table], n=3)
        raise InputError(
            f"there is no device {name!r}",
            remedy=f"did you mean {', '.join(near)}?" if near else "see undula devices",
        )

    def preview(self, name: str) -> DevicePreview | None:
        """The newest image or curve that a device showed; None before the first."""
        return self._client.link.connector.get(DEVICE_PREVIEW, name=self.info(name).name)

    def progress(self, name: str) -> DeviceProgress | None:
        """How far a device is with what it does by itself; None before the first word."""
        return self._client.link.connector.get(DEVICE_PROGRESS, name=self.info(name).name)

    def follow_preview(self, name: str, callback: Callable[[DevicePreview], None]) -> Subscription:
        """Call `callback`, on another thread, with each preview; `close()` ends it."""
        connector, device = self._client.link.connector, self.info(name).name
        return connector.subscribe(DEVICE_PREVIEW, callback, name=device)

    def follow_progress(
        self, name: str, callback: Callable[[DeviceProgress], None]
    ) -> Subscription:
        """Call `callback`, on another thread, with each word of progress."""
        connector, device = self._client.link.connector, self.info(name).name
        return connector.subscribe(DEVICE_PROGRESS, callback, name=device)

    def files(self) -> list[FileEvent]:
        """Files that devices opened and closed lately, at most 1000, the oldest first."""
        return [event for _, event in self._client.link.connector.read(FILE_EVENTS)]

    def follow(self, callback: Callable[[DeviceChanges], None]) -> Subscription:
        """Call `callback`, on another thread, with values that change; `close()` ends it."""
        return self._client.link.connector.subscribe(DEVICE_CHANGES, callback)

    def __getitem__(self, name: str) -> DeviceProxy:
        return DeviceProxy(self._client, self.info(str(name)).name)

    def __getattr__(self, name: str) -> DeviceProxy:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except InputError as exc:
            raise NoSuchDeviceError(exc.what, remedy=exc.remedy) from exc

    def __contains__(self, name: object) -> bool:
        return any(name in (info.name, info.path) for info in self.table())

    def __iter__(self) -> Iterator[str]:
        return iter([info.name for info in self.table()])

    def __len__(self) -> int:
        return len(self.table())

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self]

    def __repr__(self) -> str:
        return "\n".join(describe(info) for info in self.table()) or "no devices"
