"""Detached scans, the queue and a rebuilt file by commands, on the real services.

Four services are started, and a dozen commands run as a person would: more than 5 s.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest


def undula(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", "from undula.cli import main; main()", *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "UNDULA_BEAMLINE": "t", "COLUMNS": "200"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def running(beamline, tmp_path):
    undula("up", "--data", str(tmp_path / "data"), "--json")
    return beamline


def test_detached_scans_are_steered_and_a_file_is_rebuilt_read_only(running) -> None:
    assert undula("runs", "--json").strip() == "[]"
    undula("scan", "samx", "-1", "1", "5", "--time", "0.01", "--json")
    record = json.loads(undula("runs", "1", "--json"))
    path = Path(record["path"])
    running.until(lambda: Path(f"{path}.docs").exists(), "the archive was not made")
    mode = path.stat().st_mode

    assert str(path) in undula("runs", "rebuild", "1")
    assert path.stat().st_mode == mode
    assert len(undula("runs", "data", "1").splitlines()) == 6

    undula("scan", "samx", "-1", "1", "400", "--time", "0.2", "--detach")
    waiting = undula("scan", "samy", "-1", "1", "3", "--detach")
    assert waiting.startswith("queued: ")

    def state() -> dict:
        return json.loads(undula("queue", "--json"))

    running.until(lambda: state()["state"] == "running", "the scan did not begin")
    undula("queue", "pause")
    running.until(lambda: state()["state"] == "paused", "the scan did not pause")
    assert len(state()["waiting"]) == 1
    undula("queue", "clear")
    assert state()["waiting"] == []
    undula("queue", "resume")
    running.until(lambda: state()["state"] == "running", "the scan did not go on")
    undula("queue", "abort", "--reason", "enough")
    running.until(lambda: state()["state"] == "idle", "the scan did not end")
    aborted = json.loads(undula("runs", "-1", "--json"))
    assert aborted["exit_status"] == "abort"

    undula("runs", "continue", str(aborted["number"]), "--detach")
    running.until(lambda: state()["points_done"] >= 1, "the scan was not continued")
    assert "is left out, then it goes on" in undula("queue", "skip")
    assert "it ends after this point" in undula("queue", "complete")
    running.until(lambda: state()["state"] == "idle", "the scan did not end")
    ended = json.loads(undula("runs", "-1", "--json"))
    assert ended["exit_status"] == "success"
    assert ended["metadata"]["continues"]["number"] == aborted["number"]
    numbers = str(aborted["number"]), str(ended["number"])
    found = {d["name"]: d for d in json.loads(undula("runs", "diff", *numbers, "--json"))}
    assert (found["exit_status"]["a"], found["exit_status"]["b"]) == ("abort", "success")
    assert "command" not in found
    assert "exit_status" in undula("runs", "diff", *numbers)


def test_what_down_has_left_in_the_queue_waits_until_somebody_lets_it_go_on(running) -> None:
    undula("scan", "samx", "-1", "1", "400", "--time", "0.2", "--detach")
    undula("scan", "samy", "-1", "1", "3", "--detach")
    undula("down")

    def state() -> dict:
        return json.loads(undula("queue", "--json"))

    assert "nothing starts: the beamline was brought up anew; undula queue resume" in undula("up")
    before = running.pid("engine")
    os.kill(before, signal.SIGKILL)  # its successor has not forgotten
    running.until(
        lambda: (row := running.row("engine"))["pid"] != before and row["state"] == "ready",
        "no new engine",
    )
    left = state()
    assert (left["running"], len(left["waiting"])) == (None, 1)
    assert left["blocked"].startswith("the beamline was brought up anew")
    undula("queue", "resume")
    running.until(lambda: state()["state"] == "idle" and not state()["waiting"], "it did not go on")
    assert json.loads(undula("runs", "-1", "--json"))["exit_status"] == "success"
