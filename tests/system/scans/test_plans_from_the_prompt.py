"""Plans typed at a prompt, run by the real engine on the simulated beamline."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from undula.client import ScanHandle
from undula.core.errors import UndulaError
from undula.testing.beamline import LocalBeamline, local_beamline
from undula.testing.law import until
from undula.testing.typist import Typist

PATIENCE_S = 60.0
DOCS = Path(__file__).parents[3] / "docs"


PACKAGE = """
from bluesky import plans as bp

def shine(detectors: list, num: int = 2):
    \"\"\"Read in the light.\"\"\"
    return (yield from bp.count(detectors, num))
"""


def _install(folder: Path) -> None:
    """A package that gives a plan, as an installer leaves it."""
    (folder / "beam_plans.py").write_text(PACKAGE)
    about = folder / "beam_plans-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: beam-plans\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[undula.plans]\nshine = beam_plans:shine\n")


@pytest.fixture(scope="module")
def beamline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBeamline]:
    folder = tmp_path_factory.mktemp("installed")
    _install(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder))
        with local_beamline() as beamline:
            yield beamline


@pytest.fixture(scope="module")
def prompt(beamline: LocalBeamline) -> Iterator[Typist]:
    with beamline.connect() as client:
        yield Typist(client)


def _last(prompt: Typist) -> Any:
    """The newest run, when its file is there."""
    until(lambda: prompt.client.runs[-1].status != "running", "the run does not close")
    return prompt.client.runs[-1]


MYPLAN = """
def myplan(n=3):
    yield from bp.scan([D.diode], M.samx, -1, 1, n)
    yield from bps.mv(M.samx, 0)
"""
SLOW = """
def slow(points=400):
    for place in np.linspace(-2, 2, points):
        yield from bps.checkpoint()
        yield from bps.mv(M.samx, place)
        yield from bps.trigger_and_read([D.diode, M.samx])

@bpp.stage_decorator([D.diode])
@bpp.run_decorator(md={"purpose": "slowness"})
def slowly(points=400):
    yield from slow(points)
"""


def test_a_plan_typed_in_a_cell_runs_as_typed(prompt: Typist) -> None:
    prompt(MYPLAN)
    (uid,) = prompt("RE(myplan(5), purpose='trial')")
    run = _last(prompt)
    assert run.uid == uid
    assert np.allclose(run.data["samx"], np.linspace(-1, 1, 5))
    assert prompt("samx.position") == 0
    told = run.record.metadata
    assert (told["plan_name"], told["plan_author"]) == ("myplan", prompt.client.link.user)
    assert told["plan_call"] == "myplan(5)"
    assert "yield from bps.mv(M.samx, 0)" in told["plan_source"]
    assert len(told["plan_version"]) == 12
    assert told["purpose"] == "trial"


def test_a_plan_of_an_installed_package_is_a_name_at_the_prompt(prompt: Typist) -> None:
    prompt.client.plans.list()  # it is imported once, soon after the engine has begun
    until(lambda: "shine" in prompt.ipython.user_ns, "the plan of the package is no name")
    prompt("RE(shine([D.diode], num=4))")
    told = _last(prompt).record.metadata
    assert (told["plan_call"], told["num_points"]) == ("shine([dev['diode']], 4)", 4)
    assert told["plan_revision"].startswith("beam-plans 1.0 ")
    prompt("def twice(n):\n    for _ in range(2):\n        yield from shine([D.diode], n)\n")
    assert len(prompt("RE(twice(3))")) == 2
    assert prompt("queue.add(shine, [D.diode])").wait(PATIENCE_S).status == "success"


BLOCKS = """
def blocks(flag):
    import pathlib
    yield from bps.open_run()
    pathlib.Path(flag).with_suffix(".begun").touch()
    pathlib.Path(flag).read_text()  # the loop of the RunEngine stands still until somebody writes
    yield from bps.close_run()
