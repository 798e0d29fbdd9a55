"""Room: analysis. A fit as people read it, and the units of its parameters. Pure."""

from __future__ import annotations

import math

from undula.core.shown import counted
from undula.messages import FitParameter, FitResult

_OF_THE_AXIS = (
    "center", "center1", "center2", "center_x", "midpoint", "sigma", "sigma1", "sigma2", "sigma_r",
    "sigma_x", "fwhm", "fwhm_x", "fwhm_major", "fwhm_minor", "decay",
)  # fmt: skip
_OF_Y = ("center_y", "sigma_y", "fwhm_y")
_OF_THE_SIGNAL = ("height", "c", "intercept", "constant_c")
_FIRST = ("center", "center_x", "center_y", "midpoint", "fwhm", "fwhm_major", "fwhm_minor", "angle",
          "fwhm_x", "fwhm_y", "height")  # fmt: skip
_OF_TWO_WORDS = ("sigma_r", "fwhm_major", "fwhm_minor", *(
    f"{name}_{axis}" for name in ("center", "sigma", "fwhm", "slope") for axis in "xy"
))  # fmt: skip
MAX_SHOWN = 6


def unit_of(name: str, fit: FitResult) -> str:
    """The unit of a parameter: the axis's, the signal's, or '' where it is a product."""
    last = _last_of(name)
    if last in _OF_THE_AXIS:
        return fit.axis_unit
    if last in _OF_Y:
        return fit.axis_y_unit
    if last == "angle":
        return "deg"
    return fit.signal_unit if last in _OF_THE_SIGNAL else ""


def _last_of(name: str) -> str:
    """The name of a parameter without that of its term."""
    long = next((end for end in _OF_TWO_WORDS if name.endswith(end)), "")
    return long or name.rpartition("_")[2]


def value_text(value: float, error: float | None) -> str:
    """A value with as many digits as its error has meaning.

    >>> value_text(0.123456, 0.0021), value_text(1234.5, None), value_text(5.0, 0.0)
    ('0.1235 ± 0.0021', '1234.5', '5')
    """
    if not error or not math.isfinite(error):
        return f"{value:.6g}"
    digits = 1 - math.floor(math.log10(error))
    if abs(value) >= 1e6 or error >= 1e5 or digits > 9:
        return f"{value:.6g} ± {error:.2g}"
    shown = max(0, digits)
    return f"{value:.{shown}f} ± {error:.{shown}f}"


def parameter_text(parameter: FitParameter, fit: FitResult) -> str:
    """One parameter: name, value, error, unit."""
    unit = unit_of(parameter.name, fit)
    text = f"{parameter.name} {value_text(parameter.value, parameter.error)} {unit}".rstrip()
    return f"{text} (fixed)" if parameter.fixed else text


def fit_lines(fit: FitResult) -> list[str]:
    """A fit in a few lines: model, what counts most, and why it must not be relied on."""
    of = f" of {fit.signal}" if fit.signal else ""
    if fit.axis_y:
        of += f" over {fit.axis} (x) and {fit.axis_y} (y)"
    quality = "" if fit.r_squared is None else f", R² {fit.r_squared:.4f}"
    lines = [f"  fit     {fit.model}{of}: {counted(fit.points, 'point')}{quality}"]
    ranked = sorted(fit.parameters, key=_rank)
    texts = [parameter_text(p, fit) for p in ranked[:MAX_SHOWN]]
    lines += [f"          {', '.join(texts[i : i + 2])}" for i in range(0, len(texts), 2)]
    if fit.problem:
        remedy = f" ({fit.remedy})" if fit.remedy else ""
        lines.append(f"          not to be relied on: {fit.problem}{remedy}")
    return lines


def fit_line(fit: FitResult) -> str:
    """A fit in one line, to be kept with its run and searched.

    >>> c = FitParameter(name="center", value=0.1, error=0.01)
    >>> fit_line(FitResult(model="gaussian", signal="diode", axis_unit="mm", parameters=[c]))
    'gaussian of diode: 0 points; center 0.100 ± 0.010 mm'
    """
    first, *others = (line.strip() for line in fit_lines(fit))
    return "; ".join([first.removeprefix("fit").strip(), *others])


def _rank(parameter: FitParameter) -> int:
    last = _last_of(parameter.name)
    return _FIRST.index(last) if last in _FIRST else len(_FIRST)
