"""The application: one `undula` command, put together from modules that each add their commands.

In: names of modules, each of which has `register(app)`. Out: the application.
"""

from __future__ import annotations

from importlib import import_module
from typing import Annotated

import typer

from undula import __version__
from undula.cli.main import MODULES

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
