"""From the source of a plan to its functions: each part made in a namespace, with its own lines.

In: a `PlanSource`, the names it may use. Out: those names and its own. Ordinary errors name the
line as the person wrote it. Imports nothing of Bluesky: the throw-away process needs it quickly.
"""

from __future__ import annotations

import ast
import linecache
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FunctionType, TracebackType
from typing import Any

from undula.core.errors import InputError, UndulaError
from undula.messages import PlanSource, SourcePart

_MAKER = "_made_here"


def define(source: PlanSource, names: dict[str, Any]) -> None:
    """Make all parts in `names`, in their order. Raises: InputError naming the line."""
    for part in source.parts:
        try:
            names[part.name] = _made(part, names)
        except UndulaError as error:
            error.where = error.where or where_in(source, error.__traceback__) or None
            raise
        except BaseException as exc:  # a person's own code may raise anything, also sys.exit()
            place = (
                _syntax_place(exc)
                or where_in(source, exc.__traceback__)
                or f"{part.origin or 'data'}: {part.name}"
            )
            raise InputError(
                f"the plan cannot be made: {type(exc).__name__}: {exc}",
                remedy=_remedy(part, exc),
                where=place,
            ) from exc


def unreadable(file: Path, exc: Exception) -> str:
    """What is wrong with a file of people's code that cannot be read, and what to do."""
    if isinstance(exc, UnicodeDecodeError):
        line = exc.object[: exc.start].count(b"\n") + 1
        return f"[{file.name}, line {line}] it is no UTF-8 text. Remedy: save the file as UTF-8."
    return f"[{file.name}] it cannot be read: {exc}"


def _syntax_place(exc: BaseException) -> str:
    if not isinstance(exc, SyntaxError) or not exc.lineno:
        return ""
    return f"{exc.filename}, line {exc.lineno}: {(exc.text or '').strip()}"


def _remedy(part: SourcePart, exc: BaseException) -> str:
    if isinstance(exc, ImportError):
        return "install the module where the engine runs, or write what it does into the plan"
    return "correct what is decorated, or take it out of the plan" if part.decorated else "mend it"


def _made(part: SourcePart, names: dict[str, Any]) -> Any:
    if part.kind == "data":
        return eval(part.code, names)  # noqa: S307  # a person's data, with the trust of a user
    if part.kind == "import":
        exec(part.code, names)  # noqa: S102  # a person's import, with the trust of a user
        return names[part.name]
    if part.kind == "file":
        exec(compile(part.code, part.origin, "exec"), names)  # noqa: S102  # a person's file, likewise
        return names[part.name]
    return _function(part, names)


def parsed(part: SourcePart) -> ast.FunctionDef | ast.Lambda:
    """A function's syntax tree, with the lines that it has where it was written.

    Raises: InputError when it is none.
    """
    indented = part.code[:1] in " \t"
    text = f"if 1:\n{part.code}" if indented else part.code
    try:
        node: Any = ast.parse(text).body[0]
    except SyntaxError as exc:
        raise InputError(
            f"{part.name} cannot be read: {exc.msg}",
            remedy="write it in lines of its own: def ..., then the rest",
            where=f"{part.origin}, line {part.line}",
        ) from exc
    node = node.body[0] if indented else node
    ast.increment_lineno(node, part.line - (2 if indented else 1))
    found = node.value if isinstance(node, ast.Assign) else node
    if not isinstance(found, ast.FunctionDef | ast.Lambda):
        raise InputError(f"{part.name} is no function", remedy="write it as def ...")
    return found


def _function(part: SourcePart, names: dict[str, Any]) -> Any:
    """The function, made inside another one that has what is free in it as arguments."""
    node = parsed(part)
    _bare(node, part)
    result: ast.expr = (
        ast.Name(node.name, ast.Load()) if isinstance(node, ast.FunctionDef) else node
    )
    body: list[ast.stmt] = [node] if isinstance(node, ast.FunctionDef) else []
    free = [name for name in part.free if name != getattr(node, "name", "")]
    maker: Any = ast.parse(f"def {_MAKER}({', '.join(free)}): pass").body[0]
    maker.body = [*body, ast.Return(result)]
    tree = ast.fix_missing_locations(ast.Module([maker], []))
    try:
        exec(compile(tree, part.origin, "exec"), names)  # noqa: S102  # a person's plan, likewise
        made = names[_MAKER](*(eval(part.free[n], names) for n in free))  # noqa: S307  # likewise
    finally:
        names.pop(_MAKER, None)
    if isinstance(made, FunctionType):
        made.__qualname__ = part.name
    return made


