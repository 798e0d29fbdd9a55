"""Room: analysis. Where a fit of a map starts: values for every parameter, from the map alone.

In: the parts of a model, places and values of shape (points,), without gaps, in any order. Out:
parameter name to start value. The background is what most points have; then one peak after the
other from what is left, on means of neighbours, so that no single noisy point is taken for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from undula.analysis.built import FloatArray, Part

NEIGHBOURS = 9
_ROUNDS = 6
_KEPT = 1.5
"""Points that lie so many times the spread above a plane are not of the background."""
_WIDTH_OF_DISC = 4.0
"""Full width of an even disc over its standard deviation along one axis."""


def guess_map(
    parts: Sequence[Part], x: FloatArray, y: FloatArray, z: FloatArray
) -> dict[str, float]:
    """Start values of all parameters."""
    start: dict[str, float] = {}
    left = z.copy()
    for part in sorted(parts, key=lambda p: ("background", "own", "peak").index(p.role)):
        data = part.sign * left
        if part.role == "background":
            alone = all(p.role == "background" for p in parts)
            found = _plane(part, x, y, data, alone)
        elif part.role == "own":
            found = _own(part, x, y, data)
        else:
            found = _bell(x, y, data)
        start.update({f"{part.prefix}{name}": value for name, value in found.items()})
        left = left - np.nan_to_num(part.value(start, x=x, y=y))
    return start


def spans(x: FloatArray, y: FloatArray) -> tuple[float, float]:
    """Lengths of the map along both axes; 1 where it has none."""
    return float(np.ptp(x)) or 1.0, float(np.ptp(y)) or 1.0


def _plane(
    part: Part, x: FloatArray, y: FloatArray, z: FloatArray, alone: bool
) -> dict[str, float]:
    """A plane, or a level, through the points that do not stick out."""
    flat = part.name == "constant"
    columns = [np.ones_like(x)] if flat else [np.ones_like(x), x, y]
    rows = np.stack(columns, axis=1)
    used = np.ones(len(z), dtype=bool)
    upright = np.max(z) - np.median(z) >= np.median(z) - np.min(z)
    found = np.linalg.lstsq(rows, z, rcond=None)[0]
    for _ in range(0 if alone else _ROUNDS):
        rest = z - rows @ found
        spread = 1.4826 * float(np.median(np.abs(rest[used] - np.median(rest[used]))))
        level = float(np.median(rest[used]))
        out = rest - level if upright else level - rest
        used = out <= max(_KEPT * spread, 0.0)
        if np.count_nonzero(used) <= len(columns):
            break
        found = np.linalg.lstsq(rows[used], z[used], rcond=None)[0]
    values = [float(v) for v in found]
    if flat:
        return {"c": values[0]}
    return {"intercept": values[0], "slope_x": values[1], "slope_y": values[2]}


def _beside(x: FloatArray, y: FloatArray) -> npt.NDArray[np.intp]:
    """Indices of each point and those beside it, shape (points, neighbours)."""
    count = min(NEIGHBOURS, len(x) // 12)
    if count < 2:
        return np.arange(len(x))[:, None]
    from scipy.spatial import cKDTree

    width, height = spans(x, y)
    places = np.stack([x / width, y / height], axis=1)
    found: npt.NDArray[np.intp] = cKDTree(places).query(places, k=count)[1]
    return found


def _around(top: int, over: npt.NDArray[np.bool_], beside: npt.NDArray[np.intp]) -> Any:
    """Those of the points `over` that hang together with `top`; all where neighbours are few."""
    if beside.shape[1] < 2:
        return over
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    own = np.repeat(np.arange(len(over)), beside.shape[1])
    other = beside.ravel()
    held = over[own] & over[other]
    links = coo_array((held[held], (own[held], other[held])), shape=(len(over), len(over)))
    _, group = connected_components(links, directed=False)
    return over & (group == group[top])


def _bell(x: FloatArray, y: FloatArray, z: FloatArray) -> dict[str, float]:
    """Centre, widths and turn of what sticks out most, from its points above half the height."""
    beside = _beside(x, y)
    smooth = z[beside].mean(axis=1)
    sign = 1.0 if np.max(smooth) >= -np.min(smooth) else -1.0
    curve = sign * smooth
    top = int(np.argmax(curve))
    height = max(float(curve[top]), 1e-300)
    over = _around(top, curve > height / 2, beside)
    least = [span / (2 * max(1.0, np.sqrt(len(z)))) for span in spans(x, y)]
    middle, widths, correlation = (float(x[top]), float(y[top])), least, 0.0
    if np.count_nonzero(over) >= 4:
        us, vs = x[over], y[over]
        middle = float(us.mean()), float(vs.mean())
        spread = float(us.std()), float(vs.std())
        widths = [
            max(_WIDTH_OF_DISC * one / 2.3548, low) for one, low in zip(spread, least, strict=True)
        ]
        if min(spread) > 0:
            correlation = float(np.mean((us - middle[0]) * (vs - middle[1]))) / (
                spread[0] * spread[1]
            )
    correlation = min(0.95, max(-0.95, correlation))
    volume = 2 * np.pi * widths[0] * widths[1] * float(np.sqrt(1 - correlation**2))
    return {
        "amplitude": sign * height * volume,
        "center_x": middle[0],
        "center_y": middle[1],
        "sigma_x": widths[0],
        "sigma_y": widths[1],
        "correlation": correlation,
    }


def _own(part: Part, x: FloatArray, y: FloatArray, z: FloatArray) -> dict[str, float]:
    """What a person's model says by its guess or its defaults; else by the names it uses."""
    base = float(np.median(z))
    bell = _bell(x, y, z - base)
    bell["height"] = part.sign * float(np.max(z) - base)
    bell |= {"offset": base, "background": base, "c": base}
    hints = part.model.make_params()
    found: dict[str, float] = {}
    for key in part.names:
        value = float(hints[f"{part.prefix}{key}"].value)
        found[key] = value if np.isfinite(value) else bell.get(_meant(key), 1.0)
    if part.own_guess is not None:
        given = part.own_guess(x, y, z)
        found.update({k: float(v) for k, v in dict(given).items() if k in found})
    return found


_MEANT = {
    "x0": "center_x", "y0": "center_y", "cx": "center_x", "cy": "center_y", "centre_x": "center_x",
    "centre_y": "center_y", "width_x": "sigma_x", "width_y": "sigma_y", "sigma": "sigma_x",
    "width": "sigma_x", "radius": "sigma_x",
}  # fmt: skip


def _meant(name: str) -> str:
    return _MEANT.get(name, name)
