"""Room: analysis. The models that have a form for maps: functions of x and y, and as data.

In: a name, as for lines: `gaussian + linear` of a map is a bell that may be wide, narrow and turned
on a plane. Out: a `MapShape`. lmfit is imported when a model is made, nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from undula.analysis.models import Role
from undula.core.errors import InputError

FloatArray = npt.NDArray[np.float64]
MAX_CORRELATION = 0.9999
FWHM = 2 * float(np.sqrt(2 * np.log(2)))
"""Full width at half maximum of a bell whose sigma is 1."""


def gaussian(
    x: FloatArray,
    y: FloatArray,
    *,
    amplitude: float = 1.0,
    center_x: float = 0.0,
    center_y: float = 0.0,
    sigma_x: float = 1.0,
    sigma_y: float = 1.0,
    correlation: float = 0.0,
) -> FloatArray:
    """A bell over a plane; `amplitude` is its volume.

    `sigma_x` and `sigma_y` are the widths of its shadows on the axes, whatever their units, and
    `correlation` (-1 to 1) says how far it is turned and drawn out between them.
    """
    u, v = (x - center_x) / sigma_x, (y - center_y) / sigma_y
    rest = 1.0 - correlation**2
    height = amplitude / (2 * np.pi * sigma_x * sigma_y * np.sqrt(rest))
    value: FloatArray = height * np.exp(-(u**2 - 2 * correlation * u * v + v**2) / (2 * rest))
    return value


def linear(
    x: FloatArray,
    y: FloatArray,
    slope_x: float = 0.0,
    slope_y: float = 0.0,
    intercept: float = 0.0,
) -> FloatArray:
    """A plane."""
    value: FloatArray = slope_x * x + slope_y * y + intercept
    return value


def constant(x: FloatArray, y: FloatArray, c: float = 0.0) -> FloatArray:  # noqa: ARG001  # what every model takes
    """The same everywhere."""
    return np.full_like(x, c)


@dataclass(frozen=True, slots=True)
class MapShape:
    """One model of maps: its function, and what it looks like."""

    function: Callable[..., FloatArray]
    role: Role
    about: str


MAP_SHAPES = {
    "gaussian": MapShape(
        gaussian, "peak", "bell: amplitude (volume), center_x, center_y, sigma_x, sigma_y, "
        "correlation"
    ),
    "linear": MapShape(linear, "background", "plane: slope_x, slope_y, intercept"),
    "constant": MapShape(constant, "background", "the same everywhere: c"),
}  # fmt: skip


def make_map_model(name: str, prefix: str) -> Any:
    """The lmfit model of a name. Raises: InputError for a model of lines."""
    import lmfit

    if name not in MAP_SHAPES:
        raise InputError(
            f"{name} is a model of curves, and has no form for maps",
            remedy=f"choose {', '.join(MAP_SHAPES)}, or write a function of x and y",
        )
    model = lmfit.Model(MAP_SHAPES[name].function, independent_vars=["x", "y"], prefix=prefix)
    if name == "gaussian":
        for axis in "xy":
            model.set_param_hint(f"sigma_{axis}", min=0.0)
        model.set_param_hint("correlation", min=-MAX_CORRELATION, max=MAX_CORRELATION)
    return model


@dataclass(frozen=True, slots=True)
class Ellipse:
    """The half height of a bell: full widths along its own two axes, and how it is turned.

    `angle` is that of the longer one, counted from x towards y, degrees, over -90 up to 90.
    """

    major: float
    minor: float
    angle: float


def ellipse(sigma_x: float, sigma_y: float, correlation: float) -> Ellipse:
    """The half height of a bell. The widths are in the unit of the axes, if they have one unit.

    >>> round(ellipse(1.0, 2.0, 0.0).angle, 9)
    90.0
    """
    mixed = correlation * sigma_x * sigma_y
    sizes, axes = np.linalg.eigh([[sigma_x**2, mixed], [mixed, sigma_y**2]])
    minor, major = (FWHM * float(np.sqrt(max(size, 0.0))) for size in sizes)
    angle = float(np.degrees(np.arctan2(axes[1, 1], axes[0, 1])))
    return Ellipse(major, minor, (angle + 90.0 - 1e-9) % 180.0 - 90.0 + 1e-9)
