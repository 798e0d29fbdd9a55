"""What a plan file or a package gives, found out in a process that may die of it.

In, on stdin: JSON with the file's text and name, or a package's entry point, and the names that a
plan sees. Out, on stdout: JSON with its plans, their arguments from type hints and docstring, its
hooks, or its fault with the line. Imports nothing of Bluesky unless the file does.
Run as `python -m undula.scans.describe_plans`.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import json
import math
import signal
import subprocess
import sys
import typing
from collections.abc import Callable, Iterable, Mapping
from types import FunctionType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from undula.core.errors import InputError
from undula.core.plan_words import HINTS
from undula.messages.plans import ParameterKind, PlanParameter, UserPlan
from undula.scans.hook_words import Collected, words
from undula.scans.plan_code import define
from undula.scans.try_plan import GRACE_S, StandIn

DEADLINE_S = 20.0
Describe = Callable[[Mapping[str, Any]], dict[str, Any]]
_DEVICE_WORDS: tuple[tuple[str, ParameterKind], ...] = (
    ("Movable", "axis"), ("Locatable", "axis"), ("Positioner", "axis"), ("Motor", "axis"),
    ("Settable", "axis"), ("Axis", "axis"), ("Readable", "detector"), ("Detector", "detector"),
    ("Triggerable", "detector"), ("Flyable", "device"), ("Device", "device"),
)  # fmt: skip
_MANY: dict[str, ParameterKind] = {
    "axis": "axes", "detector": "detectors", "device": "devices", "number": "numbers",
    "whole": "numbers",
}  # fmt: skip
_PLAIN: dict[Any, ParameterKind] = {
    float: "number",
    int: "whole",
    bool: "truth",
    str: "text",
    "float": "number",
    "int": "whole",
    "bool": "truth",
    "str": "text",
}


def describe(question: Mapping[str, Any], deadline_s: float = DEADLINE_S) -> dict[str, Any]:
    """Ask a throw-away process. Returns: `{"plans": [...], "hooks": [...], "fault": ""}`.

    Never raises for what the file does: a crash, an exit and a hang are its fault, told in words.
    """
    origin = str(question["origin"])
    try:
        done = subprocess.run(
            [sys.executable, "-m", "undula.scans.describe_plans", _alarm(deadline_s)],
            input=json.dumps(question),
            capture_output=True,
            text=True,
            timeout=deadline_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        error = InputError(
            f"reading it took longer than {deadline_s:g} s",
            remedy="take what waits or connects out of its imports and top level",
            where=origin,
        )
        return {"plans": [], "hooks": [], "fault": str(error)}
    try:
        return dict(json.loads(done.stdout.splitlines()[-1]))
    except (IndexError, ValueError, TypeError):
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit {done.returncode}"
        error = InputError(
            f"reading it ends the process ({how}): {last}",
            remedy="take that out of its imports and top level; the engine did not read it",
            where=origin,
        )
        return {"plans": [], "hooks": [], "fault": str(error)}


def _alarm(deadline_s: float) -> str:
    return str(math.ceil(deadline_s) + GRACE_S)


class _Names(dict[str, Any]):
    """The names of a file; those that a plan sees later stand for something, others are a fault."""

    def __init__(self, known: Iterable[str]) -> None:
        super().__init__({**HINTS, "__name__": "plan_file"})
        self._known = set(known)

    def __missing__(self, name: str) -> Any:
        if name not in self._known:
            raise KeyError(name)
        if name == "np":
            import numpy as np

            return np
        return StandIn()


def read_file(question: Mapping[str, Any]) -> dict[str, Any]:
    """The answer for a file. Raises: InputError that names its line."""
    from undula.messages import PlanSource, SourcePart

    names, origin, text = _Names(question["names"]), question["origin"], question["text"]
    collected = Collected()
    if question.get("hooks"):
        names.update(words(collected))
    part = SourcePart(kind="file", name="__name__", code=text, origin=origin)
    define(PlanSource(name="plan", call="plan", parts=[part]), names)
    own = [n for n in _top_level(text) if not n.startswith("_") and n in names]
    plans = [described(n, names[n], origin) for n in own if is_plan(names[n])]
    return {
        "plans": [plan.model_dump() for plan in plans],
        "functions": [n for n in own if isinstance(_bare(names[n]), FunctionType)],
        "author": names.get("__author__", ""),
        "hooks": [info.model_dump() for info in collected.infos()],
        "preprocessors": [name for name, *_ in collected.preprocessors],
        "fault": "",
    }


def read_package(question: Mapping[str, Any]) -> dict[str, Any]:
    """The answer for an entry point: a function, or a module whose plans are meant."""
    from importlib.metadata import EntryPoint

    value = question["value"]
    found = EntryPoint(question["name"], value, "undula.plans").load()
    module = value.partition(":")[0]
    if inspect.ismodule(found):
        members = {
            name: member
            for name, member in vars(found).items()
            if not name.startswith("_") and getattr(member, "__module__", "") == found.__name__
        }
        module = found.__name__
    else:
        members = {question["name"]: found}
    plans, sources = [], {}
    for name, member in members.items():
        if is_plan(member):
            bare = _bare(member)
            plans.append(described(name, member, question["origin"]))
            attribute = name if name in vars(sys.modules[module]) else bare.__name__
            sources[name] = [module, attribute, inspect.getsourcefile(bare) or ""]
    return {
        "plans": [plan.model_dump() for plan in plans],
        "sources": sources,
        "hooks": [],
        "fault": "",
    }


def is_plan(value: Any) -> bool:
    """A generator function, or a function that is annotated to return `Points`."""
    function = _bare(value)
    return isinstance(function, FunctionType) and (
        inspect.isgeneratorfunction(function) or declares(function)
    )


def declares(function: FunctionType) -> bool:
    """It is annotated to return its `Points`."""
    hint = function.__annotations__.get("return")
    return "Points" in (hint if isinstance(hint, str) else getattr(hint, "__name__", ""))


def _bare(value: Any) -> Any:
    return inspect.unwrap(value) if callable(value) else value


def _top_level(text: str) -> list[str]:
    names: dict[str, None] = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef):
            names[node.name] = None
        elif isinstance(node, ast.Assign):
            names |= dict.fromkeys(t.id for t in node.targets if isinstance(t, ast.Name))
    return list(names)


def described(name: str, value: Any, origin: str) -> UserPlan:
    """The plan with its arguments."""
    function = _bare(value)
    text, helps = split_docstring(inspect.getdoc(function) or "")
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except Exception:  # a hint may be any text: then it is read as it stands
        hints = dict(function.__annotations__)
    parameters = [
        parameter(p, hints.get(p.name), helps.get(p.name, ""))
        for p in inspect.signature(function).parameters.values()
        if p.kind is not p.VAR_KEYWORD
    ]
    return UserPlan(
        name=name,
        origin=origin,
        line=function.__code__.co_firstlineno,
        help=text,
        parameters=parameters,
        declared=declares(function),
    )


def parameter(given: inspect.Parameter, hint: Any, text: str) -> PlanParameter:
    """One argument. Bounds and units stand in `Annotated[float, "mm", Field(ge=0)]`."""
    fields: dict[str, Any] = {}
    kind, choices = kind_of(hint, fields)
    return PlanParameter(
        name=given.name,
        kind=kind,
        required=given.default is given.empty and given.kind is not given.VAR_POSITIONAL,
        default="" if given.default is given.empty else repr(given.default)[:200],
        many=given.kind is given.VAR_POSITIONAL,
        named=given.kind is given.KEYWORD_ONLY,
        choices=choices,
        **({"help": text} | fields),
    )


def kind_of(hint: Any, fields: dict[str, Any]) -> tuple[ParameterKind, list[Any]]:
    """What a type hint allows; bounds, unit and help of `Annotated` go into `fields`."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is typing.Annotated:
        for note in inner[1:]:
            fields |= _noted(note)
        return kind_of(inner[0], fields)
    if origin is Literal:
        return "choice", list(inner)
    if origin in (Union, UnionType):
        kinds = [kind_of(each, fields) for each in inner if each is not type(None)]
        found = {kind for kind, _ in kinds}
        either: tuple[ParameterKind, list[Any]]
        either = ("number", []) if found == {"number", "whole"} else ("any", [])
        return kinds[0] if len(found) == 1 else either
    if (many := _many(origin, inner, fields)) is not None:
        return many, []
    if hint in _PLAIN if isinstance(hint, str | type) else False:
        return _PLAIN[hint], []
    name = hint if isinstance(hint, str) else getattr(origin or hint, "__name__", "")
    return next((kind for word, kind in _DEVICE_WORDS if word in name), "any"), []


