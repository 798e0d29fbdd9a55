"""Room: files. A file of frames, written by one process, followed by readers while it grows.

In: chunks, ready as they are to lie in the file (bare or compressed), in order. Out: an HDF5 file
that `frames` links into the file of the run:

    /entry/data/data      (frames, ...)  the frames, one chunk each, NXdata's signal
    /entry/data/seq_num   (frames,)      sequence number of each
    /entry/data/trigger   (frames,)      which trigger it answers, -1 when nobody knows
    /entry/data/time      (frames,)      host time, UTC epoch, s
    /entry/data/hardware_time (frames,)  time of the detector's own clock, s; NaN without one
    /entry/frames_closed  ()             1 when the writer closed the file, 0 while it grows
    /entry/graph          NXnote         the graph that they came through, and the node that wrote

`seq_num` and its fellows become longer only in `flush`, after the frames that they speak of: what
they have is there, whenever the process is killed. A missing frame takes no row; its number is
missing from `seq_num`. As long as its writer lives it holds a lock on the file: without one, a file
that is marked as being written was left by a writer that was killed (`let_in_after_kill`).

Called by: nodes of pipes. Not here: compression (`bslz4`), threads, names of files.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import numpy.typing as npt

from undula.core import faults
from undula.core.errors import StorageError
from undula.files import bslz4
from undula.files.places import can_follow_live, check_space, storage_error
from undula.files.repair import (
    followed,
    held_while_written,
    let_readers_in,
    marked,
    truncated,
)

Compression = Literal["none", "bslz4"]
DATASET = "/entry/data/data"
CLOSED = "/entry/frames_closed"
INDEX_CHUNK = 1024


@dataclass(frozen=True, slots=True)
class Row:
    """What is known of one frame beside its data: the columns of the file."""

    seq_num: int
    trigger: int | None = None
    time: float = 0.0
    hardware_time: float | None = None


COLUMNS: dict[str, str] = {
    "seq_num": "i8",
    "trigger": "i8",
    "time": "f8",
    "hardware_time": "f8",
}


class FrameFile:
    """One file of frames of one shape and dtype. Not thread-safe; never touches another's file.

    Args:
        path: of the new file.
        shape: of a frame.
        dtype: of its pixels.
        compression: how the chunks that come are made.
        live: let readers follow (SWMR); None: where the file system can.
        graph: of pipes that the frames come through, JSON; and `node`, which writes them.
    Raises: StorageError when the name is taken, the folder is full or not there.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, ...],
        dtype: npt.DTypeLike,
        *,
        compression: Compression = "bslz4",
        live: bool | None = None,
        graph: str = "",
        node: str = "",
    ) -> None:
        self.path, self.shape, self.dtype = path, tuple(shape), np.dtype(dtype)
        self.compression = compression
        self.frames = 0
        self.flushed = 0
        """Frames that are in the file for good, whatever happens to this process."""
        self._waiting: list[Row] = []
        self._held = -1
        if 0 in self.shape:
            raise StorageError(
                f"a frame of the shape {self.shape} has no pixels", remedy="look at its source"
            )
        check_space(path.parent)
        with self._storage():
            self._file: Any = h5py.File(path, "x", libver=("v110", "v110"))
            self._lay_out()
            if graph:
                self._note(graph, node)
            if can_follow_live(path.parent) if live is None else live:
                self._file.swmr_mode = True
            self._held = held_while_written(path)
            self._file.flush()
        faults.reached("frames.created")

    @property
    def frame_bytes(self) -> int:
        """Of a frame that is not compressed."""
        return math.prod(self.shape) * self.dtype.itemsize

    def _lay_out(self) -> None:
        filters: dict[str, Any] = {}
        if self.compression == "bslz4":
            import hdf5plugin  # noqa: F401  # HDF5 must know the filter, or it refuses the dataset

            filters = {"compression": bslz4.FILTER, "compression_opts": bslz4.OPTIONS}
        entry = self._file.create_group("entry")
        entry.attrs["NX_class"] = "NXentry"
        self._file.attrs["default"] = "entry"
        entry.attrs["default"] = "data"
        group = entry.create_group("data")
        group.attrs.update({"NX_class": "NXdata", "signal": "data"})
        self._data = group.create_dataset(
            "data", (0, *self.shape), self.dtype, maxshape=(None, *self.shape),
            chunks=(1, *self.shape), **filters,
        )  # fmt: skip
        self._columns = {
            name: group.create_dataset(name, (0,), dtype, maxshape=(None,), chunks=(INDEX_CHUNK,))
            for name, dtype in COLUMNS.items()
        }
        for name in ("time", "hardware_time"):
            self._columns[name].attrs["units"] = "s"
        self._closed = entry.create_dataset("frames_closed", data=np.uint8(0))

    def _note(self, graph: str, node: str) -> None:
        note = self._file["entry"].create_group("graph")
        note.attrs.update({"NX_class": "NXnote", "node": node})
        note["type"], note["data"] = "application/json", graph

    @contextmanager
    def _storage(self) -> Iterator[None]:
        try:
            yield
        except FileExistsError as exc:
            raise StorageError(
                f"{self.path} exists", remedy="choose another name: no file is overwritten"
            ) from exc
        except OSError as exc:
            raise storage_error(exc, self.path.parent) from exc
        except RuntimeError as exc:
            raise storage_error(OSError(str(exc)), self.path.parent) from exc

    def append(self, chunk: npt.NDArray[Any], row: Row) -> None:
        """One more frame: its chunk as it is to lie in the file. It is safe after `flush` only."""
        with self._storage():
            self._data.resize(self.frames + 1, axis=0)
            self._data.id.write_direct_chunk(
                (self.frames, *(0 for _ in self.shape)), np.ascontiguousarray(chunk)
            )
            faults.reached("frames.chunk_written")
        self.frames += 1
        self._waiting.append(row)

    def flush(self) -> int:
        """Make all that was appended safe from the death of this process. Returns: `flushed`."""
        if not self._waiting:
            return self.flushed
        with self._storage():
            self._file.flush()
            faults.reached("frames.data_flushed")
            for name, values in _columns(self._waiting).items():
                column = self._columns[name]
                column.resize(self.frames, axis=0)
                column[self.flushed : self.frames] = values
            self._file.flush()
        self.flushed = self.frames
        self._waiting.clear()
        faults.reached("frames.flushed")
        return self.flushed

    def close(self) -> None:
        """Flush, mark the file closed, let every reader in."""
        if not self._file:
            return
        try:
            self.flush()
            with self._storage():
                self._closed[()] = 1
                faults.reached("frames.closing")
                self._file.close()
        finally:
            held, self._held = self._held, -1
            if held >= 0:
                os.close(held)
        faults.reached("frames.closed")


