"""Commands of the scan queue for many scans at once: load, save, check.

In: a CSV or YAML file. Out: what the check says of each scan, or every fault with its line.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from undula.cli.output import (
    EXIT_HELP,
    FAILED,
    BeamlineOption,
    JsonOption,
    connected,
    kind,
    print_json,
    table,
)
from undula.core.shown import duration_text
from undula.messages import CheckedItem
from undula.messages.queue import UNTIL_STOPPED

File = Annotated[Path, typer.Argument(help="A .csv or .yaml file.")]


def _row(number: int, item: CheckedItem) -> Sequence[Any]:
    points = "unknown" if item.num_points is None else item.num_points
    estimate = "unknown" if item.estimate_s is None else duration_text(item.estimate_s)
    times = "until stopped" if item.repeats == UNTIL_STOPPED else item.repeats
    return [number, points, estimate, times, item.sample, item.command]


def total_text(items: Sequence[CheckedItem]) -> str:
    """How long they take together, as far as it is known."""
    known = [i for i in items if i.estimate_s is not None and i.repeats != UNTIL_STOPPED]
    total = sum((i.estimate_s or 0.0) * i.repeats for i in known)
    unknown = len(items) - len(known)
    scans = "1 scan" if len(items) == 1 else f"{len(items)} scans"
    more = f", and {unknown} of unknown duration" if unknown else ""
    return f"{scans}, {duration_text(total)}{more}" if known else f"{scans} of unknown duration"


def _print(items: Sequence[CheckedItem]) -> None:
    head = ["place", "points", "time", "times", "sample", "scan"]
    print(table(head, [_row(n, item) for n, item in enumerate(items, 1)]))
    for number, item in enumerate(items, 1):
        for warning in item.warnings:
            print(f"{number}: warning: {warning}")
        if item.error is not None:
            print(f"{number}: error: {item.error.to_exception()}")
    print(total_text(items))


@kind
def check(as_json: JsonOption = False, beamline: BeamlineOption = None) -> None:
    """Check all that waits, as it would run: points, time, limits, files. Nothing moves.

    Relative scans are checked from where the scans before leave the axes.
    Example: undula queue check
    """
    with connected(beamline) as client:
        items = client.queue.check()
    if as_json:
        print_json({"checked": list(items)})
    else:
        _print(items)
    if any(item.error is not None for item in items):
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
    _print(items)
    print("nothing was queued" if dry_run else "queued")


@kind
def save(file: File, as_json: JsonOption = False, beamline: BeamlineOption = None) -> None:
    """Write what waits into a file that loads again. Example: undula queue save night.yaml"""
    with connected(beamline) as client:
        count = client.queue.save(file)
    if as_json:
        print_json({"saved": count, "file": str(file)})
    else:
        print(f"{count} scans in {file}")


def register(group: typer.Typer) -> None:
    """Add the commands."""
    for command in (check, load, save):
        group.command(command.__name__, epilog=EXIT_HELP)(command)
