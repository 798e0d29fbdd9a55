"""The real services, started by `undula up` on the simulated beamline.

Each test starts four services and kills some, as a person would meet them: more than 5 s.
"""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from undula.core import procs
from undula.processes import supervisor_client
from undula.testing.law import until


def undula(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from undula.cli import main; main()", *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "UNDULA_BEAMLINE": "t", "COLUMNS": "200"},
    )


def until_all_ready() -> dict[str, Any]:
    """The status when the shared prompt has come up, too."""
    state: dict[str, Any] = {}

    def ready() -> bool:
        state.update(json.loads(undula("status", "--json").stdout))
        return all(row["state"] == "ready" for row in state["services"])

    until(ready, "not all services became ready")
    return state


@pytest.fixture
def running(beamline, tmp_path):
    done = undula("up", "--data", str(tmp_path / "data"), "--json")
    assert done.returncode == 0, done.stderr
    return beamline


def test_a_beamline_comes_up_says_what_a_power_cut_costs_and_leaves_nothing(running) -> None:
    state = until_all_ready()
    assert len(state["services"]) == 6
    assert state["broker"]["fsync"] in ("always", "everysec")
    pids = [row["pid"] for row in state["services"]]
    done = undula("down")
    assert done.returncode == 0, done.stderr
    assert [pid for pid in pids if procs.start_ticks(pid) is not None] == []
    assert not running.paths.run.exists()


def test_each_killed_service_comes_back_and_the_beamline_is_usable(running) -> None:
    for name in ("writer", "publisher", "engine", "broker"):
        before = running.pid(name)
        running.kill(before)
        running.until(
            lambda name=name, before=before: (
                running.row(name)["state"] == "ready" and running.pid(name) != before
            ),
            f"{name} did not come back",
        )
    read = undula("read", "samx", "--json")
    assert read.returncode == 0, read.stdout + read.stderr


def test_a_wrong_device_file_is_refused_before_anything_starts(beamline, tmp_path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("samx:\n  deviceClass: no.SuchClass\n  enabeld: true\n")
    done = undula("up", "--devices", str(wrong), "--data", str(tmp_path / "data"))
    assert done.returncode == 2, done.stderr
    assert "wrong.yaml" in done.stderr
    assert not supervisor_client.is_up(beamline.paths)
    assert supervisor_client.living(beamline.paths) == {}
