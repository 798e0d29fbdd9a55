"""The help of the queue's commands."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from undula.cli import queue
from undula.cli.application import build

APP = typer.Typer()
queue.register(APP)
NAMES = [
    str(command.name) for command in APP.registered_groups[0].typer_instance.registered_commands
]


@pytest.mark.parametrize("name", NAMES)
def test_every_command_of_the_queue_shows_an_example_and_the_exit_codes(name: str) -> None:
    shown = CliRunner().invoke(build(("queue",)), ["queue", name, "--help"])
    assert shown.exit_code == 0
    words = " ".join(shown.output.split())
    assert f"Example: undula queue {name}" in words or f"Examples: undula queue {name}" in words
    assert "Exit: 0 ok" in words


@pytest.mark.parametrize("word", ["2h", "1.5d", "2026-03-01", "2026-03-01T12:00"])
def test_the_history_goes_back_from_a_time(word: str) -> None:
    assert isinstance(queue._time_or_id(word), float)


@pytest.mark.parametrize("word", ["", "3f2a", "1234567d", "10fb899f-6d0e-4d1c-9b6a-0123456789ab"])
def test_the_history_goes_back_from_an_id(word: str) -> None:
    assert queue._time_or_id(word) == word