def let_in_after_kill(path: Path) -> bool:
    """Let every reader open a file of frames whose writer was killed.

    Returns: whether it was left by one; False for a file that is closed or still written, and for
    one that is no file of ours, or cannot be mended. Never raises: the frames are there all the
    same, for those who follow it.
    """
    if not marked(path) or not has_lock(path) or not can_follow_live(path.parent):
        return False
    try:
        return let_readers_in(path)
    except StorageError:
        return False


def has_lock(path: Path) -> bool:
    """Whether the one who writes a file has a lock on it: by that one knows whether he lives.

    HDF5 holds one on files that no reader may follow; on those of ours the writer holds one too.
    """
    if truncated(path):
        return False
    if not followed(path):
        return True
    try:
        with h5py.File(path, "r", swmr=True, locking=False) as file:
            return CLOSED in file
    except (OSError, RuntimeError):
        return False


def _columns(rows: list[Row]) -> dict[str, npt.NDArray[Any]]:
    return {
        "seq_num": np.array([row.seq_num for row in rows], "i8"),
        "trigger": np.array([-1 if row.trigger is None else row.trigger for row in rows], "i8"),
        "time": np.array([row.time for row in rows], "f8"),
        "hardware_time": np.array(
            [np.nan if row.hardware_time is None else row.hardware_time for row in rows], "f8"
        ),
    }


def read_chunk(dataset: Any, number: int) -> tuple[npt.NDArray[np.uint8], bool]:
    """The bytes of one frame as they lie in a dataset of `FrameFile`, without decompressing.

    Returns: the bytes, and whether the dataset's filter was left out for this chunk.
    """
    mask, chunk = dataset.id.read_direct_chunk((number, *(0 for _ in dataset.shape[1:])))
    return np.frombuffer(chunk, np.uint8), bool(mask)


def graph_of(file: Any) -> tuple[str, str]:
    """The graph that an open frame file came through, JSON, and its node; empty without one."""
    note = file.get("entry/graph")
    if not isinstance(note, h5py.Group) or "data" not in note:
        return "", ""
    return str(note["data"].asstr()[()]), str(note.attrs.get("node", ""))


class FramesOf:
    """Which frames a file has, each with its time, in 16 bytes a frame.

    Args:
        group: an open frame file's `/entry/data`; None: there is no frame.
    """

    def __init__(self, group: Any = None) -> None:
        numbers, times = np.empty(0, "i8"), np.empty(0, "f8")
        if group is not None:
            numbers, times = _safe_columns(group, ("seq_num", "time"))
        order = np.argsort(numbers, kind="stable")
        self._numbers, self._times = numbers[order], times[order]

    def has(self, seq_num: int, time: float) -> bool:
        """Whether this very frame is there, not another of its number."""
        low = self._numbers.searchsorted(seq_num, "left")
        high = self._numbers.searchsorted(seq_num, "right")
        return bool((self._times[low:high] == time).any())


def _safe_columns(group: Any, names: Iterable[str]) -> list[npt.NDArray[Any]]:
    """Columns of an open file, as far as all of them were flushed."""
    columns = [group[name] for name in names]
    for column in columns:
        column.id.refresh()
    length = min(len(column) for column in columns)
    return [column[:length] for column in columns]


def rows_of(group: Any) -> list[Row]:
    """The columns of an open frame file's `/entry/data`, as far as they were flushed."""
    seq_num, trigger, time, hardware = (c.tolist() for c in _safe_columns(group, COLUMNS))
    return [
        Row(s, None if t < 0 else t, at, None if h != h else h)  # noqa: PLR0124  # NaN
        for s, t, at, h in zip(seq_num, trigger, time, hardware, strict=True)
    ]
