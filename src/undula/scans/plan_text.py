"""The arguments of a plan that travels as source, from its text alone: nothing of it is run. Pure.

In: a `PlanSource` whose call is a call of one of its functions. Out: the `UserPlan` that its type
hints and its docstring tell, as for a plan file. A hint that the text alone does not explain allows
anything; the plan itself then says what is wrong.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Annotated, Any, Literal, Union

from undula.core.errors import InputError
from undula.messages import PlanSource
from undula.messages.plans import UserPlan
from undula.scans.describe_plans import parameter, split_docstring
from undula.scans.plan_code import parsed

_PLAIN: dict[str, Any] = {"float": float, "int": int, "bool": bool, "str": str}
_SEQUENCES = ("list", "List", "tuple", "Tuple", "Sequence", "Iterable", "Collection", "set")
_BOUNDS = ("ge", "le", "gt", "lt", "description")


def called(source: PlanSource) -> ast.Call:
    """The call that makes the plan.

    Raises: InputError when it is no plain call of a function of the source.
    """
    call = ast.parse(source.call, mode="eval").body
    own = {part.name for part in source.parts if part.kind in ("function", "file")}
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)) or (
        call.func.id not in own
        or any(isinstance(arg, ast.Starred) for arg in call.args)
        or any(word.arg is None for word in call.keywords)
    ):
        raise InputError(
            f"{source.name} is made by {source.call[:200]}, whose arguments cannot be told apart",
            remedy="remove it and add it anew with the other arguments",
        )
    return call


def described_in_text(source: PlanSource, name: str) -> UserPlan:
    """The function `name` of a source, as a plan. Raises: InputError when it has none."""
    part = next(p for p in source.parts if p.name == name)
    node: ast.AST | None = parsed(part) if part.kind == "function" else None
    if part.kind == "file":
        found = (n for n in ast.parse(part.code).body if isinstance(n, ast.FunctionDef))
        node = next((n for n in found if n.name == name), None)
    if not isinstance(node, ast.FunctionDef | ast.Lambda):
        raise InputError(
            f"{name} is not defined as a function in {part.origin or 'its file'}",
            remedy="remove it and add it anew with the other arguments",
        )
    text = ast.get_docstring(node) or "" if isinstance(node, ast.FunctionDef) else ""
    about, helps = split_docstring(text)
    return UserPlan(
        name=name,
        origin=part.origin,
        line=part.line,
        help=about,
        parameters=[
            parameter(given, hint, helps.get(given.name, ""))
            for given, hint in _parameters(node.args)
        ],
    )


def _parameters(written: ast.arguments) -> Iterable[tuple[inspect.Parameter, Any]]:
    """Each argument with its hint; a default is known to be there, its value is not."""
    placed = [*written.posonlyargs, *written.args]
    required = len(placed) - len(written.defaults)
    for number, one in enumerate(placed):
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        yield _made(one, kind, required=number < required)
    if written.vararg is not None:
        yield _made(written.vararg, inspect.Parameter.VAR_POSITIONAL, required=True)
    for one, default in zip(written.kwonlyargs, written.kw_defaults, strict=True):
        yield _made(one, inspect.Parameter.KEYWORD_ONLY, required=default is None)


def _made(one: ast.arg, kind: Any, *, required: bool) -> tuple[inspect.Parameter, Any]:
    default = inspect.Parameter.empty if required else None
    given = inspect.Parameter(one.arg, kind, default=default)
    return given, None if one.annotation is None else hint_of(one.annotation)


def hint_of(node: ast.expr) -> Any:
    """What a hint says, as far as its text tells it; else the text.

    >>> hint_of(ast.parse("list[float]", mode="eval").body)
    list[float]
    >>> hint_of(ast.parse("bluesky.protocols.Movable", mode="eval").body)
    'Movable'
    """
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        try:
            return hint_of(ast.parse(node.value, mode="eval").body)
        except SyntaxError:
            return node.value
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _either([node.left, node.right])
    if isinstance(node, ast.Subscript):
        return _subscript(_last_name(node.value), _inner(node.slice))
    name = _last_name(node)
    return _PLAIN.get(name, name)


def _subscript(name: str, inner: Sequence[ast.expr]) -> Any:
    if name in ("Optional", "Union"):
        return _either(inner)
    if name == "Literal":
        return Literal[tuple(_constants(inner))]
    if name == "Annotated":
        notes = tuple(filter(None, map(_note, inner[1:])))
        return Annotated[(hint_of(inner[0]), *notes)] if notes else hint_of(inner[0])
    if name in _SEQUENCES:
        return list[hint_of(inner[0])]  # type: ignore[misc]  # made of a text
    return name


def _either(options: Sequence[ast.expr]) -> Any:
    given = [o for o in options if not (isinstance(o, ast.Constant) and o.value is None)]
    found = [hint_of(option) for option in given]
    return found[0] if len(found) == 1 else Union[tuple(found)]  # noqa: UP007  # made of a list


def _note(node: ast.expr) -> Any:
    """A unit, or the bounds of a `Field`; None for what the text does not explain."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.Call):
        bounds = {w.arg: _constants([w.value]) for w in node.keywords if w.arg in _BOUNDS}
        known = {str(name): value[0] for name, value in bounds.items() if value}
        return SimpleNamespace(**known) if known else None
    return None


def _inner(node: ast.expr) -> Sequence[ast.expr]:
    return node.elts if isinstance(node, ast.Tuple) else [node]


def _constants(nodes: Iterable[ast.expr]) -> list[Any]:
    found = []
    for node in nodes:
        with contextlib.suppress(ValueError):  # more than a constant
            found.append(ast.literal_eval(node))
    return found


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
