"""Room: pipes. What is wrong with the parameters of a node, in words: each cause once. Pure.

In: the errors of a pydantic model, what was given. Out: for each cause its place below the
parameters, what is wrong, and what to do. One region that is written as another shape is one cause,
though each of its keys is wrong; so is a list of numbers where one of pairs is wanted. Called by:
`nodes.base`.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from undula.core.fault_words import in_words, shown

Wrong = tuple[str, str, str]
Place = tuple[str | int, ...]
KEYS = ("missing", "extra_forbidden")
FEW = 3
"""So many items of one list or mapping that have the same fault are told one by one."""
GENERAL = "correct it; see the reference of this file"


def wrong_values(
    error: ValidationError, given: Mapping[str, Any], model: type[BaseModel], node: str
) -> list[Wrong]:
    """Each cause: the place below the parameters, what is wrong, what to do.

    Args:
        error: of the model.
        given: the parameters.
        model: of them.
        node: name of its class, for the remedy.
    """
    by_place: dict[Place, list[Any]] = {}
    for one in error.errors(include_url=False):
        by_place.setdefault(_written(one["loc"], given), []).append(one)
    found: list[tuple[Place, str, str]] = []
    keys: dict[Place, list[tuple[Place, Any]]] = {}
    for place, errors in by_place.items():
        if errors[0]["type"] in KEYS and len(place) > 1:
            keys.setdefault(place[:-1], []).append((place, errors[0]))
        elif errors[0]["type"] == "extra_forbidden":
            found.append((place, "there is no such parameter", _near(place, model.model_fields)))
        else:
            found.append((place, *_value(errors, place, model, node)))
    found += [(place, *_of_keys(those, place, model, node)) for place, those in keys.items()]
    return [
        (".".join(map(str, place)), what, remedy) for place, what, remedy in _once(found, given)
    ]


def _written(loc: Sequence[str | int], given: Any) -> Place:
    """The place as it is written: pydantic names the type of a value of several types too."""
    place: list[str | int] = []
    for at, part in enumerate(loc):
        if _has(given, part):
            given = given[part]
        elif at < len(loc) - 1 or not isinstance(given, Mapping):
            continue
        place.append(part)
    return tuple(place)


def _has(given: Any, part: str | int) -> bool:
    if isinstance(given, Mapping):
        return part in given
    return isinstance(given, list | tuple) and isinstance(part, int) and part < len(given)


def _near(place: Place, known: Collection[str]) -> str:
    near = difflib.get_close_matches(str(place[-1]), list(known), 1, 0.5)
    others = f"there are {', '.join(known)}" if known else "leave it out: it has no parameters"
    return f"did you mean {near[0]}?" if near else others


def _example(place: Place, model: type[BaseModel], node: str) -> str:
    """How the parameter is written, where its declaration shows it."""
    field = model.model_fields.get(str(place[0])) if place else None
    if field is None or not field.examples:
        return f"see undula pipes show {node}"
    return f"write it e.g. {place[0]}: {as_written(field.examples[0])}"


def as_written(value: Any) -> str:
    """A value as it stands in a graph file.

    >>> as_written({"beam": {"shape": "box", "x": 1}}), as_written(None), as_written(True)
    ('{beam: {shape: box, x: 1}}', 'none', 'true')
    """
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {as_written(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(as_written, value))}]"
    words = {True: "true", False: "false", None: "none", "": '""'}
    return words[value] if value is None or value == "" or isinstance(value, bool) else str(value)


def _value(
    errors: Sequence[Any], place: Place, model: type[BaseModel], node: str
) -> tuple[str, str]:
    """One value that is wrong."""
    first = errors[0]
    if first["type"] == "union_tag_not_found":
        key = str(first["ctx"]["discriminator"]).strip("'")
        return f"it has no {key}", _example(place, model, node)
    what, remedy = in_words(errors)
    return what, _example(place, model, node) if remedy == GENERAL else remedy


def _of_keys(
    those: Sequence[tuple[Place, Any]], place: Place, model: type[BaseModel], node: str
) -> tuple[str, str]:
    """Keys of one mapping that are missing, or too many: it was meant for something else."""
    missing = [str(at[-1]) for at, error in those if error["type"] == "missing"]
    more = [str(at[-1]) for at, error in those if error["type"] != "missing"]
    told = [f"it lacks {', '.join(missing)}"] * bool(missing)
    told += [f"there is no {', '.join(more)} in it"] * bool(more)
    near = [n for word in more for n in difflib.get_close_matches(word, missing, 1, 0.5)]
    remedy = f"did you mean {', '.join(near)}?" if near else _example(place, model, node)
    return ", and ".join(told), remedy


def _once(found: list[tuple[Place, str, str]], given: Any) -> list[tuple[Place, str, str]]:
    """Many items of one list or mapping that are wrong are one cause, told with the first."""
    by_parent: dict[Place, list[tuple[Place, str, str]]] = {}
    inside = {place[:at] for place, _, _ in found for at in range(1, len(place))}
    for one in found:
        if one[0] in inside:
            continue  # e.g. it is too short, as items of it are wrong
        by_parent.setdefault(one[0][:-1], []).append(one)
    told = []
    for parent, those in by_parent.items():
        if not parent or len(those) <= FEW:
            told += those
            continue
        (place, what, remedy), many = those[0], len(_at(parent, given))
        which = "each" if len(those) == many else f"{len(those)} of {many}"
        told.append((parent, f"{which} of its items is wrong, e.g. {shown(place[-1])}: {what}",
                     remedy))  # fmt: skip
    return told


def _at(place: Place, given: Any) -> Any:
    for part in place:
        given = given[part]
    return given
