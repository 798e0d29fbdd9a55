"""`bp` without Bluesky, and `RE` on an engine that answers by the contract."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Any

import bluesky.plan_stubs
import bluesky.plans
import bluesky.preprocessors
import pytest

from undula.client import ScanHandle
from undula.core.errors import InputError, UndulaError
from undula.plans import FORMS
from undula.session.commands import Shell
from undula.session.planning.declared import DECLARED
from undula.session.planning.modules import PlanModule
from undula.session.planning.words import instead
from undula.testing.toy_engine import ToyEngine

REAL = {"bp": bluesky.plans, "bps": bluesky.plan_stubs, "bpp": bluesky.preprocessors}


@pytest.mark.parametrize("name", REAL)
def test_the_names_and_arguments_are_blueskys(name: str) -> None:
    light = PlanModule(name)
    assert len(dir(light)) > 15
    for each in dir(light):
        real = getattr(REAL[name], each)
        function = getattr(light, each)
        if hasattr(function, "__signature__"):
            assert list(function.__signature__.parameters) == list(
                inspect.signature(real).parameters
            ), each


def test_the_prompt_opens_without_bluesky_and_numpy() -> None:
    code = (
        "import sys, undula.session.planning.prompt, undula.session.planning.modules as m;"
        "m.PlanModule('bp').scan; m.LaterModule('numpy');"
        "print([n for n in ('bluesky', 'numpy') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_declared_plans_are_known_to_both() -> None:
    assert set(DECLARED) <= set(FORMS) & set(dir(PlanModule("bp")))


def test_what_is_mistyped_is_refused_with_what_comes_near() -> None:
    bp = PlanModule("bp")
    with pytest.raises(AttributeError, match=r"no bp\.scna\. Remedy: did you mean bp\.scan\?"):
        _ = bp.scna
    with pytest.raises(AttributeError, match=r"did you mean bps\.mv\?"):
        _ = bp.mv
    with pytest.raises(InputError, match=r"use bp\.count\(detectors, num=1"):
        bp.count(nm=3)


def test_a_command_in_a_plan_has_its_word_there() -> None:
    assert instead("mv") == "in a plan write: yield from bps.mv(M.samx, 1)"
    assert "before or after the plan" in instead("tw")


def test_re_runs_a_plan_of_bluesky_and_gives_its_uids(shell: Shell, capsys: Any) -> None:
    names = shell.namespace()
    names["RE"].md["sample"] = "gold"
    seen: list[str] = []
    names["RE"].subscribe(lambda name, _: seen.append(name), "event")

    (uid,) = names["RE"](names["bp"].scan([names["diode"]], names["samx"], -1, 2, 31))

    assert len(uid) == 36
    assert seen == ["event"] * 31
    assert names["RE"].state == "idle"
    assert "run 1: RE(bp.scan([D.diode], M.samx, -1, 2, 31))" in capsys.readouterr().out
    assert names["peak"]() == pytest.approx(0.5)


def test_the_queue_takes_a_plan_and_the_prompt_is_free(shell: Shell, engine: ToyEngine) -> None:
    names = shell.namespace()
    scan = names["queue"].add(names["bp"].count([names["diode"]], num=4))
    assert isinstance(scan, ScanHandle)
    assert len(list(scan.wait(60.0).events())) == 4
    assert names["queue"].add("count", 3).wait(60.0).status == "success"
    assert engine.run_engine.state == "idle"


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        (None, "what stands there has run already"),
        (3, "int is no plan"),
        ("mv", r"mv is a command of the shell: it acts at once"),
    ],
)
def test_what_is_no_plan_is_refused_with_what_was_meant(shell: Shell, plan: Any, told: str) -> None:
    names = shell.namespace()
    given = names[plan] if isinstance(plan, str) else plan
    with pytest.raises(InputError, match=told):
        names["RE"](given)


def test_a_scan_in_the_brackets_has_run_already(shell: Shell) -> None:
    names = shell.namespace()
    with pytest.raises(InputError, match="what stands there has run already"):
        names["RE"](names["scan"](names["samx"], -1, 1, 3))
    with pytest.raises(InputError, match="there is no plan in the brackets"):
        names["RE"]()


def test_arguments_that_a_plan_does_not_take_are_told_in_one_line(shell: Shell) -> None:
    names = shell.namespace()

    def mine(num=3):
        yield from names["bp"].count([names["diode"]], num=num)

    told = r"mine: too many positional arguments. Remedy: call it as mine\(num=3\)"
    with pytest.raises(InputError, match=told):
        names["queue"].add(mine, 1, 2)
    with pytest.raises(InputError, match="unexpected keyword argument 'nm'"):
        names["run"](mine, nm=1)


def test_a_plan_alone_says_that_it_has_not_run(shell: Shell) -> None:
    names = shell.namespace()
    plan = names["bp"].scan([names["diode"]], names["samx"], -1, 1, 3)
    with pytest.raises(InputError, match=r"runs in the engine, not here.*RE\(\.\.\.\) runs it"):
        list(plan)
    with pytest.raises(InputError, match="takes no more arguments"):
        names["run"](plan, 5)
    with pytest.raises(UndulaError, match="there are no documents 'evnt'"):
        names["RE"].subscribe(print, "evnt")
