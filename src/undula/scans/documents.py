"""From the RunEngine to the journal: the one subscriber.

It runs inline in the RunEngine's loop, so it only counts, packs and hands over. In: documents.
Out: packed documents with their place in the journal, to the outbox.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from undula.bus.codec import encode_document
from undula.bus.endpoints import RUN_DOCUMENTS, RUNS_OPENED
from undula.core.errors import BusError
from undula.core.faults import reached
from undula.core.ids import new_id
from undula.messages import FileEvent, RunOpened
from undula.messages.runs import ExitStatus
from undula.scans.ports import Documents


@dataclass(slots=True)
class OpenRun:
    """What is known of a run while it is open."""

    uid: str
    number: int
    path: Path
    key: str
    index: int = 0
    points: int = 0
    streams: dict[str, str] = field(default_factory=dict)
    exit_status: ExitStatus | None = None
    reason: str = ""
    time: float = 0.0
    linked: set[str] = field(default_factory=set)
    emptied: bool = False
    """All of its points were left out."""


MAX_FILES = 1000
"""Files that devices may write during a scan and that its runs link."""
LINK = {
    "start": "uid",
    "event": "descriptor",
    "event_page": "descriptor",
    "stream_datum": "descriptor",
    "datum": "resource",
    "datum_page": "resource",
}
"""The key that leads from a document to its run; `run_start` for the others."""


class DocumentGate:
    """Subscriber of the RunEngine.

    `opening(start)` is called with each start document before anything is sent; it records the run
    and returns its file's path. `reason()` says whether somebody asked the run to end, and why it
    ends; it is put into a stop document that has none, and into that of a run which was completed
    early. `emptied()` says why a run has no point, all of which were left out: it is no success.
    `completed(stop)` adds what devices know of the run as a whole. Runs may be interleaved:
    each document goes to the journal of its own run. `open` is the newest run that is open.
    """

    def __init__(
        self,
        outbox: Documents,
        opening: Callable[[dict[str, Any]], Path],
        reason: Callable[[], tuple[ExitStatus | None, str]],
        completed: Callable[[dict[str, Any]], dict[str, Any]] = lambda stop: stop,
        emptied: Callable[[], str] = str,
    ) -> None:
        self._outbox = outbox
        self._opening = opening
        self._reason = reason
        self._completed = completed
        self._emptied = emptied
        self.item_id = ""
        self.open: OpenRun | None = None
        self.closed: list[OpenRun] = []
        self._owners: dict[str, OpenRun] = {}
        self._one = threading.RLock()
        self._files: deque[FileEvent] = deque(maxlen=MAX_FILES)

    def told_file(self, event: FileEvent) -> None:
        """A device wrote a file of its own; any thread. The runs that are open tell of it."""
        if event.state != "open":
            self._files.append(event)

    def begin(self, item_id: str) -> None:
        """A new queue item starts: forget the runs of the one before."""
        self.item_id, self.open, self.closed, self._owners = item_id, None, [], {}
        self._files.clear()

    @property
    def still_open(self) -> list[OpenRun]:
        """Runs that have no stop document yet, in the order of their start."""
        return [run for uid, run in self._owners.items() if uid == run.uid and not run.exit_status]

    def rows(self) -> int:
        """Rows of `primary` in all runs of the item so far."""
        return sum(run.points for run in (*self.closed, *self.still_open))

    def _owner(self, name: str, doc: dict[str, Any]) -> OpenRun | None:
        link = doc.get(LINK.get(name, "run_start"))
        return self.open if link is None else self._owners.get(link)

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        """Take one document; never blocks. Events of monitored devices come on their own threads.

        One at a time: two with the same place in the journal would be taken for a repetition.
        """
        with self._one:
            self._take(name, doc)

    def _take(self, name: str, doc: dict[str, Any]) -> None:
        reached("engine.document_emitted")
        if name == "start":
            self._start(doc)
        run = self._owner(name, doc)
        if run is None:
            return
        if name not in ("start", "stop") and (refused := self._outbox.refusal(run.key)):
            raise BusError(refused, remedy="see undula doctor, then repeat the scan")
        if name == "descriptor":
            run.streams[doc["uid"]] = doc.get("name", "primary")
            self._owners[doc["uid"]] = run
        elif name in ("resource", "stream_resource"):
            self._owners[doc["uid"]] = run
            run.linked.add(unquote(urlparse(str(doc.get("uri", ""))).path))
        elif name == "event":
            if run.streams.get(doc["descriptor"]) == "primary":
                run.points = max(run.points, doc["seq_num"])
            reached("engine.point_measured")
        elif name == "event_page":
            if run.streams.get(doc["descriptor"]) == "primary":
                run.points = max(run.points, *doc["seq_num"])
            reached("engine.point_measured")
        elif name == "stop":
            self._tell_files(run)
            doc = self._completed(self._ending(run, doc))
            run.exit_status, run.reason = doc["exit_status"], doc.get("reason", "")
        self._hand_over(run, name, doc)
        if name == "stop":
            self.closed.append(run)
            self.open = next(reversed(self.still_open), None)

    def _hand_over(self, run: OpenRun, name: str, doc: dict[str, Any]) -> None:
        index = run.index + 1
        payload = encode_document(index, name, doc, time.time())
        self._outbox.put(run.key, index, payload, closing=name == "stop")
        run.index = index  # only now: a refused document leaves no gap

    def _tell_files(self, run: OpenRun) -> None:
        """Files that devices wrote while the run was open, beside those that it links already."""
        for event in list(self._files):
            if event.time < run.time or event.path in run.linked:
                continue
            if self._outbox.refusal(run.key):
                return
            run.linked.add(event.path)
            said: dict[str, Any] = {
                "device": event.name,
                "dataset": event.dataset,
                "frames": event.frames or 0,
            }
            if event.state == "missing":
                said["missing"] = True
            resource = {
                "uid": new_id(), "run_start": run.uid, "spec": "undula_file", "root": "/",
                "resource_path": event.path.lstrip("/"), "path_semantics": "posix",
                "resource_kwargs": said,
            }  # fmt: skip
            self._hand_over(run, "resource", resource)

    def _ending(self, run: OpenRun, doc: dict[str, Any]) -> dict[str, Any]:
        """A run that was asked to end says so, whatever its devices said when they were stopped."""
        if refused := self._outbox.refusal(run.key):
            return {**doc, "exit_status": "fail", "reason": refused}
        asked, reason = self._reason()
        if doc["exit_status"] == "success":
            if not run.points and (why := self._emptied()):
                run.emptied = True
                return {**doc, "exit_status": "abort", "reason": why}
            return {**doc, "reason": reason} if asked == "success" else doc
        if asked and asked != "success":
            return {**doc, "exit_status": asked, "reason": reason}
        return doc if doc.get("reason") or asked else {**doc, "reason": reason}

    def _start(self, doc: dict[str, Any]) -> None:
        path = self._opening(doc)
        uid = doc["uid"]
        self.open = self._owners[uid] = OpenRun(
            uid=uid,
            number=doc["scan_id"],
            path=path,
            key=RUN_DOCUMENTS.key(uid=uid),
            time=doc["time"],
        )
        self._outbox.announce(
            RUNS_OPENED,
            RunOpened(
                uid=uid,
                number=doc["scan_id"],
                plan_name=str(doc.get("plan_name", "")),
                command=str(doc.get("command", "")),
                path=str(path),
                item_id=self.item_id,
                time=doc["time"],
            ),
            journal=self.open.key,
        )
