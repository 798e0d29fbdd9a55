"""The beamline's names at a prompt: overwritten knowingly, and never lost."""

from __future__ import annotations

from typing import Any

import pytest
from IPython.core.autocall import ZMQExitAutocall

from undula.client import Client
from undula.session.shell import make_ipython
from undula.session.words.keeping import Kept


@pytest.fixture
def ipython(client: Client) -> Any:
    return make_ipython(client, plot=False)[0]


def test_who_overwrites_a_name_of_the_beamline_is_told_once(
    ipython: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    scan = ipython.user_ns["scan"]
    ipython.run_cell("scan = 3")
    said = "note: scan is no longer the beamline's at this prompt; del scan brings it back"
    assert said in capsys.readouterr().err
    ipython.run_cell("scan = 4")
    assert "scan" not in capsys.readouterr().err
    ipython.run_cell("del scan")
    assert "note: scan is here again" in capsys.readouterr().err
    assert ipython.user_ns["scan"] is scan
    ipython.run_cell("from math import *; samx, M, RE = 1, 2, 3")
    assert "note: M, RE and samx are no longer" in capsys.readouterr().err


def test_names_that_are_deleted_come_back(ipython: Any, capsys: pytest.CaptureFixture[str]) -> None:
    before = {n: ipython.user_ns[n] for n in ("M", "samx", "scan", "RE", "queue", "script")}
    ipython.run_cell("del M, samx")
    assert "note: M and samx are here again" in capsys.readouterr().err
    ipython.run_cell("%reset -f")
    assert "names of the beamline are here again" in capsys.readouterr().err
    assert {n: ipython.user_ns[n] for n in before} == before
    assert ipython.run_cell("lsdev samx").success


def test_a_device_that_is_removed_meanwhile_does_not_come_back() -> None:
    told = iter([{"samz": 1, "scan": 2}, {"scan": 2}, {"scan": 2}])
    here: dict[str, Any] = {}
    assert Kept(lambda: next(told), lambda: here).look() == "note: scan is here again"
    assert here == {"scan": 2}


def test_exit_of_the_shared_prompt_stays_harmless() -> None:
    here = {"exit": ZMQExitAutocall()}
    kept = Kept(lambda: {"exit": "harmless"}, lambda: here)
    assert kept.look() == ""
    assert here == {"exit": "harmless"}


def test_what_cannot_be_shown_is_told_in_one_line(
    ipython: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    ipython.run_cell("from undula.core.errors import BusError")
    ipython.run_cell("class Gone:\n def __repr__(self): raise BusError('it is away', remedy='x')")
    capsys.readouterr()
    ipython.run_cell("Gone()")
    told = capsys.readouterr()
    assert told.err == "it is away. Remedy: x.\n"
    assert "Traceback" not in told.out


def test_a_plan_of_ones_own_that_was_only_called_says_so(
    ipython: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    ipython.run_cell("def mine(n=3):\n    yield from bp.count([D.diode], n)")
    ipython.run_cell("mine()")
    assert "mine(...): made, not run; if it is a plan, RE(mine(...)) runs it" in (
        capsys.readouterr().out
    )


def test_modules_under_their_own_names_and_what_the_start_up_file_says_are_not_told(
    ipython: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    ipython.run_cell("import numpy as np, bluesky.plans as bp, bluesky.plan_stubs as bps")
    assert capsys.readouterr().err == ""
    here: dict[str, Any] = {"scan": "of the file", "ct": 1}
    kept = Kept(lambda: {"scan": len, "ct": 1}, lambda: here)
    kept.accept()
    assert kept.look() == ""
    here["ct"] = 2
    assert kept.look().startswith("note: ct is no longer")
