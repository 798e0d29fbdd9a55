"""Commands of the scan queue for many scans at once: load, save, check.

In: a CSV or YAML file. Out: what the check says of each scan, or every fault with its line.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from undula.cli.output import (
    EXIT_HELP,
    FAILED,
    BeamlineOption,
    JsonOption,
    connected,
    kind,
    print_json,
)
from undula.cli.queue_seen import seen_queue
from undula.core.shown import counted

File = Annotated[Path, typer.Argument(help="A .csv or .yaml file.")]


@kind
def check(as_json: JsonOption = False, beamline: BeamlineOption = None) -> None:
    """Check all that waits, as it would run: points, time, limits, files. Nothing moves.

    Relative scans are checked from where the scans before leave the axes.
    Example: undula queue check
    """
    with seen_queue(beamline) as seen:
        items = seen.queue.check()
        if seen.queue.seen is not None:
            seen.shown(seen.queue.seen)
    if as_json:
        print_json({"checked": list(items)})
    else:
        print(items.text())
    if items.faulty:
        raise typer.Exit(FAILED)


@kind
def load(
    file: File,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check and report, queue nothing.")
    ] = False,
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Queue the scans of a file, all or none; each fault is told with its line.

    Example: undula queue load night.csv --dry-run
    """
    with connected(beamline) as client:
        items = client.queue.load(file, dry_run)
    if as_json:
        print_json({"checked": list(items), "queued": not dry_run})
        return
    print(items.text())
    print("nothing was queued" if dry_run else "queued")


@kind
def save(
    file: File,
    replace: Annotated[bool, typer.Option("--replace", help="Also over a file of before.")] = False,
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Write what waits into a file that loads again. Example: undula queue save night.yaml"""
    with connected(beamline) as client:
        count = client.queue.save(file, replace=replace)
    if as_json:
        print_json({"saved": count, "file": str(file)})
    else:
        print(f"{counted(count, 'scan')} in {file}")


def register(group: typer.Typer) -> None:
    """Add the commands."""
    for command in (check, load, save):
        group.command(command.__name__, epilog=EXIT_HELP)(command)
