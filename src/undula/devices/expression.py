"""Expressions of device files: `i1 / i0 if i0 > 10 else 0`. Compiled once, never run as Python.

In: text that a person wrote. Out: an `Expression` over named values, numbers or arrays alike; or
InputError with the column. Only the forms listed here exist: numbers, names, arithmetic,
comparison, and/or/not, a conditional, a part of an array (`mca[100:200]`), and the functions of
`expression_functions`. A dotted name (`samx.velocity`) is one name that the caller looks up; no
attribute of any object is ever taken.

Numbers are those of IEEE 754: a division by zero gives inf or NaN. A comparison with NaN is neither
true nor false: it raises `NoValueError`, so that no interlock rests on it.
"""

from __future__ import annotations

import ast
import difflib
import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from undula.core.errors import InputError
from undula.devices.expression_functions import (
    ARITHMETIC,
    COMPARISONS,
    CONSTANTS,
    FUNCTIONS,
    NoValueError,
    number,
    truth,
)

MAX_LENGTH = 4000
MAX_NODES = 600
MAX_DEPTH = 40
MAX_STRING = 100
MAX_DOTS = 8

Values = Mapping[str, Any]
Evaluate = Callable[[Values], Any]


class ExpressionError(InputError):
    """The text is no expression; `column` counts from 1."""

    def __init__(self, text: str, column: int, what: str, remedy: str) -> None:
        self.column = column
        super().__init__(f"{_short(text)!r}, column {column}: {what}", remedy=remedy)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 100 else f"{line[:97]}..."


class Expression:
    """A checked and compiled expression.

    Args:
        text: e.g. `"i1 / i0"`; `slits.gap` names a signal of a device.
        known: the names that may stand in it; None: any.

    Raises: ExpressionError with the column, and what to write instead.

    >>> Expression("sqrt(a**2 + b**2) if a > 0 else -b")({"a": 3.0, "b": 4.0})
    5.0
    """

    def __init__(self, text: str, known: Collection[str] | None = None) -> None:
        self.text = text
        compiler = _Compiler(text.strip(), known)
        self._evaluate = compiler.compile(_parsed(text.strip()))
        self.names = frozenset(compiler.names)
        """Names of the values it needs."""

    def __call__(self, values: Values) -> Any:
        """The value: a number, true or false, or an array.

        Args:
            values: numbers, texts, or arrays of one shape.
        Raises: NoValueError when a condition rests on NaN; InputError when a value is missing or
            is none to compute with.
        """
        try:
            with np.errstate(all="ignore"):
                result = self._evaluate(values)
        except KeyError as exc:
            raise InputError(
                f"{self.text!r} needs {exc.args[0]}, which has no value",
                remedy="check that the device answers",
            ) from None
        except NoValueError as exc:
            raise NoValueError(
                f"{self.text!r} has no value: {exc.what}", remedy=exc.remedy
            ) from exc
        except (ArithmeticError, ValueError, TypeError, IndexError) as exc:
            raise InputError(
                f"{self.text!r} cannot be computed: {exc}", remedy="look at the values it needs"
            ) from exc
        return result.item() if isinstance(result, np.generic) else result

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"


def _parsed(text: str) -> ast.expr:
    """The syntax tree. Raises: ExpressionError."""
    if len(text) > MAX_LENGTH:
        what = f"{len(text)} characters are too many"
        raise ExpressionError(text, 1, what, f"use at most {MAX_LENGTH}, or write a device class")
    if not text:
        raise ExpressionError(text, 1, "it is empty", "write what it is computed from: i1 / i0")
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError as exc:
        column = exc.offset or 1
        equals = text[column - 1 : column] == "="
        remedy = "write == to compare" if equals else "write it as in Python, e.g. (i1 - dark) / i0"
        raise ExpressionError(text, column, f"it cannot be read: {exc.msg}", remedy) from None
    except (ValueError, RecursionError, MemoryError):
        what = "it cannot be read: it is nested too deeply"
        raise ExpressionError(text, 1, what, "write it simpler") from None


