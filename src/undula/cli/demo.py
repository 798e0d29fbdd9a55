"""Command `undula demo`: a whole beamline in a temporary folder, scanned live, in one command.

In: nothing. Out: two live scans, a NeXus file and its plot; at a terminal then a prompt. At the end
everything is taken down; the files of the last demo stay in the state folder, older ones go.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from undula.cli.output import EXIT_HELP, FAILED, kind
from undula.core.errors import ServiceError, UndulaError
from undula.core.paths import BeamlinePaths, beamline_paths

if TYPE_CHECKING:
    from undula.client import Client

NAME = "demo"
FILE_WAIT_S = 10.0
TELL_S = 2.0


@dataclass(frozen=True, slots=True)
class Tour:
    """What the demo scans: plan, arguments, detector, count time in seconds."""

    plan: str
    args: tuple[Any, ...]
    detectors: tuple[str, ...]
    time: float | None


SIMULATED = (
    Tour("scan", ("samx", -2, 2, 31), ("diode",), 0.02),
    Tour("grid_scan", ("samy", -1, 1, 9, "samx", -1.5, 1.5, 25), ("diode",), 0.005),
)

# Its detector tells its value twice a second: a shorter count time would read it before that.
EPICS = (Tour("scan", ("ph_mtr", -10, 10, 15), ("ph_det",), 0.6),)


class _Say:
    """Progress lines with the seconds since the start."""

    def __init__(self) -> None:
        self._begin = time.monotonic()

    def __call__(self, text: str) -> None:
        print(f"[{time.monotonic() - self._begin:4.1f} s] {text}", flush=True)


@contextmanager
def _waiting(say: _Say, what: str) -> Iterator[dict[str, str]]:
    """Say every `TELL_S` seconds what is waited for; `["what"]` may be changed meanwhile."""
    told, done = {"what": what}, threading.Event()

    def tell() -> None:
        while not done.wait(TELL_S):
            say(f"still waiting: {told['what']}")

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield told
    finally:
        done.set()
        thread.join()


def data_folder(root: Path) -> Path:
    """A new folder below `root` for this process's files; those of demos that ended are removed."""
    root.mkdir(parents=True, exist_ok=True)
    for old in root.iterdir():
        if old.name.isdigit() and not Path("/proc", old.name).exists():
            shutil.rmtree(old, ignore_errors=True)
    made = root / str(os.getpid())
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    return made


