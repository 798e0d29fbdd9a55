"""Expressions in device files: `(i1 - dark) / i0`. Checked when read, then as quick as Python.

In: text that a person wrote. Out: an `Expression` over named values, numbers or arrays alike; or
InputError with the column. Only what stands in `_ALLOWED` can be written: no attribute of an
object, no index, no import, no loop; so whatever the text is, it can do nothing but arithmetic.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Callable, Collection, Mapping
from types import CodeType
from typing import Any

import numpy as np

from undula.core.errors import InputError

MAX_LENGTH, MAX_DEPTH = 2000, 40

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sin": np.sin, "cos": np.cos, "tan": np.tan,
    "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "atan2": np.arctan2,
    "sind": lambda x: np.sin(np.radians(x)),
    "cosd": lambda x: np.cos(np.radians(x)),
    "tand": lambda x: np.tan(np.radians(x)),
    "asind": lambda x: np.degrees(np.arcsin(x)),
    "acosd": lambda x: np.degrees(np.arccos(x)),
    "atand": lambda x: np.degrees(np.arctan(x)),
    "radians": np.radians, "degrees": np.degrees,
    "sqrt": np.sqrt, "exp": np.exp, "log": np.log, "log10": np.log10, "hypot": np.hypot,
    "abs": np.abs, "sign": np.sign, "floor": np.floor, "ceil": np.ceil, "round": np.round,
    "min": lambda *a: np.minimum.reduce(a) if len(a) > 1 else np.min(a[0]),
    "max": lambda *a: np.maximum.reduce(a) if len(a) > 1 else np.max(a[0]),
    "sum": np.sum, "mean": np.mean, "std": np.std, "median": np.median,
    "clip": np.clip, "isfinite": np.isfinite, "where": np.where,
}  # fmt: skip
CONSTANTS = {"pi": float(np.pi)}

_ALLOWED: tuple[type[ast.AST], ...] = (
    ast.Expression, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Call,
    ast.Name, ast.Load, ast.Constant, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod,
    ast.Pow, ast.UAdd, ast.USub, ast.Not, ast.And, ast.Or, ast.Eq, ast.NotEq, ast.Lt, ast.LtE,
    ast.Gt, ast.GtE,
)  # fmt: skip
_DOT = "__dot__"


class Expression:
    """A checked expression.

    Args:
        text: e.g. `"i1 / i0"`; `slits.gap` names a signal of a device.
        known: the names that may stand in it; None: any.

    Raises: InputError with the column, for whatever is not arithmetic over known names.

    >>> Expression("sqrt(a**2 + b**2) if a > 0 else -b")({"a": 3.0, "b": 4.0})
    5.0
    """

    def __init__(self, text: str, known: Collection[str] | None = None) -> None:
        self.text = text
        checker = _Checker(text, known)
        tree = checker.checked()
        self._fixed = {**FUNCTIONS, **CONSTANTS, **checker.numbers, "__builtins__": {}}
        self.names = _names(tree)
        """Names of the values it needs."""
        self._code: CodeType = compile(tree, "<expression>", "eval")

    def __call__(self, values: Mapping[str, Any]) -> Any:
        """The value. Raises: InputError when a value is missing or it cannot be computed.

        Args:
            values: numbers, or arrays of one shape. A division by zero gives inf or NaN.
        """
        scope = {name.replace(".", _DOT): _number(values, name, self.text) for name in self.names}
        try:
            with np.errstate(all="ignore"):
                result = eval(self._code, self._fixed, scope)  # noqa: S307  # arithmetic only
        except (ArithmeticError, ValueError, TypeError) as exc:
            raise InputError(
                f"{self.text!r} cannot be computed: {exc}", remedy="look at the values it needs"
            ) from exc
        return result.item() if isinstance(result, np.generic) else result

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"


def _number(values: Mapping[str, Any], name: str, text: str) -> Any:
    try:
        value = values[name]
    except KeyError:
        raise InputError(
            f"{text!r} needs {name}, which has no value", remedy="check that the device answers"
        ) from None
    return np.float64(value) if isinstance(value, int | float) else value


def _names(tree: ast.Expression) -> frozenset[str]:
    """Names of values: all names that are no function and no constant."""
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return frozenset(
        node.id.replace(_DOT, ".")
        for node in ast.walk(tree)
        if isinstance(node, ast.Name)
        and id(node) not in called
        and node.id not in CONSTANTS
        and not node.id.startswith("_")
    )


class _Checker(ast.NodeTransformer):
    """Refuses what is not allowed; makes numbers floats and dotted names one name."""

    def __init__(self, text: str, known: Collection[str] | None) -> None:
        self._text, self._known, self._depth = text, known, 0
        self.numbers: dict[str, np.float64] = {}
        """Numbers of the text under names of their own: they overflow to infinity."""

    def checked(self) -> ast.Expression:
        if len(self._text) > MAX_LENGTH:
            raise InputError(
                f"the expression has {len(self._text)} characters",
                remedy=f"use at most {MAX_LENGTH}, or write a device class",
            )
        try:
            tree = ast.parse(self._text.strip(), mode="eval")
        except (SyntaxError, ValueError, MemoryError, RecursionError) as exc:
            column = getattr(exc, "offset", None) or 1
            raise self._error(column - 1, f"it cannot be read: {getattr(exc, 'msg', exc)}") from exc
        checked: ast.Expression = ast.fix_missing_locations(self.visit(tree))
        return checked

    def visit(self, node: ast.AST) -> Any:
        """Check one part and what is inside."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(getattr(node, "col_offset", 0), "it is nested too deeply")
        try:
            if isinstance(node, ast.Attribute):
                return self._dotted(node)
            if not isinstance(node, _ALLOWED):
                what = type(node).__name__.lower()
                raise self._error(getattr(node, "col_offset", 0), f"{what} cannot stand here")
            return super().visit(node)
        finally:
            self._depth -= 1

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        """Numbers of 64 bits, so that no power grows without end."""
        if isinstance(node.value, bool):
            return node
        if isinstance(node.value, int | float):
            name = f"_{len(self.numbers)}"
            try:
                self.numbers[name] = np.float64(node.value)
            except OverflowError as exc:
                raise self._error(node.col_offset, "this number is too large") from exc
            return ast.copy_location(ast.Name(name, ast.Load()), node)
        raise self._error(node.col_offset, f"{node.value!r} is no number")

    def visit_Compare(self, node: ast.Compare) -> ast.Compare:
        """Comparisons; texts may be compared, e.g. with the state of a shutter."""
        if not isinstance(node.ops[0], _ALLOWED):
            what = type(node.ops[0]).__name__.lower()
            raise self._error(node.col_offset, f"{what} cannot stand here")
        if len(node.ops) > 1:
            raise self._error(node.col_offset, "write a < b and b < c")
        sides = [node.left, *node.comparators]
        for i, side in enumerate(sides):
            if not (isinstance(side, ast.Constant) and isinstance(side.value, str)):
                sides[i] = self.visit(side)
        node.left, node.comparators = sides[0], sides[1:]
        return node

    def visit_Call(self, node: ast.Call) -> ast.Call:
        """Known functions with plain arguments."""
        name = node.func.id if isinstance(node.func, ast.Name) else "this"
        if name not in FUNCTIONS:
            near = difflib.get_close_matches(name, FUNCTIONS, 1)
            hint = f"did you mean {near[0]}" if near else f"there are {', '.join(FUNCTIONS)}"
            raise self._error(node.col_offset, f"there is no function {name}", hint)
        if node.keywords:
            raise self._error(node.col_offset, "arguments have no names here")
        node.args = [self.visit(argument) for argument in node.args]
        return node

    def visit_Name(self, node: ast.Name) -> ast.Name:
        """Known values and constants."""
        self._know(node.id, node.col_offset)
        return node

    def _dotted(self, node: ast.Attribute) -> ast.Name:
        parts: list[str] = []
        inner: ast.expr = node
        while isinstance(inner, ast.Attribute):
            parts.insert(0, inner.attr)
            inner = inner.value
        if not isinstance(inner, ast.Name):
            raise self._error(node.col_offset, "a dot stands only between a device and its signal")
        name = ".".join([inner.id, *parts])
        self._know(name, node.col_offset)
        return ast.copy_location(ast.Name(name.replace(".", _DOT), ast.Load()), node)

    def _know(self, name: str, column: int) -> None:
        if any(part.startswith("_") for part in name.split(".")):
            raise self._error(column, f"{name} begins with an underscore")
        if name in CONSTANTS or self._known is None or name in self._known:
            if name in FUNCTIONS:
                raise self._error(column, f"{name} is a function", f"write {name}(...)")
            return
        near = difflib.get_close_matches(name, self._known, 1)
        hint = f"did you mean {near[0]}" if near else f"it may use {', '.join(sorted(self._known))}"
        raise self._error(column, f"there is no {name}", hint)

    def _error(self, column: int, what: str, remedy: str = "write arithmetic only") -> InputError:
        return InputError(f"{self._text!r}, column {column + 1}: {what}", remedy=remedy)