def _bare(node: ast.FunctionDef | ast.Lambda, part: SourcePart) -> None:
    """Without annotations and what does not belong to it; with the defaults that it had."""
    arguments = node.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    for one in (*every, arguments.vararg, arguments.kwarg):
        if one is not None:
            one.annotation = None
    if isinstance(node, ast.FunctionDef):
        node.returns = None
        if not part.decorated:
            node.decorator_list = []
    placed = [*arguments.posonlyargs, *arguments.args]
    named = [a.arg for a in placed[len(placed) - len(arguments.defaults) :]]
    arguments.defaults = [
        _default(part, n, d) for n, d in zip(named, arguments.defaults, strict=True)
    ]
    arguments.kw_defaults = [
        None if d is None else _default(part, a.arg, d)
        for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    ]


def _default(part: SourcePart, name: str, written: ast.expr) -> ast.expr:
    text = part.defaults.get(name)
    return written if text is None else ast.parse(text, mode="eval").body


def where_in(source: PlanSource, trace: TracebackType | None) -> str:
    """The innermost line of the person's own text that a traceback passes; '' when none."""
    found = ""
    while trace is not None:
        text = line_of(source, trace.tb_frame.f_code.co_filename, trace.tb_lineno)
        found = text or found
        trace = trace.tb_next
    return found


def line_of(source: PlanSource, origin: str, line: int) -> str:
    """A line of a plan as people know it: cell or file, number, text; '' when it is not there."""
    for part in source.parts:
        if part.kind == "import" and part.origin and part.origin == origin:
            return f"{origin}, line {line}: {linecache.getline(origin, line).strip()}"
        lines = part.code.splitlines()
        if (
            part.kind in ("function", "file")
            and part.origin == origin
            and 0 <= line - part.line < len(lines)
        ):
            return f"{origin}, line {line}: {lines[line - part.line].strip()}"
    return ""


def refuse_forgotten(source: PlanSource) -> None:
    """Raise InputError for a call of `bp` or `bps` that stands alone: it would do nothing."""
    for part in source.parts:
        for top in _functions_of(part):
            for node in forgotten(top):
                raise InputError(
                    f"{ast.unparse(node)[:100]} makes a plan, which nobody runs",
                    remedy="write yield from before it",
                    where=line_of(source, part.origin, node.lineno) or part.name,
                )


def forgotten(tree: ast.AST) -> Iterator[ast.Expr]:
    """Calls of `bp` or `bps` that stand alone: they make plans, which nobody runs."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and _is_plan_call(node.value):
            yield node


def _functions_of(part: SourcePart) -> Sequence[ast.AST]:
    """The functions of a part that a plan may run, with the lines that they have there."""
    if part.kind == "function":
        return [parsed(part)]
    return _reached(ast.parse(part.code), part.name) if part.kind == "file" else []


def _is_plan_call(node: ast.expr) -> bool:
    function = node.func if isinstance(node, ast.Call) else None
    owner = function.value if isinstance(function, ast.Attribute) else None
    return isinstance(owner, ast.Name) and owner.id in ("bp", "bps")


def names_used(source: PlanSource, visit: Callable[[ast.AST, frozenset[str]], None]) -> None:
    """Call `visit` with each syntax tree of a source and the names that are its own in there."""
    taken = {part.name for part in source.parts}
    for part in source.parts:
        if part.kind == "import":
            continue
        texts = [*part.free.values(), *part.defaults.values()]
        texts += [part.code] if part.kind == "data" else []
        for text in texts:
            visit(ast.parse(text, mode="eval"), frozenset(taken))
        if part.kind == "function":
            node = parsed(part)
            visit(node, frozenset(taken | _bound(node)))
        if part.kind == "file":
            for statement in _reached(ast.parse(part.code), part.name):
                visit(statement, frozenset(taken | _bound(statement)))
    visit(ast.parse(source.call, mode="eval"), frozenset(taken))


def _reached(module: ast.Module, name: str) -> list[ast.AST]:
    """The statements of a file that `name` uses, directly or by way of others."""
    given: dict[str, ast.stmt] = {}
    for statement in module.body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            given[statement.name] = statement
        else:
            given |= dict.fromkeys(_stored(statement), statement)
    found: dict[int, ast.AST] = {}
    wanted = [name]
    while wanted:
        node = given.get(wanted.pop())
        if node is not None and id(node) not in found:
            found[id(node)] = node
            wanted += [n.id for n in ast.walk(node) if isinstance(n, ast.Name)]
    return list(found.values())


def _stored(node: ast.AST) -> set[str]:
    return {
        n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }


def _bound(node: ast.AST) -> set[str]:
    """Names that a function gives itself: arguments, and what it assigns."""
    return _stored(node) | {n.arg for n in ast.walk(node) if isinstance(n, ast.arg)}
