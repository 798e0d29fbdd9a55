"""The reference page of `beamline.yaml` and its JSON schema, made from the settings' fields.

In: `BeamlineSettings`. Out: `docs/reference/beamline_file.md` and `.schema.json`; a test compares.
`python -m undula.core.settings_reference --write` writes them anew.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from undula.core.generated import compare_or_write
from undula.core.settings import BeamlineSettings

FOLDER = Path("docs/reference")
UNITS = {"_s": "s", "_bytes": "bytes"}
"""End of a name to its unit."""
_HEAD = """# The settings of a beamline: `beamline.yaml`

It lies in the state folder of the beamline (`~/.local/state/undula/NAME`; `undula doctor` names
it), is written by `undula up`, and read by every service when it starts: `undula down`, change it,
`undula up`. A key that is not here is refused, with its name. For editors there is a
{download}`JSON schema <beamline_file.schema.json>`.

This page is generated from the program; a test compares them.
"""
_TABLE = [
    "| key | type | unit | default | example | meaning |",
    "| --- | --- | --- | --- | --- | --- |",
]


def unit_of(name: str) -> str:
    """The unit that a setting's name says; '' without one.

    >>> unit_of("lost_deadline_s"), unit_of("min_free_bytes"), unit_of("name")
    ('s', 'bytes', '')
    """
    return next((unit for end, unit in UNITS.items() if name.endswith(end)), "")


def group_of(field: FieldInfo) -> type[BaseModel] | None:
    """The settings below a field that is a group of them."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _value(value: Any) -> str:
    """A value as one writes it in YAML, on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=1000).strip()
    return text.removesuffix("\n...").removesuffix("...").strip()


def _of(name: str, value: Any) -> str:
    """As `_value`; file modes as people know them, which YAML reads as well."""
    return f"0{value:o}" if name.endswith("_mode") else _value(value)


def _default(name: str, field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "none"
    return f"`{_of(name, value)}`"


def _type(schema: dict[str, Any]) -> str:
    """The kind of value, with its bounds."""
    if "enum" in schema:
        return ", ".join(f"`{word}`" for word in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"] if one.get("type") != "null")
    if schema["type"] == "array":
        return f"list of {_type(schema['items'])}"
    if schema["type"] == "object":
        return f"mapping of text to {_type(schema['additionalProperties'])}"
    word = {"string": "text", "boolean": "true or false"}.get(schema["type"], schema["type"])
    if schema.get("format") == "path":
        word = "path"
    bounds = [
        f"{sign} {schema[key]:g}"
        for key, sign in (
            ("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<")
        )
        if key in schema
    ]  # fmt: skip
    return ", ".join([word, *bounds])


def _rows(model: type[BaseModel]) -> Iterator[str]:
    schema = model.model_json_schema()
    for name, field in model.model_fields.items():
        meaning = (field.description or "").replace("|", "\\|")
        if group_of(field) is not None:
            yield f"| `{name}` | mapping | | see below | | {meaning} |"
            continue
        example = _of(name, (field.examples or [None])[0])
        yield (
            f"| `{name}` | {_type(schema['properties'][name])} | {unit_of(name)} "
            f"| {_default(name, field)} | `{example}` | {meaning} |"
        )


def examples(model: type[BaseModel] = BeamlineSettings) -> dict[str, Any]:
    """Every setting with the first of its examples."""
    found: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        group = group_of(field)
        found[name] = (field.examples or [None])[0] if group is None else examples(group)
    return found


def page() -> str:
    """The reference page, markdown."""
    lines = [_HEAD, *_TABLE, *_rows(BeamlineSettings)]
    for name, field in BeamlineSettings.model_fields.items():
        group = group_of(field)
        if group is not None:
            about = " ".join((group.__doc__ or "").split())
            lines += ["", f"## `{name}`", "", about, "", *_TABLE, *_rows(group)]
    text = yaml.safe_dump(examples(), sort_keys=False, default_flow_style=None, width=100)
    lines += ["", "## All of it", "", "```yaml", text.rstrip(), "```"]
    return "\n".join(lines) + "\n"


def schema_text() -> str:
    """The JSON schema, as committed."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **BeamlineSettings.model_json_schema(),
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


PAGES = {
    FOLDER / "beamline_file.md": page,
    FOLDER / "beamline_file.schema.json": schema_text,
}


def main(argv: list[str] | None = None) -> int:
    """Compare the pages with the code, or write them. Exit: 0 equal or written, 1 different."""
    return compare_or_write(
        "undula.core.settings_reference", "The settings of a beamline.", PAGES, argv
    )


if __name__ == "__main__":
    sys.exit(main())
