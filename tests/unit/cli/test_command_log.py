"""`undula commands`: the log of the shared prompt, also when nothing runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from undula.cli.command_log import commands
from undula.core.paths import beamline_paths
from undula.session.bridge.log import CommandLog
from undula.session.bridge.model import Author, Command, Outcome


@pytest.fixture(autouse=True)
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLog:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("UNDULA_BEAMLINE", "t")
    monkeypatch.chdir(tmp_path)
    path = beamline_paths("t").commands
    path.parent.mkdir(parents=True)
    kept = CommandLog(path)
    told = [
        ("anna", "umv samx 3", Outcome("ok", duration_s=1.25)),
        ("ben", "scan(M.samx, -1, 1, 21)", Outcome("ok", run_numbers=(7, 8), duration_s=0.1)),
        ("anna", "x = " + "1 + " * 40, Outcome("error", error="SyntaxError")),
    ]
    for number, (name, line, outcome) in enumerate(told):
        command = Command(f"c{number}", Author(name, "terminal"), line, 1e9 + number)
        kept.started(command)
        kept.finished(command, outcome)
    return kept


def test_commands_are_listed_in_80_columns(capsys: Any) -> None:
    commands()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("    1 ")
    assert lines[0].endswith("terminal:anna   1.2s  umv samx 3")
    assert lines[1].endswith("scan(M.samx, -1, 1, 21)  run 7-8")
    assert lines[2].endswith("…  SyntaxError")
    assert max(map(len, lines)) <= 80


def test_they_are_chosen_and_written_as_a_macro(capsys: Any, tmp_path: Path) -> None:
    commands(author="anna", as_json=True)
    assert [row["number"] for row in json.loads(capsys.readouterr().out)] == [1, 3]
    commands(script=Path("night.py"))
    assert capsys.readouterr().out == "2 commands in night.py\n"
    text = (tmp_path / "night.py").read_text()
    assert text.splitlines()[1:] == ["umv(samx, 3)", "scan(M.samx, -1, 1, 21)"]
    with pytest.raises(BaseException, match="2"):  # typer's way to leave with exit code 2
        commands(script=Path("night.py"))
    assert "night.py is there already" in capsys.readouterr().err
    commands(search="nothing of that kind")
    assert capsys.readouterr().out == "No commands.\n"
