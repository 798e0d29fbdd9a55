"""Live values of all devices on the bus: on change, at most ten times a second, in one message.

In: what the devices' libraries tell (`devices.following`), and a look at simulated axes. Out:
`DeviceChanges`, and once a second while they change `DeviceValues`, all that was last heard. What
is told is only put aside; one thread sends what gathered, so that a scan is not disturbed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from undula.core.clock import now
from undula.core.log import get_logger
from undula.devices.following import follow
from undula.devices.readings import severity_word
from undula.devices.registry import LoadedDevice, Registry
from undula.messages import DeviceChanges, DeviceValues, Severity

EVERY_S = 0.1
"""The rate bound: of all changes within this time the last is sent."""
ALL_EVERY_S = 1.0
"""How often all values are kept, while they change."""
Limits = tuple[float, float] | None


@dataclass
class Heard:
    """What was heard of one device, and what of it was not sent yet. Use under the lock."""

    device: LoadedDevice
    lock: threading.Lock
    value: Any = None
    timestamp: float = 0.0
    severity: Severity | None = None
    low: float | None = None
    high: float | None = None
    moving: bool | None = None
    unsent: set[str] = field(default_factory=set)
    looked_at: bool = False
    read_at_times: bool = False
    failing: bool = False

    def heard_value(self, value: Any, timestamp: float, severity: Severity | None) -> None:
        """See `Listener`."""
        with self.lock:
            self.value, self.timestamp, self.severity = value, timestamp, severity
            self.unsent.add("value")

    def heard_limit(self, high: bool, value: float) -> None:
        """See `Listener`; the first time is no change."""
        with self.lock:
            before = self.high if high else self.low
            if high:
                self.high = value
            else:
                self.low = value
            if before is not None and before != value:
                self.unsent.add("limits")

    def heard_motion(self, moving: bool) -> None:
        """See `Listener`; that it stands at first is no change."""
        with self.lock:
            if moving != bool(self.moving):
                self.unsent.add("moving")
            self.moving = moving

    @property
    def limits(self) -> Limits:
        """Low, high; None without."""
        if self.low is None or self.high is None or not self.low < self.high:
            return None
        return (self.low, self.high)

    def look_at_value(self) -> None:
        """Hear of a device that is read without waiting, by its own word."""
        reading = self.device.read()
        about = reading.get(self.device.name) or next(iter(reading.values()), None)
        if about is not None and _short(about["value"]) and about["value"] != self.value:
            severity = severity_word(about.get("alarm_severity"))
            self.heard_value(about["value"], about["timestamp"], severity)

    def look(self) -> None:
        """Hear of an axis that tells nothing by itself."""
        place, obj = self.device.position(), self.device.obj
        if place != self.value or not self.timestamp:
            self.heard_value(place, time.time(), None)
        own = getattr(obj, "limits", None)
        if isinstance(own, tuple) and len(own) == 2 and None not in own:
            self.heard_limit(False, float(own[0]))
            self.heard_limit(True, float(own[1]))
        moving = getattr(obj, "moving", None)
        if isinstance(moving, bool):
            self.heard_motion(moving)


class LiveValues:
    """Gathers what is heard of all devices and gives it away, on one thread, which may be slow.

    Args:
        send: gets what changed.
        keep: gets all that was last heard.
        limits_changed: called when soft limits of some axis changed.
    """

    def __init__(
        self,
        devices: Registry,
        send: Callable[[DeviceChanges], None],
        keep: Callable[[DeviceValues], None],
        limits_changed: Callable[[], None],
    ) -> None:
        self._devices = devices
        self._send, self._keep, self._limits_changed = send, keep, limits_changed
        self._lock = threading.Lock()
        self._heard: dict[str, Heard] = {}
        self._kept_at = self._read_at = 0.0
        self._unkept = True
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="live values", daemon=True)
        self.follow()
        devices.on_change(lambda _: self.follow())
        self._thread.start()

    def close(self) -> None:
        """Send nothing more."""
        self._closing.set()
        self._thread.join(2.0)

    def follow(self) -> None:
        """Follow the devices that there are now, and no others."""
        names = self._devices.names()
        with self._lock:
            self._heard = {n: heard for n, heard in self._heard.items() if n in names}
            self._unkept = True
        for name in names:
            device = self._devices[name]
            before = self._heard.get(name)
            if not device.connected or (before is not None and before.device.obj is device.obj):
                continue
            heard = Heard(device, self._lock)
            with self._lock:
                self._heard[name] = heard
            try:
                heard.looked_at = not follow(device, heard)
                quick = device.instant and not device.movable
                alone = not hasattr(device.obj, "subscribe") and not hasattr(device.obj, "offer")
                heard.read_at_times = quick and alone  # a computed one belongs to the scan's points
            except Exception:  # a driver may raise anything; the others are followed
                get_logger().exception("device_not_followed", device=name)
                with self._lock:
                    self._heard.pop(name, None)  # tried again at the next change

    def _work(self) -> None:
        while not self._closing.wait(EVERY_S):
            try:
                self._tell()
            except Exception:  # this thread must go on; the next change may be fine
                get_logger().exception("live_values_failed")

    def _tell(self) -> None:
        for heard in list(self._heard.values()):
            if heard.looked_at and heard.device.connected:
                self._look(heard, heard.look)
        if time.monotonic() - self._read_at > ALL_EVERY_S:
            self._read_at = time.monotonic()
            for heard in list(self._heard.values()):
                if heard.read_at_times and heard.device.connected:
                    self._look(heard, heard.look_at_value)
        with self._lock:
            changes = self._changes()
        if changes is not None:
            self._send(changes)
            self._unkept = True
            if changes.limits:
                self._limits_changed()
        if self._unkept and time.monotonic() - self._kept_at > ALL_EVERY_S:
            self._unkept, self._kept_at = False, time.monotonic()
            with self._lock:
                values = self._all()
            self._keep(values)

    def _look(self, heard: Heard, look: Callable[[], None]) -> None:
        """One that fails is told once, and keeps nobody else from being heard."""
        try:
            look()
        except Exception as exc:  # a driver may raise anything
            if not heard.failing:
                get_logger().warning("not_heard", device=heard.device.name, error=str(exc))
            heard.failing = True
        else:
            heard.failing = False

    def _changes(self) -> DeviceChanges | None:
        new = {name: heard for name, heard in self._heard.items() if heard.unsent}
        if not new:
            return None
        told = {name: heard for name, heard in new.items() if "value" in heard.unsent}
        changes = DeviceChanges(
            values={name: heard.value for name, heard in told.items()},
            timestamps={name: heard.timestamp for name, heard in told.items()},
            time=now(),
            severities={n: heard.severity for n, heard in told.items() if heard.severity},
            limits={n: heard.limits for n, heard in new.items() if "limits" in heard.unsent},
            moving={n: bool(heard.moving) for n, heard in new.items() if "moving" in heard.unsent},
        )
        for heard in new.values():
            heard.unsent.clear()
        return changes

    def _all(self) -> DeviceValues:
        known = {n: h for n, h in self._heard.items() if h.timestamp and _short(h.value)}
        return DeviceValues(
            values={name: heard.value for name, heard in known.items()},
            timestamps={name: heard.timestamp for name, heard in known.items()},
            severities={n: heard.severity for n, heard in known.items() if heard.severity},
            moving=[name for name, heard in self._heard.items() if heard.moving],
            time=now(),
        )


def _short(value: Any) -> bool:
    """Worth being kept in a list of all: no images."""
    return not getattr(value, "shape", ()) and not isinstance(value, list | tuple | dict)
