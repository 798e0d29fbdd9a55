"""Room: analysis. Whether a fit of a map may be relied on, so that nothing moves on a bad one.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from undula.analysis.models import Role
from undula.analysis.trust import EXACT, MAX_WIDTH_OF_RANGE, MIN_R_SQUARED, FloatArray, significance
from undula.messages import FitParameter

CHANCE = 2.5
"""The share explained must be so many times what a fit explains of pure noise."""


@dataclass(frozen=True, slots=True)
class Map:
    """What was measured: places and values, all of shape (points,), in any order."""

    x: FloatArray
    y: FloatArray
    values: FloatArray

    @property
    def places(self) -> dict[str, FloatArray]:
        """What a model of maps takes."""
        return {"x": self.x, "y": self.y}

    def r_squared(self, fitted: FloatArray) -> float | None:
        """Share of the variance that a model explains; None when it is not finite."""
        total = float(np.sum((self.values - self.values.mean()) ** 2))
        rest = float(np.sum((self.values - fitted) ** 2))
        return 1.0 - rest / total if total > 0 and np.isfinite(rest) else None


def least_share(points: int, parameters: int) -> float:
    """The share of the variance that must be explained.

    Of noise a fit explains about its highest point and one value a parameter; a large map is mostly
    background, so that a clear peak explains little of it.

    >>> round(least_share(25, 7), 2), round(least_share(2500, 7), 3)
    (0.5, 0.023)
    """
    return float(min(MIN_R_SQUARED, CHANCE * (2 * np.log(points) + parameters) / points))


def problem_of_map(
    parameters: Sequence[FitParameter],
    data: Map,
    fitted: FloatArray,
    roles: Mapping[str, Role],
    *,
    converged: bool,
) -> tuple[str, str]:
    """Why the fit must not be relied on, and what to do; two empty texts when it may."""
    by_name = {p.name: p for p in parameters}
    if not converged:
        return "the fit did not converge", "choose another model, or bound its parameters"
    free = [p for p in parameters if not p.fixed and not p.derived]
    shaped = [prefix for prefix, role in roles.items() if role == "peak"]
    share = data.r_squared(fitted)
    if shaped and (share is None or share < least_share(len(data.values), len(free))):
        return (
            f"the model explains only {100 * max(0.0, share or 0.0):.0f} % of the variance",
            "choose another model, or count longer",
        )
    for prefix in shaped:
        for problem in (
            *(_outside(prefix, axis, by_name, data) for axis in "xy"),
            *(_width(prefix, axis, by_name, data) for axis in "xy"),
            significance(by_name.get(f"{prefix}amplitude")),
        ):
            if problem[0]:
                return problem
    if share is not None and 1 - share < EXACT:
        return "", ""  # without any noise there are no errors
    unknown = [p.name for p in free if p.error is None]
    if unknown:
        return (
            f"the error of {', '.join(unknown)} cannot be told: parameters depend on each other",
            "fix one of them, or choose a simpler model",
        )
    return "", ""


def _outside(
    prefix: str, axis: str, by_name: Mapping[str, FitParameter], data: Map
) -> tuple[str, str]:
    place = by_name.get(f"{prefix}center_{axis}")
    low, high = float(data.places[axis].min()), float(data.places[axis].max())
    if place is None or place.fixed or low <= place.value <= high:
        return "", ""
    return (
        f"{place.name} = {place.value:.5g} lies outside of the map, {low:.5g} to {high:.5g}",
        "scan where it is",
    )


def _width(
    prefix: str, axis: str, by_name: Mapping[str, FitParameter], data: Map
) -> tuple[str, str]:
    width = by_name.get(f"{prefix}fwhm_{axis}")
    span = float(np.ptp(data.places[axis]))
    if width is None:
        return "", ""
    if width.error is not None and width.error > abs(width.value):
        return (
            f"{width.name} = {width.value:.4g} is not larger than its error, {width.error:.2g}",
            "choose a simpler model, or take more points there",
        )
    if width.value > MAX_WIDTH_OF_RANGE * span:
        return (
            f"{width.name} = {width.value:.5g} is wider than the map, {span:.5g}",
            "scan over the whole of it",
        )
    return "", ""
