"""Room: catalogue. By which keys and texts a run is found. Pure.

In: a run, its notes. Out: `(key, text, number)` of every key that can be compared, and the text
that is searched. The catalogue keeps both beside the run: no filter opens a start document.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from undula.catalogue.model import RunRecord
from undula.messages import RunNote

META = "md."
"""Before a key of the start document; the others are the catalogue's own."""
BULKY = frozenset(
    {"devices", "versions", "hints", "axes_values", "extents", "snaking", "shape", "file_layout",
     "plan_args", "uid", "time", "expects_streams"}
)  # fmt: skip
"""Keys of a start document that nobody looks a run up by."""
DEPTH = 4
LONGEST = 500
Key = tuple[str, str, float | None]


def number_of(value: Any) -> float | None:
    """A value as a finite number to compare with, or None; True and False are no numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def text_of(value: Any) -> str:
    """A value as text to compare with.

    >>> text_of(True), text_of(1.50), text_of("Fe")
    ('true', '1.5', 'Fe')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)[:LONGEST]


def _scalars(path: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        if depth:
            for key, inner in value.items():
                yield from _scalars(f"{path}.{key}", inner, depth - 1)
    elif isinstance(value, list | tuple):
        for inner in value:
            if isinstance(inner, str | int | float):
                yield path, inner
    elif value is not None:
        yield path, value


def metadata_values(metadata: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Plain values of a start document by their dotted key; each item of a list by itself.

    >>> list(metadata_values({"scan": {"edge": "Fe"}, "roi": [1, 2], "hints": {}}))
    [('scan.edge', 'Fe'), ('roi', 1), ('roi', 2)]
    """
    for key, value in metadata.items():
        if key not in BULKY:
            yield from _scalars(str(key), value, DEPTH)


def tags_of(notes: Iterable[RunNote]) -> list[str]:
    """The tags that a run has after its notes, in the order in which they were given."""
    tags: dict[str, None] = {}
    for note in notes:
        if note.kind == "tag":
            tags[note.text] = None
        elif note.kind == "untag":
            tags.pop(note.text, None)
    return list(tags)


def named(metadata: Mapping[str, Any], key: str) -> str | None:
    """`sample` and `proposal` may be a name, or a dict with a name."""
    said = metadata.get(key)
    if isinstance(said, Mapping):
        said = said.get("name")
    return None if said is None or isinstance(said, list | tuple | Mapping) else text_of(said)


def keys_of(run: RunRecord, tags: Iterable[str]) -> set[Key]:
    """Everything that a filter may compare."""
    own = [("plan", run.plan), ("user", run.user), ("status", run.exit_status)]
    own += [("device", name) for name in run.devices]
    own += [("tag", tag) for tag in tags]
    group = run.metadata.get("scan_group")
    if isinstance(group, Mapping):
        own += [("group", text_of(group[k])) for k in ("name", "uid") if k in group]
    for key in ("sample", "proposal"):
        name = named(run.metadata, key)
        if name is not None:
            own.append((key, name))
    found: set[Key] = {(key, text, None) for key, text in own}
    for key, value in metadata_values(run.metadata):
        found.add((META + key, text_of(value), number_of(value)))
    return found


def keys_of_notes(notes: Iterable[RunNote]) -> set[Key]:
    """What comments and kept fits are found by: `comment`, `fit.model`, `fit.center` ...

    A parameter of a sum has its whole name, `fit.gaussian_center`, and the end of it.
    """
    found: set[Key] = set()
    for note in notes:
        if note.kind == "comment":
            found.add((f"{META}comment", text_of(note.text), None))
        if note.fit is None:
            continue
        found.add((f"{META}fit.model", text_of(note.fit.model), None))
        terms = [term.split("(")[0].strip() for term in re.split("[+-]", note.fit.model)]
        for parameter in note.fit.parameters:
            ends = [
                parameter.name.removeprefix(term).lstrip("0123456789").removeprefix("_")
                for term in terms
                if parameter.name.startswith(term)
            ]
            for name in {parameter.name, *filter(None, ends)}:
                number = number_of(parameter.value)
                found.add((f"{META}fit.{name}", text_of(parameter.value), number))
    return found


def text_to_search(run: RunRecord, notes: Iterable[RunNote]) -> str:
    """What `text` is looked for in, in small letters: command, plan, user, path, reason, the
    metadata's keys and values, tags, comments and fits.
    """
    notes = list(notes)
    comments = [note.text for note in notes if note.kind in ("comment", "fit")]
    parts = [run.command, run.plan, run.user, run.path, run.reason, *tags_of(notes), *comments]
    own = {"command", "plan_name", "user"}
    said = metadata_values(run.metadata)
    parts += [f"{key} {text_of(value)}" for key, value in said if key not in own]
    return "\n".join(part for part in parts if part).casefold()
