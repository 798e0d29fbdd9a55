"""Seeded random kills, hostile payloads, large scans; some minutes. `make soak SEED=n` repeats."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from undula.bus.endpoints import RUN_PROGRESS, RUNS_CLOSED
from undula.bus.ports import BEGIN, Connector
from undula.client import Client
from undula.core.errors import UndulaError
from undula.files import open_run, read_archive
from undula.files.archive import archive_path
from undula.messages import JournalProgress, RunFileClosed
from undula.testing.beamline import LocalBeamline, local_beamline
from undula.testing.hostile import INSANE, MALFORMED
from undula.testing.witness import device_file, noted

SEED = int(os.environ.get("UNDULA_SOAK_SEED", "1"))
SECONDS = float(os.environ.get("UNDULA_SOAK_SECONDS", "150"))
PATIENCE_S = 60.0
VICTIMS = ("engine", "publisher", "writer", "broker")

pytestmark = pytest.mark.soak


def _patient(call, what: str):
    """Repeat while services come back; what it returns."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            return call()
        except UndulaError as error:
            if time.monotonic() > end:
                raise AssertionError(f"{what}: {error}") from error


def _closed(connector: Connector, uid: str) -> RunFileClosed:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            entries = connector.read(RUNS_CLOSED, after=BEGIN, count=10_000, block_s=0.2)
        except UndulaError:
            continue
        for _, entry in entries:
            if entry.uid == uid:
                return entry
    raise AssertionError(f"the file of run {uid} was never closed")


def _judge(beamline: LocalBeamline, closed: RunFileClosed, acknowledged: int) -> int:
    archive = list(read_archive(archive_path(Path(closed.path))))
    assert [d.index for d in archive] == list(range(1, len(archive) + 1))
    assert len(archive) >= acknowledged
    events = sum(d.name == "event" for d in archive)
    try:
        values = [int(v) for v in open_run(closed.path)["wc"]]
    except (UndulaError, KeyError):
        values = []
    assert len(values) == events
    assert set(values) <= {int(v) for v in noted(beamline.folder / "witness.log", "count")}
    return len(values)


def _one_round(beamline: LocalBeamline, client: Client, connector: Connector, dice) -> str:
    points, victim = dice.randint(50, 1500), dice.choice(VICTIMS)
    after, reached = dice.randint(0, points), 0

    def note(progress: JournalProgress) -> None:
        nonlocal reached
        reached = max(reached, progress.acknowledged)

    scan = _patient(lambda: client.scan("wx", 0, 1, points, wait=False), "no scan")
    uid, seen = "", 0
    try:
        for name, doc in scan.documents():
            if name == "start":
                uid = doc["uid"]
                connector.subscribe(RUN_PROGRESS, note, uid=uid)
            seen += name == "event"
            if seen >= after:
                break
    except UndulaError:
        pass  # the end came before the kill; the law holds all the same
    os.kill(_patient(lambda: beamline.pid(victim), "no pid"), signal.SIGKILL)
    rows = _judge(beamline, _closed(connector, uid), reached) if uid else 0
    return f"{victim} killed after {seen} of {points}: {rows} rows, {reached} acknowledged"


def test_random_kills_lose_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dice = random.Random(SEED)
    folder = Path("/tmp") / f"us-{os.getpid()}"
    folder.mkdir()
    end, rounds = time.monotonic() + SECONDS, 0
    with local_beamline(device_file(folder, folder / "witness.log"), folder=folder) as beamline:
        client, connector = beamline.connect(), beamline.connector()
        while time.monotonic() < end:
            said = _one_round(beamline, client, connector, dice)
            rounds += 1
            with capsys.disabled():
                print(f"\n[seed {SEED}] {rounds}: {said}", end="")
            _patient(lambda: client.count(num=1), "the beamline is not usable again")
    assert rounds >= 5, f"too few rounds; repeat with: make soak SEED={SEED}"


def test_hostile_payloads_stop_no_service() -> None:
    with local_beamline() as beamline:
        client, connector = beamline.connect(), beamline.connector()
        for payload in [*MALFORMED.values(), *INSANE.values()]:
            for key in ("requests/engine/scan", "requests/engine/read", "runs/opened"):
                connector.run([("XADD", key, "*", "id", "x", "m", payload)], again=False)
            connector.run([("PUBLISH", "broker/status", payload)], again=False)
        scan = client.scan("piezo", 0, 1, 10, detectors=["diode"])
        assert len(scan.run.data["diode"]) == 10
        for service in VICTIMS:
            assert beamline.pid(service)


def test_a_scan_of_100000_points_is_whole() -> None:
    with local_beamline() as beamline:
        scan = beamline.connect().scan("piezo", -50, 50, 100_000, detectors=["diode"])
        assert np.allclose(scan.run.data["piezo"], np.linspace(-50, 50, 100_000))
        assert len(scan.run.data["diode"]) == 100_000


def test_journals_of_closed_runs_leave_the_broker() -> None:
    with local_beamline() as beamline:
        client, connector = beamline.connect(), beamline.connector()
        uids = [
            client.count(num=3, detectors=["diode"]).run.uid
            for _ in range(int(os.environ.get("UNDULA_SOAK_RUNS", "200")))
        ]
        lives = connector.run([("TTL", f"runs/{uid}/documents") for uid in uids], again=True)
        assert all(0 < life <= 86_400 for life in lives)
