"""The kernel's own process: IPython's names and errors, and who speaks in each cell.

In: a connection file and a client. Out: a running `IPKernelApp`. A cell runs in the main thread;
completions and queries of others are answered beside it, in subshells.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from ipykernel.kernelapp import IPKernelApp
from traitlets.config import Config

from undula.client import Client
from undula.core.faults import reached
from undula.core.log import get_logger
from undula.core.procs import ProcessId
from undula.session.commands import Shell
from undula.session.in_words import show_in_words
from undula.session.kernel.app_names import PROGRESS_MESSAGE, RUNS_MESSAGE, TAKE_BACK
from undula.session.kernel.guard import Speakers
from undula.session.kernel.out import SteadyStream
from undula.session.kernel.subshells import OwnedSubshells
from undula.session.planning.files import watch as watch_plans
from undula.session.shell import error_text, errors_in_words


class SharedKernel(OwnedSubshells):
    """An IPython kernel whose cells belong to many people."""

    implementation = "undula"
    banner = "Undula"

    control_msg_types: ClassVar[list[str]] = [
        *OwnedSubshells.control_msg_types,
        TAKE_BACK,
    ]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._unwanted: set[str] = set()

    async def execute_request(self, stream: Any, ident: Any, parent: Any) -> None:
        """Run a cell. The error of one person takes nothing from what others have sent."""
        identity = parent["header"]["msg_id"]
        if identity in self._unwanted:
            self._unwanted.discard(identity)
            self.session.send(stream, "execute_reply", {"status": "aborted"}, parent, ident)
            return
        parent["content"]["stop_on_error"] = False
        if parent["content"].get("silent"):
            await super().execute_request(stream, ident, parent)
            return
        reached("kernel.cell_taken")
        await super().execute_request(stream, ident, parent)
        reached("kernel.cell_done")

    async def take_back_request(self, stream: Any, ident: Any, parent: Any) -> None:
        """Do not begin a command that still waits here; no harm when it has begun."""
        self._unwanted.add(str(parent["content"]["msg_id"]))
        self.session.send(stream, "take_back_reply", {"status": "ok"}, parent, ident)

    async def shutdown_request(self, stream: Any, ident: Any, parent: Any) -> None:
        """Refused: a front end that is left by "quit the kernel" would end everybody's prompt."""
        refusal = {"status": "error", "ename": "AccessError", "evalue": repr(NoExit())}
        self.session.send(stream, "shutdown_reply", {**refusal, "traceback": []}, parent, ident)

    def raw_input(self, prompt: str = "") -> str:
        """`input()`: asks the terminal whose cell it is, as long as that lives."""
        with self._while_asker_lives():
            return str(super().raw_input(prompt))

    def getpass(self, *args: Any, **options: Any) -> str:
        """As `raw_input`, not shown."""
        with self._while_asker_lives():
            return str(super().getpass(*args, **options))

    @contextmanager
    def _while_asker_lives(self) -> Iterator[None]:
        """Interrupt a question when its terminal has ended: nobody else could answer it."""
        about = self.get_parent().get("metadata", {}).get("undula", {})
        try:
            descriptor = ProcessId(int(about["pid"]), int(about["ticks"])).open()
        except (KeyError, ValueError, TypeError):
            yield  # a front end of others does not say which process it is
            return
        answered, waker = os.pipe()
        main = threading.main_thread().ident

        def watch() -> None:
            poll = select.poll()
            for watched in (descriptor, answered):
                if watched is not None:
                    poll.register(watched, select.POLLIN | select.POLLHUP)
            if descriptor is None or any(fd == descriptor for fd, _ in poll.poll()):
                signal.pthread_kill(main or 0, signal.SIGINT)

        watcher = threading.Thread(target=watch, name="asker", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            os.close(waker)
            watcher.join()
            for used in (answered, descriptor):
                if used is not None:
                    os.close(used)

    def tell(self, kind: str, content: dict[str, Any]) -> None:
        """Publish a message of our own about the cell that runs; from any thread."""
        self.session.send(self.iopub_socket, kind, content, parent=self.get_parent())


class NoExit:
    """`exit` of a prompt that belongs to everybody."""

    def __repr__(self) -> str:
        return (
            "This prompt belongs to everybody and goes on. Leave with Ctrl-D; to start it afresh: "
            "undula restart kernel"
        )

    def __call__(self, *_: object) -> None:
        """Say so."""
        sys.stdout.write(f"{self!r}\n")


def show_error(
    shell: Any, kind: Any, value: BaseException, trace: Any, tb_offset: Any = None
) -> None:
    """One line for an error that has a remedy; the usual traceback for others."""
    text = error_text(shell, value, trace)
    if text is None:
        shell.showtraceback((kind, value, trace), tb_offset=tb_offset)
    else:
        shell._showtraceback(kind, value, [text] if text else [])


def make_app(
    client: Client, connection: Path, folder: Path, speakers: Speakers, plot: bool = True
) -> IPKernelApp:
    """The kernel, its sockets bound, not yet serving.

    Args:
        speakers: who may execute code.
        folder: where IPython keeps its history and its profile.
    """
    os.environ["IPYTHONDIR"] = str(folder)
    names = Shell(client, plot, leave_when_paused=True)
    config = Config()
    config.IPKernelApp.connection_file = str(connection)
    config.IPKernelApp.outstream_class = f"{SteadyStream.__module__}.{SteadyStream.__name__}"
    config.InteractiveShell.autocall = 0
    config.IPCompleter.use_jedi = False  # it guesses from source; names are looked at as they are
    config.InteractiveShell.colors = "nocolor"
    app = IPKernelApp.instance(config=config, kernel_class=SharedKernel, user_ns=names.namespace())
    app.initialize([])
    errors_in_words(app.shell, show_error)
    app.shell.user_ns["exit"] = app.shell.user_ns["quit"] = NoExit()
    kernel = app.kernel
    kernel.speakers = speakers
    names.show_progress = lambda text: kernel.tell(PROGRESS_MESSAGE, {"text": text})
    names.prompt.live_in(app.shell.user_ns)
    watch_plans(names.prompt.folder, app.shell)
    if fault := names.live_in(app.shell, shared=True):
        get_logger().error("startup_failed", error=fault)
        kernel.banner = f"{kernel.banner}\n{fault}\n"
    show_in_words(app.shell)
    app.shell.events.register("post_run_cell", lambda _: _tell_runs(kernel, names))
    return app


def _tell_runs(kernel: SharedKernel, names: Shell) -> None:
    numbers = names.take_runs()
    if numbers:
        kernel.tell(RUNS_MESSAGE, {"numbers": numbers})
