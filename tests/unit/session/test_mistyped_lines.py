"""What is mistyped at a prompt is answered in one line."""

from __future__ import annotations

from typing import Any

import pytest

from undula.client import Client
from undula.session.shell import make_ipython
from undula.session.words.meant import meant


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("sacn samx -1 1 10 0.05", "there is no 'sacn' here: did you mean scan?"),
        ("mv samx 1mm", "1mm: a number is typed without its unit"),
        ("mv(samx, -1.5 , 2 ,3mm)", "3mm: a number is typed without its unit"),
        ("scan samx -1 1 10 time=0,1", "time=0,1: decimals are typed with a point: time=0.1"),
        ("scan(samx, -1, 1, 10, time=0,1)", "decimals are typed with a point: time=0.1"),
        ("scans.lin_scan(samx, 0, 1)", "scans has no 'lin_scan': did you mean line_scan?"),
        ("queue.foo(1)", "queue has no 'foo': it has "),
        ("scans.mv(samx, 1)", "scans.mv(samx, 3, relative=False) for a place"),
        ("newsample Fe 2 O3/..", "'Fe 2 O3/..' is unfit as the name of a sample"),
        ("newsample()", "'' is unfit as the name of a sample"),
    ],
)
def test_a_mistyped_line_is_answered_in_one_line(
    client: Client, capsys: Any, typed: str, told: str
) -> None:
    ipython, _ = make_ipython(client, plot=False)
    assert not ipython.run_cell(typed).success
    shown = capsys.readouterr()
    assert told in shown.err
    assert len(shown.err.splitlines()) == 1
    assert "Error" not in shown.out


@pytest.mark.parametrize(
    "typed",
    ["for i in (1, 2)", "x = 3mm", "mv samx 1e", "mv(samx, 1j", "mv(samx, 'a 3mm'", "quite else"],
)
def test_other_lines_are_left_to_python(typed: str) -> None:
    assert meant(typed, ["mv", "scan", "samx"]) == ""


def test_the_fault_of_a_function_of_ones_own_keeps_its_traceback(
    client: Client, capsys: Any
) -> None:
    ipython, _ = make_ipython(client, plot=False)
    assert not ipython.run_cell("(1).nothing").success
    assert "AttributeError" in capsys.readouterr().out
