"""`undula up | down | restart | status`: the services of a beamline.

In: options. Out: progress, a table or JSON. Not here: how services are kept (`processes`).
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from undula.cli.absent import absent_devices, absent_lines, waiting_lines
from undula.cli.output import (
    FAILED,
    BeamlineOption,
    JsonOption,
    kind,
    print_json,
    table,
)
from undula.core.errors import InputError, TimeoutUndulaError
from undula.core.paths import BeamlinePaths, beamline_paths, default_beamline
from undula.processes import supervisor_client

RESTART_S = 60.0


def register(app: typer.Typer) -> None:
    """Add the service commands to the application."""
    for command in (up, down, restart, status):
        app.command()(kind(command))


def up(
    beamline: BeamlineOption = None,
    devices: Annotated[
        Path | None, typer.Option(help="Device file (YAML). 'simulated': the simulated beamline.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder for the data files.")] = None,
    broker: Annotated[
        str | None, typer.Option(help="URL of an existing Valkey or Redis server.")
    ] = None,
    bec_services: Annotated[
        Path | None, typer.Option(help="Service file of BEC: its broker and data folder are used.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Stay until Ctrl-C or SIGTERM, then take it down.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Start the services of a beamline and return when people can measure.

    The shared prompt comes up beside them.

    Options are kept: a later `undula up` without them starts the same beamline.

    Example: undula up --beamline x07mb --devices x07mb.yaml --data /data/x07mb

    Exit: 0 up, 1 failed, 2 wrong input, 3 a service did not start, 4 already up.
    """
    from undula.core.bec_services import load_bec_services
    from undula.processes.bringup import StartError, bring_up
    from undula.processes.services import choose_settings, refuse_second_up, service_specs

    paths = beamline_paths(beamline or default_beamline())
    progress = _Progress(quiet=as_json)
    try:
        services = load_bec_services(bec_services) if bec_services else None
        given: dict[str, Any] = {
            "devices": devices,
            "data": data,
            "broker_url": broker,
            "bec_services": services,
        }
        refuse_second_up(paths, **given)
        for line in services.lines() if services and not as_json else ():
            print(f"  {line}")
        settings = choose_settings(paths, **given)
        state = bring_up(paths, lambda: service_specs(paths, settings), progress)
    except StartError as exc:
        for line in exc.output:
            print(f"  | {line}", file=sys.stderr)
        raise
    state["absent"] = absent_devices(paths.name)
    if as_json:
        print_json(state)
    else:
        print(f"Beamline {paths.name} is up. Next: undula status, undula devices, undula shell")
        lines = [*absent_lines(state["absent"]), *waiting_lines(paths.name)]
        print("".join(f"{line}\n" for line in lines), end="")
    if wait:
        _stay(paths)


def down(beamline: BeamlineOption = None, as_json: JsonOption = False) -> None:
    """Stop all services of a beamline, the engine first, the broker last.

    Example: undula down --beamline x07mb

    Exit: 0 down, also when it was so before, 1 something did not end in time.
    """
    paths = beamline_paths(beamline or default_beamline())
    was_up = supervisor_client.take_down(paths)
    if as_json:
        print_json({"beamline": paths.name, "state": "down", "was_up": was_up})
    elif was_up:
        print(f"Beamline {paths.name} is down.")
    else:
        print(f"Beamline {paths.name} was not up: nothing to take down.")


