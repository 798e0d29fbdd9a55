"""`undula stop`: motion stops, always. Light imports only; the engine hears it first.

In: the beamline's name. Out: what was stopped, by whom, and what could not be reached.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from typing import Annotated, Any

import typer

from undula.core.errors import ServiceError, UndulaError
from undula.core.paths import BeamlinePaths, beamline_paths, default_beamline
from undula.core.stop_line import ask_stop
from undula.core.stop_mark import stopped_now, who, write_mark
from undula.processes.stopper import commands
from undula.processes.supervisor_client import is_up, living

STOPPER_S = 15.0


def register(app: typer.Typer) -> None:
    """Add `stop` to the application."""
    app.command()(stop)


def stop(
    beamline: Annotated[
        str | None,
        typer.Option("--beamline", help="Name of the beamline.", envvar="UNDULA_BEAMLINE"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Stop all motion now, whatever is queued, busy or dead.

    When the engine does not confirm within 1 s, a process with its own connections sends the stop
    commands, names what it could not reach, and the engine is started anew.

    Example: undula stop

    Exit: 0 all stopped, 1 something was not reached, 3 not running.
    """
    try:
        paths = beamline_paths(beamline or default_beamline())
        report = stop_motion(paths)
    except UndulaError as exc:
        print(f"error: {exc}", file=sys.stderr)
        raise typer.Exit(3 if exc.category == "service" else 2) from exc
    print(json.dumps(report) if as_json else in_words(report))
    if report["failed"]:
        raise typer.Exit(1)


def stop_motion(paths: BeamlinePaths) -> dict[str, Any]:
    """Ask the engine, else run the stopper. Raises: ServiceError when there is nothing to ask."""
    try:
        return {"by": "engine", **ask_stop(paths.stop_socket), "engine_killed": None}
    except ServiceError as exc:
        with suppress(OSError):  # an engine that only slept, or is started anew, knows it then
            write_mark(paths.stopped, stopped_now(who()))
        if "engine" not in living(paths) and not commands(paths):
            if is_up(paths):
                return {"by": "nobody", "stopped": [], "failed": {}, "engine_killed": None}
            raise ServiceError(
                f"no engine of beamline {paths.name} runs, and no scan of it was under way",
                remedy="name the beamline with --beamline, or use the hardware stop",
            ) from exc
        why = exc.what
    argv = [sys.executable, "-m", "undula.processes.stopper", "--beamline", paths.name]
    try:
        done = subprocess.run(argv, capture_output=True, timeout=STOPPER_S, check=False)
        return {"by": "stopper", "why": why, **json.loads(done.stdout)}
    except (subprocess.TimeoutExpired, ValueError) as exc:
        raise ServiceError(
            "the stopper gave no answer: what moves may still move",
            remedy="use the hardware stop now, then undula restart engine",
        ) from exc


def in_words(report: dict[str, Any]) -> str:
    """One line a person can act on."""
    names = ", ".join(report["stopped"])
    nothing = "nothing could be stopped" if report["failed"] else "nothing was moving"
    text = f"stopped: {names}" if names else nothing
    if report["by"] == "nobody":
        text += ": the engine was not running"
    if report["by"] == "stopper":
        text += f" (by the stopper: {report['why']}"
        text += "; the engine is started anew)" if report["engine_killed"] else ")"
    lines = [f"NOT STOPPED {name}: {why}" for name, why in report["failed"].items()]
    return "\n".join([text, *lines, _afterwards(report)])


def _afterwards(report: dict[str, Any]) -> str:
    dropped = "what was asked before is dropped"
    if report["by"] == "engine":
        return f"New scans and moves are accepted now; {dropped}."
    return f"New scans and moves are accepted once the engine is ready (undula status); {dropped}."
