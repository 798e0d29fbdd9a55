"""Room: files. The fixed parts of a run's file: entry, sample, user, metadata, device groups.

In: the start document and descriptors. Out: HDF5 groups laid out before a reader may look. Fields
that are known at the end only (`end_time`, `duration`, `exit_status`, `reason`) get fixed-size
datasets now and their content at the close.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

import undula
from undula.core.clock import iso
from undula.files.columns import as_text, plain
from undula.files.documents import Device, Document, configurations, h5_name

FINAL_FIELDS = {"end_time": 40, "exit_status": 16, "reason": 1024}
NX_CLASS = {
    "positioner": "NXpositioner",
    "detector": "NXdetector",
    "monitor": "NXmonitor",
    "signal": "NXcollection",
}


def nx_group(parent: Any, name: str, nx_class: str) -> Any:
    """The group `name`, made when absent."""
    if name in parent:
        return parent[name]
    group = parent.create_group(name)
    group.attrs["NX_class"] = nx_class
    return group


def fixed_text(parent: Any, name: str, size: int, text: str = "") -> Any:
    """A text dataset of `size` bytes that can be filled while readers look."""
    data = parent.create_dataset(name, shape=(), dtype=h5py.string_dtype("utf-8", size))
    data[()] = cut(text, size)
    return data


def cut(text: str, size: int) -> str:
    """At most `size` bytes of UTF-8.

    >>> cut("äb", 2)
    'ä'
    """
    return text.encode()[:size].decode("utf-8", "ignore")


def write_value(parent: Any, name: str, value: Any, unit: str | None = None) -> None:
    """A constant as a dataset: numbers as such, everything else as text; None is left out."""
    if value is None or h5_name(name) in parent:
        return
    array = None if isinstance(value, str | bytes | Mapping) else _numbers(value)
    data = parent.create_dataset(
        h5_name(name), data=array if array is not None else as_text(value).replace("\0", "")
    )
    if unit is not None and array is not None:
        data.attrs["units"] = unit


def _numbers(value: Any) -> Any | None:
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError):
        return None
    return array if array.dtype.kind in "fiub" and array.size else None


def write_entry(root: Any, path: Path, start: Document) -> Any:
    """Root attributes and the entry with what is known at the start. Returns the entry."""
    root.attrs["NX_class"] = "NXroot"
    root.attrs["default"] = "entry"
    root.attrs["file_name"] = str(path)
    root.attrs["file_time"] = iso(float(start["time"]))
    root.attrs["creator"] = "undula"
    root.attrs["creator_version"] = undula.__version__
    root.attrs["HDF5_Version"] = h5py.version.hdf5_version
    entry = nx_group(root, "entry", "NXentry")
    entry.attrs["default"] = "data"
    number = start.get("scan_id")
    command = start.get("command") or start.get("plan_name") or ""
    write_value(entry, "entry_identifier", None if number is None else str(number))
    write_value(entry, "entry_identifier_uuid", str(start["uid"]))
    write_value(entry, "title", str(start.get("title") or command))
    write_value(entry, "scan_command", str(command))
    write_value(entry, "plan_name", start.get("plan_name"))
    write_value(entry, "experiment_identifier", start.get("proposal"))
    write_value(entry, "collection_identifier", start.get("dataset"))
    write_value(entry, "start_time", iso(float(start["time"])))
    write_value(entry, "program_name", "undula")
    entry["program_name"].attrs["version"] = undula.__version__
    for name, size in FINAL_FIELDS.items():
        fixed_text(entry, name, size, "open" if name == "exit_status" else "")
    entry.create_dataset("duration", data=np.nan).attrs["units"] = "s"
    if start.get("count_time_s") is not None:
        write_value(entry, "count_time", float(start["count_time_s"]), "s")
    write_people(entry, start)
    write_metadata(entry, start)
    nx_group(entry, "instrument", "NXinstrument")
    write_value(entry["instrument"], "name", start.get("beamline") or start.get("beamline_id"))
    return entry


def write_people(entry: Any, start: Document) -> None:
    """NXsample and NXuser."""
    sample = nx_group(entry, "sample", "NXsample")
    said = start.get("sample", start.get("sample_name"))
    fields = said if isinstance(said, Mapping) else {"name": said}
    for key, value in fields.items():
        write_value(sample, str(key), value)
    write_value(sample, "name", "unknown")
    user = nx_group(entry, "user", "NXuser")
    said = start.get("user", start.get("operator"))
    fields = said if isinstance(said, Mapping) else {"name": said}
    for key, value in fields.items():
        write_value(user, str(key), value)
    write_value(user, "name", "unknown")


def write_metadata(entry: Any, start: Document) -> None:
    """The start document, whole as JSON and flat as fields; versions."""
    collection = nx_group(entry, "collection", "NXcollection")
    metadata = nx_group(collection, "metadata", "NXcollection")
    write_value(metadata, "start_document", json.dumps(dict(start), default=plain))
    for key, value in start.items():
        write_value(metadata, str(key), value)
    versions = nx_group(collection, "versions", "NXcollection")
    write_value(versions, "undula", undula.__version__)
    for key, value in (start.get("versions") or {}).items():
        write_value(versions, str(key), str(value))
    nx_group(collection, "device_configuration", "NXcollection")


def device_group(entry: Any, start: Document, device: Device) -> Any:
    """The group of a device of the main stream, in its NeXus class."""
    name = h5_name(device.name)
    if device.kind == "monitor":
        taken = name in entry
        group = nx_group(entry, f"monitor_{name}" if taken else name, "NXmonitor")
        write_value(group, "mode", "timer")
        seconds = start.get("count_time_s")
        write_value(group, "preset", np.nan if seconds is None else float(seconds), "s")
    else:
        group = nx_group(entry["instrument"], name, NX_CLASS[device.kind])
    write_value(group, "local_name" if device.kind == "detector" else "name", device.name)
    write_value(group, "description", device.description or None)
    return group


def link_main_value(group: Any, device: Device) -> None:
    """NXpositioner `value` and NXdetector `data` lead to the device's main reading."""
    name = {"positioner": "value", "detector": "data", "monitor": "data"}.get(device.kind)
    if name is None or not device.keys:
        return
    main = next((k for k in device.hinted), None)
    if main is None:
        main = device.name if device.name in device.keys else device.keys[0]
    if name not in group and h5_name(main) in group:
        group[name] = h5py.SoftLink(f"{group.name}/{h5_name(main)}")


def write_configuration(entry: Any, start: Document, descriptor: Document) -> None:
    """Device configuration of a stream, once a device."""
    folder = entry["collection/device_configuration"]
    for device, config in configurations(start, descriptor).items():
        data = config["data"]
        group = nx_group(folder, h5_name(device), "NXcollection")
        for key, value in data.items():
            unit = ((config.get("data_keys") or {}).get(key) or {}).get("units")
            write_value(group, key, value, "" if unit is None else str(unit))
            stamp = (config.get("timestamps") or {}).get(key)
            write_value(group, f"{key}_timestamp", stamp, "s")


def link_configuration(entry: Any, group: Any, device: str) -> None:
    """From a device's group to its configuration."""
    path = f"collection/device_configuration/{h5_name(device)}"
    if path in entry and "configuration" not in group:
        group["configuration"] = h5py.SoftLink(f"{entry.name}/{path}")
