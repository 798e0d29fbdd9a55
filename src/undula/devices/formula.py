"""BEC's `compute_method`: the text of a small Python function, read as expressions, never run.

In: `def f(a, b): ... return ...` with assignments and a return of arithmetic. Out: a `Formula`, or
InputError with the line. `a.get()` means the value of `a`, as in BEC.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from undula.core.errors import InputError
from undula.devices.expression import Expression

WAY_OUT = "write assignments and a return of arithmetic, or a device class in a package"


class Formula:
    """Parameters, then values computed one after the other, the last of which is the result.

    >>> Formula("def f(a, b):\\n    c = a.get() + b.get()\\n    return c / 2")([1.0, 3.0])
    2.0
    """

    def __init__(self, source: str) -> None:
        self.source = source
        function = self._function(source)
        self.parameters = [argument.arg for argument in function.args.args]
        known = set(self.parameters)
        self._steps: list[tuple[str, Expression]] = []
        for statement in function.body:
            name, value = self._step(statement)
            if value is not None:
                text = ast.unparse(_Values().visit(value))
                try:
                    self._steps.append((name, Expression(text, known)))
                except InputError as exc:
                    raise self._error(statement, exc.what) from exc
                known.add(name)
        if not self._steps or self._steps[-1][0] != "return":
            raise self._error(function, "it returns nothing")

    def __call__(self, values: Sequence[Any]) -> Any:
        """The result for values in the order of the parameters. Raises: InputError."""
        scope = dict(zip(self.parameters, values, strict=True))
        for name, expression in self._steps:
            scope[name] = expression(scope)
        return scope["return"]

    def _function(self, source: str) -> ast.FunctionDef:
        try:
            body = ast.parse(source).body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as exc:
            line = getattr(exc, "lineno", None) or 1
            raise InputError(
                f"compute_method, line {line}: it is no Python", remedy=WAY_OUT
            ) from exc
        if len(body) != 1 or not isinstance(body[0], ast.FunctionDef):
            raise InputError("compute_method is not one function", remedy=WAY_OUT)
        function = body[0]
        simple = function.args
        if simple.posonlyargs or simple.kwonlyargs or simple.vararg or simple.kwarg:
            raise self._error(function, "it takes more than plain arguments")
        if simple.defaults or function.decorator_list:
            raise self._error(function, "it has defaults or decorators")
        return function

    def _step(self, statement: ast.stmt) -> tuple[str, ast.expr | None]:
        if isinstance(statement, ast.Return) and statement.value is not None:
            return "return", statement.value
        if (
            isinstance(statement, ast.Assign)
            and len(statement.targets) == 1
            and isinstance(statement.targets[0], ast.Name)
        ):
            return statement.targets[0].id, statement.value
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            return "", None  # a docstring
        what = type(statement).__name__.lower()
        raise self._error(statement, f"{what} is not read")

    def _error(self, node: ast.stmt, what: str) -> InputError:
        return InputError(f"compute_method, line {node.lineno}: {what}", remedy=WAY_OUT)


class _Values(ast.NodeTransformer):
    """`a.get()` becomes `a`; `np.sin`, `math.sin` become `sin`."""

    def visit_Call(self, node: ast.Call) -> ast.expr:
        """A signal's value, or a function of numpy or math by its bare name."""
        function = node.func
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
            if function.attr == "get" and not node.args and not node.keywords:
                return function.value
            if function.value.id in ("np", "numpy", "math"):
                node.func = ast.copy_location(ast.Name(function.attr, ast.Load()), function)
        self.generic_visit(node)
        return node
