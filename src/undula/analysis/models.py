"""Room: analysis. The models by name: which lmfit class each is, and what kind of curve. As data.

In: a name. Out: a `Shape`. lmfit is imported when a model is made, nowhere else.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from undula.core.errors import InputError

Role = Literal["peak", "step", "background", "wave", "own"]


@dataclass(frozen=True, slots=True)
class Shape:
    """One model: its lmfit class, what it looks like, and how its width is guessed."""

    lmfit_class: str
    role: Role
    about: str
    sigma_per_fwhm: float = 0.5
    options: dict[str, Any] = field(default_factory=dict)
    start: dict[str, float] = field(default_factory=dict)


SHAPES: dict[str, Shape] = {
    "gaussian": Shape("GaussianModel", "peak", "bell: amplitude (area), center, sigma", 0.4247),
    "lorentzian": Shape("LorentzianModel", "peak", "line with wide feet: amplitude, center, sigma"),
    "voigt": Shape("VoigtModel", "peak", "gaussian and lorentzian of one width", 0.2777),
    "pseudo_voigt": Shape("PseudoVoigtModel", "peak", "their sum, with a fraction of 0 to 1"),
    "pearson7": Shape("Pearson7Model", "peak", "between gaussian and lorentzian, expon", 0.65),
    "moffat": Shape("MoffatModel", "peak", "beam profile: amplitude (height), center, sigma, beta"),
    "split_lorentzian": Shape(
        "SplitLorentzianModel", "peak", "two widths: sigma left, sigma_r right"
    ),
    "skewed_gaussian": Shape("SkewedGaussianModel", "peak", "gaussian that leans: gamma", 0.4247),
    "breit_wigner": Shape("BreitWignerModel", "peak", "Fano line: q", 1.0, start={"q": 1.0}),
    "doniach": Shape("DoniachModel", "peak", "photoemission line: gamma", start={"gamma": 0.05}),
    "step": Shape(
        "StepModel", "step", "error function, e.g. a knife edge in a gaussian beam", 0.6,
        {"form": "erf"},
    ),
    "atan_step": Shape("StepModel", "step", "arctangent, e.g. an absorption edge", 0.5,
        {"form": "arctan"}),
    "logistic_step": Shape("StepModel", "step", "logistic function", 0.3, {"form": "logistic"}),
    "rectangle": Shape(
        "RectangleModel", "peak", "two steps, e.g. a slit: center1, center2", 0.2, {"form": "erf"}
    ),
    "sine": Shape("SineModel", "wave", "amplitude, frequency (radians for each unit), shift"),
    "constant": Shape("ConstantModel", "background", "the same everywhere: c"),
    "linear": Shape("LinearModel", "background", "slope, intercept"),
    "quadratic": Shape("QuadraticModel", "background", "a, b, c"),
    "exponential": Shape("ExponentialModel", "background", "amplitude, decay"),
    "power_law": Shape("PowerLawModel", "background", "amplitude, exponent"),
}  # fmt: skip


def require_models(names: Iterable[str], own: Iterable[str] = ()) -> None:
    """Raises: InputError for a name that neither Undula nor the beamline's folder has."""
    known = [*SHAPES, *own]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.6)
            raise InputError(
                f"there is no model {name!r}" + (f"; did you mean {near[0]}?" if near else ""),
                remedy=f"choose one of {', '.join(known)}",
            )


def make(shape: Shape, prefix: str) -> Any:
    """The lmfit model of a shape."""
    import lmfit.models

    return getattr(lmfit.models, shape.lmfit_class)(prefix=prefix, **shape.options)