def _many(origin: Any, inner: tuple[Any, ...], fields: dict[str, Any]) -> ParameterKind | None:
    """The kind of a list of something; None for anything else."""
    sequence = isinstance(origin, type) and issubclass(origin, Iterable)
    if not inner or not sequence or issubclass(origin, Mapping):
        return None
    kind, _ = kind_of(inner[0], fields)
    return _MANY.get(kind, "any")


def _noted(note: Any) -> dict[str, Any]:
    if isinstance(note, str):
        return {"unit": note}
    found: dict[str, Any] = {}
    for here, there in (("ge", "low"), ("le", "high"), ("gt", "above"), ("lt", "below")):
        for each in (note, *getattr(note, "metadata", ())):
            bound = getattr(each, here, None)
            if isinstance(bound, int | float):
                found[there] = float(bound)
    if isinstance(described_as := getattr(note, "description", None), str):
        found["help"] = described_as
    return found


def split_docstring(text: str) -> tuple[str, dict[str, str]]:
    """The explanation, and what is said of each argument (`Args:` of Google, or of NumPy).

    >>> split_docstring("Align.\\n\\nArgs:\\n    axis: the one to move,\\n        in mm.\\n")
    ('Align.', {'axis': 'the one to move, in mm.'})
    >>> split_docstring("Align.\\n\\nParameters\\n----------\\nnum : int\\n    how many\\n")
    ('Align.', {'num': 'how many'})
    """
    lines, helps, last, section, base = [], {}, "", False, 0
    for line in text.splitlines():
        bare = line.strip()
        depth = len(line) - len(line.lstrip())
        if bare in ("Args:", "Arguments:", "Parameters:", "Parameters"):
            section, last = True, ""
        elif section and bare and not set(bare) <= {"-"}:
            if depth == 0 and bare.endswith(":") and " " not in bare:
                section = False  # Returns:, Raises:
                continue
            head, colon, rest = bare.partition(":")
            name = head.split("(")[0].strip()
            if colon and name.lstrip("*").isidentifier() and (not last or depth <= base):
                last, base = name.lstrip("*"), depth
                helps[last] = rest.strip() if depth else ""
            elif last:
                helps[last] = f"{helps[last]} {bare}".strip()
        elif not section:
            lines.append(line)
    return "\n".join(lines).strip(), helps


def answer(question: Mapping[str, Any]) -> dict[str, Any]:
    """The answer, found out in this process; a fault is part of it."""
    try:
        return read_package(question) if "value" in question else read_file(question)
    except Exception as exc:  # a person's own code may raise anything
        return {"plans": [], "hooks": [], "fault": _fault(exc, question["origin"])}


def main() -> int:
    """Answer the question on stdin."""
    signal.alarm(int(sys.argv[1]))  # also when who asked is gone
    question = json.loads(sys.stdin.read())
    with contextlib.redirect_stdout(sys.stderr):
        answered = answer(question)
    sys.stdout.write(json.dumps(answered) + "\n")
    return 0


def _fault(exc: Exception, origin: str) -> str:
    if isinstance(exc, InputError):
        return str(exc)
    trace = exc.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}, line {trace.tb_lineno}" if trace else origin
    error = InputError(
        f"{type(exc).__name__}: {exc}, at {place}", remedy="mend the package", where=origin
    )
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
