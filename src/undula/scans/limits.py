"""What may be moved, and how far: the device, its state, its limits read now.

In: names, targets. Out: the device, or the error that a person should mend. Touches no axis.
"""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from decimal import Decimal

import numpy as np

from undula.core.errors import DeviceError, InputError, LimitError
from undula.devices.registry import LoadedDevice, Registry
from undula.plans.trajectory import FloatArray


def usable(devices: Registry, name: object, role: str) -> LoadedDevice:
    """The device, if it exists, is enabled and connected. Raises: InputError, DeviceError."""
    if not isinstance(name, str) or name not in devices.names():
        near = devices.suggest(name) if isinstance(name, str) else None
        raise InputError(
            f"there is no device {name!r}",
            remedy=f"did you mean {near}?" if near else "see undula devices",
        )
    device = devices[name]
    if not device.enabled:
        raise DeviceError(
            f"it is disabled{': ' + device.problem if device.problem else ''}",
            remedy=f"enable it (undula devices enable {name}) or leave it out as {role}",
            device=name,
        )
    if not device.connected:
        raise DeviceError(
            f"it is not connected: {device.problem}",
            remedy="see to its power, its IOC and the network: it is taken in by itself when it "
            f"answers, or at once by undula devices enable {name}",
            device=name,
        )
    return device


def movable_axis(devices: Registry, name: object) -> LoadedDevice:
    """The device, if it is usable and can be moved. Raises: InputError, DeviceError."""
    device = usable(devices, name, "an axis")
    if not hasattr(device.obj, "set"):
        raise InputError(
            "it cannot be moved",
            remedy="name a positioner; see undula devices",
            device=device.name,
        )
    refuse_read_only(device)
    return device


def refuse_read_only(device: LoadedDevice) -> None:
    """Raises: InputError when sets are refused."""
    if device.read_only:
        raise InputError("it is read-only", remedy="ask staff to lift readOnly", device=device.name)


def check_set(device: LoadedDevice, target: object) -> None:
    """One set that is about to be sent. Raises: InputError, LimitError."""
    refuse_read_only(device)
    if isinstance(target, numbers.Real | Decimal):  # a number of numpy, too
        check_limits(device, [float(target)])
    elif isinstance(target, np.ndarray) and target.dtype.kind in "biuf":
        check_limits(device, np.ravel(target))


def check_limits(
    device: LoadedDevice, targets: Sequence[float] | FloatArray, over: Sequence[str] = ()
) -> None:
    """Every target against limits read now. Raises: LimitError naming the point.

    Args:
        over: the pseudo axes that a person named, when this is a real one under them.
    """
    limits = device.limits()
    values = np.asarray(targets, dtype=np.float64)
    if not np.all(np.isfinite(values)):
        raise InputError(
            "a target is not a finite number", remedy="give numbers", device=device.name
        )
    if limits is None or limits[0] >= limits[1]:
        return
    low, high = limits
    bad = np.flatnonzero((values < low) | (values > high))
    if not len(bad):
        return
    first, unit = int(bad[0]), device.unit
    side, limit = ("above the high", high) if values[first] > high else ("below the low", low)
    at = f"point {first + 1} of {len(values)}: " if len(values) > 1 else ""
    by = f" (moved by {', '.join(over)})" if over else ""
    raise LimitError(
        f"{at}target {values[first]:g} {unit}{by} is {side} limit {limit:g} {unit}".replace(
            "  ", " "
        ),
        remedy=f"choose {low:g}..{high:g} {unit}, or ask staff to move the soft limit".replace(
            " ,", ","
        ),
        device=device.name,
    )
