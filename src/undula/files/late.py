"""Room: files. The linked file of a stream that was declared after the main file was open.

In: the start document and a stream's descriptor. Out: `MASTER_STREAM.nxs` beside the main file,
followed live as that is, named at its close, and linked into the main file then.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py

from undula.core.clock import iso
from undula.files.columns import StreamTable
from undula.files.documents import Document, h5_name
from undula.files.frames import Stream
from undula.files.layout import FINAL_FIELDS, cut, nx_group, write_entry
from undula.files.logs import Log, free_name, is_log, lay_logs
from undula.files.places import Place
from undula.files.plot import Plot


def write_final(entry: Any, start: Document, stop: Document) -> None:
    """Fill the fields that only the end knows."""
    texts = {
        "end_time": iso(float(stop["time"])),
        "exit_status": str(stop["exit_status"]),
        "reason": str(stop.get("reason") or ""),
    }
    for name, size in FINAL_FIELDS.items():
        entry[name][()] = cut(texts[name].replace("\0", ""), size)
    entry["duration"][()] = float(stop["time"]) - float(start["time"])


def _leads_to(home: Any, name: str, file: str) -> bool:
    link = home.get(name, getlink=True)
    return isinstance(link, h5py.ExternalLink) and link.filename == file


class LateFile:
    """The linked file of a stream declared when the main file was open to readers already."""

    def __init__(self, file: Any, place: Place, name: str, start: Document) -> None:
        self.file = file
        self.place = place
        self._start = start
        self.entry = write_entry(file, place.path, start)
        group = nx_group(self.entry["collection"], h5_name(name), "NXcollection")
        self.stream = Stream(name, StreamTable(group, float(start["time"])))
        self.logs: list[Log] = []

    @classmethod
    def create(cls, master: Path, name: str, start: Mapping[str, Any]) -> LateFile:
        """`MASTER_STREAM.nxs` beside the main file; named at its close."""
        place = Place(master.with_stem(f"{master.stem}_{h5_name(name)}"), str(start["uid"]))
        return cls(h5py.File(place.hidden, "x", libver=("v110", "v110")), place, name, start)

    def open_to_readers(self, *, live: bool, hold: bool) -> None:
        """Lay out the plot, begin SWMR and give the file its name."""
        Plot(self.entry, self._start, self.stream.devices, self.stream.table)
        if is_log(self.stream.name):
            self.logs = lay_logs(self.entry, self._start, self.stream)
        if live:
            self.file.swmr_mode = True
        self.file.flush()
        if not hold:
            self.place.publish()

    def link_log(self, entry: Any, log: Log) -> None:
        """From the main file to a log in this one, at the same place."""
        folder, _, name = log.path.rpartition("/")
        above, _, device = folder.rpartition("/")
        home = nx_group(entry.file[above], device, "NXsensor")
        if not _leads_to(home, name, self.place.path.name):
            home[free_name(home, name)] = h5py.ExternalLink(self.place.path.name, log.path)

    def finish(self, stop: Document) -> None:
        """Fill the final fields."""
        write_final(self.entry, self._start, stop)
