"""Commands of motors: motor, set, set-lm, home, jog, wm, wa, under the names that people know.

In: arguments. Out: tables of positions and parameters, with units.
"""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from undula.cli import parsing
from undula.cli.output import (
    EXIT_HELP,
    BeamlineOption,
    JsonOption,
    connected,
    kind,
    print_json,
    table,
)
from undula.client.device_text import state
from undula.core.errors import InputError
from undula.core.shown import number_text

SETTINGS = {"ignore_unknown_options": True}
Axis = Annotated[str, typer.Argument(help="Name of a motor.")]


def _number(text: str, what: str) -> float:
    found = parsing.number(text)
    if found is None:
        raise InputError(f"{what} is {text!r}", remedy="give a number")
    return float(found)


def _show(rows: dict[str, dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json({"parameters": rows})
        return
    cells = [[n, number_text(r["value"]), r["unit"], r["about"]] for n, r in rows.items()]
    print(table(["parameter", "value", "unit", "meaning"], cells))


@kind
def motor(
    device: Axis,
    parameter: Annotated[str | None, typer.Argument(help="e.g. velocity, limits, offset")] = None,
    values: Annotated[list[str] | None, typer.Argument(help="New value; two for limits.")] = None,
    history: Annotated[bool, typer.Option("--history", help="Who changed what.")] = False,
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Show a motor's parameters, or change one. Example: undula motor samx velocity 2"""
    with connected(beamline) as client:
        if history:
            changes = client.motors.history(device)
        elif parameter is None:
            return _show(client.motors.parameters(device), as_json)
        elif not values:
            rows = client.motors.parameters(device)
            if parameter not in rows:
                raise InputError(f"{device} has no {parameter}", remedy=f"it has {', '.join(rows)}")
            return _show({parameter: rows[parameter]}, as_json)
        else:
            numbers = [_number(v, parameter) for v in values]
            return _show(client.motors.set(device, parameter, *numbers), as_json)
    if as_json:
        print_json(changes)
        return None
    lines = [
        [time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(c["time"])), c["user"], c["name"],
         number_text(c["old"]), number_text(c["new"])]
        for c in changes
    ]  # fmt: skip
    print(table(["time", "user", "parameter", "old", "new"], lines))
    return None


@kind
def set_(
    device: Axis,
    position: Annotated[str, typer.Argument(help="What the present place is called from now on.")],
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Redefine a position without moving, as in SPEC. Example: undula set samx 0"""
    with connected(beamline) as client:
        rows = client.motors.set_position(device, _number(position, "position"))
    _show(rows, as_json)


@kind
def set_lm(
    device: Axis,
    low: Annotated[str, typer.Argument(help="Low limit.")],
    high: Annotated[str, typer.Argument(help="High limit.")],
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Set soft limits, as in SPEC. Example: undula set-lm samx -5 5"""
    with connected(beamline) as client:
        rows = client.motors.set_limits(
            device, _number(low, "low limit"), _number(high, "high limit")
        )
    _show(rows, as_json)


@kind
def home(
    device: Axis,
    reverse: Annotated[bool, typer.Option("--reverse", help="Search backwards.")] = False,
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Search for home and wait, where the motor can. Example: undula home samx"""
    with connected(beamline) as client:
        _show(client.motors.home(device, "reverse" if reverse else "forward"), as_json)


@kind
def jog(
    device: Axis,
    direction: Annotated[str, typer.Argument(help="+ or -")],
    velocity: Annotated[
        float | None, typer.Option("--velocity", help="For this motion only, unit/s.")
    ] = None,
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Go until Ctrl-C, or to the soft limit. Example: undula jog samx + --velocity 0.5"""
    from undula.cli.devices import Progress, show_move

    with connected(beamline) as client:
        progress = Progress(as_json)
        move = client.motors.start_jog(device, direction, velocity, progress)
        show_move(client, move, progress, as_json)


def _where(names: list[str], as_json: bool, beamline: str | None) -> None:
    with connected(beamline) as client:
        motors = client.motors
        found = {n: motors.parameters(n) for n in names} if names else motors.all()
        silent = [] if names else [i for i in client.devices.table() if not i.connected]
    if as_json:
        print_json(found)
        return
    columns = ("position", "dial", "low_limit", "high_limit")
    rows = [
        [name, *(number_text(p[c]["value"]) if c in p else "" for c in columns),
         p["position"]["unit"], p["status"]["value"]]
        for name, p in found.items()
    ]  # fmt: skip
    print(table(["motor", "user", "dial", "low", "high", "unit", "status"], rows))
    for info in silent:
        print(f"left out: {info.name}, {state(info)[0]}")


@kind
def wm(
    names: Annotated[list[str], typer.Argument(help="Names of motors.")],
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Where motors are, with dial and limits. Example: undula wm samx samy"""
    _where(names, as_json, beamline)


@kind
def wa(as_json: JsonOption = False, beamline: BeamlineOption = None) -> None:
    """Where all motors are."""
    _where([], as_json, beamline)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("motor", context_settings=SETTINGS, epilog=EXIT_HELP)(motor)
    app.command("set", context_settings=SETTINGS, epilog=EXIT_HELP)(set_)
    app.command("set-lm", context_settings=SETTINGS, epilog=EXIT_HELP)(set_lm)
    app.command("home", epilog=EXIT_HELP)(home)
    app.command("jog", context_settings=SETTINGS, epilog=EXIT_HELP)(jog)
    app.command("wm", epilog=EXIT_HELP)(wm)
    app.command("wa", epilog=EXIT_HELP)(wa)
