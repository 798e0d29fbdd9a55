"""Room: files. The growing datasets of one stream: append, replace a repeated point, flush.

In: events and event pages. Out: datasets of equal length. A point's place is given by its
`seq_num`: a repeated one (the point was taken again after a pause) replaces the row. A value that
its dataset cannot hold (1.5 in an integer column, a long text) is kept aside and the column is
widened: at once before the file is followed live, at the close afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np

from undula.files.documents import KeyLayout, h5_name

CHUNK_ROWS = 1024
CHUNK_BYTES = 1 << 20
COMPRESSED_BYTES = 1 << 16
"""An array of that many bytes a point is compressed."""


def fill_value(dtype: np.dtype[Any]) -> Any:
    """What stands where nothing was measured: NaN, the lowest integer (unsigned: highest)."""
    if dtype.kind == "f":
        return np.nan
    if dtype.kind == "i":
        return np.iinfo(dtype).min
    return np.iinfo(dtype).max if dtype.kind == "u" else None


def _filters(dtype: np.dtype[Any], shape: tuple[int, ...]) -> dict[str, Any]:
    """Bitshuffle with LZ4 for images and curves that are large; {} for anything else."""
    per_point = int(np.prod([max(n, 1) for n in shape])) * dtype.itemsize
    if not shape or dtype.kind not in "fiu" or per_point < COMPRESSED_BYTES:
        return {}
    import hdf5plugin  # here: most runs have nothing that is worth it

    return dict(hdf5plugin.Bitshuffle(cname="lz4"))


def as_text(value: Any) -> str:
    """Anything as text for a file."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return json.dumps(value, default=plain)