class _Compiler:
    """Turns a syntax tree into nested calls, and notes the names it needs."""

    def __init__(self, text: str, known: Collection[str] | None) -> None:
        self._text, self._known = text, known
        self.names: dict[str, None] = {}
        self._nodes = self._depth = 0

    def fault(self, node: ast.AST, what: str, remedy: str) -> ExpressionError:
        """An error at the place of a node."""
        return ExpressionError(self._text, getattr(node, "col_offset", 0) + 1, what, remedy)

    def compile(self, node: ast.expr) -> Evaluate:
        """The call that computes a node. Raises: ExpressionError."""
        self._nodes += 1
        self._depth += 1
        if self._nodes > MAX_NODES or self._depth > MAX_DEPTH:
            raise self.fault(node, "it is too long or too deep", "divide it into several signals")
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is None:
            word = FORBIDDEN.get(type(node).__name__, type(node).__name__)
            raise self.fault(
                node,
                f"{word} cannot stand in an expression",
                "use numbers, names, + - * / // % **, comparisons, and, or, not, "
                "a if condition else b, and functions such as sqrt()",
            )
        made: Evaluate = method(node)
        self._depth -= 1
        return made

    def _constant(self, node: ast.Constant) -> Evaluate:
        value: Any = node.value
        if isinstance(value, bool) or type(value) in (int, float):
            if not isinstance(value, bool) and abs(value) > 2**53:
                value = float(value) if abs(value) < 1e308 else math.inf
            if value == math.inf:
                raise self.fault(node, "this number is too large", "use numbers below 1e308")
            return lambda _: value
        if isinstance(value, str):
            raise self.fault(
                node, "a text cannot be computed with", "texts can be compared: shutter == 'open'"
            )
        raise self.fault(node, f"{value!r} is no number", "use numbers and names")

    def _name(self, node: ast.Name) -> Evaluate:
        return self._value_of(node, node.id)

    def _attribute(self, node: ast.Attribute) -> Evaluate:
        name = _dotted(node)
        if name is None:
            raise self.fault(
                node, "a part of a result cannot be taken", "name the device: samx.velocity"
            )
        return self._value_of(node, name)

    def _value_of(self, node: ast.AST, name: str) -> Evaluate:
        if any(part.startswith("_") for part in name.split(".")):
            raise self.fault(node, f"{name} begins with an underscore", "name a device or signal")
        if name in FUNCTIONS and name not in (self._known or ()):
            raise self.fault(node, f"{name} is a function", f"write {FUNCTIONS[name].usage}")
        if self._known is not None and name not in self._known and name not in CONSTANTS:
            near = difflib.get_close_matches(name, self._known, 1)
            choice = ", ".join(sorted(self._known)) or "no names"
            remedy = f"did you mean {near[0]}?" if near else f"it may use {choice}"
            raise self.fault(node, f"there is no {name}", remedy)
        if name in CONSTANTS and name not in (self._known or ()):
            return _constant_call(CONSTANTS[name])
        self.names[name] = None
        return lambda values: values[name]

    def _unaryop(self, node: ast.UnaryOp) -> Evaluate:
        operand = self.compile(node.operand)
        if isinstance(node.op, ast.Not):
            return lambda values: not truth(operand(values))
        if isinstance(node.op, ast.USub):
            return lambda values: -number(operand(values))
        if isinstance(node.op, ast.UAdd):
            return lambda values: number(operand(values))
        raise self.fault(node, "~ cannot stand in an expression", "write not")

    def _binop(self, node: ast.BinOp) -> Evaluate:
        call = ARITHMETIC.get(type(node.op))
        if call is None:
            sign = SIGNS.get(type(node.op), "this sign")
            remedy = "write and, or" if sign in "&|" else "use + - * / // % **"
            raise self.fault(node, f"{sign} cannot stand in an expression", remedy)
        left, right = self.compile(node.left), self.compile(node.right)
        return lambda values: call(number(left(values)), number(right(values)))

    def _boolop(self, node: ast.BoolOp) -> Evaluate:
        parts = [self.compile(value) for value in node.values]
        if isinstance(node.op, ast.And):
            return lambda values: all(truth(part(values)) for part in parts)
        return lambda values: any(truth(part(values)) for part in parts)

    def _ifexp(self, node: ast.IfExp) -> Evaluate:
        test = self.compile(node.test)
        yes, no = self.compile(node.body), self.compile(node.orelse)
        return lambda values: yes(values) if truth(test(values)) else no(values)

    def _compare(self, node: ast.Compare) -> Evaluate:
        places: list[ast.expr] = [node.left, *node.comparators]
        signs: list[Callable[[Any, Any], Any]] = []
        for sign in node.ops:
            if type(sign) not in COMPARISONS:
                raise self.fault(node, "is cannot stand in an expression", "write == or !=")
            signs.append(COMPARISONS[type(sign)])
        operands = [
            self._operand(place, node.ops[max(0, i - 1)], right=i > 0)
            for i, place in enumerate(places)
        ]
        if len(signs) == 1:
            first, second, only = operands[0], operands[1], signs[0]
            return lambda values: only(first(values), second(values))

        def chain(values: Values) -> Any:
            left = operands[0](values)
            for compare, operand in zip(signs, operands[1:], strict=True):
                right = operand(values)
                if not truth(compare(left, right)):
                    return False
                left = right
            return True

        return chain

    def _operand(self, node: ast.expr, sign: ast.cmpop, *, right: bool) -> Evaluate:
        """One side of a comparison: here, and only here, texts and lists of them may stand."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
            if len(text) > MAX_STRING or not isinstance(
                sign, ast.Eq | ast.NotEq | ast.In | ast.NotIn
            ):
                raise self.fault(node, "a text can only be compared", "use == != in, not in")
            return _constant_call(text)
        if isinstance(sign, ast.In | ast.NotIn) and right:
            if not isinstance(node, ast.Tuple | ast.List):
                raise self.fault(node, "in needs a list", "write state in ('open', 'opening')")
            members = [self._operand(e, ast.Eq(), right=False) for e in node.elts]
            return lambda values: [member(values) for member in members]
        return self.compile(node)

    def _call(self, node: ast.Call) -> Evaluate:
        name = _dotted(node.func) or "this"
        found = FUNCTIONS.get(name)
        if found is None:
            near = difflib.get_close_matches(name, FUNCTIONS, 1)
            remedy = f"did you mean {near[0]}?" if near else f"there are {', '.join(FUNCTIONS)}"
            raise self.fault(node, f"there is no function {name}", remedy)
        if node.keywords or any(isinstance(a, ast.Starred) for a in node.args):
            raise self.fault(node, f"{name} takes plain arguments only", f"write {found.usage}")
        if not found.least <= len(node.args) <= found.most:
            raise self.fault(node, f"{name} got {len(node.args)} arguments", f"write {found.usage}")
        call, arguments = found.call, [self._argument(a) for a in node.args]
        if len(arguments) == 1:
            only = arguments[0]
            return lambda values: call(number(only(values)))
        return lambda values: call(*[number(a(values)) for a in arguments])

    def _argument(self, node: ast.expr) -> Evaluate:
        """An argument of a function; a list of numbers is an array, e.g. of a table."""
        if isinstance(node, ast.List | ast.Tuple):
            members = [self.compile(e) for e in node.elts]
            return lambda values: np.asarray([number(m(values)) for m in members], dtype=float)
        return self.compile(node)

    def _subscript(self, node: ast.Subscript) -> Evaluate:
        value, index = self.compile(node.value), self._index(node.slice)

        def part(values: Values) -> Any:
            whole = np.asarray(value(values))
            if whole.dtype.kind not in "biuf":
                raise InputError(
                    "a part can be taken of an array of numbers only",
                    remedy="take parts of spectra and images",
                )
            found = whole[index]
            return found.item() if np.ndim(found) == 0 else found

        return part

    def _index(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Tuple):
            return tuple(self._index(e) for e in node.elts)
        if isinstance(node, ast.Slice):
            return slice(*(self._bound(b) for b in (node.lower, node.upper, node.step)))
        return self._bound(node)

    def _bound(self, node: ast.expr | None) -> int | None:
        sign, place = 1, node
        if isinstance(place, ast.UnaryOp) and isinstance(place.op, ast.USub):
            sign, place = -1, place.operand
        if place is None:
            return None
        if isinstance(place, ast.Constant) and type(place.value) is int:
            return sign * place.value
        raise self.fault(place, "a part is taken by whole numbers", "write mca[100:200]")


def _constant_call(value: Any) -> Evaluate:
    return lambda _: value


def _dotted(node: ast.expr) -> str | None:
    """`a.b.c`, when a node is nothing but names and few dots."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute) and len(parts) < MAX_DOTS:
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else None


SIGNS: dict[type[ast.operator], str] = {
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.BitXor: "^",
    ast.LShift: "<<",
    ast.RShift: ">>",
    ast.MatMult: "@",
}
FORBIDDEN = {
    "Lambda": "lambda",
    "NamedExpr": ":=",
    "ListComp": "a comprehension",
    "SetComp": "a comprehension",
    "DictComp": "a comprehension",
    "GeneratorExp": "a comprehension",
    "Dict": "a mapping",
    "Set": "a set",
    "List": "a list",
    "Tuple": "a list",
    "JoinedStr": "an f-string",
    "Await": "await",
    "Yield": "yield",
    "Starred": "*",
    "Slice": "a slice",
}
