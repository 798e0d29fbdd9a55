"""Commands about what people say of a run afterwards: `undula runs comment`, `undula runs tag`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from undula.cli.output import BeamlineOption, JsonOption, connected, kind, print_json

if TYPE_CHECKING:
    from undula.catalogue import RunRecord
    from undula.messages import RunNote

Number = Annotated[int, typer.Argument(help="Run number; -1 is the newest.")]
SIGNS = {"comment": "", "tag": "+", "untag": "-", "fit": "fit "}


def note_lines(notes: list[RunNote]) -> list[str]:
    """Notes as lines: when, who, what."""
    return [
        f"{datetime.fromtimestamp(note.time, UTC).astimezone():%Y-%m-%d %H:%M}  "
        f"{note.author:<10} {SIGNS[note.kind]}{note.text}"
        for note in notes
    ]


def _show(run: RunRecord, notes: list[RunNote], as_json: bool) -> None:
    if as_json:
        print_json({"number": run.number, "uid": run.uid, "tags": run.tags, "notes": notes})
        return
    print(f"run {run.number}: {', '.join(run.tags) or 'no tags'}")
    for line in note_lines(notes):
        print(f"  {line}")


@kind
def comment(
    number: Number,
    text: Annotated[list[str], typer.Argument(help="What is to be remembered.")],
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Keep a comment on a run. Example: undula runs comment 12 "no beam from point 40" """
    with connected(beamline) as client:
        _show(*client.runs.note(number, " ".join(text)), as_json)


@kind
def schema(as_json: JsonOption = False, beamline: BeamlineOption = None) -> None:
    """Show what the beamline wants runs to say. Example: undula runs schema --json"""
    with connected(beamline) as client:
        found = client.metadata.schema
    if as_json:
        print_json(found.said)
    else:
        print(found)


@kind
def tag(
    number: Number,
    tags: Annotated[list[str], typer.Argument(help="+NAME gives one, -NAME takes one away.")],
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Give a run tags, or take them away. Example: undula runs tag 12 +good -bad"""
    with connected(beamline) as client:
        _show(*client.runs.tag(number, *tags), as_json)
