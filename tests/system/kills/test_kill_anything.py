"""Kill any process at any named point: what was acknowledged is in the file, what is in it was
measured, and afterwards the beamline is usable without a human.

Witnesses outside the victim: the devices note each value in a file before anybody has it; this
process notes how far the publisher had acknowledged.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from undula.bus.endpoints import RUN_PROGRESS, RUNS_CLOSED, RUNS_OPENED
from undula.bus.ports import BEGIN, Connector
from undula.client import Client
from undula.core.errors import UndulaError
from undula.core.faults import POINTS as POINTS_OF_THE_HOUSE
from undula.files import open_run, read_archive
from undula.files.archive import archive_path
from undula.messages import JournalProgress, RunFileClosed
from undula.testing.beamline import (
    LocalBeamline,
    fault_environment,
    local_beamline,
    short_folder,
)
from undula.testing.witness import device_file, noted

POINTS = 300
LONG = 3000  # long enough for the writer to flush in mid-scan
PATIENCE_S = 60.0

FAULTS = {
    "engine": [
        "engine.request_received:1",
        "engine.item_stored:1",
        "engine.run_numbered:1",
        "engine.document_emitted:1",
        "engine.document_emitted:120",
        "engine.document_sent:60",
        "engine.point_measured:150",
        "engine.item_finished:1",
        "engine.recovered:1",
    ],
    "publisher": ["publisher.received:9", "publisher.appended:9", "publisher.acknowledged:4"],
    "writer": [
        "writer.run_seen:1",
        "writer.file_created:1",
        "writer.document_read:150",
        "writer.flushed:1",
        "writer.stopped:1",
        "writer.archived:1",
        "writer.closed:1",
    ],
    "supervisor": ["supervisor.started_service:2", "supervisor.ready:1"],
}
RUNS_ANEW = {
    "engine.item_stored:1",
    "engine.run_numbered:1",
    "engine.document_emitted:1",
    "engine.recovered:1",
}
"""Killed before its run had opened: the item stays in the queue and runs after the recovery."""
CASES = [(service, fault) for service, faults in FAULTS.items() for fault in faults]


class Progress:
    """How far journals were acknowledged, as seen from here."""

    def __init__(self, connector: Connector) -> None:
        self.reached: dict[str, int] = {}
        self._connector = connector

    def follow(self, uid: str) -> None:
        def note(progress: JournalProgress) -> None:
            known = self.reached.get(progress.uid, 0)
            self.reached[progress.uid] = max(known, progress.acknowledged)

        self._connector.subscribe(RUN_PROGRESS, note, uid=uid)


def _closed(connector: Connector, uid: str) -> RunFileClosed:
    """Wait until the file of that run is closed."""
    cursor, end = BEGIN, time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            entries = connector.read(RUNS_CLOSED, after=cursor, block_s=0.5)
        except UndulaError:
            continue
        for cursor, entry in entries:  # noqa: B007  # the cursor goes on
            if entry.uid == uid:
                return entry
    raise AssertionError(f"the file of run {uid} was never closed")


def _opened(connector: Connector, timeout_s: float) -> str | None:
    """Uid of the first run that was announced."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        try:
            entries = connector.read(RUNS_OPENED, block_s=0.2)
        except UndulaError:
            continue
        if entries:
            return entries[0][1].uid
    return None


def _check_law(beamline: LocalBeamline, closed: RunFileClosed, acknowledged: int) -> int:
    path = Path(closed.path)
    archive = list(read_archive(archive_path(path)))
    assert [d.index for d in archive] == list(range(1, len(archive) + 1))
    assert archive[-1].name == "stop"
    assert len(archive) >= acknowledged
    events = [d for d in archive if d.name == "event"]
    try:
        data = open_run(path)
        values = [int(v) for v in data["wc"]]
    except (UndulaError, KeyError):
        values = []  # a run that ended before its first point
    assert len(values) == len(events)
    measured = {int(v) for v in noted(beamline.folder / "witness.log", "count")}
    assert len(set(values)) == len(values)
    assert set(values) <= measured
    return len(values)


def _usable_again(client: Client) -> None:
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            handle = client.scan("wx", 0, 1, 5, wait=True)
            assert handle.finished is not None
            assert handle.finished.exit_status == "success"
            return
        except UndulaError:
            if time.monotonic() > end:
                raise


