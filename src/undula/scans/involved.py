"""Which devices take part in a scan: detectors, shutters, the real axes under pseudo ones.

In: a request, the devices. Out: names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from undula.core.errors import InputError
from undula.devices.classes import find_class
from undula.devices.groups import MeasurementGroup, expanded
from undula.devices.registry import LoadedDevice, Registry
from undula.messages import ScanRequest
from undula.plans.beam import Opens
from undula.scans.limits import usable


def detectors_of(devices: Registry, wanted: Iterable[str] | None, axes: Sequence[str]) -> list[str]:
    """Names of detectors, groups replaced by what they read; without names, what is usual."""
    if wanted is None:
        return [n for n in _usualdetectors_of(devices) if n not in axes]
    names = list(dict.fromkeys(wanted))
    for name in names:
        usable(devices, name, "a detector")
    members = expanded(names, devices)
    for name in members:
        usable(devices, name, "a detector")
    return [n for n in members if n not in axes]


def _usualdetectors_of(devices: Registry) -> list[str]:
    """The members of the active groups; without one, all that is monitored and answers.

    A device that gives its data asynchronously, but only when it is triggered, is read as well.
    """
    monitored = [n for n in devices.by_priority("monitored") if _answers(devices[n])]
    groups = [n for n in monitored if isinstance(devices[n].obj, MeasurementGroup)]
    if groups:
        return detectors_of(devices, groups, ())
    triggered = [
        n
        for n in devices.by_priority("async")
        if _answers(devices[n]) and _read_when_triggered(devices[n])
    ]
    return [*monitored, *triggered]


def left_out(devices: Registry, axes: Sequence[str] = ()) -> dict[str, str]:
    """What a scan that names no detectors would read as well, but cannot; and why not.

    Where a measurement group is active it says what is usual, and nothing is left out.
    """
    monitored = devices.by_priority("monitored")
    if any(
        _answers(d) and isinstance(d.obj, MeasurementGroup) for d in (devices[n] for n in monitored)
    ):
        return {}
    usual = [n for n in monitored if not issubclass(_class(devices[n]), MeasurementGroup)]
    usual += [n for n in devices.by_priority("async") if _read_when_triggered(devices[n])]
    return {
        name: devices[name].problem or "disabled"
        for name in usual
        if name not in axes and not _answers(devices[name])
    }


def _read_when_triggered(device: LoadedDevice) -> bool:
    """It gives its data asynchronously, but only when it is triggered: so a scan reads it.

    Of a device that was not built, disabled as it is, its class tells it.
    """
    known = _class(device) if device.obj is None else device.obj
    triggered = hasattr(known, "trigger") and device.entry.software_trigger is not False
    return triggered and not hasattr(known, "subscribe")


def _class(device: LoadedDevice) -> type:
    """Of the object, or as the device file names it; `object` when it cannot be imported."""
    if device.obj is not None:
        return type(device.obj)
    try:
        return find_class(device.entry.device_class)
    except ImportError:
        return object


def left_out_text(absent: Mapping[str, str]) -> list[str]:
    """A warning for each detector that a scan does not read.

    >>> left_out_text({"i0": "disabled"})
    ['i0 is not read: disabled; undula devices enable i0 takes it in']
    """
    return [
        f"{name} is not read: {why}; undula devices enable {name} takes it in"
        for name, why in absent.items()
    ]


def no_detector_text(wanted: Sequence[str] | None) -> list[str]:
    """A warning for an empty list of detectors: Bluesky allows it where axes move.

    >>> no_detector_text(["diode"]), no_detector_text(None)
    ([], [])
    """
    if wanted is None or wanted:
        return []
    return ["the list of detectors is empty: only the axes are read; leave it out for the usual"]


def _answers(device: LoadedDevice) -> bool:
    return device.enabled and device.connected


def pseudo_of(axes: Iterable[LoadedDevice]) -> list[str]:
    """Names of the pseudo axes among these."""
    return [axis.name for axis in axes if hasattr(axis.obj, "reals")]


def with_sources(devices: Registry, names: Iterable[str]) -> list[str]:
    """Detectors, each computed one behind what it is computed from."""
    found: dict[str, None] = {}
    for name in names:
        sources = getattr(devices[name].obj, "sources", ())
        found |= dict.fromkeys([*(with_sources(devices, sources) if sources else ()), name])
    return list(found)


def bytes_per_point(devices: Registry, names: Iterable[str]) -> int:
    """Size of one reading of all these devices, and of the frames that they write with it.

    A device that knows how large those become says it by `frame_bytes`.
    """
    total = 0
    for name in names:
        frame_bytes = getattr(devices[name].obj, "frame_bytes", None)
        total += frame_bytes() if callable(frame_bytes) else 0
        for key in devices[name].describe().values():
            if callable(frame_bytes) and key.get("external"):
                continue
            size = np.dtype(key.get("dtype_numpy") or "<f8").itemsize
            total += int(np.prod(key.get("shape") or [1])) * size
    return total


def named_devices(value: Any, devices: Registry) -> list[str]:
    """Names of devices anywhere in plan arguments, in order, each once."""
    if isinstance(value, str):
        return [value] if value in devices.names() else []
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return list(dict.fromkeys(n for v in value for n in named_devices(v, devices)))
    return []


def shutters_of(
    request: ScanRequest, devices: Registry, axes: Iterable[str]
) -> tuple[tuple[str, ...], Opens]:
    """The shutters that a scan opens and closes, and when.

    Raises: DeviceError for one that does not answer; InputError when darks need one.
    """
    named = set(axes)
    found = [devices[n] for n in devices.names() if n not in named]
    roles = [(d, d.entry.shutter) for d in found if d.entry.shutter and d.entry.enabled]
    used = [(d, role) for d, role in roles if request.shutter or role.opens != "by_hand"]
    if request.shutter == "none" or not used:
        if request.darks or request.shutter not in (None, "none"):
            raise InputError(
                "no device has the role of a shutter",
                remedy="give one shutter: {open: 1, close: 0} in the device file",
            )
        return (), "per_scan"
    for device, _ in used:
        usable(devices, device.name, "a shutter (--shutter none)")
    asked = request.shutter
    per_point = any(role.opens == "per_point" for _, role in used)
    opens: Opens = asked or ("per_point" if per_point else "per_scan")
    return tuple(d.name for d, _ in used), opens


def reals_under(devices: Registry, names: Iterable[str]) -> tuple[str, ...]:
    """Axes under the pseudo axes among these, pseudo ones under others included."""
    found: dict[str, None] = {}
    for name in names:
        for real in getattr(devices[name].obj, "reals", ()):
            found |= dict.fromkeys([real, *reals_under(devices, [real])])
    return tuple(found)
