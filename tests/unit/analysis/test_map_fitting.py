"""Fits of maps find again what the maps were made of, wherever their points lie."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from undula.analysis.fitting import fit_curve
from undula.analysis.map_fitting import fit_map
from undula.analysis.map_models import FWHM, ellipse, gaussian
from undula.analysis.measured import fills_area
from undula.analysis.noise import noise_of_map
from undula.analysis.statistics import map_stats
from undula.bus.codec import decode, encode
from undula.messages import FitResult

FloatArray = npt.NDArray[np.float64]
SIGMAS = 6.0


def _grid(snaked: bool) -> tuple[FloatArray, FloatArray]:
    x, y = np.meshgrid(np.linspace(-1, 1, 17), np.linspace(-1, 1, 13))
    if snaked:
        x[1::2] = x[1::2, ::-1].copy()
    return x.ravel(), y.ravel()


def _spiral() -> tuple[FloatArray, FloatArray]:
    number = np.arange(240)
    radius, turn = np.sqrt((number + 1) / 240), number * math.radians(137.508)
    return radius * np.cos(turn), radius * np.sin(turn)


def _anywhere() -> tuple[FloatArray, FloatArray]:
    x, y = np.random.default_rng(5).uniform(-1, 1, (2, 240))
    return x, y


PLACES: dict[str, Callable[[], tuple[FloatArray, FloatArray]]] = {
    "regular": lambda: _grid(False),
    "snaked": lambda: _grid(True),
    "spiral": _spiral,
    "anywhere": _anywhere,
}
WIDTHS = st.floats(0.15, 0.35)
BELL = {
    "center_x": st.floats(-0.3, 0.3),
    "center_y": st.floats(-0.3, 0.3),
    "sigma_x": WIDTHS,
    "sigma_y": WIDTHS,
    "correlation": st.floats(-0.8, 0.8),
}


def _near(found: FitResult, name: str, value: float) -> bool:
    parameter = found.parameter(name)
    assert parameter is not None
    assert parameter.error is not None
    return abs(parameter.value - value) < SIGMAS * max(parameter.error, 1e-12)


@pytest.mark.parametrize("kind", sorted(PLACES))
@settings(max_examples=10)
@given(
    data=st.data(),
    height=st.floats(1, 1e6),
    noise=st.sampled_from([0.005, 0.05, 0.15]),
    level=st.floats(-3, 3),
    slopes=st.tuples(st.floats(-0.3, 0.3), st.floats(-0.3, 0.3)),
    far=st.sampled_from([(0.0, 0.0), (7112.0, 0.0), (20.0, -300.0)]),
    seed=st.integers(0, 2**32 - 1),
)
def test_what_a_map_was_made_of_is_found_again(
    kind: str,
    data: st.DataObject,
    height: float,
    noise: float,
    level: float,
    slopes: tuple[float, float],
    far: tuple[float, float],
    seed: int,
) -> None:
    x, y = PLACES[kind]()
    made = {name: data.draw(values, name) for name, values in BELL.items()}
    volume = height / gaussian(np.zeros(1), np.zeros(1), **(made | {"center_x": 0, "center_y": 0}))
    values = gaussian(x, y, amplitude=float(volume[0]), **made)
    values = values + height * (level + slopes[0] * x + slopes[1] * y)
    values += np.random.default_rng(seed).normal(0, noise * height, len(x))

    found = fit_map("gaussian + linear", x + far[0], y + far[1], values)

    assert found.problem == ""
    assert found.points == len(x)
    half = ellipse(made["sigma_x"], made["sigma_y"], made["correlation"])
    wanted = made | {
        "amplitude": float(volume[0]),
        "height": height,
        "fwhm_x": FWHM * made["sigma_x"],
        "fwhm_major": half.major,
        "fwhm_minor": half.minor,
        "slope_x": slopes[0] * height,
        "intercept": height * (level - slopes[0] * far[0] - slopes[1] * far[1]),
    }
    wanted["center_x"] += far[0]
    wanted["center_y"] += far[1]
    for name, value in wanted.items():
        assert _near(found, name, value), (name, value, found.parameters)
    angle = found.parameter("gaussian_angle")
    assert angle is not None
    if angle.error is not None and half.major > 1.5 * half.minor:
        off = (angle.value - half.angle + 90) % 180 - 90
        assert abs(off) < SIGMAS * angle.error
    assert decode(encode(found), FitResult) == found


@given(seed=st.integers(0, 2**32 - 1), kind=st.sampled_from(sorted(PLACES)))
@settings(max_examples=8)
def test_noise_alone_is_never_taken_for_a_peak_of_a_map(seed: int, kind: str) -> None:
    x, y = PLACES[kind]()
    noise = np.random.default_rng(seed).normal(5, 1, len(x))
    found = fit_map("gaussian + constant", x, y, noise)
    assert found.problem
    assert found.remedy
    assert noise_of_map(x, y, noise)


def _bell(x: FloatArray, y: FloatArray, **made: float) -> FloatArray:
    return gaussian(x, y, **({"sigma_x": 0.2, "sigma_y": 0.2} | made))


@given(
    kind=st.sampled_from(sorted(PLACES)),
    made=st.fixed_dictionaries(BELL),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=40)
def test_a_clear_peak_of_a_map_is_never_taken_for_noise(
    kind: str, made: dict[str, float], seed: int
) -> None:
    x, y = PLACES[kind]()
    values = gaussian(x, y, **made)
    values += np.random.default_rng(seed).normal(0, values.max() / 6, len(x))
    assert noise_of_map(x, y, values) == ""


def test_one_bright_point_or_a_few_points_are_no_noise() -> None:
    x, y = _grid(True)
    values = np.random.default_rng(1).normal(0, 1, len(x))
    assert noise_of_map(x[:40], y[:40], values[:40]) == ""
    values[100] = 40
    assert noise_of_map(x, y, values) == ""
    assert noise_of_map(x, y, np.full(len(x), 3.0)) == "all its values are 3"


def test_a_dip_and_two_peaks_are_found() -> None:
    x, y = _spiral()
    dip = fit_map("constant - gaussian", x, y, 9 - _bell(x, y, amplitude=1, center_x=0.2))
    assert dip.problem == ""
    assert dip.parameter("center_x").value == pytest.approx(0.2, abs=1e-3)
    two = _bell(x, y, center_x=-0.4, amplitude=3) + _bell(x, y, center_x=0.4, amplitude=2)
    found = fit_map("gaussian + gaussian + constant", x, y, two)
    assert found.problem == ""
    centers = [found.parameter(f"gaussian{n}_center_x").value for n in (1, 2)]
    assert centers == pytest.approx([-0.4, 0.4], abs=1e-3)


def test_parameters_are_fixed_and_bounded_also_far_from_zero() -> None:
    x, y = _grid(False)
    values = _bell(x, y, center_x=0.1, center_y=-0.2)
    found = fit_map("gaussian(center_x=7112.1, sigma_y=(0.1, 0.3)) + linear", x + 7112, y, values)
    assert found.problem == ""
    center = found.parameter("center_x")
    assert (center.value, center.fixed) == (pytest.approx(7112.1), True)
    assert found.parameter("center_y").value == pytest.approx(-0.2, abs=1e-6)
    fault = fit_map("gaussian(center=0)", x, y, values)
    assert "gaussian has no parameter 'center'" in fault.problem
    assert "center_x" in fault.remedy


def test_a_round_peak_has_no_angle_that_could_be_relied_on() -> None:
    x, y = _grid(False)
    noise = np.random.default_rng(3).normal(0, 0.02, len(x))
    found = fit_map("gaussian + constant", x, y, _bell(x, y) + noise)
    assert found.problem == ""
    assert found.parameter("angle").error is None


@pytest.mark.parametrize(
    ("model", "chosen", "problem"),
    [
        ("lorentzian", slice(None), "lorentzian is a model of curves, and has no form for maps"),
        ("gausian", slice(None), "there is no model 'gausian'; did you mean gaussian"),
        ("gaussian + linear", slice(9), "9 points at different positions: too few for 9 param"),
        ("gaussian", slice(17), "all points lie on one line: that is no map yet"),
    ],
)
def test_what_cannot_be_fitted_to_a_map_says_why(model: str, chosen: slice, problem: str) -> None:
    x, y = (values[chosen] for values in _grid(False))
    y = y + 1e-9 * x
    found = fit_map(model, x, y, _bell(x, y))
    assert problem in found.problem
    assert not found.parameters


def test_a_peak_beside_the_map_is_not_relied_on() -> None:
    x, y = _grid(False)
    found = fit_map("gaussian", x, y, _bell(x, y, center_x=1.3, sigma_x=0.3))
    assert "center_x = 1.3 lies outside of the map, -1 to 1" in found.problem


OWN = """
import numpy as np


