"""Room: analysis. Where a fit starts: values for every parameter, from the curve alone.

In: the parts of a model, a curve without gaps, ascending in x. Out: parameter name to start value.
Backgrounds are taken from the ends of the curve, then steps, then one peak after the other from
what is left.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from undula.analysis.built import FloatArray, Part
from undula.analysis.models import Role
from undula.analysis.statistics import peak_stats

_ENDS = 0.1
"""Share of the points at each end that is taken for background."""


def guess(parts: Sequence[Part], x: FloatArray, y: FloatArray) -> dict[str, float]:
    """Start values of all parameters; finite where the curve is."""
    start: dict[str, float] = {}
    left = y.copy()
    stepped = any(part.role == "step" for part in parts)
    alone = all(part.role == "background" for part in parts)
    order: dict[Role, int] = {"background": 0, "step": 1, "wave": 2, "own": 3, "peak": 4}
    for part in sorted(parts, key=lambda part: order[part.role]):
        data = part.sign * left
        if part.role == "background":
            found = _fitted_guess(part, x, data) if alone else _base(part, x, data, stepped)
        elif part.role == "step":
            based = any(p.role == "background" for p in parts)
            found = _step(part, x, data, based)
        elif part.role == "peak":
            found = _rectangle(x, data) if part.name == "rectangle" else _peak(part, x, data)
        elif part.role == "own":
            found = _own(part, x, data)
        else:
            found = _fitted_guess(part, x, data)
        start.update({f"{part.prefix}{name}": value for name, value in found.items()})
        left = left - np.nan_to_num(part.value(start, x=x))
    return start


def ends(y: FloatArray) -> tuple[float, float]:
    """Mean of the first and of the last tenth of the values."""
    count = max(1, int(len(y) * _ENDS))
    return float(np.mean(y[:count])), float(np.mean(y[-count:]))


def _fitted_guess(part: Part, x: FloatArray, y: FloatArray) -> dict[str, float]:
    """lmfit's own guess, which is a linear fit for most backgrounds."""
    with np.errstate(all="ignore"):
        params = part.model.guess(y, x=x)
    found = {name: float(params[f"{part.prefix}{name}"].value) for name in part.names}
    return {name: value if np.isfinite(value) else 1.0 for name, value in found.items()}


def _base(part: Part, x: FloatArray, y: FloatArray, stepped: bool) -> dict[str, float]:
    low, high = ends(y)
    slope = 0.0 if stepped or x[-1] == x[0] else (high - low) / (x[-1] - x[0])
    if part.name == "constant":
        return {"c": low if stepped else min(low, high) if _upright(y) else max(low, high)}
    if part.name == "linear":
        return {"slope": slope, "intercept": low - slope * x[0]}
    if part.name == "quadratic":
        return {"a": 0.0, "b": slope, "c": low - slope * x[0]}
    return _fitted_guess(part, x, y)


def _upright(y: FloatArray) -> bool:
    """The curve goes further up from its middle than down."""
    middle = float(np.median(y))
    return float(np.max(y)) - middle >= middle - float(np.min(y))


def _step(part: Part, x: FloatArray, y: FloatArray, based: bool) -> dict[str, float]:
    low, high = ends(y)
    level = (low + high) / 2
    smooth = y if len(y) < 9 else np.convolve(np.pad(y, 1, mode="edge"), np.full(3, 1 / 3), "valid")
    rising = high >= low
    over = smooth >= level if rising else smooth <= level
    place = int(np.argmax(over)) if over.any() else len(x) // 2
    quarter, rest = low + 0.25 * (high - low), low + 0.75 * (high - low)
    inside = (smooth > min(quarter, rest)) & (smooth < max(quarter, rest))
    spacing = (x[-1] - x[0]) / max(1, len(x) - 1)
    width = max(float(np.count_nonzero(inside)) * spacing, spacing)
    sigma = width * (part.shape.sigma_per_fwhm if part.shape else 0.5)
    if based or rising:
        return {"amplitude": high - low if based else high, "center": float(x[place]),
                "sigma": sigma}  # fmt: skip
    return {"amplitude": low, "center": float(x[place]), "sigma": -sigma}


def _top(x: FloatArray, y: FloatArray) -> tuple[float, float, float]:
    """Position, height (negative for a dip) and full width of what sticks out most."""
    sign = 1.0 if np.max(y) >= -np.min(y) else -1.0
    curve = sign * y
    place = int(np.argmax(curve))
    spacing = (x[-1] - x[0]) / max(1, len(x) - 1)
    stats = peak_stats(x, np.maximum(curve, 0.0))
    width = stats.fwhm if stats is not None and stats.fwhm else None
    if width is None:
        half = np.count_nonzero(curve > curve[place] / 2)
        width = half * spacing
    center = stats.cen if stats is not None and stats.cen is not None else float(x[place])
    return center, sign * float(curve[place]), max(float(width), spacing)


def _peak(part: Part, x: FloatArray, y: FloatArray) -> dict[str, float]:
    center, height, width = _top(x, y)
    shape = part.shape
    factor = shape.sigma_per_fwhm if shape is not None else 0.5
    found = {"amplitude": 1.0, "center": center, "sigma": width * factor}
    hints = part.model.make_params()
    for key in part.names:
        value = float(hints[f"{part.prefix}{key}"].value)
        known = shape.start.get(key) if shape is not None else None
        found.setdefault(key, known if known is not None else value if np.isfinite(value) else 1.0)
    if "sigma_r" in found:
        found["sigma_r"] = found["sigma"]
    unit = part.sign * part.value({f"{part.prefix}{k}": v for k, v in found.items()}, x=x)
    top = float(np.nanmax(np.abs(unit))) if np.isfinite(unit).any() else 0.0
    found["amplitude"] = height / top if top > 0 else height
    return found


def _rectangle(x: FloatArray, y: FloatArray) -> dict[str, float]:
    center, height, width = _top(x, y)
    return {
        "amplitude": height,
        "center1": center - width / 2,
        "sigma1": width / 10,
        "center2": center + width / 2,
        "sigma2": width / 10,
    }


_BY_NAME = (
    (("center", "centre", "cen", "position", "x0", "mu"), lambda t, _x, _y: t[0]),
    (("sigma", "width", "fwhm", "gamma"), lambda t, _x, _y: t[2] / 2),
    (("amplitude", "height", "peak"), lambda t, _x, _y: t[1]),
    (("offset", "background", "base", "constant"), lambda _t, _x, y: float(np.min(y))),
    (("slope",), lambda _t, _x, _y: 0.0),
)


def _own(part: Part, x: FloatArray, y: FloatArray) -> dict[str, float]:
    """What a person's model says by its guess or its defaults; else by the names it uses."""
    hints = part.model.make_params()
    top = _top(x, y - float(np.min(y)))
    found: dict[str, float] = {}
    for key in part.names:
        value = float(hints[f"{part.prefix}{key}"].value)
        if not np.isfinite(value):
            value = next((f(top, x, y) for keys, f in _BY_NAME if key in keys), 1.0)
        found[key] = value
    if part.own_guess is not None:
        given = part.own_guess(x, y)
        found.update({k: float(v) for k, v in dict(given).items() if k in found})
    return found
