"""Arguments of a user's plan that was asked for by name: checked against its hints, and written.

In: a `UserPlan`, positional and named arguments as they came over the bus. Out: the expression that
makes the plan, e.g. `align(dev['samx'], 5)`. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from undula.core.errors import InputError
from undula.core.suggest import near
from undula.messages.plans import PlanParameter, UserPlan, bounds, usage


@dataclass(frozen=True, slots=True)
class Written:
    """An argument that is an expression already, and stays as it is."""

    text: str


_ONE = {"axis": "a device that can be moved", "detector": "a device", "device": "a device"}
_LIST = {"axes": "axis", "detectors": "detector", "devices": "device", "numbers": "number"}


def call_text(
    plan: UserPlan,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    devices: Collection[str],
    still: Collection[str] = (),
) -> str:
    """The expression that makes the plan. Raises: InputError naming the argument and the usage.

    Args:
        still: those of the devices that cannot be moved.
    """
    for p, value in _given(plan, args, kwargs):
        _refuse_still(p, value, still)
    placed = [p for p in plan.parameters if not p.named and not p.many]
    rest = next((p for p in plan.parameters if p.many), None)
    if len(args) > len(placed) and rest is None:
        raise InputError(
            f"{plan.name} takes {len(placed)} arguments by position, and got {len(args)}",
            remedy=f"use: {usage(plan)}",
        )
    by_name = {p.name: p for p in plan.parameters if not p.many}
    given = dict(zip((p.name for p in placed), args, strict=False))
    for name in kwargs:
        if name not in by_name:
            meant = near(name, by_name)
            raise InputError(
                f"{plan.name} has no argument {name!r}",
                remedy=f"did you mean {meant}?" if meant else f"use: {usage(plan)}",
            )
        if name in given:
            raise InputError(f"{name} is given twice", remedy=f"use: {usage(plan)}")
    missing = [p.name for p in by_name.values() if p.required and p.name not in {**given, **kwargs}]
    if missing:
        raise InputError(
            f"{plan.name} wants {len(missing)} more: {', '.join(missing)}",
            remedy=f"use: {usage(plan)}",
        )
    texts = [_written(p, v, devices) for p, v in zip(placed, args, strict=False)]
    if rest is not None:
        texts += [_written(rest, v, devices) for v in args[len(placed) :]]
    texts += [f"{n}={_written(by_name[n], v, devices)}" for n, v in kwargs.items()]
    return f"{plan.name}({', '.join(texts)})"


def merged(
    plan: UserPlan,
    before: tuple[Sequence[Any], Mapping[str, Any]],
    args: Sequence[Any],
    changes: Mapping[str, Any],
) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a call that is changed: where one was given it is replaced.

    Args:
        before: positional and named arguments as they were.
        args: all positional ones anew; none: they stay.
        changes: by name; None takes one away, so that its default holds.
    Raises: InputError when one is taken away that others follow.

    >>> plan = UserPlan(name="align", origin="f", parameters=[
    ...     PlanParameter(name="axis"), PlanParameter(name="n", required=False)])
    >>> merged(plan, (["samx", 5], {}), [], {"n": 7})
    (['samx', 7], {})
    >>> merged(plan, (["samx", 5], {}), [], {"n": None})
    (['samx'], {})
    """
    placed = [p.name for p in plan.parameters if not p.named and not p.many]
    values, named = list(args or before[0]), dict(before[1])
    taken = [name for name in named if name in placed[: len(args)]]  # it has a place now
    named = {name: value for name, value in named.items() if name not in taken}
    for name, value in changes.items():
        at = placed.index(name) if name in placed else len(values)
        if args or at >= len(values):
            named[name] = value
        elif value is not None:
            values[at] = value
        elif at == len(values) - 1:
            values.pop()
        else:
            raise InputError(
                f"{name} is given by its place, others come behind it",
                remedy="give a value for it, or all arguments anew",
            )
    return values, {name: value for name, value in named.items() if value is not None}


def _given(
    plan: UserPlan, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Iterator[tuple[PlanParameter, Any]]:
    """Each value with the parameter that takes it, as far as there is one."""
    placed = [p for p in plan.parameters if not p.named and not p.many]
    rest = next((p for p in plan.parameters if p.many), None)
    yield from zip(placed, args, strict=False)
    for value in args[len(placed) :] if rest is not None else ():
        yield rest, value  # type: ignore[misc]  # not None
    for p in plan.parameters:
        if p.name in kwargs and not p.many:
            yield p, kwargs[p.name]


def _refuse_still(p: PlanParameter, value: Any, still: Collection[str]) -> None:
    """Raises: InputError when an axis is wanted, and a device that cannot be moved is given."""
    if p.kind not in ("axis", "axes"):
        return
    for name in value if isinstance(value, list | tuple) else [value]:
        if isinstance(name, str) and name in still:
            raise InputError(
                f"{p.name} is {name}, which cannot be moved",
                remedy="name a device that can be moved; see undula devices",
                device=name,
            )


def _written(p: PlanParameter, value: Any, devices: Collection[str]) -> str:
    """The expression of one argument. Raises: InputError when it is not what the hint says."""
    if isinstance(value, Written):
        return value.text
    if value is None:
        return "None"
    if p.kind in _LIST:
        values = value if isinstance(value, list | tuple) else [value]
        inner = p.model_copy(update={"kind": _LIST[p.kind]})
        return f"[{', '.join(_written(inner, each, devices) for each in values)}]"
    if p.kind in _ONE:
        if isinstance(value, str) and value in devices:
            return f"dev[{value!r}]"
        meant = near(str(value), devices)
        raise InputError(
            f"{p.name} is {value!r}, which is no device",
            remedy=f"did you mean {meant}?" if meant else f"name {_ONE[p.kind]}",
        )
    if p.kind == "any":
        return _any(value, devices)
    return repr(_plain(p, value))


def _any(value: Any, devices: Collection[str]) -> str:
    """Without a hint a text that names a device is that device."""
    if isinstance(value, str):
        return f"dev[{value!r}]" if value in devices else repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(_any(each, devices) for each in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{k!r}: {_any(v, devices)}' for k, v in value.items())}}}"
    return repr(value)


def _plain(p: PlanParameter, value: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if p.kind == "choice" and value not in p.choices:
        raise InputError(
            f"{p.name} is {value!r}", remedy=f"one of {', '.join(map(repr, p.choices))}"
        )
    if p.kind == "text" and not isinstance(value, str):
        if isinstance(value, list | dict | bool):
            raise InputError(f"{p.name} is {value!r}", remedy="give a text")
        return str(value)
    if p.kind == "truth" and not isinstance(value, bool):
        raise InputError(f"{p.name} is {value!r}", remedy="give true or false")
    if p.kind == "whole" and (not number or value != int(value)):
        raise InputError(f"{p.name} is {value!r}", remedy="give a whole number")
    if p.kind == "number" and not number:
        raise InputError(f"{p.name} is {value!r}", remedy=f"give a number{_in_unit(p)}")
    if p.kind in ("number", "whole"):
        _bounded(p, value)
        return int(value) if p.kind == "whole" else value
    return value


def _in_unit(p: PlanParameter) -> str:
    return f" in {p.unit}" if p.unit else ""


def _bounded(p: PlanParameter, value: float) -> None:
    low = (p.low is not None and value < p.low) or (p.above is not None and value <= p.above)
    high = (p.high is not None and value > p.high) or (p.below is not None and value >= p.below)
    if low or high:
        raise InputError(
            f"{p.name} is {value:g}{' ' + p.unit if p.unit else ''}",
            remedy=f"give {bounds(p)}{_in_unit(p)}",
        )