def donut(x, y, cx, cy, radius=0.5, height=1.0):
    return height * np.exp(-20 * (np.hypot(x - cx, y - cy) - radius) ** 2)


def guess_donut(x, y, values):
    return {"cx": np.average(x, weights=values), "cy": np.average(y, weights=values)}


def hill(x, y, x0, y0, height, offset):
    return offset + height * np.exp(-8 * (np.hypot(x - x0, y - y0)) ** 2)


def knife(x, center, y=1.0):
    return y * (x > center)


def wrong(x, y, a=1.0):
    return np.zeros(3)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    (folder / "own.py").write_text(OWN)
    return folder


def test_a_persons_function_of_x_and_y_is_a_model_of_maps(folder: Path) -> None:
    x, y = _anywhere()
    ring = np.exp(-20 * (np.hypot(x - 0.1, y + 0.2) - 0.6) ** 2)
    found = fit_map("donut", x, y, ring, folder)
    assert found.problem == ""
    assert found.parameter("cx").value == pytest.approx(0.1, abs=1e-6)
    assert found.parameter("radius").value == pytest.approx(0.6, abs=1e-6)
    hill = fit_map("hill", x, y, 4 + 9 * np.exp(-8 * np.hypot(x - 0.3, y + 0.1) ** 2), folder)
    assert hill.parameter("x0").value == pytest.approx(0.3, abs=1e-6)


