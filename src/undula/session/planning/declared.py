"""Bluesky's plans that are known point by point: run by name, checked whole before they start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import GeneratorType
from typing import Any

from undula.client.arguments import Named
from undula.core.plan_words import Points
from undula.plans import FORMS
from undula.session.planning.functions import called, generator_of, library_name, raw
from undula.session.planning.model import PlanCall, PlanFunction
from undula.session.planning.modules import MODULES

DECLARED = (
    "count", "scan", "rel_scan", "list_scan", "rel_list_scan", "grid_scan", "rel_grid_scan",
    "list_grid_scan", "rel_list_grid_scan", "log_scan", "rel_log_scan", "x2x_scan",
    "inner_product_scan", "relative_inner_product_scan", "spiral", "rel_spiral",
    "spiral_fermat", "rel_spiral_fermat", "spiral_square", "rel_spiral_square",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Declared:
    """A plan by name."""

    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    detectors: list[Any]
    metadata: Mapping[str, Any]


def declared(plan: Any, here: Mapping[str, Any]) -> Declared | None:
    """The plan by name; None for any that must go as source."""
    if (generator := generator_of(plan)) is not None:
        plan = _of_bluesky(generator, here)
    if not isinstance(plan, PlanCall) or not isinstance(plan.target, PlanFunction):
        return None
    name = plan.target.name
    if plan.target.module != "bp" or name not in DECLARED:
        return None
    # None is what is left out, but for num: there it means without end
    kwargs = {k: v for k, v in plan.kwargs.items() if v is not None or k == "num"}
    metadata = kwargs.pop("md", {})
    args = list(plan.args)
    detectors = args.pop(0) if args else kwargs.pop("detectors", None)
    if not isinstance(detectors, list | tuple) or not all(isinstance(d, Named) for d in detectors):
        return None
    if name == "count" and any(isinstance(v, list | tuple) for v in (*args, *kwargs.values())):
        return None  # a delay for each point
    known = {argument.name for argument in FORMS[name].every}
    simple = all(_simple(a) for a in args) and all(k in known for k in kwargs)
    if not simple or not all(isinstance(v, bool) or _simple(v) for v in kwargs.values()):
        return None
    return Declared(name, tuple(args), kwargs, list(detectors), dict(metadata))


def declares(function: Any) -> bool:
    """It is a function annotated to return its `Points`."""
    plain = raw(function)
    hint = plain.__annotations__.get("return") if plain is not None else None
    return "Points" in (hint if isinstance(hint, str) else getattr(hint, "__name__", ""))


def listed(points: Points) -> list[Any]:
    """Points that were made at the prompt, as a plan by name and its arguments."""
    if not points.axes:
        return ["count", points.num]
    name = "rel_list_scan" if points.relative else "list_scan"
    return [name, *(word for pair in points.axes.items() for word in pair)]


def _of_bluesky(
    generator: GeneratorType[Any, Any, Any], here: Mapping[str, Any]
) -> PlanCall | None:
    """A plan of Bluesky's own, made here by its real function."""
    function, args, kwargs = called(generator, here)
    module, name = library_name(function) or ("", "")
    if module != MODULES["bp"]:
        return None
    return PlanCall(PlanFunction("bp", name, None, ""), tuple(args), kwargs)


def _simple(value: Any) -> bool:
    """A device, a number, or several."""
    if isinstance(value, bool):
        return False
    if isinstance(value, list | tuple):
        return all(_simple(v) for v in value)
    number = isinstance(value, int | float) or type(value).__module__ == "numpy"
    return number or isinstance(value, Named)
