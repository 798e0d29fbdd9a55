"""Plans typed at a prompt, run by the real engine on the simulated beamline."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from undula.client import Client, ScanHandle
from undula.core.errors import UndulaError
from undula.session.shell import make_ipython
from undula.testing.beamline import LocalBeamline, local_beamline

PATIENCE_S = 20.0


class Prompt:
    """An IPython with the beamline's names."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.ipython, _ = make_ipython(client, plot=False)

    def __call__(self, cell: str) -> Any:
        """Type a cell. Returns: its value. Raises: what it raised."""
        result = self.ipython.run_cell(cell, store_history=True)
        result.raise_error()
        return result.result

    def refused(self, cell: str) -> str:
        """Type a cell that is refused. Returns: what it said."""
        with pytest.raises(UndulaError) as caught:
            self(cell)
        return str(caught.value)


@pytest.fixture(scope="module")
def beamline() -> Iterator[LocalBeamline]:
    with local_beamline() as beamline:
        yield beamline


@pytest.fixture(scope="module")
def prompt(beamline: LocalBeamline) -> Iterator[Prompt]:
    with beamline.connect() as client:
        yield Prompt(client)


def _until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, what


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


def test_a_plan_typed_in_a_cell_runs_as_typed(prompt: Prompt) -> None:
    prompt(MYPLAN)
    (uid,) = prompt("RE(myplan(5), purpose='trial')")
    run = prompt.client.runs[-1]
    assert run.uid == uid
    assert np.allclose(run.data["samx"], np.linspace(-1, 1, 5))
    assert prompt("samx.position") == 0
    told = run.record.metadata
    assert (told["plan_name"], told["plan_author"]) == ("myplan", prompt.client.link.user)
    assert told["plan_call"] == "myplan(5)"
    assert "yield from bps.mv(M.samx, 0)" in told["plan_source"]
    assert len(told["plan_version"]) == 12
    assert told["purpose"] == "trial"


def test_the_queue_takes_plans_by_name_and_as_functions(prompt: Prompt) -> None:
    prompt(MYPLAN)
    mine = prompt("queue.add(myplan, 4)").wait(PATIENCE_S)
    assert mine.run.record.command == "RE(myplan(4))"
    by_name = prompt('queue.add("scan", samx, -1, 1, 21)').wait(PATIENCE_S)
    assert len(by_name.run.data["samx"]) == 21
    shown = prompt("run(myplan, 5)")
    assert (shown.status, len(shown.run.data["samx"])) == ("success", 5)


def test_blueskys_plans_run_as_typed(prompt: Prompt) -> None:
    assert len(prompt("RE(bp.scan([D.diode], M.samx, -1, 1, 21))")) == 1
    assert prompt.client.runs[-1].record.num_points == 21
    assert prompt("RE(bps.mv(M.samx, 1))") == ()
    assert prompt("samx.position") == 1
    prompt("RE(bpp.run_wrapper(bps.trigger_and_read([D.diode])))")
    assert prompt.client.runs[-1].record.plan == "trigger_and_read"


def test_the_real_bluesky_imported_at_the_prompt_does_the_same(prompt: Prompt) -> None:
    prompt("import bluesky.plans as real, bluesky.plan_stubs as stubs")
    prompt("RE(real.scan([D.diode], M.samx, -1, 1, 4))")
    assert prompt.client.runs[-1].record.num_points == 4
    prompt("RE(stubs.mv(M.samx, 0.5))")
    assert prompt("samx.position") == 0.5


def test_a_bare_scan_acts_and_one_of_bluesky_makes_a_plan(prompt: Prompt) -> None:
    before = len(prompt.client.runs.search())
    made = prompt("bp.scan([D.diode], M.samx, -1, 1, 3)")
    assert len(prompt.client.runs.search()) == before
    assert isinstance(prompt("scan(samx, -1, 1, 3)"), ScanHandle)
    assert len(prompt.client.runs.search()) == before + 1
    assert repr(made) == "bp.scan([diode], samx, -1, 1, 3)"


def test_a_bare_scan_inside_a_plan_is_refused_with_what_to_write(prompt: Prompt) -> None:
    told = prompt.refused("def both():\n    yield from scan(samx, -1, 1, 3)\nRE(both())")
    assert "the shell's scan: it acts at once" in told
    assert "yield from bp.scan([D.diode], M.samx, -1, 1, 21)" in told
    told = prompt.refused("RE(mv(samx, 1))")
    assert "what stands there has run already" in told