"""


def test_the_queue_is_served_while_a_plan_blocks_the_loop_of_the_run_engine(
    prompt: Typist, tmp_path: Path
) -> None:
    flag = tmp_path / "flag"
    os.mkfifo(flag)
    prompt(BLOCKS)
    scan = prompt(f"queue.add(blocks, {str(flag)!r})")
    until(flag.with_suffix(".begun").exists, "the plan does not begin")
    queue = prompt.client.queue
    later = prompt('queue.add("count", 2, detectors=[diode])')
    assert queue.hold(1, "not yet").waiting[0].held_by
    assert queue.release(1).state == "running"
    assert prompt.client.devices.diode.read()
    flag.write_text("go on")
    assert scan.wait(PATIENCE_S).status == "success"
    assert later.wait(PATIENCE_S).status == "success"


def test_the_queue_takes_plans_by_name_and_as_functions(prompt: Typist) -> None:
    prompt(MYPLAN)
    mine = prompt("queue.add(myplan, 4)").wait(PATIENCE_S)
    assert mine.run.record.command == "RE(myplan(4))"
    by_name = prompt('queue.add("scan", samx, -1, 1, 21)').wait(PATIENCE_S)
    assert len(by_name.run.data["samx"]) == 21
    shown = prompt("run(myplan, 5)")
    assert (shown.status, len(shown.run.data["samx"])) == ("success", 5)


def test_blueskys_plans_run_as_typed(prompt: Typist) -> None:
    assert len(prompt("RE(bp.scan([D.diode], M.samx, -1, 1, 21))")) == 1
    assert prompt.client.runs[-1].record.num_points == 21
    assert prompt("RE(bps.mv(M.samx, 1))") == ()
    assert prompt("samx.position") == 1
    prompt("RE(bpp.run_wrapper(bps.trigger_and_read([D.diode])))")
    assert prompt.client.runs[-1].record.plan == "trigger_and_read"


def test_the_real_bluesky_imported_at_the_prompt_does_the_same(prompt: Typist) -> None:
    prompt("import bluesky.plans as real, bluesky.plan_stubs as stubs")
    prompt("RE(real.scan([D.diode], M.samx, -1, 1, 4))")
    assert prompt.client.runs[-1].record.num_points == 4
    prompt("RE(stubs.mv(M.samx, 0.5))")
    assert prompt("samx.position") == 0.5


def test_a_bare_scan_acts_and_one_of_bluesky_makes_a_plan(prompt: Typist) -> None:
    before = len(prompt.client.runs.search())
    made = prompt("bp.scan([D.diode], M.samx, -1, 1, 3)")
    assert len(prompt.client.runs.search()) == before
    assert isinstance(prompt("scan(samx, -1, 1, 3)"), ScanHandle)
    assert len(prompt.client.runs.search()) == before + 1
    assert repr(made) == "bp.scan([diode], samx, -1, 1, 3)"


def test_a_bare_scan_inside_a_plan_is_refused_with_what_to_write(prompt: Typist) -> None:
    told = prompt.refused("def both():\n    yield from scan(samx, -1, 1, 3)\nRE(both())")
    assert "the shell's scan: it acts at once" in told
    assert "yield from bp.scan([D.diode], M.samx, -1, 1, 21)" in told
    told = prompt.refused("RE(mv(samx, 1))")
    assert "what stands there has run already" in told


def test_each_move_is_checked_and_the_plans_own_clean_up_runs(prompt: Typist) -> None:
    prompt("""
def far(place):
    try:
        yield from bps.mv(M.samx, 3)
        yield from bps.mv(M.samx, place)
    finally:
        yield from bps.mv(M.samx, -3)
""")
    told = prompt.refused("RE(far(300))")
    assert "target 300 mm is above the high limit 50 mm" in told
    assert "line 4: yield from bps.mv(M.samx, place)" in told
    assert prompt("samx.position") == -3
    assert "300 mm is above" in prompt.refused("RE(far(np.int64(300)))")


def test_a_plan_that_fails_after_its_runs_has_failed(prompt: Typist) -> None:
    prompt("""
