"""Following a device without asking it: value, alarm, limits and motion, as its library tells them.

In: a device of ophyd, ophyd-async or any that has `subscribe`. Out: calls of a `Listener`, from the
library's threads; they must return at once. What tells nothing by itself has to be looked at:
`follow` says so.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol

from undula.devices.loaded import LoadedDevice
from undula.devices.readings import severity_word
from undula.messages import Severity

SUBSCRIBED_S = 5.0


class Listener(Protocol):
    """Hears of one device. Quick: it is called on the threads of the device's library."""

    def heard_value(self, value: Any, timestamp: float, severity: Severity | None) -> None:
        """Its value, device time (UTC epoch s), and alarm."""
        ...

    def heard_limit(self, high: bool, value: float) -> None:
        """One of its soft limits."""
        ...

    def heard_motion(self, moving: bool) -> None:
        """It began or ended a motion."""
        ...


def follow(device: LoadedDevice, listener: Listener) -> bool:
    """Subscribe to all that it tells by itself; False when its place must be looked at."""
    obj = device.obj
    for attribute, high in (("low_limit_travel", False), ("high_limit_travel", True)):
        _subscribe(device, getattr(obj, attribute, None), _limit(listener, high))
    _subscribe(device, getattr(obj, "motor_done_move", None), _motion(listener))
    told = _value(listener)
    if _subscribe(device, getattr(obj, "user_readback", None), told):
        return True
    if _subscribe(device, obj, told):
        return True
    return not (device.movable and hasattr(obj, "position"))


def _subscribe(device: LoadedDevice, signal: Any, told: Callable[..., None]) -> bool:
    if hasattr(signal, "subscribe_reading"):
        if device.loop is None:
            return False

        async def subscribe() -> None:
            signal.subscribe_reading(told)

        asyncio.run_coroutine_threadsafe(subscribe(), device.loop).result(SUBSCRIBED_S)
        return True
    if not hasattr(signal, "subscribe") or getattr(signal, "_default_sub", "") is None:
        return False
    signal.subscribe(told)
    return True


def _taken(args: tuple[Any, ...], told: dict[str, Any]) -> dict[str, Any] | None:
    """What was told as one dict; a reading as in ophyd-async, or ophyd's keywords."""
    if not args or not isinstance(args[0], dict):
        return told
    first = next(iter(args[0].values()), None)
    if not isinstance(first, dict):
        return None
    return {**first, "severity": first.get("alarm_severity")}


def _value(listener: Listener) -> Callable[..., None]:
    def told(*args: Any, **keywords: Any) -> None:
        found = _taken(args, keywords)
        if found is not None:
            stamp = found.get("timestamp") or time.time()
            listener.heard_value(found.get("value"), stamp, severity_word(found.get("severity")))

    return told


def _limit(listener: Listener, high: bool) -> Callable[..., None]:
    def told(*args: Any, **keywords: Any) -> None:
        found = _taken(args, keywords)
        if found is not None and isinstance(found.get("value"), int | float):
            listener.heard_limit(high, float(found["value"]))

    return told


def _motion(listener: Listener) -> Callable[..., None]:
    def told(*args: Any, **keywords: Any) -> None:
        found = _taken(args, keywords)
        if found is not None and isinstance(found.get("value"), int | float):
            listener.heard_motion(not found["value"])

    return told
