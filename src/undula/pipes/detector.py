"""Room: pipes. A detector with a graph, as a device of a beamline that scans read at each point.

In: a graph whose source makes a frame for each trigger. Out: Bluesky documents that name the frame
of each point in the files that `frame_file` nodes write, and as readings whatever comes to a
`channel`: sums of regions, small arrays. A trigger is done when its frame is safe in every file and
every value of it is there: what is told afterwards exists. The graph's processes are started with
the first scan and kept warm; they are heard on a thread of their own.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from undula.core.errors import ConfigError, DeviceError, InputError, UndulaError
from undula.core.log import get_logger
from undula.devices.sim.status import SimStatus
from undula.devices.telling import SILENT, Telling
from undula.files.frame_file import DATASET
from undula.files.frames import frames_in
from undula.pipes.frame import Array, Frame
from undula.pipes.graph import Graph, checked, load_graph, read_graph
from undula.pipes.nodes.user_nodes import NodeFolder
from undula.pipes.run_files import RunFiles
from undula.pipes.run_ledger import RunLedger, run_ledger
from undula.pipes.runner.runner import Runner
from undula.pipes.runner.status import GraphStatus

LOOK_S = 0.2
LEDGER_S = 2.0
"""So long the sums at the end of a run may take to agree."""
Work = Callable[[Runner], object]
Refused = Callable[[UndulaError], object]


@dataclass(slots=True)
class _Awaited:
    """A trigger: its frame, and until when it must be there."""

    seq_num: int
    status: SimStatus
    since: float = 0.0


class GraphDetector:
    """A detector whose frames go through a graph.

    Args:
        graph: path of a graph file, or the graph itself.
        nodes: the beamline's folder of nodes, where the graph uses some.
        frame_timeout: seconds that a frame may take to come from its source, beyond the count time.
        slow_after: seconds that a frame may be on its way before the scan pauses until it came.
    Raises: GraphError with every fault of the graph; ConfigError when it has not one source.

    It takes a count time (`set_count_time`) where its source has a PV for that.
    """

    parent = None
    instant = False
    tell: Telling = SILENT
    set_count_time: Callable[[float], None]
    """Expose for so many seconds a frame, at the next trigger; only where its source can."""

    def __init__(
        self, name: str, *, graph: str | Mapping[str, Any], nodes: str | None = None,
        frame_timeout: float = 8.0, slow_after: float = 3.0,
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
        self._count_time_s: float | None = None
        self._told_count_time_s: float | None = None
        source = self.graph.nodes[self._source].parameters
        self.default_count_time_s: float | None = None
        if source.get("exposure"):
            self.set_count_time = self._set_count_time
            self.default_count_time_s = source.get("exposure_s")
        self._writers = [n for n, s in self.graph.nodes.items() if s.kind == "frame_file"]
        channels = {n for n, s in self.graph.nodes.items() if s.kind == "channel"}
        self._values = {
            e.name: self._key(e.start) for e in self.graph.edges if e.target in channels
        }
        self._timeout_s, self._slow_s = frame_timeout, slow_after
        self.held_up = ""
        """Which edge cannot keep up, for the scan that then pauses; '' while all do."""
        self._first = 1
        self._ledger: RunLedger | None = None
        self._work: queue.SimpleQueue[tuple[Work, Refused]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._runner: Runner | None = None
        self._starting: list[SimStatus] = []
        self._thread: threading.Thread | None = None
        self._run: Path | None = None
        self._triggers = 0
        self._point, self._used = -1, True
        self._awaited: _Awaited | None = None
        self._away = False
        self._heard: dict[str, dict[int, Array]] = {edge: {} for edge in self._values}
        self._last: dict[str, Array] = {}
        self._stamp, self._fresh = 0.0, True
        self._files: dict[str, RunFiles] = {}
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

    @property
    def status(self) -> GraphStatus | None:
        """How its nodes and edges are doing; None while the graph is not running."""
        runner = self._runner
        return None if runner is None else runner.status

    # ---- the thread ----------------------------------------------------------------------------

    def _ask(self, work: Work, refused: Refused = lambda _: None) -> None:
        """Let the thread do something with the runner; it is started with the first work.

        `refused` is called in its place when the graph cannot start, or ends before it.
        """
        with self._lock:  # a thread that ends takes nothing more, and refuses what it has
            self._work.put((work, refused))
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name=f"{self.name}-graph")
                self._thread.daemon = True
                self._thread.start()
            elif self._runner is not None:
                self._runner.wake()

    def _serve(self) -> None:
        error: UndulaError = DeviceError(
            "its graph has ended", remedy="trigger it again: it is started anew", device=self.name
        )
        try:
            error = self._serve_graph() or error
        except UndulaError as exc:
            error = exc
        except Exception as exc:  # whatever it is, who waits must be told
            get_logger().exception("graph_broke", device=self.name)
            error = DeviceError(
                f"its graph ended: {type(exc).__name__}: {exc}",
                remedy="trigger it again: it is started anew; the log has more",
                device=self.name,
            )
        refused: list[Refused] = []
        with self._lock:
            self._thread = None
            while not self._work.empty():
                refused.append(self._work.get_nowait()[1])
        self._started(error)
        self._give_up(error)
        for refuse in refused:
            refuse(error)

    def _serve_graph(self) -> UndulaError | None:
        """Until the graph is over; why, when it broke. Raises: whatever breaks it."""
        runner = Runner(self.graph, self._types, nodes=self._nodes)
        runner.heard = self._hear
        runner.start()  # closes itself when it cannot
        try:
            self._triggers, self._fresh = 0, True
            self._forget_values()
            self._told_count_time_s = None
            self._runner = runner
            runner.begin(triggered=True)
            while not runner.over and not runner.failed:
                self._started()
                self._do_all(runner)
                runner.pump(LOOK_S)
                self._judge(runner)
                self._say_what_it_waits_for(runner)
                if runner.news:
                    self.tell.graph(runner.told)
            if not runner.failed:
                return None
            return DeviceError(
                f"its graph ended: {runner.failed}",
                remedy="look at that node: undula pipes show, undula logs",
                device=self.name,
            )
        finally:
            with self._lock:
                self._runner = None
            self._keep_ledger(runner)
            runner.close()

    def _started(self, error: UndulaError | None = None) -> None:
        starting, self._starting = self._starting, []
        for status in starting:
            status.finish(error)

    def _do_all(self, runner: Runner) -> None:
        while True:
            try:
                work, refused = self._work.get_nowait()
            except queue.Empty:
                return
            try:
                work(runner)
            except UndulaError as exc:
                get_logger().warning("graph_not_ready", device=self.name, error=str(exc))
                refused(exc)
                self._give_up(exc)
            except BaseException as exc:
                refused(DeviceError(f"{type(exc).__name__}: {exc}", remedy="see undula logs"))
                raise

    def _hear(self, edge: str, frame: Frame) -> None:
        if edge in self._heard:
            self._heard[edge][frame.seq_num] = np.array(frame.data)

    def _judge(self, runner: Runner) -> None:
        """Whether the frame that is waited for is through, cannot come, or is late."""
        awaited = self._awaited
        if awaited is None or not awaited.seq_num:
            return
        number = awaited.seq_num
        waited_s = time.monotonic() - awaited.since - (self._count_time_s or 0.0)
        safe = all(runner.is_safe(writer, number) for writer in self._writers)
        if safe and all(number in values for values in self._heard.values()):
            self._awaited, self.held_up = None, ""
            try:
                self._through(number)
            except UndulaError as exc:
                awaited.status.finish(exc)
            else:
                awaited.status.finish()
        elif runner.failed_on(number):
            self._give_up(self._where_it_went(runner, number, "it failed"))
        elif waited_s > min(self._slow_s, self._timeout_s):
            self.held_up = self._who_is_slow(runner, number)
            if not self.held_up and waited_s > self._timeout_s:
                self._give_up(self._where_it_went(runner, number, f"not in {self._timeout_s:g} s"))

    def _who_is_slow(self, runner: Runner, number: int) -> str:
        """The edges where a frame is on its way, and of what lives behind them."""
        edges = runner.waits_at(number)
        source = runner.status.nodes[self._source]
        if not edges:
            return f"{source.name} waits for {source.waits_for}" if source.away else ""
        dead = [n.name for n in runner.status.nodes.values() if n.state == "dead"]
        again = f", {', '.join(dead)} is started again" if dead else ""
        return f"edge {', '.join(edges)} cannot keep up: frame {number} is on its way{again}"

    def _through(self, number: int) -> None:
        """A frame is safe and its values are here: keep both for `read` and the documents."""
        self._stamp = time.time()
        for edge, key in self._values.items():
            value = self._heard[edge].pop(number)
            self._last[key] = value.reshape(()) if value.size == 1 else value
            self._heard[edge].clear()
        for writer in self._writers:
            self._documents += self._files_of(writer).place(number)

    def _files_of(self, writer: str) -> RunFiles:
        """The files of a writer in this run; in a script without a run, in the current folder."""
        if writer not in self._files:
            folder = Path() if self._run is None else self._run.parent
            self._files[writer] = RunFiles(
                folder, self._stem(writer), self._frames_key(writer),
                lambda path: self.tell.file(path, "open"),
            )  # fmt: skip
        return self._files[writer]

    def _stem(self, writer: str) -> str:
        return f"{self._run.stem if self._run else 'frames'}_{self._frames_key(writer)}"

    def _where_it_went(self, runner: Runner, number: int, why: str) -> DeviceError:
        nodes = runner.status.nodes.values()
        errors = [f"{n.name}: {n.error}" for n in nodes if n.error]
        errors += [f"{n.name} waits for {n.waits_for}" for n in nodes if n.waits_for]
        late = [w for w in self._writers if not runner.is_safe(w, number)]
        late += [edge for edge, values in self._heard.items() if number not in values]
        return DeviceError(
            f"frame {number} did not come to {', '.join(late)}, {why}: "
            f"{'; '.join(errors) or 'no node says why'}",
            remedy="look at that node: undula pipes show, undula logs",
            device=self.name,
        )

    def _say_what_it_waits_for(self, runner: Runner) -> None:
        """In the log: its source hears nothing, and hears again."""
        source = runner.status.nodes[self._source]
        if source.away == self._away:
            return
        self._away = source.away
        if source.away:
            get_logger().warning("source_away", device=self.name, waits_for=source.waits_for)
        else:
            get_logger().info("source_there", device=self.name)

    def _give_up(self, error: UndulaError) -> None:
        awaited, self._awaited = self._awaited, None
        self.held_up = ""
        if awaited is not None:
            awaited.status.finish(error)

    # ---- told before a run ---------------------------------------------------------------------

    def _set_count_time(self, count_time_s: float) -> None:
        if not 0.0 <= count_time_s < float("inf"):
            raise InputError(
                f"{count_time_s} s is no count time", remedy="give 0 s or more", device=self.name
            )
        self._count_time_s = count_time_s

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
        self._ask(lambda _: None, status.finish)
        return status

    def _forget(self) -> None:
        self._files, self._documents, self._last = {}, [], {}
        self._ledger = None
        self._fresh = True
        self._point, self._used = -1, True

    def _forget_values(self) -> None:
        for values in self._heard.values():
            values.clear()

    def _prepare(self, runner: Runner) -> None:
        """The first frame of a run: new files, triggers from 0 on, sums from the beginning."""
        folder = Path() if self._run is None else self._run.parent
        self._first = runner.begin_run()
        self._forget_values()
        for node in self.graph.nodes:
            if node in runner.channels or node == self._source:
                continue
            if node in self._writers:
                runner.change(node, folder=str(folder), name_of_files=self._stem(node), flush_s=0.0)
            runner.clear(node)

    def unstage(self) -> list[object]:
        """The graph stays warm for the next scan."""
        return [self]

    # ---- the run -------------------------------------------------------------------------------

    def trigger(self) -> SimStatus:
        """Take one frame; done when it is safe in its files and its values are here."""
        status = SimStatus(self)
        self._point += self._used  # one that nobody has read is taken again
        self._used = False
        point = self._point

        def work(runner: Runner) -> None:
            self._give_up(DeviceError("it was triggered again", remedy="wait for it first"))
            # a frame whose point is taken again belongs to none
            self._documents = [one for one in self._documents if one[0] != "stream_datum"]
            self._awaited = _Awaited(0, status)
            if self._fresh:
                self._fresh = False
                self._prepare(runner)
            if self._count_time_s != self._told_count_time_s:
                runner.change(self._source, exposure_s=self._count_time_s)
                self._told_count_time_s = self._count_time_s
            self._triggers += 1
            self._awaited = _Awaited(self._triggers, status, time.monotonic())
            runner.trigger(self._source, point)

        self._ask(work, status.finish)
        return status

    def read(self) -> dict[str, Any]:
        """What came to the channels with the last trigger; frames are named by documents."""
        self._used = self._used or self._run is None  # in a script nobody asks for documents
        return {
            key: {"value": value.item() if value.ndim == 0 else value, "timestamp": self._stamp}
            for key, value in self._last.items()
        }

    def describe(self) -> dict[str, Any]:
        """Data keys of the frames and of the values, as far as they have been seen."""
        found: dict[str, Any] = {}
        for writer in self._writers:
            files = self._files[writer].files if writer in self._files else []
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
        found, self._documents, self._used = self._documents, [], True
        yield from found

    async def finish_data(self) -> None:
        """Close the files, compare them with the points, add up the ledger.

        Raises: DeviceError when a file lacks frames, or an edge lost some which may lose none.
        """
        await asyncio.to_thread(self._finish)

    def _finish(self) -> None:
        def close(runner: Runner) -> None:
            for writer in self._writers:
                runner.clear(writer)
            self._add_up(runner)

        self._wait_for(close, self._timeout_s + LEDGER_S)
        for file in (file for files in self._files.values() for file in files.files):
            there = frames_in(file.path, DATASET)
            missing = there is None or there < file.frames
            self.tell.file(
                file.path, "missing" if missing else "closed", dataset=DATASET, frames=there
            )
            if missing:
                raise DeviceError(
                    f"{file.path} holds {there or 0} frames, and the points name {file.frames}",
                    remedy="see whether somebody else changed that file",
                    device=self.name,
                )
        if self._ledger is not None and self._ledger.broken:
            raise DeviceError(
                f"frames are missing: {self._ledger.text}",
                remedy="take those points again; see why in undula logs",
                device=self.name,
            )

    def _wait_for(self, work: Work, timeout_s: float) -> None:
        """Let the thread do it, if the graph runs, and wait until it is done, or refused."""
        done = threading.Event()

        def do(runner: Runner) -> None:
            try:
                work(runner)
            finally:
                done.set()

        if self._runner is not None:
            self._ask(do, lambda _: done.set())
            done.wait(timeout_s)

    def _add_up(self, runner: Runner) -> None:
        """The ledger of the run, once all that is on its way through lossless edges is through."""
        end = time.monotonic() + LEDGER_S
        while True:
            heard = runner.tell(max(0.0, end - time.monotonic()))
            self._keep_ledger(runner)
            if not heard or self._ledger is None or self._ledger.complete:
                return
            if time.monotonic() >= end or not self._on_the_way():
                return
            runner.pump(LOOK_S / 10)

    def _on_the_way(self) -> bool:
        found = self._ledger
        return found is not None and any(c["on_the_way"] for c in found.edges.values())

    def _keep_ledger(self, runner: Runner) -> None:
        if self._fresh or self._triggers < self._first:
            return
        policies = {edge.name: edge.policy.text for edge in self.graph.edges}
        report = runner.outcome(self._triggers).report
        self._ledger = run_ledger(report, policies, self._first, self._triggers)

    def run_ledger(self) -> dict[str, Any] | None:
        """Where the frames of this run are, for its stop document; None before the first one."""
        if self._ledger is None:  # it was not finished: a run that failed, or was aborted
            self._wait_for(self._add_up, LEDGER_S)
        return None if self._ledger is None else self._ledger.plain()

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
