"""The start document's contents beyond what event-model asks for: who, what, with what, where."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any

from undula import __version__
from undula.core.settings import BeamlineSettings
from undula.core.text_keys import with_text_keys
from undula.devices.registry import LoadedDevice, Registry
from undula.plans import StepForm
from undula.scans.checked_scan import CheckedScan
from undula.scans.places import DEFAULTS

MOST_KEPT = 10_000
"""Longer arguments, e.g. lists of positions, are in the data and not also in the start document."""


def _about(device: LoadedDevice) -> dict[str, Any]:
    info = device.info()
    about: dict[str, Any] = {
        "device_class": info.device_class,
        "kind": info.kind,
        "unit": info.unit,
        "readout_priority": info.readout_priority,
        "description": info.description,
        "keys": list(info.data_keys),
        "hinted": list((getattr(device.obj, "hints", None) or {}).get("fields") or ()),
        "tags": list(device.entry.device_tags),
        "config": with_text_keys(device.entry.device_config),
    }
    role = getattr(device.obj, "nx_class", None) or device.entry.user_parameter.get("nx_class")
    if role:
        about["nx_class"] = role
    duty = device.entry.user_parameter.get("role")
    if duty:
        about["role"] = duty if isinstance(duty, list) else str(duty)
    return about


def _keys(device: LoadedDevice) -> list[str]:
    hints = getattr(device.obj, "hints", None) or {}
    return list(hints.get("fields") or device.describe())


def versions() -> dict[str, str]:
    """Versions of what takes part in a run."""
    packages = ("bluesky", "ophyd", "event-model", "numpy", "h5py")
    found = {name: version(name) for name in packages}
    return {"undula": __version__, "python": platform.python_version(), **found}


def _size(value: Any) -> int:
    """How many numbers and texts there are in it."""
    if isinstance(value, dict):
        value = list(value.values())
    return sum(map(_size, value)) if isinstance(value, list | tuple) else 1


def _of_form(form: StepForm, first: int) -> dict[str, Any]:
    """What a declared plan was asked for: arguments, conditions, count times from a point on."""
    md: dict[str, Any] = {"plan_name": form.plan}
    if form.arguments:
        md["plan_args"] = {
            name: value for name, value in form.arguments.items() if _size(value) <= MOST_KEPT
        }
    if form.conditions:
        md["conditions"] = dict(form.conditions)
    if form.count_times_s is not None and len(form.count_times_s) <= MOST_KEPT:
        md["count_times_s"] = form.count_times_s[first:].tolist()
    return md


def start_metadata(
    scan: CheckedScan,
    devices: Registry,
    settings: BeamlineSettings,
    streams: dict[str, list[str]],
) -> dict[str, Any]:
    """Metadata of a run, fit for event-model: plain numbers, text, lists and dicts only.

    `streams` names the devices of each stream beside `primary`.
    """
    request, baseline = scan.request, streams.get("baseline", [])
    others = [name for names in streams.values() for name in names]
    md: dict[str, Any] = {**DEFAULTS, **request.metadata}
    md.update(
        plan_name=request.plan,
        command=request.command,
        user=request.user,
        beamline=settings.name,
        motors=list(scan.axes),
        detectors=list(scan.detectors),
        baseline_devices=baseline,
        expects_streams=["primary", *(stream for stream, names in streams.items() if names)],
        versions=versions(),
        devices={n: _about(devices[n]) for n in dict.fromkeys((*scan.devices, *others))},
    )
    if scan.left_out:
        md["detectors_left_out"] = list(scan.left_out)
    if scan.count_time_s is not None:
        md["count_time_s"] = scan.count_time_s
    if scan.form is not None:
        md |= _of_form(scan.form, scan.first)
    if scan.num_points is not None:
        md["num_points"] = scan.num_points
        md["num_intervals"] = scan.num_points - 1
    path, continues = scan.trajectory, request.continues
    if continues is not None:
        md["continues"] = continues.model_dump(include={"uid", "number", "first_point", "total"})
    if path is None and scan.bounds is not None:  # its points are found on the way
        keys = [key for name in scan.bounds.axes for key in _keys(devices[name])]
        md["hints"] = {"dimensions": [[keys, "primary"]]}
    if path is None:
        return md
    md["origin"] = dict(zip(path.axes, scan.origin, strict=True))
    columns = [_keys(devices[n]) for n in path.axes]
    if path.is_grid and continues is None:
        md.update(
            shape=list(path.shape),
            extents=[list(e) for e in path.extents],
            snaking=[bool(s) for s in path.snaking],
            axes_values=[v.tolist() for v in path.axes_values],
        )
        md["hints"] = {
            "dimensions": [[keys, "primary"] for keys in columns],
            "gridding": "rectilinear",
        }
    else:
        md["shape"] = [scan.num_points] if continues else list(path.shape)
        md["hints"] = {"dimensions": [[[k for keys in columns for k in keys], "primary"]]}
    return md
