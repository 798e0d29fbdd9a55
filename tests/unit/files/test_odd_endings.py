"""A run is closed whatever its stop document leaves out."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import h5py
import pytest

from undula.files import NexusFile, sound_stop

START = {"uid": "u1", "scan_id": 1, "time": 1.0, "plan_name": "count"}


@pytest.mark.parametrize(
    "stop",
    [
        {},
        {"exit_status": "done", "time": 3.0},
        {"exit_status": None, "time": None, "reason": None},
        {"exit_status": "success", "time": math.nan},
        {"exit_status": ["fail"], "time": "late", "reason": 5},
    ],
)
def test_an_odd_stop_document_closes_the_file(tmp_path: Path, stop: dict[str, Any]) -> None:
    file = NexusFile.create(tmp_path / "r.nxs", dict(START))
    sound = sound_stop(stop)
    with h5py.File(file.close(sound)) as closed:
        status = closed["entry/exit_status"][()].decode()
    assert status == sound["exit_status"]
    assert (status == "success") == (stop.get("exit_status") == "success")
    assert math.isfinite(sound["time"])
