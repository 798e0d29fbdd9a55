"""Room: analysis. Whether a fit may be relied on, so that nothing moves on a bad one. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from undula.analysis.models import Role
from undula.messages import FitParameter

FloatArray = npt.NDArray[np.float64]
MIN_R_SQUARED = 0.5
EXACT = 1e-9
MIN_SIGMAS = 3.0
MAX_WIDTH_OF_RANGE = 3.0
_PLACES = ("center", "center1", "center2")


@dataclass(frozen=True, slots=True)
class Curve:
    """What was measured and what the model says there; all of shape (points,), ascending in x."""

    x: FloatArray
    y: FloatArray
    fitted: FloatArray

    @property
    def r_squared(self) -> float | None:
        """Share of the variance that the model explains; None when it is not finite."""
        total = float(np.sum((self.y - self.y.mean()) ** 2))
        rest = float(np.sum((self.y - self.fitted) ** 2))
        return 1.0 - rest / total if total > 0 and np.isfinite(rest) else None


def problem_of(
    parameters: Sequence[FitParameter],
    curve: Curve,
    roles: Mapping[str, Role],
    *,
    converged: bool,
) -> tuple[str, str]:
    """Why the fit must not be relied on, and what to do; two empty texts when it may."""
    by_name = {p.name: p for p in parameters}
    if not converged:
        return "the fit did not converge", "choose another model, or bound its parameters"
    shaped = [prefix for prefix, role in roles.items() if role in ("peak", "step", "wave")]
    r_squared = curve.r_squared
    if shaped and (r_squared is None or r_squared < MIN_R_SQUARED):
        share = 0.0 if r_squared is None else max(0.0, r_squared)
        return (
            f"the model explains only {100 * share:.0f} % of the variance",
            "choose another model, or count longer",
        )
    # What is judged first says most: a peak outside tells more than an error that is not known.
    for judge in (_outside, _width, _significance):
        for prefix in shaped:
            problem = judge(prefix, by_name, curve)
            if problem[0]:
                return problem
    if r_squared is not None and 1 - r_squared < EXACT:
        return "", ""  # without any noise there are no errors
    unknown = [p.name for p in parameters if p.error is None and not p.fixed and not p.derived]
    if unknown:
        return (
            f"the error of {', '.join(unknown)} cannot be told: parameters depend on each other",
            "fix one of them, or choose a simpler model",
        )
    return "", ""


def _outside(prefix: str, by_name: Mapping[str, FitParameter], curve: Curve) -> tuple[str, str]:
    low, high = float(curve.x[0]), float(curve.x[-1])
    for name in _PLACES:
        place = by_name.get(prefix + name)
        if place is not None and not place.fixed and not low <= place.value <= high:
            return (
                f"{place.name} = {place.value:.5g} lies outside of the scan, {low:.5g} to "
                f"{high:.5g}",
                "scan where it is",
            )
    return "", ""


def _width(prefix: str, by_name: Mapping[str, FitParameter], curve: Curve) -> tuple[str, str]:
    span = float(curve.x[-1] - curve.x[0])
    width = by_name.get(prefix + "fwhm") or by_name.get(prefix + "sigma")
    if width is not None and width.error is not None and width.error > abs(width.value):
        return (
            f"{width.name} = {width.value:.4g} is not larger than its error, {width.error:.2g}",
            "choose a simpler model, or take more points there",
        )
    if width is not None and width.value > MAX_WIDTH_OF_RANGE * span:
        return (
            f"{width.name} = {width.value:.5g} is wider than the scan, {span:.5g}",
            "scan over the whole of it",
        )
    return "", ""


def _significance(prefix: str, by_name: Mapping[str, FitParameter], _: Curve) -> tuple[str, str]:
    return significance(by_name.get(prefix + "amplitude"))


def significance(size: FitParameter | None) -> tuple[str, str]:
    """Why a peak of this amplitude may be none."""
    if size is None or size.error is None or size.fixed:
        return "", ""
    if abs(size.value) < MIN_SIGMAS * size.error:
        return (
            f"{size.name} = {size.value:.4g} is not larger than its error, {size.error:.2g}",
            "choose a simpler model, or count longer",
        )
    return "", ""
