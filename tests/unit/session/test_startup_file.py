"""The beamline's start-up file, with its faults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from undula.core.paths import BeamlinePaths
from undula.core.settings import BeamlineSettings, save_settings
from undula.session.words.startup import run_startup


@pytest.fixture
def paths(tmp_path: Path) -> BeamlinePaths:
    made = BeamlinePaths(name="t", state=tmp_path / "state", run=tmp_path / "run")
    save_settings(BeamlineSettings(name="t", data=tmp_path), made.config)
    return made


def test_its_names_are_at_the_prompt(paths: BeamlinePaths, tmp_path: Path) -> None:
    names: dict[str, Any] = {"base": 2}
    assert run_startup(paths, names) == ""
    assert run_startup(None, names) == ""
    (paths.state / "startup.py").write_text("def twice():\n    return 2 * base\n")
    assert run_startup(paths, names) == ""
    assert names["twice"]() == 4
    (tmp_path / "mine.py").write_text("chosen = True")
    settings = BeamlineSettings(name="t", data=tmp_path, startup=tmp_path / "mine.py")
    save_settings(settings, paths.config)
    assert run_startup(paths, names) == ""
    assert names["chosen"] is True


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("x = 1\ny = x +\n", "startup.py, line 2: invalid syntax: y = x +"),
        ("x = 1\n1 / 0\n", "startup.py, line 2: 1 / 0: ZeroDivisionError: division by zero"),
        ("raise KeyboardInterrupt\n", "interrupted"),
        ("x = 1\nwhile x:\n    pass\n", "it took longer than 0.2 s"),
    ],
)
def test_a_fault_is_told_with_its_line(paths: BeamlinePaths, text: str, fault: str) -> None:
    (paths.state / "startup.py").write_text(text)
    names: dict[str, Any] = {}
    told = run_startup(paths, names, 0.2)
    assert told.startswith("start-up file: ")
    assert all(part in told for part in fault.split(": ")), told
    settings_at_fault = paths.config
    settings_at_fault.write_text("{")
    assert "start-up file: " in run_startup(paths, names)
