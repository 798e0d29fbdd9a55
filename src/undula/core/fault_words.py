"""What pydantic finds wrong with a value, in words for people: what is wrong, and what to write.

In: the errors of a `ValidationError`. Out: one sentence and one remedy for each value. Of a value
that may be of several types pydantic says that it is none, type by type: that is one fault. Pure.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

Place = tuple[str | int, ...]
LONGEST = 60
_KINDS: dict[str, tuple[str, str]] = {
    **dict.fromkeys(
        ("model_type", "dict_type", "model_attributes_type"),
        ("a table of keys", "write KEY: VALUE, each on a line of its own below it"),
    ),
    **dict.fromkeys(("list_type", "tuple_type"), ("a list", "write it in brackets: [one, two]")),
    "string_type": ("a text", "put it in quotes if it is meant as a text"),
    **dict.fromkeys(("bool_type", "bool_parsing"), ("true or false", "write true or false")),
    **dict.fromkeys(
        ("int_type", "int_parsing", "int_from_float"), ("a whole number", "write a whole number")
    ),
    **dict.fromkeys(("float_type", "float_parsing"), ("a number", "write a number")),
    "finite_number": ("a finite number", "write a finite number"),
}
"""Type of a fault, to what the value should have been, and what to do."""
_BOUNDS = {
    "greater_than_equal": ("ge", "less than {}", "{} or more"),
    "greater_than": ("gt", "not above {}", "more than {}"),
    "less_than_equal": ("le", "more than {}", "{} or less"),
    "less_than": ("lt", "not below {}", "less than {}"),
}
_QUOTED = re.compile(r"'([^']*)'")


def in_words(errors: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """What is wrong with one value, and what to write.

    >>> in_words([{"type": kind, "input": [1]} for kind in ("int_type", "string_type")])
    ('[1] is neither a whole number nor a text', 'write one of these')
    """
    kinds = [_KINDS[e["type"]] for e in errors if e["type"] in _KINDS]
    if len(kinds) == len(errors):
        value, names = errors[0].get("input"), _names(errors, [name for name, _ in kinds])
        if len(names) > 1:
            text = f"{shown(value)} is neither {', '.join(names[:-1])} nor {names[-1]}"
            return text, "write one of these"
        return f"{shown(value)} is not {names[0]}", _remedy(errors[0]["type"], value)
    return _one(next(e for e in errors if e["type"] not in _KINDS))


def _names(errors: Sequence[Mapping[str, Any]], kinds: Sequence[str]) -> list[str]:
    """What the value might have been, each once."""
    names = list(dict.fromkeys(kinds))
    if "a number" in names and "a whole number" in names:
        names.remove("a whole number")
    if any("list[" in str(part) for error in errors for part in error.get("loc", ())):
        names = [name for name in names if name != "a list"] + ["a list of these"]
    return names


def _remedy(kind: str, value: Any) -> str:
    if kind == "string_type" and isinstance(value, list | dict):
        return "write a single text"
    if kind == "list_type" and isinstance(value, str | int | float):
        return f"write [{value}]"
    return _KINDS[kind][1]


def _one(error: Mapping[str, Any]) -> tuple[str, str]:
    kind, context = error["type"], error.get("ctx") or {}
    raised, value = context.get("error"), shown(error.get("input"))
    if isinstance(raised, ValueError):  # in words already
        what = str(raised).partition(". Remedy: ")[0].rstrip(".")
        return what, getattr(raised, "remedy", "") or "correct it; see the reference of this file"
    if kind in _BOUNDS:
        key, is_so, wanted = _BOUNDS[kind]
        bound = f"{context[key]:g}" if isinstance(context[key], float) else str(context[key])
        return f"{value} is {is_so.format(bound)}", f"give {wanted.format(bound)}"
    if kind in ("literal_error", "enum", "union_tag_invalid"):
        expected = context.get("expected") or context.get("expected_tags", "")
        return _choice(context.get("tag", error.get("input")), expected)
    if kind in ("too_short", "too_long", "string_too_short", "string_too_long"):
        return f"{value} is too {kind.rpartition('_')[2]}", _length(context)
    if kind == "string_pattern_mismatch":
        return f"{value} is not of the right form", f"write it like {context.get('pattern')}"
    said = str(error.get("msg", "it is wrong"))
    return f"{value}: {said[:1].lower()}{said[1:]}", "correct it; see the reference of this file"


def _choice(value: Any, expected: object) -> tuple[str, str]:
    choices = _QUOTED.findall(str(expected))
    near = difflib.get_close_matches(str(value), choices, 1)
    return (
        f"{shown(value)} is none of {', '.join(choices)}",
        f"did you mean {near[0]}?" if near else "write one of these",
    )


def _length(context: Mapping[str, Any]) -> str:
    least, most = context.get("min_length"), context.get("max_length")
    return f"give {least} or more" if least is not None else f"give {most} or less"


def shown(value: Any) -> str:
    """A value as it was written, cut.

    >>> shown(True), shown("x"), shown(None), shown({"a": 1})
    ('true', "'x'", 'nothing', '{a: 1}')
    """
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        text = "{" + ", ".join(f"{key}: {shown(inner)}" for key, inner in value.items()) + "}"
    elif isinstance(value, list):
        text = f"[{', '.join(map(shown, value))}]"
    else:
        text = repr(value) if isinstance(value, str | int | float) else str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def faults_of(
    error: ValidationError, place_of: Callable[[Place], Place] = tuple
) -> list[tuple[Place, str, str]]:
    """Each wrong value once: its place, what is wrong, and what to write.

    Args:
        place_of: the place of a value, from that of an error: of a value of several types pydantic
            adds the type.
    """
    by_place: dict[Place, list[Any]] = {}
    for one in error.errors():
        by_place.setdefault(place_of(one["loc"]), []).append(one)
    return [(place, *in_words(errors)) for place, errors in by_place.items()]
