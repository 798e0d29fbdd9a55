"""Commands that carry the data of runs: `undula runs fit|export|import`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from undula.cli.output import BeamlineOption, JsonOption, kind, print_json
from undula.client import Runs
from undula.core.errors import ServiceError
from undula.core.paths import beamline_paths, default_beamline

Number = Annotated[int, typer.Argument(help="Run number; -1 is the newest.")]
Numbers = Annotated[list[int], typer.Argument(help="Run numbers; -1 is the newest.")]


def _runs(beamline: str | None) -> Runs:
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
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Fit a model to a run. Example: undula runs fit -1 "gaussian + linear" --signal diode"""
    found = _runs(beamline)[number].fit(model, signal)
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
    beamline: BeamlineOption = None,
) -> None:
    """Write runs for other programs. Example: undula runs export 12 13 --format spec -o n.spec"""
    from undula.client.export import export_file, export_runs

    runs = _runs(beamline)
    chosen = [runs[number] for number in numbers]
    if output is None:
        export_runs(chosen, as_format, sys.stdout)
    else:
        export_file(chosen, as_format, output)


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
