"""The devices of the running beamline: built from a device file, connected side by side.

In: a checked `DeviceFile`. Out: `LoadedDevice`s. A device that does not answer in time is disabled
and shown with its problem; the others work.
"""

from __future__ import annotations

import asyncio
import difflib
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from undula.core.clock import now
from undula.core.errors import DeviceError, InputError
from undula.core.log import get_logger
from undula.devices import links
from undula.devices.arrival import read_anew
from undula.devices.changes import Change
from undula.devices.description import DeviceFile
from undula.devices.errors import DeviceFileError, Fault
from undula.devices.loaded import LoadedDevice
from undula.devices.making import apply_config, build, connect_object, discard, needs_waiting
from undula.devices.problems import problem_text
from undula.devices.readings import flags
from undula.devices.telling import Telling, Told
from undula.messages import Readback

__all__ = ["LoadedDevice", "Registry"]

GRACE_S = 6.0
"""What a device may take beyond its connectionTimeout, for its limits and its description."""


class Registry:
    """Devices by name, in the order of the device file."""

    def __init__(self, file: DeviceFile) -> None:
        self.file = file
        self._loop: asyncio.AbstractEventLoop | None = None
        self._observers: list[Callable[[Change], None]] = []
        self._told: Callable[[Told], None] = _nobody
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
            self._build(device, self._devices)
        self._connect_all([d for d in wanted if d.obj is not None], on_progress, [])

    def enable(self, name: str) -> None:
        """Build and connect one device. Raises: DeviceError why it does not answer, InputError."""
        device = self[name]
        device.enabled = True
        self._build(device, self._devices)
        if device.obj is not None:
            self._connect_all([device], None, [])
        if device.problem:
            raise DeviceError(
                f"it does not answer: {device.problem}",
                remedy="switch it on, check its prefix and the network",
                device=name,
            )
        for callback in self._observers:
            callback(Change(rebuilt=(name,)))

    def look_for_absent(self) -> list[str]:
        """Take devices in that did not answer at first and do now; their names.

        Cheap while nothing changed: a library that keeps looking says so by `connected`; any other
        device is asked again, each time with its own deadline.
        """
        found: list[str] = []
        for device in list(self._devices.values()):
            if device.obj is None or device.connected or not device.entry.enabled or device.refused:
                continue
            if not getattr(device.obj, "connected", True):
                continue
            device.enabled = True
            self._connect_one(device, device.obj, None, [])
            if device.connected:
                device.problem = ""
                found.append(device.name)
        if found:
            for callback in self._observers:
                callback(Change(rebuilt=tuple(found)))
        return found

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
        severities = device.severities(reading)
        odd = flags(values, stamps, host)
        odd += [f"{key}: in {word} alarm" for key, word in severities.items()]
        if odd:  # of a computed device: say which of those it comes from is to blame
            odd += [f for n in getattr(device.obj, "sources", ()) for f in self.reading(n).flags]
        return Readback(
            name=name,
            values=values,
            timestamps=stamps,
            units=_units(device),
            time=host,
            flags=odd,
            severities=severities,
            moving=_moving(device.obj) if device.movable else None,
        )

    # ---- changing the whole set ------------------------------------------------------------

    def on_told(self, callback: Callable[[Told], None]) -> None:
        """Give `callback` what devices tell of their own accord; it must return at once."""
        self._told = callback

    def _tell(self, told: Told) -> None:
        self._told(told)

    def on_change(self, callback: Callable[[Change], None]) -> None:
        """Call `callback` after each change of the set of devices, on the thread that made it."""
        self._observers.append(callback)

    def replace(
        self,
        file: DeviceFile,
        change: Change,
        *,
        must_answer: Iterable[str] = (),
        keep: Callable[[], None] = lambda: None,
    ) -> None:
        """Go over to the devices of `file`, or change nothing.

        New and changed devices are built and connected beside the present ones, which work on
        until everything is ready.

        Args:
            change: what differs, as `compare` says.
            must_answer: devices without which the change is refused; any other that does not
                answer is disabled and shown.
            keep: called when all is ready, before the change holds; raising refuses it.
        Raises: DeviceFileError naming each device that cannot be built or set up; DeviceError when
            all that is wrong is that some do not answer.
        """
        fresh = {*change.added, *change.rebuilt}
        after = {
            e.name: LoadedDevice(e) if e.name in fresh else self._devices[e.name]
            for e in file.entries
        }
        built = [after[e.name] for e in file.entries if e.name in fresh]
        undo: list[Callable[[], None]] = []
        try:
            self._build_all(built, after, file, undo, frozenset(must_answer))
            keep()
        except BaseException:  # whatever it is, it goes on to the caller
            for step in reversed(undo):
                step()
            for device in built:
                discard(device.obj)
            raise
        gone = [d.obj for name, d in self._devices.items() if after.get(name) is not d]
        for entry in file.entries:
            after[entry.name].entry = entry
        self.file, self._devices = file, after
        for obj in gone:
            discard(obj)
        for callback in self._observers:
            callback(change)

    def _build_all(
        self,
        devices: Sequence[LoadedDevice],
        among: Mapping[str, LoadedDevice],
        file: DeviceFile,
        undo: list[Callable[[], None]],
        must_answer: frozenset[str],
    ) -> None:
        """Build and connect. Raises: as `replace`, naming all that is wrong."""
        faults: list[Fault] = []

        def fault(device: LoadedDevice, remedy: str) -> None:
            what = f"{device.name}: {device.problem}"
            faults.append(Fault(*file.place(device.name), what, remedy))

        wanted = [d for d in devices if d.enabled]
        for device in wanted:
            self._build(device, among)
            if device.obj is None:
                fault(device, "correct its deviceConfig")
        if not faults:
            self._connect_all(wanted, None, undo)
        silent: list[Fault] = []
        for device in wanted:
            if device.refused:
                fault(device, "correct its deviceConfig")
            elif device.obj is not None and not device.connected and device.name in must_answer:
                what = f"{device.name}: {device.problem or 'it does not answer'}"
                remedy = "check its prefix, switch it on, or accept it absent"
                silent.append(Fault(*file.place(device.name), what, remedy))
        if faults:
            raise DeviceFileError([*faults, *silent])
        if silent:
            told = DeviceFileError(silent)
            error = DeviceError(told.what, remedy=told.remedy, where=told.where)
            error.details = told.details
            raise error

    # ---- building ------------------------------------------------------------------------------

    def _build(self, device: LoadedDevice, among: Mapping[str, LoadedDevice]) -> None:
        device.loop, device.problem = self._loop, ""
        try:
            device.obj = build(device.entry)
            read_anew(device.obj)
            if hasattr(device.obj, "tell"):
                device.obj.tell = Telling(device.name, self._tell)
            if hasattr(device.obj, "bind"):
                device.obj.bind({n: d for n, d in among.items() if n != device.name})
        except Exception as exc:  # a constructor may raise anything; the other devices must load
            device.obj = None
            self._failed(device, problem_text(exc))

    def _connect_all(
        self,
        devices: Sequence[LoadedDevice],
        on_progress: Callable[[LoadedDevice], None] | None,
        undo: list[Callable[[], None]],
    ) -> None:
        """One thread for each device that has to be waited for; a driver that hangs is left."""
        begin, waiting = time.monotonic(), list[tuple[LoadedDevice, threading.Thread]]()
        derived = [d for d in devices if hasattr(d.obj, "bind")]
        for device in devices:
            if device in derived:
                continue  # when what they need has had its time
            if not needs_waiting(device.obj):
                self._connect_one(device, device.obj, on_progress, undo)
                continue
            thread = threading.Thread(
                target=self._connect_one,
                args=(device, device.obj, on_progress, undo),
                name=f"connect {device.name}",
                daemon=True,
            )
            waiting.append((device, thread))
            thread.start()
        for device, thread in waiting:
            limit_s = device.entry.connection_timeout_s + GRACE_S
            thread.join(max(0.0, begin + limit_s - time.monotonic()))
            if thread.is_alive():
                device.obj = None  # whatever the thread still does is no longer about this device
                self._failed(device, f"its driver hangs: no answer within {limit_s:g} s")
        for device in derived:
            self._connect_one(device, device.obj, on_progress, undo)

    def _connect_one(
        self,
        device: LoadedDevice,
        obj: Any,
        on_progress: Callable[[LoadedDevice], None] | None,
        undo: list[Callable[[], None]],
    ) -> None:
        try:
            connect_object(obj, device.entry.connection_timeout_s, self._loop)
            if device.obj is not obj:
                return
            device.refused = True
            apply_config(device, undo)
            device.refused = False
            device.connected = True
            device.describe()
            device.count_signal()
            device.link = links.watch(obj, self._loop)
        except Exception as exc:  # a driver may raise anything; the other devices must load
            if device.obj is not obj:
                return
            self._failed(device, problem_text(exc))
        if on_progress is not None:
            on_progress(device)

    def _failed(self, device: LoadedDevice, problem: str) -> None:
        device.problem, device.connected, device.enabled = problem, False, False
        get_logger().warning("device_disabled", device=device.name, problem=problem)


def _units(device: LoadedDevice) -> dict[str, str]:
    """Data key to unit; the device's own unit where its main key does not say."""
    units = {key: str(about.get("units") or "") for key, about in device.describe().items()}
    if not units.get(device.name, "-"):
        units[device.name] = device.unit
    return units


def _nobody(_: Told) -> None:
    """Nobody listens: no services."""


def _moving(obj: Any) -> bool | None:
    moving = getattr(obj, "moving", None)
    return moving if isinstance(moving, bool) else None
