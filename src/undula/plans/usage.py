"""How a plan is called, in people's words: which arguments it wants, and an example. Pure.

In: the signature of a plan of `bluesky.plans`, and what was given. Out: texts, or an `InputError`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from undula.core.errors import InputError
from undula.core.suggest import COMMON, unknown_option

_GIVEN_ELSEWHERE = ("detectors", "md", "per_step", "per_shot", "take_pre_data")
_EXAMPLES = {
    "start": "-1", "stop": "1", "num": "11", "range": "2", "center": "0", "dr": "0.2", "nth": "8",
    "factor": "1", "step": "0.1", "delta": "100", "field": "diode", "signal": "diode",
    "backstep": "true",
}  # fmt: skip


def _wanted(function: Callable[..., Any]) -> list[inspect.Parameter]:
    parameters = inspect.signature(function).parameters.values()
    return [p for p in parameters if p.name not in _GIVEN_ELSEWHERE]


def _example(name: str, motors: list[str]) -> str:
    last = name.rpartition("_")[2]
    if "motor" in name:
        return motors.pop(0) if motors else "samx"
    return _EXAMPLES.get(last, "1")


def usage(plan: str, function: Callable[..., Any]) -> tuple[str, str]:
    """The line that shows the arguments of a plan, and an example ("" for a plan with `*args`).

    >>> def spiral(detectors, x_motor, x_start, num, *, tilt=0.0, md=None): ...
    >>> usage("spiral", spiral)
    ('spiral X_MOTOR X_START NUM [tilt=0.0]', 'spiral samx -1 11')
    """
    words, example, motors = [plan], [plan], ["samx", "samy"]
    for p in _wanted(function):
        if p.kind is p.VAR_POSITIONAL:
            words.append(f"[{p.name.upper()} ...]")
            example.clear()
        elif p.kind is p.VAR_KEYWORD:
            continue
        elif p.default is p.empty:
            words.append(p.name.upper())
            if example:
                example.append(_example(p.name, motors))
        else:
            words.append(f"[{p.name}={p.default}]" if p.default is not None else f"[{p.name}=...]")
    return " ".join(words), " ".join(example)


def check_call(
    plan: str, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> None:
    """Refuse a call that does not fit the plan's signature.

    Raises: InputError that names the missing arguments, the surplus, or the option meant.
    """
    signature = inspect.signature(function)
    parameters = signature.parameters
    any_key = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    unknown = [name for name in kwargs if name not in parameters]
    if unknown and not any_key:
        own = [p.name for p in _wanted(function) if p.kind is not p.VAR_POSITIONAL]
        raise unknown_option(plan, unknown, [*own, *COMMON])
    try:
        signature.bind(*args, **kwargs)
        return
    except TypeError:
        pass
    line, example = usage(plan, function)
    remedy = f"use: {line}" + (f", e.g. {example}" if example else "")
    raise InputError(_what_is_wrong(plan, function, args, kwargs), remedy=remedy)


def _what_is_wrong(
    plan: str, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> str:
    signature = inspect.signature(function)
    try:
        bound = signature.bind_partial(*args, **kwargs).arguments
    except TypeError:
        return f"{plan} got more arguments than it takes, or one of them twice"
    missing = [
        p.name
        for p in _wanted(function)
        if p.default is p.empty
        and p.name not in bound
        and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    return f"{plan} wants {len(missing)} more: {', '.join(missing)}"
