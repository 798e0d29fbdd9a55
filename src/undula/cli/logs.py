"""`undula logs`: what all services did, as one stream of lines.

In: log files of the beamline. Out: one line an event.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any

import typer

from undula.cli.output import BeamlineOption, JsonOption, kind
from undula.core.errors import InputError
from undula.core.log import LEVELS
from undula.core.paths import beamline_paths, default_beamline
from undula.processes.logs import Filter, LogBook

_HEAD = ("time", "level", "service", "event")


def register(app: typer.Typer) -> None:
    """Add `logs` to the application."""
    app.command()(kind(logs))


def logs(
    name: Annotated[str | None, typer.Argument(help="As --service.", metavar="[SERVICE]")] = None,
    beamline: BeamlineOption = None,
    following: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with new events until Ctrl-C.")
    ] = False,
    level: Annotated[
        str, typer.Option(help="Least level: debug, info, warning, error, critical.")
    ] = "info",
    service: Annotated[
        str | None, typer.Option("--service", help="Of one service only, e.g. engine.")
    ] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many old events.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Show the events of all services, merged by time.

    Example: undula logs --follow --level warning

    Example: undula logs writer

    Exit: 0 ok, 2 wrong input.
    """
    if level not in LEVELS:
        raise InputError(f"{level!r} is no level", remedy=f"use one of {', '.join(LEVELS)}")
    paths = beamline_paths(beamline or default_beamline())
    folder = paths.logs
    service = _one_service(name, service, {path.stem for path in folder.glob("*.jsonl")})
    if not any(folder.glob("*.jsonl")):
        never = f"Beamline {paths.name} has no logs: it was never started here (undula up)."
        print(never, file=sys.stderr)
    wanted = Filter(level, service)
    book = LogBook(folder, wanted)
    for event in book.last(lines):
        _show(event, as_json)
    if following:
        with suppress(KeyboardInterrupt):
            for event in book.follow():
                _show(event, as_json)


def _one_service(name: str | None, option: str | None, known: set[str]) -> str | None:
    if name and option and name != option:
        raise InputError(f"{name} and {option} are two services", remedy="name one of them")
    service = name or option
    if service and known and service not in known:
        raise InputError(
            f"no service {service!r} has logged anything",
            remedy=f"use one of: {', '.join(sorted(known))}",
        )
    return service


def _show(event: dict[str, Any], as_json: bool) -> None:
    print(json.dumps(event) if as_json else in_words(event), flush=True)


def in_words(event: dict[str, Any]) -> str:
    """One event on one line: local time, level, service, name, fields.

    >>> in_words({"time": 0.5, "level": "info", "service": "engine", "event": "axis_arrived",
    ...     "axis": "samx"})[24:]
    'info     engine      axis_arrived axis=samx'
    """
    stamp = datetime.fromtimestamp(float(event.get("time", 0.0))).astimezone()
    words = [f"{key}={value}" for key, value in event.items() if key not in _HEAD]
    head = f"{stamp:%Y-%m-%d %H:%M:%S}.{stamp.microsecond // 1000:03d}"
    line = f"{head} {event.get('level', ''):8} {event.get('service', ''):11} {event.get('event')}"
    return " ".join([line, *words])
