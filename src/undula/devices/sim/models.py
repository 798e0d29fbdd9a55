"""Curves by name for simulated devices: BEC's `sim_init`, with lmfit's parameters.

In: `{model: GaussianModel, params: {amplitude: 100, center: 500, sigma: 50}}`. Out: a function of
one variable. The amplitude is the area below the curve.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from undula.core.errors import InputError

FloatArray = npt.NDArray[np.float64]
Curve = Callable[[FloatArray], FloatArray]


def _gaussian(x: FloatArray, amplitude: float, center: float, sigma: float) -> FloatArray:
    height = amplitude / (sigma * math.sqrt(2.0 * math.pi))
    return height * np.exp(-((x - center) ** 2) / (2.0 * sigma**2))


def _lorentzian(x: FloatArray, amplitude: float, center: float, sigma: float) -> FloatArray:
    return amplitude / math.pi * sigma / ((x - center) ** 2 + sigma**2)


def _constant(x: FloatArray, c: float) -> FloatArray:
    return np.full_like(x, c)


def _linear(x: FloatArray, slope: float, intercept: float) -> FloatArray:
    return slope * x + intercept


_PEAK = {"amplitude": 1.0, "center": 0.0, "sigma": 1.0}
MODELS: dict[str, tuple[Callable[..., FloatArray], dict[str, float]]] = {
    "GaussianModel": (_gaussian, _PEAK),
    "LorentzianModel": (_lorentzian, _PEAK),
    "ConstantModel": (_constant, {"c": 0.0}),
    "LinearModel": (_linear, {"slope": 1.0, "intercept": 0.0}),
}
"""Name to function and the defaults of its parameters."""


def curve(sim_init: Mapping[str, Any]) -> Curve:
    """The curve that `sim_init` describes. Raises: InputError for an unknown model or value.

    >>> float(curve({"model": "ConstantModel", "params": {"c": 3}})(np.zeros(1))[0])
    3.0
    """
    name = str(sim_init.get("model", ""))
    if name not in MODELS:
        raise InputError(f"sim_init: there is no model {name!r}", remedy=f"use {', '.join(MODELS)}")
    function, defaults = MODELS[name]
    given = dict(sim_init.get("params") or {})
    values = {key: given.get(key, usual) for key, usual in defaults.items()}
    for key, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"sim_init: {key} is {value!r}", remedy="give a number")
    if values.get("sigma", 1.0) <= 0:
        raise InputError("sim_init: sigma is not more than 0", remedy="give a width")
    return lambda x: function(x, **values)
