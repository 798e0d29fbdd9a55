"""Command `undula shell`: IPython with the devices and plans of the beamline."""

from __future__ import annotations

from typing import Annotated

import typer

from undula.cli.output import EXIT_HELP, BeamlineOption, connected, kind


@kind
def shell(
    command: Annotated[
        str | None, typer.Option("--command", "-c", help="Run this line of Python and leave.")
    ] = None,
    no_plot: Annotated[bool, typer.Option("--no-plot", help="Tables only.")] = False,
    beamline: BeamlineOption = None,
) -> None:
    """Open a prompt with devices and plans. Example: undula shell -c "scan(samx, -1, 1, 21)" """
    from undula.session.shell import run_shell

    with connected(beamline) as client:
        code = run_shell(client, command, plot=not no_plot)
    if code:
        raise typer.Exit(code)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("shell", epilog=EXIT_HELP)(shell)
