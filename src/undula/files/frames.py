"""Room: files. Frames in files that somebody else wrote, linked into the file of the run.

In: stream resource and stream datum documents. Out: an external link by relative path where the
frames of the other file are the points of the run one by one; otherwise (a frame was taken again,
is missing, or there are more) a virtual dataset with one frame a point, in the order of the points.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import h5py
import numpy as np
import numpy.typing as npt

from undula.files.columns import StreamTable, fill_value
from undula.files.documents import Device, Document, KeyLayout, h5_name

NO_FRAME = -1


class Stream:
    """One stream of a run: its table and its descriptors."""

    def __init__(self, name: str, table: StreamTable) -> None:
        self.name = name
        self.table = table
        self.devices: list[Device] = []
        self.external: dict[str, KeyLayout] = {}
        self.homes: dict[str, list[Any]] = {}
        self.paths: dict[str, list[str]] = {}


class FrameLinks:
    """The links of one run's file, which lies in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: dict[str, str] = {}
        self._parts: dict[str, list[tuple[int, int, int]]] = {}

    def take(self, doc: Document) -> None:
        """A stream datum: which frames belong to which points."""
        seqs, indices = doc["seq_nums"], doc["indices"]
        part = (int(seqs["start"]), int(seqs["stop"]), int(indices["start"]))
        self._parts.setdefault(str(doc["stream_resource"]), []).append(part)

    def _place(self, doc: Document) -> tuple[Path, str]:
        """The file, and its name as seen from the run's file."""
        target = Path(unquote(urlparse(str(doc["uri"])).path))
        relative = os.path.relpath(target, self._folder)
        return target, str(target) if relative.startswith("..") else relative

    @staticmethod
    def _find(doc: Document, streams: Iterable[Stream]) -> tuple[Stream, str] | None:
        """The stream that has its data key, and the dataset; None when it cannot be linked."""
        dataset = (doc.get("parameters") or {}).get("dataset")
        if dataset is None or "hdf5" not in str(doc.get("mimetype")):
            return None
        key = str(doc["data_key"])
        stream = next((s for s in streams if key in s.external), None)
        return None if stream is None else (stream, str(dataset))

    def link(self, doc: Document, streams: Iterable[Stream]) -> None:
        """An external link in every place where the data key belongs; once a resource."""
        uid, found = str(doc["uid"]), self._find(doc, streams)
        if uid in self._names or found is None:
            return
        stream, dataset = found
        _, target = self._place(doc)
        key = str(doc["data_key"])
        for group in stream.homes[key]:
            name, count = h5_name(key), 1
            while name in group or group.get(name, getlink=True) is not None:
                count += 1
                name = f"{h5_name(key)}_{count}"
            group[name] = h5py.ExternalLink(target, dataset)
            self._names[uid] = name
            if group.attrs.get("NX_class") == "NXdetector" and "data" not in group:
                group["data"] = h5py.SoftLink(f"{group.name}/{name}")

    def settle(self, doc: Document, streams: Iterable[Stream]) -> None:
        """At the close: a virtual dataset in place of a link that would not show the points."""
        uid, found = str(doc["uid"]), self._find(doc, streams)
        if uid not in self._names or uid not in self._parts or found is None:
            return
        stream, dataset = found
        layout = stream.external[str(doc["data_key"])]
        frames = self._frame_of_row(uid, stream.table)
        target, name = self._place(doc)
        there = frames_in(target, dataset)
        if there is None or not layout.frame_shape or not len(frames):
            return
        if there == len(frames) and np.array_equal(frames, np.arange(len(frames))):
            return
        virtual = _virtual(layout, frames, there, (name, dataset))
        for group in stream.homes[str(doc["data_key"])]:
            del group[self._names[uid]]
            data = group.create_virtual_dataset(
                self._names[uid], virtual, fillvalue=fill_value(layout.dtype)
            )
            data.attrs["frame_numbers"] = frames
            data.attrs["long_name"] = f"one frame a point; {NO_FRAME} where there is none"

    def _frame_of_row(self, uid: str, table: StreamTable) -> npt.NDArray[np.int64]:
        frames = np.full(table.rows, NO_FRAME, dtype=np.int64)
        for first, stop, index in self._parts.get(uid, ()):  # a later one replaces an earlier one
            for seq in range(first, stop):
                row = table.rows_of_seq.get(seq)
                if row is not None:
                    frames[row] = index + seq - first
        return frames


def _virtual(
    layout: KeyLayout, frames: npt.NDArray[np.int64], there: int, source: tuple[str, str]
) -> Any:
    """Row by row, the frames that are there; runs of consecutive frames are mapped as one."""
    shape = layout.frame_shape
    virtual = h5py.VirtualLayout((len(frames), *shape), layout.dtype)
    origin = h5py.VirtualSource(*source, shape=(there, *shape), dtype=layout.dtype)
    edges = np.flatnonzero(np.diff(frames) != 1) + 1
    for rows in np.split(np.arange(len(frames)), edges):
        first = int(frames[rows[0]])
        count = min(len(rows), there - first)
        if first != NO_FRAME and count > 0:
            virtual[int(rows[0]) : int(rows[0]) + count] = origin[first : first + count]
    return virtual


def frames_in(path: Path, dataset: str) -> int | None:
    """Frames in a closed or a growing file; None when there is no such file or dataset."""
    for swmr in (False, True):
        try:
            with h5py.File(path, "r", swmr=swmr, locking=False) as file:
                return int(file[dataset].shape[0])
        except (OSError, KeyError, ValueError):
            continue
    return None
