"""Room: pipes. What a node is, in words and as plain values: for help, forms and the documentation.

In: a class of nodes. Out: plain dicts, markdown, and `docs/reference/pipe_nodes.md`; a test fails
when that differs. Run: `python -m undula.pipes.nodes.reference --write` in the project folder.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from undula.core.generated import compare_or_write
from undula.pipes.nodes.base import Node, Port
from undula.pipes.nodes.registry import Shipped

PAGE = Path("docs/reference/pipe_nodes.md")
COVERS = {
    "frame": "one frame",
    "window": "the last frames",
    "start": "all frames since the start",
}
KINDS = {"b": "bool", "i": "integers", "u": "unsigned integers", "f": "floats", "c": "complex"}
BOUNDS = {"minimum": "from {:g}", "exclusiveMinimum": "above {:g}",
          "maximum": "to {:g}", "exclusiveMaximum": "below {:g}"}  # fmt: skip

_HEAD = """\
# Nodes of pipes

Every node that is shipped. This page is generated from the code; do not edit it.

A node takes frames at its inputs and gives results at its outputs; a graph names both as
`node.port`. What a result covers is one frame, the last frames, or all since the start. Parameters
are checked when a graph is read, and can be changed while it runs: they hold from the next frame
on. A pixel without a value is NaN or infinite in floats; in integers it is the highest number of
the dtype, where the parameter `highest` says so. How to write one:
[Write a node](../how-to/write-a-node.md).
"""


def described(cls: type[Node]) -> dict[str, Any]:
    """A node as plain values: name, help, ports, parameters as JSON schema, what it covers."""
    return {
        "name": cls.name,
        "help": cls.help(),
        "inputs": [_port(port) for port in cls.inputs],
        "outputs": [_port(port) for port in cls.outputs],
        "covers": cls.covers,
        "missing": cls.missing,
        "masked": cls.masked,
        "parameters": cls.model().model_json_schema(),
    }


def _port(port: Port) -> dict[str, Any]:
    return {
        "name": port.name, "help": port.help, "ndim": port.ndim, "kinds": port.kinds,
        "unit": port.unit, "compressed": port.compressed, "optional": port.optional,
    }  # fmt: skip


def markdown(cls: type[Node]) -> str:
    """A node's section of the reference page."""
    parts = [f"## {cls.name}", cls.help()]
    for title, ports in (("input", cls.inputs), ("output", cls.outputs)):
        if ports:
            rows = [(f"`{port.name}`", port.help, _type(port)) for port in ports]
            parts.append(_table((title, "what it is", "type"), rows))
    schema = cls.model().model_json_schema()
    if schema["properties"]:
        parts.append(
            _table(
                ("parameter", "what it does", "values", "default"),
                [
                    (f"`{key}`", _means(one), values_text(one), _default(one))
                    for key, one in schema["properties"].items()
                ],
            )
        )
    parts.append(
        f"- covers: {COVERS[cls.covers]}\n- missing frames: {cls.missing}\n"
        f"- masked pixels: {cls.masked}"
    )
    return "\n\n".join(parts) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |"
                     for line in lines)  # fmt: skip


def _type(port: Port) -> str:
    dimensions = {None: "any shape", 0: "a number", 1: "a row", 2: "an image"}
    shape = dimensions.get(port.ndim, f"{port.ndim} dimensions")
    every = port.kinds == "biuf"
    kinds = "" if every else ", " + " or ".join(KINDS[kind] for kind in port.kinds)
    marks = [port.unit, "compressed too" if port.compressed else "",
             "optional" if port.optional else ""]  # fmt: skip
    return shape + kinds + "".join(f", {mark}" for mark in marks if mark)


def _means(schema: Mapping[str, Any]) -> str:
    unit = f" ({schema['unit']})" if "unit" in schema else ""
    examples = schema.get("examples")
    example = f"; e.g. `{json.dumps(examples[0])}`" if examples else ""
    return f"{schema['description']}{unit}{example}"


def values_text(schema: Mapping[str, Any]) -> str:
    """Which values a parameter takes, by its JSON schema: type, bounds, choices."""
    if "anyOf" in schema:
        return " or ".join(values_text(one) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    words = {"number": "number", "integer": "whole number", "string": "text", "null": "none",
             "boolean": "true, false", "array": "list", "object": "mapping"}  # fmt: skip
    bounds = [text.format(schema[key]) for key, text in BOUNDS.items() if key in schema]
    return " ".join([words[schema["type"]], *bounds]) if "type" in schema else "mapping"


def _default(schema: Mapping[str, Any]) -> str:
    value = schema.get("default")
    return "none" if value is None else f"`{json.dumps(value)}`"


def page() -> str:
    """The reference page, markdown."""
    return "\n".join([_HEAD, *(markdown(cls) for cls in Shipped().values())])


def main(argv: list[str] | None = None) -> int:
    """Compare the pages with the code, or write them. Exit: 0 equal or written, 1 different."""
    return compare_or_write(
        "undula.pipes.nodes.reference", "Reference of nodes.", {PAGE: page}, argv
    )


if __name__ == "__main__":
    sys.exit(main())
