"""Room: analysis. A model line made ready to fit, and what a fit of a curve and of a map share.

In: terms, start values, what a person fixed or bounded. Out: lmfit models, fits, parameters. Calls
lmfit, so only in the process of `worker`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from undula.analysis.expression import Combined, Expression, Setting, Term
from undula.analysis.models import Role, Shape
from undula.core.errors import InputError
from undula.messages import FitParameter

FloatArray = npt.NDArray[np.float64]
Guess = Callable[..., dict[str, float]]
LARGEST = 1e100
"""Squares of larger numbers are none; of 1 over it they vanish."""
SMALLEST = 1e-13
"""Positions closer than this share of their size are one position."""
MAX_CALLS = 800
CALLS_EACH = 150
"""The same for each parameter, where there are many."""
GOOD_ENOUGH = 0.98
"""Share of the variance explained above which no other start is tried."""
BESIDE = 1e-3
"""Share of a parameter by which it is moved before a fit without errors is made once more."""
UNFIT = (ValueError, TypeError, ArithmeticError, np.linalg.LinAlgError)
"""What lmfit and numpy raise where a model has no value."""


@dataclass(frozen=True, slots=True)
class Part:
    """One term, ready to fit: its lmfit model, its kind, its sign in the sum."""

    name: str
    prefix: str
    model: Any
    role: Role
    sign: float = 1.0
    shape: Shape | None = None
    own_guess: Guess | None = None

    @property
    def names(self) -> list[str]:
        """The parameters of its function, without prefix; not what is computed from them."""
        known = inspect.signature(self.model.func).parameters
        keys = [name.removeprefix(self.prefix) for name in self.model.param_names]
        return [key for key in keys if key in known]

    def value(self, start: dict[str, float], **places: FloatArray) -> FloatArray:
        """This part alone, shape of the places (`x`, of a map `x` and `y`)."""
        given = {name: start[f"{self.prefix}{name}"] for name in self.names}
        params = self.model.make_params(**given)
        return self.sign * np.asarray(self.model.eval(params, **places), dtype=np.float64)


MakePart = Callable[[Term, float], Part]


def built(expression: Expression, make_part: MakePart) -> tuple[list[Part], Any]:
    """The terms and the whole. Raises: InputError for a parameter that a term does not have."""
    parts: list[Part] = []

    def build(tree: Term | Combined, sign: float) -> Any:
        if isinstance(tree, Term):
            part = make_part(tree, sign)
            _check_settings(tree, part)
            parts.append(part)
            return part.model
        left = build(tree.left, sign)
        minus = tree.operator == "-"
        right = build(tree.right, -sign if minus else sign)
        return left - right if minus else left + right

    return parts, build(expression.tree, 1.0)


def _check_settings(term: Term, part: Part) -> None:
    for name in term.settings:
        if name not in part.names:
            raise InputError(
                f"{term.name} has no parameter {name!r}", remedy=f"it has {', '.join(part.names)}"
            )


def settings_of(expression: Expression) -> dict[str, Setting]:
    """What was fixed or bounded, by the whole name of the parameter."""
    return {
        f"{term.prefix}{name}": setting
        for term in expression.terms
        for name, setting in term.settings.items()
    }


def varying(parts: Sequence[Part], expression: Expression) -> int:
    """How many parameters are free."""
    fixed = sum(s.fixed for term in expression.terms for s in term.settings.values())
    tied = 0
    for part in parts:
        hints = part.model.make_params()
        tied += sum(bool(hints[f"{part.prefix}{name}"].expr) for name in part.names)
    return sum(len(part.names) for part in parts) - fixed - tied


def largest_of(values: FloatArray) -> float:
    """The largest size of a value."""
    return float(np.max(np.abs(values)))


def apply(params: Any, settings: Mapping[str, Setting]) -> None:
    """Fix and bound lmfit parameters. Raises: InputError where a value cannot be."""
    for name, setting in settings.items():
        parameter = params[name]
        if setting.fixed and not parameter.min <= float(setting.value or 0.0) <= parameter.max:
            raise InputError(
                f"{name} cannot be {setting.value:g}: it lies between {parameter.min:g} and "
                f"{parameter.max:g}",
                remedy="fix it at a value in there, or leave it free",
            )
        if setting.fixed:
            parameter.set(value=setting.value, vary=False, expr="")
            continue
        value = setting.value if setting.value is not None else parameter.value
        inside = min(max(value, setting.low), setting.high)
        if inside in (setting.low, setting.high) and np.isfinite(setting.high - setting.low):
            inside = (setting.low + setting.high) / 2  # on a bound nothing moves any more
        parameter.set(value=inside, min=setting.low, max=setting.high, vary=True, expr="")


def best(model: Any, starts: Sequence[Any], values: FloatArray, **places: FloatArray) -> Any | None:
    """The best fit from several starts, the likeliest first; None when none can be computed.

    A search that ends where it began has no errors: the best is then sought again, from beside it.
    """
    chosen = None
    total = float(np.sum((values - values.mean()) ** 2))
    for start in starts:
        found = _found(model, start, values, **places)
        if found is None:
            continue
        if chosen is None or found.chisqr < chosen.chisqr:
            chosen = found
        if chosen.success and chosen.errorbars and chosen.chisqr <= (1 - GOOD_ENOUGH) * total:
            break
    if chosen is not None and not chosen.errorbars:
        beside = chosen.params.copy()
        for parameter in beside.values():
            if parameter.vary:
                parameter.value = parameter.value * (1 + BESIDE) + BESIDE
        again = _found(model, beside, values, **places)
        if again is not None and again.errorbars and again.chisqr <= chosen.chisqr * (1 + BESIDE):
            return again
    return chosen


def _found(model: Any, start: Any, values: FloatArray, **places: FloatArray) -> Any | None:
    """The fit from one start; None when it cannot be computed."""
    calls = max(MAX_CALLS, CALLS_EACH * sum(p.vary for p in start.values()))
    try:
        found = model.fit(values, start, max_nfev=calls, **places)
    except UNFIT:
        return None
    return found if np.isfinite(found.chisqr) else None


def parameter_of(parameter: Any, parts: Sequence[Part]) -> FitParameter | None:
    """A parameter after the fit; None when it has no value."""
    if not np.isfinite(parameter.value):
        return None
    own = {f"{part.prefix}{name}" for part in parts for name in part.names}
    derived = parameter.name not in own
    error = parameter.stderr
    return FitParameter(
        name=str(parameter.name),
        value=float(parameter.value),
        error=None if error is None or not np.isfinite(error) else float(error),
        fixed=not parameter.vary and not parameter.expr,
        derived=derived,
    )
