"""Room: analysis. One fit: a model line and a curve in, `FitResult` out. Imports lmfit.

Runs in the process of `worker`, since people's models run here. What cannot be fitted is a result
with a `problem`, never a number that looks like one.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from undula.analysis.expression import Combined, Expression, Setting, Term, parse
from undula.analysis.guess import Part, guess
from undula.analysis.models import SHAPES, make, require_models
from undula.analysis.own import OwnModel, load_models
from undula.analysis.shifting import far_zero, put_back, shifted
from undula.analysis.trust import Curve, problem_of
from undula.core.errors import InputError, UndulaError
from undula.messages import FitParameter, FitResult

FloatArray = npt.NDArray[np.float64]
CURVE_POINTS = 201
LARGEST = 1e100
"""Squares of larger numbers are none; of 1 over it they vanish."""
SMALLEST = 1e-13
"""Positions closer than this share of their size are one position."""
MAX_CALLS = 800
GOOD_ENOUGH = 0.98
"""Share of the variance explained above which no other start is tried."""
UNFIT = (ValueError, TypeError, ArithmeticError, np.linalg.LinAlgError)
"""What lmfit and numpy raise where a model has no value."""
_WIDTHS = (0.3, 3.0)
"""Factors on the guessed widths for further starts."""


def fit_curve(
    model: str, x: npt.ArrayLike, y: npt.ArrayLike, folder: Path | None = None
) -> FitResult:
    """Fit a model to a curve.

    Args:
        model: the line, see `expression`.
        x: positions, shape (points,), any order, in the axis's unit.
        y: values, shape (points,). Points where either is not finite are left out.
        folder: where the beamline keeps models of its own.
    Returns: the result; with a `problem` where it must not be relied on.
    """
    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    good = np.isfinite(xs) & np.isfinite(ys)
    facts: dict[str, Any] = {
        "model": " ".join(str(model).split()),
        "points": int(np.count_nonzero(good)),
        "left_out": int(np.count_nonzero(~good)),
    }
    try:
        expression = parse(model)
        own = load_models(folder, {t.name for t in expression.terms if t.name not in SHAPES})
        require_models([t.name for t in expression.terms], own)
        order = np.argsort(xs[good], kind="stable")
        return _fit(expression, own, xs[good][order], ys[good][order], facts)
    except UndulaError as exc:
        return FitResult(problem=str(exc.what), remedy=exc.remedy, **facts)
    except UNFIT as exc:
        return FitResult(
            problem=f"the fit cannot be computed: {exc}",
            remedy="choose another model, or bound its parameters",
            **facts,
        )


def _fit(
    expression: Expression,
    own: Mapping[str, OwnModel],
    x: FloatArray,
    y: FloatArray,
    facts: dict[str, Any],
) -> FitResult:
    parts, model = _model(expression, own)
    varying = _varying(parts, expression)
    _check_data(x, y, varying)
    zero = far_zero(parts, expression, x)
    expression, x = shifted(expression, zero), x - zero
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found = _best(model, _starts(parts, model, expression, x, y), x, y)
        if found is None:
            raise InputError(
                f"{expression.text} cannot be computed over this range",
                remedy="choose another model, or bound its parameters",
            )
        curve_x = np.linspace(x[0], x[-1], CURVE_POINTS)
        curve_y = np.broadcast_to(np.asarray(found.eval(x=curve_x), float), curve_x.shape)
        fitted = np.broadcast_to(np.asarray(found.best_fit, float), y.shape)
    parameters = [_parameter(p, parts) for p in found.params.values()]
    shown = put_back([p for p in parameters if p is not None], parts, found, zero)
    x, curve_x = x + zero, curve_x + zero
    problem, remedy = problem_of(
        shown, Curve(x, y, fitted), {p.prefix: p.role for p in parts}, converged=bool(found.success)
    )
    drawn = np.isfinite(curve_y)
    return FitResult(
        parameters=shown,
        curve_x=curve_x[drawn].tolist(),
        curve_y=curve_y[drawn].tolist(),
        r_squared=Curve(x, y, fitted).r_squared,
        reduced_chi_square=float(found.redchi) if np.isfinite(found.redchi) else None,
        problem=problem,
        remedy=remedy,
        **facts,
    )


def _model(expression: Expression, own: Mapping[str, OwnModel]) -> tuple[list[Part], Any]:
    parts: list[Part] = []

    def build(tree: Term | Combined, sign: float) -> Any:
        if isinstance(tree, Term):
            part = _part(tree, own, sign)
            parts.append(part)
            return part.model
        left = build(tree.left, sign)
        minus = tree.operator == "-"
        right = build(tree.right, -sign if minus else sign)
        return left - right if minus else left + right

    return parts, build(expression.tree, 1.0)


def _part(term: Term, own: Mapping[str, OwnModel], sign: float) -> Part:
    if term.name in SHAPES:
        shape = SHAPES[term.name]
        part = Part(term.name, term.prefix, make(shape, term.prefix), shape.role, sign, shape)
    else:
        mine = own[term.name]
        part = Part(
            term.name, term.prefix, mine.make(term.prefix), "own", sign, own_guess=mine.guess
        )
    for name in term.settings:
        if name not in part.names:
            raise InputError(
                f"{term.name} has no parameter {name!r}", remedy=f"it has {', '.join(part.names)}"
            )
    return part


def _varying(parts: Sequence[Part], expression: Expression) -> int:
    fixed = sum(s.fixed for term in expression.terms for s in term.settings.values())
    tied = 0
    for part in parts:
        hints = part.model.make_params()
        tied += sum(bool(hints[f"{part.prefix}{name}"].expr) for name in part.names)
    return sum(len(part.names) for part in parts) - fixed - tied


def _check_data(x: FloatArray, y: FloatArray, varying: int) -> None:
    distinct = len(np.unique(x))
    if varying == 0:
        raise InputError("every parameter is fixed", remedy="leave one free, or plot the model")
    if distinct <= varying:
        raise InputError(
            f"{distinct} points at different positions are too few for {varying} parameters",
            remedy=f"measure at {varying + 1} positions or more, or fix parameters",
        )
    with np.errstate(over="ignore"):
        span, spread = float(np.ptp(x)), float(np.ptp(y))
    largest = max(largest_of(x), largest_of(y))
    if largest > LARGEST or span < largest_of(x) * SMALLEST or 0 < spread < 1 / LARGEST:
        raise InputError(
            "positions or values are too large, too small or too close for a fit",
            remedy="look at the detector and its unit",
        )
    if spread == 0:
        raise InputError(
            f"all values are {y[0]:g}, there is nothing to fit",
            remedy="look at the detector, or choose another signal",
        )


def largest_of(values: FloatArray) -> float:
    """The largest size of a value."""
    return float(np.max(np.abs(values)))


def _starts(
    parts: Sequence[Part], model: Any, expression: Expression, x: FloatArray, y: FloatArray
) -> list[Any]:
    """Start values, the likeliest first."""
    first = model.make_params()
    low, high = float(x[0]), float(x[-1])
    for part in parts:
        if part.role == "step" and any(p.role == "background" for p in parts):
            first[f"{part.prefix}sigma"].set(min=0)
    values = guess(parts, x, y)
    settings = {
        f"{term.prefix}{name}": setting
        for term in expression.terms
        for name, setting in term.settings.items()
    }
    for name, value in values.items():
        if not first[name].expr:
            first[name].set(value=value if np.isfinite(value) else 1.0)
    _apply(first, settings)
    starts = [first]
    peaks = [p for p in parts if p.role in ("peak", "own", "step")]
    for factor in _WIDTHS if peaks else ():
        other = first.copy()
        for name, parameter in other.items():
            if parameter.vary and "sigma" in name and name not in settings:
                span = (high - low) or 1.0
                width = min(abs(parameter.value) * factor, span)
                parameter.set(value=width if parameter.value >= 0 else -width)
        starts.append(other)
    return starts


def _apply(params: Any, settings: Mapping[str, Setting]) -> None:
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


def _best(model: Any, starts: Sequence[Any], x: FloatArray, y: FloatArray) -> Any | None:
    best = None
    for start in starts:
        try:
            found = model.fit(y, start, x=x, max_nfev=MAX_CALLS)
        except UNFIT:
            continue
        if not np.isfinite(found.chisqr):
            continue
        if best is None or found.chisqr < best.chisqr:
            best = found
        total = float(np.sum((y - y.mean()) ** 2))
        if best.success and best.errorbars and best.chisqr <= (1 - GOOD_ENOUGH) * total:
            break
    return best


def _parameter(parameter: Any, parts: Sequence[Part]) -> FitParameter | None:
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
