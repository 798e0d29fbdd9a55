"""Code that a beamline adds is looked at when the engine starts, and by the doctor."""

from __future__ import annotations

from pathlib import Path

import pytest

from undula.core.paths import BeamlinePaths
from undula.core.settings import BeamlineSettings
from undula.processes.doctor import examine
from undula.processes.own_code import faults_of_models_and_nodes, faults_of_plans, own_files
from undula.testing.beamline import NAME, local_beamline, short_folder
from undula.testing.law import until

FILES = {
    "plans/good.py": "def align(axis: 'Movable', span: float = 1.0):\n    yield from []\n",
    "plans/night.py": "import math\n\ndef broken(:\n    yield\n",
    "plans/hooks.py": "samx\nnobody_knows_this\n",
    "plans/defaults.yaml": "scan:\n  tme: 0.1\n",
    "models/lorentz.py": "def ghost(x, a=1.0):\n    return x\n\n1 / 0\n",
    "nodes/spots.py": "def count(image, level):\n    return 0\n",
}
TOLD = ("night.py", "hooks.py", "defaults.yaml", "lorentz.py, line 4", "spots.py")


def _write(state: Path, *wanted: str) -> None:
    for name in wanted or FILES:
        file = state / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(FILES[name])


def test_each_faulty_file_is_in_the_engines_log_and_told_by_the_doctor() -> None:
    with short_folder("uo-") as folder:
        state = folder / "state" / "undula" / NAME
        _write(state)
        with local_beamline(folder=folder) as beamline:
            assert beamline.paths.state == state
            log = beamline.paths.logs / "engine.jsonl"
            until(
                lambda: all(name in log.read_text() for name in TOLD),
                "a faulty file is not in the log",
            )
            found = [f for f in examine(beamline.paths) if f.name == "own code"]
    assert {f.verdict for f in found} == {"wrong"}
    assert all(any(name in f.text for f in found) for name in TOLD), found
    assert not any("good.py" in f.text for f in found)
    assert any("nobody_knows_this" in f.text for f in found), "samx is a device"


@pytest.fixture
def paths(tmp_path: Path) -> BeamlinePaths:
    return BeamlinePaths(name=NAME, state=tmp_path, run=tmp_path)


def test_good_files_and_none_have_no_fault(paths: BeamlinePaths, tmp_path: Path) -> None:
    settings = BeamlineSettings(name=NAME, data=tmp_path / "data")
    assert faults_of_models_and_nodes(paths) == faults_of_plans(paths, settings, []) == []
    _write(tmp_path, "plans/good.py")
    assert faults_of_plans(paths, settings, ["M.samx"]) == []
    assert [file.name for file in own_files(paths, settings)] == ["good.py"]


@pytest.mark.parametrize(
    ("text", "told"),
    [("import os\nos._exit(3)\n", "exit 3"), ("while True:\n    pass\n", "longer than 3 s")],
)
def test_a_model_that_hangs_or_dies_is_told(paths: BeamlinePaths, text: str, told: str) -> None:
    paths.models.mkdir(parents=True)
    (paths.models / "bad.py").write_text(text)
    (fault,) = faults_of_models_and_nodes(paths, deadline_s=3.0 if "while" in text else 60.0)
    assert told in fault
