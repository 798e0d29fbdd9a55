"""Facts about functions and generators that were written at the prompt or in a plan file. Pure.

In: a function, or a generator that has not begun. Out: its text and place, the names it uses, the
call that made it.
"""

from __future__ import annotations

import ast
import builtins
import dis
import inspect
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import CellType, CodeType, FunctionType, GeneratorType
from typing import Any

from undula.core.errors import InputError
from undula.session.planning.model import Decorated


def raw(value: Any) -> FunctionType | None:
    """The function as it stands in the text, under its decorators; None when there is none."""
    for _ in range(100):
        if isinstance(value, Decorated):
            value = value.function
        elif isinstance(value, FunctionType) and hasattr(value, "__wrapped__"):
            value = value.__wrapped__
        else:
            break
    return value if isinstance(value, FunctionType) else None


def generator_of(plan: Any) -> GeneratorType[Any, Any, Any] | None:
    """The generator in what a person gives as a plan; None when it is none."""
    if type(plan).__name__ == "Plan" and type(plan).__module__.startswith("bluesky."):
        plan._stack = None  # Bluesky's wrapper would warn that nobody runs it
        plan = plan._iter
    return plan if isinstance(plan, GeneratorType) else None


def called(
    generator: GeneratorType[Any, Any, Any], here: Mapping[str, Any]
) -> tuple[FunctionType, list[Any], dict[str, Any]]:
    """Function, positional and named arguments of the call that made a generator.

    Raises: InputError when it has begun.
    """
    frame, code = generator.gi_frame, generator.gi_code
    if frame is None or inspect.getgeneratorstate(generator) != inspect.GEN_CREATED:
        raise InputError(
            f"this plan of {code.co_name} has begun already",
            remedy=f"make a new one: RE({code.co_name}(...)) in one line",
        )
    values, names = frame.f_locals, iter(code.co_varnames)
    args = [values[next(names)] for _ in range(code.co_argcount)]
    kwargs = {(name := next(names)): values[name] for _ in range(code.co_kwonlyargcount)}
    if code.co_flags & inspect.CO_VARARGS:
        args += values[next(names)]
    if code.co_flags & inspect.CO_VARKEYWORDS:
        kwargs |= values[next(names)]
    for known in (*frame.f_globals.values(), *here.values()):
        function = raw(known) if isinstance(known, FunctionType | Decorated) else None
        if function is not None and function.__code__ is code and _holds(function, values):
            return function, *_as_typed(function, args, kwargs)
    for name in code.co_freevars:
        if name not in values:
            raise no_value(code.co_name, name)
    cells = tuple(CellType(values[name]) for name in code.co_freevars)
    return FunctionType(code, frame.f_globals, code.co_name, None, cells), args, kwargs


def _as_typed(
    function: FunctionType, args: list[Any], kwargs: dict[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """The arguments without those that are as the function gives them by itself.

    >>> def f(x, num=1, delay=0.0, *, md=None): ...
    >>> _as_typed(f, [[2], 3, 0.0], {"md": None})
    ([[2], 3], {})
    """
    given = function.__kwdefaults__ or {}
    kwargs = {n: v for n, v in kwargs.items() if n not in given or not _same(v, given[n])}
    defaults = list(function.__defaults__ or ())
    args = list(args)
    if len(args) == function.__code__.co_argcount:
        while defaults and _same(args[-1], defaults.pop()):
            args.pop()
    return args, kwargs


def _same(value: Any, default: Any) -> bool:
    """They are the same plain value."""
    plain = value is None or type(value) in (bool, int, float, str)
    return plain and type(value) is type(default) and bool(value == default)


def _holds(function: FunctionType, values: Mapping[str, Any]) -> bool:
    """What it has from around it is what the generator has."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    return all(_content(cell) is values.get(name, _content) for name, cell in cells)


def _content(cell: CellType) -> Any:
    """What is in it; `_content` itself when nothing is yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return _content


def around(function: FunctionType) -> dict[str, Any]:
    """What a function has from around it, by name. Raises: InputError where nothing is yet."""
    found = {
        name: _content(cell)
        for name, cell in zip(
            function.__code__.co_freevars, function.__closure__ or (), strict=True
        )
    }
    for name, value in found.items():
        if value is _content:
            raise no_value(function.__name__, name)
    return found


def no_value(user: str, name: str) -> InputError:
    """A name around a function that is given its value later."""
    return InputError(
        f"{user} uses {name!r}, which has no value yet", remedy=f"define {name} before this line"
    )


def library_name(value: Any) -> tuple[str, str] | None:
    """Module and name from which anybody can import this very object; None when nobody can."""
    module = getattr(value, "__module__", None)
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    if not isinstance(module, str) or not isinstance(name, str) or module == "__main__":
        return None
    found = getattr(sys.modules.get(module), name, None)
    if found is value:
        return module, name
    code = getattr(value, "__code__", None)  # made anew from a generator, or under a decorator
    inner = raw(found)
    return (module, name) if code is not None and inner and inner.__code__ is code else None


def text_of(function: FunctionType) -> tuple[str, int]:
    """Text and first line of a function. Raises: InputError when they are not known."""
    name = function.__name__
    try:
        lines, line = inspect.getsourcelines(function.__code__)
    except (OSError, TypeError) as exc:
        raise InputError(
            f"the text of {name} is not known",
            remedy="define it in a cell or in a plan file, not by exec",
        ) from exc
    text = "".join(lines)
    if name == "<lambda>" and not _names_a_lambda(text):
        raise InputError(
            f"a lambda in {text.strip()[:80]!r} cannot be told from the rest of its line",
            remedy="write it as def ..., or as name = lambda ... in a line of its own",
        )
    return text, line


def _names_a_lambda(text: str) -> bool:
    try:
        body = ast.parse(text.strip()).body
    except SyntaxError:
        return False
    named = (
        len(body) == 1 and isinstance(body[0], ast.Assign) and isinstance(body[0].value, ast.Lambda)
    )
    # with a second one in the line nobody knows which of them it is
    return named and sum(isinstance(node, ast.Lambda) for node in ast.walk(body[0])) == 1


def origin_of(function: FunctionType) -> str:
    """Where it was written, for people: `In [3]`, or folder and file."""
    filename = function.__code__.co_filename
    shell = _ipython()
    named = shell.compile.format_code_name(filename) if shell is not None else None
    if named is not None:
        return str(named[1])
    return str(Path(*Path(filename).parts[-2:]))


def _ipython() -> Any:
    module = sys.modules.get("IPython")
    return module.get_ipython() if module is not None else None


def global_names(code: CodeType) -> Iterator[str]:
    """Names that a function and the functions in it look up outside of them, each once."""
    seen: set[str] = set()
    own = {i.argval for i in dis.get_instructions(code) if i.opname == "STORE_NAME"}
    for instruction in dis.get_instructions(code):
        name = instruction.argval
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME") and name not in seen | own:
            seen.add(name)
            yield name
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from (n for n in global_names(constant) if n not in seen)


def decorator_names(text: str) -> list[str]:
    """Names that the decorators of a function use."""
    indented = text[:1] in " \t"
    node: Any = ast.parse(f"if 1:\n{text}" if indented else text).body[0]
    node = node.body[0] if indented else node
    trees = getattr(node, "decorator_list", [])
    return [n.id for tree in trees for n in ast.walk(tree) if isinstance(n, ast.Name)]


def is_builtin(name: str) -> bool:
    """Python has it by itself."""
    return hasattr(builtins, name) or name in ("__name__", "__file__", "__doc__", "__builtins__")
