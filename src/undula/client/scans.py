"""One scan that was asked for: follow its documents, wait for it, cancel it.

In: the reply to a `ScanRequest` and cursors taken before it. Out: documents, points, the end.
Nothing here touches the engine: a client that dies stops nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from undula.analysis.rows import event_rows
from undula.bus.endpoints import QUEUE_FINISHED, RUN_DOCUMENTS, RUNS_CLOSED, RUNS_OPENED
from undula.bus.ports import BEGIN, Connector
from undula.core.clock import Deadline
from undula.core.errors import InputError, TimeoutUndulaError, UndulaError
from undula.core.faults import reached
from undula.messages import ItemFinished, RunDocument, RunFileClosed, RunOpened

if TYPE_CHECKING:
    from undula.client.client import Client
    from undula.client.data import Data
    from undula.client.runs import Run

POLL_S = 0.1
FILE_WAIT_S = 10.0
TAIL_WAIT_S = 5.0
"""How long after the end of a scan a missing stop document is waited for, seconds."""


@dataclass(frozen=True, slots=True)
class Cursors:
    """Where the streams stood before the request was sent."""

    opened: str
    finished: str
    closed: str

    @classmethod
    def now(cls, connector: Connector) -> Cursors:
        """The newest entry of each stream."""
        return cls(
            opened=connector.last_id(RUNS_OPENED),
            finished=connector.last_id(QUEUE_FINISHED),
            closed=connector.last_id(RUNS_CLOSED),
        )


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the engine answered to a scan request."""

    item_id: str
    command: str
    num_points: int | None = None
    estimate_s: float | None = None
    warnings: list[str] = field(default_factory=list)
    axes: list[str] = field(default_factory=list)
    detectors: list[str] = field(default_factory=list)
    path: str = ""
    points: list[list[float]] | None = None
    extents: list[Any] | None = None
    defaults: list[str] = field(default_factory=list)
    hooks: list[str] = field(default_factory=list)
    data_bytes: int | None = None
    trajectory: list[dict[str, Any]] | None = None

    @classmethod
    def of(cls, result: dict[str, Any]) -> Accepted:
        """From the reply's result; unknown keys are left out."""
        return cls(**{k: v for k, v in result.items() if k in cls.__dataclass_fields__})


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened to a scan; all fields None when nothing did for `POLL_S` seconds."""

    opened: RunOpened | None = None
    document: RunDocument | None = None
    finished: ItemFinished | None = None

    @property
    def idle(self) -> bool:
        """Nothing happened."""
        return self.opened is None and self.document is None and self.finished is None


class ScanHandle:
    """A scan that waits, runs or has ended."""

    def __init__(self, client: Client, accepted: Accepted, cursors: Cursors) -> None:
        self._client = client
        self._connector = client.link.connector
        self._cursors = cursors
        self._finish_cursor = cursors.finished
        self.accepted = accepted
        self.item_id = accepted.item_id
        self.opened: list[RunOpened] = []
        self.finished: ItemFinished | None = None

    def steps(self) -> Iterator[Step]:
        """Everything that happens, from the beginning, until the scan has ended.

        Yields an idle step every `POLL_S` seconds in which nothing happens, so that a display may
        be refreshed. May be called again: it begins at the beginning.
        """
        cursor = self._cursors.opened
        while True:
            found, cursor = self._next_run(cursor)
            if found is not None:
                if found not in self.opened:
                    self.opened.append(found)
                yield Step(opened=found)
                yield from self._documents_of(found)
            elif self._has_finished():
                found, cursor = self._next_run(cursor, block_s=None)
                if found is None:
                    yield Step(finished=self.finished)
                    return
                yield Step(opened=found)
                yield from self._documents_of(found)
            else:
                yield Step()

    def _next_run(
        self, cursor: str, block_s: float | None = POLL_S
    ) -> tuple[RunOpened | None, str]:
        if self._has_finished():
            block_s = None
        for entry, opened in self._connector.read(
            RUNS_OPENED, after=cursor, count=100, block_s=block_s
        ):
            cursor = entry
            if opened.item_id == self.item_id:
                return opened, cursor
        return None, cursor

    def _documents_of(self, opened: RunOpened) -> Iterator[Step]:
        cursor, grace = BEGIN, None
        while True:
            entries = self._connector.read(
                RUN_DOCUMENTS, after=cursor, count=500, block_s=POLL_S, uid=opened.uid
            )
            for entry, document in entries:
                cursor = entry
                reached("client.document_received")
                yield Step(document=document)
                if document.name == "stop":
                    return
            if entries:
                continue
            if self._has_finished():
                grace = grace or Deadline(TAIL_WAIT_S)
                if grace.passed:
                    return
            yield Step()

    def _has_finished(self, block_s: float | None = None) -> bool:
        while self.finished is None:
            entries = self._connector.read(
                QUEUE_FINISHED, after=self._finish_cursor, count=1000, block_s=block_s
            )
            if not entries:
                return False
            block_s = None
            for entry, item in entries:
                self._finish_cursor = entry
                if item.item_id == self.item_id:
                    self.finished = item
        return True

    def documents(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Documents of all runs of this scan, live, as (name, document)."""
        for step in self.steps():
            if step.document is not None:
                yield step.document.name, step.document.doc

    def events(self) -> Iterator[dict[str, Any]]:
        """Points of the primary stream, live: data key to value, with `seq_num` and `time`."""
        primary = ""
        for name, doc in self.documents():
            if name == "descriptor" and doc.get("name") == "primary":
                primary = doc["uid"]
            elif name in ("event", "event_page") and doc["descriptor"] == primary:
                yield from event_rows(name, doc)

    def wait(self, timeout_s: float | None = None, check: bool = True) -> ScanHandle:
        """Wait until the scan has ended.

        Args:
            timeout_s: give up after so many seconds; None: never. The scan goes on.
            check: raise when it did not succeed.

        Raises: TimeoutUndulaError; UndulaError naming the run and the reason when it failed.
        """
        deadline = Deadline(timeout_s)
        while not self._has_finished(block_s=POLL_S):
            if deadline.passed:
                raise TimeoutUndulaError(
                    f"{self.accepted.command} has not ended within {timeout_s} s",
                    remedy="wait longer, look at undula queue, or cancel it",
                )
        if check:
            self.check()
        return self

    def check(self) -> None:
        """Raise UndulaError when the scan has ended in any other way than success."""
        if self.finished is None or self.finished.exit_status == "success":
            return
        numbers = ", ".join(str(n) for n in self.finished.run_numbers)
        what = f"run {numbers}" if numbers else self.accepted.command
        why, _, remedy = self.finished.reason.partition(". Remedy: ")
        raise UndulaError(
            f"{what} ended as {self.finished.exit_status}: {why.rstrip('.') or 'no reason'}",
            remedy=remedy or "see undula runs show for what was measured, and undula logs",
        )

    @property
    def status(self) -> str:
        """`waiting`, `running`, or how it ended: `success`, `abort`, `fail`, `removed`."""
        if self._has_finished() and self.finished is not None:
            return self.finished.exit_status
        last = self._client.queue.last
        if last is not None and last.running and last.running.item_id == self.item_id:
            return last.state
        return "waiting"

    @property
    def run_numbers(self) -> list[int]:
        """Numbers of the runs made so far."""
        if self._has_finished() and self.finished is not None:
            return list(self.finished.run_numbers)
        entries = self._connector.read(RUNS_OPENED, after=self._cursors.opened, count=10_000)
        return [opened.number for _, opened in entries if opened.item_id == self.item_id]

    @property
    def run(self) -> Run | None:
        """The last run of this scan in the history; None before the first is open.

        After the end of the scan it waits up to `FILE_WAIT_S` seconds for a complete file.
        """
        numbers = self.run_numbers
        if numbers and self.finished is not None:
            for uid in self.finished.run_uids:
                self.file_closed(uid)
        return self._client.runs[numbers[-1]] if numbers else None

    @property
    def data(self) -> Data:
        """The data of the last run, of an open one the points so far: `handle.data.to_xarray()`.

        After the end of the scan it waits for a complete file, as `run` does.
        Raises: InputError before the first run; StorageError before its first point.
        """
        run = self.run
        if run is None:
            raise InputError("the scan has not begun", remedy="wait until it has")
        return run.data

    def file_closed(self, uid: str, timeout_s: float = FILE_WAIT_S) -> RunFileClosed | None:
        """Wait for the file of a run to be complete; None when it is not within `timeout_s`."""
        deadline, cursor = Deadline(timeout_s), self._cursors.closed
        while True:
            entries = self._connector.read(
                RUNS_CLOSED, after=cursor, count=100, block_s=min(POLL_S, timeout_s)
            )
            for entry, closed in entries:
                cursor = entry
                if closed.uid == uid:
                    return closed
            if deadline.passed:
                return None

    def cancel(self, reason: str = "") -> None:
        """Take the scan out of the queue, or abort it with clean-up when it runs.

        Of one that is repeated, the turns that are still to come go as well.
        """
        status = self._client.queue.list()
        mine = [i for i in status.waiting if self.item_id in (i.item_id, i.origin)]
        running = status.running
        if running is not None and self.item_id in (running.item_id, running.origin):
            self._client.queue.abort(reason or "cancelled")
        else:
            for item in mine:
                self._client.queue.remove(item)

    def __repr__(self) -> str:
        return f"<{self.accepted.command}: {self.status}>"
