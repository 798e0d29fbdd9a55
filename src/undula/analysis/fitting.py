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

from undula.analysis.built import (
    LARGEST,
    SMALLEST,
    UNFIT,
    FloatArray,
    Part,
    apply,
    best,
    built,
    largest_of,
    parameter_of,
    settings_of,
    varying,
)
from undula.analysis.expression import Expression, Term, parse
from undula.analysis.guess import guess
from undula.analysis.models import SHAPES, make, require_models
from undula.analysis.own import OwnModel, load_models
from undula.analysis.shifting import PLACES, far_zero, put_back, shifted
from undula.analysis.trust import Curve, problem_of
from undula.core.errors import InputError, UndulaError
from undula.core.shown import counted
from undula.messages import FitResult

CURVE_POINTS = 201
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
    parts, model = built(expression, lambda term, sign: _part(term, own, sign))
    _check_data(x, y, varying(parts, expression))
    zero = far_zero(parts, expression, x)
    expression, x = shifted(expression, dict.fromkeys(PLACES, zero)), x - zero
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found = best(model, _starts(parts, model, expression, x, y), y, x=x)
        if found is None:
            raise InputError(
                f"{expression.text} cannot be computed over this range",
                remedy="choose another model, or bound its parameters",
            )
        curve_x = np.linspace(x[0], x[-1], CURVE_POINTS)
        curve_y = np.broadcast_to(np.asarray(found.eval(x=curve_x), float), curve_x.shape)
        fitted = np.broadcast_to(np.asarray(found.best_fit, float), y.shape)
    parameters = [parameter_of(p, parts) for p in found.params.values()]
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


def _part(term: Term, own: Mapping[str, OwnModel], sign: float) -> Part:
    if term.name in SHAPES:
        shape = SHAPES[term.name]
        model = make(shape, term.prefix)
        return Part(term.name, term.prefix, model, shape.role, sign, shape)
    mine = own[term.name]
    if mine.places != ("x",):
        raise InputError(
            f"{term.name} is a model of maps: it takes x and y",
            remedy="fit it to a map, or choose a model of x alone",
        )
    return Part(term.name, term.prefix, mine.make(term.prefix), "own", sign, own_guess=mine.guess)


def _check_data(x: FloatArray, y: FloatArray, free: int) -> None:
    distinct = len(np.unique(x))
    if free == 0:
        raise InputError("every parameter is fixed", remedy="leave one free, or plot the model")
    if distinct <= free:
        raise InputError(
            f"{counted(distinct, 'point')} at different positions: too few for "
            f"{counted(free, 'parameter')}",
            remedy=f"measure at {free + 1} positions or more, or fix parameters",
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
    settings = settings_of(expression)
    for name, value in values.items():
        if not first[name].expr:
            first[name].set(value=value if np.isfinite(value) else 1.0)
    apply(first, settings)
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
