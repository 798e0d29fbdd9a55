"""Commands that show one run: `undula runs show|data|plot N`; with `--joined` all of a measurement.

In: the number of a run. Out: what the history and its file say. A run that continues another, or is
continued, is joined with those as `runs[N].joined()` does.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from undula.cli.output import BeamlineOption, JsonOption, kind, print_json, table
from undula.cli.run_data import Joined, Number, runs_of, tables_of
from undula.cli.run_notes import note_lines
from undula.core.errors import InputError, StorageError

FATES = ("policy", "seen", "passed", "dropped", "lost", "failed")
RARE = {"on_the_way": "on the way", "unknown": "unknown"}
"""Columns that are shown where a frame is in them, and what they are called."""


def when(stamp: float) -> str:
    """A time as people read it."""
    return datetime.fromtimestamp(stamp, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


@kind
def show(
    number: Number,
    joined: Joined = False,
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Everything the history knows of a run. Examples: undula runs 12; undula runs 12 --joined"""
    from undula.core.shown import duration_text

    run = runs_of(beamline)[number]
    record, notes = run.record, run.notes
    whole = joined_facts(run.joined()) if joined else {}
    ledgers = ledgers_of(run)
    if as_json:
        added: dict[str, Any] = {"joined": whole} if joined else {}
        added |= {"ledgers": ledgers} if ledgers else {}
        print_json({**record.model_dump(mode="json"), "notes": notes, **added})
        return
    print(f"run {record.number}: {record.exit_status}")
    rows = {
        "command": record.command,
        "plan": record.plan,
        "user": record.user,
        "started": when(record.start_time),
        "duration": duration_text((record.end_time or time.time()) - record.start_time),
        "points": record.points,
        "devices": ", ".join(record.devices),
        "reason": record.reason,
        "file": record.path,
        "archive": record.archive_path,
        "uid": record.uid,
        "tags": ", ".join(record.tags),
    }
    for key, value in {**rows, **{f"joined {k}": v for k, v in whole.items()}}.items():
        if value not in ("", []):
            shown = ", ".join(map(str, value)) if isinstance(value, list) else value
            print(f"  {key:<{17 if joined else 10}}{shown}")
    for name, ledger in ledgers.items():
        print(f"  {'ledger':<{17 if joined else 10}}{name}: {ledger['text']}")
        print("\n".join(f"    {line}" for line in table(*edges_of(ledger)).split("\n")))
    for line in note_lines(notes):
        print(f"  {line}")


def ledgers_of(run: Any) -> dict[str, dict[str, Any]]:
    """Where the frames went, by detector; none of a run whose file cannot be read."""
    try:
        return dict(run.data.ledgers)
    except StorageError:
        return {}


def edges_of(ledger: dict[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """Names of the columns, and the counts of each edge in a row."""
    rare = [key for key in RARE if any(ledger.get(key, ()))]
    columns = (ledger[key] for key in ("edge", *FATES, *rare))
    names = ["edge", *FATES, *(RARE[key] for key in rare)]
    return names, [list(row) for row in zip(*columns, strict=True)]


def joined_facts(data: Any) -> dict[str, Any]:
    """What a joined run is: its runs, how many points, which were left out or are missing."""
    return {
        "runs": [part.number for part in data.parts],
        "points": len(data),
        "planned": "" if data.total is None else data.total,
        "missing": data.missing,
        "skipped": data.skipped,
        "given up": [point for point in data.given_up if point not in data.skipped],
        "retaken": data["point"][data["retaken"]].tolist() if len(data) else [],
    }


def _shapes(run_data: Any, as_json: bool) -> None:
    """What there is: key, shape, unit, and the file of frames that lie elsewhere."""
    units, files = run_data.units, run_data.linked_files
    rows = [
        [key, "missing" if shape is None else shape, units[key], files.get(key, "")]
        for key, shape in run_data.shapes.items()
    ]
    names = ["key", "shape", "unit", "file"]
    if as_json:
        print_json([dict(zip(names, row, strict=True)) for row in rows])
    else:
        print(table(names, [[key, str(shape), unit, file] for key, shape, unit, file in rows]))


@kind
def data(
    number: Number,
    csv: Annotated[bool, typer.Option("--csv", help="Scalar readings as CSV (default).")] = False,  # noqa: ARG001  # says what happens anyway
    shapes: Annotated[bool, typer.Option("--shapes", help="Shapes only; loads nothing.")] = False,
    joined: Joined = False,
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """The data of a run. Example: undula runs data 12 --csv > run12.csv"""
    run_data = tables_of(runs_of(beamline)[number], joined=joined)
    if shapes:
        _shapes(run_data, as_json)
        return
    if as_json:
        print_json({"units": run_data.units, "data": run_data.to_dict()})
    else:
        run_data.to_csv(sys.stdout)


def plot_text(data: Any, name: str, colour: bool) -> list[str]:
    """The default plot of a run, or of joined ones, as text: a curve, a grid, or a map of points.

    Args:
        name: e.g. `run 12`.
    Raises: InputError when there is nothing to plot.
    """
    import numpy as np

    from undula.session.plot import curve, heat_map, scatter_map

    found = data.plot()
    signal, axes, values = found["signal"], found["axes"], found["values"]
    if signal is None or signal not in values:
        raise InputError(f"{name} has nothing to plot", remedy="see undula runs data")
    y = np.asarray(values[signal], dtype=np.float64)
    if y.ndim == 2:
        ranges = [_range(values.get(axis)) for axis in (*axes, None, None)[:2]]
        return heat_map(
            y.tolist(), title=f"{name}: {signal} over {' and '.join(axes)}",
            y_range=ranges[0], x_range=ranges[1], x_label=axes[-1] if axes else "", colour=colour,
        )  # fmt: skip
    if y.ndim != 1:
        raise InputError(f"{name}: {signal} has shape {y.shape}", remedy="open the file instead")
    if (area := _map_of(data, signal)) is not None:
        return scatter_map(
            area.x.values, area.y.values, area.signal.values,
            title=f"{name}: {signal} over {area.y.key} and {area.x.key}", x_label=area.x.key,
            colour=colour,
        )  # fmt: skip
    x = np.asarray(values.get(axes[0]) if axes else np.arange(len(y)), dtype=np.float64)
    return curve(
        x.tolist(), y.tolist(), title=f"{name}: {signal}",
        x_label=axes[0] if axes else "point", height=16, colour=colour,
    )  # fmt: skip


def _map_of(data: Any, signal: str) -> Any:
    """The signal with the places of its points, where they cover an area; None elsewhere."""
    try:
        found = data.measured(signal)
    except InputError:  # neither a curve nor a map
        return None
    return None if found.y is None else found


def _range(values: Any) -> tuple[float, float] | None:
    if values is None:
        return None
    import numpy as np

    array = np.asarray(values, dtype=np.float64)
    return float(np.nanmin(array)), float(np.nanmax(array))


@kind
def plot(number: Number, joined: Joined = False, beamline: BeamlineOption = None) -> None:
    """The default plot of a run in the terminal. Example: undula runs plot 12 --joined"""
    from undula.session.display import wants_colour

    run = runs_of(beamline)[number]
    data, name = tables_of(run, joined=joined), f"run {run.number}"
    if joined:
        name = f"runs {', '.join(str(part.number) for part in data.parts)}"
    print("\n".join(plot_text(data, name, wants_colour(sys.stdout))))
