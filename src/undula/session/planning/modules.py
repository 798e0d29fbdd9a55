"""`bp`, `bps`, `bpp` at the prompt: Bluesky's plans by name, read from its source, not imported.

In: the source of the installed Bluesky. Out: `PlanFunction`s with signature and text for `?`. An
unknown name is refused with what comes near. `np` is numpy, imported at its first use.
"""

from __future__ import annotations

import ast
import difflib
import functools
import importlib
import importlib.util
import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

from undula.core.errors import InputError
from undula.session.planning.model import PlanFunction, Written

MODULES = {"bp": "bluesky.plans", "bps": "bluesky.plan_stubs", "bpp": "bluesky.preprocessors"}
WHAT = {
    "bp": "Bluesky's plans: bp.scan([D.diode], M.samx, -1, 1, 21) makes one, RE(...) runs it.",
    "bps": "Bluesky's plan stubs, the parts of plans: yield from bps.mv(M.samx, 1).",
    "bpp": "Bluesky's wrappers and decorators of plans: @bpp.run_decorator().",
}


class UnknownPlanError(InputError, AttributeError):
    """A name that Bluesky does not have; for Python an `AttributeError`, too."""


class PlanModule:
    """Bluesky's plans of one module, by attribute."""

    def __init__(self, name: str) -> None:
        self.__name__ = name
        self.__doc__ = WHAT[name]

    def __getattr__(self, name: str) -> PlanFunction:
        if name.startswith("_"):
            raise AttributeError(name)
        found = _functions(MODULES[self.__name__])
        if name not in found:
            raise UnknownPlanError(f"there is no {self.__name__}.{name}", remedy=self._near(name))
        signature, doc = found[name]
        return PlanFunction(self.__name__, name, signature, doc)

    def _near(self, name: str) -> str:
        for module, path in MODULES.items():
            if module != self.__name__ and name in _functions(path):
                return f"did you mean {module}.{name}?"
        near = difflib.get_close_matches(name, dir(self), 1)
        return f"did you mean {self.__name__}.{near[0]}?" if near else f"Tab after {self.__name__}."

    def __dir__(self) -> list[str]:
        return sorted(_functions(MODULES[self.__name__]))

    def __repr__(self) -> str:
        return f"{WHAT[self.__name__]}\n{', '.join(dir(self))}"


@functools.cache
def _functions(module: str) -> dict[str, tuple[inspect.Signature | None, str]]:
    """Public functions of a module of Bluesky: signature (None when unknown) and text."""
    package = importlib.util.find_spec("bluesky")
    places = package.submodule_search_locations if package is not None else None
    if not places:
        raise InputError("Bluesky is not installed here", remedy="install undula with all it needs")
    path = Path(places[0]) / f"{module.rpartition('.')[2]}.py"
    found: dict[str, tuple[inspect.Signature | None, str]] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            found[node.name] = (_signature(node.args), ast.get_docstring(node) or "")
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            _add_alias(found, node.targets[0].id, node.value)
    return {n: about for n, about in found.items() if n not in _HELPERS and n[0] != "_"}


_HELPERS = ("derive_default_hints", "plan_mutator", "msg_mutator", "make_decorator", "pchain")
"""Functions of these modules that are no plans."""


def _add_alias(
    found: dict[str, tuple[inspect.Signature | None, str]], name: str, value: ast.expr
) -> None:
    if isinstance(value, ast.Name) and value.id in found:  # mov = mv
        found[name] = found[value.id]
    elif name.endswith("_decorator"):  # run_decorator = make_decorator(run_wrapper)
        wrapper = name.removesuffix("_decorator") + "_wrapper"
        about = found.get(wrapper, (None, ""))[1]
        found[name] = (
            None,
            f"As bpp.{wrapper} without its first argument, before `def`.\n\n{about}",
        )


def _signature(arguments: ast.arguments) -> inspect.Signature:
    kinds = inspect.Parameter
    placed = [*arguments.posonlyargs, *arguments.args]
    first = len(placed) - len(arguments.defaults)
    found = []
    for i, one in enumerate(placed):
        kind = (
            kinds.POSITIONAL_ONLY if i < len(arguments.posonlyargs) else kinds.POSITIONAL_OR_KEYWORD
        )
        default = arguments.defaults[i - first] if i >= first else None
        found.append(kinds(one.arg, kind, default=_default(default)))
    if arguments.vararg is not None:
        found.append(kinds(arguments.vararg.arg, kinds.VAR_POSITIONAL))
    for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        found.append(kinds(one.arg, kinds.KEYWORD_ONLY, default=_default(default)))
    if arguments.kwarg is not None:
        found.append(kinds(arguments.kwarg.arg, kinds.VAR_KEYWORD))
    return inspect.Signature(found)


def _default(node: ast.expr | None) -> Any:
    return inspect.Parameter.empty if node is None else Written(ast.unparse(node))


class LaterModule(ModuleType):
    """A module that is imported when it is first used: the prompt opens without waiting for it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__version__":
            raise AttributeError(name)
        return getattr(importlib.import_module(self.__name__), name)

    def __dir__(self) -> list[str]:
        return dir(importlib.import_module(self.__name__))
