"""Commands that went well become a macro file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from undula.client import Client
from undula.core.errors import InputError, StorageError
from undula.session.bridge.log import CommandLog, read_log
from undula.session.bridge.model import Author, Command, Outcome
from undula.session.shell import make_ipython
from undula.session.words.macros import (
    LoggedCommands,
    Macros,
    OwnCommands,
    macro_text,
    which_of,
    write_macro,
)

LINES = [
    ("anna", "x = 1", "ok"),
    ("anna", "umv(samx, 99)", "error"),
    ("ben", "login('ben', 'geheim')", "ok"),
    ("anna", "umv samx x; newsample Fe2O3", "ok"),
    ("anna", "for i in range(2):\n    x += i", "ok"),
    ("anna", "%script 3 other.py", "ok"),
    ("anna", "scan?", "ok"),
    ("anna", "%time x", "ok"),
]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "commands.sqlite"
    kept = CommandLog(path)
    for number, (name, line, status) in enumerate(LINES):
        command = Command(str(number), Author(name, "terminal"), line, float(number))
        kept.started(command)
        kept.finished(command, Outcome(status))  # type: ignore[arg-type]  # words of the list
    kept.close()
    return path


def test_commands_have_numbers_and_are_chosen_by_them(log: Path) -> None:
    rows = LoggedCommands(log).chosen((1, 3), "")
    assert [(row["number"], row["author"]) for row in rows] == [(1, "anna"), (3, "ben")]
    assert [row["number"] for row in LoggedCommands(log).chosen(2, "ben")] == [3]
    assert [row["status"] for row in read_log(log, 10, "99")] == ["error"]


def test_a_macro_file_holds_what_went_well_as_python_without_secrets(log: Path) -> None:
    text = macro_text(LoggedCommands(log).chosen(10, ""), "night")
    assert text.splitlines() == [
        "# night",
        "x = 1",
        "# a secret is not kept:",
        "# login('ben', '<hidden>')",
        "umv(samx, x); newsample('Fe2O3')",
        "for i in range(2):",
        "    x += i",
        "get_ipython().run_line_magic('time', 'x')",
    ]
    compile(text, "night.py", "exec")


def test_a_macro_file_is_new_and_lies_where_it_does_not_run_by_itself(
    log: Path, tmp_path: Path
) -> None:
    plans = tmp_path / "plans"
    plans.mkdir()
    macros = Macros(LoggedCommands(log), plans)
    macros.script("night.py", "1-4", everybody=True)
    made = (plans / "scripts" / "night.py").read_text()
    assert made.splitlines()[0].endswith("3 commands of everybody")
    with pytest.raises(InputError, match="is there already"):
        macros.magic("1-4 night.py")
    assert (plans / "scripts" / "night.py").read_text() == made
    with pytest.raises(InputError, match="would run at once"):
        macros.script("../night.py")
    with pytest.raises(InputError, match="no name of a Python file"):
        macros.script("night")
    with pytest.raises(InputError, match="no such command"):
        macros.script("empty.py", "100-200", everybody=True)
    with pytest.raises(InputError, match="it takes a file"):
        macros.magic("")
    with pytest.raises(StorageError):
        write_macro(tmp_path / "no" / "folder.py", [{"line": "1"}], "t")


@pytest.mark.parametrize("text", ["0", "x", "5-3", "-1", ""])
def test_what_says_no_commands_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="says no commands"):
        which_of(text)


def test_a_private_prompt_keeps_its_own_commands(
    client: Client, tmp_path: Path, capsys: Any
) -> None:
    ipython, _ = make_ipython(client, plot=False)
    own = OwnCommands(ipython)
    for cell in ("mv samx 1", "mv samx 999", "a = 5", "password = 'geheim'"):
        ipython.run_cell(cell)
    assert [row["line"] for row in own.chosen(5, "")] == [
        "mv samx 1", "a = 5", "password = '<hidden>'",
    ]  # fmt: skip
    assert [row["line"] for row in own.chosen((1, 2), "")] == ["mv samx 1"]
    file = tmp_path / "night.py"
    assert ipython.run_cell(f"%script 2-3 {file}").success is True
    assert ipython.run_cell(f"%script 9-3 {file}").success is False
    ipython.run_cell("del a")
    assert ipython.run_cell(f"load_script('{file}')").success is True
    assert ipython.user_ns["a"] == 5
    capsys.readouterr()
