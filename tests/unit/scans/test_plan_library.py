"""Plans of plan files and packages: read in a process of their own, called by name, reloaded."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from undula.client.again import repeated
from undula.core.errors import ConfigError, InputError, LimitError
from undula.messages.plans import UserPlan, usage
from undula.scans.describe_plans import describe
from undula.scans.plan_arguments import call_text
from undula.scans.plan_library import PlanLibrary
from undula.scans.user_plans import load_plan
from undula.testing.scan_house import ScanHouse

DEVICES = """
samx: {deviceClass: undula.devices.sim.SimPositioner, readoutPriority: baseline, enabled: true,
       deviceConfig: {limits: [-5, 5], delay: 0}}
samy: {deviceClass: undula.devices.sim.SimPositioner, readoutPriority: baseline, enabled: true,
       deviceConfig: {delay: 0}}
diode: {deviceClass: undula.devices.sim.SimMonitor, readoutPriority: monitored, enabled: true,
        softwareTrigger: true}
"""
ALIGN = '''
"""Plans of the morning."""
from typing import Annotated, Literal

from pydantic import Field

__author__ = "Ada"


def align(
    axis: Movable,
    half: Annotated[float, "mm", Field(gt=0, le=2)] = 1.0,
    num: Annotated[int, Field(ge=2)] = 3,
    *,
    way: Literal["up", "down"] = "up",
    also: list[Readable] = (),
):
    """Scan around the middle.

    Args:
        axis: what is moved.
        half: half of the range.
    """
    yield from bp.scan([D.diode, *also], axis, -half, half, num, md={"way": way})


def knife(axis: Movable, places: list[float]) -> Points:
    """Points that are known beforehand."""
    return Points({axis: places}, time=0.0)


def _own():
    yield
'''


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScanHouse]:
    made = ScanHouse(tmp_path_factory.mktemp("house"), DEVICES)
    (made.plans / "align.py").write_text(ALIGN)
    yield made
    made.close()


@pytest.fixture
def house(shared: ScanHouse) -> Iterator[ScanHouse]:
    """With the plans of `align.py`, and of nothing else when the test begins."""
    yield shared
    for path in shared.plans.iterdir():
        if path.name != "align.py":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _again(path: Path, text: str) -> None:
    """A new version of a file, told by its size and stamp."""
    path.write_text(text)
    stamp = path.stat().st_mtime_ns + 1_000_000
    os.utime(path, ns=(stamp, stamp))


def test_hints_and_docstring_become_arguments(house: ScanHouse) -> None:
    align, knife = house.additions.list().plans
    kinds = {p.name: (p.kind, p.unit, p.above, p.high, p.choices) for p in align.parameters}
    assert kinds == {
        "axis": ("axis", "", None, None, []),
        "half": ("number", "mm", 0, 2, []),
        "num": ("whole", "", None, None, []),
        "way": ("choice", "", None, None, ["up", "down"]),
        "also": ("detectors", "", None, None, []),
    }
    assert align.parameters[0].help == "what is moved."
    assert align.help == "Scan around the middle."
    assert usage(align) == "align AXIS [half=1.0] [num=3] [way='up'] [also=()]"
    assert (align.author, align.declared, knife.declared) == ("Ada", False, True)
    assert len(align.edition) == 12


def test_a_plan_of_a_file_runs_by_its_name_and_says_where_it_is_from(house: ScanHouse) -> None:
    ended = house.run("align", "samx", 0.5, way="down", also=["samy"])
    assert ended.exit_status == "success"
    start = house.start(ended.run_uids[0])
    assert (start["plan_name"], start["plan_author"], start["way"]) == ("align", "Ada", "down")
    assert "def align(" in start["plan_source"]
    assert start["plan_call"] == "align(dev['samx'], 0.5, way='down', also=[dev['samy']])"
    assert [name for name, _ in house.journal(ended.run_uids[0])].count("event") == 3


def test_a_plan_that_declares_its_points_is_checked_whole_before_anything_moves(
    house: ScanHouse,
) -> None:
    with pytest.raises(LimitError, match="point 3 of 3: target 6 mm is above the high limit 5 mm"):
        house.check("knife", "samx", [0, 1, 6])
    scan = house.check("knife", "samx", [0, 1, 4])
    assert (scan.num_points, scan.axes) == (3, ("samx",))
    ended = house.run("knife", "samx", [0, 1, 4])
    assert ended.exit_status == "success"
    start = house.start(ended.run_uids[0])
    assert (start["plan_name"], start["num_points"], start["motors"]) == ("knife", 3, ["samx"])


@pytest.mark.parametrize(
    ("args", "kwargs", "said"),
    [
        (["samx", 3], {}, "half is 3 mm"),
        (["samx", 0], {}, "give more than 0, 2 or less in mm"),
        (["samxx"], {}, "did you mean samx"),
        (["diode"], {}, "axis is diode, which cannot be moved"),
        (["samx", 1, 2.5], {}, "give a whole number"),
        (["samx"], {"way": "left"}, "one of 'up', 'down'"),
        (["samx"], {"wya": "up"}, "did you mean way"),
        ([], {}, "wants 1 more: axis"),
        (["samx", 1, 3, "up"], {}, "takes 3 arguments by position, and got 4"),
        (["samx"], {"axis": "samy"}, "given twice"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_with_what_would(
    house: ScanHouse, args: list[Any], kwargs: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        house.check("align", *args, **kwargs)


def test_a_text_without_a_hint_is_the_device_of_that_name_when_there_is_one() -> None:
    plan = UserPlan.model_validate(
        {"name": "p", "origin": "f", "parameters": [{"name": "what", "many": True}]}
    )
    text = call_text(plan, ["samx", "blue", ["samx", 1]], {}, ["samx"])
    assert text == "p(dev['samx'], 'blue', [dev['samx'], 1])"


FAULTS: list[tuple[str, str]] = [
    ("def broken(:\n    yield\n", "bad.py, line 1"),
    ("x = 1\nraise ValueError('no')\n", "bad.py, line 2"),
    ("y = nonesuch\n", "bad.py, line 1"),
    ("import sys\nsys.exit(3)\n", "bad.py, line 2"),
    ("import os\nos._exit(3)\n", "exit 3"),
    ("import os\nos.kill(os.getpid(), 11)\n", "signal 11"),
    ("import no_such_module\n", "bad.py, line 1"),
]


@pytest.mark.parametrize(("text", "said"), FAULTS)
def test_a_fault_of_a_file_is_told_with_its_line(text: str, said: str) -> None:
    assert said in describe({"origin": "bad.py", "text": text, "names": []})["fault"]


def test_a_faulty_file_takes_nothing_else_away(house: ScanHouse) -> None:
    (house.plans / "bad.py").write_text("def broken(:\n    yield\n")
    found = house.additions.list()
    assert [plan.name for plan in found.plans] == ["align", "knife"]
    assert [fault.partition("]")[0] for fault in found.faults] == ["[bad.py, line 1: def broken(:"]


def test_a_file_that_is_no_utf_8_text_is_told_with_its_line_and_what_to_do(
    house: ScanHouse,
) -> None:
    said = "[old.py, line 2] it is no UTF-8 text. Remedy: save the file as UTF-8."
    (house.plans / "old.py").write_bytes(b"def old():\n    'K\xe9v'\n    yield Msg('null')\n")
    assert house.additions.list().faults == [said]
    with pytest.raises(ConfigError, match=r"old stands in old\.py, which is faulty: .* UTF-8"):
        house.check("old")
    (house.plans / "hooks.py").write_bytes(b"# \xe9\n")
    try:
        assert "[hooks.py, line 1] it is no UTF-8 text" in house.additions.list().faults[1]
    finally:
        (house.plans / "hooks.py").unlink()


def test_a_macro_is_named_as_one_where_a_plan_is_asked_for(house: ScanHouse) -> None:
    (house.plans / "night.py").write_text("def night():\n    print('good night')\n")
    with pytest.raises(InputError, match=r"night of night.py is a macro, no plan.*night\(\.\.\.\)"):
        house.check("night")


def test_a_file_that_hangs_is_left_after_its_deadline(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(1000)\n")
    (tmp_path / "good.py").write_text("def good():\n    yield\n")

    def soon(question: Mapping[str, Any]) -> dict[str, Any]:
        return describe(question, 2.0 if question["origin"] == "slow.py" else 60.0)

    library = PlanLibrary(tmp_path, list, packages=list, describe=soon)
    library.look()
    assert [plan.name for plan in library.plans()] == ["good"]
    assert "took longer than 2 s" in library.faults()[0]


def test_a_changed_file_is_read_again_and_a_waiting_scan_keeps_its_version(
    house: ScanHouse,
) -> None:
    file = house.plans / "look.py"
    file.write_text("def look():\n    yield from bp.count([D.diode], 2)\n")
    waiting = house.check("look").request
    _again(file, "def look():\n    yield from bp.count([D.diode], 3)\n")
    later = house.check("look").request
    assert waiting.source is not None
    assert later.source is not None
    assert "D.diode], 2)" in waiting.source.text
    assert "D.diode], 3)" in later.source.text
    _again(file, "def look(:\n")
    with pytest.raises(ConfigError, match=r"look stands in look\.py, which is faulty"):
        house.check("look")
    file.unlink()
    with pytest.raises(InputError, match="there is no plan 'look'"):
        house.check("look")


def test_a_repeated_run_has_the_text_that_its_plan_had(house: ScanHouse) -> None:
    file = house.plans / "look.py"
    file.write_text("def look(n: int):\n    yield from bp.count([D.diode], n)\n")
    first = house.run("look", 2)
    _again(file, "def look(n: int):\n    yield from bp.count([D.diode], 3 + n)\n")
    again = repeated(house.catalogue.run(first.run_uids[-1]), house.catalogue)
    words = again.pop("args")
    second = house.run(again.pop("plan"), *words, **again.pop("kwargs"), **again)
    assert len(house.points(second.run_uids[-1])) == 2


def test_a_name_that_is_taken_is_left_out_with_the_reason(house: ScanHouse) -> None:
    (house.plans / "a.py").write_text("def scan():\n    yield\n\ndef mine():\n    yield\n")
    (house.plans / "b.py").write_text("def mine():\n    yield\n")
    found = house.additions.list()
    assert [p.origin for p in found.plans if p.name == "mine"] == ["a.py"]
    assert [fault.partition("]")[0] for fault in found.faults] == ["[a.py, line 1", "[b.py, line 1"]


def test_of_two_plans_with_one_name_each_runs_by_its_whole_name(
    house: ScanHouse,
) -> None:
    (house.plans / "a.py").write_text("def mine():\n    yield from bp.count([D.diode], 1)\n")
    (house.plans / "b.py").write_text("def mine():\n    yield from bp.count([D.diode], 2)\n")
    (house.plans / "c.py").write_text("def scan():\n    yield from bp.count([D.diode], 3)\n")
    faults = house.additions.list().faults
    assert "a.py gives it as well, and wins" in faults[0]
    assert "say which one is meant: b.mine" in faults[0]
    for name, points in (("mine", 1), ("a.mine", 1), ("b.mine", 2), ("c.scan", 3)):
        ended = house.run(name)
        assert len(house.points(ended.run_uids[0])) == points


def test_a_file_may_use_what_another_gives(house: ScanHouse) -> None:
    (house.plans / "a_part.py").write_text("def part(n):\n    yield from bp.count([D.diode], n)\n")
    (house.plans / "whole.py").write_text("def whole(n: int):\n    yield from part(n)\n")
    ended = house.run("whole", 4)
    assert ended.exit_status == "success"
    events = [name for name, _ in house.journal(ended.run_uids[0])].count("event")
    assert events == 4 + 2  # with two readings of the baseline


def test_an_error_names_the_line_of_the_file(house: ScanHouse) -> None:
    (house.plans / "far.py").write_text("def far():\n    yield from bps.mv(M.samx, 9)\n")
    ended = house.run("far")
    assert ended.exit_status == "fail"
    assert "far.py, line 2: yield from bps.mv(M.samx, 9)" in ended.reason


def test_a_forgotten_yield_from_is_refused_with_its_line(house: ScanHouse) -> None:
    (house.plans / "lazy.py").write_text(
        "def lazy():\n    bps.mv(M.samx, 1)\n    yield from bp.count([D.diode])\n"
    )
    with pytest.raises(
        InputError, match=r"lazy\.py, line 2: bps\.mv\(M\.samx, 1\)\] .*nobody runs"
    ):
        house.check("lazy")


@pytest.mark.parametrize("of", ["function", "module"])
def test_a_package_gives_plans_by_its_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of: str
) -> None:
    package = tmp_path / f"beam_plans_{of}.py"
    package.write_text(
        "import bluesky.plans as bp\n\n\n"
        "def shine(detectors: list, num: int = 2):\n"
        '    """Read in the light."""\n'
        "    yield from bp.count(detectors, num)\n\n\n"
        "def number():\n    return 1\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    value = f"{package.stem}:shine" if of == "function" else package.stem
    point = EntryPoint("shine" if of == "function" else "anything", value, "undula.plans")
    house = ScanHouse(tmp_path, DEVICES, packages=[point])
    try:
        assert house.additions.packaged() is None, "not read yet is not the same as none"
        (plan,) = house.additions.list().plans
        assert (plan.name, plan.help) == ("shine", "Read in the light.")
        assert house.additions.packaged() == [plan]
        assert (plan.imported, plan.whole_name) == (
            f"{package.stem}:shine",
            f"{plan.origin}.shine",
        )
        ended = house.run(plan.whole_name, ["diode"])
        assert (ended.exit_status, len(house.points(ended.run_uids[0]))) == ("success", 2)
        before = house.start(ended.run_uids[0])["plan_revision"]
        text = package.read_text().replace("num: int = 2", "num: int = 4")
        _again(package, text)
        assert house.additions.list(again=True).faults == []
        ended = house.run("shine", ["diode"])
        assert len(house.points(ended.run_uids[0])) == 4
        assert house.start(ended.run_uids[0])["plan_revision"] != before
    finally:
        house.close()


def test_a_broken_package_is_a_fault_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text("def good():\n    yield\n")
    broken: Callable[[], list[EntryPoint]] = lambda: [  # noqa: E731  # one line of a table
        EntryPoint("x", "no_such_package:x", "undula.plans")
    ]
    library = PlanLibrary(tmp_path, list, packages=broken)
    library.look()
    assert [plan.name for plan in library.plans()] == ["good"]
    assert "No module named 'no_such_package'" in library.faults()[0]


def test_a_file_under_git_tells_author_and_revision(house: ScanHouse) -> None:
    def git(*words: str) -> str:
        identity = ["-c", "user.name=Grace", "-c", "user.email=grace@example.org"]
        done = subprocess.run(
            ["git", *identity, *words], cwd=house.plans, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    file = house.plans / "look.py"
    file.write_text("def look():\n    yield from bp.count([D.diode], 1)\n")
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "Look")
    revision = git("log", "-1", "--format=%h")
    ended = house.run("look")
    start = house.start(ended.run_uids[0])
    assert (start["plan_author"], start["plan_revision"]) == ("Grace", revision)
    _again(file, file.read_text() + "# more\n")
    plan = next(p for p in house.additions.list().plans if p.name == "look")
    assert plan.revision == f"{revision}+"


def test_the_throw_away_process_needs_no_bluesky() -> None:
    code = (
        "import sys, undula.scans.describe_plans\n"
        "print([m for m in ('bluesky', 'ophyd', 'numpy', 'h5py') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("points", "said"),
    [
        (
            "{axis: [0, 1, 2]}, time=[0.1, 0.2]",
            r"time is \[0.1, 0.2\].* give one count time for all",
        ),
        ("{axis: [0, 1, 2]}, time='0.1'", "time is 0.1"),
        ("{axis: [0, 'x', 2]}", "a position of samx is x.* give finite numbers"),
        ("{axis: [0, [1], 2]}", r"a position of samx is \[1\]"),
        ("{axis: 3}", "samx is 3.* give a list of positions"),
        ("[axis, [0, 1]]", r"axes is \[.*give a dict of axes"),
        ("{axis: [0, 1]}, detectors='diode'", r"detectors is diode.* e.g. \[D.diode\]"),
        ("num=2.5", "num is 2.5.* whole number"),
        ("{axis: [0, 1], M.samy: [0]}", r"the axes of Points have \[1, 2\] positions"),
    ],
)
def test_points_that_are_wrong_are_told_with_line_and_word(
    house: ScanHouse, points: str, said: str
) -> None:
    (house.plans / "bad.py").write_text(
        f"def bad(axis: Movable) -> Points:\n    return Points({points})\n"
    )
    with pytest.raises(InputError, match=said) as told:
        house.check("bad", "samx")
    assert str(told.value).startswith("[bad.py, line 2: return Points(")


def test_points_that_are_never_made_are_told_with_their_line_and_nothing_runs_on(
    house: ScanHouse,
) -> None:
    (house.plans / "bad.py").write_text(
        "def bad(axis: Movable) -> Points:\n    while True:\n        axis.position\n"
    )
    source = house.additions.completed(house.request("bad", "samx"))[0].source
    assert source is not None
    with pytest.raises(InputError, match=r"making the plan bad took longer than 0\.3 s") as told:
        load_plan(source, house.devices, limit_s=0.3)
    assert re.match(r"\[bad.py, line [23]: (while True:|axis.position)\]", str(told.value))
    assert "in_time" not in {thread.name for thread in threading.enumerate()}
    assert house.run("knife", "samx", [0, 1]).exit_status == "success"


def test_a_file_that_takes_a_packages_name_does_not_take_its_scans(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "beam_taken.py").write_text(
        "import bluesky.plans as bp\n\n\n"
        "def shine(detectors: list, num: int = 2):\n    yield from bp.count(detectors, num)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    point = EntryPoint("shine", "beam_taken:shine", "undula.plans")
    house = ScanHouse(tmp_path, DEVICES, packages=[point])
    try:
        whole = house.additions.list().plans[0].whole_name
        asked = house.check(whole, ["diode"]).request
        assert asked.plan == "shine", "what is said of shine by its name holds for it"
        (house.plans / "mine.py").write_text(
            "def shine(detectors: list, num: int = 2, *, name: str = ''):\n"
            "    yield from bp.count(detectors, 7)\n"
        )
        found = house.additions.list()
        assert [p.origin for p in found.plans] == ["mine.py"]
        assert [p.whole_name for p in found.beside] == [whole]
        assert {k: p.origin for k, p in found.known().items()} == {
            "shine": "mine.py", "mine.shine": "mine.py", whole: found.beside[0].origin,
        }  # fmt: skip
        ended = house.run(whole, ["diode"])
        assert len(house.points(ended.run_uids[0])) == 2
        edited = asked.model_copy(update={"kwargs": {"num": 3}})
        source = house.additions.completed(edited)[0].source
        assert source is not None
        assert source.parts[0].code == "from beam_taken import shine as shine"
        assert source.call.endswith("num=3)")
    finally:
        house.close()


def test_a_plan_that_is_read_anew_meanwhile_runs_as_it_was_found(
    house: ScanHouse,
) -> None:
    path = house.plans / "brief.py"
    path.write_text("def brief(purpose: str):\n    yield from bp.count([D.diode], 1)\n")

    class Purpose(str):
        """While its text is written, somebody takes the file away."""

        def __repr__(self) -> str:
            path.unlink()
            house.additions.list(again=True)
            return "'trial'"

    asked = house.request("brief").model_copy(update={"args": [Purpose("trial")]})
    request, _ = house.additions.completed(asked)
    assert not path.exists()
    assert request.source is not None
    assert request.source.call == "brief('trial')"
    assert request.source.parts[0].code.startswith("def brief(")
