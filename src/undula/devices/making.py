"""Room: devices. The object of one device: made, connected, configured, let go of.

In: what the device file says of it. Out: an object of its class that answers. Called by: the
registry, for each device in turn. Which devices there are, and what happens to one that does not
answer, is not here.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from undula.core.log import get_logger
from undula.devices.classes import constructor_keys, find_class, takes_any
from undula.devices.description import DeviceEntry
from undula.devices.loaded import LoadedDevice

SET_TIMEOUT_S = 2.0


def discard(obj: Any) -> None:
    """Let go of a device's object: its connections close where its library can do that."""
    destroy = getattr(obj, "destroy", None)
    if not callable(destroy):
        return
    try:
        destroy()
    except Exception:  # a driver may raise anything; the device is gone either way
        get_logger().exception("device_not_destroyed", device=getattr(obj, "name", ""))


def build(entry: DeviceEntry) -> Any:
    """The object of a device, not connected. Raises: whatever its class raises."""
    cls = find_class(entry.device_class)
    known = constructor_keys(cls)
    arguments = {k: v for k, v in entry.device_config.items() if k in known or takes_any(cls)}
    return cls(name=entry.name, **arguments)


def needs_waiting(obj: Any) -> bool:
    """Whether connecting it may take time."""
    return hasattr(obj, "wait_for_connection") or hasattr(obj, "connect")


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


def apply_config(device: LoadedDevice, undo: list[Callable[[], None]]) -> None:
    """Keys of `deviceConfig` that the constructor does not take: limits, signals, attributes.

    Args:
        undo: gets the calls that put back what stood on the hardware before.
    """
    obj, known = device.obj, constructor_keys(type(device.obj))
    for key, value in device.entry.device_config.items():
        if key in known or takes_any(type(obj)):
            continue
        if key == "limits":
            low: Any = getattr(obj, "low_limit_travel", None)
            high: Any = getattr(obj, "high_limit_travel", None)
            if hasattr(low, "put") and hasattr(high, "put") and value[0] < value[1]:
                undo += [_put_back(device, low), _put_back(device, high)]
                low.put(value[0], wait=True, timeout=SET_TIMEOUT_S)
                high.put(value[1], wait=True, timeout=SET_TIMEOUT_S)
            continue
        target = getattr(obj, key)
        if hasattr(target, "set"):
            undo.append(_put_back(device, target))
            device.call(target.set(value)).wait(SET_TIMEOUT_S)
        elif callable(target):
            target(value)
        else:
            setattr(obj, key, value)


def _put_back(device: LoadedDevice, signal: Any) -> Callable[[], None]:
    before = signal.get()

    def put() -> None:
        try:
            signal.put(before)
        except Exception:  # a driver may raise anything; the rest must be put back too
            get_logger().exception("not_put_back", device=device.name, value=before)

    return put
