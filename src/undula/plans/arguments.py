"""The arguments of a declared plan, as data: kind, unit, bounds, choices, default, words.

From them come the binding of a call, the help of the command line, the signatures of the shell, the
table of the docs and forms. In: a value that a person gave. Out: the value that the plan gets, or
an `InputError`. Pure; imports no numpy, so that a prompt opens quickly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from undula.core.errors import InputError

MAX_POINTS = 5_000_000
"""More points than that would take the engine's memory; nobody steps through them."""

Kind = Literal[
    "axis", "device", "float", "int", "bool", "choice", "list", "names", "text", "table", "plan"
]
"""`list`: numbers; `names`: devices; `table`: rows of numbers; `plan`: a plan with its arguments"""


class Required:
    """Stands for a default that there is not."""

    def __repr__(self) -> str:
        return "required"


REQUIRED = Required()


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument.

    Args:
        name: as a keyword.
        kind: what it takes.
        what: what it is, in words that stand behind "the", e.g. "number of points".
        unit: e.g. `s`; `axis`: that of the axis named before it; "" for none.
        default: REQUIRED for one that must be given.
        low, high: bounds, both included; `above`: a bound that is not.
        keyword: may be given by its name only.
        label: how a usage line calls it; its name in capitals when empty.
        more: a second sentence of help.
        or_none: None has a meaning of its own, told in `more`.
    """

    name: str
    kind: Kind
    what: str
    unit: str = ""
    default: Any = REQUIRED
    low: float | None = None
    high: float | None = None
    above: float | None = None
    choices: tuple[str, ...] = ()
    keyword: bool = False
    label: str = ""
    more: str = ""
    or_none: bool = False

    @property
    def required(self) -> bool:
        """It must be given."""
        return self.default is REQUIRED

    @property
    def shown(self) -> str:
        """Its name in a usage line."""
        return self.label or self.name.upper()

    @property
    def help(self) -> str:
        """One line: what it is, its unit, choices, bounds and default."""
        parts = [self.what[0].upper() + self.what[1:]]
        if self.unit:
            parts.append("in the unit of its axis" if self.unit == "axis" else self.unit)
        if self.choices:
            parts.append(" or ".join(self.choices))
        if bounds := self.bounds:
            parts.append(bounds)
        if not self.required and self.default is not None:
            parts.append(f"default {self.default!r}")
        return ", ".join(parts) + (f". {self.more}" if self.more else "")

    @property
    def bounds(self) -> str:
        """Its bounds in words; "" without any.

        >>> Argument("num", "int", "number of points", low=1).bounds
        '1 or more'
        """
        high = None if self.high == MAX_POINTS else self.high
        if self.above is not None:
            return f"more than {self.above:g}" + (f", at most {high:g}" if high is not None else "")
        if self.low is not None and high is not None:
            return f"{self.low:g} to {high:g}"
        if self.low is not None:
            return f"{self.low:g} or more"
        return f"at most {high:g}" if high is not None else ""

    def value(self, given: Any, of: str = "") -> Any:
        """What the plan gets for `given`.

        Args:
            of: the axis that it belongs to, for the error.
        Raises: InputError that says what is wrong and what would be right.

        >>> Argument("num", "int", "number of points", low=1).value(5)
        5
        """
        if given is None and (self.or_none or self.default is None):
            return None
        what = f"{self.what} of {of}" if of else f"the {self.what}"
        return _READERS[self.kind](self, given, what)


def _wrong(argument: Argument, given: Any, what: str, wanted: str) -> InputError:
    bounds = argument.bounds
    return InputError(
        f"{what} is {given!r}",
        remedy=f"give {what} {wanted}" + (f", {bounds}" if bounds else ""),
    )


def _bounded(argument: Argument, value: float, what: str, wanted: str) -> None:
    low, high, above = argument.low, argument.high, argument.above
    if (low is not None and value < low) or (above is not None and value <= above):
        raise _wrong(argument, value, what, wanted)
    if high is not None and value > high:
        raise InputError(f"{what} is {value:,}", remedy=f"ask for {high:,} or fewer")


def _float(argument: Argument, given: Any, what: str) -> float:
    wanted = f"in {argument.unit}" if argument.unit not in ("", "axis") else "as a number"
    if argument.unit == "s":
        wanted = "in seconds"
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise _wrong(argument, given, what, wanted)
    if not math.isfinite(given):
        raise InputError(f"{what} is {given!r}", remedy="give a finite number")
    _bounded(argument, given, what, wanted)
    return float(given)


def _int(argument: Argument, given: Any, what: str) -> int:
    wanted = "as a whole number"
    if isinstance(given, bool) or not isinstance(given, int):
        raise _wrong(argument, given, what, wanted)
    _bounded(argument, given, what, wanted)
    return given


def _bool(argument: Argument, given: Any, what: str) -> bool:
    if not isinstance(given, bool):
        raise _wrong(argument, given, what, "as true or false")
    return given


def _choice(argument: Argument, given: Any, what: str) -> str:
    if given not in argument.choices:
        raise InputError(f"{what} is {given!r}", remedy=f"choose {' or '.join(argument.choices)}")
    return str(given)


def _name(argument: Argument, given: Any, _: str) -> str:
    if not isinstance(given, str) or not given:
        kind = "an axis" if argument.kind == "axis" else "a device"
        raise InputError(
            f"{given!r} stands where {kind} is expected", remedy=f"name {kind} as {argument.shown}"
        )
    return given


def _list(argument: Argument, given: Any, what: str) -> list[float]:
    values = list(given) if isinstance(given, list | tuple) else [given]
    if not values:
        raise InputError(f"{what} is empty", remedy="give at least one number")
    return [_float(argument, value, f"a number in {what}") for value in values]


def _names(argument: Argument, given: Any, what: str) -> list[str]:
    values = [given] if isinstance(given, str) else given
    if not isinstance(values, list | tuple) or not all(isinstance(v, str) for v in values):
        raise _wrong(argument, given, what, "as names of devices")
    return list(values)


def _text(argument: Argument, given: Any, what: str) -> str:
    if not isinstance(given, str):
        raise _wrong(argument, given, what, "as text")
    return given


def _table(argument: Argument, given: Any, what: str) -> list[Any]:
    if not isinstance(given, list | tuple) or not given:
        raise _wrong(argument, given, what, "as rows, each a list")
    return list(given)


def _any(_: Argument, given: Any, __: str) -> Any:
    return given


_READERS = {
    "axis": _name,
    "device": _name,
    "float": _float,
    "int": _int,
    "bool": _bool,
    "choice": _choice,
    "list": _list,
    "names": _names,
    "text": _text,
    "table": _table,
    "plan": _any,
}


def usage_words(arguments: Sequence[Argument]) -> list[str]:
    """Arguments by place as a usage line shows them; those with a default in brackets."""
    words = [a.shown if a.required else f"[{a.shown}]" for a in arguments if not a.keyword]
    required = [f"{a.name}={a.shown}" for a in arguments if a.keyword and a.required]
    return words + required
