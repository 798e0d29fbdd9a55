"""Room: pipes. A detector with a graph, as a device of a beamline that scans read at each point.

In: a graph whose source makes a frame for each trigger. Out: Bluesky documents that name the frame
of each point in the files that `frame_file` nodes write, and as readings whatever comes to a
`channel`: sums of regions, small arrays. A trigger is done when its frame is safe in every file and
every value of it is there: what is told afterwards exists. The graph's processes are started with
the first scan and kept warm; they are heard on a thread of their own.
"""

from __future__ import annotations

import asyncio
import math
import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from undula.core.errors import ConfigError, DeviceError, UndulaError
from undula.core.log import get_logger
from undula.devices.sim.status import SimStatus
from undula.devices.telling import SILENT, Telling
from undula.files.frame_file import DATASET
from undula.files.frames import frames_in
from undula.pipes.frame import Array, Frame
from undula.pipes.graph import Graph, checked, load_graph, read_graph
from undula.pipes.nodes.user_nodes import NodeFolder
from undula.pipes.runner.runner import Runner

LOOK_S = 0.2
MAX_FILES = 10_000
Work = Callable[[Runner], object]


@dataclass(slots=True)
class _File:
    """A file that a node of the graph writes in this run; a second one when that node died."""

    path: Path
    shape: tuple[int, ...]
    dtype: str
    uid: str = field(default_factory=lambda: str(uuid.uuid4()))
    frames: int = 0
    told: bool = False


@dataclass(slots=True)
class _Awaited:
    """A trigger: its frame, and until when it must be there."""

    seq_num: int
    status: SimStatus
    end: float
    values: dict[str, Array] = field(default_factory=dict)


