"""Room: files. Frames in files that somebody else wrote, linked into the file of the run.

In: stream resource and stream datum documents. Out: an external link by relative path where the
frames of the other file are the points of the run one by one; otherwise (a frame was taken again,
is missing, or there are more) a virtual dataset with one frame a point, in the order of the points.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import h5py
import numpy as np
import numpy.typing as npt

from undula.core.errors import UndulaError
from undula.core.log import get_logger
from undula.files.columns import StreamTable, fill_value
from undula.files.documents import Device, Document, KeyLayout, h5_name
from undula.files.frame_file import let_in_after_kill
from undula.files.repair import clear_writing_mark

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


Source = tuple[str, str, int]
"""Name of a file as seen from the run's file, dataset, frames that it has."""


class FrameLinks:
    """The links of one run's file, which lies in `folder`.

    A data key has one link, whatever number of files its frames are in (a second one is begun when
    an IOC was started anew in mid-run).
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._resources: dict[str, list[Document]] = {}
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

    def link(self, doc: Document, streams: Iterable[Stream]) -> None:
        """An external link in every place where the data key belongs; once a data key."""
        key, dataset = str(doc["data_key"]), (doc.get("parameters") or {}).get("dataset")
        stream = next((s for s in streams if key in s.external), None)
        if dataset is None or stream is None or "hdf5" not in str(doc.get("mimetype")):
            return
        known = self._resources.setdefault(key, [])
        if doc in known:
            return
        known.append(doc)
        if len(known) > 1:
            return
        for group in stream.homes[key]:
            group[h5_name(key)] = h5py.ExternalLink(self._place(doc)[1], str(dataset))
            if group.attrs.get("NX_class") == "NXdetector" and "data" not in group:
                group["data"] = h5py.SoftLink(f"{group.name}/{h5_name(key)}")

    def settle(self, streams: Sequence[Stream]) -> None:
        """At the close: a virtual dataset in place of a link that would not show the points."""
        for key, docs in self._resources.items():
            stream = next(s for s in streams if key in s.external)
            layout = stream.external[key]
            if layout.frame_shape and any(str(doc["uid"]) in self._parts for doc in docs):
                self._settle(stream, layout, docs)

    def _settle(self, stream: Stream, layout: KeyLayout, docs: Sequence[Document]) -> None:
        sources = [self._source(doc, last=doc is docs[-1]) for doc in docs]
        origin, frames = self._frames_of_rows(docs, stream.table)
        counts = [source[2] for source in sources]
        if not len(frames) or (len(docs) == 1 and counts[0] == 0):
            return  # there is no file: the link says which one is missing
        if counts == [len(frames)] and np.array_equal(frames, np.arange(len(frames))):
            return
        virtual = _virtual(layout, sources, origin, frames)
        for group in stream.homes[layout.key]:
            del group[h5_name(layout.key)]
            data = group.create_virtual_dataset(
                h5_name(layout.key), virtual, fillvalue=fill_value(layout.dtype)
            )
            data.attrs["frame_numbers"] = frames
            data.attrs["frame_files"] = [name for name, _, _ in sources]
            data.attrs["long_name"] = f"one frame a point; {NO_FRAME} where there is none"

    def _source(self, doc: Document, *, last: bool) -> Source:
        path, name = self._place(doc)
        dataset = str(doc["parameters"]["dataset"])
        if not last:
            self._release(path)
        else:
            let_in_after_kill(path)
        return name, dataset, frames_in(path, dataset) or 0

    @staticmethod
    def _release(path: Path) -> None:
        """Its writer began another file, so it will never close this one: let readers in."""
        try:
            clear_writing_mark(path)
        except (OSError, UndulaError) as exc:
            get_logger().warning("frame_file_stays_marked", path=str(path), error=str(exc))

    def _frames_of_rows(
        self, docs: Sequence[Document], table: StreamTable
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """For each row the number of its file, and of the frame in it; NO_FRAME without one."""
        origin = np.zeros(table.rows, dtype=np.int64)
        frames = np.full(table.rows, NO_FRAME, dtype=np.int64)
        for number, doc in enumerate(docs):
            for first, stop, index in self._parts.get(str(doc["uid"]), ()):  # a later one holds
                for seq in range(first, stop):
                    row = table.rows_of_seq.get(seq)
                    if row is not None:
                        origin[row], frames[row] = number, index + seq - first
        return origin, frames


def _virtual(
    layout: KeyLayout,
    sources: Sequence[Source],
    origin: npt.NDArray[np.int64],
    frames: npt.NDArray[np.int64],
) -> Any:
    """Row by row, the frames that are there; runs of consecutive frames are mapped as one."""
    shape = layout.frame_shape
    virtual = h5py.VirtualLayout((len(frames), *shape), layout.dtype)
    edges = np.flatnonzero((np.diff(frames) != 1) | (np.diff(origin) != 0)) + 1
    for rows in np.split(np.arange(len(frames)), edges):
        name, dataset, there = sources[int(origin[rows[0]])]
        first, row = int(frames[rows[0]]), int(rows[0])
        count = min(len(rows), there - first)
        if first != NO_FRAME and count > 0:
            source = h5py.VirtualSource(name, dataset, shape=(there, *shape), dtype=layout.dtype)
            virtual[row : row + count] = source[first : first + count]
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