def ends_badly():
    yield from bp.count([D.diode])
    raise ValueError("nothing is right")
""")
    assert "ended as fail: ValueError: nothing is right" in prompt.refused("RE(ends_badly())")
    assert _last(prompt).status == "success"


def test_a_plan_that_exits_ends_itself_only(prompt: Typist) -> None:
    prompt("""
def leaves():
    import sys
    yield from bps.null()
    sys.exit(3)

@bpp.run_decorator()
def leaves_when_made():
    raise SystemExit(4)
""")
    assert "SystemExit: 3, at In[" in prompt.refused("RE(leaves())")
    assert "SystemExit: 4" in prompt.refused("RE(leaves_when_made())")
    assert prompt("RE(bps.null())") == ()


def test_an_error_in_a_plan_names_the_line_that_was_typed(prompt: Typist) -> None:
    prompt("""
def ratio(k):
    yield from bps.open_run()
    value = 1 / k
    yield from bps.close_run()
""")
    told = prompt.refused("RE(ratio(0))")
    assert "ZeroDivisionError: division by zero, at In[" in told
    assert "line 3: value = 1 / k" in told
    run = prompt.client.runs[-1]
    assert _last(prompt).status == "fail"

    assert run.record.plan == "ratio"
    assert "line 3: value = 1 / k" in prompt.client.runs[-1].record.reason
    told = prompt.refused("""
@bpp.run_decorator()
def empty():
    yield from bps.null()
    [][0]
RE(empty())
""")
    assert "IndexError: list index out of range, at In[" in told
    assert _last(prompt).status == "fail"
    assert prompt.client.runs[-1].record.reason.endswith("line 4: [][0]")


def test_a_device_that_the_text_does_not_name_is_leased_when_it_moves(prompt: Typist) -> None:
    prompt("""
def by_name(name, place):
    yield from bps.mv(dev[name], place)
""")
    assert prompt("RE(by_name('samy', 0.25))") == ()
    assert prompt("samy.position") == 0.25
    prompt("mv(energy, 5000)")
    move = prompt.client.start_move({"energy": 12000})
    until(lambda: prompt.client.devices.energy.position > 5001, "it does not move")
    assert "[energy] in use by" in prompt.refused("RE(by_name('energy', 6000))")
    prompt.client.stop()
    with pytest.raises(UndulaError):
        move.result()


def test_a_device_that_is_none_of_the_beamlines_is_not_moved(prompt: Typist) -> None:
    prompt("""
def foreign():
    from ophyd.sim import SynAxis
    yield from bps.mv(SynAxis(name="elsewhere"), 1)
""")
    assert "'elsewhere' is no device of the beamline" in prompt.refused("RE(foreign())")


def test_a_function_of_ones_own_may_be_the_argument_of_blueskys_plan(prompt: Typist) -> None:
    prompt("""
def twice(detectors, step, pos_cache):
    yield from bps.one_nd_step(detectors, step, pos_cache)
    yield from bps.trigger_and_read([*detectors, *step])
