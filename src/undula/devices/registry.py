"""The devices of the running beamline: built from a device file, connected side by side.

In: a checked `DeviceFile`. Out: `LoadedDevice`s. A device that does not answer in time is disabled
and shown with its problem; the others work.
"""

from __future__ import annotations

import asyncio
import difflib
import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from undula.core.clock import now
from undula.core.errors import InputError, UndulaError
from undula.core.log import get_logger
from undula.devices.classes import constructor_keys, find_class
from undula.devices.description import DeviceEntry, DeviceFile
from undula.devices.loaded import LoadedDevice
from undula.devices.readings import flags
from undula.messages import Readback

__all__ = ["LoadedDevice", "Registry"]

SET_TIMEOUT_S = 2.0


class Registry:
    """Devices by name, in the order of the device file."""

    def __init__(self, file: DeviceFile) -> None:
        self.file = file
        self._loop: asyncio.AbstractEventLoop | None = None
        self._devices = {entry.name: LoadedDevice(entry) for entry in file.entries}

    def names(self) -> list[str]:
        """All names."""
        return list(self._devices)

    def __contains__(self, name: object) -> bool:
        return name in self._devices

    def __getitem__(self, name: str) -> LoadedDevice:
        try:
            return self._devices[name]
        except KeyError:
            near = self.suggest(name)
            raise InputError(
                f"there is no device {name!r}",
                remedy=f"did you mean {near}?" if near else "see undula devices",
            ) from None

    def suggest(self, name: str) -> str | None:
        """The name that was probably meant."""
        near = difflib.get_close_matches(name, self._devices, 1)
        return near[0] if near else None

    def by_priority(self, priority: str) -> list[str]:
        """Names of the devices with that readout priority."""
        return [n for n, d in self._devices.items() if d.entry.readout_priority == priority]

    def connect(
        self,
        on_progress: Callable[[LoadedDevice], None] | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Build and connect all enabled devices, each within its own deadline.

        Args:
            on_progress: called for each device when it is done, from several threads.
            loop: a running loop, on which asynchronous devices connect.
        """
        self._loop = loop
        wanted = [d for d in self._devices.values() if d.enabled]
        for device in wanted:
            self._build(device)
        with ThreadPoolExecutor(max(1, min(64, len(wanted))), "connect") as pool:
            for device in wanted:
                if device.obj is not None:
                    pool.submit(self._connect_one, device, on_progress)

    def enable(self, name: str) -> None:
        """Build and connect one device. Raises: the reason why it does not answer, InputError."""
        device = self[name]
        device.enabled = True
        self._build(device)
        if device.obj is not None:
            self._connect_one(device, None)
        if device.problem:
            raise InputError(
                f"it does not answer: {device.problem}",
                remedy="switch it on, check its prefix and the network",
                device=name,
            )

    def disable(self, name: str) -> None:
        """Leave one device alone from now on."""
        device = self[name]
        device.enabled = device.connected = False
        device.obj, device.problem = None, "disabled by request"

    def reading(self, name: str) -> Readback:
        """A live reading, with flags for what is odd about it. Raises: DeviceError."""
        device = self[name]
        reading = device.read()
        values = {key: r["value"] for key, r in reading.items()}
        stamps = {key: float(r["timestamp"]) for key, r in reading.items()}
        host = now()
        return Readback(
            name=name,
            values=values,
            timestamps=stamps,
            units=_units(device),
            time=host,
            flags=flags(values, stamps, host),
            moving=_moving(device.obj) if device.movable else None,
        )

    # ---- building ------------------------------------------------------------------------------

    def _build(self, device: LoadedDevice) -> None:
        device.loop, device.problem = self._loop, ""
        try:
            device.obj = build(device.entry)
        except Exception as exc:  # a constructor may raise anything; the other devices must load
            self._failed(device, f"{type(exc).__name__}: {exc}")

    def _connect_one(
        self, device: LoadedDevice, on_progress: Callable[[LoadedDevice], None] | None
    ) -> None:
        try:
            connect_object(device.obj, device.entry.connection_timeout_s, self._loop)
            apply_config(device)
            device.connected = True
            device.describe()
            device.count_signal()
        except Exception as exc:  # a driver may raise anything; the other devices must load
            text = str(exc) if isinstance(exc, UndulaError) else f"{type(exc).__name__}: {exc}"
            self._failed(device, " ".join(text.split())[:300])
        if on_progress is not None:
            on_progress(device)

    def _failed(self, device: LoadedDevice, problem: str) -> None:
        device.problem, device.connected, device.enabled = problem, False, False
        get_logger().warning("device_disabled", device=device.name, problem=problem)


def build(entry: DeviceEntry) -> Any:
    """The object of a device, not connected. Raises: whatever its class raises."""
    cls = find_class(entry.device_class)
    known = constructor_keys(cls)
    arguments = {k: v for k, v in entry.device_config.items() if k in known}
    return cls(name=entry.name, **arguments)


def connect_object(obj: Any, timeout_s: float, loop: asyncio.AbstractEventLoop | None) -> None:
    """Wait until it answers. Raises: TimeoutError, or what its library raises."""
    connect = getattr(obj, "connect", None)
    if connect is not None and inspect.iscoroutinefunction(connect):
        if loop is None:
            raise RuntimeError("asynchronous devices need a running loop")
        future = asyncio.run_coroutine_threadsafe(connect(timeout=timeout_s), loop)
        future.result(timeout_s + 2.0)
        return
    wait = getattr(obj, "wait_for_connection", None)
    if wait is None:
        return
    parameters = inspect.signature(wait).parameters
    _ = (
        wait(all_signals=True, timeout=timeout_s)
        if "all_signals" in parameters
        else wait(timeout=timeout_s)
    )


def apply_config(device: LoadedDevice) -> None:
    """Keys of `deviceConfig` that the constructor does not take: limits, signals, attributes."""
    obj, known = device.obj, constructor_keys(type(device.obj))
    for key, value in device.entry.device_config.items():
        if key in known:
            continue
        if key == "limits":
            low: Any = getattr(obj, "low_limit_travel", None)
            high: Any = getattr(obj, "high_limit_travel", None)
            if hasattr(low, "put") and hasattr(high, "put") and value[0] < value[1]:
                low.put(value[0], wait=True, timeout=SET_TIMEOUT_S)
                high.put(value[1], wait=True, timeout=SET_TIMEOUT_S)
            continue
        target = getattr(obj, key)
        if hasattr(target, "set"):
            device.call(target.set(value)).wait(SET_TIMEOUT_S)
        elif callable(target):
            target(value)
        else:
            setattr(obj, key, value)


def _units(device: LoadedDevice) -> dict[str, str]:
    """Data key to unit; the device's own unit where its main key does not say."""
    units = {key: str(about.get("units") or "") for key, about in device.describe().items()}
    if not units.get(device.name, "-"):
        units[device.name] = device.unit
    return units


def _moving(obj: Any) -> bool | None:
    moving = getattr(obj, "moving", None)
    return moving if isinstance(moving, bool) else None
