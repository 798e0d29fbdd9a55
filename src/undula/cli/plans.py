"""`undula plans`: all plans with their arguments; hooks, defaults and faults of plan files.

In: arguments. Out: tables, or JSON.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from undula.cli.output import (
    EXIT_HELP,
    FAILED,
    BeamlineOption,
    JsonOption,
    connected,
    kind,
    print_json,
    table,
)
from undula.core.errors import InputError
from undula.core.suggest import near
from undula.plans import FORMS, catalogue

if TYPE_CHECKING:
    from collections.abc import Callable

    from undula.messages import ArgumentInfo, PlanInfo, PlanList, UserPlan

FAMILIES = {"bluesky": "Bluesky's", "spec": "SPEC's, BLISS's", "bec": "BEC's"}


@kind
def plans(
    name: Annotated[
        str, typer.Argument(help="A plan, or `hooks`, or `defaults`; none: all plans.")
    ] = "",
    again: Annotated[
        bool, typer.Option("--again", help="Read files and packages once more, changed or not.")
    ] = False,
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """List plans with their arguments: those of the beamline, then those that are shipped.

    Also its hooks and defaults, and what is faulty.

    Example: undula plans

    Example: undula plans grid_scan

    Example: undula plans hooks
    """
    shipped = {plan.name: plan for plan in catalogue.table().plans}
    if name in shipped:
        print_json(shipped[name]) if as_json else print(plan_text(shipped[name]))
        return
    with connected(beamline) as client:
        found = client.plans.list(again=again)
    if as_json:
        if name:
            print_json(found.model_dump() if name in VIEWS else _plan(found, name).model_dump())
        else:
            print_json(found.model_dump() | {"catalogue": list(shipped.values())})
    elif name in VIEWS:
        VIEWS[name](found)
    else:
        _one(_plan(found, name))
    for fault in found.faults:
        print(f"faulty: {fault}", file=sys.stderr)
    if found.faults and name in VIEWS:
        raise typer.Exit(FAILED)


def _plan(found: PlanList, name: str) -> UserPlan:
    known = found.known()
    if name not in known:
        meant = near(name, [*known, *FORMS, "hooks", "defaults"])
        raise InputError(
            f"there is no plan {name!r} in a plan file or package",
            remedy=f"did you mean {meant}?" if meant else f"put it into a file in {found.folder}",
        )
    return known[name]


def _all(found: PlanList) -> None:
    from undula.messages.plans import usage

    rows: list[list[Any]] = [
        [usage(p), p.help.partition("\n")[0], p.origin, p.revision or p.edition, p.author]
        for p in found.plans
    ]
    if rows:
        print(table(["plan", "what it does", "from", "version", "author"], rows))
    else:
        print(f"There are no plans of your own. A file with one goes to {found.folder}")
    print()
    shown = [[p.name, FAMILIES[p.family], p.about] for p in catalogue.table().plans]
    print(table(["plan", "whose name", "what it does"], shown, width=110))
    print("undula plans NAME says how one is called; any other of bluesky.plans runs by name, too")


def plan_text(plan: PlanInfo) -> str:
    """A shipped plan for a person."""
    lines = [plan.usage, "", plan.about, "", f"Example: {plan.typed}"]
    lines += [f"in the shell: {plan.example}"]
    if plan.repeated:
        often = "for each axis" if plan.most is None else f"for each of {plan.most} axes"
        lines += ["", f"{often}:", *_lines(plan.repeated)]
    if others := [*plan.first, *plan.arguments]:
        lines += ["", "arguments:", *_lines(others)]
    return "\n".join(lines)


def _lines(arguments: list[ArgumentInfo]) -> list[str]:
    width = max((len(a.name) for a in arguments), default=0) + 2
    return [f"  {a.name:<{width}}{a.help}" for a in arguments]


def _one(plan: UserPlan) -> None:
    from undula.messages.plans import bounds, usage

    print(f"{usage(plan)}\n")
    if plan.help:
        print(f"{plan.help}\n")
    rows = [
        [
            p.name,
            "one of " + ", ".join(map(repr, p.choices)) if p.choices else p.kind,
            p.unit,
            bounds(p),
            "" if p.required or p.many else p.default,
            p.help,
        ]
        for p in plan.parameters
    ]
    if rows:
        print(table(["argument", "kind", "unit", "bounds", "default", "what it is"], rows))
    known = "known before it starts" if plan.declared else "found while it runs"
    print(f"\npoints   {known}\nfrom     {plan.origin}, line {plan.line}")
    print(f"author   {plan.author}\nversion  {plan.edition} {plan.revision}".rstrip())


def show_own(name: str, beamline: str | None) -> None:
    """Show a plan of a plan file or package. Raises: UndulaError when it is not known."""
    with connected(beamline) as client:
        _one(client.plans[name])


def _hooks(found: PlanList) -> None:
    rows: list[list[Any]] = [
        [h.place, h.name, _scans(h.plan, h.technique, h.detectors), h.on_error, h.line, h.help]
        for h in found.hooks
    ]
    if rows:
        print(table(["where", "hook", "scans", "error", "line", "what it does"], rows))
    else:
        print(f"There are no hooks. They go into {found.folder}/hooks.py")
    for hook in found.hooks:
        if hook.last_error:
            print(f"{hook.name} failed last with: {hook.last_error}")
    for number, name in enumerate(found.preprocessors, 1):
        print(f"preprocessor {number}: {name}")


def _scans(plan: str, technique: str, detectors: str) -> str:
    words = [f"plan {plan}"] if plan != "*" else []
    words += [f"technique {technique}"] if technique != "*" else []
    words += [f"detectors {detectors}"] if detectors != "*" else []
    return ", ".join(words) or "all"


def _defaults(found: PlanList) -> None:
    rows = [[p, key, value] for p, t in found.defaults.items() for key, value in t.items()]
    if rows:
        print(table(["plans", "default", "value"], [[p, k, str(v)] for p, k, v in rows]))
    else:
        print(f"There are no defaults. They go into {found.folder}/defaults.yaml")


VIEWS: dict[str, Callable[[PlanList], None]] = {
    "": _all, "hooks": _hooks, "defaults": _defaults,
}  # fmt: skip
"""What is shown of the plans, by the word behind the command."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("plans", epilog=EXIT_HELP)(plans)
