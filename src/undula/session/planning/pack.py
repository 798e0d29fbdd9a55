"""A plan on its way to the engine: the source of what it calls, and the expression that calls it.

In: a plan that has not begun (a generator, or a `PlanCall`). Out: a `PlanSource`. With it go, from
where it was written: functions, by their text; imports; plain data as it is now; devices by path.
What cannot go is refused by name.
"""

from __future__ import annotations

import difflib
import functools
import math
from collections.abc import Callable, Mapping
from pathlib import PurePath
from types import FunctionType, ModuleType
from typing import Any, NoReturn

from undula.client import ScanHandle
from undula.client.arguments import Named
from undula.core.errors import InputError
from undula.messages import PlanSource, SourcePart
from undula.messages.plans import LARGEST_CODE
from undula.session.groups import Group
from undula.session.planning import functions as facts
from undula.session.planning.model import Decorated, PackagePlan, PlanCall, PlanFunction
from undula.session.planning.modules import MODULES, PlanModule
from undula.session.planning.words import instead

_PROVIDED = object()
_AS_WRITTEN = (type(None), bool, int, str, bytes, range, type(...))
_ARRAY_KINDS = "biufcSU"
_OURS = ("undula.session", "undula.client")


class Packer:
    """Collects what one plan needs.

    Args:
        here: the names of the prompt.
        commands: id of each command of the shell, to its name.
        path_of: the path of a device, e.g. `M.samx`.
    """

    def __init__(
        self,
        here: Mapping[str, Any],
        commands: Mapping[int, str],
        path_of: Callable[[Named], str],
    ) -> None:
        self.parts: list[SourcePart] = []
        self._here = here
        self._commands = commands
        self._path_of = path_of
        self._named: dict[str, Any] = {}
        self._open: list[int] = []

    # -- expressions ------------------------------------------------------------------------

    def written(self, value: Any, what: str = "it") -> str:
        """The expression that gives `value` in the engine; packs what it needs.

        Args:
            what: what `value` is called, for a refusal.
        Raises: InputError naming what cannot go.
        """
        if type(value) in _AS_WRITTEN:
            return repr(value)
        if type(value) is float:
            return repr(value) if math.isfinite(value) else f"float({str(value)!r})"
        if type(value) is complex:
            return f"complex({self.written(value.real)}, {self.written(value.imag)})"
        if id(value) in self._open:
            raise InputError(f"{what} contains itself", remedy="give plain lists and numbers")
        self._open.append(id(value))
        try:
            return self._data(value, what) or self._special(value, what)
        finally:
            self._open.pop()

    def _data(self, value: Any, what: str) -> str:
        """Plain data; '' for anything else."""
        kind = type(value)
        if kind is dict:
            pairs = [f"{self.written(k, what)}: {self.written(v, what)}" for k, v in value.items()]
            return f"{{{', '.join(pairs)}}}"
        if kind in (list, tuple, set, frozenset):
            return _bracketed(kind, [self.written(v, what) for v in value])
        if kind is slice:
            ends = (value.start, value.stop, value.step)
            return f"slice({', '.join(self.written(v, what) for v in ends)})"
        if isinstance(value, PurePath):
            return f"{self.written(kind, what)}({str(value)!r})"
        if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
            return self._array(value, what)
        return ""

    def _array(self, value: Any, what: str) -> str:
        if value.dtype.kind not in _ARRAY_KINDS:
            self._refuse(value, what)
        self._provide("np")
        text = f"np.array({self.written(value.tolist(), what)}, dtype={value.dtype.str!r})"
        if not hasattr(value, "reshape") or value.shape == ():
            return f"{text}[()]"
        return f"{text}.reshape({value.shape!r})" if 0 in value.shape else text

    def _special(self, value: Any, what: str) -> str:
        if (given := self._of_the_beamline(value)) is not None:
            return given
        if isinstance(value, PackagePlan):
            return self._packaged(value)
        if isinstance(value, PlanCall):
            return self._call(self.written(value.target, what), value.args, value.kwargs)
        if (generator := facts.generator_of(value)) is not None:
            function, args, kwargs = facts.called(generator, self._here)
            return self._call(self._function(function, what), args, kwargs)
        if type(value) is functools.partial:
            inner = _Text(self.written(value.func, what))
            partial = self.written(functools.partial, what)
            return self._call(partial, (inner, *value.args), value.keywords)
        return self._object(value, what)

    def _of_the_beamline(self, value: Any) -> str | None:
        """What the engine has: devices, their groups, Bluesky's plans."""
        if isinstance(value, PlanFunction) and not isinstance(value, PackagePlan):
            self._provide(value.module)
            return repr(value)
        if isinstance(value, PlanModule):
            return self._provide(value.__name__)
        if isinstance(value, Group):
            return self._provide(str(vars(value)["_path"]))
        if isinstance(value, Named):
            path = self._path_of(value)
            self._provide(path.partition(".")[0])
            return path
        return None

    def _call(self, function: str, args: Any, kwargs: Mapping[str, Any]) -> str:
        what = f"an argument of {function}"
        parts = [a if isinstance(a, _Text) else self.written(a, what) for a in args]
        parts += [
            f"{name}={self.written(v, f'{name} of {function}')}" for name, v in kwargs.items()
        ]
        return f"{function}({', '.join(parts)})"

    def _object(self, value: Any, what: str) -> str:
        """The name of a module, function or class, which is packed."""
        for name, known in self._named.items():
            if known is value:
                return name
        if id(value) in self._commands:
            self._refuse_command(self._commands[id(value)], what)
        if isinstance(value, ModuleType | FunctionType | Decorated):
            for name, known in self._here.items():
                if known is value and name not in self._named:
                    self.bind(name, value, what)
                    return name
        if isinstance(value, ModuleType):
            short = self._unused(value.__name__.replace(".", "_"))
            return self._import(f"import {value.__name__} as ", short, value)
        library = facts.library_name(value)
        if library is not None and not library[0].startswith(_OURS):
            return self._from_library(library, value)
        if isinstance(value, FunctionType | Decorated):
            return self._function(value, what)
        return self._refuse(value, what)

    def _packaged(self, value: PackagePlan) -> str:
        known = next((name for name, other in self._named.items() if other is value), "")
        here = value.name if self._here.get(value.name) is value else ""
        name = here if here not in self._named else ""
        return known or self._import(value.statement, name or self._unused(value.name), value)

    def _from_library(self, library: tuple[str, str], value: Any) -> str:
        module, name = library
        short = next((n for n, path in MODULES.items() if path == module), None)
        if short is not None and self._named.get(short, _PROVIDED) is _PROVIDED:
            self._named[short] = _PROVIDED
            return f"{short}.{name}"
        if module == "builtins":
            return name
        return self._import(f"from {module} import {name} as ", self._unused(name), value)

    def _import(self, statement: str, name: str, value: Any) -> str:
        self._named[name] = value
        self.parts.append(SourcePart(kind="import", name=name, code=statement + name))
        return name

    # -- names ------------------------------------------------------------------------------

    def bind(self, name: str, value: Any, what: str) -> None:
        """Give `name` the value that it has here. Raises: InputError naming what cannot go."""
        if name in self._named:
            if self._same(self._named[name], name, value):
                return
            if self._named[name] is _PROVIDED:
                self._refuse_hidden(name)
            raise InputError(
                f"{name!r} means two things in this plan: one at the prompt, one in a plan file",
                remedy="rename one of them",
            )
        if self._given(name, value):
            self._named[name] = _PROVIDED
        elif id(value) in self._commands:
            self._refuse_command(self._commands[id(value)], what)
        elif isinstance(value, ModuleType):
            self._import(f"import {value.__name__} as ", name, value)
        elif isinstance(value, PackagePlan):
            self._import(value.statement, name, value)
        elif (library := facts.library_name(value)) and not library[0].startswith(_OURS):
            if library != ("builtins", name):
                self._import(f"from {library[0]} import {library[1]} as ", name, value)
        elif isinstance(value, FunctionType | Decorated):
            self._function(value, what, name)
        else:
            # a second name of the same list stays one of the same list
            code = next((n for n, known in self._named.items() if known is value), "")
            code = code or self.written(value, what)
            self._named[name] = value
            self._add("data", name, code)

    def _given(self, name: str, value: Any) -> bool:
        """The engine has it under that name."""
        if isinstance(value, Group):
            return bool(vars(value)["_path"] == name)
        if isinstance(value, PlanModule):
            return value.__name__ == name
        if isinstance(value, ModuleType):
            return value.__name__ == {**MODULES, "np": "numpy"}.get(name)
        return isinstance(value, Named) and value.device_name == name

    def _same(self, known: Any, name: str, value: Any) -> bool:
        return known is value or (known is _PROVIDED and self._given(name, value))

    def _provide(self, name: str) -> str:
        """Use a name that the engine has. Raises: InputError when the plan's own hides it."""
        if self._named.setdefault(name, _PROVIDED) is not _PROVIDED:
            self._refuse_hidden(name)
        return name

    def _unused(self, name: str) -> str:
        taken, count, plain = {*self._named, *self._here}, 2, name
        while name in taken:
            name, count = f"{plain}_{count}", count + 1
        return name

    # -- functions --------------------------------------------------------------------------

    def _function(self, value: FunctionType | Decorated, what: str, name: str = "") -> str:
        function = facts.raw(value)
        if function is None:
            self._refuse(value, what)
        for known_name, known in self._named.items():
            if known is value:
                if name:
                    self._named[name] = value
                    self._add("data", name, known_name)
                return name or known_name
        library = facts.library_name(function)
        if library is not None and not library[0].startswith(_OURS):
            return self._from_library(library, function)
        own = function.__name__ if function.__name__.isidentifier() else "a_lambda"
        # the name that it has here, if it still has it: what calls it by that name finds it
        name = name or (own if function.__globals__.get(own) is value else self._unused(own))
        self._named[name] = value
        text, line = facts.text_of(function)
        decorated = function is not value
        used = list(facts.global_names(function.__code__))
        used += facts.decorator_names(text) if decorated else []
        for each in used:
            self._bind_global(each, function)
        free = {
            each: self.written(inner, f"{each!r}, which {name} has from around it,")
            for each, inner in facts.around(function).items()
            if each != own
        }
        self.parts.append(
            SourcePart(
                kind="function",
                name=name,
                code=self._bounded(name, text),
                origin=facts.origin_of(function),
                line=line,
                free=free,
                defaults=self._defaults(function, name),
                decorated=decorated,
            )
        )
        return name

    def _bind_global(self, name: str, function: FunctionType) -> None:
        for names in (function.__globals__, self._here):
            if name in names and not (name.startswith("__") and facts.is_builtin(name)):
                self.bind(name, names[name], f"{name!r}, which {function.__name__} uses,")
                return
        if not facts.is_builtin(name):
            near = difflib.get_close_matches(name, {**function.__globals__, **self._here}, 1)
            raise InputError(
                f"{function.__name__} uses {name!r}, which is not defined",
                remedy=f"did you mean {near[0]}?" if near else "define it first",
            )

    def _defaults(self, function: FunctionType, name: str) -> dict[str, str]:
        code, values = function.__code__, function.__defaults__ or ()
        names = code.co_varnames[code.co_argcount - len(values) : code.co_argcount]
        found = dict(zip(names, values, strict=True)) | (function.__kwdefaults__ or {})
        return {k: self.written(v, f"the default of {k} in {name}") for k, v in found.items()}

    def _add(self, kind: Any, name: str, code: str) -> None:
        self.parts.append(SourcePart(kind=kind, name=name, code=self._bounded(name, code)))

    def _bounded(self, name: str, code: str) -> str:
        if len(code) > LARGEST_CODE:
            raise InputError(
                f"{name!r} has {len(code):,} characters when it is written out",
                remedy="put large data into a file and read it inside the plan",
            )
        return code

    # -- refusals ---------------------------------------------------------------------------

    def _refuse(self, value: Any, what: str) -> NoReturn:
        kind = type(value)
        if isinstance(value, type):
            raise InputError(
                f"{what} is the class {value.__name__}, which cannot go to the engine",
                remedy="use functions and plain data, or put the class into an installed module",
            )
        raise InputError(
            f"{what} is a {kind.__name__}, which cannot go to the engine",
            remedy="give plain data (numbers, texts, lists, arrays), or make it inside the plan",
        )

    def _refuse_hidden(self, name: str) -> NoReturn:
        raise InputError(
            f"the plan has a {name!r} of its own, and needs the beamline's {name!r} as well",
            remedy=f"rename the plan's {name!r}",
        )

    def _refuse_command(self, name: str, what: str) -> NoReturn:
        raise InputError(f"{what} is the shell's {name}: it acts at once", remedy=instead(name))