def _devices(tmp: Path) -> Path:
    return device_file(tmp, tmp / "witness.log")


@pytest.fixture
def place() -> Iterator[Path]:
    with short_folder("uk-") as folder:
        yield folder


# each case starts a whole beamline and lets it recover: more than 5 s
@pytest.mark.parametrize(("service", "fault"), CASES, ids=[f for _, f in CASES])
def test_a_kill_at_a_named_point_loses_nothing(place: Path, service: str, fault: str) -> None:
    with local_beamline(_devices(place), {service: fault}, folder=place) as beamline:
        client, connector = beamline.connect(), beamline.connector()
        progress = Progress(connector)
        accepted, points = True, LONG if fault.startswith("writer.flushed") else POINTS
        try:
            client.scan("wx", 0, 1, points, wait=False)
        except UndulaError:
            accepted = False  # the engine died before it could answer
        uid = _opened(connector, 10.0 if accepted else 1.0)
        if uid is not None:
            progress.follow(uid)
            closed = _closed(connector, uid)
            rows = _check_law(beamline, closed, progress.reached.get(uid, 0))
            if service != "engine" or fault in RUNS_ANEW:
                assert closed.exit_status == "success"
                assert rows == points
            elif fault != "engine.item_finished:1":
                assert closed.exit_status == "fail"
                assert "engine died" in closed.reason
                assert noted(place / "witness.log", "stop"), "the axis was not stopped"
        _usable_again(client)
        assert not beamline.token(service).exists(), "the fault never struck"


def test_a_broker_killed_in_mid_scan_costs_nothing(place: Path) -> None:
    with local_beamline(_devices(place), folder=place) as beamline:
        client, connector = beamline.connect(), beamline.connector()
        progress = Progress(connector)
        client.scan("wx", 0, 1, 2000, wait=False)
        uid = _opened(connector, 10.0)
        assert uid is not None
        progress.follow(uid)
        os.kill(beamline.pid("broker"), signal.SIGKILL)
        closed = _closed(connector, uid)
        assert _check_law(beamline, closed, progress.reached.get(uid, 0)) == 2000
        assert closed.exit_status == "success"
        _usable_again(client)


CLIENT_FAULTS = ["client.request_sent:1", "client.reply_received:1", "client.document_received:20"]


def test_every_fault_point_is_struck_by_a_test_of_this_file() -> None:
    """But those whose processes no scan needs: each family has a test of its own."""
    elsewhere = {
        "kernel.": "system/kills/test_kill_the_prompt.py",
        "session.": "system/kills/test_kill_the_prompt.py",
        "terminal.": "system/kills/test_kill_the_prompt.py",
        "import.": "unit/client/test_export_import.py",
        "analysis.": "unit/analysis/test_fitter.py",
        "pipes.": "system/pipes/test_link_kills.py",
        "frames.": "unit/files/test_frame_file.py",
    }
    tests = Path(__file__).parents[2]
    for family, file in elsewhere.items():
        assert f'"{family}' in (tests / file).read_text(), f"no test of {family}"
    others = tuple(elsewhere)
    struck = {fault.split(":")[0] for _, fault in CASES} | {f.split(":")[0] for f in CLIENT_FAULTS}
    assert struck == {p for p in POINTS_OF_THE_HOUSE if not p.startswith(others)}


CLIENT = """
import sys
from undula.client import connect
handle = connect("test").scan("wx", 0, 1, 300, wait=False)
for _ in handle.documents():
    pass
"""


@pytest.mark.parametrize("fault", CLIENT_FAULTS)
def test_a_killed_client_stops_nothing(place: Path, fault: str) -> None:
    with local_beamline(_devices(place), folder=place) as beamline:
        victim = subprocess.run(
            [sys.executable, "-c", CLIENT],
            env={**os.environ, **fault_environment(place, "client", fault)},
            timeout=120,
            check=False,
        )
        assert victim.returncode == -signal.SIGKILL
        client, connector = beamline.connect(), beamline.connector()
        uid = _opened(connector, 10.0)
        assert uid is not None
        closed = _closed(connector, uid)
        assert _check_law(beamline, closed, 0) == 300
        assert closed.exit_status == "success"
        _usable_again(client)
