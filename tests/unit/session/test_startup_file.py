"""The beamline's start-up file, with its faults."""

from __future__ import annotations

import signal
import subprocess
import sys
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


PROMPT = """
import sys
from pathlib import Path
from undula.core.paths import BeamlinePaths
from undula.session.words.startup import run_startup
here = Path(sys.argv[1])
paths = BeamlinePaths(name="t", state=here / "state", run=here / "run")
print(run_startup(paths, {}, 600) or "ran")
"""


def _prompt(folder: Path) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", PROMPT, str(folder)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


def test_a_prompt_that_died_of_it_begins_without_it_once(
    paths: BeamlinePaths, tmp_path: Path
) -> None:
    file = paths.state / "startup.py"
    file.write_text("import os; os._exit(3)")
    for _ in range(2):
        dies = _prompt(tmp_path)
        assert (dies.communicate()[0], dies.returncode) == ("", 3)
        told = _prompt(tmp_path).communicate()[0]
        assert "startup.py" in told
        assert "a prompt ended in the middle of it" in told
    dies = _prompt(tmp_path)
    assert dies.wait() == 3
    file.write_text("x = 1")
    assert _prompt(tmp_path).communicate()[0] == "ran\n"
    assert sorted(p.name for p in paths.state.iterdir()) == ["beamline.yaml", "startup.py"]


@pytest.mark.parametrize(
    ("number", "told"), [(signal.SIGTERM, ""), (signal.SIGKILL, "a prompt ended in the middle")]
)
def test_a_prompt_that_was_asked_to_end_did_not_die_of_it(
    paths: BeamlinePaths, tmp_path: Path, number: signal.Signals, told: str
) -> None:
    file = paths.state / "startup.py"
    file.write_text("print('begun', flush=True)\nimport time; time.sleep(600)")
    waits = _prompt(tmp_path)
    assert waits.stdout is not None
    assert waits.stdout.readline() == "begun\n"
    waits.send_signal(number)
    waits.communicate()
    assert waits.returncode == -number
    names: dict[str, Any] = {}
    said = run_startup(paths, names, 0.2)
    assert (told or "it took longer than 0.2 s") in said
