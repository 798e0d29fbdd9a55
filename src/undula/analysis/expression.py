"""Room: analysis. The line that names a model: `gaussian + linear`, with bounds and fixed values.

In: text. Out: terms and how they are combined. It is read as a tree of names, never executed:
names, `+`, `-`, brackets, and after a name keywords that are numbers.

>>> found = parse("gaussian(center=(0, 1), sigma=0.1) + linear")
>>> [term.prefix for term in found.terms], found.terms[0].settings["sigma"].fixed
(['gaussian_', 'linear_'], True)
"""

from __future__ import annotations

import ast
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from undula.core.errors import InputError

MAX_TERMS = 8
MAX_TEXT = 500
_OPERATORS: dict[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-"}
_REMEDY = "write e.g. gaussian + linear, or gaussian(center=(0, 1), sigma=0.1) + constant"


@dataclass(frozen=True, slots=True)
class Setting:
    """What is said of a parameter: a value at which it is fixed, bounds, or a start value."""

    fixed: bool = False
    value: float | None = None
    low: float = -math.inf
    high: float = math.inf


@dataclass(frozen=True, slots=True)
class Term:
    """One model in the expression; its parameters are called `prefix` + name."""

    name: str
    prefix: str
    settings: Mapping[str, Setting] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Combined:
    """Two parts and the sign between them."""

    operator: str
    left: Term | Combined
    right: Term | Combined


@dataclass(frozen=True, slots=True)
class Expression:
    """A model line, read."""

    text: str
    tree: Term | Combined

    @property
    def terms(self) -> list[Term]:
        """The models in the order in which they were written."""
        return list(_terms(self.tree))


def _terms(tree: Term | Combined) -> Iterator[Term]:
    if isinstance(tree, Term):
        yield tree
    else:
        yield from _terms(tree.left)
        yield from _terms(tree.right)


def parse(text: str) -> Expression:
    """Read a model line; whether its names exist is not asked here. Raises: InputError."""
    line = " ".join(str(text).split())
    if not line or len(line) > MAX_TEXT:
        raise InputError(
            "no model was named" if not line else "the model line is too long", remedy=_REMEDY
        )
    try:
        body = ast.parse(line, mode="eval").body
        calls = list(_calls(body, line))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as exc:
        raise InputError(f"{line!r} is no model: it cannot be read", remedy=_REMEDY) from exc
    if len(calls) > MAX_TERMS:
        raise InputError(
            f"{line!r} has {len(calls)} models, {MAX_TERMS} are the most", remedy="leave some out"
        )
    terms = iter(_named(calls, line))
    return Expression(line, _tree(body, terms))


def _calls(node: ast.expr, line: str) -> Iterator[ast.Name | ast.Call]:
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        yield from _calls(node.left, line)
        yield from _calls(node.right, line)
    elif isinstance(node, ast.Name) or (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.args
    ):
        yield node
    else:
        part = ast.get_source_segment(line, node) or line
        raise InputError(f"{part!r} is no model", remedy=_REMEDY)


def _named(calls: list[ast.Name | ast.Call], line: str) -> list[Term]:
    names = [_name(call) for call in calls]
    total, seen, terms = Counter(names), Counter[str](), []
    for name, call in zip(names, calls, strict=True):
        seen[name] += 1
        number = str(seen[name]) if total[name] > 1 else ""
        prefix = "" if len(calls) == 1 else f"{name}{number}_"
        settings = _settings(call, line) if isinstance(call, ast.Call) else {}
        terms.append(Term(name, prefix, settings))
    return terms


def _name(call: ast.Name | ast.Call) -> str:
    node = call.func if isinstance(call, ast.Call) else call
    assert isinstance(node, ast.Name)  # noqa: S101  # `_calls` lets nothing else through
    return node.id


def _settings(call: ast.Call, line: str) -> dict[str, Setting]:
    found = {}
    for keyword in call.keywords:
        if keyword.arg is None:
            raise InputError(f"{line!r}: ** is not understood", remedy=_REMEDY)
        found[keyword.arg] = _setting(keyword.arg, keyword.value)
    return found


def _setting(name: str, node: ast.expr) -> Setting:
    """A number is fixed; (low, high) are bounds; (low, start, high) with a start value."""
    remedy = f"{name}=0.5 fixes it, {name}=(0, 1) bounds it, {name}=(0, 0.5, 1) starts at 0.5"
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError) as exc:
        raise InputError(f"{name} has no number", remedy=remedy) from exc
    parts = value if isinstance(value, tuple | list) else (value,)
    numbers = [None if part is None else _finite(part, remedy) for part in parts]
    if len(numbers) == 1 and numbers[0] is not None:
        return Setting(fixed=True, value=numbers[0])
    if len(numbers) not in (2, 3):
        raise InputError(f"{name} has {len(numbers)} numbers", remedy=remedy)
    low = -math.inf if numbers[0] is None else numbers[0]
    high = math.inf if numbers[-1] is None else numbers[-1]
    start = numbers[1] if len(numbers) == 3 else None
    if not low < high or (start is not None and not low <= start <= high):
        raise InputError(f"the bounds of {name} do not ascend", remedy=remedy)
    return Setting(value=start, low=low, high=high)


def _finite(value: object, remedy: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{value!r} is no number", remedy=remedy)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InputError(f"{value!r} is not finite", remedy=remedy)
    return number


def _tree(node: ast.expr, terms: Iterator[Term]) -> Term | Combined:
    if not isinstance(node, ast.BinOp):
        return next(terms)
    left = _tree(node.left, terms)
    return Combined(_OPERATORS[type(node.op)], left, _tree(node.right, terms))
