"""Room: pipes. A run of a detector with a graph: its frames, its files, its documents, its ledger.

In: triggers, on the graph's thread, and what the graph makes of them. Out: each trigger done when
its frame is safe in every file and every value of it is there, or with why it cannot come; the
documents of its frames; at the end the files closed and the ledger added up. Called by: `detector`.
Half of it is called on the graph's thread alone, the other half on any.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from undula.core.errors import DeviceError, UndulaError
from undula.devices.sim.status import SimStatus
from undula.devices.telling import Telling
from undula.pipes.disk_use import DiskUse
from undula.pipes.for_scans import Grid
from undula.pipes.live_graph import LiveGraph
from undula.pipes.map_room import MapRoom, behind
from undula.pipes.points import Awaited, Points
from undula.pipes.run_books import RunBooks
from undula.pipes.run_files import RunFiles, StillMarked, close_files
from undula.pipes.runner.runner import Runner

BEGIN_S = 8.0
"""So long the nodes may take to begin a run: the scan would give the trigger up soon after."""


class GraphRun:
    """The run that is open, or the last one.

    Args:
        device: name of the detector.
        live: its graph, with its parameters as they are now.
        file_begins: called with each file that a writer begins.
    """

    def __init__(self, device: str, live: LiveGraph, file_begins: Callable[[Path], object]) -> None:
        self._device, self._live, self._file_begins = device, live, file_begins
        self.path: Path | None = None
        """The file of the run: the frames go beside it."""
        self.grid: Grid = ((), ())
        self.of_scan: dict[str, dict[str, Any]] = {}
        """What the scan told nodes."""
        self.map_room = MapRoom()
        self.obeys_count_time = live.scan.exposure_s is not None
        self.count_time_s: float | None = None
        self.begin_s = BEGIN_S
        self._told_count_time_s: float | None = None
        self.held_up = ""
        """Which edge cannot keep up; '' while all do."""
        self.away_s: float | None = None
        """So long a frame should take, s, while its source is away; None while it is there."""
        self.points = Points(live.scan)
        self.books = RunBooks()
        self.points.place_of = self.books.place_of
        self.stamp = 0.0
        """When the last frame was through, UTC epoch, s."""
        self.files: dict[str, RunFiles] = {}
        """Of each writer."""
        self.documents: list[tuple[str, dict[str, Any]]] = []
        self.awaited: Awaited | None = None
        self.waiting: SimStatus | None = None
        self.still_marked = StillMarked()
        self._disk_use = DiskUse()
        self._causes: Mapping[str, str] = {}
        self._fresh = True
        self._turn = 0
        self._lock = threading.Lock()
        """Held while what is kept of a run is put away, or a frame is added to it."""

    # ---- on any thread -------------------------------------------------------------------------

    def frame_bytes(self) -> int:
        """So much its files will grow at each point, as far as one can know beforehand."""
        return self._disk_use.bytes_per_point(self._live.scan)

    def forget(self) -> None:
        """Another run is to come."""
        with self._lock:
            self._turn += 1
            self.files, self.documents, self.of_scan = {}, [], {}
            self.points.forget()
            self.books.forget()
            self._fresh = True
        self._told_count_time_s = None  # somebody may have changed it since

    def turn(self) -> int:
        """A trigger, or a stop: what was asked for before it is done no more."""
        with self._lock:
            self._turn += 1
            return self._turn

    def give_up(self, error: UndulaError | None) -> None:
        """Wait for no frame any more, because it came, or because of an error."""
        waiting, self.waiting, self.awaited = self.waiting, None, None
        self.held_up, self.away_s = "", None
        if waiting is not None:
            waiting.finish(error)

    def frame_keys(self) -> dict[str, Any]:
        """Data keys of the frames, as far as they have been seen."""
        scan = self._live.scan
        made = {writer: files.files[-1] for writer, files in self.files.items() if files.files}
        return {
            scan.frames_key(writer): scan.frames_data_key(writer, file.shape, file.dtype)
            for writer, file in made.items()
        }

    def close_files(self, tell: Telling) -> None:
        """Say of each file that it is closed.

        Raises: DeviceError when one lacks frames, or an edge lost some which may lose none.
        """
        made = [file for files in self.files.values() for file in files.files]
        close_files(made, tell, self._device, self.still_marked)
        for writer, files in self.files.items():
            self._disk_use.learn(writer, files.files)
        ledger = self.books.ledger
        if ledger is not None and ledger.broken:
            ends = {
                missing.edge.partition(" -> ")[2].partition(".")[0] for missing in ledger.broken
            }
            said = [f"; {node}: {why}" for node, why in self._causes.items() if node in ends]
            raise DeviceError(
                f"frames are missing: {ledger.text}{''.join(said)}",
                remedy="take those points again; see why in undula logs",
                device=self._device,
            )

    # ---- on the thread of the graph ------------------------------------------------------------

    def graph_began(self) -> None:
        """The graph is started, and counts anew."""
        self.books.restart()
        self._fresh = True
        self.map_room.restart()
        self.points.forget_frames()
        self._told_count_time_s = None

    def take(
        self, runner: Runner, *, status: SimStatus, point: int, turn: int, slow_s: float,
        timeout_s: float,
    ) -> None:  # fmt: skip
        """Take one frame.

        Args:
            status: finished when the frame is through, or cannot come.
            point: its index in the run, from 0 on.
            turn: when it was asked for.
            slow_s: it is late after so long, beyond the count time.
            timeout_s: and given up after so long.
        Raises: UndulaError when a node cannot begin the run.
        """
        self._refuse_after_stop(turn)
        self.give_up(DeviceError("it was triggered again", remedy="wait for it first"))
        # a frame whose point is taken again belongs to none
        self.documents = [one for one in self.documents if one[0] != "stream_datum"]
        self.waiting = status
        if self._fresh:
            self._prepare(runner, turn)
        source = self._live.scan.source
        if self.obeys_count_time and self.count_time_s != self._told_count_time_s:
            told = {"exposure_s": self.count_time_s}
            runner.change_within(self.begin_s, source, told)
            self._told_count_time_s = self.count_time_s
        counts_s, now = self.count_time_s or 0.0, time.monotonic()
        with self._lock:  # stopped behind this, it is a frame of this run that nobody waits for
            self._refuse_after_stop(turn)
            self.books.last += 1
            self.awaited = Awaited(self.books.last, now, counts_s + slow_s, counts_s + timeout_s)
        runner.trigger(source, point)

    def refused(self, status: SimStatus, error: UndulaError) -> None:
        """What was asked for with this status is not done."""
        if self.waiting is status:
            self.give_up(error)
        else:
            status.finish(error)

    def _refuse_after_stop(self, turn: int) -> None:
        """Raises: DeviceError when it was stopped, or another run began, since this trigger."""
        if turn != self._turn:
            raise DeviceError("it was stopped", remedy="trigger it again", device=self._device)

    def _prepare(self, runner: Runner, turn: int) -> None:
        """The first frame of a run: new files, triggers from 0 on, sums from the beginning.

        Only when all of it is done the run counts as prepared; the next trigger does it again else.
        """
        with self._lock:
            self._refuse_after_stop(turn)
            files = dict(self.files)  # it broke in mid-run: what it wrote stays that of the run
        scan = self._live.scan
        folder = Path() if self.path is None else self.path.parent
        self.of_scan = scan.grid_parameters(*self.grid)
        if self.of_scan:
            maps, ledgers = behind(scan.graph, self.of_scan), runner.ledgers
            self.map_room.begin(
                math.prod(self.grid[0]),
                {node: runner.restarts(node) for node in maps},
                {e.source for e in scan.graph.edges if ledgers[e.name].counts["seen"]},
            )
        self.still_marked.let_in()
        self.books.begin(runner.begin_run())
        self.points.forget_frames()
        run = self.path.stem if self.path else "frames"
        stems = {writer: f"{run}_{scan.frames_key(writer)}" for writer in scan.writers}
        for writer, of_run in files.items():
            of_run.begin_anew(runner.restarts(writer))
        changes: dict[str, dict[str, Any]] = {
            writer: {"folder": str(folder), "name_of_files": stem, "flush_s": 0.0}
            for writer, stem in stems.items()
        }  # fmt: skip
        for node, parameters in self.of_scan.items():
            changes.setdefault(node, {}).update(parameters)
        runner.begin_nodes(changes, self.begin_s)
        for writer, stem in stems.items():
            if writer not in files:
                files[writer] = RunFiles(
                    folder, stem, scan.frames_key(writer),
                    self._file_begins, runner.restarts(writer),
                    far=bool(scan.graph.nodes[writer].host),
                )  # fmt: skip
        with self._lock:
            self._refuse_after_stop(turn)
            self.files, self._fresh = files, False

    def judge(self, runner: Runner) -> None:
        """Whether the frame that is waited for is through, cannot come, or is late."""
        awaited = self.awaited
        if awaited is None:
            return
        found = self.points.judge(awaited, runner, time.monotonic())
        if found.through:
            try:
                self._through(runner, awaited, found.without)
            except UndulaError as exc:
                self.give_up(exc)
            else:
                self.give_up(None)
        elif found.error is not None:
            self.give_up(found.error)
        else:
            self.held_up = found.held_up
            self.away_s = awaited.timeout_s if found.away else None
            if found.ask:
                runner.ask()

    def _through(self, runner: Runner, awaited: Awaited, without: Mapping[str, str]) -> None:
        """A frame is safe and its values are here: keep both for `read` and the documents."""
        number = awaited.seq_num
        with self._lock:
            if self.awaited is not awaited:
                return  # it was stopped just now: nothing of it belongs to the next run
            self.stamp = time.time()
            self.points.take(number, without, self.books.place_of(number))
            for writer in self._live.scan.writers:
                if writer not in self.files:
                    raise DeviceError(
                        f"its frame {number} is in no file of this run that {writer} writes",
                        remedy="trigger it again",
                        device=self._device,
                    )
                self.documents += self.files[writer].place(number, runner.restarts(writer))

    def finish(self, runner: Runner, within_s: float) -> None:
        """Let its files be closed, and add up its ledger, also when a writer does not close its.

        Raises: PipeError with what a writer says, or naming one that has not done so in time.
        """
        scan, end = self._live.scan, time.monotonic() + within_s
        try:
            for writer in scan.writers:
                runner.clear(writer, round(max(0.0, end - time.monotonic()), 1))
        finally:
            self.books.add_up(runner, scan.graph)
            self._causes = dict(runner.causes)

    def break_off(self, runner: Runner) -> None:
        """Add up the ledger of a run that is not finished, and close its files all the same.

        Where a frame is still on its way, which would begin another file, the next run closes them.
        """
        scan = self._live.scan
        self.books.add_up(runner, scan.graph)
        if self.books.is_through:
            for writer in scan.writers:
                runner.clear(writer)