def test_a_function_of_the_wrong_kind_is_told(folder: Path) -> None:
    x, y = _anywhere()
    assert "knife is a model of curves" in fit_map("knife", x, y, x, folder).problem
    assert "donut is a model of maps" in fit_curve("donut", x, y, folder).problem
    assert "not a value for each x" in fit_map("wrong", x, y, x, folder).problem
    step = np.linspace(-1, 1, 40)
    assert fit_curve("knife + linear", step, step + 2.0 * (step > 0), folder).parameters


@given(
    kind=st.sampled_from(["regular", "snaked", "spiral"]),
    made=st.fixed_dictionaries(BELL | {"correlation": st.floats(-0.4, 0.4)}),
    level=st.floats(-1e3, 1e3),
)
@settings(max_examples=20)
def test_the_half_height_of_a_map_says_where_and_how_wide_its_peak_is(
    kind: str, made: dict[str, float], level: float
) -> None:
    x, y = PLACES[kind]()
    made |= {
        "sigma_y": 0.25,
        "sigma_x": 0.2,
        "center_x": made["center_x"] / 2,
        "center_y": made["center_y"] / 2,
    }
    found = map_stats(y, x, gaussian(x, y, **made) + level)
    assert found is not None
    assert found.cen is not None
    assert found.fwhm is not None
    assert found.cen == pytest.approx((made["center_y"], made["center_x"]), abs=0.06)
    assert found.fwhm == pytest.approx((FWHM * 0.25, FWHM * 0.2), rel=0.35)


def test_a_second_peak_at_the_edge_does_not_hide_the_first() -> None:
    for places in PLACES.values():
        x, y = places()
        found = map_stats(y, x, _bell(x, y, amplitude=1.2) + _bell(x, y, center_x=-0.95))
        assert found is not None
        assert found.cen == pytest.approx((0.0, 0.0), abs=0.05)


def test_a_half_height_that_reaches_the_edge_is_not_told() -> None:
    for name in ("regular", "spiral"):
        x, y = PLACES[name]()
        found = map_stats(y, x, _bell(x, y, center_x=0.9))
        assert found is not None
        assert (found.cen, found.fwhm) == (None, None)


@pytest.mark.parametrize(
    ("trail", "area"),
    [
        (_spiral(), True),
        (_grid(True), True),
        ((np.linspace(0, 1, 40), np.linspace(5, 9, 40)), False),
        ((np.linspace(0, 1, 40), np.linspace(0, 1, 40) ** 2), False),  # an angle and its gap
        ((np.sin(np.arange(40)), 2 * np.sin(np.arange(40))), False),  # there and back
        ((np.linspace(0, 1, 3), np.array([0.0, 5.0, 1.0])), False),
    ],
)
def test_two_axes_make_a_map_when_they_cover_an_area(trail: Any, area: bool) -> None:
    assert fills_area(*trail) is area