@contextmanager
def _environment(changes: dict[str, str]) -> Iterator[None]:
    """Environment variables for this process and those it starts, put back at the end."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _folder(keep: bool, say: _Say) -> Iterator[Path]:
    """A temporary folder with state, sockets and data; kept when wanted or when a start failed."""
    folder = Path(tempfile.mkdtemp(prefix="undula-demo-"))
    (folder / "run").mkdir(mode=0o700)
    places = {
        "XDG_STATE_HOME": str(folder / "state"),
        "XDG_RUNTIME_DIR": str(folder / "run"),
    }
    try:
        with _environment(places):
            yield folder
    except ServiceError:
        keep = True
        raise
    finally:
        if keep:
            say(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _services(data: Path, devices: Path | None, say: _Say) -> Iterator[BeamlinePaths]:
    from undula.processes.bringup import StartError, bring_up
    from undula.processes.services import choose_settings, service_specs
    from undula.processes.supervisor_client import take_down

    paths = beamline_paths(NAME)
    settings = choose_settings(paths, devices=devices, data=data)
    threading.Thread(target=_load, daemon=True).start()
    try:
        with _waiting(say, "the services to start") as told:
            bring_up(
                paths,
                lambda: service_specs(paths, settings),
                lambda status: told.update(what=not_ready(status)),
            )
    except StartError as exc:
        for line in exc.output:
            print(f"  | {line}", file=sys.stderr)
        raise
    say("broker, publisher, engine and writer are up")
    try:
        yield paths
    finally:
        take_down(paths)
        say("all services are down")


def not_ready(status: dict[str, Any]) -> str:
    """The services that are not ready yet, with their state.

    >>> not_ready({"services": [{"name": "broker", "state": "ready"},
    ...                         {"name": "engine", "state": "starting"}]})
    'engine (starting)'
    """
    rows = status.get("services", [])
    late = [f"{row['name']} ({row['state']})" for row in rows if row["state"] != "ready"]
    return ", ".join(late) or "the services to start"


def _load() -> None:
    """Load what the scans need, while the services start."""
    from undula.cli import scans  # noqa: F401  # loading it is the purpose


def _scan(client: Client, tour: Tour) -> int:
    from undula.cli.scans import show_scan

    handle = client.submit(
        tour.plan, *tour.args, detectors=list(tour.detectors), time=tour.time,
        metadata={"sample": "demo"},
    )  # fmt: skip
    code = show_scan(client, handle, as_json=False, plot=True)
    for opened in handle.opened:
        if handle.file_closed(opened.uid, FILE_WAIT_S) is None:
            raise ServiceError(
                f"the file of run {opened.number} was not complete after {FILE_WAIT_S:g} s",
                remedy="see undula logs --service writer",
            )
    return code


def _tours(client: Client, tours: tuple[Tour, ...], say: _Say) -> int:
    code = 0
    for tour in tours:
        say(f"{tour.plan} {' '.join(map(str, tour.args))}")
        code = _scan(client, tour) or code
    return code


def _show_file(client: Client, say: _Say, whole: bool) -> None:
    from undula.cli.run_shown import plot_text
    from undula.session.display import wants_colour
    from undula.session.tree import brief_tree, file_tree

    run = client.runs[-1]
    say(f"the file of run {run.number}:")
    print("\n".join(file_tree(run.path) if whole else brief_tree(run.path)))
    if not whole:
        print("(the main groups; undula demo --tree shows all)")
    print("\n".join(plot_text(run.data, f"run {run.number}", wants_colour(sys.stdout))))
    print(f"file: {run.path}", flush=True)


@kind
def demo(
    epics: Annotated[bool, typer.Option("--epics", help="Real Channel Access, own IOC.")] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the whole folder: files, journal, logs.")
    ] = False,
    tree: Annotated[bool, typer.Option("--tree", help="Show the whole tree of the file.")] = False,
) -> None:
    """Start a beamline, scan it live, show the file; at a terminal stay with the shell.

    Example: undula demo --epics
    """
    say = _Say()
    root = beamline_paths(NAME).state.parent / "demo-data"
    with ExitStack() as stack:
        folder = stack.enter_context(_folder(keep, say))
        devices: Path | None = None
        tours: tuple[Tour, ...] = SIMULATED
        if epics:
            devices, tours = stack.enter_context(_epics(say)), EPICS
        say(f"starting a beamline in {folder}")
        data = folder / "data" if keep else data_folder(root)
        stack.enter_context(_services(data, devices, say))
        from undula.client import connect

        client = stack.enter_context(connect(NAME))
        if epics:
            client.mv(ph_velocity=20)
        code = _tours(client, tours, say)
        if not code:
            _show_file(client, say, tree)
        if sys.stdin.isatty() and sys.stdout.isatty():
            _stay(client)
    if not keep:
        say(f"the files stay until the next demo: {data}")
    if code:
        raise typer.Exit(FAILED)


def _stay(client: Client) -> None:
    from undula.cli.shell import shared_prompt

    try:
        shared_prompt(client)
    except UndulaError as exc:
        print(exc, file=sys.stderr)


@contextmanager
def _epics(say: _Say) -> Iterator[Path]:
    """caproto's mini_beamline as an IOC of its own; gives the device file for it."""
    from undula.devices.demo_ioc import MINI_BEAMLINE_FILE, mini_beamline

    with ExitStack() as stack:
        say("starting an EPICS IOC: caproto's mini_beamline")
        with _waiting(say, "the IOC to answer over Channel Access"):
            ioc = stack.enter_context(mini_beamline())
        stack.enter_context(_environment(ioc.env))
        say(f"caproto's mini_beamline serves Channel Access, pid {ioc.pid}")
        yield MINI_BEAMLINE_FILE


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo", epilog=EXIT_HELP)(demo)
