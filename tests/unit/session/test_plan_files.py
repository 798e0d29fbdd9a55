"""Plan files: their functions at the prompt, read again when they change, whole or not at all."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from undula.core.errors import ConfigError, InputError
from undula.session.planning.files import PlanFolder, run_script
from undula.session.planning.modules import MODULES, PlanModule
from undula.session.planning.pack import Packer, packed
from undula.session.planning.trials import FileTrials


@pytest.fixture
def here() -> dict[str, Any]:
    names: dict[str, Any] = {name: PlanModule(name) for name in MODULES}
    return names | {"umv": print}


@pytest.fixture
def folder(tmp_path: Path, here: dict[str, Any]) -> PlanFolder:
    found = PlanFolder(tmp_path, lambda: here, FileTrials(patience_s=60.0))
    found.reserve(here)
    return found


def written(path: Path, text: str) -> Path:
    """Write a file, with a time that no earlier version had."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(text)
    os.utime(path, ns=(before + 10**9, before + 10**9))
    return path


def test_functions_of_a_file_are_names_and_a_changed_file_changes_them(
    folder: PlanFolder, here: dict[str, Any], tmp_path: Path
) -> None:
    path = written(tmp_path / "align.py", "def one():\n    return 1\n\ndef two():\n    return 2\n")
    assert folder.reload() == "align.py: one, two"
    assert (here["one"](), here["two"]()) == (1, 2)
    assert folder.reload() == ""
    written(path, "def one():\n    return 11\n")
    assert folder.reload() == "align.py: one"
    assert here["one"]() == 11
    assert "two" not in here
    path.unlink()
    assert folder.reload() == "align.py: is gone, and so one"
    assert "one" not in here


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("def one():\n    return (1\n", r"\[align.py, line 2\] '\(' was never closed: return \(1"),
        ("N = 0\nX = 1 / N\n", r"\[align.py, line 2: X = 1 / N\] ZeroDivisionError"),
        ("import sys\nsys.exit(3)\n", r"line 2: sys.exit\(3\)\] SystemExit: 3"),
        ("from nowhere_to_be import x\n", r"line 1: from nowhere_to_be import x\] ModuleNotFound"),
        ("def umv():\n    pass\n", r"'umv', which is a name of the shell.*rename"),
        ("X = bp.scna\n", r"line 1: X = bp.scna\] there is no bp.scna.*did you mean bp.scan"),
    ],
)
def test_a_faulty_file_is_told_with_its_line_and_its_last_good_version_stays(
    folder: PlanFolder, here: dict[str, Any], tmp_path: Path, text: str, told: str
) -> None:
    path = written(tmp_path / "align.py", "def one():\n    return 1\n")
    folder.reload()
    written(path, text)
    said = folder.reload()
    assert re.search(told, said)
    assert said.endswith("Its last good version stays: one.")
    assert here["one"]() == 1
    assert folder.reload() == ""
    assert folder.reload(again=True) == said


def test_two_files_may_not_give_one_name(folder: PlanFolder, tmp_path: Path) -> None:
    written(tmp_path / "a.py", "def one():\n    return 1\n")
    written(tmp_path / "b.py", "def one():\n    return 2\n")
    assert "[b.py] it gives 'one', and so does a.py" in folder.reload()


def test_a_macro_finds_what_is_at_the_prompt_now(
    folder: PlanFolder, here: dict[str, Any], tmp_path: Path
) -> None:
    written(tmp_path / "a.py", "def where():\n    return later, other()\n")
    written(tmp_path / "b.py", "def other():\n    return 'b'\n")
    folder.reload()
    here["later"] = 3
    assert here["where"]() == (3, "b")
    del here["later"]
    with pytest.raises(NameError, match="later"):
        here["where"]()


def test_a_plan_of_a_file_travels_with_the_lines_of_the_version_that_was_read(
    folder: PlanFolder, here: dict[str, Any], tmp_path: Path
) -> None:
    text = "STEP = 2\n\ndef plan(n):\n    yield n * STEP\n    yield from stub()\n"
    path = written(tmp_path / "align.py", text)
    written(tmp_path / "more.py", "def stub():\n    yield 0\n")
    folder.reload()
    path.write_text("def plan(n):\n    yield (\n")
    folder.reload()
    source = packed(here["plan"](3), Packer(here, {}, str))
    parts = {part.name: part for part in source.parts}
    assert parts["plan"].code == text.partition("\n\n")[2]
    assert parts["plan"].origin == f"{tmp_path.name}/align.py"
    assert (parts["plan"].line, parts["STEP"].code) == (3, "2")
    assert "stub" in parts


def test_a_script_runs_as_if_it_were_typed(tmp_path: Path, here: dict[str, Any]) -> None:
    (tmp_path / "night.py").write_text("results = [1, 2]\ndef later():\n    return results\n")
    run_script("night.py", tmp_path, here)
    assert here["later"]() == [1, 2]
    (tmp_path / "bad.py").write_text("a = 1\nb = a / 0\n")
    with pytest.raises(ConfigError, match=r"bad\.py, line 2: b = a / 0\] ZeroDivisionError"):
        run_script("bad.py", tmp_path, here)
    with pytest.raises(InputError, match=r"there is no file none\.py.*looked for in"):
        run_script("none.py", tmp_path, here)
