"""Runs that a plan opens at the same time: each document goes to the journal of its own run."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.run_engine import RunEngine
from bluesky.utils import Msg
from event_model import DocumentNames, schema_validators

from undula.bus.codec import decode
from undula.messages import FileEvent, FileState, RunDocument
from undula.scans.documents import DocumentGate
from undula.scans.ports import MemoryDocuments
from undula.testing.faulty import Faulty

Plan = Generator[Msg, Any, Any]


def _interleaved(device: Faulty) -> Plan:
    def of(run: str, plan: Plan) -> Plan:
        yield from bpp.set_run_key_wrapper(plan, run)

    yield from of("a", bps.open_run({"who": "a"}))
    yield from of("b", bps.open_run({"who": "b"}))
    for _ in range(3):
        yield from of("a", bps.trigger_and_read([device]))
        yield from of("b", bps.trigger_and_read([device]))
    yield from of("a", bps.close_run())
    yield from of("b", bps.trigger_and_read([device]))
    yield from of("b", bps.close_run())


def test_interleaved_runs_have_whole_journals_of_their_own() -> None:
    outbox = MemoryDocuments()
    gate = DocumentGate(outbox, lambda _: Path("f.nxs"), lambda: (None, ""))
    open_runs: list[int] = []
    engine = RunEngine({}, context_managers=[])
    engine.subscribe(gate)
    engine.subscribe(lambda *_: open_runs.append(len(gate.still_open)))
    gate.begin("item")
    engine(_interleaved(Faulty("value")))
    journals = [
        [decode(payload, RunDocument) for payload in payloads]
        for payloads in outbox.journals.values()
    ]
    expected = {"a": 3, "b": 4}
    for journal in journals:
        start, descriptor, *events, stop = (document.doc for document in journal)
        assert [d.index for d in journal] == list(range(1, len(journal) + 1))
        assert len(events) == expected.pop(start["who"])
        assert {e["descriptor"] for e in events} == {descriptor["uid"]}
        assert descriptor["run_start"] == stop["run_start"] == start["uid"]
    assert not expected
    assert max(open_runs) == 2
    assert gate.open is None
    assert [(r.points, r.exit_status) for r in gate.closed] == [(3, "success"), (4, "success")]


def test_a_file_that_a_device_wrote_meanwhile_is_in_the_journal_before_the_end() -> None:
    outbox = MemoryDocuments()
    gate = DocumentGate(outbox, lambda _: Path("f.nxs"), lambda: (None, ""))
    engine = RunEngine({}, context_managers=[])
    engine.subscribe(gate)
    gate.begin("item")

    def told(path: str, state: FileState, time: float = 4e9) -> None:
        gate.told_file(FileEvent(name="cam", path=path, state=state, dataset="/d", time=time))

    def plan() -> Plan:
        yield from bps.open_run()
        told("/data/a.h5", "open")
        told("/data/a.h5", "closed")
        told("/data/before.h5", "closed", time=1.0)
        yield from bps.close_run()

    engine(plan())
    (payloads,) = outbox.journals.values()
    documents = [decode(payload, RunDocument) for payload in payloads]
    assert [d.name for d in documents] == ["start", "resource", "stop"]
    assert [d.index for d in documents] == [1, 2, 3]
    resource = documents[1].doc
    assert (resource["root"], resource["resource_path"]) == ("/", "data/a.h5")
    assert resource["resource_kwargs"] == {"device": "cam", "dataset": "/d", "frames": 0}
    schema_validators[DocumentNames.resource].validate(resource)


class Yielding(MemoryDocuments):
    """Lets other threads run before it takes a document, as a lock or a socket does."""

    def put(self, key: str, index: int, payload: bytes, *, closing: bool = False) -> None:
        os.sched_yield()
        super().put(key, index, payload, closing=closing)


def test_events_of_several_threads_each_have_a_place_of_their_own() -> None:
    outbox = Yielding()
    gate = DocumentGate(outbox, lambda _: Path("f.nxs"), lambda: (None, ""))
    gate.begin("item")
    gate("start", {"uid": "r", "scan_id": 1, "time": 1.0})
    streams = ("primary", "a_monitor", "b_monitor", "c_monitor")
    for stream in streams:
        gate("descriptor", {"uid": stream, "run_start": "r", "name": stream})
    begin = threading.Barrier(len(streams))

    def emit(stream: str) -> None:
        begin.wait()
        for number in range(1, 51):
            event = {"descriptor": stream, "seq_num": number, "uid": f"{stream}{number}"}
            gate("event", {**event, "time": 2.0, "data": {"x": 1.0}, "timestamps": {"x": 2.0}})

    threads = [threading.Thread(target=emit, args=(stream,)) for stream in streams]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (payloads,) = outbox.journals.values()
    documents = [decode(payload, RunDocument) for payload in payloads]
    assert [d.index for d in documents] == list(range(1, 1 + 5 + 4 * 50))
