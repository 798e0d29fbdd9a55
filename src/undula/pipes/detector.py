"""Room: pipes. A detector with a graph, as a device of a beamline that scans read at each point.

In: a graph whose source makes a frame for each trigger. Out: Bluesky documents that name the frame
of each point in the files that `frame_file` nodes write, and as readings whatever comes to a
`channel`: sums of regions, small arrays. A trigger is done when its frame is safe in every file and
every value of it is there, or cannot come: what is told afterwards exists. What the graph must be
like is in `for_scans`, the way of a frame in `points`, the thread in `graph_thread`.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from undula.core.errors import DeviceError, InputError, UndulaError
from undula.core.log import get_logger
from undula.devices.sim.status import SimStatus
from undula.devices.telling import SILENT, Telling
from undula.pipes.disk_use import DiskUse
from undula.pipes.errors import GraphError
from undula.pipes.for_scans import Configuration, Grid, ScanGraph, configuration_key
from undula.pipes.graph import Graph
from undula.pipes.graph_of_device import fault_of_config, nodes_there, usable_graph
from undula.pipes.graph_thread import LOOK_S, GraphThread
from undula.pipes.live_graph import LiveGraph
from undula.pipes.map_room import MapRoom, behind
from undula.pipes.noticed import SourceWatch, ViewerWatch
from undula.pipes.pictures import forget_pictures
from undula.pipes.points import Awaited, Points
from undula.pipes.run_books import LEDGER_S, RunBooks
from undula.pipes.run_files import RunFiles, StillMarked, close_files
from undula.pipes.runner.runner import Runner
from undula.pipes.runner.status import GraphStatus

REMEMBERED = 1000
"""Triggers that a plan may repeat after a pause."""
BEGIN_S = 8.0
"""So long the nodes may take to begin a run: the scan would give the trigger up soon after."""
ASLEEP_S = 1.0
"""A viewer that has not begun a run for so long is said to sleep."""


class GraphDetector:
    """A detector whose frames go through a graph.

    Args:
        graph: path of a graph file, or the graph itself.
        nodes: a folder of nodes; by default `nodes` of the beamline.
        frame_timeout: seconds that a frame may take to come from its source, beyond the count time.
        slow_after: seconds that a frame may be on its way, beyond the count time, before the scan
            pauses until it came.
        idle_after: seconds without a scan after which its processes end; the next scan starts them
            anew.
        place: hosts by node, in place of what the graph says; `here` is this one.
        spill: folder for frames of `spill(...)` edges; by default that of the run's files.
    Raises: GraphError with every fault of the graph, also those that only a detector's has.

    Its source counts as long as it is told (`obeys_count_time`) where it has a PV for that; any
    other is only waited for as long.
    """

    parent = None
    instant = False
    tell: Telling = SILENT

    def __init__(
        self, name: str, *, graph: str | Mapping[str, Any], nodes: str | None = None,
        frame_timeout: float = 8.0, slow_after: float = 3.0, idle_after: float = 300.0,
        place: Mapping[str, str] | None = None, spill: str | None = None,
    ) -> None:  # fmt: skip
        self.name = name
        there = nodes_there(nodes)
        self._spill = None if spill is None else Path(spill)
        scan = usable_graph(name, graph, there, place)
        self.frame_timeout_s, self._slow_s = frame_timeout, slow_after
        self._count_time_s: float | None = None
        self._told_count_time_s: float | None = None
        self.held_up = ""
        """Which edge cannot keep up, for the scan that then pauses; '' while all do."""
        self.away_s: float | None = None
        """So long a frame should take, s, while its source is away; None while it is there."""
        self._thread = GraphThread(self, idle_after)
        self.live_graph = LiveGraph(scan, self._thread, there, self._use)
        self._began_with = scan.types
        self._staged = False
        self._turn = 0
        self._lock = threading.Lock()
        """Held while what is kept of a run is put away, or a frame is added to it."""
        self._points = Points(scan)
        self.obeys_count_time = self.scan.exposure_s is not None
        self._books = RunBooks()
        self._points.place_of = self._books.place_of
        self._fresh = True
        self._starting: list[SimStatus] = []
        self._run: Path | None = None
        self._place: Callable[[], int] | None = None
        self._grid: Grid = ((), ())
        self._of_scan: dict[str, dict[str, Any]] = {}
        self._map_room = MapRoom()
        self._point, self._used = -1, True
        self._given: deque[int] = deque(maxlen=REMEMBERED)
        self._awaited: Awaited | None = None
        self._source, self._viewers = SourceWatch(name), ViewerWatch(name)
        self._causes: Mapping[str, str] = {}
        self._waiting: SimStatus | None = None
        self._stamp = 0.0
        self._files: dict[str, RunFiles] = {}
        self._still_marked = StillMarked()
        self._disk_use = DiskUse()
        self._documents: list[tuple[str, dict[str, Any]]] = []

    @classmethod
    def check_config(cls, config: dict[str, Any]) -> None:
        """Raises: InputError with every fault of the graph that a device file gives."""
        nodes = nodes_there(config.get("nodes"))
        try:
            usable_graph("graph", config.get("graph", {}), nodes, config.get("place"))
        except GraphError as error:
            raise fault_of_config(error) from error

    @property
    def scan(self) -> ScanGraph:
        """The graph with its parameters as they are now, as scans use it."""
        return self.live_graph.scan

    @property
    def graph(self) -> Graph:
        """The graph with its parameters as they are now."""
        return self.scan.graph

    @property
    def default_count_time_s(self) -> float:
        """So long it counts in a scan that says nothing of it."""
        return self.scan.exposure_s or 0.0

    @property
    def hints(self) -> dict[str, Any]:
        """Values of one number are worth a column and a curve."""
        numbers = self._points.numbers
        return {"fields": numbers or [value.key for value in self.scan.values.values()][:1]}

    @property
    def status(self) -> GraphStatus | None:
        """How its nodes and edges are doing; None while the graph is not running."""
        runner = self._thread.runner
        return None if runner is None else runner.status

    # ---- on the thread of the graph ------------------------------------------------------------

    def make_runner(self) -> Runner:
        """The graph, not yet started."""
        beside = None if self._run is None else self._run.parent
        self._began_with = self.scan.types
        return Runner(self.graph, self.scan.types, spill=self._spill or beside)

    def graph_began(self, runner: Runner) -> None:
        """It is started: who staged the detector need wait no longer."""
        runner.heard = self._points.hear
        self._books.restart()
        self._fresh = True
        self._map_room.restart()
        self._points.forget_frames()
        self._told_count_time_s = None
        runner.begin(triggered=True)
        self._started()

    def graph_turn(self, runner: Runner) -> float:
        """Look after the frame that is waited for."""
        self._started()
        self._judge(runner)
        self._source.look(runner.status.nodes[self.scan.source])
        self._viewers.look(runner.asleep(ASLEEP_S), runner.status.nodes)
        if runner.news:
            self.tell.graph(runner.told)
        awaited = self._awaited
        if awaited is None:
            return LOOK_S
        return min(LOOK_S, max(0.0, awaited.ask_at - time.monotonic()))

    @property
    def busy(self) -> bool:
        """Whether a scan has it, or a frame is waited for."""
        return self._staged or self._waiting is not None

    def graph_ends(self, runner: Runner) -> None:
        """Keep what its ledger says; where it broke, with what its processes still know."""
        if runner.failed:
            runner.tell(LEDGER_S)
        self._books.keep(runner, self.graph)
        self.tell.graph(runner.told)
        forget_pictures(self.name)

    def graph_broke(self, error: UndulaError) -> None:
        """Nobody need wait any longer."""
        self._started(error)
        self._give_up(error)

    def _started(self, error: UndulaError | None = None) -> None:
        starting, self._starting = self._starting, []
        for status in starting:
            status.finish(error)

    def _judge(self, runner: Runner) -> None:
        """Whether the frame that is waited for is through, cannot come, or is late."""
        awaited = self._awaited
        if awaited is None:
            return
        found = self._points.judge(awaited, runner, time.monotonic())
        if found.through:
            try:
                self._through(runner, awaited, found.without)
            except UndulaError as exc:
                self._give_up(exc)
            else:
                self._give_up(None)
        elif found.error is not None:
            self._give_up(found.error)
        else:
            self.held_up = found.held_up
            self.away_s = awaited.timeout_s if found.away else None
            if found.ask:
                runner.ask()

    def _through(self, runner: Runner, awaited: Awaited, without: Mapping[str, str]) -> None:
        """A frame is safe and its values are here: keep both for `read` and the documents."""
        number = awaited.seq_num
        with self._lock:
            if self._awaited is not awaited:
                return  # it was stopped just now: nothing of it belongs to the next run
            self._stamp = time.time()
            self._points.take(number, without, self._books.place_of(number))
            for writer in self.scan.writers:
                if writer not in self._files:
                    raise DeviceError(
                        f"its frame {number} is in no file of this run that {writer} writes",
                        remedy="trigger it again",
                        device=self.name,
                    )
                self._documents += self._files[writer].place(number, runner.restarts(writer))

    def _stem(self, writer: str) -> str:
        return f"{self._run.stem if self._run else 'frames'}_{self.scan.frames_key(writer)}"

    def _give_up(self, error: UndulaError | None) -> None:
        """Wait for no frame any more, because it came, or because of an error."""
        waiting, self._waiting, self._awaited = self._waiting, None, None
        self.held_up, self.away_s = "", None
        if waiting is not None:
            waiting.finish(error)

    # ---- told before a run ---------------------------------------------------------------------

    def set_run_path(self, path: Path) -> None:
        """A run begins, its file is `path`: the frames go beside it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._run = path
        self.live_graph.begin_run()
        self._forget()

    def frame_bytes(self) -> int:
        """So much its files will grow at each point, as far as one can know beforehand."""
        return self._disk_use.bytes_per_point(self.scan)

    def follow_points(self, place: Callable[[], int] | None) -> None:
        """`place` says the index, from 0, of the point that is triggered; None: it is counted."""
        self._place = place

    def set_grid(self, shape: tuple[int, ...], snaking: tuple[bool, ...]) -> None:
        """The points of the run lie on this grid: for maps that do not say theirs.

        Args:
            shape: points of each axis, the fast one last; empty: nobody knows.
            snaking: for each axis whether it runs back on every other pass.
        """
        self._grid = shape, snaking
        runner, room = self._thread.runner, self._map_room
        if self._staged and runner is not None:
            points = room.points({node: runner.restarts(node) for node in room.nodes})
            if 0 < points < math.prod(shape):
                self._thread.renew()

    def repeat_triggers(self, count: int) -> None:
        """The plan was paused and repeats its last triggers, also of points that were read."""
        if self._given:
            self._point, self._used = self._given[max(-count, -len(self._given))], False

    def set_count_time(self, count_time_s: float) -> None:
        """Its source counts for so many seconds: a frame may take as much longer to come."""
        if not 0.0 <= count_time_s < float("inf"):
            raise InputError(
                f"{count_time_s} s is no count time", remedy="give 0 s or more", device=self.name
            )
        self._count_time_s = count_time_s

    def stage(self) -> SimStatus:
        """Forget what was; done when the graph runs, by the files of its nodes as they are now.

        Raises: InputError when the graph does not fit nodes that were saved.
        """
        self._forget()
        for fault in self.live_graph.look(begins=True):
            get_logger().warning("former_nodes_used", device=self.name, error=fault)
        if self._began_with is not self.scan.types:
            self._thread.renew()
        self._staged = True
        status = SimStatus(self)
        self._starting.append(status)
        self._thread.ask(lambda _: None, status.finish)
        return status

    def _use(self, scan: ScanGraph) -> None:
        """Its nodes are others from now on, and so may be its values and its source."""
        self._points.use(scan)
        self.obeys_count_time = scan.exposure_s is not None

    def _forget(self) -> None:
        with self._lock:
            self._turn += 1
            self._files, self._documents = {}, []
            self._points.forget()
            self._books.forget()
            self._fresh = True
        self._told_count_time_s = None  # somebody may have changed it since
        self._point, self._used = -1, True
        self._given.clear()

    def _prepare(self, runner: Runner, turn: int) -> None:
        """The first frame of a run: new files, triggers from 0 on, sums from the beginning.

        Only when all of it is done the run counts as prepared; the next trigger does it again else.
        """
        with self._lock:
            self._refuse_after_stop(turn)
            files = dict(self._files)  # it broke in mid-run: what it wrote stays that of the run
        folder = Path() if self._run is None else self._run.parent
        self._of_scan = self.scan.grid_parameters(*self._grid)
        if self._of_scan:
            maps, ledgers = behind(self.graph, self._of_scan), runner.ledgers
            self._map_room.begin(
                math.prod(self._grid[0]),
                {node: runner.restarts(node) for node in maps},
                {e.source for e in self.graph.edges if ledgers[e.name].counts["seen"]},
            )
        self._still_marked.let_in()
        self._books.begin(runner.begin_run())
        self._points.forget_frames()
        stems = {writer: self._stem(writer) for writer in self.scan.writers}
        for writer, of_run in files.items():
            of_run.begin_anew(runner.restarts(writer))
        changes: dict[str, dict[str, Any]] = {
            writer: {"folder": str(folder), "name_of_files": stem, "flush_s": 0.0}
            for writer, stem in stems.items()
        }  # fmt: skip
        for node, parameters in self._of_scan.items():
            changes.setdefault(node, {}).update(parameters)
        runner.begin_nodes(changes, BEGIN_S)
        for writer, stem in stems.items():
            if writer not in files:
                files[writer] = RunFiles(
                    folder, stem, self.scan.frames_key(writer),
                    lambda path: self.tell.file(path, "open"), runner.restarts(writer),
                )  # fmt: skip
        with self._lock:
            self._refuse_after_stop(turn)
            self._files, self._fresh = files, False

    def unstage(self) -> list[object]:
        """The graph stays warm for the next scan, for `idle_after` s."""
        self._staged = False
        return [self]

    # ---- the run -------------------------------------------------------------------------------

    def trigger(self) -> SimStatus:
        """Take one frame; done when it is safe in its files and its values are here."""
        status = SimStatus(self)
        self._point += self._used  # one that nobody has read is taken again
        self._used = False
        if self._place is not None:
            self._point = self._place()
        self._given.append(self._point)
        with self._lock:
            self._turn += 1
            point, turn = self._point, self._turn

        def work(runner: Runner) -> None:
            self._refuse_after_stop(turn)
            self._give_up(DeviceError("it was triggered again", remedy="wait for it first"))
            # a frame whose point is taken again belongs to none
            self._documents = [one for one in self._documents if one[0] != "stream_datum"]
            self._waiting = status
            if self._fresh:
                self._prepare(runner, turn)
            if self.obeys_count_time and self._count_time_s != self._told_count_time_s:
                told = {"exposure_s": self._count_time_s}
                runner.change_within(BEGIN_S, self.scan.source, told)
                self._told_count_time_s = self._count_time_s
            counts_s, now = self._count_time_s or 0.0, time.monotonic()
            with self._lock:  # stopped behind this, it is a frame of this run that nobody waits for
                self._refuse_after_stop(turn)
                self._books.last += 1
                self._awaited = Awaited(
                    self._books.last, now, counts_s + self._slow_s, counts_s + self.frame_timeout_s
                )
            runner.trigger(self.scan.source, point)

        def refused(error: UndulaError) -> None:
            if self._waiting is status:
                self._give_up(error)
            else:
                status.finish(error)

        self._thread.ask(work, refused)
        return status

    def _refuse_after_stop(self, turn: int) -> None:
        """Raises: DeviceError when it was stopped, or another run began, since this trigger."""
        if turn != self._turn:
            raise DeviceError("it was stopped", remedy="trigger it again", device=self.name)

    def read(self) -> dict[str, Any]:
        """What came to the channels with the last trigger; frames are named by documents."""
        self._used = self._used or self._run is None  # in a script nobody asks for documents
        return {
            key: {"value": value.item() if value.ndim == 0 else value, "timestamp": self._stamp}
            for key, value in self._points.last.items()
        }

    def describe(self) -> dict[str, Any]:
        """Data keys of the frames and of the values, as far as they have been seen."""
        made = {writer: files.files[-1] for writer, files in self._files.items() if files.files}
        frames = {
            self.scan.frames_key(writer): self.scan.frames_data_key(writer, file.shape, file.dtype)
            for writer, file in made.items()
        }
        return frames | self.scan.value_keys(self._points.last)

    def _configuration(self) -> Configuration:
        """Of the graph, with what the scan told its nodes."""
        found = self.scan.configuration(self._of_scan)
        key = f"{self.name}_{self.scan.source}_exposure_s"
        if self.obeys_count_time and self._count_time_s is not None:
            found[key] = (self._count_time_s, found[key][1])
        return found

    def read_configuration(self) -> dict[str, Any]:
        """The graph in plain values: its name, a digest, edges, the parameters of its nodes."""
        stamp = self._stamp or time.time()
        plain = self._configuration().items()
        return {key: {"value": value, "timestamp": stamp} for key, (value, _) in plain}

    def describe_configuration(self) -> dict[str, Any]:
        """Of each of these values."""
        source = f"pipes:{self.graph.name}"
        plain = self._configuration().items()
        return {key: configuration_key(value, unit, source) for key, (value, unit) in plain}

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
            for writer in self.scan.writers:
                runner.clear(writer)
            self._books.add_up(runner, self.graph)
            self._causes = dict(runner.causes)

        refused = self._thread.wait_for(close, self.frame_timeout_s + LEDGER_S)
        if refused is not None:
            get_logger().warning("graph_not_finished", device=self.name, error=str(refused))
        made = [file for files in self._files.values() for file in files.files]
        close_files(made, self.tell, self.name, self._still_marked)
        for writer, files in self._files.items():
            self._disk_use.learn(writer, files.files)
        ledger = self._books.ledger
        if ledger is not None and ledger.broken:
            ends = {
                missing.edge.partition(" -> ")[2].partition(".")[0] for missing in ledger.broken
            }
            said = [f"; {node}: {why}" for node, why in self._causes.items() if node in ends]
            raise DeviceError(
                f"frames are missing: {ledger.text}{''.join(said)}",
                remedy="take those points again; see why in undula logs",
                device=self.name,
            )

    def run_ledger(self) -> dict[str, Any] | None:
        """Where the frames of this run are, for its stop document; None before the first one.

        `without` has the values that some points have not, and why, by their data keys.
        """
        books = self._books
        if books.ledger is None:  # it was not finished: a run that failed, or was aborted
            self._thread.wait_for(self._break_off, 2 * LEDGER_S)  # itself it takes one
        if books.ledger is None:
            return None
        without = self._points.without()
        return books.ledger.plain() | ({"without": without} if without else {})

    def _break_off(self, runner: Runner) -> None:
        """Add up the ledger of a run that is not finished, and close its files all the same.

        Where a frame is still on its way, which would begin another file, the next run closes them.
        """
        self._books.add_up(runner, self.graph)
        if self._books.is_through:
            for writer in self.scan.writers:
                runner.clear(writer)

    def run_changes(self) -> list[dict[str, Any]]:
        """What people changed of its graph while the run was open, for its stop document."""
        return self.live_graph.end_run()

    def stop(self, success: bool = False) -> None:
        """Give up the frame that is waited for."""
        del success
        with self._lock:
            self._turn += 1
        self._give_up(DeviceError("it was stopped", remedy="trigger it again", device=self.name))

    def close(self) -> None:
        """End the graph's processes; the next trigger starts them anew."""
        self._thread.end(self.frame_timeout_s)
        self._still_marked.let_in()
        get_logger().info("graph_ended", device=self.name)
