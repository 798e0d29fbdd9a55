"""Plan files that hang or die when they are read do so in another process, and are named."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from undula.scans.try_plan import try_file
from undula.session.planning.files import PlanFolder
from undula.session.planning.trials import FileTrials, runs_when_read

PATIENT_S = 60.0
HANG = "import time\nSTARTED = time.time()\ntime.sleep(1000)\n"
GOOD = "def one():\n    return 1\n"


def soon(name: str, text: str) -> str:
    """As the prompt tries it, with a short deadline for the one that hangs."""
    return try_file(name, text, 2.0 if text == HANG else PATIENT_S)


def folder_of(place: Path, here: dict[str, Any], trials: FileTrials) -> PlanFolder:
    return PlanFolder(place, lambda: here, trials)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import os\nos._exit(3)\n", r"^\[bad.py\] reading it ends the process \(exit code 3\)"),
        (
            "import os\nos.kill(os.getpid(), 11)\n",
            r"^\[bad.py\] reading it ends the process \(signal 11\)",
        ),
        (HANG, r"^\[bad.py\] reading it took longer than 2 s. Remedy: take what waits"),
    ],
)
def test_a_file_that_would_end_or_hold_the_prompt_is_named_and_takes_nothing_else_away(
    tmp_path: Path, text: str, told: str
) -> None:
    here: dict[str, Any] = {}
    kept = tmp_path / "state.json"
    plans = tmp_path / "plans"
    plans.mkdir()
    (plans / "bad.py").write_text(text)
    (plans / "good.py").write_text(GOOD)
    folder = folder_of(plans, here, FileTrials(PATIENT_S, kept, soon))
    said = folder.reload().splitlines()
    assert re.search(told, said[0])
    assert said[1] == "good.py: one"
    assert here["one"]() == 1
    assert folder.reload() == ""

    def never(name: str, text: str) -> str:
        raise AssertionError(f"{name} was tried again")

    anew = folder_of(plans, {}, FileTrials(PATIENT_S, kept, never))
    assert anew.reload().splitlines()[0] == said[0]

    (plans / "bad.py").write_text("def two():\n    return 2\n")
    assert folder.reload() == "bad.py: two"


def test_a_cell_does_not_wait_for_a_file_that_takes_long_and_finds_it_later(
    tmp_path: Path,
) -> None:
    go_on, done = threading.Event(), threading.Event()

    def slow(name: str, text: str) -> str:
        go_on.wait(PATIENT_S)
        return ""

    class Watched(FileTrials):
        def _keep(self, key: str, fault: str) -> None:
            done.set()

    here: dict[str, Any] = {}
    path = tmp_path / "slow.py"
    path.write_text("def one():\n    return 0\n")
    trials = Watched(0.0, None, slow)
    folder = folder_of(tmp_path, here, trials)
    assert folder.reload() == "slow.py: one"
    path.write_text("import os\nN = os.getpid()\ndef one():\n    return N\n")
    os.utime(path, (1, 1))
    assert "still being tried" in folder.reload()
    assert here["one"]() == 0
    assert folder.reload() == ""
    go_on.set()
    assert done.wait(PATIENT_S)
    trials.patience_s = PATIENT_S
    assert folder.reload() == "slow.py: one"
    assert here["one"]() == os.getpid()


def test_reload_plans_tries_a_file_again_that_was_refused(tmp_path: Path) -> None:
    answers = iter(["[net.py] reading it took longer than 20 s", ""])
    (tmp_path / "net.py").write_text("N = len(list(range(3)))\ndef one():\n    return N\n")
    folder = folder_of(tmp_path, {}, FileTrials(PATIENT_S, None, lambda *_: next(answers)))
    assert "took longer" in folder.reload()
    assert folder.reload() == ""
    assert folder.reload(again=True) == "net.py: one"


def test_the_limit_holds_here_as_well_for_a_file_that_was_quick_when_it_was_tried(
    tmp_path: Path,
) -> None:
    (tmp_path / "odd.py").write_text("import time\ntime.sleep(1000)\n")
    trials = FileTrials(PATIENT_S, None, lambda *_: "")
    folder = PlanFolder(tmp_path, dict, trials, limit_s=0.2)
    assert re.search(r"odd.py, line 2: time.sleep\(1000\)\] it took longer", folder.reload())


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("def scan_all(axis: Movable, n: Annotated[int, 'mm', Field(gt=0)] = 3): yield", False),
        (
            "from typing import Annotated, Literal\nWAYS = ('up', 'down')\nX: int | None = None",
            False,
        ),
        ("@decorate\ndef a(): yield", True),
        ("@decorate()\ndef a(): yield", True),
        ("def a(n=f()): yield", True),
        ("while True: pass", True),
        ("X = 10 ** 10 ** 10", True),
        ("import no_such_module_here", True),
        ("class A:\n    x = f()", True),
        ("def (", False),
    ],
)
def test_only_a_file_that_runs_something_is_tried(text: str, runs: bool) -> None:
    assert runs_when_read(text) is runs
