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
