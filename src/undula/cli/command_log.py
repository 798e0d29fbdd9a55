"""`undula commands`: what was typed and sent at the shared prompt, by whom, and how it ended.

In: the command log, which is there also when the beamline is down. Out: a table, or a macro file.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from undula.cli.output import EXIT_HELP, BeamlineOption, JsonOption, kind, print_json
from undula.core.errors import InputError
from undula.core.paths import beamline_paths, default_beamline
from undula.session.bridge.log import read_log

WIDTH = 80


def _line(row: dict[str, Any]) -> str:
    when = time.strftime("%m-%d %H:%M:%S", time.localtime(row["submitted"]))
    first, *more = str(row["line"]).splitlines() or [""]
    text = first + (" …" if more else "")
    ended = "" if row["status"] == "ok" else f"  {row['error'] or row['status']}"
    took = "" if row["duration_s"] is None else f"{row['duration_s']:.1f}s"
    runs = row["runs"]
    made = f"  run {runs[0]}{f'-{runs[-1]}' if len(runs) > 1 else ''}" if runs else ""
    head = f"{row['number']:>5} {when} {row['origin']}:{row['author']} {took:>6}  "
    room = max(20, WIDTH - len(head) - len(ended) - len(made))
    return f"{head}{text if len(text) <= room else text[: room - 1] + '…'}{made}{ended}"


@kind
def commands(
    author: Annotated[str, typer.Option(help="Of this person only.")] = "",
    search: Annotated[str, typer.Option(help="Text that the line holds.")] = "",
    count: Annotated[int, typer.Option("-n", min=1, help="How many, the newest.")] = 20,
    script: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write those that went well as a macro file."),
    ] = None,
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """List commands of the shared prompt: number, time, author, duration, line, runs, errors.

    Example: undula commands --author anna -n 5

    Example: undula commands --search umv --script night.py
    """
    paths = beamline_paths(beamline or default_beamline())
    status = "" if script is None else "ok"
    rows = read_log(paths.commands, count, search, author, status=status)
    if script is not None:
        _write(script, rows, author)
    if as_json:
        print_json(rows)
        return
    for row in rows if script is None else ():
        print(_line(row))
    if not rows and script is None:
        print("No commands.")


def _write(script: Path, rows: list[dict[str, Any]], author: str) -> None:
    from undula.session.words.macros import counted, write_macro  # brings IPython along

    if script.suffix != ".py":
        raise InputError(f"{script} is no name of a Python file", remedy="e.g. night.py")
    when = time.strftime("%Y-%m-%d %H:%M")
    write_macro(script, rows, f"{when}, {counted(rows)} of {author or 'everybody'}")
    print(f"{counted(rows)} in {script}")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("commands", epilog=EXIT_HELP)(commands)
