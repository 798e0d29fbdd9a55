"""Room: writer. One run from its journal to its closed file.

In: the journal of one run, from index 1. Out: the NeXus file, its archive, the catalogue's row,
`RunFileClosed`. When the folder refuses (disk full, no right), nothing is published and nothing is
lost: the journal stays, and the file is rebuilt from index 1 after a growing pause.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from undula.bus.endpoints import RUN_DOCUMENTS, RUNS_CLOSED
from undula.bus.ports import BEGIN, Connector
from undula.catalogue import Catalogue, RunRecord
from undula.catalogue.scan_folder import write_notes
from undula.core import faults
from undula.core.errors import BusError, InputError, StorageError
from undula.core.log import get_logger
from undula.core.settings import BeamlineSettings
from undula.files import (
    NexusFile,
    ProcessSource,
    Snapshots,
    archive_path,
    no_processes,
    sound_stop,
    verify,
    write_archive,
)
from undula.messages import RunDocument, RunFileClosed

FLUSH_S = 0.2
BATCH = 1000
BATCHES_A_STEP = 10
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
JOURNAL_KEPT_S = 86_400.0
DOCUMENT_ERRORS = (KeyError, TypeError, ValueError, AttributeError, IndexError)


def nothing_pending(_: str) -> bool:
    """No result of a run is still being worked out when it has ended."""
    return False


class RunFollower:
    """Keeps the file of one run; `step` is called until `done`."""

    def __init__(
        self,
        uid: str,
        number: int,
        wanted: Path,
        *,
        connector: Connector,
        catalogue: Catalogue,
        settings: BeamlineSettings,
        recovering: bool = False,
        processes: ProcessSource = no_processes,
        pending: Callable[[str], bool] = nothing_pending,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.uid = uid
        self.number = number
        self.done = False
        self.problem = ""
        self.stalled = False
        self._missing = ""
        self._wanted = wanted
        self._connector = connector
        self._catalogue = catalogue
        self._settings = settings
        self._processes = processes
        self._pending = pending
        self._clock = clock
        self._file: NexusFile | None = None
        self._hold = recovering
        self._rebuilt = False
        self._start: dict[str, Any] | None = None
        self._stop: dict[str, Any] | None = None
        self._cursor = BEGIN
        self._index = 0
        self._snapshots = Snapshots()
        self._flush_at = 0.0
        self._retry_at = 0.0
        self._pause_s = FIRST_PAUSE_S
        self._log = get_logger().bind(run_uid=uid, run_number=number)

    @property
    def seen(self) -> int:
        """Documents of the journal that were taken so far."""
        return self._index

    def step(self) -> bool:
        """Take what the journal has. True: there is more at once. Raises: BusError only."""
        if self.done or self._clock() < self._retry_at:
            return False
        try:
            more = self._take()
            if self._stop is not None:
                if self._pending(self.uid):
                    return False
                self._finish(self._stop)
            elif not more:
                self._keep_current()
        except StorageError as exc:
            self._begin_anew(exc)
            self.stalled = False
            return False
        except BusError:
            self.stalled = True
            raise
        self.stalled = not more and self._stop is None
        self.problem = ""
        return more and not self.done

    def _take(self) -> bool:
        for _ in range(BATCHES_A_STEP):
            if self._stop is not None:
                return False
            entries = self._connector.read(
                RUN_DOCUMENTS, after=self._cursor, count=BATCH, uid=self.uid
            )
            if not entries:
                return False
            for cursor, document in entries:
                faults.reached("writer.document_read")
                self._handle(document)
                self._cursor = cursor
            self._flush_if_due()
        return True

    def _handle(self, document: RunDocument) -> None:
        if document.index <= self._index:
            return
        if document.index > self._index + 1:
            self._log.error("journal_gap", expected=self._index + 1, got=document.index)
            self._missing = self._missing or (
                f"the journal has no document {self._index + 1}, {document.index} follows"
            )
        try:
            self._write(document)
        except DOCUMENT_ERRORS as exc:
            self._log.error(
                "document_skipped", index=document.index, name=document.name, error=repr(exc)
            )
        self._index = document.index

    def _write(self, document: RunDocument) -> None:
        if document.name == "start":
            self._start = document.doc
            self._file = NexusFile.create(self._wanted, document.doc, hold=self._hold)
            self._rebuilt = self._hold and self._file.replaces
            if self._file.path != self._wanted:
                self._log.warning(
                    "name_taken",
                    wanted=str(self._wanted),
                    path=str(self._file.path),
                    remedy="another run's file stands there and was left alone",
                )
            faults.reached("writer.file_created")
        elif document.name == "stop":
            self._stop = sound_stop(document.doc)
            if self._missing and self._stop["exit_status"] == "success":
                self._stop |= {"exit_status": "fail", "reason": self._missing}
        elif self._file is not None:
            self._file.write(document.name, document.doc)

    def _flush_if_due(self) -> None:
        if self._file is None or self._clock() < self._flush_at:
            return
        if self._file.flush():
            faults.reached("writer.flushed")
        self._flush_at = self._clock() + FLUSH_S

    def _keep_current(self) -> None:
        """The journal has nothing more for now: flush, name a rebuilt file, take a snapshot."""
        if self._file is None:
            return
        self._flush_if_due()
        if self._hold and self._file.live:
            self._file.flush()
            self._file.publish()
            self._hold = False
            self._log.info("file_rebuilt", path=str(self._file.path), documents=self._index)
        if self._file.readable:
            self._snapshots.update(self._file.open_files)

    def _begin_anew(self, exc: StorageError) -> None:
        self.problem = str(exc)
        self._log.error(
            "file_not_written",
            what=exc.what,
            remedy=exc.remedy,
            where=exc.where or str(self._wanted.parent),
            retry_s=self._pause_s,
        )
        if self._file is not None:
            self._file.abandon()
        self._file, self._start, self._stop = None, None, None
        self._cursor, self._index, self._missing = BEGIN, 0, ""
        self._hold = True
        self._retry_at = self._clock() + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    def _finish(self, stop: dict[str, Any]) -> None:
        """Close, protect, archive, enter into the catalogue, tell. Every step may be repeated."""
        if self._file is None or self._start is None:
            raise StorageError(
                f"the journal of run {self.number} has no start document",
                remedy="look at the log of publisher and engine",
            )
        for process in self._processes(self.uid):
            self._file.add_process(process)
        path = self._file.close(stop)
        faults.reached("writer.stopped")
        count = write_archive(path, self._journal())
        if verify(archive_path(path)) != count:
            raise StorageError(f"the archive of {path} is incomplete", remedy="it is made again")
        protect(path, self._settings)
        protect(archive_path(path), self._settings)
        faults.reached("writer.archived")
        self._snapshots.remove(path)
        taken = {**self._file.num_events}
        if self._file.retaken:  # points count once, however often they were taken
            taken["primary"] -= self._file.retaken
        self._enter(path, stop, taken)
        self._keep_notes(path)
        # before it is told: a successor looks at no run that was told, and would leave it for ever
        self._connector.expire(RUN_DOCUMENTS, JOURNAL_KEPT_S, uid=self.uid)
        self._tell(path, stop)
        faults.reached("writer.closed")
        if self._file.missing:
            self._log.warning(
                "file_incomplete",
                path=str(path),
                missing=self._file.missing,
                remedy="give what is missing with the next scan; the file is sound without",
            )
        self._log.info("file_closed", path=str(path), exit_status=stop["exit_status"])
        self.done = True

    def _tell(self, path: Path, stop: dict[str, Any]) -> None:
        closed = RunFileClosed(
            uid=self.uid,
            number=self.number,
            path=str(path),
            exit_status=stop["exit_status"],
            reason=str(stop.get("reason") or ""),
            num_events=self._file.num_events if self._file else {},
            rebuilt=self._rebuilt,
        )
        self._connector.append(RUNS_CLOSED, closed)

    def give_up(self, row: RunRecord) -> None:
        """The engine ended this run since its journal cannot be whole: close the file as it is.

        Raises: StorageError, BusError; it may be repeated.
        """
        stop = {
            "exit_status": row.exit_status,
            "reason": row.reason,
            "time": row.end_time or time.time(),
        }
        path = Path(row.path)
        if self._file is not None:
            path = self._file.close(stop)
            protect(path, self._settings)
            self._snapshots.remove(path)
        self._connector.expire(RUN_DOCUMENTS, JOURNAL_KEPT_S, uid=self.uid)
        self._tell(path, stop)
        self._log.error("run_given_up", path=str(path), reason=row.reason)
        self.done = True

    def _journal(self) -> Iterator[RunDocument]:
        cursor, index = BEGIN, 0
        while entries := self._connector.read(
            RUN_DOCUMENTS, after=cursor, count=BATCH, uid=self.uid
        ):
            for _, document in entries:
                if document.index > index:
                    index = document.index
                    yield document
            cursor = entries[-1][0]

    def _enter(self, path: Path, stop: dict[str, Any], num_events: dict[str, int]) -> None:
        def close() -> None:
            self._catalogue.close_run(
                self.uid,
                exit_status=stop["exit_status"],
                reason=str(stop.get("reason") or ""),
                end_time=float(stop["time"]),
                path=str(path),
                num_events=num_events,
                archive_path=str(archive_path(path)),
            )

        try:
            close()
        except InputError:
            self._catalogue.open_run(record_of(self._start or {}, self.number, path))
            close()

    def _keep_notes(self, path: Path) -> None:
        """What people said about the run while it was open, beside its file."""
        notes = self._catalogue.notes(self.uid)
        if notes:
            write_notes(path, notes)

    def leave(self) -> None:
        """The service ends: flush what there is; the next one rebuilds and goes on."""
        if self._file is None or self.done:
            return
        try:
            self._file.flush()
            self._file.close(None)
        except StorageError as exc:
            self._log.error("file_not_written", what=exc.what, remedy=exc.remedy)


def record_of(start: dict[str, Any], number: int, path: Path) -> RunRecord:
    """A catalogue row for a run that nobody entered, from its start document."""
    names = [*(start.get("devices") or ())]
    return RunRecord(
        uid=str(start["uid"]),
        number=number,
        plan=str(start.get("plan_name", "")),
        command=str(start.get("command", "")),
        user=str(start.get("user", "")),
        item_id=str(start.get("item_id", "")),
        path=str(path),
        start_time=float(start["time"]),
        devices=names or [*(start.get("motors") or ()), *(start.get("detectors") or ())],
        metadata=start,
    )


def protect(path: Path, settings: BeamlineSettings) -> None:
    """Mode and group of a finished file, as set. What this user may not do is logged only."""
    try:
        os.chmod(path, settings.file_mode)  # first: a group that is refused leaves it protected
        if settings.file_group is not None:
            shutil.chown(path, group=settings.file_group)
    except (OSError, LookupError) as exc:
        get_logger().warning(
            "file_not_protected",
            path=str(path),
            error=str(exc),
            remedy="make this service's user a member of file_group",
        )
