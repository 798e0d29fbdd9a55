"""Room: analysis. Fits far from zero: an edge at 7112 eV, 0.01 eV wide, keeps its digits.

lmfit takes derivatives by steps relative to a parameter's value: at a centre of 7112 the step is as
wide as the peak. So x is counted from the middle of the scan, and places and lines are put back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from undula.analysis.built import FloatArray, Part
from undula.analysis.expression import Combined, Expression, Setting, Term
from undula.messages import FitParameter

FAR = 5.0
"""Middle of the scan over its length, from which on it counts as far."""
PLACES = ("center", "center1", "center2", "midpoint")
_LINES = {"constant": ("c",), "linear": ("intercept", "slope"), "quadratic": ("c", "b", "a")}


def far_zero(parts: Sequence[Part], expression: Expression, x: FloatArray) -> float:
    """From where x is counted; 0.0 when nothing has to be, or may be, shifted."""
    middle, span = float(x[0] + x[-1]) / 2, float(x[-1] - x[0])
    if abs(middle) <= FAR * span:
        return 0.0
    if any(p.role not in ("peak", "step") and p.name not in _LINES for p in parts):
        return 0.0
    held = [t for t in expression.terms if t.name in ("linear", "quadratic") and t.settings]
    return 0.0 if held else middle


def shifted(expression: Expression, zeros: Mapping[str, float]) -> Expression:
    """The expression with what is said of places, by their names, counted from the zeros."""

    def moved(name: str, setting: Setting) -> Setting:
        zero = zeros.get(name, 0.0)
        value = None if setting.value is None else setting.value - zero
        return replace(setting, value=value, low=setting.low - zero, high=setting.high - zero)

    def walk(tree: Term | Combined) -> Term | Combined:
        if isinstance(tree, Combined):
            return replace(tree, left=walk(tree.left), right=walk(tree.right))
        return replace(tree, settings={k: moved(k, v) for k, v in tree.settings.items()})

    return replace(expression, tree=walk(expression.tree)) if any(zeros.values()) else expression


def put_back(
    parameters: Sequence[FitParameter], parts: Sequence[Part], found: Any, zero: float
) -> list[FitParameter]:
    """The parameters as of the real x: places moved, lines with their errors carried along.

    Args:
        parameters: as they were fitted.
        parts: the terms.
        found: lmfit's result, for the covariance.
        zero: from where x was counted.
    """
    if not zero:
        return list(parameters)
    new = {p.name: p for p in parameters}
    for part in parts:
        for name in PLACES:
            place = new.get(part.prefix + name)
            if place is not None:
                new[place.name] = place.model_copy(update={"value": place.value + zero})
        if part.name in _LINES:
            new.update(_line(part, {p.name: p for p in parameters}, found, zero))
    return list(new.values())


def _line(
    part: Part, old: dict[str, FitParameter], found: Any, zero: float
) -> dict[str, FitParameter]:
    """Coefficients c0 + c1 x' + c2 x'^2 with x' = x - zero, in powers of x."""
    names = [part.prefix + name for name in _LINES[part.name]]
    values = np.array([old[name].value for name in names])
    size = len(names)
    rows = np.array([[1.0, -zero, zero**2], [0.0, 1.0, -2 * zero], [0.0, 0.0, 1.0]])[:size, :size]
    covariance = covariance_of(names, found)
    errors = None if covariance is None else np.sqrt(np.diag(rows @ covariance @ rows.T))
    return {
        name: old[name].model_copy(
            update={"value": float(value), "error": None if errors is None else float(errors[i])}
        )
        for i, (name, value) in enumerate(zip(names, rows @ values, strict=True))
    }


def covariance_of(names: Sequence[str], found: Any) -> FloatArray | None:
    """Of these parameters of lmfit's result; None when it is not known."""
    order = list(found.var_names)
    if getattr(found, "covar", None) is None or any(name not in order for name in names):
        return None
    places = [order.index(name) for name in names]
    return np.asarray(found.covar, dtype=np.float64)[np.ix_(places, places)]
