"""Room: analysis. One fit of a map: a model line, places and values in, `FitResult` out.

Imports lmfit; runs in the process of `worker`, as `fitting`. The points of a map may lie on a grid
or anywhere; what cannot be fitted is a result with a `problem`.
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
from undula.analysis.map_guess import guess_map, spans
from undula.analysis.map_models import MAP_SHAPES, ellipse, make_map_model
from undula.analysis.map_trust import Map, problem_of_map
from undula.analysis.models import SHAPES, require_models
from undula.analysis.own import OwnModel, load_models
from undula.analysis.shifting import FAR, covariance_of, shifted
from undula.core.errors import InputError, UndulaError
from undula.core.shown import counted
from undula.messages import FitParameter, FitResult

DRAWN = 31
"""The model is given at so many positions along each axis."""
_WIDTHS = (0.5, 2.0)
"""Factors on the guessed widths for further starts."""
_BELL = ("amplitude", "sigma_x", "sigma_y", "correlation")
_UNTOLD_DEG = 45.0
"""An angle with a larger error could be any."""
FLAT = 1e-6
"""Points whose spread in one direction is less than this share of that in the other are a line."""


def fit_map(
    model: str,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    values: npt.ArrayLike,
    folder: Path | None = None,
) -> FitResult:
    """Fit a model to a map.

    Args:
        model: the line, see `expression`; of models that have a form for maps.
        x, y: positions, shape (points,), any order, in the units of the axes.
        values: shape (points,). Points where one of the three is not finite are left out.
        folder: where the beamline keeps models of its own.
    Returns: the result; with a `problem` where it must not be relied on.
    """
    xs, ys, zs = (np.asarray(v, dtype=np.float64) for v in (x, y, values))
    good = np.isfinite(xs) & np.isfinite(ys) & np.isfinite(zs)
    facts: dict[str, Any] = {
        "model": " ".join(str(model).split()),
        "points": int(np.count_nonzero(good)),
        "left_out": int(np.count_nonzero(~good)),
    }
    try:
        expression = parse(model)
        own = load_models(folder, {t.name for t in expression.terms if t.name not in SHAPES})
        require_models([t.name for t in expression.terms], own)
        return _fit(expression, own, Map(xs[good], ys[good], zs[good]), facts)
    except UndulaError as exc:
        return FitResult(problem=str(exc.what), remedy=exc.remedy, **facts)
    except UNFIT as exc:
        return FitResult(
            problem=f"the fit cannot be computed: {exc}",
            remedy="choose another model, or bound its parameters",
            **facts,
        )


def _part(term: Term, own: Mapping[str, OwnModel], sign: float) -> Part:
    if term.name in SHAPES:
        model = make_map_model(term.name, term.prefix)
        return Part(term.name, term.prefix, model, MAP_SHAPES[term.name].role, sign)
    mine = own[term.name]
    if mine.places != ("x", "y"):
        raise InputError(
            f"{term.name} is a model of curves: it takes x alone",
            remedy=f"write def {term.name}(x, y, ...), or choose {', '.join(MAP_SHAPES)}",
        )
    return Part(term.name, term.prefix, mine.make(term.prefix), "own", sign, own_guess=mine.guess)


def _check_data(data: Map, free: int) -> None:
    places = np.unique(np.stack([data.x, data.y], axis=1), axis=0)
    if free == 0:
        raise InputError("every parameter is fixed", remedy="leave one free, or plot the model")
    if len(places) <= free:
        raise InputError(
            f"{counted(len(places), 'point')} at different positions: too few for "
            f"{counted(free, 'parameter')}",
            remedy=f"measure at {free + 1} positions or more, or fix parameters",
        )
    largest = max(largest_of(v) for v in (data.x, data.y, data.values))
    with np.errstate(over="ignore"):
        spread = float(np.ptp(data.values))
    near = any(np.ptp(v) < largest_of(v) * SMALLEST for v in (data.x, data.y))
    if largest > LARGEST or near or 0 < spread < 1 / LARGEST:
        raise InputError(
            "positions or values are too large, too small or too close for a fit",
            remedy="look at the detector and its unit",
        )
    if spread == 0:
        raise InputError(
            f"all values are {data.values[0]:g}, there is nothing to fit",
            remedy="look at the detector, or choose another signal",
        )
    width, height = spans(data.x, data.y)
    scaled = np.stack([(data.x - data.x.mean()) / width, (data.y - data.y.mean()) / height])
    sizes = np.linalg.svd(scaled, compute_uv=False)
    if sizes[1] < FLAT * sizes[0]:
        raise InputError(
            "all points lie on one line: that is no map yet", remedy="measure more lines of it"
        )


def _fit(
    expression: Expression, own: Mapping[str, OwnModel], data: Map, facts: dict[str, Any]
) -> FitResult:
    parts, model = built(expression, lambda term, sign: _part(term, own, sign))
    _check_data(data, varying(parts, expression))
    zero = _zeros(parts, expression, data)
    expression = shifted(expression, {"center_x": zero[0], "center_y": zero[1]})
    near = Map(data.x - zero[0], data.y - zero[1], data.values)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found = best(model, _starts(parts, model, expression, near), near.values, **near.places)
        if found is None:
            raise InputError(
                f"{expression.text} cannot be computed over this map",
                remedy="choose another model, or bound its parameters",
            )
        ends = [(float(v.min()), float(v.max())) for v in (near.x, near.y)]
        xs, ys = (np.linspace(*end, DRAWN) for end in ends)
        grid_x, grid_y = (v.ravel() for v in np.meshgrid(xs, ys))
        drawn = np.asarray(found.eval(x=grid_x, y=grid_y), float)
        drawn = np.broadcast_to(drawn, grid_x.shape).reshape(DRAWN, DRAWN)
        fitted = np.broadcast_to(np.asarray(found.best_fit, float), near.values.shape)
    shown = _parameters(parts, found, zero)
    told = problem_of_map(
        shown, data, fitted, {p.prefix: p.role for p in parts}, converged=bool(found.success)
    )
    whole = bool(np.isfinite(drawn).all())
    return FitResult(
        parameters=shown,
        map_x=(xs + zero[0]).tolist() if whole else [],
        map_y=(ys + zero[1]).tolist() if whole else [],
        map_values=drawn.tolist() if whole else [],
        r_squared=data.r_squared(fitted),
        reduced_chi_square=float(found.redchi) if np.isfinite(found.redchi) else None,
        problem=told[0],
        remedy=told[1],
        **facts,
    )


def _zeros(parts: Sequence[Part], expression: Expression, data: Map) -> tuple[float, float]:
    """From where x and y are counted, each 0.0 where nothing has to be, or may be, shifted."""
    if any(part.role == "own" for part in parts):
        return 0.0, 0.0
    if any(term.name == "linear" and term.settings for term in expression.terms):
        return 0.0, 0.0
    found = []
    for values in (data.x, data.y):
        middle, span = float(values.max() + values.min()) / 2, float(np.ptp(values))
        found.append(middle if abs(middle) > FAR * span else 0.0)
    return found[0], found[1]


def _starts(parts: Sequence[Part], model: Any, expression: Expression, data: Map) -> list[Any]:
    """Start values, the likeliest first."""
    first = model.make_params()
    bounds = {name: (p.min, p.max) for name, p in first.items()}
    for name, value in guess_map(parts, data.x, data.y, data.values).items():
        first[name].set(value=value if np.isfinite(value) else 1.0)
    settings = settings_of(expression)
    apply(first, settings)
    for name, (low, high) in bounds.items():
        if max(first[name].min, low) < min(first[name].max, high):
            first[name].set(min=max(first[name].min, low), max=min(first[name].max, high))
    starts = [first]
    for factor in _WIDTHS if any(p.role != "background" for p in parts) else ():
        other = first.copy()
        for name, parameter in other.items():
            if parameter.vary and "sigma" in name and name not in settings:
                parameter.set(value=parameter.value * factor)
            elif parameter.vary and name.endswith("amplitude") and name not in settings:
                parameter.set(value=parameter.value * factor**2)
        starts.append(other)
    return starts


def _parameters(parts: Sequence[Part], found: Any, zero: tuple[float, float]) -> list[FitParameter]:
    """What was fitted, in the real x and y, and what follows from it."""
    given = [parameter_of(p, parts) for p in found.params.values()]
    shown = {p.name: p for p in given if p is not None}
    for part in parts:
        for axis, middle in zip("xy", zero, strict=True):
            place = shown.get(f"{part.prefix}center_{axis}")
            if place is not None and part.role == "peak":
                shown[place.name] = place.model_copy(update={"value": place.value + middle})
        if part.name == "linear" and part.role == "background" and any(zero):
            shown |= _plane_put_back(part, shown, found, zero)
        if part.name == "gaussian" and part.role == "peak":
            shown |= {p.name: p for p in _of_bell(part, shown, found)}
    return list(shown.values())


def _plane_put_back(
    part: Part, shown: Mapping[str, FitParameter], found: Any, zero: tuple[float, float]
) -> dict[str, FitParameter]:
    names = [f"{part.prefix}{name}" for name in ("intercept", "slope_x", "slope_y")]
    weights = np.array([1.0, -zero[0], -zero[1]])
    value = float(weights @ [shown[name].value for name in names])
    covariance = covariance_of(names, found)
    error = None if covariance is None else float(np.sqrt(weights @ covariance @ weights))
    return {names[0]: shown[names[0]].model_copy(update={"value": value, "error": error})}


def _derived(values: FloatArray) -> FloatArray:
    """Height, widths along x, y, the longer and the shorter axis, angle; of `_BELL`."""
    amplitude, sigma_x, sigma_y, correlation = (float(v) for v in values)
    half = ellipse(sigma_x, sigma_y, correlation)
    area = 2 * np.pi * sigma_x * sigma_y * np.sqrt(1 - correlation**2)
    along = ellipse(sigma_x, 0.0, 0.0).major, ellipse(0.0, sigma_y, 0.0).major
    return np.array([amplitude / area, *along, half.major, half.minor, half.angle])


def _of_bell(part: Part, shown: Mapping[str, FitParameter], found: Any) -> list[FitParameter]:
    """Height, full widths and angle of a bell, with errors from the covariance."""
    names = [f"{part.prefix}{name}" for name in _BELL]
    if any(name not in shown for name in names):
        return []
    values = np.array([shown[name].value for name in names])
    free = [name for name in names if not shown[name].fixed]
    derived = _derived(values)
    slopes = np.zeros((len(derived), len(free)))
    for column, name in enumerate(free):
        place = names.index(name)
        step = 1e-5 * (1.0 if name.endswith("correlation") else abs(values[place]) or 1.0)
        step = -step if values[place] > 0 else step  # inwards: a correlation stays below 1
        other = values.copy()
        other[place] += step
        change = _derived(other) - derived
        change[-1] = (change[-1] + 90.0) % 180.0 - 90.0  # an ellipse turned by 180 is the same
        slopes[:, column] = change / step
    covariance = covariance_of(free, found)
    errors: list[float | None] = [None] * len(derived)
    if covariance is not None:
        squares = np.einsum("ij,jk,ik->i", slopes, covariance, slopes)
        errors = [float(np.sqrt(s)) if s >= 0 and np.isfinite(s) else None for s in squares]
    if errors[-1] is not None and errors[-1] > _UNTOLD_DEG:
        errors[-1] = None
    keys = ("height", "fwhm_x", "fwhm_y", "fwhm_major", "fwhm_minor", "angle")
    return [
        FitParameter(name=f"{part.prefix}{key}", value=float(value), error=error, derived=True)
        for key, value, error in zip(keys, derived, errors, strict=True)
        if np.isfinite(value)
    ]
