"""The kernel's own process: IPython's names and errors, and who speaks in each cell.

In: a connection file and a client. Out: a running `IPKernelApp`. A cell runs in the main thread;
completions and queries of others are answered beside it, in subshells.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp
from traitlets.config import Config

from undula.client import Client
from undula.core.errors import UndulaError
from undula.session.commands import Shell
from undula.session.kernel.app_names import RUNS_MESSAGE
from undula.session.shell import error_text


class SharedKernel(IPythonKernel):
    """An IPython kernel whose cells belong to many people."""

    implementation = "undula"
    banner = "Undula"

    async def execute_request(self, stream: Any, ident: Any, parent: Any) -> None:
        """Run a cell. The error of one person takes nothing from what others have sent."""
        parent["content"]["stop_on_error"] = False
        await super().execute_request(stream, ident, parent)

    def tell_runs(self, numbers: list[int]) -> None:
        """Say which runs this cell made."""
        self.session.send(
            self.iopub_socket, RUNS_MESSAGE, {"numbers": numbers}, parent=self.get_parent()
        )


def show_error(
    shell: Any, kind: Any, value: BaseException, trace: Any, tb_offset: Any = None
) -> None:
    """One line for an error that has a remedy; the usual traceback for others."""
    text = error_text(shell, value, trace)
    if text is None:
        shell.showtraceback((kind, value, trace), tb_offset=tb_offset)
    else:
        shell._showtraceback(kind, value, [text])


def make_app(client: Client, connection: Path, folder: Path, plot: bool = True) -> IPKernelApp:
    """The kernel, its sockets bound, not yet serving.

    Args:
        folder: where IPython keeps its history and its profile.
    """
    os.environ["IPYTHONDIR"] = str(folder)
    names = Shell(client, plot, leave_when_paused=True)
    config = Config()
    config.IPKernelApp.connection_file = str(connection)
    config.InteractiveShell.autocall = 0
    config.InteractiveShell.colors = "nocolor"
    app = IPKernelApp.instance(config=config, kernel_class=SharedKernel, user_ns=names.namespace())
    app.initialize([])
    app.shell.set_custom_exc((UndulaError, NameError), show_error)
    app.shell.events.register("post_run_cell", lambda _: _tell_runs(app.kernel, names))
    return app


def _tell_runs(kernel: SharedKernel, names: Shell) -> None:
    numbers = names.take_runs()
    if numbers:
        kernel.tell_runs(numbers)
