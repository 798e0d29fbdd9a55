"""The page of all declared plans, and their pictures, written from the catalogue.

In: `FORMS`. Out: `docs/reference/plan_catalogue.md` and `docs/reference/plan_pictures/*.svg`; a
test fails when they differ. Run: `python -m undula.plans.reference --write` in the project folder.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from undula.core.generated import compare_or_write
from undula.plans.arguments import Argument
from undula.plans.catalogue import typed
from undula.plans.declared import DeclaredPlan
from undula.plans.form import StepForm
from undula.plans.forms import FORMS, parse_form
from undula.plans.picture import svg

FOLDER = Path("docs/reference")
PICTURES = "plan_pictures"
FAMILIES = {
    "bluesky": "Bluesky's names, and our own",
    "spec": "SPEC's and BLISS's",
    "bec": "BEC's",
}
_HEAD = """\
# The catalogue of plans

Every declared plan with its arguments. This page is generated from the code; do not edit it.
`undula plans NAME` shows the same, `undula plans NAME --json` as data, and in the shell `NAME?`.

A start or stop is in the unit of its axis. Every plan takes `time` (seconds per point), `detectors`
and `metadata` beside its own arguments. The pictures are drawn by the code that makes the points:
the ring marks the first one.
"""


def example_of(plan: DeclaredPlan) -> StepForm:
    """The form of a plan's example."""
    words, named = words_of(plan)
    named.pop("time", None)
    return parse_form(plan.name, words, named)


def words_of(plan: DeclaredPlan) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a plan's example, devices as names."""
    call = ast.parse(plan.example, mode="eval").body
    if not isinstance(call, ast.Call):
        raise ValueError(f"the example of {plan.name} is no call")
    named = {str(k.arg): _value(k.value) for k in call.keywords}
    return [_value(arg) for arg in call.args], named


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.List):
        return [_value(item) for item in node.elts]
    return ast.literal_eval(node)


def pictures() -> dict[str, str]:
    """Name of each plan that is drawn to its SVG; relative twins look as the plans beside them."""
    found: dict[str, str] = {}
    for plan in FORMS.values():
        form = example_of(plan)
        if form.trajectory is not None and not (plan.relative and plan.name != "x2x_scan"):
            found[plan.name] = svg(form)
    return found


def _rows(arguments: tuple[Argument, ...], often: str = "") -> list[str]:
    return [
        f"| `{a.name}` | {a.kind} | {_unit(a)} | {a.bounds or ' or '.join(a.choices)} "
        f"| {'' if a.required else f'`{a.default!r}`'} | {_what(a)}{often} |"
        for a in arguments
    ]


def _unit(argument: Argument) -> str:
    return "of its axis" if argument.unit == "axis" else argument.unit


def _what(argument: Argument) -> str:
    text = argument.what[0].upper() + argument.what[1:]
    named = ", by name" if argument.keyword else ""
    return f"{text}{named}" + (f". {argument.more}" if argument.more else "")


def _plan(plan: DeclaredPlan, drawn: bool) -> list[str]:
    lines = [f"### `{plan.name}`", "", " ".join(plan.about.split()), ""]
    lines += ["```text", plan.usage, "```", ""]
    lines += [f"In the shell `{plan.example}`, else `{typed(plan)}`", ""]
    if plan.every:
        lines += ["| argument | kind | unit | bounds | default | what it is |"]
        lines += ["| --- | --- | --- | --- | --- | --- |"]
        lines += _rows(plan.first) + _rows(plan.repeated, "; for each axis") + _rows(plan.arguments)
        lines += [""]
    if drawn:
        lines += [f"![{plan.name}]({PICTURES}/{plan.name}.svg)", ""]
    return lines


def catalogue_page(drawn: Mapping[str, str]) -> str:
    """The page, markdown."""
    lines = [_HEAD]
    for family, title in FAMILIES.items():
        lines += [f"## {title}", ""]
        for plan in FORMS.values():
            if plan.family == family:
                lines += _plan(plan, plan.name in drawn)
    return "\n".join(lines).rstrip() + "\n"


def pages() -> dict[Path, str]:
    """Every generated file, from the project folder, to its text."""
    drawn = pictures()
    found = {FOLDER / PICTURES / f"{name}.svg": text for name, text in drawn.items()}
    return {FOLDER / "plan_catalogue.md": catalogue_page(drawn), **found}


def main(argv: list[str] | None = None) -> int:
    """Compare the pages with the code, or write them. Exit: 0 equal or written, 1 different."""
    made = {path: partial(str, text) for path, text in pages().items()}
    return compare_or_write("undula.plans.reference", "The catalogue of plans.", made, argv)


if __name__ == "__main__":
    sys.exit(main())
