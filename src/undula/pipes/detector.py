"""Room: pipes. A detector with a graph, as a device of a beamline that scans read at each point.

In: a graph whose source makes a frame for each trigger. Out: Bluesky documents that name the frame
of each point in the files that `frame_file` nodes write, and as readings whatever comes to a
`channel`: sums of regions, small arrays. What is told after a trigger exists. What the graph must
be like is in `for_scans`, what becomes of triggers, files and documents of a run in `graph_run`,
the thread in `graph_thread`.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from undula.core.errors import DeviceError, InputError, TimeoutUndulaError, UndulaError
from undula.core.log import get_logger
from undula.devices.sim.status import DoneStatus, SimStatus
from undula.devices.telling import SILENT, Telling
from undula.pipes.errors import GraphError
from undula.pipes.for_scans import Configuration, ScanGraph, configuration_key
from undula.pipes.graph import Graph
from undula.pipes.graph_of_device import fault_of_config, nodes_there, usable_graph
from undula.pipes.graph_run import GraphRun
from undula.pipes.graph_thread import LOOK_S, GraphThread
from undula.pipes.live_graph import LiveGraph
from undula.pipes.noticed import SourceWatch, ViewerWatch
from undula.pipes.pictures import forget_pictures
from undula.pipes.runner.runner import Runner
from undula.pipes.runner.status import GraphStatus

REMEMBERED = 1000
"""Triggers that a plan may repeat after a pause."""
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
        self._thread = GraphThread(self, idle_after)
        self.live_graph = LiveGraph(scan, self._thread, there, self._use)
        self._run = GraphRun(name, self.live_graph, lambda path: self.tell.file(path, "open"))
        self._points, self._books = self._run.points, self._run.books
        self._staged = False
        self._staging: SimStatus = DoneStatus(self)
        self._place: Callable[[], int] | None = None
        self._point, self._used = -1, True
        self._given: deque[int] = deque(maxlen=REMEMBERED)
        self._source, self._viewers = SourceWatch(name), ViewerWatch(name)

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
    def obeys_count_time(self) -> bool:
        """Whether its source counts as long as it is told."""
        return self._run.obeys_count_time

    @property
    def held_up(self) -> str:
        """Which edge cannot keep up, for the scan that then pauses; '' while all do."""
        return self._run.held_up

    @property
    def away_s(self) -> float | None:
        """So long a frame should take, s, while its source is away; None while it is there."""
        return self._run.away_s

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
        beside = None if self._run.path is None else self._run.path.parent
        self.live_graph.began_with = self.scan.types
        return Runner(self.graph, self.scan.types, spill=self._spill or beside)

    def graph_began(self, runner: Runner) -> None:
        """It is started: its source is triggered from now on."""
        runner.heard = self._points.hear
        self._run.graph_began()
        runner.begin(triggered=True)

    def graph_turn(self, runner: Runner) -> float:
        """Look after the frame that is waited for."""
        self._run.judge(runner)
        self._source.look(runner.status.nodes[self.live_graph.scan.source])
        self._viewers.look(runner.asleep(ASLEEP_S), runner.status.nodes)
        if runner.news:
            self.tell.graph(runner.told)
        awaited = self._run.awaited
        if awaited is None:
            return LOOK_S
        return min(LOOK_S, max(0.0, awaited.ask_at - time.monotonic()))

    @property
    def busy(self) -> bool:
        """Whether a scan has it, or a frame is waited for."""
        return self._staged or self.waits

    @property
    def waits(self) -> bool:
        """Whether a frame is waited for."""
        return self._run.waiting is not None

    def graph_ends(self, runner: Runner) -> None:
        """Keep what its ledger says; where it broke, with what its processes still know."""
        if runner.failed:
            runner.tell(self._books.ledger_s)
        self._books.keep(runner, self.graph)
        self.tell.graph(runner.told)
        forget_pictures(self.name)

    def graph_broke(self, error: UndulaError) -> None:
        """Nobody need wait any longer."""
        self._run.give_up(error)

    # ---- told before a run ---------------------------------------------------------------------

    def set_run_path(self, path: Path) -> None:
        """A run begins, its file is `path`: the frames go beside it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._run.path = path
        self.live_graph.begin_run()
        self._forget()

    def frame_bytes(self) -> int:
        """So much its files will grow at each point, as far as one can know beforehand."""
        return self._run.frame_bytes()

    def follow_points(self, place: Callable[[], int] | None) -> None:
        """`place` says the index, from 0, of the point that is triggered; None: it is counted."""
        self._place = place

    def set_grid(self, shape: tuple[int, ...], snaking: tuple[bool, ...]) -> None:
        """The points of the run lie on this grid: for maps that do not say theirs.

        Args:
            shape: points of each axis, the fast one last; empty: nobody knows.
            snaking: for each axis whether it runs back on every other pass.
        """
        self._run.grid = shape, snaking
        runner, room = self._thread.runner, self._run.map_room
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
        self._run.count_time_s = count_time_s

    def stage(self) -> SimStatus:
        """Forget what was; done when the graph runs, by the files of its nodes as they are now.

        These files are read aside, for they run meanwhile. It fails with an InputError when the
        graph does not fit nodes that were saved.
        """
        self._forget()
        self._staged = True
        status = self._staging = SimStatus(self)
        threading.Thread(
            target=self._stage, args=(status,), name=f"{self.name}-stage", daemon=True
        ).start()
        return status

    def _stage(self, status: SimStatus) -> None:
        try:
            for fault in self.live_graph.look(begins=True):
                get_logger().warning("former_nodes_used", device=self.name, error=fault)
        except Exception as error:  # whatever it is, who waits hears of it
            if status is self._staging:
                self._staged = False
            status.finish(error)
            return
        self._renew_for_nodes()
        self._thread.ask(lambda _: status.finish(), status.finish)

    def _renew_for_nodes(self) -> None:
        """Where its processes are of other nodes than are used now, begin it anew."""
        if self.live_graph.began_with is not self.scan.types:
            self._thread.renew()

    def _use(self, scan: ScanGraph) -> None:
        """Its nodes are others from now on, and so may be its values and its source."""
        self._points.use(scan)
        self._run.obeys_count_time = scan.exposure_s is not None

    def _forget(self) -> None:
        self._run.forget()
        self._point, self._used = -1, True
        self._given.clear()

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
        work = partial(
            self._run.take, status=status, point=self._point, turn=self._run.turn(),
            slow_s=self._slow_s, timeout_s=self.frame_timeout_s,
        )  # fmt: skip

        def ask(_: SimStatus) -> None:
            self._renew_for_nodes()  # a plan need not stage it
            self._thread.ask(work, partial(self._run.refused, status))

        self._staging.add_callback(ask)
        return status

    def read(self) -> dict[str, Any]:
        """What came to the channels with the last trigger; frames are named by documents."""
        self._used = self._used or self._run.path is None  # in a script nobody asks for documents
        return {
            key: {"value": value.item() if value.ndim == 0 else value, "timestamp": self._run.stamp}
            for key, value in self._points.last.items()
        }

    def describe(self) -> dict[str, Any]:
        """Data keys of the frames and of the values, as far as they have been seen."""
        return self._run.frame_keys() | self.scan.value_keys(self._points.last)

    def _configuration(self) -> Configuration:
        """Of the graph, with what the scan told its nodes."""
        found = self.scan.configuration(self._run.of_scan)
        key = f"{self.name}_{self.scan.source}_exposure_s"
        if self.obeys_count_time and self._run.count_time_s is not None:
            found[key] = (self._run.count_time_s, found[key][1])
        return found

    def read_configuration(self) -> dict[str, Any]:
        """The graph in plain values: its name, a digest, edges, the parameters of its nodes."""
        stamp = self._run.stamp or time.time()
        plain = self._configuration().items()
        return {key: {"value": value, "timestamp": stamp} for key, (value, _) in plain}

    def describe_configuration(self) -> dict[str, Any]:
        """Of each of these values."""
        source = f"pipes:{self.graph.name}"
        plain = self._configuration().items()
        return {key: configuration_key(value, unit, source) for key, (value, unit) in plain}

    def collect_asset_docs(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Documents that name the frame of this point."""
        run, self._used = self._run, True
        found, run.documents = run.documents, []
        yield from found

    async def finish_data(self) -> None:
        """Close the files, compare them with the points, add up the ledger.

        Raises: DeviceError when a file lacks frames, or an edge lost some which may lose none;
        TimeoutUndulaError when the graph does not answer, and nothing is known of its edges.
        """
        await asyncio.to_thread(self._finish)

    def _finish(self) -> None:
        within_s = self.frame_timeout_s
        work = partial(self._run.finish, within_s=within_s)
        refused = self._thread.wait_for(
            work, within_s + 2 * self._books.ledger_s
        )  # itself it takes one
        if refused is not None:
            get_logger().warning("graph_not_finished", device=self.name, error=str(refused))
            self._books.not_added_up = refused.what
        self._run.close_files(self.tell)
        if isinstance(refused, TimeoutUndulaError) and self._books.ledger is None:
            raise refused  # nobody knows where its frames are

    def run_ledger(self) -> dict[str, Any] | None:
        """Where the frames of this run are, for its stop document; None before the first one.

        `without` has the values that some points have not, and why, by their data keys.
        """
        books = self._books
        if books.ledger is None:  # it was not finished: a run that failed, or was aborted
            self._thread.wait_for(self._run.break_off, 2 * books.ledger_s)  # itself it takes one
        if books.ledger is None:
            return None
        without = self._points.without()
        return books.ledger.plain() | ({"without": without} if without else {})

    def run_changes(self) -> list[dict[str, Any]]:
        """What people changed of its graph while the run was open, for its stop document."""
        return self.live_graph.end_run()

    def stop(self, success: bool = False) -> None:
        """Give up the frame that is waited for."""
        del success
        self._run.turn()
        self._run.give_up(
            DeviceError("it was stopped", remedy="trigger it again", device=self.name)
        )

    def close(self) -> None:
        """End the graph's processes; the next trigger starts them anew."""
        self._thread.end(self.frame_timeout_s)
        self._run.still_marked.let_in()
        get_logger().info("graph_ended", device=self.name)