def test_each_move_is_checked_and_the_plans_own_clean_up_runs(prompt: Prompt) -> None:
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


def test_an_error_in_a_plan_names_the_line_that_was_typed(prompt: Prompt) -> None:
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
    _until(lambda: prompt.client.runs[-1].status == "fail", "the run does not close")

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
    _until(lambda: prompt.client.runs[-1].status == "fail", "the run does not close")
    assert prompt.client.runs[-1].record.reason.endswith("line 4: [][0]")


def test_a_device_that_the_text_does_not_name_is_leased_when_it_moves(prompt: Prompt) -> None:
    prompt("""
def by_name(name, place):
    yield from bps.mv(dev[name], place)
""")
    assert prompt("RE(by_name('samy', 0.25))") == ()
    assert prompt("samy.position") == 0.25
    prompt("mv(energy, 5000)")
    move = prompt.client.start_move({"energy": 12000})
    _until(lambda: prompt.client.devices.energy.position > 5001, "it does not move")
    assert "[energy] in use by" in prompt.refused("RE(by_name('energy', 6000))")
    prompt.client.stop()
    with pytest.raises(UndulaError):
        move.result()


def test_a_device_that_is_none_of_the_beamlines_is_not_moved(prompt: Prompt) -> None:
    prompt("""
def foreign():
    from ophyd.sim import SynAxis
    yield from bps.mv(SynAxis(name="elsewhere"), 1)
""")
    assert "'elsewhere' is no device of the beamline" in prompt.refused("RE(foreign())")


def test_a_plan_is_paused_resumed_and_aborted(prompt: Prompt) -> None:
    prompt(SLOW)
    scan = prompt("queue.add(slowly, 40)")
    _until(lambda: prompt.client.queue.list().points_done >= 3, "it does not begin")
    prompt("RE.pause()")
    _until(lambda: prompt("RE.state") == "paused", "it does not pause")
    prompt("RE.resume()")
    assert scan.wait(PATIENCE_S).run.record.metadata["purpose"] == "slowness"
    assert np.allclose(scan.run.data["samx"], np.linspace(-2, 2, 40))
    scan = prompt("queue.add(slowly)")
    _until(lambda: prompt.client.queue.list().points_done >= 3, "it does not begin")
    prompt("RE.abort('enough')")
    assert scan.wait(PATIENCE_S, check=False).finished.reason == "enough"
    assert scan.run.status == "abort"


def test_subscribers_get_the_documents(prompt: Prompt) -> None:
    prompt("names = []; token = RE.subscribe(lambda name, doc: names.append(name))")
    prompt("RE(bp.count([D.diode], num=3), {'stop': lambda n, d: names.append('mine')})")
    seen = prompt("names")
    assert (seen[0], seen.count("start"), seen.count("mine")) == ("start", 1, 1)
    prompt("RE.unsubscribe(token); RE(bp.count([D.diode]))")
    assert prompt("len(names)") == len(seen)


def test_what_a_plan_needs_is_tried_in_a_process_that_may_die(prompt: Prompt) -> None:
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


def test_a_check_says_what_is_not_known_and_queues_nothing(prompt: Prompt, capsys: Any) -> None:
    prompt(MYPLAN)
    before = len(prompt.client.runs.search())
    found = prompt("RE.check(myplan(5))")
    assert found.num_points is None
    assert "not known beforehand" in capsys.readouterr().out
    assert prompt("RE.check(bp.scan([D.diode], M.samx, -1, 1, 21))").num_points == 21
    assert "above the high limit" in prompt.refused("RE.check(bp.scan([D.diode], samx, 0, 60, 2))")
    assert len(prompt.client.runs.search()) == before


def test_a_queued_plan_outlives_the_engine(beamline: LocalBeamline, prompt: Prompt) -> None:
    """Takes some seconds: the engine is killed and started again."""
    prompt(SLOW)
    prompt("queue.add(slowly)")
    waiting = prompt("queue.add(slowly, 7)")
    _until(lambda: prompt.client.queue.list().points_done >= 3, "it does not begin")
    os.kill(beamline.pid("engine"), signal.SIGKILL)
    assert waiting.wait(60.0).status == "success"
    assert np.allclose(waiting.run.data["samx"], np.linspace(-2, 2, 7))
