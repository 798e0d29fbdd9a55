"""After an engine's death: make the hardware safe, then end what was left open.

In: what the dead engine had touched, the catalogue's open runs, their journals. Out: stopped and
unstaged devices, the missing stop documents. Runs before the first request is served.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import ValidationError

from undula.bus.codec import encode_document
from undula.bus.endpoints import QUEUE_FINISHED, RUN_DOCUMENTS, RUNS_OPENED
from undula.bus.journal import JournalReader, tail
from undula.bus.ports import BEGIN, Connector
from undula.catalogue import Catalogue, QueueItemRecord, RunRecord
from undula.core.clock import now
from undula.core.errors import BusError, UndulaError
from undula.core.faults import reached
from undula.core.log import get_logger
from undula.devices.registry import Registry
from undula.messages import ItemFinished, QueueItem, RunDocument, RunOpened
from undula.messages.runs import ExitStatus
from undula.scans.ledger_unknown import unknown_ledgers
from undula.scans.line import ended_as
from undula.scans.ports import Documents
from undula.scans.safety import left_behind
from undula.scans.stop import stop_all
from undula.scans.stoppable import CANNOT, Unstoppable, stoppable

MAX_STARTS = 3
RECENT_RUNS = 200
RECENT_ITEMS = 1000
UNTOLD_AFTER_S = 3600.0
"""Where nothing was told yet, an end that is older concerns nobody any more."""
UNTOLD_MARGIN_S = 10.0
"""Ends that are entered by several threads may be told in another order."""
BETWEEN = "the engine died before the scan had made all its runs"
REASON = "the engine died; its successor stopped the devices and closed the run"


def make_safe(
    touched: Path, devices: Registry, loop: asyncio.AbstractEventLoop | None
) -> tuple[list[str], dict[str, str]]:
    """Stop and unstage what a dead engine had touched. Returns stopped names, and failures."""
    touched_names = [n for n in left_behind(touched) if n in devices.names()]
    names = [n for n in touched_names if devices[n].connected]
    ways = {n: stoppable(devices[n]) for n in names}
    moving_on = [n for n, how in ways.items() if isinstance(how, Unstoppable)]
    for name in moving_on:
        get_logger().warning("may_still_move", device=name, why=CANNOT)
    stopped, failed = stop_all(
        {n: how for n, how in ways.items() if how is not None and n not in moving_on}, loop
    )
    for name in names:
        unstage = getattr(devices[name].obj, "unstage", None)
        if unstage is None:
            continue
        try:
            result = unstage()
            if asyncio.iscoroutine(result) and loop is not None:
                asyncio.run_coroutine_threadsafe(result, loop).result(5.0)
        except Exception as exc:  # a driver may raise anything; the others must be unstaged too
            failed[name] = f"{type(exc).__name__}: {exc}"
    failed |= {n: "it is not connected" for n in touched_names if n not in names}
    if touched_names:
        get_logger().warning("hardware_made_safe", stopped=stopped, failed=failed)
    if not failed:  # else the file stays, for the next start and for the stopper process
        touched.unlink(missing_ok=True)
    return stopped, failed


def _stop_document(start: dict[str, Any], journal: list[RunDocument]) -> dict[str, Any]:
    streams: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for entry in journal:
        if entry.name == "descriptor":
            streams[entry.doc["uid"]] = entry.doc.get("name", "primary")
        elif entry.name == "event":
            counts[streams.get(entry.doc["descriptor"], "primary")] += 1
        elif entry.name == "event_page":
            counts[streams.get(entry.doc["descriptor"], "primary")] += len(entry.doc["seq_num"])
    ledgers = unknown_ledgers(journal)
    return {
        "uid": str(uuid4()),
        "time": now(),
        "run_start": start["uid"],
        "exit_status": "fail",
        "reason": REASON,
        "num_events": dict(counts),
    } | ({"ledger": ledgers} if ledgers else {})


def _documents(connector: Connector, uid: str) -> tuple[list[RunDocument], int]:
    """What the journal has up to a gap, and the index of its last document."""
    reader = JournalReader(connector, uid)
    documents: list[RunDocument] = []
    try:
        while more := reader.take():
            documents += more
    except BusError:
        last = tail(connector, uid)
        if last is None:
            raise
        return ([*documents, last] if last.name == "stop" else documents), last.index
    return documents, reader.index


def _close_unreadable(run: RunRecord, catalogue: Catalogue, why: str) -> None:
    get_logger().error("journal_lost", run=run.number, file=run.path, why=why)
    catalogue.close_run(
        run.uid,
        exit_status="fail",
        reason=why,
        end_time=now(),
        path=run.path,
        num_events={},
        archive_path="",
    )


def _end_run(run: RunRecord, catalogue: Catalogue, connector: Connector, outbox: Documents) -> None:
    try:
        journal, last = _documents(connector, run.uid)
    except BusError as exc:
        if "WRONGTYPE" not in exc.what:
            raise
        _close_unreadable(run, catalogue, "its journal is no stream: somebody wrote over it")
        return
    key = RUN_DOCUMENTS.key(uid=run.uid)
    if journal and journal[-1].name == "stop":
        return
    if not journal and Path(run.path).exists():
        why = "its journal was lost with the broker; the file holds what was written"
        _close_unreadable(run, catalogue, why)
        return
    if not journal:
        outbox.announce(
            RUNS_OPENED,
            RunOpened(
                uid=run.uid,
                number=run.number,
                plan_name=run.plan,
                command=run.command,
                path=run.path,
                item_id=run.item_id,
                time=run.start_time,
            ),
        )
        outbox.put(key, 1, encode_document(1, "start", run.metadata, time.time()))
    index = max(last, 1) + 1
    stop = _stop_document(run.metadata, journal)
    outbox.put(key, index, encode_document(index, "stop", stop, time.time()))
    outbox.wait_acknowledged(key, index, 10.0)
    get_logger().warning("run_closed_after_death", run=run.number, documents=index)


def end_open_runs(catalogue: Catalogue, connector: Connector, outbox: Documents) -> list[RunRecord]:
    """Write the missing stop documents; the runs that were open.

    The outbox must be connected: its handshake says that everything the dead engine had sent is in
    the journals.
    """
    runs = catalogue.open_runs()
    for run in runs:
        try:
            _end_run(run, catalogue, connector, outbox)
        except (UndulaError, KeyError, ValueError):  # one bad record must not hold up the engine
            get_logger().exception("run_not_closed", run=run.number)
    reached("engine.recovered")
    return runs


def end_started_items(
    catalogue: Catalogue, connector: Connector, open_uids: set[str]
) -> list[tuple[QueueItem, ExitStatus]]:
    """End stored items that had begun to run; the others stay in the queue.

    An item whose last run closed the scan ends as its runs did; any other with a run has failed.
    One without, that was begun `MAX_STARTS` times, killed its engine each time: it ends as failed,
    so that it cannot do so for ever.

    Returns: those items, and how each ended; without what cannot be read.
    """
    found = list[tuple[QueueItem, ExitStatus]]()
    recent = catalogue.runs(limit=RECENT_RUNS)
    items = catalogue.items()
    told = _told(connector) if items else set()
    for record in items:
        mine = [r for r in recent if r.item_id == record.item_id]
        starts = int(record.payload.get("starts", 0))
        if not mine and starts < MAX_STARTS:
            continue
        ended = _ended(record, mine, open_uids)
        reason = f"the engine died {starts} times while it started this scan"
        if mine:
            reason = REASON if open_uids & {run.uid for run in mine} else BETWEEN
        finished = ItemFinished(
            item_id=record.item_id,
            exit_status=ended,
            run_uids=[r.uid for r in mine],
            run_numbers=[r.number for r in mine],
            reason="" if ended == "success" else reason,
            time=now(),
        )
        if record.item_id not in told:  # told first: what is finished would not be looked at again
            connector.append(QUEUE_FINISHED, finished)
        catalogue.finish_item(finished)
        with contextlib.suppress(KeyError, ValidationError):
            found.append((QueueItem.model_validate(record.payload["item"]), ended))
    return found


def _ended(record: QueueItemRecord, runs: list[RunRecord], open_uids: set[str]) -> ExitStatus:
    """How an item ended that had begun; `runs` are its own, the last one first."""
    if not runs or any(run.uid in open_uids for run in runs):
        return "fail"
    words = [run.exit_status for run in reversed(runs)]
    if "open" in words:
        return "fail"
    wrong = next((word for word in words if word not in ("open", "success")), None)
    return wrong or ("success" if _was_last(record, runs[0]) else "fail")  # type: ignore[return-value]  # a status that was kept


def _was_last(record: QueueItemRecord, run: RunRecord) -> bool:
    """Whether no further run of the item was to come behind this one, as far as one can know."""
    if "parts" in run.metadata:
        return bool(run.metadata.get("part") == run.metadata["parts"])
    request = record.payload.get("request") or {}
    own_runs = request.get("source") is not None and not run.metadata.get("plan_declared")
    return not own_runs  # a plan that a person wrote may make any number of them


def tell_ended_items(catalogue: Catalogue, connector: Connector) -> list[str]:
    """Announce items that ended just before the engine died, whose end it could not tell any more.

    Returns: their ids. They are told in order, so only the last ones can be missing.
    """
    told = _announced(connector)
    since = max((one.time for one in told.values()), default=now() - UNTOLD_AFTER_S)
    missing = []
    for record in catalogue.ended_items(RECENT_ITEMS):
        ended = ended_as(record)
        if ended.time >= since - UNTOLD_MARGIN_S and record.item_id not in told:
            missing.append(ended)
    for finished in reversed(missing):
        connector.append(QUEUE_FINISHED, finished)
    return [finished.item_id for finished in reversed(missing)]


def _told(connector: Connector) -> set[str]:
    """Items whose end was announced."""
    return set(_announced(connector))


def _announced(connector: Connector) -> dict[str, ItemFinished]:
    cursor, found = BEGIN, dict[str, ItemFinished]()
    while entries := connector.read(QUEUE_FINISHED, after=cursor):
        found |= {finished.item_id: finished for _, finished in entries}
        cursor = entries[-1][0]
    return found


def count_start(catalogue: Catalogue, item_id: str) -> None:
    """Note that an item begins to run, before anything of it can kill the engine."""
    record = catalogue.item(item_id)
    if record is not None:
        starts = int(record.payload.get("starts", 0)) + 1
        payload = {**record.payload, "starts": starts}
        catalogue.store_item(record.model_copy(update={"payload": payload}))
