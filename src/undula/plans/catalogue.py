"""The catalogue of declared plans for clients: `FORMS` as messages, and in words.

In: the registry. Out: `PlanInfo` for each plan, the lines of a help, a call as it is typed at a
command line. Pure; imports no numpy.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable
from typing import Any

from undula.core.errors import InputError
from undula.messages import ArgumentInfo, PlanInfo, PlanTable
from undula.plans.arguments import MAX_POINTS, Argument
from undula.plans.declared import DeclaredPlan
from undula.plans.forms import FORMS


def table() -> PlanTable:
    """All declared plans."""
    return PlanTable(plans=[described(plan) for plan in FORMS.values()])


def described(plan: DeclaredPlan) -> PlanInfo:
    """One plan as a message.

    >>> from undula.plans import FORMS
    >>> described(FORMS["count"]).arguments[0].name
    'num'
    """
    return PlanInfo(
        name=plan.name,
        family=plan.family,
        about=" ".join(plan.about.split()),
        usage=plan.usage,
        example=plan.example,
        typed=typed(plan),
        first=[_argument(a) for a in plan.first],
        repeated=[_argument(a) for a in plan.repeated],
        least=plan.least if plan.repeated else 0,
        most=plan.most if plan.repeated else 0,
        arguments=[_argument(a) for a in plan.arguments],
        relative=plan.relative,
        words=bool(plan.words),
    )


def _argument(argument: Argument) -> ArgumentInfo:
    return ArgumentInfo(
        name=argument.name,
        kind=argument.kind,
        help=argument.help,
        unit=argument.unit,
        required=argument.required,
        default=None if argument.required else argument.default,
        low=argument.low,
        high=None if argument.high == MAX_POINTS else argument.high,
        above=argument.above,
        choices=list(argument.choices),
        keyword=argument.keyword,
    )


def named(name: str) -> DeclaredPlan:
    """The plan. Raises: InputError with the one that was probably meant."""
    if name in FORMS:
        return FORMS[name]
    near = difflib.get_close_matches(name, FORMS, 1)
    raise InputError(
        f"there is no plan {name!r} in the catalogue",
        remedy=f"did you mean {near[0]}?" if near else "see undula plans",
    )


def help_lines(arguments: Iterable[Argument]) -> list[str]:
    """One line for each argument: its name, and what it is."""
    arguments = list(arguments)
    width = max((len(a.name) for a in arguments), default=0) + 2
    return [f"    {a.name:<{width}}{a.help}" for a in arguments]


def help_text(plan: DeclaredPlan) -> str:
    """What a person reads of a plan: about, example, each argument.

    >>> print(help_text(FORMS["ct"]))
    One reading of so many seconds.
    <BLANKLINE>
    Example: ct(1)
    <BLANKLINE>
    Arguments of ct:
        count_time  Count time, s, 0 or more. 0: each detector's own
    <BLANKLINE>
    """
    lines = [plan.about, "", f"Example: {plan.example}", ""]
    if plan.repeated:
        often = "each axis" if plan.most is None else f"each of {plan.most} axes"
        lines += [f"For {often}:", *help_lines(plan.repeated), ""]
    if others := (*plan.first, *plan.arguments):
        lines += [f"Arguments of {plan.name}:", *help_lines(others), ""]
    return "\n".join(lines)


def typed(plan: DeclaredPlan) -> str:
    """The example as it is typed at a command line.

    >>> typed(FORMS["scan"])
    'undula scan samx -1 1 21 --time 0.1'
    >>> typed(FORMS["list_grid_scan"])
    'undula plan list_grid_scan samy 0,1,4 samx -1,0,1 --snake-axes'
    """
    call = ast.parse(plan.example, mode="eval").body
    if not isinstance(call, ast.Call):
        raise ValueError(f"the example of {plan.name} is no call")
    words = ["undula", plan.command] if plan.command else ["undula", "plan", plan.name]
    lists = [arg.elts for arg in call.args if isinstance(arg, ast.List)]
    if plan.words and len(lists) == len(call.args):  # plans in lists have `then` between them
        words.append(" then ".join(" ".join(map(_word, items)) for items in lists))
    else:
        words += [_word(arg) for arg in call.args]
    for keyword in call.keywords:
        name, value = f"--{str(keyword.arg).replace('_', '-')}", _word(keyword.value)
        if value in ("True", "False"):
            words.append(name if value == "True" else name.replace("--", "--no-", 1))
        else:
            words += [name, value]
    return " ".join(words)


def _word(node: ast.expr, inner: bool = False) -> str:
    if isinstance(node, ast.List):
        text = ",".join(_word(item, True) for item in node.elts)
        nested = inner or any(isinstance(item, ast.List) for item in node.elts)
        return f"[{text}]" if nested or len(node.elts) == 1 else text
    if isinstance(node, ast.Name):
        return node.id
    value: Any = ast.literal_eval(node)
    return str(value)
