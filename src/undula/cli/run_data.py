"""Commands that carry the data of runs: `undula runs fit|export|import|tiled`."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from undula.cli.output import BeamlineOption, JsonOption, connected, kind, print_json
from undula.client import Run, Runs
from undula.core.errors import ServiceError
from undula.core.paths import beamline_paths, default_beamline
from undula.core.shown import counted

if TYPE_CHECKING:
    from undula.client.tiled_feed import TiledFeed

Number = Annotated[int, typer.Argument(help="Run number; -1 is the newest.")]
Numbers = Annotated[list[int], typer.Argument(help="Run numbers; -1 is the newest.")]

Joined = Annotated[
    bool,
    typer.Option("--joined", help="With the runs that it continues, or that continue it, as one."),
]


def tables_of(run: Run, *, joined: bool) -> Any:
    """The data of a run, or of all runs that are one measurement with it."""
    return run.joined() if joined else run.data


def runs_of(beamline: str | None) -> Runs:
    """The runs of a beamline, by number. Raises: ServiceError when it has none."""
    paths = beamline_paths(beamline or default_beamline())
    if not paths.catalogue.exists():
        raise ServiceError(f"beamline {paths.name!r} has no history", remedy="start it: undula up")
    return Runs(paths.catalogue)


@kind
def fit(
    number: Number,
    model: Annotated[
        str, typer.Argument(help="e.g. 'gaussian + linear', 'step(center=(0, 1)) + constant'.")
    ] = "gaussian + linear",
    signal: Annotated[str, typer.Option("--signal", help="Default: that of the plot.")] = "",
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep it with the run: undula runs show N.")
    ] = False,
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Fit a model to a run. Example: undula runs fit -1 "gaussian + linear" --signal diode"""
    run = runs_of(beamline)[number]
    found = run.fit(model, signal)
    if keep:
        with connected(beamline) as client:
            client.runs.keep_fit(run.uid, found)
    if as_json:
        print_json(found.result.model_dump(mode="json"))
    else:
        print(found)
    if found.problem:
        raise typer.Exit(1)


@kind
def export(
    numbers: Numbers,
    as_format: Annotated[str, typer.Option("--format", help="csv, spec or jsonl.")] = "csv",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A new file; default: the terminal.")
    ] = None,
    joined: Joined = False,
    beamline: BeamlineOption = None,
) -> None:
    """Write runs for other programs. Example: undula runs export 12 13 --format spec -o n.spec"""
    from undula.client.export import export_file, export_runs

    runs = runs_of(beamline)
    chosen = [runs[number] for number in numbers]
    if output is None:
        export_runs(chosen, as_format, sys.stdout, joined=joined)
    else:
        export_file(chosen, as_format, output, joined=joined)
        print(f"{counted(len(chosen), 'run')} in {output}")


@kind
def import_runs(
    path: Annotated[Path, typer.Argument(help="JSON lines of Bluesky documents.")],
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Take over runs that were made elsewhere. Example: undula runs import old.jsonl"""
    from undula.client.importing import import_file

    found = import_file(path, beamline)
    if as_json:
        print_json([{"number": r.number, "uid": r.uid, "path": str(r.path)} for r in found])
        return
    for run in found:
        print(f"run {run.number}: {run.path}")


@kind
def tiled(
    uri: Annotated[str, typer.Argument(help="Tiled server; its key is in TILED_API_KEY.")],
    numbers: Annotated[
        list[int] | None, typer.Argument(help="Run numbers; default: all closed runs.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Stay, and feed each run while it is measured.")
    ] = False,
    beamline: BeamlineOption = None,
) -> None:
    """Feed runs to a Tiled catalogue. Example: undula runs tiled http://localhost:8000 --follow"""
    from undula.client.tiled_feed import TiledFeed, connect_tiled

    runs = runs_of(beamline)
    if numbers:
        chosen = [runs[number] for number in numbers]
    else:
        chosen = [run for run in runs.search(limit=1_000_000)[::-1] if run.record.archive_path]
    feed = TiledFeed(connect_tiled(uri), tell=print)
    print(f"{feed.feed(chosen)} of {len(chosen)} runs were not in Tiled yet", flush=True)
    if follow:
        with connected(beamline) as client:
            _follow(TiledFeed(connect_tiled(uri), client.link.connector, _say, runs.__getitem__))


def _follow(feed: TiledFeed) -> None:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    _say("following; Ctrl-C ends it")
    feed.follow(stop)


def _say(text: str) -> None:
    print(text, flush=True)
