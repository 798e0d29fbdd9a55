"""Noise is told from a peak: nobody is sent to a chance, and a clear peak is never refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from undula.analysis.noise import MIN_POINTS, noise_of

SEEDS = st.integers(0, 2**32 - 1)


@given(
    SEEDS, st.integers(MIN_POINTS, 300), st.floats(0.25, 0.75), st.floats(0, 1),
    st.floats(20, 1e6), st.floats(1e-3, 1e3), st.floats(-1e3, 1e3), st.booleans(),
)  # fmt: skip
def test_a_clear_peak_is_never_refused(
    seed: int, num: int, place: float, width: float, height: float, noise: float, base: float,
    falling: bool,
) -> None:  # fmt: skip
    """Clear: twenty times the noise, at least 2.5 points and at most half the scan wide."""
    rng, x = np.random.default_rng(seed), np.arange(num, dtype=float)
    sigma = (2.5 + width * (num / 2 - 2.5)) / 2.3548
    peak = height * np.exp(-((x - place * num) ** 2) / (2 * sigma**2))
    y = base + noise * (peak + rng.normal(0, 1, num))
    assert noise_of(x[::-1] if falling else x, y) == ""


@given(SEEDS, st.integers(150, 500), st.floats(1e-6, 1e6), st.floats(-1e3, 1e3))
def test_noise_is_refused(seed: int, num: int, size: float, base: float) -> None:
    y = size * (base + np.random.default_rng(seed).normal(0, 1, num))
    assert "times the noise" in noise_of(np.arange(num), y)


@pytest.mark.parametrize("num", [21, 41, 81])
def test_noise_of_a_usual_scan_is_nearly_always_refused(num: int) -> None:
    rng = np.random.default_rng(7)
    curves = [rng.poisson(50, num) if k % 2 else rng.normal(0, 1, num) for k in range(400)]
    refused = sum(bool(noise_of(range(num), y)) for y in curves)
    assert refused >= 0.98 * len(curves)


@given(st.integers(2, 40), st.floats(-1e9, 1e9))
def test_a_flat_curve_has_no_peak(num: int, value: float) -> None:
    assert "all its values" in noise_of(range(num), [value] * num)


@given(st.lists(st.tuples(st.floats(), st.floats()), max_size=40))
def test_any_curve_is_judged_without_an_error(points: list[tuple[float, float]]) -> None:
    with np.errstate(all="ignore"):
        assert isinstance(noise_of([x for x, _ in points], [y for _, y in points]), str)


def test_peaks_without_noise_edges_and_few_points_are_left_alone() -> None:
    assert noise_of(range(21), [0.0] * 10 + [1.0] + [0.0] * 10) == ""
    assert noise_of(range(41), [math.erf((k - 20) / 4) for k in range(41)]) == ""
    assert noise_of(range(5), [1, 2, 1, 3, 1]) == ""