""")
    prompt("RE(bp.scan([D.diode], M.samx, -1, 1, 3, per_step=twice))")
    assert _last(prompt).data["samx"].tolist() == [-1, -1, 0, 0, 1, 1]


def test_a_plan_is_paused_resumed_and_aborted(prompt: Typist) -> None:
    prompt(SLOW)
    scan = prompt("queue.add(slowly, 40)")
    until(lambda: prompt.client.queue.list().points_done >= 3, "it does not begin")
    prompt("RE.pause()")
    until(lambda: prompt("RE.state") == "paused", "it does not pause")
    prompt("RE.resume()")
    assert scan.wait(PATIENCE_S).run.record.metadata["purpose"] == "slowness"
    assert np.allclose(scan.run.data["samx"], np.linspace(-2, 2, 40))
    scan = prompt("queue.add(slowly)")
    until(lambda: prompt.client.queue.list().points_done >= 3, "it does not begin")
    prompt("RE.abort('enough')")
    assert scan.wait(PATIENCE_S, check=False).finished.reason == "enough"
    assert scan.run.status == "abort"
    scan = prompt("queue.add(slowly)")
    until(lambda: prompt.client.queue.list().points_done >= 3, "it does not begin")
    prompt("RE.stop()")
    assert scan.wait(PATIENCE_S).run.status == "success"
    assert scan.run.record.reason.startswith("completed by ")


def test_subscribers_get_the_documents(prompt: Typist) -> None:
    prompt("names = []; token = RE.subscribe(lambda name, doc: names.append(name))")
    prompt("RE(bp.count([D.diode], num=3), {'stop': lambda n, d: names.append('mine')})")
    seen = prompt("names")
    assert (seen[0], seen.count("start"), seen.count("mine")) == ("start", 1, 1)
    prompt("RE.unsubscribe(token); RE(bp.count([D.diode]))")
    assert prompt("len(names)") == len(seen)


def test_what_a_plan_needs_is_tried_in_a_process_that_may_die(prompt: Typist) -> None:
    pid = os.getpid()
    prompt(
        """
def deadly(f):
    import os
    os.kill(os.getpid(), 9) if os.getpid() != HERE else None
    return f
"""
        + f"HERE = {pid}\n"
    )
    prompt("def plain():\n    yield from bps.null()")
    told = prompt.refused("""
@bpp.stub_decorator()
@deadly
def killer():
    yield from bps.null()
RE(killer())
""")
    assert "making the plan killer ends the process (signal 9)" in told
    assert prompt("RE(plain())") == ()


def test_a_check_says_what_is_not_known_and_queues_nothing(prompt: Typist, capsys: Any) -> None:
    prompt(MYPLAN)
    before = len(prompt.client.runs.search())
    found = prompt("RE.check(myplan(5))")
    assert found.num_points is None
    assert "not known beforehand" in capsys.readouterr().out
    assert prompt("RE.check(bp.scan([D.diode], M.samx, -1, 1, 21))").num_points == 21
    assert "above the high limit" in prompt.refused("RE.check(bp.scan([D.diode], samx, 0, 60, 2))")
    assert len(prompt.client.runs.search()) == before


def test_the_page_about_plans_works_line_by_line(beamline: LocalBeamline, prompt: Typist) -> None:
    page = (DOCS / "how-to" / "write-a-plan.md").read_text(encoding="utf-8")
    before = len(prompt.client.runs.search())
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        prompt(block)
    prompt("later.wait(60.0)")
    assert len(prompt.client.runs.search()) == before + 5
    told = prompt.refused("RE(knife([0, 99]))")
    (shown,) = re.findall(r"```\n(RE.*?)\n```", page, re.DOTALL)
    assert re.sub(r"In\[\d+\]", "In", told.split("[samy]")[1]) == re.sub(
        r"In\[\d+\]", "In", shown.split("[samy]")[1]
    )
    (beamline.paths.plans / "align.py").write_text("def center(n):\n    yield from look()\n")
    assert len(prompt("RE(center(3))")) == 1


def test_a_queued_plan_outlives_the_engine(beamline: LocalBeamline, prompt: Typist) -> None:
    """Takes some seconds: the engine is killed and started again."""
    prompt(SLOW)
    prompt("queue.add(slowly)")
    waiting = prompt("queue.add(slowly, 7)")
    until(lambda: prompt.client.queue.list().points_done >= 3, "it does not begin")
    os.kill(beamline.pid("engine"), signal.SIGKILL)
    assert waiting.wait(60.0).status == "success"
    assert np.allclose(waiting.run.data["samx"], np.linspace(-2, 2, 7))
