"""A real Tiled server gets our runs, live and afterwards, and Tiled's own client reads them.

Both live in an environment of their own: Tiled is heavy and no part of the development set.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from undula.client import Client
from undula.testing.beamline import LocalBeamline, local_beamline

pytestmark = pytest.mark.interop

ROOT = Path(__file__).parents[2]
KEY = "secret"
READ = """
import json, sys
from tiled.client import from_uri
catalogue = from_uri(sys.argv[1])
run = catalogue[sys.argv[2]]
table = run["primary"].base["internal"].read()
print(json.dumps({
    "scan_id": run.metadata["start"]["scan_id"],
    "exit_status": run.metadata.get("stop", {}).get("exit_status"),
    "specs": [spec.name for spec in run.specs],
    "samx": table["samx"].tolist(), "diode": table["diode"].tolist(), "count": len(catalogue),
}))
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with Tiled, its server, and this Undula."""
    place = tmp_path_factory.mktemp("tiled")
    uv, python = str(Path(sys.executable).with_name("uv")), str(place / "bin" / "python")
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(place)], check=True)
    pip = [uv, "pip", "install", "-q", "--python", python]
    wanted = ["tiled[server]>=0.2,<0.3", "bluesky-tiled-plugins", f"{ROOT}[tiled]"]
    done = subprocess.run([*pip, *wanted], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"Tiled cannot be installed: {done.stderr.strip()[-300:]}")
    return place / "bin"


@pytest.fixture(scope="module")
def server(own: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [str(own / "tiled"), "serve", "catalog", "--temp", "--api-key", KEY, "--port", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while not _answers(f"{uri}/healthz"):
            assert process.poll() is None, "the Tiled server ended"
            assert time.monotonic() < deadline, "the Tiled server does not answer"
            time.sleep(0.2)
        yield uri
    finally:
        process.kill()
        process.wait()


def _answers(uri: str) -> bool:
    try:
        with urllib.request.urlopen(uri, timeout=2) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


@pytest.fixture(scope="module")
def beamline() -> Iterator[LocalBeamline]:
    with local_beamline() as running:
        yield running


@pytest.fixture
def client(beamline: LocalBeamline) -> Iterator[Client]:
    with beamline.connect() as client:
        yield client


def _read(own: Path, server: str, uid: str) -> dict[str, object]:
    done = subprocess.run(
        [str(own / "python"), "-c", READ, server, uid],
        env={**os.environ, "TILED_API_KEY": KEY}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def _feed(own: Path, server: str, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(own / "undula"), "runs", "tiled", server, *words, "--beamline", "test"],
        env={**os.environ, "TILED_API_KEY": KEY},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def test_runs_are_read_back_by_tileds_own_client(own: Path, server: str, client: Client) -> None:
    run = client.scan("samx", -1, 1, 11, detectors=["diode"]).run
    assert run is not None
    said, _ = _feed(own, server).communicate(timeout=120)
    assert f"run {run.number} is in Tiled" in said
    found = _read(own, server, run.uid)
    assert (found["scan_id"], found["exit_status"]) == (run.number, "success")
    assert found["specs"] == ["BlueskyRun"]
    assert np.allclose(found["samx"], run.data["samx"])
    assert np.allclose(found["diode"], run.data["diode"])
    again, _ = _feed(own, server).communicate(timeout=120)
    assert "0 of 1 runs were not in Tiled yet" in again


def test_a_run_is_fed_while_it_is_measured_and_a_killed_feed_begins_it_anew(
    own: Path, server: str, client: Client
) -> None:
    feed = _feed(own, server, "--follow")
    assert feed.stdout is not None
    assert any("following" in line for line in feed.stdout)
    scan = client.submit("scan", "samx", -1, 1, 41, time=0.2, detectors=["diode"])
    deadline = time.monotonic() + 30
    while not scan.run_numbers:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    feed.kill()  # wherever it is
    feed.wait()
    second = _feed(own, server, "--follow")
    try:
        scan.wait()
        assert second.stdout is not None
        number = scan.run_numbers[0]
        assert any(f"run {number} is in Tiled" in line for line in second.stdout)
    finally:
        second.kill()
        second.wait()
    run = scan.run
    assert run is not None
    found = _read(own, server, run.uid)
    assert np.allclose(found["diode"], run.data["diode"])
    assert found["count"] == 2


def test_a_run_that_is_imported_meanwhile_is_fed_too(
    own: Path, server: str, client: Client, tmp_path: Path
) -> None:
    documents = tmp_path / "elsewhere.jsonl"
    uid = str(uuid4())
    start = {"uid": uid, "time": 1.0, "scan_id": 7, "plan_name": "count"}
    stop = {"uid": str(uuid4()), "run_start": uid, "time": 2.0, "exit_status": "success",
            "num_events": {}}  # fmt: skip
    documents.write_text(json.dumps(["start", start]) + "\n" + json.dumps(["stop", stop]) + "\n")
    feed = _feed(own, server, "--follow")
    try:
        assert feed.stdout is not None
        assert any("following" in line for line in feed.stdout)
        subprocess.run(
            [str(own / "undula"), "runs", "import", str(documents), "--beamline", "test"],
            check=True, timeout=60, capture_output=True,
        )  # fmt: skip
        number = client.runs[uid].number
        assert any(f"run {number} is in Tiled" in line for line in feed.stdout)
    finally:
        feed.kill()
        feed.wait()
