"""`undula alarms`: what is wrong at the beamline, who has seen it.

In: arguments. Out: a table, the gravest word in colour at a terminal.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from undula.cli.output import (
    EXIT_HELP,
    BeamlineOption,
    JsonOption,
    connected,
    kind,
    print_json,
)
from undula.core.errors import InputError

if TYPE_CHECKING:
    from undula.messages import Alarm

COLOURS = {"major": "31", "minor": "33"}


def _line(alarm: Alarm, colour: bool) -> str:
    word = f"{alarm.severity:<6}"
    if colour and alarm.cleared is None:
        word = f"\x1b[{COLOURS[alarm.severity]}m{word}\x1b[0m"
    begin = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(alarm.raised))
    over = "" if alarm.cleared is None else f", over after {alarm.cleared - alarm.raised:.0f} s"
    seen = f", seen by {alarm.seen_by}" if alarm.seen_by else ""
    return f"{alarm.number:>4} {word} {begin}  {alarm.text}{over}{seen}"


@kind
def alarms(
    words: Annotated[list[str] | None, typer.Argument(help="[ack [NUMBERS]]")] = None,
    history: Annotated[bool, typer.Option("--history", help="All that are kept.")] = False,
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """List alarms that last or that nobody has seen; acknowledge them.

    Example: undula alarms

    Example: undula alarms ack 12
    """
    given = words or []
    if given and given[0] != "ack":
        raise InputError(f"{given[0]!r} is no action", remedy="undula alarms ack [NUMBERS]")
    if not all(word.isdigit() for word in given[1:]):
        raise InputError("alarms are named by number", remedy="e.g. undula alarms ack 12")
    with connected(beamline) as client:
        if given:
            found = client.alarms.acknowledge(*map(int, given[1:]))
        else:
            found = client.alarms.history() if history else client.alarms.list()
    if as_json:
        print_json([alarm.model_dump() for alarm in found])
        return
    for alarm in found:
        print(_line(alarm, sys.stdout.isatty()))
    if not found:
        print("No alarms.")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("alarms", epilog=EXIT_HELP)(alarms)
