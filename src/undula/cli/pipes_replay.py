"""`undula pipes replay`: a recorded run through its graph once more, or through another one.

In: a run's number or a file, perhaps a graph file. Out: the results, in a new folder; the ledger.
The record itself is only read.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from undula.cli.output import FAILED, BeamlineOption, JsonOption, kind, print_json
from undula.cli.pipes import (
    Nodes,
    beamline_of,
    node_types,
    performed,
    plain_outcome,
    tell_outcome,
)
from undula.cli.pipes_top import value_text
from undula.core.errors import InputError

if TYPE_CHECKING:
    from undula.pipes.replaying import Values
    from undula.pipes.runner import Outcome, Runner

FASTEST = "max"


def _speed(text: str) -> float:
    """1, 10, 0.5; `max` is 0. Raises: InputError."""
    try:
        speed = 0.0 if text == FASTEST else float(text)
    except ValueError:
        speed = -1.0
    if not 0 <= speed < float("inf") or (speed == 0 and text != FASTEST):
        raise InputError(f"{text!r} is no speed", remedy="write 1, 10, 0.5 or max")
    return speed


def _file(record: str, beamline: str | None) -> Path:
    """The file of a run's number, or the file itself."""
    if not record.lstrip("-").isdigit():
        return Path(record)
    from undula.cli.run_data import runs_of

    path = runs_of(beamline)[int(record)].path
    if path is None:
        raise InputError(f"run {record} has no file", remedy="choose a run with a file")
    return Path(path)


@kind
def replay(
    record: Annotated[str, typer.Argument(help="Run number (-1 is the newest), or a file.")],
    graph: Annotated[
        Path | None, typer.Argument(help="Another graph; default: that of the record.")
    ] = None,
    speed: Annotated[
        str, typer.Option("--speed", help="1 as recorded, 10 ten times as fast, or max.")
    ] = "1",
    step: Annotated[bool, typer.Option("--step", help="One frame for each Enter.")] = False,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Where the frames are, if there are several.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--folder", help="A new folder for what the graph writes.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Only the outcome.")] = False,
    nodes: Nodes = None,
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Put recorded frames through their graph again: numbers, triggers and times as they were.

    What frame_file nodes write, and the values of channels (values.h5), go into a new folder,
    replay-NAME by default. The record itself is not touched.

    Example: undula pipes replay 42 --speed max

    Example: undula pipes replay frames_0001.h5 other.yaml --step
    """
    from undula.pipes.graph import checked, load_graph
    from undula.pipes.replaying import (
        Values,
        as_replay,
        chosen,
        first_number,
        of_no_point,
        without,
    )

    if step and speed != "1":
        raise InputError("--step takes no --speed", remedy="leave one of them out")
    types = node_types(nodes, beamline)
    found = chosen(_file(record, beamline), dataset)
    wanted = load_graph(graph) if graph is not None else found.graph
    if wanted is None:
        raise InputError(
            f"{found.file} says not by which graph it was recorded",
            remedy="name a graph: undula pipes replay FILE GRAPH",
        )
    first, beside = first_number(found), of_no_point(found)
    place = folder or Path(f"replay-{found.file.stem}")
    if place.exists():
        raise InputError(f"{place} exists", remedy="choose a new folder by --folder")
    made = as_replay(
        checked(wanted, types), found, types, speed=0.0 if step else _speed(speed), folder=place
    )
    values = Values()
    outcome = performed(
        made, types, beamline_of(beamline), None, quiet=quiet or as_json or step,
        heard=values.take, steps=_steps(values) if step else None, first=first,
    )  # fmt: skip
    if not outcome.failed and values.newest():
        place.mkdir(parents=True, exist_ok=True)
        values.save(place / "values.h5")
    outcome.report = without(outcome.report, beside, first)
    _tell(outcome, place, as_json)
    if beside and not as_json:
        print(f"left out: {beside.text()}, of points that were taken again")
    if not outcome.ok:
        raise typer.Exit(FAILED)


def _steps(values: Values) -> Any:
    """Let one frame go for each line of the input; the end of the input ends it."""

    def steps(runner: Runner, source: str) -> None:
        if sys.stdin.isatty():
            print("Enter: the next frame; Ctrl-D: the end", file=sys.stderr)
        for number, _ in enumerate(sys.stdin, 1):
            before = values.count
            runner.trigger(source)
            while not runner.status.through(source, number) and not runner.over:
                runner.pump(None)
            made = runner.status.nodes[source].frames
            if made >= number:
                print(_step_text(values, number, new=values.count > before), file=sys.stderr)
            if runner.over or made < number:
                return

    return steps


def _step_text(values: Values, number: int, *, new: bool) -> str:
    """One line for one frame: which it is in the record, and what came of it."""
    if not new:
        return f"step {number}: no value came to a channel"
    seq_num, trigger = values.newest_frame()
    point = f", trigger {trigger}" if trigger >= 0 else ""
    newest = "  ".join(f"{port}={value_text(value)}" for port, value in values.newest().items())
    return f"frame {seq_num}{point}: {newest}"


def _tell(outcome: Outcome, place: Path, as_json: bool) -> None:
    if as_json:
        print_json(plain_outcome(outcome) | {"folder": str(place) if place.exists() else None})
        return
    tell_outcome(outcome)
    if place.exists():
        print(f"results are in {place}")
