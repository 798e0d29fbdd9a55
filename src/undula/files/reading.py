"""Room: files. A run's file as arrays, while it is written and afterwards.

In: a path. Out: numpy arrays by data key. Called by: `client`, people. The file is opened anew for
each look, so that a reader neither holds it nor sees old sizes. While it is written it is opened by
SWMR; where that is impossible, its snapshot is read.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any, TextIO

import h5py
import numpy as np

from undula.core.errors import InputError, StorageError, UndulaError
from undula.core.shown import counted
from undula.files.repair import truncated
from undula.files.snapshot import snapshot_path

_OWN = ("seq_num", "elapsed_time", "time")


@contextmanager
def open_file(path: Path) -> Iterator[Any]:
    """The h5py file, however it can be read now. Raises: StorageError."""
    file = None
    if truncated(path):
        raise StorageError(
            f"the end of {path} is missing",
            remedy="make it anew from its archive: undula runs rebuild NUMBER",
            where=str(path),
        )
    for place, swmr in ((path, False), (path, True), (snapshot_path(path), False)):
        try:
            file = h5py.File(place, "r", swmr=swmr)
            break
        except (OSError, ValueError):
            continue
    if file is None:
        known = path.exists()
        raise StorageError(
            f"{path} cannot be read yet" if known else f"there is no file {path}",
            remedy="wait for the first point, or rebuild it: undula runs rebuild NUMBER"
            if known
            else "check the path with undula runs; it appears with the first point",
            where=str(path),
        )
    try:
        yield file
    finally:
        file.close()


def know_filters(data: Any) -> None:
    """Let HDF5 know the filters of frames before a compressed dataset is read."""
    filtered = data.chunks is not None and data.id.get_create_plist().get_nfilters()
    if filtered or data.is_virtual:
        import hdf5plugin  # noqa: F401  # here: it takes its time, and few datasets need it


def _value(data: Any, rows: int | None = None) -> Any:
    know_filters(data)
    text = h5py.check_string_dtype(data.dtype) is not None
    if text:
        data = data.asstr()
    if rows is None:
        return data[()]
    return data[:rows]


def _plain(value: Any) -> Any:
    """Numbers as numbers; lists of texts, which a file has as JSON, as lists."""
    if isinstance(value, str) and value.startswith("["):
        return json.loads(value)
    return value.tolist() if hasattr(value, "tolist") else value


def _get(group: Any, key: str) -> Any | None:
    """The node; None when it is not there, or lies in a file that is not there."""
    try:
        return group[key]
    except (KeyError, OSError):
        return None


def linked_file(group: Any, key: str) -> str:
    """The file in which a dataset really lies, '' when it is this one."""
    link = group.get(key, getlink=True)
    if isinstance(link, h5py.SoftLink):  # the collection's names lead to the devices' groups
        parent, _, name = link.path.rpartition("/")
        return linked_file(group[parent], name) if parent in group and parent else ""
    if isinstance(link, h5py.ExternalLink):
        return str(link.filename)
    node = _get(group, key)
    if isinstance(node, h5py.Dataset) and node.is_virtual:
        names = [source.file_name for source in node.virtual_sources()]
        return next((str(name) for name in names if name != "."), "")
    return ""


class RunData:
    """Readings of one stream of a run, by data key; every look reads the file anew.

    All arrays have as many rows as there are complete points.
    """

    def __init__(self, path: Path, stream: str = "primary") -> None:
        self.path = Path(path)
        self.stream_name = stream

    def __repr__(self) -> str:
        try:
            keys, points = ", ".join(self.keys()), len(self)
        except UndulaError as error:
            return f"<{self.stream_name} of {self.path.name}: {error}>"
        return f"<{self.stream_name} of {self.path.name}, {counted(points, 'point')}: {keys}>"

    def group_of(self, file: Any) -> Any:
        """The group of the stream in the open file. Raises: InputError when it has none."""
        group = file["entry/collection"].get(self.stream_name)
        if group is None:
            raise InputError(
                f"{self.path.name} has no stream {self.stream_name!r}",
                remedy=f"choose one of {', '.join(self._streams(file)) or 'none yet'}",
            )
        return group

    @staticmethod
    def _streams(file: Any) -> list[str]:
        folder = file["entry/collection"]
        found = []
        for name in folder:
            node = folder.get(name)
            if isinstance(node, h5py.Group) and "seq_num" in node:
                found.append(name)
        return found

    def streams(self) -> list[str]:
        """Names of the streams that the run has now."""
        with open_file(self.path) as file:
            return list(dict.fromkeys([*self._streams(file), *self._beside(file)]))

    def stream(self, name: str) -> RunData:
        """Another stream of the same run, e.g. `baseline`."""
        return RunData(self._home_of(name), name)

    def _home_of(self, stream: str) -> Path:
        """The file that has a stream; this one when none has."""
        with open_file(self.path) as file:
            if stream in self._streams(file):
                return self.path
            return self._beside(file).get(stream, self.path)

    def _beside(self, file: Any) -> dict[str, Path]:
        """Streams of an open run that lie in files of their own (`files.late`), which are linked
        at the close; {} of a closed one.
        """
        entry = file["entry"]
        if "end_time" not in entry or entry["end_time"].asstr()[()]:
            return {}
        uid, found = entry["entry_identifier_uuid"][()], dict[str, Path]()
        for path in self.path.parent.glob(f"{escape(self.path.stem)}_*.nxs"):
            try:
                with open_file(path) as late:
                    if late["entry/entry_identifier_uuid"][()] == uid:
                        found |= dict.fromkeys(self._streams(late), path)
            except (StorageError, KeyError):
                continue  # another run's, or not readable yet
        return found

    @staticmethod
    def _keys(group: Any) -> list[str]:
        return [
            k
            for k in group
            if k not in _OWN
            and not (k.endswith("_timestamp") and k.removesuffix("_timestamp") in group)
            and (isinstance(_get(group, k), h5py.Dataset) or linked_file(group, k))
        ]

    def keys(self) -> list[str]:
        """Data keys, then `seq_num`, `elapsed_time` (s) and `time` (UTC epoch s)."""
        with open_file(self.path) as file:
            return [*self._keys(self.group_of(file)), *_OWN]

    def __contains__(self, key: str) -> bool:
        return key in self.keys()

    def __len__(self) -> int:
        with open_file(self.path) as file:
            return int(self.group_of(file)["seq_num"].shape[0])

    def _rows(self, group: Any, key: str) -> Any:
        if group.get(key, getlink=True) is None:
            raise InputError(
                f"{self.path.name} has no data key {key!r}",
                remedy=f"choose one of {', '.join([*self._keys(group), *_OWN])}",
            )
        rows = int(group["seq_num"].shape[0])
        if _get(group, key) is None:
            raise StorageError(
                f"the frames of {key} are missing: {linked_file(group, key)} cannot be read",
                remedy="look for the file; it has to lie beside the file of the run",
                where=str(self.path),
            )
        return _value(group[key], rows)

    def __getitem__(self, key: str) -> Any:
        """numpy array, first axis is the point. Raises: InputError for an unknown key."""
        with open_file(self.path) as file:
            return self._rows(self.group_of(file), key)

    @property
    def units(self) -> dict[str, str]:
        """Data key to unit."""
        with open_file(self.path) as file:
            group = self.group_of(file)
            nodes = {k: _get(group, k) for k in (*self._keys(group), *_OWN)}
            return {
                k: "" if node is None else str(node.attrs.get("units", ""))
                for k, node in nodes.items()
            }

    @property
    def shapes(self) -> dict[str, tuple[int, ...] | None]:
        """Data key to the shape of its array, without loading it; None: its file is missing.

        The first axis is the point; frames of a detector have more points while the run goes on.
        """
        with open_file(self.path) as file:
            group = self.group_of(file)
            nodes = {k: _get(group, k) for k in (*self._keys(group), *_OWN)}
            return {k: None if node is None else tuple(node.shape) for k, node in nodes.items()}

    @property
    def linked_files(self) -> dict[str, str]:
        """Data key to the file that holds its frames, as seen from the run's file."""
        with open_file(self.path) as file:
            group = self.group_of(file)
            found = {k: linked_file(group, k) for k in self._keys(group)}
            return {k: name for k, name in found.items() if name}

    @property
    def timestamps(self) -> dict[str, Any]:
        """Data key to device times, UTC epoch s."""
        with open_file(self.path) as file:
            group = self.group_of(file)
            return {
                k: self._rows(group, f"{k}_timestamp")
                for k in self._keys(group)
                if f"{k}_timestamp" in group
            }

    @property
    def metadata(self) -> dict[str, Any]:
        """Fields of the entry: title, start_time, end_time, exit_status, reason, ..."""
        with open_file(self.path) as file:
            entry = file["entry"]
            return {k: _value(v) for k, v in entry.items() if isinstance(v, h5py.Dataset)}

    @property
    def ledgers(self) -> dict[str, dict[str, Any]]:
        """Where the frames went, by detectors with a graph: `text`, `complete`, `missing`.

        `edge` are the names of its edges, `policy`, `seen`, `passed`, `dropped`, `lost`, `failed`
        and `on_the_way` go with them. Empty before the end of the run.
        """
        with open_file(self.path) as file:
            found = _get(file, "entry/ledger/results") or {}
            return {
                name: {k: _plain(_value(v)) for k, v in one.items() if isinstance(v, h5py.Dataset)}
                for name, one in found.items()
            }

    def to_dict(self, *, frames: bool = False) -> dict[str, Any]:
        """All arrays at once, of equal length.

        Args:
            frames: also load what lies in linked files (a detector's frames may be huge).
        """
        with open_file(self.path) as file:
            group = self.group_of(file)
            keys = [k for k in self._keys(group) if frames or not linked_file(group, k)]
            return {k: self._rows(group, k) for k in (*keys, *_OWN)}

    def plot(self) -> dict[str, Any]:
        """The default plot: `signal`, `axes` (names) and `values` (name to array)."""
        with open_file(self.path) as file:
            group = file["entry"].get("data")
            if group is None or "signal" not in group.attrs:
                return {"signal": None, "axes": [], "values": {}}
            axes = [str(a) for a in np.atleast_1d(group.attrs.get("axes", [])) if str(a) != "."]
            names = [str(group.attrs["signal"]), *axes]
            values = {n: _value(group[n]) for n in dict.fromkeys(names) if n in group}
            return {"signal": names[0], "axes": axes, "values": values}

    def to_csv(self, file: TextIO) -> int:
        """Scalar readings as a table with units in the head. Returns: rows written."""
        units, columns = self.units, self.to_dict()
        chosen = {k: v for k, v in columns.items() if np.ndim(v) == 1}
        out = csv.writer(file)
        out.writerow([f"{k} ({units[k]})" if units.get(k) else k for k in chosen])
        rows = list(zip(*(v.tolist() for v in chosen.values()), strict=False))
        out.writerows(rows)
        return len(rows)


def open_run(path: Path | str, stream: str = "primary") -> RunData:
    """The data of a run, while it runs and afterwards. Raises: StorageError when it is not there.

    Example: `open_run("00017_scan.nxs")["bpm4i"]`.
    """
    data = RunData(Path(path), stream)
    with open_file(data.path):
        return data
