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
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from undula.bus.endpoints import RUNS_OPENED
from undula.bus.ports import BEGIN, Connector
from undula.client import Client
from undula.core.errors import UndulaError
from undula.core.faults import POINTS as POINTS_OF_THE_HOUSE
from undula.testing.beamline import (
    LATER,
    LocalBeamline,
    fault_environment,
    local_beamline,
    short_folder,
)
from undula.testing.law import Progress, check_law, file_closed
from undula.testing.witness import device_file, noted

POINTS = 300
LONG = 3000  # long enough for the writer to flush in mid-scan
PATIENCE_S = 60.0
LOG = "witness.log"

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
SELDOM = {
    "engine.document_emitted:1",
    "engine.document_sent:60",
    "publisher.received:9",
    "publisher.acknowledged:4",
    "writer.run_seen:1",
    "writer.file_created:1",
    "writer.stopped:1",
    "writer.archived:1",
    "supervisor.started_service:2",
}
"""In the long tests only: the same places are struck at each change in tests of that service."""


def _opened(connector: Connector, after: str = BEGIN, timeout_s: float = PATIENCE_S) -> str | None:
    """Uid of the first run that was announced behind `after`."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        try:
            entries = connector.read(RUNS_OPENED, after=after, block_s=0.2)
        except UndulaError:
            continue
        if entries:
            return entries[0][1].uid
    return None


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
    return device_file(tmp, tmp / LOG)


@pytest.fixture
def place() -> Iterator[Path]:
    with short_folder("uk-") as folder:
        yield folder


def cases(*services: str) -> list[Any]:
    return [
        pytest.param(*case, id=case[1], marks=[pytest.mark.soak] if case[1] in SELDOM else [])
        for case in CASES
        if case[0] in services
    ]


def _killed_in_a_scan(beamline: LocalBeamline, service: str, fault: str) -> None:
    """A scan through which the service is killed once: the law holds, and everything goes on."""
    log = beamline.folder / LOG
    with beamline.connect() as client, closing(beamline.connector()) as connector:
        progress = Progress(connector)
        before, stops = connector.last_id(RUNS_OPENED), len(noted(log, "stop"))
        accepted, points = True, LONG if fault.startswith("writer.flushed") else POINTS
        try:
            client.scan("wx", 0, 1, points, wait=False)
        except UndulaError:
            accepted = False  # the engine died before it could answer
        uid = _opened(connector, before, timeout_s=PATIENCE_S if accepted else 1.0)
        if uid is not None:
            progress.follow(uid)
            closed = file_closed(connector, uid)
            rows = check_law(closed, progress.reached.get(uid, 0), log)
            if service != "engine" or fault in RUNS_ANEW:
                assert closed.exit_status == "success"
                assert rows == points
            elif fault != "engine.item_finished:1":
                assert closed.exit_status == "fail"
                assert "engine died" in closed.reason
                assert len(noted(log, "stop")) > stops, "the axis was not stopped"
        _usable_again(client)
        progress.close()
    assert not beamline.token(service).exists(), "the fault never struck"


@pytest.fixture(scope="module")
def beamline() -> Iterator[LocalBeamline]:
    """One for all tests of this file but those that kill its supervisor as it comes up."""
    later = dict.fromkeys(("engine", "publisher", "writer"), LATER)
    with (
        short_folder("uk-") as folder,
        local_beamline(_devices(folder), later, folder=folder) as made,
    ):
        yield made


@pytest.mark.parametrize(("service", "fault"), cases("engine", "publisher", "writer"))
def test_a_kill_at_a_named_point_loses_nothing(
    beamline: LocalBeamline, service: str, fault: str
) -> None:
    beamline.arm(service, fault)
    _killed_in_a_scan(beamline, service, fault)


@pytest.mark.parametrize(("service", "fault"), cases("supervisor"))
def test_a_supervisor_that_is_killed_as_services_come_up_loses_nothing(
    place: Path, service: str, fault: str
) -> None:
    with local_beamline(_devices(place), {service: fault}, folder=place) as own:
        _killed_in_a_scan(own, service, fault)


def test_a_broker_killed_in_mid_scan_costs_nothing(beamline: LocalBeamline) -> None:
    with beamline.connect() as client:
        connector = beamline.connector()
        progress = Progress(connector)
        before = connector.last_id(RUNS_OPENED)
        client.scan("wx", 0, 1, 2000, wait=False)
        uid = _opened(connector, before)
        assert uid is not None
        progress.follow(uid)
        os.kill(beamline.pid("broker"), signal.SIGKILL)
        closed = file_closed(connector, uid)
        assert check_law(closed, progress.reached.get(uid, 0), beamline.folder / LOG) == 2000
        assert closed.exit_status == "success"
        _usable_again(client)
        connector.close()


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
def test_a_killed_client_stops_nothing(beamline: LocalBeamline, fault: str) -> None:
    connector = beamline.connector()
    before = connector.last_id(RUNS_OPENED)
    victim = subprocess.run(
        [sys.executable, "-c", CLIENT],
        env={**os.environ, **fault_environment(beamline.folder, "client", fault)},
        timeout=120,
        check=False,
    )
    assert victim.returncode == -signal.SIGKILL
    uid = _opened(connector, before)
    assert uid is not None
    closed = file_closed(connector, uid)
    assert check_law(closed, 0, beamline.folder / LOG) == 300
    assert closed.exit_status == "success"
    with beamline.connect() as client:
        _usable_again(client)
    connector.close()
