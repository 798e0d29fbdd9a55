"""BEC's `compute_method`: the text of a small Python function, read as expressions, never run.

In: `def f(a, b): ... return ...` with assignments and a return of arithmetic. Out: a `Formula`, or
InputError with the line. `a.get()` and `a.value` mean the value of `a`, as in BEC; functions of
numpy and math may bear their module, which may be imported.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from undula.core.errors import InputError
from undula.devices.expression import Expression

MAX_LENGTH, MAX_STEPS = 10_000, 100
MODULES = ("np", "numpy", "math")
NUMPY_NAMES = {
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arctan2": "atan2",
    "deg2rad": "radians",
    "rad2deg": "degrees",
    "absolute": "abs",
    "fabs": "abs",
    "minimum": "min",
    "maximum": "max",
    "power": "pow",
}
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
        if len(set(self.parameters)) < len(self.parameters):
            raise self._error(function, "two arguments have one name")
        if len(function.body) > MAX_STEPS:
            raise self._error(function, f"it has {len(function.body)} lines")
        known = set(self.parameters)
        self._steps: list[tuple[str, Expression]] = []
        for statement in function.body:
            if self._steps and self._steps[-1][0] == "return":
                raise self._error(statement, "nothing is done after return")
            name, value = self._step(statement)
            if value is not None:
                self._steps.append((name, self._expression(statement, value, known)))
                known.add(name)
        if not self._steps or self._steps[-1][0] != "return":
            raise self._error(function, "it returns nothing")

    def _expression(self, statement: ast.stmt, value: ast.expr, known: set[str]) -> Expression:
        try:
            return Expression(ast.unparse(_Values(known).visit(value)), known)
        except RecursionError:
            raise self._error(statement, "it is nested too deeply") from None
        except InputError as exc:
            raise self._error(statement, f"{exc.what} ({exc.remedy})") from exc

    def __call__(self, values: Sequence[Any]) -> Any:
        """The result for values in the order of the parameters. Raises: InputError."""
        scope = dict(zip(self.parameters, values, strict=True))
        for name, expression in self._steps:
            scope[name] = expression(scope)
        return scope["return"]

    def _function(self, source: str) -> ast.FunctionDef:
        if len(source) > MAX_LENGTH:
            raise InputError(f"compute_method has {len(source)} characters", remedy=WAY_OUT)
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
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            return statement.target.id, statement.value
        if isinstance(statement, ast.AugAssign) and isinstance(statement.target, ast.Name):
            before = ast.Name(statement.target.id, ast.Load())
            return statement.target.id, ast.BinOp(before, statement.op, statement.value)
        if _says_nothing(statement):
            return "", None
        what = type(statement).__name__.lower()
        hint = ": write a if condition else b" if isinstance(statement, ast.If) else ""
        raise self._error(statement, f"{what} is not read{hint}")

    def _error(self, node: ast.stmt, what: str) -> InputError:
        return InputError(f"compute_method, line {node.lineno}: {what}", remedy=WAY_OUT)


def _says_nothing(statement: ast.stmt) -> bool:
    """A docstring, or the import of a module whose functions are known anyway."""
    if isinstance(statement, ast.Import):
        names = [name for alias in statement.names for name in (alias.name, alias.asname)]
        return all(name is None or name in MODULES for name in names)
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


class _Values(ast.NodeTransformer):
    """`a.get()` and `a.value` become `a`; `np.sin`, `math.sin` become `sin`."""

    def __init__(self, known: set[str]) -> None:
        self._known = known

    def visit_Call(self, node: ast.Call) -> ast.expr:
        """A signal's value, or a function of numpy or math by its bare name."""
        function = node.func
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
            if function.attr == "get" and not node.args and not node.keywords:
                return function.value
            if self._is_module(function.value):
                name = NUMPY_NAMES.get(function.attr, function.attr)
                node.func = ast.copy_location(ast.Name(name, ast.Load()), function)
        self.generic_visit(node)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        """A signal's value, or a constant."""
        if isinstance(node.value, ast.Name):
            if node.attr == "value" and node.value.id in self._known:
                return node.value
            if self._is_module(node.value):
                return ast.copy_location(ast.Name(node.attr, ast.Load()), node)
        return node

    def _is_module(self, name: ast.Name) -> bool:
        return name.id in MODULES and name.id not in self._known
