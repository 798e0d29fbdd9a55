"""What expressions compute with: functions, arithmetic and comparisons, for numbers and arrays.

Angles are in radians, unless the name of a function ends in `d`: then in degrees.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from undula.core.errors import InputError

LOOK = "look at the readings that it is computed from"
NUMBERS = (int, float, np.number, np.bool_)
"""What counts as a number."""


class NoValueError(InputError):
    """The expression is right, but for these readings it has no value."""


@dataclass(frozen=True, slots=True)
class Function:
    """One function: what it calls, how many arguments it takes, how it is written."""

    call: Callable[..., Any]
    usage: str
    least: int = 1
    most: int = 1


def _plain(function: Callable[..., Any], *values: Any) -> Any:
    """Numbers stay numbers of Python; what is not defined is NaN."""
    found = np.asarray(function(*values))
    return found if found.ndim else found.item()


def _numpy(function: Callable[..., Any], usage: str, least: int = 1, most: int = 1) -> Function:
    return Function(lambda *values: _plain(function, *values), usage, least, most)


def _of_degrees(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda value: function(np.radians(value))


def _in_degrees(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *values: np.degrees(function(*values))


def _extreme(pair: Any, whole: Callable[[Any], Any]) -> Callable[..., Any]:
    """The extreme of one array, or element by element of several values."""

    def extreme(*values: Any) -> Any:
        if len(values) == 1:
            return np.asarray(whole(values[0]))
        found = values[0]
        for value in values[1:]:
            found = pair(found, value)
        return np.asarray(found)

    return extreme


def _over(whole: Callable[[Any], Any]) -> Callable[..., Any]:
    return lambda value: np.asarray(whole(value))


FUNCTIONS: dict[str, Function] = {
    "abs": _numpy(np.abs, "abs(x)"),
    "sqrt": _numpy(np.sqrt, "sqrt(x)"),
    "pow": _numpy(lambda a, b: np.power(np.asarray(a, dtype=float), b), "pow(a, b)", 2, 2),
    "exp": _numpy(np.exp, "exp(x)"),
    "log": _numpy(np.log, "log(x), natural"),
    "log10": _numpy(np.log10, "log10(x)"),
    "sin": _numpy(np.sin, "sin(x), x in radians"),
    "cos": _numpy(np.cos, "cos(x), x in radians"),
    "tan": _numpy(np.tan, "tan(x), x in radians"),
    "asin": _numpy(np.arcsin, "asin(x), radians"),
    "acos": _numpy(np.arccos, "acos(x), radians"),
    "atan": _numpy(np.arctan, "atan(x), radians"),
    "atan2": _numpy(np.arctan2, "atan2(y, x), radians", 2, 2),
    "sind": _numpy(_of_degrees(np.sin), "sind(x), x in degrees"),
    "cosd": _numpy(_of_degrees(np.cos), "cosd(x), x in degrees"),
    "tand": _numpy(_of_degrees(np.tan), "tand(x), x in degrees"),
    "asind": _numpy(_in_degrees(np.arcsin), "asind(x), degrees"),
    "acosd": _numpy(_in_degrees(np.arccos), "acosd(x), degrees"),
    "atand": _numpy(_in_degrees(np.arctan), "atand(x), degrees"),
    "atan2d": _numpy(_in_degrees(np.arctan2), "atan2d(y, x), degrees", 2, 2),
    "radians": _numpy(np.radians, "radians(x), x in degrees"),
    "degrees": _numpy(np.degrees, "degrees(x), x in radians"),
    "hypot": _numpy(np.hypot, "hypot(x, y)", 2, 2),
    "floor": _numpy(np.floor, "floor(x)"),
    "ceil": _numpy(np.ceil, "ceil(x)"),
    "round": _numpy(np.round, "round(x)"),
    "sign": _numpy(np.sign, "sign(x)"),
    "min": _numpy(_extreme(np.minimum, np.min), "min(a, b, ...) or min(array)", 1, 20),
    "max": _numpy(_extreme(np.maximum, np.max), "max(a, b, ...) or max(array)", 1, 20),
    "sum": _numpy(_over(np.sum), "sum(array)"),
    "mean": _numpy(_over(np.mean), "mean(array)"),
    "median": _numpy(_over(np.median), "median(array)"),
    "std": _numpy(_over(np.std), "std(array)"),
    "any": _numpy(_over(np.any), "any(array)"),
    "all": _numpy(_over(np.all), "all(array)"),
    "isnan": _numpy(np.isnan, "isnan(x)"),
    "isfinite": _numpy(np.isfinite, "isfinite(x)"),
    "clip": _numpy(np.clip, "clip(x, low, high)", 3, 3),
    "where": _numpy(np.where, "where(condition, a, b)", 3, 3),
    "interp": _numpy(
        lambda x, xs, ys: np.asarray(np.interp(x, xs, ys, left=math.nan, right=math.nan)),
        "interp(x, [x1, x2, ...], [y1, y2, ...])",
        3,
        3,
    ),
}
"""By name. `interp` is NaN outside its table."""

CONSTANTS = {"pi": math.pi}
"""Names that have a value when no device has that name."""


def number(value: Any) -> Any:
    """The value, if one can compute with it. Raises: InputError."""
    if isinstance(value, NUMBERS):
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return value
    if isinstance(value, list | tuple):
        array = np.asarray(value)
        if array.dtype.kind in "biuf":
            return array
    raise InputError(
        f"{str(value)[:40]!r} is no number", remedy="texts can be compared: state == 'open'"
    )


def truth(value: Any) -> bool:
    """True or false. Raises: NoValueError for NaN, InputError for texts and arrays of several."""
    if isinstance(value, bool):
        return value
    found = number(value)
    if np.size(found) != 1:
        raise InputError("an array is neither true nor false", remedy="use any(), all() or where()")
    single = float(np.asarray(found).reshape(()))
    if math.isnan(single):
        raise NoValueError("a condition is not a number", remedy=LOOK)
    return bool(single)


def _power(base: Any, exponent: Any) -> Any:
    """In floating point, so that `9**9**9` is inf at once instead of filling the memory."""
    found = np.power(np.asarray(base, dtype=float), np.asarray(exponent, dtype=float))
    return found if np.ndim(found) else float(found)


def _divided(
    plain: Callable[[Any, Any], Any], ieee: Callable[[Any, Any], Any]
) -> Callable[[Any, Any], Any]:
    """A division that gives inf or NaN where Python raises."""

    def divide(a: Any, b: Any) -> Any:
        if isinstance(b, np.ndarray) or isinstance(a, np.ndarray):
            return ieee(np.asarray(a, dtype=float), b)
        return plain(a, b) if b else float(ieee(np.float64(a), np.float64(b)))

    return divide


def _compared(sign: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def compare(a: Any, b: Any) -> Any:
        for side in (a, b):
            if isinstance(side, float) and math.isnan(side):
                raise NoValueError("what is compared is not a number", remedy=LOOK)
            if isinstance(side, np.ndarray) and np.any(np.isnan(side)):
                raise NoValueError("not all that is compared is a number", remedy=LOOK)
        if isinstance(a, str) != isinstance(b, str):
            raise InputError(
                f"{str(a)[:40]!r} and {str(b)[:40]!r} cannot be compared",
                remedy="compare texts with texts, numbers with numbers",
            )
        return sign(a, b)

    return compare


def _among(value: Any, members: Any) -> bool:
    return any(isinstance(value, str) == isinstance(m, str) and value == m for m in members)


ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: _divided(operator.truediv, np.divide),
    ast.FloorDiv: _divided(operator.floordiv, np.floor_divide),
    ast.Mod: _divided(operator.mod, np.mod),
    ast.Pow: _power,
}
COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: _compared(operator.lt),
    ast.LtE: _compared(operator.le),
    ast.Gt: _compared(operator.gt),
    ast.GtE: _compared(operator.ge),
    ast.Eq: _compared(operator.eq),
    ast.NotEq: _compared(operator.ne),
    ast.In: _among,
    ast.NotIn: lambda value, members: not _among(value, members),
}
