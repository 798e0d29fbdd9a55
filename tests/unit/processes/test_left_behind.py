"""What a new engine logs of the motion that a dead one had left behind: stopped, or not."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from undula.core.paths import BeamlinePaths, beamline_paths
from undula.processes import engine

PV = "UNDULA:NOBODY:HAS:THIS.STOP"


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BeamlinePaths:
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("EPICS_CA_AUTO_ADDR_LIST", "NO")
    monkeypatch.setenv("EPICS_CA_ADDR_LIST", "127.0.0.1:9")  # where nobody listens
    found = beamline_paths("leftbehind")
    found.touched.parent.mkdir(parents=True, exist_ok=True)
    return found


def _logged(paths: BeamlinePaths, stop: list[Any]) -> dict[str, dict[str, Any]]:
    paths.touched.write_text(json.dumps({"devices": {"mtr": {"stop": stop}}}))
    with capture_logs() as said:
        engine._stop_left_behind(paths, 60.0)  # a loaded machine starts a process late
    return {str(one["event"]): dict(one) for one in said}


def test_what_has_no_stop_command_ended_with_the_engine(paths: BeamlinePaths) -> None:
    assert _logged(paths, []) == {}


def test_a_device_that_was_not_reached_is_an_error_with_its_name(paths: BeamlinePaths) -> None:
    logged = _logged(paths, [[PV, 1]])
    assert set(logged) == {"left_behind_not_stopped"}
    assert logged["left_behind_not_stopped"]["log_level"] == "error"
    assert PV in logged["left_behind_not_stopped"]["failed"]["mtr"]


def test_a_stopper_that_dies_is_an_error_with_its_last_line(
    paths: BeamlinePaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho first >&2\necho no room left >&2\nexit 3\n")
    python.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(python))
    logged = _logged(paths, [[PV, 1]])
    assert set(logged) == {"left_behind_not_stopped"}
    assert logged["left_behind_not_stopped"]["error"] == "no room left"