class GraphDetector:
    """A detector whose frames go through a graph.

    Args:
        graph: path of a graph file, or the graph itself.
        nodes: the beamline's folder of nodes, where the graph uses some.
        frame_timeout: seconds that a frame may take through the graph beyond its count time.
    Raises: GraphError with every fault of the graph; ConfigError when it has not one source.
    """

    parent = None
    instant = False
    tell: Telling = SILENT

    def __init__(
        self, name: str, *, graph: str | Mapping[str, Any], nodes: str | None = None,
        frame_timeout: float = 8.0,
    ) -> None:  # fmt: skip
        self.name = name
        self._nodes = None if nodes is None else Path(nodes)
        self._types = NodeFolder(self._nodes)
        plain = load_graph(Path(graph)) if isinstance(graph, str) else read_graph(graph, name)
        self.graph: Graph = checked(plain, self._types)
        sources = [n for n, s in self.graph.nodes.items() if not self._types[s.kind].inputs]
        if len(sources) != 1:
            raise ConfigError(
                f"the graph of {name} has {len(sources)} sources",
                remedy="give it one, which makes a frame for each trigger",
                where=name,
            )
        self._source = sources[0]
        self._writers = [n for n, s in self.graph.nodes.items() if s.kind == "frame_file"]
        channels = {n for n, s in self.graph.nodes.items() if s.kind == "channel"}
        self._values = {
            e.name: self._key(e.start) for e in self.graph.edges if e.target in channels
        }
        self._timeout_s = frame_timeout
        self._work: queue.SimpleQueue[Work] = queue.SimpleQueue()
        self._runner: Runner | None = None
        self._starting: list[SimStatus] = []
        self._thread: threading.Thread | None = None
        self._run: Path | None = None
        self._triggers = 0
        self._awaited: _Awaited | None = None
        self._heard: dict[str, dict[int, Array]] = {edge: {} for edge in self._values}
        self._last: dict[str, Array] = {}
        self._stamp, self._fresh = 0.0, True
        self._files: dict[str, list[_File]] = {}
        self._documents: list[tuple[str, dict[str, Any]]] = []

    def _key(self, end: str) -> str:
        return f"{self.name}_{end.replace('.', '_')}"

    def _frames_key(self, writer: str) -> str:
        return self.name if len(self._writers) == 1 else f"{self.name}_{writer}"

    @property
    def hints(self) -> dict[str, Any]:
        """Values of one number are worth a column and a curve."""
        numbers = [k for k, value in self._last.items() if value.ndim == 0]
        return {"fields": numbers or list(self._values.values())[:1]}

    # ---- the thread ----------------------------------------------------------------------------

    def _ask(self, work: Work) -> None:
        """Let the thread do something with the runner; it is started with the first work."""
        self._work.put(work)
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._serve, name=f"{self.name}-graph")
            self._thread.daemon = True
            self._thread.start()
        elif self._runner is not None:
            self._runner.wake()

    def _serve(self) -> None:
        runner = Runner(self.graph, self._types, nodes=self._nodes)
        runner.heard = self._hear
        self._triggers = 0
        try:
            runner.start()
            self._runner = runner
            runner.begin(triggered=True)
            while not runner.over:
                self._started()
                self._do_all(runner)
                runner.pump(LOOK_S)
                self._judge(runner)
        except UndulaError as exc:
            self._started(exc)
            self._give_up(exc)
        finally:
            self._runner = None
            runner.close()
        self._give_up(DeviceError("its graph has ended", remedy="trigger it again"))

    def _started(self, error: UndulaError | None = None) -> None:
        starting, self._starting = self._starting, []
        for status in starting:
            status.finish(error)

    def _do_all(self, runner: Runner) -> None:
        while True:
            try:
                work = self._work.get_nowait()
            except queue.Empty:
                return
            try:
                work(runner)
            except UndulaError as exc:
                get_logger().warning("graph_not_ready", device=self.name, error=str(exc))
                self._give_up(exc)

    def _hear(self, edge: str, frame: Frame) -> None:
        if edge in self._heard:
            self._heard[edge][frame.seq_num] = np.array(frame.data)

    def _judge(self, runner: Runner) -> None:
        """Whether the frame that is waited for is through."""
        awaited = self._awaited
        if awaited is None:
            return
        number = awaited.seq_num
        if not number:
            return
        safe = all(runner.is_safe(writer, number) for writer in self._writers)
        if safe and all(number in values for values in self._heard.values()):
            self._awaited = None
            try:
                self._through(number)
            except UndulaError as exc:
                awaited.status.finish(exc)
            else:
                awaited.status.finish()
        elif time.monotonic() > awaited.end:
            self._give_up(self._where_it_went(runner, number))

    def _through(self, number: int) -> None:
        """A frame is safe and its values are here: keep both for `read` and the documents."""
        self._stamp = time.time()
        for edge, key in self._values.items():
            value = self._heard[edge].pop(number)
            self._last[key] = value.reshape(()) if value.size == 1 else value
            self._heard[edge].clear()
        for writer in self._writers:
            file = self._file(writer)
            key = self._frames_key(writer)
            if not file.told:
                file.told = True
                self._documents.append(("stream_resource", _resource(file, key)))
            self._documents.append(("stream_datum", _datum(file)))
            file.frames += 1

    def _file(self, writer: str) -> _File:
        """The file that has the newest frame of this writer. Raises: DeviceError."""
        files = self._files.setdefault(writer, [])
        known = {file.path for file in files}
        for path in reversed(self._paths(writer)):
            if path in known:
                break
            opened = _opened(path)
            if opened is not None:
                files.append(_File(path, *opened))
                self.tell.file(path, "open")
                break
        if not files:
            raise DeviceError(
                "its frames were written, and there is no file",
                remedy="see whether somebody removes files in the data folder",
                device=self.name,
            )
        return files[-1]

    def _paths(self, writer: str) -> list[Path]:
        if self._run is None:
            return []
        return sorted(self._run.parent.glob(f"{self._stem(writer)}_[0-9][0-9][0-9][0-9].h5"))

    def _stem(self, writer: str) -> str:
        return f"{self._run.stem if self._run else 'frames'}_{self._frames_key(writer)}"

    def _where_it_went(self, runner: Runner, number: int) -> DeviceError:
        errors = [f"{n.name}: {n.error}" for n in runner.status.nodes.values() if n.error]
        blocked = [f"{n.name} is held up by {', '.join(n.blocked_by)}"
                   for n in runner.status.nodes.values() if n.blocked_by]  # fmt: skip
        late = [w for w in self._writers if not runner.is_safe(w, number)]
        late += [edge for edge, values in self._heard.items() if number not in values]
        what = "; ".join([*errors, *blocked]) or "no node says why"
        return DeviceError(
            f"frame {number} did not come to {', '.join(late)} in {self._timeout_s:g} s: {what}",
            remedy="look at that node: undula pipes show, undula logs",
            device=self.name,
        )

    def _give_up(self, error: UndulaError) -> None:
        awaited, self._awaited = self._awaited, None
        if awaited is not None:
            awaited.status.finish(error)

    # ---- told before a run ---------------------------------------------------------------------

    def set_run_path(self, path: Path) -> None:
        """A run begins, its file is `path`: the frames go beside it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._run = path
        self._forget()

    def stage(self) -> SimStatus:
        """Forget what was; done when the graph runs."""
        self._forget()
        status = SimStatus(self)
        self._starting.append(status)
        self._ask(lambda _: None)
        return status

    def _forget(self) -> None:
        self._files, self._documents, self._last = {}, [], {}
        self._fresh = True

    def _prepare(self, runner: Runner) -> None:
        for node in self.graph.nodes:
            if node in runner.channels or node == self._source:
                continue
            if node in self._writers and self._run is not None:
                runner.change(
                    node, folder=str(self._run.parent), name_of_files=self._stem(node), flush_s=0.0
                )
            runner.clear(node)

    def unstage(self) -> list[object]:
        """The graph stays warm for the next scan."""
        return [self]

    # ---- the run -------------------------------------------------------------------------------

    def trigger(self) -> SimStatus:
        """Take one frame; done when it is safe in its files and its values are here."""
        status = SimStatus(self)

        def work(runner: Runner) -> None:
            self._give_up(DeviceError("it was triggered again", remedy="wait for it first"))
            self._awaited = _Awaited(0, status, math.inf)
            if self._fresh:  # the first frame of a run: new files, sums from the beginning
                self._fresh = False
                self._prepare(runner)
            self._triggers += 1
            self._awaited = _Awaited(self._triggers, status, time.monotonic() + self._timeout_s)
            runner.trigger(self._source)

        self._ask(work)
        return status

    def read(self) -> dict[str, Any]:
        """What came to the channels with the last trigger; frames are named by documents."""
        return {
            key: {"value": value.item() if value.ndim == 0 else value, "timestamp": self._stamp}
            for key, value in self._last.items()
        }

    def describe(self) -> dict[str, Any]:
        """Data keys of the frames and of the values, as far as they have been seen."""
        found: dict[str, Any] = {}
        for writer in self._writers:
            files = self._files.get(writer)
            key = self._frames_key(writer)
            if files:
                found[key] = {
                    "source": f"pipes:{self.graph.name}/{writer}",
                    "dtype": "array",
                    "dtype_numpy": files[-1].dtype,
                    "shape": [1, *files[-1].shape],
                    "external": "STREAM:",
                }
        for edge, key in self._values.items():
            value = self._last.get(key)
            if value is not None:
                found[key] = {
                    "source": f"pipes:{self.graph.name}/{edge.partition(' ')[0]}",
                    "dtype": "array" if value.ndim else "number",
                    "dtype_numpy": value.dtype.str,
                    "shape": list(value.shape),
                }
        return found

    def read_configuration(self) -> dict[str, Any]:
        """The graph, as it is written."""
        text = repr(self.graph.plain())
        return {f"{self.name}_graph": {"value": text, "timestamp": self._stamp or time.time()}}

    def describe_configuration(self) -> dict[str, Any]:
        """One text."""
        key = {"source": f"pipes:{self.graph.name}", "dtype": "string", "shape": []}
        return {f"{self.name}_graph": key}

    def collect_asset_docs(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Documents that name the frame of this point."""
        found, self._documents = self._documents, []
        yield from found

    async def finish_data(self) -> None:
        """Close the files and compare them with the points. Raises: DeviceError."""
        await asyncio.to_thread(self._finish)

    def _finish(self) -> None:
        done = threading.Event()

        def close(runner: Runner) -> None:
            try:
                for writer in self._writers:
                    runner.clear(writer)
            finally:
                done.set()

        if self._runner is not None:
            self._ask(close)
            done.wait(self._timeout_s)
        for file in (file for files in self._files.values() for file in files):
            there = frames_in(file.path, DATASET)
            missing = there is None or there < file.frames
            self.tell.file(
                file.path, "missing" if missing else "closed", dataset=DATASET, frames=there
            )
            if missing:
                raise DeviceError(
                    f"{file.path} holds {there or 0} frames, and {file.frames} points name one",
                    remedy="see whether somebody else changed that file",
                    device=self.name,
                )

    def stop(self, success: bool = False) -> None:
        """Give up the frame that is waited for."""
        del success
        self._give_up(DeviceError("it was stopped", remedy="trigger it again", device=self.name))

    def close(self) -> None:
        """End the graph's processes; the next trigger starts them anew."""
        thread, runner = self._thread, self._runner
        if thread is not None and runner is not None:
            self._ask(lambda runner: runner.stop())
            thread.join(self._timeout_s)
        get_logger().info("graph_ended", device=self.name)


def _opened(path: Path) -> tuple[tuple[int, ...], str] | None:
    """Shape and dtype of the frames in a file that is being written; None before it has any."""
    import h5py

    try:
        with h5py.File(path, "r", swmr=True, locking=False) as file:
            data = file[DATASET]
            return tuple(data.shape[1:]), str(data.dtype.str)
    except (OSError, KeyError):
        return None


def _resource(file: _File, key: str) -> dict[str, Any]:
    return {
        "uid": file.uid,
        "data_key": key,
        "mimetype": "application/x-hdf5",
        "uri": f"file://localhost{file.path.absolute()}",
        "parameters": {"dataset": DATASET, "chunk_shape": [1, *file.shape]},
    }


def _datum(file: _File) -> dict[str, Any]:
    return {
        "uid": f"{file.uid}/{file.frames}",
        "stream_resource": file.uid,
        "descriptor": "",
        "indices": {"start": file.frames, "stop": file.frames + 1},
        "seq_nums": {"start": 0, "stop": 0},
    }
