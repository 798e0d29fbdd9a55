"""Room: writer. The service: finds runs that are open and lets a `RunFollower` keep each file.

In: RUNS_OPENED, RUNS_CLOSED, the journals. Out: see `follower`. One thread does all of it; while a
run is open the journals are polled, otherwise the next opening is waited for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from undula.bus.endpoints import RUN_DOCUMENTS, RUNS_CLOSED, RUNS_OPENED
from undula.bus.ports import BEGIN, Connector
from undula.catalogue import Catalogue, RunRecord
from undula.core import faults
from undula.core.errors import BusError, InputError, StorageError, UndulaError
from undula.core.log import get_logger
from undula.core.settings import BeamlineSettings
from undula.files import Process, ProcessSource, archive_path, clear_writing_mark, no_processes
from undula.messages import RunOpened
from undula.writer.fits import LiveFits
from undula.writer.follower import RunFollower, nothing_pending

POLL_S = 0.1
IDLE_S = 0.5
BUS_PAUSE_S = 0.5
ORPHAN_S = 60.0
HEARTBEAT_S = 1.0
LOOK_S = 1.0


class WriterService:
    """Keeps the files of all open runs. `recover` once, then `run` until told to stop."""

    def __init__(
        self,
        connector: Connector,
        catalogue: Catalogue,
        settings: BeamlineSettings,
        processes: ProcessSource = no_processes,
        fits: LiveFits | None = None,
    ) -> None:
        self._connector = connector
        self._catalogue = catalogue
        self._settings = settings
        self._processes = processes
        self._fits = fits
        self._cursor = BEGIN
        self._followers: dict[str, RunFollower] = {}
        self._closed: set[str] = set()
        self._orphans: dict[str, tuple[RunRecord, float]] = {}
        self._looked: dict[str, float] = {}
        self._log = get_logger()

    @property
    def open_runs(self) -> list[RunFollower]:
        """The runs that are followed now."""
        return list(self._followers.values())

    def recover(self) -> int:
        """Find every run that was opened and not closed; its file is rebuilt. Returns how many."""
        cursor = BEGIN
        while entries := self._connector.read(RUNS_CLOSED, after=cursor):
            self._closed.update(closed.uid for _, closed in entries)
            cursor = entries[-1][0]
        while self._look(block_s=None, recovering=True):
            pass
        for run in self._catalogue.open_runs():
            if run.uid not in self._followers and run.uid not in self._closed:
                self._follow(run.uid, run.number, run.path, recovering=True)
                self._orphans[run.uid] = (run, time.monotonic() + ORPHAN_S)
        if self._followers:
            self._log.info("runs_recovered", count=len(self._followers))
        return len(self._followers)

    def _look(self, *, block_s: float | None, recovering: bool = False) -> bool:
        """Take new openings. True: there were some."""
        entries = self._connector.read(RUNS_OPENED, after=self._cursor, block_s=block_s)
        for cursor, opened in entries:
            self._cursor = cursor
            if opened.imported or opened.uid in self._closed or opened.uid in self._followers:
                continue
            if recovering and self._ended_long_ago(opened):
                continue
            self._follow(opened.uid, opened.number, opened.path, recovering=recovering)
        return bool(entries)

    def _ended_long_ago(self, opened: RunOpened) -> bool:
        """Closed in the catalogue and its journal gone: told when the closing list was longer."""
        try:
            if self._catalogue.run(opened.uid).exit_status == "open":
                return False
        except InputError:
            return False
        return self._connector.last_id(RUN_DOCUMENTS, uid=opened.uid) == BEGIN

    def _follow(self, uid: str, number: int, path: str, *, recovering: bool) -> None:
        try:
            RUN_DOCUMENTS.key(uid=uid)
        except BusError as exc:  # it would fail at each step, and hold up all other runs
            self._log.error("run_refused", run_number=number, what=exc.what, remedy=exc.remedy)
            return
        if self._fits is not None:
            self._fits.follow(uid, number)
        self._followers[uid] = RunFollower(
            uid,
            number,
            Path(path),
            connector=self._connector,
            catalogue=self._catalogue,
            settings=self._settings,
            recovering=recovering,
            processes=self._results,
            pending=self._fits.pending if self._fits is not None else nothing_pending,
        )
        self._log.info("run_seen", run_uid=uid, run_number=number, path=path)
        faults.reached("writer.run_seen")

    def _results(self, uid: str) -> Iterable[Process]:
        """What was worked out from a run, for its file."""
        return [*self._processes(uid), *(self._fits.processes(uid) if self._fits else ())]

    def step(self, *, block_s: float | None = None) -> bool:
        """One round over everything. True: there is more to do at once. Raises: BusError."""
        self._look(block_s=None if self._followers else block_s)
        more, lost = False, None
        for uid, follower in list(self._followers.items()):
            try:
                more = follower.step() or more
            except BusError as exc:  # one journal that cannot be read must not hold up the others
                lost = exc
            if follower.stalled:
                self._look_if_ended(follower)
            if follower.seen:
                self._orphans.pop(uid, None)
            if follower.done:
                del self._followers[uid]
                if self._fits is not None:
                    self._fits.forget(uid)
                self._looked.pop(uid, None)
                self._orphans.pop(uid, None)
                self._closed.add(uid)
        self._give_up_orphans()
        if lost is not None and any(follower.stalled for follower in self._followers.values()):
            raise lost
        return more

    def _look_if_ended(self, follower: RunFollower) -> None:
        """A run that the engine has entered as ended, and whose journal has no end, is given up."""
        moment = time.monotonic()
        if moment < self._looked.get(follower.uid, 0.0) + LOOK_S:
            return
        self._looked[follower.uid] = moment
        try:
            row = self._catalogue.run(follower.uid)
            if row.exit_status != "open":
                follower.give_up(row)
        except InputError:
            return  # nobody has entered it: the stop document will
        except StorageError as exc:
            self._log.error("file_not_written", what=exc.what, remedy=exc.remedy)

    def _give_up_orphans(self) -> None:
        """A run in the catalogue whose journal is lost, broker and all: its file stays as it is."""
        for uid, (run, until) in list(self._orphans.items()):
            if time.monotonic() < until:
                continue
            del self._orphans[uid]
            self._followers.pop(uid, None)
            if self._fits is not None:
                self._fits.forget(uid)
            reason = "the journal was lost; the file holds what had been written"
            try:
                clear_writing_mark(Path(run.path))
            except StorageError as exc:
                reason = f"the journal was lost, and {exc.what}"
            archive = archive_path(Path(run.path))
            self._catalogue.close_run(
                uid,
                exit_status="fail",
                reason=reason,
                end_time=time.time(),
                path=run.path,
                num_events={},
                archive_path=str(archive) if archive.exists() else "",
            )
            self._log.error("journal_lost", run_uid=uid, run_number=run.number, path=run.path)

    def run(self, stop: threading.Event, heartbeat: Callable[[str], None] = lambda _: None) -> None:
        """Work until `stop` is set; then flush and leave the files readable."""
        beat_at = 0.0
        while not stop.is_set():
            more = False
            try:
                more = self.step(block_s=IDLE_S)
            except UndulaError as exc:  # the broker away, the catalogue's disk full: try again
                self._log.warning("writer_waits", what=exc.what, remedy=exc.remedy)
                stop.wait(BUS_PAUSE_S)
            if time.monotonic() >= beat_at:
                heartbeat(self.status())
                beat_at = time.monotonic() + HEARTBEAT_S
            if self._followers and not more:
                stop.wait(POLL_S)
        for follower in self._followers.values():
            follower.leave()

    def status(self) -> str:
        """One line for people."""
        problems = [f.problem for f in self._followers.values() if f.problem]
        if problems:
            return problems[0]
        numbers = [str(f.number) for f in self._followers.values()]
        return f"writing run {', '.join(numbers)}" if numbers else "idle"
