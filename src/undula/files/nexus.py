"""Room: files. The NeXus file of a run, written from event-model documents while it runs.

In: `(name, document)` in order. Out: one HDF5 file, followed live (SWMR) from the moment when its
expected streams are declared, plus one linked file for each stream declared after that.
Called by: `writer`. Not here: default plot (`plot`), growth (`columns`), fixed parts (`layout`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from undula.files.columns import StreamTable
from undula.files.device_files import link_device_files
from undula.files.documents import (
    Document,
    devices,
    dimensions,
    expected_streams,
    h5_name,
    key_layout,
)
from undula.files.frames import FrameLinks, Stream
from undula.files.late import LateFile, write_final
from undula.files.layout import (
    device_group,
    link_configuration,
    link_main_value,
    nx_group,
    write_configuration,
    write_entry,
    write_value,
)
from undula.files.layout_fill import LayoutFill, chosen_layout
from undula.files.logs import Log, is_log, lay_logs
from undula.files.places import Place, can_follow_live, check_space, storage_error
from undula.files.plot import Plot
from undula.files.points import STEERING, Part, Turns, write_points
from undula.files.process import Process, changes_of, ledger_of, write_process

PATIENCE_EVENTS = 1000
"""Events of other streams after which a file without a primary stream is opened to readers."""


class NexusFile:
    """The file of one run. Not thread-safe.

    `create` never touches an existing file: a name that is taken by another run gets a suffix, see
    `path`. All errors of the file system come as StorageError and leave the instance unusable.
    """

    def __init__(self, file: Any, place: Place, start: Document, *, live: bool, hold: bool) -> None:
        self._file = file
        self._place = place
        self._start = start
        self._may_live = live
        self._hold = hold
        self._streams: dict[str, Stream] = {}
        self._stream_of: dict[str, Stream] = {}
        self._late: dict[str, LateFile] = {}
        self._resources: dict[str, Document] = {}
        self._frames = FrameLinks(self.path.parent)
        self._other: list[tuple[str, Document]] = []
        self._turns: list[Document] = []
        self._processes: dict[str, Process] = {}
        self._plot: Plot | None = None
        self._logs: list[Log] | None = None
        layout = chosen_layout(start)
        self._fill = None if layout is None else LayoutFill(layout, start)
        self._main: str | None = None
        self._opened = False
        self._dirty = False
        self.closed = False
        self.num_events: dict[str, int] = {}
        self.retaken = 0
        """Rows of `primary` whose point was taken again, known at the close."""
        self._entry = write_entry(file, place.path, start)

    @classmethod
    def create(
        cls,
        path: Path,
        start: Document,
        *,
        live: bool | None = None,
        hold: bool = False,
    ) -> NexusFile:
        """A new file for the run of `start`.

        Args:
            path: the wanted name; a foreign file there makes it `NAME_1`.
            start: the start document.
            live: let readers follow (SWMR); None: where the file system can.
            hold: keep the file hidden until `publish` (a rebuilding).
        Raises: StorageError naming the folder.
        """
        place = Place(path, str(start["uid"]))
        check_space(path.parent)
        try:
            file = h5py.File(place.hidden, "x", libver=("v110", "v110"))
            may_live = can_follow_live(path.parent) if live is None else live
            return cls(file, place, start, live=may_live, hold=hold)
        except OSError as exc:
            raise storage_error(exc, path.parent) from exc

    @contextmanager
    def _storage(self) -> Iterator[None]:
        """What HDF5 and the file system raise, as StorageError."""
        try:
            yield
        except OSError as exc:
            raise storage_error(exc, self.path.parent) from exc
        except RuntimeError as exc:
            raise storage_error(OSError(str(exc)), self.path.parent) from exc

    @property
    def path(self) -> Path:
        """The file's name (before `publish`: the one it is going to get)."""
        return self._place.path

    @property
    def uid(self) -> str:
        """Uid of the run."""
        return str(self._start["uid"])

    @property
    def replaces(self) -> bool:
        """A file of this run is there already and is going to be replaced by `publish`."""
        return not self._place.published and self.path.exists()

    @property
    def readable(self) -> bool:
        """Laid out and named: a snapshot makes sense."""
        return self._opened and self._place.published

    @property
    def live(self) -> bool:
        """A reader may follow the file."""
        return self._opened and self._may_live

    @property
    def open_files(self) -> dict[Path, Any]:
        """Path to open h5py file, for snapshots; this one last, after those of late streams."""
        late = {one.place.path: one.file for one in self._late.values() if one.place.published}
        return {**late, self.path: self._file}

    def write(self, name: str, doc: Document) -> None:
        """Take one document; call `flush` from time to time."""
        with self._storage():
            self._write(name, doc)

    def add_process(self, process: Process) -> None:
        """A result to be written at the close; a later one of the same name holds."""
        self._processes[process.name] = process

    def _write(self, name: str, doc: Document) -> None:
        if name == "descriptor":
            self._declare(doc)
        elif name in ("event", "event_page"):
            self._take_event(name, doc)
        elif name == "stream_resource":
            self._resources[str(doc["uid"])] = doc
            if not self._opened:
                self._frames.link(doc, self._streams.values())
        elif name in ("resource", "datum", "datum_page"):
            self._other.append((name, doc))
        elif name == "stream_datum":
            self._take_datum(doc)

    def _declare(self, doc: Document) -> None:
        name = str(doc.get("name") or "primary")
        if self._opened and name not in self._streams:
            late = self._late.get(name)
            if late is None:
                late = self._late[name] = LateFile.create(self.path, name, self._start)
                self._streams[name] = late.stream
            self._lay_out(late.stream, late.entry, doc, main=False)
            late.open_to_readers(live=self._may_live, hold=self._hold)
        else:
            stream = self._streams.get(name)
            if stream is None:
                group = nx_group(self._entry["collection"], h5_name(name), "NXcollection")
                stream = Stream(name, StreamTable(group, float(self._start["time"])))
                self._streams[name] = stream
            entry = self._late[name].entry if name in self._late else self._entry
            self._lay_out(stream, entry, doc, main=name == "primary" and name not in self._late)
        self._stream_of[str(doc["uid"])] = self._streams[name]
        self._dirty = True

    def _lay_out(self, stream: Stream, entry: Any, doc: Document, *, main: bool) -> None:
        """Datasets of the data keys that the stream does not have yet."""
        write_configuration(entry, self._start, doc)
        known = {d.name for d in stream.devices}
        for device in devices(self._start, doc):
            group = device_group(entry, self._start, device) if main else stream.table.group
            for key in device.keys:
                layout = key_layout(key, doc["data_keys"][key])
                if layout.external:
                    stream.external.setdefault(key, layout)
                    homes = [group, stream.table.group] if main else [group]
                    stream.homes.setdefault(key, homes)
                    stream.paths.setdefault(key, [str(g.name) for g in homes])
                elif key not in stream.table.columns:
                    stream.table.add_column(group, layout)
            if main:
                link_main_value(group, device)
                link_configuration(entry, group, device.name)
            if device.name not in known:
                stream.devices.append(device)

    def _take_event(self, name: str, doc: Document) -> None:
        stream = self._stream_of[str(doc["descriptor"])]
        if not self._opened and self._ready(stream):
            self._open_to_readers()
        if name == "event":
            stream.table.event(doc)
        else:
            stream.table.page(doc)
        self.num_events[stream.name] = stream.table.rows
        self._dirty = True
        if stream.name == STEERING and name == "event":
            self._turns.append(doc["data"])
            if self._plot is not None:
                self._plot.turns = Turns.of(self._turns)

    def _ready(self, stream: Stream) -> bool:
        """All streams are declared that a reader must find."""
        expected = expected_streams(self._start)
        if expected is not None and expected <= set(self._streams):
            return True
        if "primary" in self._streams and stream.name == "primary":
            return True
        return sum(self.num_events.values()) >= PATIENCE_EVENTS

    def _open_to_readers(self) -> None:
        """Lay out the plot, begin SWMR and give the file its name."""
        self._lay_plot()
        self._lay_logs()
        self._lay_layout()
        self._opened = True
        if self._may_live:
            self._file.swmr_mode = True
        else:
            self._file.flush()
        if not self._hold:
            self._place.publish()

    def _lay_plot(self) -> None:
        self._main = self._main_stream()
        if self._main is None or self._plot is not None:
            return
        stream = self._streams[self._main]
        self._plot = Plot(self._entry, self._start, stream.devices, stream.table)
        if not self._plot.signals and stream.external:
            self._plot.draw_external(next(iter(stream.external.values())))

    def _lay_logs(self) -> None:
        """Once, for the streams that are declared by then; later ones have them in their files."""
        if self._logs is None:
            found = [s for n, s in self._streams.items() if is_log(n) and n not in self._late]
            self._logs = [log for s in found for log in lay_logs(self._entry, self._start, s)]

    def _lay_layout(self) -> None:
        if self._fill is not None:
            self._fill.lay(self._entry, self._streams, self._main, self._plot)

    def _layout_grows(self) -> bool:
        return self._fill is not None and self._fill.knows_more(
            self._entry, self._streams, self._main, self._plot
        )

    @property
    def missing(self) -> list[str]:
        """`path: why` of what the layout requires and nothing gave, as of now."""
        return [] if self._fill is None else list(self._fill.missing)

    def _main_stream(self) -> str | None:
        if "primary" in self._streams:
            return "primary"
        hinted = [name for _, name in dimensions(self._start)]
        others = [n for n in self._streams if n != "baseline"]
        named = [n for n in hinted if n in self._streams]
        return next(iter([*named, *others]), None)

    def _take_datum(self, doc: Document) -> None:
        stream = self._stream_of.get(str(doc.get("descriptor")))
        if stream is not None:
            stop = int(doc["seq_nums"]["stop"]) - 1
            self.num_events[stream.name] = max(self.num_events.get(stream.name, 0), stop)
            self._frames.take(doc)

    def flush(self) -> bool:
        """Write what is pending and hand it to the kernel. False: there was nothing."""
        if not self._dirty:
            return False
        check_space(self.path.parent)
        with self._storage():
            # late ones first: a reader who sees a row has to see how it was steered
            for stream in sorted(self._streams.values(), key=lambda s: s.name not in self._late):
                rows = stream.table.flush()
                if self._plot is not None and stream.name == self._main:
                    self._plot.fill(rows)
                if self._fill is not None and self._opened and stream.name == self._main:
                    self._fill.grow(self._entry, stream.table)
                stream.table.flush_datasets()
            for log in self._all_logs():
                log.fill()
            for late in self._late.values():
                late.file.flush()
            self._file.flush()
        self._dirty = False
        return True

    def _all_logs(self) -> list[Log]:
        return [*(self._logs or ()), *(log for late in self._late.values() for log in late.logs)]

    def publish(self) -> Path:
        """Give a held file its name (replacing a damaged one of the same run)."""
        for late in self._late.values():
            late.place.publish()
        return self._place.publish()

    def close(self, stop: Document | None) -> Path:
        """Complete and close the file. Without a stop document it stays `open` and can be rebuilt.

        Returns: the file's path. Raises: StorageError.
        """
        if self.closed:
            return self.path
        self.flush()
        with self._storage():
            if stop is not None:
                for log in self._all_logs():
                    log.finish()
                write_final(self._entry, self._start, stop)
                for told in (ledger_of(stop), changes_of(stop)):
                    if told is not None:
                        self._processes.setdefault(told.name, told)
                for late in self._late.values():
                    late.finish(stop)
                if self._must_restructure():
                    self._reopen()
                    self._restructure()
            self._close_files()
        self.publish()
        self.closed = True
        return self.path

    def abandon(self) -> None:
        """Let go of the file after an error; a hidden one is removed, a named one stays."""
        self.closed = True
        try:
            self._close_files()
        except (OSError, RuntimeError, ValueError):
            return
        finally:
            self._place.forget()
            for late in self._late.values():
                late.place.forget()

    def _close_files(self) -> None:
        for late in self._late.values():
            late.file.close()
            late.place.edited()
        self._file.close()
        self._place.edited()

    def _must_restructure(self) -> bool:
        """Something is to be added that may not be done while readers follow."""
        return (
            self._plot is None
            or self._layout_grows()
            or bool(self._turns or self._late or self._resources or self._other or self._processes)
            or any(s.table.must_widen for s in self._streams.values())
        )

    def _reopen(self) -> None:
        """End SWMR. Links and types are changed in a copy, which then takes the file's place.

        HDF5 forbids most of it in a file that is followed (deleting there crashes the process), and
        a reader may hold the old one.
        """
        if not self.live:
            return
        table_of = [s.table for n, s in self._streams.items() if n not in self._late]
        self._file.close()
        self._file = self._place.edit()
        self._entry = self._file["entry"]
        for table in table_of:
            table.rebind(self._file)
        if self._plot is not None:
            self._plot.rebind(self._entry)
        for log in self._logs or ():
            log.rebind(self._file)
        for stream in self._streams.values():
            if stream.name not in self._late:
                stream.homes = {k: [self._file[p] for p in v] for k, v in stream.paths.items()}
        for late in self._late.values():
            if late.stream.table.must_widen:
                late.file.close()
                late.file = late.place.edit()
                late.stream.table.rebind(late.file)
                for log in late.logs:
                    log.rebind(late.file)

    def _restructure(self) -> None:
        for stream in self._streams.values():
            for column in stream.table.columns.values():
                column.widen()
        for name, late in self._late.items():
            self._entry["collection"][h5_name(name)] = h5py.ExternalLink(
                late.place.path.name, f"/entry/collection/{h5_name(name)}"
            )
            for log in late.logs:
                late.link_log(self._entry, log)
        for doc in self._resources.values():
            self._frames.link(doc, self._streams.values())
        self._frames.settle(list(self._streams.values()))
        if self._plot is None:
            self._lay_plot()
        if self._plot is not None:
            self._plot.turns = Turns.of(self._turns)
            self._plot.refill()
        self._write_points()
        if self._logs is None:
            self._lay_logs()
            for log in self._logs or ():
                log.fill()
                log.finish()
        self._lay_layout()
        if self._fill is not None and self._main is not None:
            self._fill.grow(self._entry, self._streams[self._main].table)
        named = [doc for name, doc in self._other if name == "resource"]
        link_device_files(self._entry, self.path.parent, named)
        self._write_resources()
        for process in self._processes.values():
            write_process(self._entry, process)

    def _write_points(self) -> None:
        """The point of each row, where rows do not simply follow the points."""
        primary = self._streams.get("primary")
        if not self._turns or primary is None or primary.name in self._late:
            return
        first = (self._start.get("continues") or {}).get("first_point", 1)
        group = primary.table.group
        part = Part(group["seq_num"][()], Turns.of(self._turns), int(first))
        self.retaken = int(part.replaced.sum())
        write_points(group, part)

    def _write_resources(self) -> None:
        docs = [*(("stream_resource", d) for d in self._resources.values()), *self._other]
        if docs:
            folder = nx_group(self._entry["collection"], "resources", "NXcollection")
            for number, (name, doc) in enumerate(docs):
                write_value(folder, f"{number:05d}_{name}", dict(doc))
