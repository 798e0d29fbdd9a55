"""Plans of several runs: one after the other, or one at each of several conditions.

Each run is a declared plan of its own; all of them are checked before anything moves.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from undula.core.errors import InputError
from undula.core.suggest import named_twice
from undula.plans.arguments import Argument
from undula.plans.declared import Call, DeclaredPlan
from undula.plans.form import StepForm

MOST_RUNS = 1000
THEN = "then"
"""The word between two plans at a command line."""
POSITIONS = Argument("values", "list", "values", "axis")


def _few(runs: int) -> None:
    if runs > MOST_RUNS:
        raise InputError(f"{runs:,} runs are too many", remedy=f"ask for {MOST_RUNS:,} or fewer")


def _bounded(parts: Sequence[StepForm], name: str) -> tuple[StepForm, ...]:
    from undula.plans.trajectory import bounded  # numpy, which a command line does without

    if not parts:
        raise InputError("no plan was named", remedy=f"see undula plans {name}")
    _few(len(parts))
    bounded(sum(part.num or 0 for part in parts))
    for part in parts:
        if part.num is None and part.adaptive is None and part.sweep is None and not part.watch:
            raise InputError(
                f"{part.plan} goes on until it is stopped: nothing would come after it",
                remedy="give its number of points",
            )
    return tuple(parts)


def _of_words(words: Sequence[Any], name: str) -> StepForm:
    """A declared plan from its name and its words; a dict at the end holds what has a name."""
    from undula.plans.forms import FORMS, parse_form

    if not words or words[0] not in FORMS:
        raise InputError(
            f"{words[0] if words else ''!r} is no declared plan",
            remedy=f"name one of undula plans, then its arguments; see undula plans {name}",
        )
    args, kwargs = list(words[1:]), {}
    if args and isinstance(args[-1], dict):
        kwargs = args.pop()
    form = parse_form(str(words[0]), args, kwargs)
    if form.parts:
        raise InputError(f"{words[0]} is made of runs itself", remedy="write its runs one by one")
    return form


def _split(words: Sequence[Any]) -> list[list[Any]]:
    """Parts between the words `then`; a list with a plan in it is a part of its own."""
    if words and all(isinstance(word, list | tuple) for word in words):
        return [list(word) for word in words]
    parts: list[list[Any]] = [[]]
    for word in words:
        if word == THEN:
            parts.append([])
        else:
            parts[-1].append(word)
    return parts


def _sequence(call: Call) -> StepForm:
    name = call.plan.name
    parts = [_of_words(words, name) for words in _split(call["words"])]
    return StepForm(name, parts=_bounded(parts * call["repeat"], name))


def _for_each(call: Call) -> StepForm:
    from undula.plans.forms import FORMS

    name, words = call.plan.name, list(call["words"])
    conditions: list[tuple[str, list[float]]] = []
    while len(words) >= 2 and isinstance(words[0], str) and words[0] not in FORMS:
        axis, values = words[0], POSITIONS.value(words[1], words[0])
        conditions.append((axis, values))
        words = words[2:]
    if not conditions:
        raise InputError(
            "no condition was named", remedy=f"use: {name} AXIS VALUES [AXIS VALUES ...] PLAN ..."
        )
    axes = [axis for axis, _ in conditions]
    if len(set(axes)) != len(axes):
        raise InputError(f"{named_twice(axes)} is named twice", remedy="name each axis once")
    plans = [_of_words(part, name) for part in _split(words)]
    for plan in plans:
        if twice := set(plan.axes) & set(axes):
            raise InputError(
                f"{min(twice)} is a condition and moved by {plan.plan}", remedy="name it once"
            )
    _few(math.prod(len(values) for _, values in conditions) * len(plans))
    parts = []
    for values in itertools.product(*(values for _, values in conditions)):
        targets = tuple(zip(axes, values, strict=True))
        for number, plan in enumerate(plans):
            before = () if number else targets  # the runs at one condition follow each other
            parts.append(
                replace(
                    plan, before=before, also_read=tuple(axes), conditions=dict(targets),
                    rest_s=0.0 if number else call["settle"],
                )
            )  # fmt: skip
    return StepForm(name, parts=_bounded(parts, name))


PLANS: tuple[DeclaredPlan, ...] = (
    DeclaredPlan(
        "sequence",
        "bluesky",
        "Plans one after the other, each a run of its own. In lists here, where a dict at the end\n"
        "holds what has a name; with the word then between them at a command line.",
        "sequence([scan, samx, -1, 1, 21], [count, 5])",
        _sequence,
        arguments=(
            Argument("repeat", "int", "number of times", default=1, low=1, high=MOST_RUNS,
                     keyword=True),
        ),
        words="PLAN ... [then PLAN ...]",
    ),
    DeclaredPlan(
        "for_each",
        "bluesky",
        "A plan at each of several conditions: the axes of the conditions go there first, and are\n"
        "read at each point. Of several conditions every combination, the last one fastest.",
        "for_each(slit_gap, [0.5, 1], scan, samx, -1, 1, 21)",
        _for_each,
        arguments=(
            Argument("settle", "float", "time at each condition before it begins", "s", 0.0,
                     low=0, keyword=True),
        ),
        words="AXIS VALUES [AXIS VALUES ...] PLAN ...",
    ),
)  # fmt: skip
