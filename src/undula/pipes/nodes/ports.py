"""Room: pipes. What a node declares: its ports and its parameters. Pure.

In: names, shapes, bounds, help. Out: what a graph is checked by, and what people read of a node.
Whoever writes a node takes all of it from `base`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

Shape = tuple[int, ...]
Misfit = tuple[str, str, str]
"""A parameter, what does not fit, what to do."""

Covers = Literal["frame", "window", "start"]
"""What a result speaks of: one frame, the last few, or all since the start."""


@dataclass(frozen=True, slots=True)
class Port:
    """Where frames enter a node, or results leave it.

    Args:
        name: as it is written in a graph, `node.name`.
        help: what the array means, for people.
        ndim: its dimensions; None: any.
        kinds: numpy's kinds that are taken or given: `b` bool, `i` `u` integers, `f` floats.
        unit: of the values; `AS_INPUT`: that of the input; empty: none, or nobody knows.
        compressed: an input takes compressed frames as they are; an output may give some.
        optional: an input that may stay without an edge.
    """

    name: str
    help: str
    ndim: int | None = 2
    kinds: str = "biuf"
    unit: str = ""
    compressed: bool = False
    optional: bool = False


FRAMES = Port("frames", "frames, (y, x)")


def parameter(
    default: Any,
    help: str,  # noqa: A002  # the field's own word
    *,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    unit: str = "",
    examples: list[Any] | None = None,
) -> Any:
    """Declare a parameter of a node, as `level: float = parameter(3.0, "what it does", ge=0)`.

    Args:
        default: its value when none is given.
        help: what it does, for people.
        unit: of the value.
        examples: values that show how it is written.
    """
    return Field(
        default=default, description=help, ge=ge, gt=gt, le=le, lt=lt, examples=examples,
        json_schema_extra={"unit": unit} if unit else None,
    )  # fmt: skip
