"""Commands `undula shell` and `undula attach`: the prompt with the beamline's names."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Annotated

import typer

from undula.cli.output import EXIT_HELP, BeamlineOption, connected, kind
from undula.client import Client
from undula.core import log
from undula.core.errors import InputError, ServiceError, UndulaError


@kind
def shell(
    command: Annotated[
        str | None,
        typer.Option("--command", "-c", help="Run this line of Python alone and leave."),
    ] = None,
    no_plot: Annotated[bool, typer.Option("--no-plot", help="Tables only.")] = False,
    private: Annotated[
        bool, typer.Option("--private", help="An IPython of your own, seen by nobody.")
    ] = False,
    beamline: BeamlineOption = None,
) -> None:
    """Open the shared prompt with devices and plans.

    Several people may sit at it, each at a line of their own. Ctrl-C interrupts what runs, Ctrl-D
    leaves, and the prompt goes on. Example: undula shell -c "scan(samx, -1, 1, 21)"
    """
    with connected(beamline) as client:
        code = _open(client, command, plot=not no_plot, private=private)
    if code:
        raise typer.Exit(code)


def _open(client: Client, command: str | None, *, plot: bool, private: bool) -> int:
    if command is not None or private or not (sys.stdin.isatty() and sys.stdout.isatty()):
        from undula.session.shell import run_shell

        log.configure("shell", None)
        return run_shell(client, command, plot=plot)
    return shared_prompt(client, plot=plot)


def shared_prompt(client: Client, *, plot: bool = True) -> int:
    """The shared prompt until the person leaves it."""
    from undula.session.terminal.run import open_terminal

    log.configure("shell", None)  # its events must not be printed across the prompt
    return open_terminal(client, plot=plot, why_died=lambda: _why_kernel_ended(client))


def _why_kernel_ended(client: Client) -> str:
    from undula.processes import supervisor_client

    if client.paths is None:
        return ""
    try:
        status = supervisor_client.ask(client.paths, {"do": "status"}, timeout_s=1.0)
    except UndulaError:
        return ""
    rows = [row for row in status.get("services", []) if row["name"] == "kernel"]
    return str(rows[0].get("reason") or "") if rows else ""


@kind
def attach(
    host: Annotated[str, typer.Argument(help="Host of the beamline, as for ssh: [USER@]HOST.")],
    beamline: BeamlineOption = None,
) -> None:
    """Open the shared prompt of another host, through ssh. Example: undula attach x07mb-cons"""
    if host.startswith("-") or not host:
        raise InputError(f"{host!r} is no host", remedy="name it as for ssh, e.g. user@host")
    ssh = shutil.which("ssh")
    if ssh is None:
        raise ServiceError("there is no ssh here", remedy="install the OpenSSH client")
    there = ["undula", "shell", *(["--beamline", beamline] if beamline else [])]
    os.execv(ssh, ["ssh", "-t", host, "--", *there])  # noqa: S606  # no shell of this host


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("shell", epilog=EXIT_HELP)(shell)
    app.command("attach", epilog=EXIT_HELP)(attach)