def _bracketed(kind: type, parts: list[str]) -> str:
    inner = ", ".join(parts)
    if kind is list:
        return f"[{inner}]"
    if kind is tuple:
        return f"({inner},)" if len(parts) == 1 else f"({inner})"
    return f"{kind.__name__}([{inner}])"


class _Text(str):
    """An expression that is written already."""

    __slots__ = ()


def plan_name(plan: Any) -> str:
    """What a plan is called."""
    if isinstance(plan, PlanCall):
        target = plan.target
        inner = plan.args[0] if plan.args else None
        if isinstance(inner, PlanCall) or facts.generator_of(inner) is not None:
            return plan_name(inner)  # a wrapper around it
        return target.name if isinstance(target, PlanFunction) else target.function.__name__
    generator = facts.generator_of(plan)
    return generator.gi_code.co_name if generator is not None else type(plan).__name__


def check_is_plan(plan: Any, commands: Mapping[int, str]) -> None:
    """Raises: InputError that says what a person probably meant."""
    if isinstance(plan, PlanCall) and not isinstance(plan.target, PlanFunction | Decorated):
        raise InputError(f"{plan!r} is no plan", remedy="RE(bp.scan([D.diode], M.samx, -1, 1, 21))")
    if isinstance(plan, PlanCall) or type(plan).__name__ in ("generator", "Plan"):
        return
    if id(plan) in commands or callable(plan):
        name = commands.get(id(plan)) or getattr(plan, "__name__", "it")
        raise InputError(
            f"{name} is not called", remedy=f"write RE({name}(...)), with its arguments"
        )
    if plan is None or isinstance(plan, ScanHandle):
        raise InputError(
            "there is no plan in the brackets: what stands there has run already",
            remedy="scan(...) and mv(...) act at once; a plan is RE(bp.scan(...)), RE(bps.mv(...))",
        )
    raise InputError(
        f"{type(plan).__name__} is no plan",
        remedy="e.g. RE(bp.scan([D.diode], M.samx, -1, 1, 21)), or a function with yield from",
    )


def packed(plan: Any, packer: Packer) -> PlanSource:
    """The plan as source. Raises: InputError naming what cannot go to the engine."""
    name = plan_name(plan)
    call = packer.written(plan, "the plan")
    return PlanSource(name=name if name.isidentifier() else "plan", call=call, parts=packer.parts)
