"""The door: one `undula` command, put together from modules that each add their commands.

In: arguments. Out: exit codes. Each module of `MODULES` has `register(app)`. A command of `QUICK`
loads its own module only: motion stops before the rest would even be imported.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Annotated

import typer

from undula import __version__

MODULES = (
    "services", "logs", "doctor", "stop", "scans", "devices", "motors", "config", "alarms", "queue",
    "runs", "demo", "shell",
)  # fmt: skip
QUICK = {
    "stop": "stop", "up": "services", "down": "services", "restart": "services",
    "status": "services", "logs": "logs", "doctor": "doctor", "demo": "demo", "shell": "shell",
    "devices": "devices", "read": "devices", "mv": "devices", "mvr": "devices",
    "umv": "devices", "umvr": "devices",
    "motor": "motors", "set": "motors", "set-lm": "motors", "home": "motors", "wm": "motors",
    "wa": "motors", "config": "config", "alarms": "alarms", "queue": "queue", "runs": "runs",
    "scan": "scans", "plan": "scans", "count": "scans", "grid": "scans", "list-scan": "scans",
    "ascan": "scans", "dscan": "scans", "mesh": "scans", "ct": "scans", "timescan": "scans",
}  # fmt: skip
HELP = "Run experiments at a synchrotron beamline. Begin with: undula demo"


def build(modules: tuple[str, ...] = MODULES) -> typer.Typer:
    """The application with the commands of `modules`."""
    app = typer.Typer(
        help=HELP, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
    )

    @app.callback(invoke_without_command=True)
    def _undula(
        context: typer.Context,
        version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    ) -> None:
        if version:
            print(f"undula {__version__}")
        elif context.invoked_subcommand is None:
            print(context.get_help())

    _undula.__doc__ = HELP
    for module in modules:
        import_module(f"undula.cli.{module}").register(app)
    return app


def main() -> None:
    """Entry point of the `undula` script."""
    quick = QUICK.get(sys.argv[1] if len(sys.argv) > 1 else "")
    build((quick,) if quick else MODULES)(prog_name="undula")
