"""Room: files. NXlog groups: what devices gave by themselves while the run went on.

In: a monitor stream (`NAME_monitor`), which has rows and times of its own. Out: an NXlog for each
number, an NXdata for each array, at the device: `value` leads to the readings, `time` is the time
of the device in seconds since the start of the run. Mean and extremes are filled in at the close.
"""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

from undula.core.clock import iso
from undula.files.columns import CHUNK_ROWS, Column
from undula.files.documents import Device, Document, h5_name
from undula.files.frames import Stream
from undula.files.layout import nx_group, write_value

SUFFIX = "_monitor"
OF_THE_SAMPLE = frozenset({"sample", "sample_environment", "sample environment", "environment"})
"""Role or tag of a device that belongs to the sample: its log is below `sample`."""
SUMMARY = ("average_value", "minimum_value", "maximum_value")


def is_log(stream: str) -> bool:
    """The stream holds what a device gave by itself."""
    return stream.endswith(SUFFIX)


def lay_logs(entry: Any, start: Document, stream: Stream) -> list[Log]:
    """The groups of one stream. Structure is added: no reader may follow the file."""
    made = []
    for device in stream.devices:
        home = _home(entry, start, device)
        main = device.hinted[0] if device.hinted else device.name
        numeric = [k for k in device.keys if k in stream.table.columns]
        numeric = [k for k in numeric if stream.table.columns[k].layout.numeric]
        for key in numeric:
            name = "value" if key == main or len(numeric) == 1 else h5_name(key)
            made.append(Log(home, name, stream.table.columns[key], start))
    return made


def _home(entry: Any, start: Document, device: Device) -> Any:
    """The group of a device, where it has one already; made as NXsensor where it has none."""
    name = h5_name(device.name)
    about = (start.get("devices") or {}).get(device.name) or {}
    role = about.get("role") or ()
    words = {*(about.get("tags") or ()), *([role] if isinstance(role, str) else role)}
    for parent in (entry["instrument"], entry):
        if name in parent and isinstance(parent[name], h5py.Group):
            return parent[name]
    parent = entry["sample"] if words & OF_THE_SAMPLE else entry["instrument"]
    if name in parent and not isinstance(parent[name], h5py.Group):
        name = f"{name}_device"
    group = nx_group(parent, name, "NXpositioner" if device.kind == "positioner" else "NXsensor")
    write_value(group, "name", device.name)
    return group


def free_name(home: Any, name: str) -> str:
    """The name, or NAME_2 ... where a device is followed in two streams."""
    number, found = 1, name
    while home.get(found, getlink=True) is not None:
        number += 1
        found = f"{name}_{number}"
    return found


class Log:
    """The log of one data key."""

    def __init__(self, home: Any, name: str, column: Column, start: Document) -> None:
        self._column = column
        self._start = float(start["time"])
        scalar = column.layout.shape == ()
        self.group = home.create_group(free_name(home, f"{name}_{'log' if scalar else 'series'}"))
        self.path = str(self.group.name)
        self.group.attrs["NX_class"] = "NXlog" if scalar else "NXdata"
        target = f"{column.group.name}/{column.name}"
        self.group["value" if scalar else column.name] = h5py.SoftLink(target)
        write_value(self.group, "description", column.layout.description or None)
        self._time = self.group.create_dataset(
            "time", shape=(0,), maxshape=(None,), dtype="<f8", chunks=(CHUNK_ROWS,)
        )
        self._time.attrs["units"] = "s"
        self._time.attrs["start"] = iso(self._start)
        if scalar:
            self._summary(column)
        else:
            self.group.attrs["signal"] = column.name
            self.group.attrs["axes"] = ["time"] + ["."] * len(column.layout.shape)
            self.group.attrs["time_indices"] = [0]

    def _summary(self, column: Column) -> None:
        for name in SUMMARY:
            data = self.group.create_dataset(name, data=np.nan)
            data.attrs["units"] = column.layout.unit

    def rebind(self, file: Any) -> None:
        """Go on in another handle of the same file."""
        self.group = file[self.path]
        self._time = self.group["time"]

    def fill(self) -> None:
        """The times of all rows that the column has by now."""
        have, rows = self._time.shape[0], self._column.times.shape[0]
        if rows > have:
            self._time.resize(rows, axis=0)
            self._time[have:rows] = self._column.times[have:rows] - self._start
            self._time.flush()

    def finish(self) -> None:
        """Mean and extremes of all finite values."""
        if "average_value" not in self.group or not self._column.data.shape[0]:
            return
        values = np.asarray(self._column.data[()], dtype=np.float64)
        values = values[np.isfinite(values)]
        if values.size:
            found = (values.mean(), values.min(), values.max())
            for name, value in zip(SUMMARY, found, strict=True):
                self.group[name][()] = value
