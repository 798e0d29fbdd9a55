"""A run whose journal the broker refuses ends as failed, early or late."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from undula.bus.codec import decode
from undula.bus.endpoints import RUN_DOCUMENTS
from undula.catalogue import RunRecord, SqliteCatalogue
from undula.core.errors import BusError
from undula.messages import RunDocument
from undula.scans.documents import DocumentGate, OpenRun
from undula.scans.ports import MemoryDocuments
from undula.scans.refusals import Unsettled

KEY = RUN_DOCUMENTS.key(uid="u1")
START = {"uid": "u1", "scan_id": 1, "time": 1.0}
STOP = {"uid": "s", "run_start": "u1", "time": 2.0, "exit_status": "success", "reason": ""}


def _gate(outbox: MemoryDocuments) -> DocumentGate:
    gate = DocumentGate(outbox, lambda _: Path("f.nxs"), lambda: (False, ""))
    gate.begin("item")
    gate("start", dict(START))
    return gate


def _stop_of(outbox: MemoryDocuments) -> dict[str, Any]:
    return decode(outbox.journals[KEY][-1], RunDocument).doc


def test_the_next_document_of_a_refused_journal_fails_the_plan() -> None:
    outbox = MemoryDocuments()
    gate = _gate(outbox)
    outbox.refused[KEY] = "the broker refused document 1 of this run's journal"
    with pytest.raises(BusError, match="refused document 1"):
        gate("descriptor", {"uid": "d", "name": "primary"})


def test_a_run_with_a_refused_document_does_not_end_as_success() -> None:
    outbox = MemoryDocuments()
    gate = _gate(outbox)
    outbox.refused[KEY] = "the broker refused document 1 of this run's journal"
    gate("stop", dict(STOP))
    stop = _stop_of(outbox)
    assert (stop["exit_status"], stop["reason"]) == ("fail", outbox.refused[KEY])
    assert gate.closed[0].exit_status == "fail"


def test_a_refusal_that_comes_after_the_end_is_entered_in_the_history() -> None:
    outbox, catalogue = MemoryDocuments(), SqliteCatalogue(":memory:")
    catalogue.open_run(RunRecord(uid="u1", number=1, path="f.nxs"))
    unsettled = Unsettled(outbox, catalogue)
    unsettled.add([OpenRun(uid="u1", number=1, path=Path("f.nxs"), key=KEY, index=5, points=3)])
    assert unsettled.settle() == []
    outbox.refused[KEY] = "the broker refused document 5 of this run's journal"
    (reason,) = unsettled.settle()
    assert reason.startswith("run 1: the broker refused")
    row = catalogue.run("u1")
    assert (row.exit_status, row.reason, row.num_points) == ("fail", outbox.refused[KEY], 3)
    assert unsettled.settle() == []


def test_an_acknowledged_run_is_left_as_it_is() -> None:
    outbox, catalogue = MemoryDocuments(), SqliteCatalogue(":memory:")
    catalogue.open_run(RunRecord(uid="u1", number=1))
    outbox.put(KEY, 1, b"")
    unsettled = Unsettled(outbox, catalogue)
    unsettled.add([OpenRun(uid="u1", number=1, path=Path("f.nxs"), key=KEY, index=1)])
    unsettled.settle()
    outbox.refused[KEY] = "too late"
    assert unsettled.settle() == []
    assert catalogue.run("u1").exit_status == "open"