def restart(
    service: Annotated[str | None, typer.Argument(help="One service; without it all.")] = None,
    beamline: BeamlineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Start one service anew, or the whole beamline with its settings read again.

    Example: undula restart writer

    Exit: 0 ready again, 1 not ready in time, 2 no such service, 3 not up.
    """
    paths = beamline_paths(beamline or default_beamline())
    _see_to_supervisor(paths)
    if service is None:
        supervisor_client.take_down(paths)
        up(beamline=beamline, as_json=as_json)
        return
    row = restart_one(paths, service)
    if as_json:
        print_json(row)
    else:
        print(f"{service} is ready, pid {row['pid']}.")


def restart_one(paths: BeamlinePaths, name: str) -> dict[str, Any]:
    """Restart one service and wait until it is ready; its row of the status.

    Raises: InputError for an unknown name; TimeoutUndulaError when it is not ready in time.
    """
    import time

    from undula.core.clock import Deadline

    answer = supervisor_client.ask(paths, {"do": "restart", "name": name})
    if "error" in answer:
        known = ", ".join(answer.get("known", []))
        raise InputError(answer["error"], remedy=f"use one of: {known}" if known else "wait")
    deadline = Deadline(RESTART_S)
    while not deadline.passed:
        rows = supervisor_client.ask(paths, {"do": "status"})["services"]
        row: dict[str, Any] = next(row for row in rows if row["name"] == name)
        if row["state"] == "ready" and row["pid"] != answer["pid_before"]:
            return row
        time.sleep(supervisor_client.POLL_S)
    raise TimeoutUndulaError(
        f"{name} is not ready after {RESTART_S:g} s ({row['reason'] or row['state']})",
        remedy=f"see undula logs --service {name} and {paths.logs / name}.out",
    )


def status(beamline: BeamlineOption = None, as_json: JsonOption = False) -> None:
    """Show each service: state, pid, uptime, memory, last heartbeat, restarts.

    Example: undula status --json

    Exit: 0 all ready, 1 something is not, 3 not up.
    """
    paths = beamline_paths(beamline or default_beamline())
    _see_to_supervisor(paths)
    state = supervisor_client.ask(paths, {"do": "status"})
    state["broker"] = broker_line(paths, state)
    if as_json:
        print_json(state)
    else:
        print(in_words(state))
    if any(_wrong(row) for row in state["services"]):
        raise typer.Exit(FAILED)


def _wrong(row: dict[str, Any]) -> bool:
    """Not ready, and not one of those that come up a little later than the rest."""
    comes = not row.get("essential", True) and row["state"] in ("waiting", "starting")
    return row["state"] != "ready" and not comes


def broker_line(paths: BeamlinePaths, state: dict[str, Any]) -> dict[str, Any] | None:
    """What the broker promises (`BROKER_STATUS`); None when it cannot be asked."""
    from undula.bus.broker import connect
    from undula.bus.endpoints import BROKER_STATUS
    from undula.core.errors import UndulaError
    from undula.core.settings import load_settings

    own = [row for row in state["services"] if row["name"] == "broker"]
    if own and own[0]["state"] != "ready":
        return None
    try:
        connector = connect(
            paths, load_settings(paths.config), role="observer", client_name="status"
        )
    except UndulaError:
        return None
    try:
        kept = connector.get(BROKER_STATUS)
    except UndulaError:
        return None
    finally:
        connector.close()
    return None if kept is None else kept.model_dump(mode="json")


def in_words(state: dict[str, Any]) -> str:
    """The status as a table with a line above and one below."""
    supervisor = state["supervisor"]
    parts = [supervisor["pss_bytes"], *(row["pss_bytes"] for row in state["services"])]
    total = sum(part or 0 for part in parts) / 1e6
    head = ["service", "state", "pid", "uptime", "MB", "heartbeat", "restarts", "says"]
    own = [
        "supervisor", "ready", str(supervisor["pid"]), span(supervisor["uptime_s"]),
        megabytes(supervisor["pss_bytes"]), "", "", "",
    ]  # fmt: skip
    rows = [own, *(_row(row) for row in state["services"])]
    lines = [
        f"Beamline {state['beamline']} is {state['state']}, {total:.0f} MB in all.",
        table(head, rows),
    ]
    if state.get("broker"):
        kept = state["broker"]
        cost = "" if kept["fsync_ms"] is None else f" ({kept['fsync_ms']:.1f} ms measured)"
        lines.append(
            f"Journal: fsync {kept['fsync']}{cost}; a power cut costs {kept['power_cut_costs']}."
        )
    return "\n".join(lines)


def _row(row: dict[str, Any]) -> list[str]:
    beat = "" if row["heartbeat_age_s"] is None else f"{span(row['heartbeat_age_s'])} ago"
    says = row["reason"] if row["state"] != "ready" and row["reason"] else row["text"]
    return [
        row["name"],
        row["state"],
        str(row["pid"] or ""),
        "" if row["uptime_s"] is None else span(row["uptime_s"]),
        megabytes(row["pss_bytes"]),
        beat + (" (quiet)" if row["quiet"] else ""),
        str(row["restarts"]),
        says,
    ]


def megabytes(size: int | None) -> str:
    """Bytes as MB for a table.

    >>> megabytes(12_340_000), megabytes(None)
    ('12.3', '')
    """
    return "" if size is None else f"{size / 1e6:.1f}"


def span(seconds: float) -> str:
    """A duration for people.

    >>> span(3.2), span(75), span(7300), span(200_000)
    ('3 s', '1 min 15 s', '2 h 1 min', '2 d 7 h')
    """
    whole = int(seconds)
    for size, unit, below, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "min")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // below} {small}"
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{whole} s"


def _see_to_supervisor(paths: BeamlinePaths) -> None:
    if supervisor_client.ensure(paths):
        count = len(supervisor_client.living(paths))
        print(f"The supervisor had died; a new one keeps {count} services.", file=sys.stderr)


class _Progress:
    """Prints each service once when it is ready, and again when it fails."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._shown: set[tuple[str, str]] = set()

    def __call__(self, state: dict[str, Any]) -> None:
        for row in state["services"]:
            key = (row["name"], row["state"])
            if self._quiet or row["state"] not in ("ready", "backoff") or key in self._shown:
                continue
            self._shown.add(key)
            print(f"  {row['name']:10} {row['reason'] or row['state']}", flush=True)


def _stay(paths: BeamlinePaths) -> None:
    """Until a signal comes; then take the beamline down."""
    wanted = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
    while True:
        if signal.sigtimedwait(wanted, 2.0) is not None:
            supervisor_client.take_down(paths)
            return
        if not supervisor_client.is_up(paths):
            return
        supervisor_client.ensure(paths)
