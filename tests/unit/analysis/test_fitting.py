"""Fits find again what the data were made of, and say so when they cannot."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from undula.analysis.fitting import fit_curve
from undula.analysis.models import SHAPES
from undula.analysis.own import names
from undula.bus.codec import decode, encode
from undula.messages import FitResult

Curve = Callable[[npt.NDArray[np.float64], dict[str, float]], npt.NDArray[np.float64]]
SIGMAS = 6.0
X = np.linspace(-1.0, 1.0, 61)


def _gaussian(x, p):
    return (
        p["amplitude"]
        / p["sigma"]
        / math.sqrt(2 * math.pi)
        * np.exp(-((x - p["center"]) ** 2) / (2 * p["sigma"] ** 2))
    )


def _lorentzian(x, p):
    return p["amplitude"] / math.pi * p["sigma"] / ((x - p["center"]) ** 2 + p["sigma"] ** 2)


def _logistic(x, p):
    return p["amplitude"] / (1 + np.exp(-(x - p["center"]) / p["sigma"]))


def _erf(x, p):
    return p["amplitude"] / 2 * (1 + np.vectorize(math.erf)((x - p["center"]) / p["sigma"]))


def _atan(x, p):
    return p["amplitude"] * (0.5 + np.arctan((x - p["center"]) / p["sigma"]) / math.pi)


def _with_line(curve):
    return lambda x, p: curve(x, p) + p["slope"] * x + p["intercept"]


def _with_constant(curve):
    return lambda x, p: curve(x, p) + p["c"]


SHAPE = {
    "amplitude": st.floats(0.5, 50),
    "center": st.floats(-0.5, 0.5),
    "sigma": st.floats(0.06, 0.2),
}
LINE = {"slope": st.floats(-5, 5), "intercept": st.floats(-10, 10)}
MODELS: dict[str, tuple[Curve, dict[str, st.SearchStrategy[float]]]] = {
    "gaussian": (_gaussian, SHAPE),
    "lorentzian": (_lorentzian, SHAPE),
    "step": (_erf, SHAPE),
    "gaussian + linear": (_with_line(_gaussian), SHAPE | LINE),
    "lorentzian + constant": (_with_constant(_lorentzian), SHAPE | {"c": st.floats(-10, 10)}),
    "step + constant": (
        _with_constant(_erf), SHAPE | {"c": st.floats(-10, 10), "amplitude": st.floats(-50, -0.5)}
    ),
    "logistic_step + constant": (_with_constant(_logistic), SHAPE | {"c": st.floats(-10, 10)}),
    "atan_step + constant": (_with_constant(_atan), SHAPE | {"c": st.floats(-10, 10)}),
    "linear": (lambda x, p: p["slope"] * x + p["intercept"], LINE),
}  # fmt: skip


def _off(found: FitResult, name: str, value: float) -> float:
    """How far a parameter is from what it was made of, in its own errors."""
    parameter = found.parameter(name)
    assert parameter is not None
    assert parameter.error is not None
    return abs(parameter.value - value) / max(parameter.error, 1e-12)


@pytest.mark.parametrize("model", sorted(MODELS))
@settings(max_examples=12)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1), far=st.sampled_from([0.0, 7112.0]))
def test_what_the_data_were_made_of_is_found_again(
    model: str, data: st.DataObject, seed: int, far: float
) -> None:
    curve, wanted = MODELS[model]
    made = {name: data.draw(values, name) for name, values in wanted.items()}
    y = curve(X, made)
    y = y + np.random.default_rng(seed).normal(0, 0.01 * np.ptp(y) + 1e-4, len(X))

    found = fit_curve(model, X + far, y)

    assert found.problem == ""
    if "center" in made:
        made["center"] += far
    if "intercept" in made:
        made["intercept"] -= made["slope"] * far
    for name, value in made.items():
        assert _off(found, name, value) < SIGMAS, (name, value, found.parameters)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=8)
def test_noise_alone_is_never_taken_for_a_peak(seed: int) -> None:
    found = fit_curve("gaussian + constant", X, np.random.default_rng(seed).normal(5, 1, len(X)))
    assert found.problem
    assert found.remedy


def test_two_peaks_are_told_apart() -> None:
    y = _gaussian(X, {"amplitude": 20, "center": 0.3, "sigma": 0.08})
    y = y + _gaussian(X, {"amplitude": 8, "center": -0.3, "sigma": 0.12})
    found = fit_curve("gaussian + gaussian", X, y)
    centers = sorted(p.value for p in found.parameters if p.name.endswith("center"))
    assert centers == pytest.approx([-0.3, 0.3], abs=1e-3)
    assert found.parameter("center") is None, "which one is meant cannot be told"


def test_a_dip_is_a_peak_taken_away() -> None:
    y = 10 - _gaussian(X, {"amplitude": 2, "center": 0.3, "sigma": 0.1})
    found = fit_curve("constant - gaussian", X, y)
    assert found.parameter("gaussian_amplitude").value == pytest.approx(2)
    assert fit_curve("gaussian + constant", X, y).parameter("amplitude").value == pytest.approx(-2)


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_the_size_of_the_signal_does_not_matter(scale: float) -> None:
    y = scale * (_gaussian(X, {"amplitude": 2, "center": 0.3, "sigma": 0.1}) + 1)
    found = fit_curve("gaussian + constant", X, y)
    assert found.parameter("center").value == pytest.approx(0.3)
    assert found.parameter("amplitude").value == pytest.approx(2 * scale)


def test_gaps_are_left_out_and_counted_and_the_order_does_not_matter() -> None:
    y = _gaussian(X, {"amplitude": 2, "center": 0.3, "sigma": 0.1})
    y[3], y[7] = math.nan, math.inf
    order = np.random.default_rng(1).permutation(len(X))
    found = fit_curve("gaussian", X[order], y[order])
    assert (found.points, found.left_out, found.problem) == (59, 2, "")
    assert found.parameter("center").value == pytest.approx(0.3)
    assert found.curve_x == sorted(found.curve_x)


def test_a_fixed_parameter_stays_and_bounds_hold() -> None:
    y = _gaussian(X, {"amplitude": 2, "center": 0.3, "sigma": 0.1})
    found = fit_curve("gaussian(center=0.25, sigma=(0.11, 0.2))", X, y)
    center, sigma = found.parameter("center"), found.parameter("sigma")
    assert (center.value, center.fixed) == (0.25, True)
    assert 0.11 <= sigma.value <= 0.2
    far = fit_curve("gaussian(center=7112.3) + constant", X + 7112, y + 1)
    assert far.parameter("center").value == pytest.approx(7112.3)
    assert far.parameter("sigma").value == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("model", "x", "y", "problem"),
    [
        ("gaussian", [1, 2, 3], [1, 2, 1], "3 points at different positions: too few for 3 p"),
        ("gaussian", [], [], "0 points at different positions: too few for 3 parameters"),
        ("gaussian", [1.0] * 9, range(9), "1 point at different positions: too few"),
        ("gaussian", range(9), [math.nan] * 9, "0 points at different positions: too few"),
        ("gaussian", range(9), [4.0] * 9, "all values are 4, there is nothing to fit"),
        ("linear(slope=1, intercept=0)", range(9), range(9), "every parameter is fixed"),
        ("gausian", range(9), range(9), "there is no model 'gausian'; did you mean gaussian?"),
        ("gaussian(cen=1)", range(9), range(9), "gaussian has no parameter 'cen'"),
        ("", range(9), range(9), "no model was named"),
    ],
)
def test_what_cannot_be_fitted_is_said_and_gives_no_number(
    model: str, x: list[float], y: list[float], problem: str
) -> None:
    found = fit_curve(model, x, y)
    assert found.problem.startswith(problem)
    assert found.parameters == []
    assert found.remedy


def test_a_peak_outside_of_the_scan_is_not_to_be_relied_on() -> None:
    found = fit_curve("gaussian", X, _gaussian(X, {"amplitude": 2, "center": 1.3, "sigma": 0.4}))
    assert "lies outside of the scan" in found.problem


EXTREME = st.one_of(
    st.floats(-10, 10), st.floats(allow_nan=True, allow_infinity=True), st.integers(-3, 3)
)


@settings(max_examples=40)
@given(
    model=st.sampled_from([*SHAPES, "gaussian + linear", "step + constant", "voigt - exponential"]),
    points=st.lists(st.tuples(EXTREME, EXTREME), max_size=12),
)
def test_any_curve_gives_a_result_and_never_a_number_that_is_none(
    model: str, points: list[tuple[float, float]]
) -> None:
    found = fit_curve(model, [float(x) for x, _ in points], [float(y) for _, y in points])
    assert all(math.isfinite(p.value) for p in found.parameters)
    assert all(p.error is None or math.isfinite(p.error) for p in found.parameters)
    assert found.points + found.left_out == len(points)
    assert decode(encode(found), FitResult) == found


def test_the_model_that_the_page_shows_can_be_fitted(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs/how-to/fit.md").read_text(encoding="utf-8")
    code = page.split("```python\n")[1].split("```")[0]
    (tmp_path / "knife.py").write_text(code, encoding="utf-8")
    y = 1 + 3 / (1 + np.exp(-(X - 0.2) / 0.05))
    found = fit_curve("knife + constant", X, y, tmp_path)
    assert found.problem == ""
    assert found.parameter("knife_center").value == pytest.approx(0.2, abs=1e-3)
    assert found.parameter("knife_width").value == pytest.approx(0.05, rel=1e-2)
    assert names(tmp_path) == ["knife"]
