"""Room: files. Carries a layout out: groups, constants, links and readings where they belong.

In: the layout that a start document names, the streams, the plot. Out: HDF5 groups laid out before
a reader may look; what becomes known later (a baseline reading, a stream declared later) is added
at the close, in the copy that then takes the file's place. What is missing is said in the file
(`collection/file_layout`), and `definition` only when nothing that it requires is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
from pydantic import ValidationError

from undula.core.unit_kinds import fits
from undula.files.columns import CHUNK_ROWS, StreamTable, as_text
from undula.files.documents import Device, Document, h5_name
from undula.files.frames import Stream
from undula.files.layout import nx_group, write_value
from undula.files.plot import Plot
from undula.messages.layouts import ChosenLayout, LayoutField

HOME = "file_layout"


def chosen_layout(start: Document) -> ChosenLayout | None:
    """The layout that a start document names; None without one, or when it makes no sense."""
    said = start.get("file_layout")
    if not isinstance(said, Mapping):
        return None
    try:
        return ChosenLayout.model_validate(said)
    except ValidationError:
        return None


class NotGiven(Exception):  # noqa: N818  # caught here only
    """Why a field cannot be filled."""


class LayoutFill:
    """Fills one file by its layout. `lay` may be repeated: what is there stays."""

    def __init__(self, layout: ChosenLayout, start: Document) -> None:
        self.layout = layout
        self._start = start
        self._laid: set[int] = set()
        self._growing: list[str] = []
        self.missing: list[str] = []
        """`path: why` of each required field that nothing gave."""
        self.left_out: list[str] = []
        """The same of those that are not required."""

    def knows_more(
        self, entry: Any, streams: Mapping[str, Stream], main: str | None, plot: Plot | None
    ) -> bool:
        """`lay` would fill something now that it could not before."""
        sources = _Sources(entry, self._start, streams, main, plot)
        left = [f for n, f in enumerate(self.layout.fields) if n not in self._laid and f.sources]
        for field in left:
            try:
                sources.first(field)
            except (NotGiven, ValueError, TypeError, KeyError):
                continue
            return True
        return False

    def lay(
        self, entry: Any, streams: Mapping[str, Stream], main: str | None, plot: Plot | None
    ) -> None:
        """Make what can be made now. Structure is added: no reader may follow the file."""
        self.missing, self.left_out = [], []
        sources = _Sources(entry, self._start, streams, main, plot)
        for number, field in enumerate(self.layout.fields):
            if number in self._laid:
                continue
            try:
                self._lay(entry, field, sources)
                self._laid.add(number)
            except (NotGiven, ValueError, TypeError, KeyError) as reason:  # must cost no point
                kept = self.missing if field.required else self.left_out
                kept.append(f"{field.path}: {reason}")
        self._tell(entry)

    def _lay(self, entry: Any, field: LayoutField, sources: _Sources) -> None:
        folder, _, name = field.path.rpartition("/")
        if field.nx_class:
            _group(entry, folder, name, field)
            return
        known = _at(entry, field.path)
        if known is not None:
            return  # each file's own fields, and those of the beamline, go first
        try:
            found = sources.first(field)
        except NotGiven:
            if field.each_point is None:
                raise
            self._each_point(entry, field, sources)
            return
        parent = _folder(entry, folder)
        if isinstance(found, str):
            parent[name] = h5py.SoftLink(found)
        else:
            _constant(parent, name, found, field)

    def _each_point(self, entry: Any, field: LayoutField, sources: _Sources) -> None:
        folder, _, name = field.path.rpartition("/")
        value = field.each_point
        rows = sources.rows()
        data = _folder(entry, folder).create_dataset(
            name,
            shape=(rows,),
            maxshape=(None,),
            chunks=(CHUNK_ROWS,),
            dtype="<i8" if isinstance(value, int) else "<f8",
            fillvalue=value,
        )
        _marks(data, field)
        self._growing.append(field.path)

    def grow(self, entry: Any, table: StreamTable) -> None:
        """Give what has a number for each point as many as there are points."""
        for path in self._growing:
            data = entry[path]
            if data.shape[0] != table.seq_num.shape[0]:
                data.resize(table.seq_num.shape[0], axis=0)
                data.flush()

    def _tell(self, entry: Any) -> None:
        """What was chosen, whether it is met, and what is missing."""
        home = nx_group(entry["collection"], HOME, "NXcollection")
        write_value(home, "name", self.layout.name or None)
        write_value(home, "definition", self.layout.definition or None)
        for name, said in (("missing", self.missing), ("left_out", self.left_out)):
            if name in home:
                del home[name]
            if said:
                home.create_dataset(name, data=said, dtype=h5py.string_dtype("utf-8"))
        if self.layout.definition and not self.missing and "definition" not in entry:
            write_value(entry, "definition", self.layout.definition)


class _Sources:
    """Where the value of a field may come from, at one moment."""

    def __init__(
        self,
        entry: Any,
        start: Document,
        streams: Mapping[str, Stream],
        main: str | None,
        plot: Plot | None,
    ) -> None:
        self._entry, self._start, self._streams = entry, start, streams
        self._main, self._drawing = main, plot

    def rows(self) -> int:
        """Rows of the main stream that are written."""
        if self._main is None:
            raise NotGiven("there are no points")
        return int(self._streams[self._main].table.seq_num.shape[0])

    def first(self, field: LayoutField) -> Any:
        """Path of a link (str), or a constant."""
        reasons = []
        for source in field.sources:
            word, _, rest = source.partition(" ")
            try:
                found = getattr(self, f"_{word}")(rest)
                self._check_unit(field, source, found)
                return found
            except NotGiven as reason:
                reasons.append(str(reason))
        if field.value is not None:
            return _Value(field.value)
        raise NotGiven(", ".join(reasons) or "no source")

    def _check_unit(self, field: LayoutField, source: str, found: Any) -> None:
        """Raises: NotGiven when what a source gives is measured in another kind of unit."""
        if field.measures is None:
            return
        if isinstance(found, _Value):
            unit = field.unit or found.unit
        else:
            node = self._entry.get(found)
            unit = as_text(node.attrs.get("units", "")) if node is not None else ""
        if not fits(unit, field.measures):
            raise NotGiven(f"{source} is in {unit}, which is no {field.measures}")

    def _axis(self, rest: str) -> str:
        return self._drawn("axis", int(rest), None)

    def _signal(self, rest: str) -> str:
        return self._drawn("signal", int(rest), None)

    def _plotted(self) -> Plot:
        if self._drawing is None:
            raise NotGiven("nothing is drawn")
        return self._drawing

    def _drawn(self, kind: str, number: int, folder: str | None) -> str:
        plot = self._plotted()
        names = plot.signals if kind == "signal" else plot.axis_keys
        if number >= len(names):
            raise NotGiven(f"there is no {kind} {number}")
        key = names[number]
        if folder is not None:
            name = "elapsed_time" if key == "time" else h5_name(key)
            return f"{self._entry.name}/{folder}/{name}"
        return self._path(key)

    def _plot(self, rest: str) -> str:
        kind, _, number = rest.partition(" ")
        return self._drawn(kind, int(number), "data")

    def _frames(self, _: str) -> str:
        if self._main is not None:
            stream = self._streams[self._main]
            for device in stream.devices:
                for key in device.keys:
                    column = stream.table.columns.get(key)
                    if key in stream.external or (column and len(column.layout.shape) == 2):
                        return self._path(key)
        raise NotGiven("no detector gives images")

    def _device(self, name: str) -> Any:
        for stream in self._ordered():
            for device in stream.devices:
                if device.name == name and device.keys:
                    return self._reading(stream, main_key(device))
        raise NotGiven(f"{name} was not read")

    def _role(self, role: str) -> Any:
        about = self._start.get("devices") or {}
        for said in ("role", "tags", ""):
            for name, words in about.items():
                given = words.get(said) if said else name
                if given == role or (isinstance(given, list | tuple) and role in given):
                    try:
                        return self._device(str(name))
                    except NotGiven:
                        continue
        raise NotGiven(f"no device with role {role} was read")

    def _class(self, nx_class: str) -> Any:
        for name, words in (self._start.get("devices") or {}).items():
            if words.get("nx_class") == nx_class:
                return self._device(str(name))
        raise NotGiven(f"no device declared as {nx_class} was read")

    def _key(self, key: str) -> Any:
        for stream in self._ordered():
            if key in stream.table.columns or key in stream.external:
                return self._reading(stream, key)
        raise NotGiven(f"no device gave {key}")

    def _metadata(self, key: str) -> Any:
        found: Any = self._start
        for part in key.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        if found is None or found == "" or isinstance(found, Mapping):
            raise NotGiven(f"the metadata has no {key}")
        return _Value(found)

    def _config(self, rest: str) -> str:
        device, _, key = rest.partition(".")
        folder = f"collection/device_configuration/{h5_name(device)}"
        for name in (key, f"{device}_{key}"):
            if _at(self._entry, f"{folder}/{h5_name(name)}") is not None:
                return f"{self._entry.name}/{folder}/{h5_name(name)}"
        raise NotGiven(f"{device} has no configuration {key}")

    def _link(self, path: str) -> str:
        if _at(self._entry, path) is None:
            raise NotGiven(f"there is no {path}")
        return f"{self._entry.name}/{path}"

    def _ordered(self) -> list[Stream]:
        names = sorted(self._streams, key=lambda n: (n != self._main, n != "baseline"))
        return [self._streams[name] for name in names]

    def _path(self, key: str) -> str:
        """Where the readings of a data key of the main stream are."""
        stream = self._streams[str(self._main)]
        if key == "time":
            return f"{stream.table.group.name}/elapsed_time"
        if key in stream.external:
            return f"{stream.paths[key][0]}/{h5_name(key)}"
        return f"{stream.table.columns[key].group.name}/{h5_name(key)}"

    def _reading(self, stream: Stream, key: str) -> Any:
        """A link to all readings of the main stream; the first reading of another one."""
        if stream.name == self._main:
            return self._path(key)
        if key in stream.external:
            raise NotGiven(f"{key} lies in another file")
        value = stream.table.first(key)
        if value is None:
            raise NotGiven(f"{key} was not read yet")
        return _Value(value, stream.table.columns[key].layout.unit)


class _Value:
    """A constant with its unit."""

    def __init__(self, value: Any, unit: str = "") -> None:
        self.value, self.unit = value, unit


def main_key(device: Device) -> str:
    """The data key that stands for a device."""
    if device.hinted:
        return device.hinted[0]
    return device.name if device.name in device.keys else device.keys[0]


def _at(entry: Any, path: str) -> Any | None:
    """The node, or the link when it leads nowhere yet; None when there is neither."""
    folder, _, name = path.rpartition("/")
    try:
        parent = entry[folder] if folder else entry
        return parent.get(name, getlink=True) if isinstance(parent, h5py.Group) else None
    except KeyError:
        return None


def _folder(entry: Any, path: str) -> Any:
    """The group `path`, its parents made as collections where they are absent."""
    parent = entry
    for name in path.split("/") if path else ():
        if name not in parent:
            if parent.get(name, getlink=True) is not None:
                raise NotGiven(f"{name} leads nowhere")
            nx_group(parent, name, "NXcollection")
        parent = parent[name]
        if not isinstance(parent, h5py.Group):
            raise NotGiven(f"{name} is no group")
    return parent


def _group(entry: Any, folder: str, name: str, field: LayoutField) -> None:
    parent = _folder(entry, folder)
    if name in parent and not isinstance(parent[name], h5py.Group):
        raise NotGiven(f"{name} is no group")
    group = nx_group(parent, name, field.nx_class)
    for key, value in field.attributes.items():
        if key not in group.attrs:
            group.attrs[key] = value


def _constant(parent: Any, name: str, found: _Value, field: LayoutField) -> None:
    value = found.value
    if isinstance(value, list | tuple) and value and all(isinstance(v, str) for v in value):
        data = parent.create_dataset(name, data=list(value), dtype=h5py.string_dtype("utf-8"))
    elif isinstance(value, str):
        data = parent.create_dataset(name, data=value.replace("\0", ""))
    else:
        array = np.asarray(value)
        plain = array.dtype.kind in "fiub"
        data = parent.create_dataset(name, data=array if plain else as_text(value))
    _marks(data, field, found.unit)


def _marks(data: Any, field: LayoutField, unit: str = "") -> None:
    if data.dtype.kind in "fiub":
        data.attrs["units"] = field.unit or unit
    for key, value in field.attributes.items():
        data.attrs[key] = value
