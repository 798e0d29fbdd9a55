"""`undula shell`: a bare IPython with the beamline's names in it.

An `UndulaError` is shown in one line, what, where and remedy, without a traceback. In: a client.
Out: the exit code of a given command, or the prompt until the person leaves it.
"""

from __future__ import annotations

import difflib
import sys
import traceback
from collections.abc import Callable
from typing import Any

from undula.client import Client
from undula.core.errors import UndulaError
from undula.session.commands import Shell
from undula.session.in_words import show_in_words
from undula.session.planning.files import LIMIT_S
from undula.session.planning.files import watch as watch_plans
from undula.session.planning.trials import PATIENCE_S
from undula.session.words.meant import meant, no_such

BANNER = """Undula, {beamline}. Devices: {groups}. Plans: scan, grid_scan, count, ascan ...
Try: help    wa    scan(samx, -1, 1, 21, time=0.1)    scan?    runs    exit
"""

IN_ONE_LINE = (UndulaError, NameError, AttributeError, SyntaxError, KeyboardInterrupt)
"""What is shown without a traceback, as far as `error_text` says."""


def error_text(shell: Any, value: BaseException, trace: Any) -> str | None:
    """One line for an `UndulaError`, and for what was typed and does not exist or is no Python.

    "" for a Ctrl-C that was answered already, None for anything else, whose traceback tells more.
    """
    if isinstance(value, KeyboardInterrupt):
        return "" if value.args else None
    if isinstance(value, UndulaError):
        return str(value)
    if isinstance(value, SyntaxError):
        return meant(value.text or "", shell.user_ns) or None
    return _no_name(shell, value, trace) if isinstance(value, NameError | AttributeError) else None


def _no_name(shell: Any, value: NameError | AttributeError, trace: Any) -> str | None:
    """It was typed here and does not exist; None when it stands in a function of somebody."""
    frames = list(traceback.walk_tb(trace))
    typed = bool(frames) and frames[-1][0].f_globals is shell.user_ns
    if not typed or not value.name:
        return None
    if isinstance(value, AttributeError):
        return _no_attribute(shell, value)
    near = difflib.get_close_matches(value.name, shell.user_ns, 1)
    hint = f"did you mean {near[0]}?" if near else "dev lists the devices"
    return f"there is no {value.name!r} here: {hint}"


def _no_attribute(shell: Any, value: AttributeError) -> str | None:
    """Something of the beamline does not have it; None for other people's objects."""
    owner = value.obj
    if not type(owner).__module__.startswith("undula."):
        return None
    known = (n for n, v in shell.user_ns.items() if v is owner and not n.startswith("_"))
    return no_such(next(known, type(owner).__name__), str(value.name), dir(owner))


def show_error(
    shell: Any, kind: Any, value: BaseException, trace: Any, tb_offset: Any = None
) -> None:
    """IPython's handler for errors that have a remedy: one line on stderr."""
    text = error_text(shell, value, trace)
    if text is None:
        shell.showtraceback((kind, value, trace), tb_offset=tb_offset)
        return
    if text:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def errors_in_words(shell: Any, show: Callable[..., None]) -> None:
    """Have an IPython show its errors by `show`, also those of a value that is to be shown."""
    usual = shell.showtraceback
    shell.set_custom_exc(IN_ONE_LINE, show)

    def showtraceback(exc_tuple: Any = None, *args: Any, **options: Any) -> None:
        if exc_tuple is not None and isinstance(exc_tuple[1], UndulaError):
            show(shell, *exc_tuple)
        else:
            usual(exc_tuple, *args, **options)

    shell.showtraceback = showtraceback


def make_ipython(
    client: Client, plot: bool = True, patience_s: float = PATIENCE_S
) -> tuple[Any, dict[str, Any]]:
    """An IPython with the beamline's names, and these names.

    Args:
        patience_s: how long a cell waits for plan files that are being tried.
    """
    from IPython.terminal.interactiveshell import TerminalInteractiveShell
    from traitlets.config import Config

    here = Shell(client, plot)
    names = here.namespace()
    config = Config()
    config.TerminalInteractiveShell.banner1 = ""
    config.TerminalInteractiveShell.confirm_exit = False
    config.TerminalInteractiveShell.autocall = 0
    if not sys.stdout.isatty():
        config.TerminalInteractiveShell.colors = "nocolor"
        config.HistoryManager.enabled = False
    # The instance, because key bindings look for it by `get_ipython()`.
    TerminalInteractiveShell.clear_instance()
    shell = TerminalInteractiveShell.instance(config=config, user_ns=dict(names))
    errors_in_words(shell, show_error)
    here.prompt.live_in(shell.user_ns)
    watch_plans(here.prompt.folder, shell, patience_s)
    if fault := here.live_in(shell):
        sys.stderr.write(f"{fault}\n")
    show_in_words(shell)
    return shell, names


def run_shell(client: Client, command: str | None = None, plot: bool = True) -> int:
    """The prompt, or one `command` (Python as typed there). Returns the exit code."""
    # a single command finds what is in the files, or nothing does
    shell, names = make_ipython(client, plot, PATIENCE_S if command is None else LIMIT_S)
    if command is not None:
        return 0 if shell.run_cell(command).success else 1
    groups = ", ".join(sorted(n for n, v in names.items() if type(v).__name__ == "Group"))
    beamline = client.paths.name if client.paths is not None else "a beamline"
    sys.stdout.write(BANNER.format(beamline=beamline, groups=groups))
    shell.mainloop()
    return 0
