"""Live values of all devices on the bus: on change, at most ten times a second, in one message.

In: subscriptions of the devices' libraries, and a look at simulated axes. Out: `DeviceChanges`. The
callbacks only put a value aside; one thread sends what gathered, so that a scan is not disturbed.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

from undula.core.clock import now
from undula.core.log import get_logger
from undula.devices.registry import LoadedDevice, Registry
from undula.messages import DeviceChanges

EVERY_S = 0.1
"""The rate bound: of all changes within this time the last is sent."""
Change = tuple[Any, float]


class LiveValues:
    """Gathers changes of all devices and gives them to `send`, which may be slow."""

    def __init__(self, devices: Registry, send: Callable[[DeviceChanges], None]) -> None:
        self._devices = devices
        self._send = send
        self._lock = threading.Lock()
        self._changed: dict[str, Change] = {}
        self._followed: dict[str, Any] = {}
        self._looked_at: dict[str, tuple[LoadedDevice, Any]] = {}
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
        names = set(self._devices.names())
        self._followed = {n: obj for n, obj in self._followed.items() if n in names}
        for name in self._devices.names():
            device = self._devices[name]
            if not device.connected or self._followed.get(name) is device.obj:
                continue
            self._followed[name] = device.obj
            try:
                self._follow_one(device)
            except Exception:  # a driver may raise anything; the others are followed
                get_logger().exception("device_not_followed", device=name)

    def _follow_one(self, device: LoadedDevice) -> None:
        name, obj = device.name, device.obj

        def told(*args: Any, value: Any = None, timestamp: float | None = None, **_: Any) -> None:
            if self._followed.get(name) is not obj:
                return
            if args and isinstance(args[0], dict):  # a reading, as in ophyd-async
                first = next(iter(args[0].values()), None)
                if not isinstance(first, dict):
                    return
                value, timestamp = first.get("value"), first.get("timestamp")
            with self._lock:
                self._changed[name] = (value, timestamp or time.time())

        signal = getattr(obj, "user_readback", obj)
        if hasattr(signal, "subscribe_reading"):
            if device.loop is not None:
                asyncio.run_coroutine_threadsafe(_subscribe(signal, told), device.loop).result(5.0)
        elif hasattr(obj, "subscribe") and getattr(obj, "_default_sub", "") is not None:
            obj.subscribe(told)
        elif device.movable and hasattr(obj, "position"):
            self._looked_at[name] = (device, None)

    def _work(self) -> None:
        while not self._closing.wait(EVERY_S):
            try:
                self._look()
                with self._lock:
                    changed, self._changed = self._changed, {}
                if changed:
                    self._send(_message(changed))
            except Exception:  # this thread must go on; the next change may be fine
                get_logger().exception("live_values_failed")

    def _look(self) -> None:
        for name, (device, before) in list(self._looked_at.items()):
            if self._followed.get(name) is not device.obj or name not in self._devices:
                del self._looked_at[name]
                continue
            place = device.position()
            if place != before:
                self._looked_at[name] = (device, place)
                with self._lock:
                    self._changed[name] = (place, time.time())


async def _subscribe(signal: Any, told: Callable[..., None]) -> None:
    signal.subscribe_reading(told)


def _message(changed: dict[str, Change]) -> DeviceChanges:
    return DeviceChanges(
        values={name: value for name, (value, _) in changed.items()},
        timestamps={name: stamp for name, (_, stamp) in changed.items()},
        time=now(),
    )