def plain(value: Any) -> Any:
    """Default for `json.dumps`: numpy values as Python's, anything else as text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


class Column:
    """One data key of a stream: values and, beside them, device times."""

    def __init__(self, group: Any, layout: KeyLayout) -> None:
        self.layout = layout
        self.group = group
        self._home = str(group.name)
        self.name = h5_name(layout.key)
        self.aside: dict[int, Any] = {}
        self.dtype = layout.dtype
        self.data = self._make(self.name, layout.dtype, layout.shape)
        self.times = group.create_dataset(
            f"{self.name}_timestamp",
            shape=(0,),
            maxshape=(None,),
            dtype="<f8",
            chunks=(CHUNK_ROWS,),
            fillvalue=np.nan,
        )
        self.times.attrs["units"] = "s"
        self.times.attrs["long_name"] = "device time, UTC, since 1970-01-01"

    def rebind(self, file: Any) -> None:
        """Go on in another handle of the same file."""
        self.group = file[self._home]
        self.data = self.group[self.name]
        self.times = self.group[f"{self.name}_timestamp"]

    def _make(self, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Any:
        per_point = max(1, int(np.prod([max(n, 1) for n in shape]))) * max(1, dtype.itemsize)
        rows = max(1, min(CHUNK_ROWS, CHUNK_BYTES // per_point)) if len(shape) < 2 else 1
        stored: Any = dtype
        if dtype.kind == "S":
            stored = h5py.string_dtype("utf-8", dtype.itemsize)
        elif dtype.kind == "O":
            stored = h5py.string_dtype("utf-8")
        data = self.group.create_dataset(
            name,
            shape=(0, *shape),
            maxshape=(None,) * (1 + len(shape)),
            dtype=stored,
            chunks=(rows, *(max(n, 1) for n in shape)),
            fillvalue=fill_value(dtype),
            **_filters(dtype, shape),
        )
        if dtype.kind in "fiub":
            data.attrs["units"] = self.layout.unit
        if self.layout.description:
            data.attrs["source"] = self.layout.description
        return data

    def _fits(self, value: Any) -> bool:
        if self.dtype.kind == "S":
            return isinstance(value, str) and len(value.encode()) <= self.dtype.itemsize
        if self.dtype.kind == "O":
            return True
        if value is None:
            return self.dtype.kind == "f"
        array = np.asarray(value)
        if array.dtype.kind not in "fiub" or array.ndim != len(self.layout.shape):
            return False
        if self.dtype.kind == "f":
            return True
        with np.errstate(invalid="ignore"):
            return bool(np.array_equal(array.astype(self.dtype), array))

    def _bulk(self, values: Sequence[Any]) -> Any | None:
        """The quick way: all values as one array, or None when they must be looked at singly."""
        if self.dtype.kind in "SO":
            return None
        try:
            array = np.asarray(values)
        except (ValueError, OverflowError):
            return None
        if array.dtype.kind not in "fiub" or array.ndim != 1 + len(self.layout.shape):
            return None
        if array.shape[1:] != self.data.shape[1:]:
            return None
        if array.dtype == self.dtype or self.dtype.kind == "f":
            return array
        with np.errstate(invalid="ignore"):
            cast = array.astype(self.dtype)
        return cast if np.array_equal(cast, array) else None

    def write(self, first: int, values: Sequence[Any], times: Sequence[float]) -> None:
        """Write consecutive rows from `first` on; the datasets are long enough already."""
        last = first + len(values)
        stamps = np.array([np.nan if t is None else t for t in times], dtype=np.float64)
        self.times[first:last] = stamps
        bulk = self._bulk(values)
        for row in range(first, last):
            self.aside.pop(row, None)
        if bulk is not None:
            self.data[first:last] = bulk
            return
        for row, value in enumerate(values, start=first):
            self._write_one(row, value)

    def _write_one(self, row: int, value: Any) -> None:
        if not self._fits(value):
            self.aside[row] = value
            value = _nearest(value, self.dtype)
            if value is None:
                return
        if self.dtype.kind in "SO":
            self.data[row] = as_text(value)
            return
        array = np.asarray(np.nan if value is None else value)
        if array.ndim != self.data.ndim - 1:
            return
        if any(n > m for n, m in zip(array.shape, self.data.shape[1:], strict=True)):
            widest = np.maximum(array.shape, self.data.shape[1:])
            self.data.resize((self.data.shape[0], *(int(n) for n in widest)))
        self.data[(row, *(slice(0, n) for n in array.shape))] = array

    def resize(self, rows: int) -> None:
        """Give both datasets `rows` rows; new ones hold the fill value."""
        self.data.resize(rows, axis=0)
        self.times.resize(rows, axis=0)

    def widen(self) -> None:
        """Rebuild the column in a type that holds every value kept aside."""
        if not self.aside:
            return
        numbers = all(
            v is None or (np.asarray(v).dtype.kind in "fiub" and np.asarray(v).ndim == 0)
            for v in self.aside.values()
        )
        old = self.data[()]
        wide = np.dtype("<f8") if numbers and self.layout.shape == () else np.dtype("O")
        if self.dtype.kind in "SO":
            wide = np.dtype("O")
        del self.group[self.name]
        shape = self.layout.shape if wide.kind == "f" else ()
        self.dtype = wide
        self.data = self._make(self.name, wide, shape)
        self.data.resize(len(old), axis=0)
        if wide.kind == "f":
            values = old.astype(np.float64)
            for row, value in self.aside.items():
                values[row] = np.nan if value is None else value
            self.data[:] = values
        else:
            for row in range(len(old)):
                self.data[row] = as_text(self.aside.get(row, plain(old[row])))
        self.aside.clear()


def _nearest(value: Any, dtype: np.dtype[Any]) -> Any:
    """What to show live in place of a value that does not fit; None: leave the fill value."""
    if dtype.kind == "S":
        return as_text(value).encode()[: dtype.itemsize].decode("utf-8", "ignore")
    return None


class StreamTable:
    """All columns of one stream, kept at equal length."""

    def __init__(self, group: Any, start_time: float) -> None:
        self.group = group
        self._home = str(group.name)
        self.columns: dict[str, Column] = {}
        self.rows_of_seq: dict[int, int] = {}
        self.rows = 0
        self._start_time = start_time
        self._first = 0
        self._pending: dict[str, list[Any]] = {}
        self._times: dict[str, list[float]] = {}
        self._seq: list[int] = []
        self._event_time: list[float] = []
        self._replace: dict[int, tuple[Mapping[str, Any], Mapping[str, Any], int, float]] = {}
        self.elapsed = self._own("elapsed_time", "<f8", "s", "time since the start of the run")
        self.time = self._own("time", "<f8", "s", "host time, UTC, since 1970-01-01")
        self.seq_num = self._own("seq_num", "<i8", "", "number of the point")

    def _own(self, name: str, dtype: str, unit: str, text: str) -> Any:
        data = self.group.create_dataset(
            name, shape=(0,), maxshape=(None,), dtype=dtype, chunks=(CHUNK_ROWS,)
        )
        data.attrs["units"] = unit
        data.attrs["long_name"] = text
        return data

    def rebind(self, file: Any) -> None:
        """Go on in another handle of the same file; nothing may be pending."""
        self.group = file[self._home]
        for column in self.columns.values():
            column.rebind(file)
        self.elapsed, self.time = self.group["elapsed_time"], self.group["time"]
        self.seq_num = self.group["seq_num"]

    @property
    def must_widen(self) -> bool:
        """A column holds values aside that its type cannot hold."""
        return any(column.aside for column in self.columns.values())

    def add_column(self, group: Any, layout: KeyLayout) -> Column:
        """Lay a data key out in `group`; a link in the stream's group leads to it."""
        column = Column(group, layout)
        self.columns[layout.key] = column
        column.resize(self._first)
        self._pending[layout.key] = [None] * len(self._seq)
        self._times[layout.key] = [np.nan] * len(self._seq)
        if group.name != self.group.name:
            for suffix in ("", "_timestamp"):
                name = column.name + suffix
                if name not in self.group:
                    self.group[name] = h5py.SoftLink(f"{group.name}/{name}")
        return column

    def event(self, doc: Mapping[str, Any]) -> None:
        """Take one event."""
        seq, _, _ = int(doc["seq_num"]), doc["data"].keys(), doc["timestamps"].keys()
        row = self.rows_of_seq.get(seq)
        if row is None:
            self.rows_of_seq[seq] = self.rows
            self.rows += 1
            self._append(doc["data"], doc["timestamps"], seq, float(doc["time"]))
        elif row < self._first:
            self._replace[row] = (doc["data"], doc["timestamps"], seq, float(doc["time"]))
        else:
            at = row - self._first
            for key in self.columns:
                self._pending[key][at] = doc["data"].get(key)
                self._times[key][at] = doc["timestamps"].get(key, np.nan)
            self._event_time[at] = float(doc["time"])

    def _append(
        self, data: Mapping[str, Any], times: Mapping[str, Any], seq: int, stamp: float
    ) -> None:
        for key in self.columns:
            self._pending[key].append(data.get(key))
            self._times[key].append(times.get(key, np.nan))
        self._seq.append(seq)
        self._event_time.append(stamp)

    def page(self, doc: Mapping[str, Any]) -> None:
        """Take an event page; the quick way when all its points are new."""
        seqs = [int(s) for s in doc["seq_num"]]
        for values in (doc["time"], *doc["data"].values(), *doc["timestamps"].values()):
            if len(values) != len(seqs):
                raise ValueError("an event page has columns of unequal length")
        if any(s in self.rows_of_seq for s in seqs) or len(set(seqs)) != len(seqs):
            for at, seq in enumerate(seqs):
                self.event(
                    {
                        "seq_num": seq,
                        "time": doc["time"][at],
                        "data": {k: v[at] for k, v in doc["data"].items()},
                        "timestamps": {k: v[at] for k, v in doc["timestamps"].items()},
                    }
                )
            return
        for seq in seqs:
            self.rows_of_seq[seq] = self.rows
            self.rows += 1
        empty = [None] * len(seqs)
        for key in self.columns:
            self._pending[key].extend(doc["data"].get(key, empty))
            self._times[key].extend(doc["timestamps"].get(key, empty))
        self._seq.extend(seqs)
        self._event_time.extend(float(t) for t in doc["time"])

    def first(self, key: str) -> Any | None:
        """The first reading of a data key, written already or not; None while there is none."""
        if not self.rows:
            return None
        if self._first:
            value = self.columns[key].data[0]
            return value.decode() if isinstance(value, bytes) else value
        return self._pending[key][0]

    def flush(self) -> list[int]:
        """Write what is pending; return the rows that were written."""
        written = []
        for row, (data, times, seq, stamp) in self._replace.items():
            for key, column in self.columns.items():
                column.write(row, [data.get(key)], [times.get(key, np.nan)])
            self._own_rows(row, [seq], [stamp])
            written.append(row)
        self._replace = {}
        count = len(self._seq)
        if count:
            for key, column in self.columns.items():
                column.resize(self._first + count)
                column.write(self._first, self._pending[key], self._times[key])
                self._pending[key] = []
                self._times[key] = []
            for data in (self.elapsed, self.time, self.seq_num):
                data.resize(self._first + count, axis=0)
            self._own_rows(self._first, self._seq, self._event_time)
            written.extend(range(self._first, self._first + count))
            self._first += count
            self._seq, self._event_time = [], []
        return written

    def _own_rows(self, first: int, seqs: list[int], stamps: list[float]) -> None:
        last = first + len(seqs)
        self.time[first:last] = stamps
        self.elapsed[first:last] = np.asarray(stamps) - self._start_time
        self.seq_num[first:last] = seqs

    def flush_datasets(self) -> None:
        """Hand everything written to the kernel, the counting dataset last."""
        for column in self.columns.values():
            column.data.flush()
            column.times.flush()
        for data in (self.elapsed, self.time, self.seq_num):
            data.flush()
