"""Lines as SPEC and BLISS take them; Python is never touched."""

from __future__ import annotations

import ast
import inspect
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import undula.session.commands
import undula.session.words.typed
from undula.client import Client
from undula.session.shell import make_ipython
from undula.session.words.guide import GUIDE
from undula.session.words.typed import ALONE, alone, as_call, as_calls, compiles

WORDS = {"umv", "scan", "ct", "wm", "newsample", "lsdev", "tw"}


def _taken(cell: str) -> str:
    return "".join(as_calls(cell.splitlines(keepends=True), WORDS.__contains__))


@pytest.mark.parametrize(
    ("typed", "taken"),
    [
        ("umv samx 3", "umv(samx, 3)"),
        ("umv samx -1.5e-3 samy 2", "umv(samx, -1.5e-3, samy, 2)"),
        ("scan M.samx -1 1 21 time=0.1", "scan(M.samx, -1, 1, 21, time=0.1)"),
        ("scan samx, -1, 1, 21, time=0.1", "scan(samx, -1, 1, 21, time=0.1)"),
        ("scan samx -1 1 21 detectors=[diode, i0]",
         "scan(samx, -1, 1, 21, detectors=[diode, i0])"),
        ("scan samx (0 + 1) 2 3", "scan(samx, (0 + 1), 2, 3)"),
        ("scan samx 0 1 3 metadata={'a': 'x y'}", "scan(samx, 0, 1, 3, metadata={'a': 'x y'})"),
        ("ct 1", "ct(1)"),
        ("newsample Fe2O3", "newsample('Fe2O3')"),
        ("newsample 'Fe 2'", "newsample('Fe 2')"),
        ("lsdev sam*", "lsdev('sam*')"),
        ("umv samx 1; ct 2", "umv(samx, 1); ct(2)"),
        ("wm samx  # where", "wm(samx)  # where"),
        ("x = 1\numv samx x\nprint(x)", "x = 1\numv(samx, x)\nprint(x)"),
        ("for i in (1, 2):\n    i\numv samx 3", "for i in (1, 2):\n    i\numv(samx, 3)"),
        ("%time 1\numv samx 3", "%time 1\numv(samx, 3)"),
    ],
)  # fmt: skip
def test_a_line_as_spec_takes_it_becomes_a_call(typed: str, taken: str) -> None:
    assert _taken(typed) == taken


@pytest.mark.parametrize(
    "cell",
    [
        "umv -1", "umv [1]", "umv (samx, 3)", "umv = 3", "umv.x", "umv", "umv samx ==", "umv if x",
        "umv not x", "umv in", "umv samx = 3", "umv samx [1", "umv samx 'open", "other samx 3",
        "for i in range(3):\n    umv samx i", "'''\numv samx 3\n'''", "# umv samx 3",
        "f(\numv samx 3\n)", "%%bash\numv samx 3", "    umv samx 3", "umv samx 3)", "umv lambda: 3",
        "def f():\n    umv samx 3\n", "x = '''\numv samx 3", "umv import os", "umv return",
    ],
)  # fmt: skip
def test_what_is_python_or_no_such_line_stays(cell: str) -> None:
    assert _taken(cell) == cell


def test_a_word_that_needs_nothing_may_stand_alone(client: Client) -> None:
    ipython, names = make_ipython(client, plot=False)
    for word in ALONE:
        signature = inspect.signature(names[word])
        assert all(
            p.default is not p.empty or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
            for p in signature.parameters.values()
        ), word
    assert alone(["wa\n"], WORDS.__contains__) == ["wa\n"]  # somebody's own variable
    assert alone(["wa ;\n"], {"wa"}.__contains__) == ["wa()\n"]
    for cell in ("umv", "scan", "wa, 1", "wa\nwa\n", "x = wa", "wa.x", "wa?"):
        lines = cell.splitlines(keepends=True)
        assert alone(lines, lambda _: True) == lines
    assert ipython.run_cell("whoami").result is None
    assert callable(ipython.run_cell("x = whoami; x").result)
    ipython.run_cell("typing_helper(False)")
    assert callable(ipython.run_cell("whoami").result)


def test_a_word_that_needs_more_says_how_it_is_called(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    ipython, _ = make_ipython(client, plot=False)
    ipython.run_cell("umv")
    assert "(umv? tells more)" in capsys.readouterr().out
    ipython.run_cell("scan")
    assert "(scan? tells more)" in capsys.readouterr().out
    ipython.run_cell("def mine(): 'of my own'\nmine")
    assert "<function" in capsys.readouterr().out


def test_help_is_about_the_beamline(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    ipython, names = make_ipython(client, plot=False)
    for line in ("help", "help()", "?"):
        ipython.run_cell(line)
        assert capsys.readouterr().out == GUIDE
    ipython.run_cell("help(wm)")
    assert "where they are, and their limits" in capsys.readouterr().out
    assert max(map(len, GUIDE.splitlines())) <= 80
    words = re.findall(r"(?:^\w+ +|   )(\w+)", GUIDE, re.M)
    assert set(words) & names.keys() >= {"wa", "umv", "ascan", "peak", "queue", "newproposal", "RE"}


PIECES = st.sampled_from(
    ["umv", "ct", "samx", "3", "-1", "(", ")", "[", "]", "'a b'", "=", "==", ",", ";", "#", "*",
     "**", "-", "+", "in", "is", "not", "if", "else", "and", "lambda", "x:", ".a", "\n", "    ",
     "{", "}", '"""', "await", "for", "time=0.1", "\\", "@", "~", "%", "!", "?", "print(1)"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=12).map(" ".join))
def test_every_line_that_python_takes_is_left_alone(cell: str) -> None:
    found = _taken(cell)
    if compiles(cell):
        assert found == cell
    for before, after in zip(cell.splitlines(), found.splitlines(), strict=True):
        assert before == after or (compiles(after) and not compiles(before))


@given(st.lists(PIECES, max_size=8).map(" ".join))
def test_what_a_line_becomes_is_calls_of_its_words(line: str) -> None:
    call = as_call(f"umv {line}", WORDS.__contains__)
    if call is not None:
        first = ast.parse(call).body[0]
        assert isinstance(first, ast.Expr)
        assert isinstance(first.value, ast.Call)


@pytest.mark.parametrize("module", [undula.session.commands, undula.session.words.typed])
def test_whole_programs_are_left_alone(module: Any) -> None:
    text = inspect.getsource(module)
    assert _taken(text) == text


def test_lines_are_taken_at_a_prompt_until_it_is_switched_off(client: Client, capsys: Any) -> None:
    ipython, _ = make_ipython(client, plot=False)

    assert ipython.run_cell("mv samx 1.5").success
    assert client.devices.samx.position == 1.5
    assert ipython.run_cell("typing_helper(False)").result is False
    assert not ipython.run_cell("mv samx 2").success
    assert ipython.run_cell("typing_helper(True)").result is True
    assert ipython.run_cell("mv samx 2").success
    ipython.run_cell("mv = 'mine'")
    assert not ipython.run_cell("mv samx 3").success
    assert client.devices.samx.position == 2
    capsys.readouterr()
