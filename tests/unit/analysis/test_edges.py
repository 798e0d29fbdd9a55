"""Derivatives, edges and backgrounds."""

from __future__ import annotations

import math
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from undula.analysis.edges import background, derivative, edge, tidy, without_background
from undula.core.errors import InputError

X = np.linspace(-1, 1, 81)


@given(st.floats(-0.5, 0.5), st.floats(0.05, 0.15), st.booleans(), st.integers(0, 1000))
def test_the_edge_of_a_knife_in_a_gaussian_beam(
    center: float, sigma: float, rising: bool, seed: int
) -> None:
    y = np.vectorize(math.erf)((X - center) / sigma / math.sqrt(2)) * (100 if rising else -100)
    found = edge(X, y + np.random.default_rng(seed).normal(0, 0.1, len(X)))
    assert found.rising is rising
    assert found.position == pytest.approx(center, abs=0.02)
    assert found.width == pytest.approx(2.3548 * sigma, rel=0.15)


@given(st.floats(-0.3, 0.3), st.integers(0, 1000))
def test_points_that_lie_close_at_a_peak_are_no_edge_there(center: float, seed: int) -> None:
    draw = np.random.default_rng(seed)
    x = np.sort(np.concatenate([X, center + np.linspace(-0.02, 0.02, 120)]))
    y = 1000 * np.exp(-((x - center) ** 2) / 0.125)
    found = edge(x, y + draw.normal(0, 3, len(x)))
    assert abs(abs(found.position - center) - 0.25) < 0.1  # a flank, which is steepest at sigma


def test_noise_and_a_flat_line_have_no_edge() -> None:
    for y in (np.random.default_rng(3).normal(0, 1, len(X)), np.full(len(X), 2.0), 3 * X):
        with pytest.raises(InputError, match="no edge stands out"):
            edge(X, y)
    with pytest.raises(InputError, match="too few"):
        edge([0, 1, 2], [0, 1, 1])


def test_points_are_sorted_gaps_left_out_and_equal_places_averaged() -> None:
    x, y = tidy([2, 0, 1, 1, 3], [4, 0, 1, 3, math.nan])
    assert (x.tolist(), y.tolist()) == ([0, 1, 2], [0, 2, 4])
    assert derivative([0, 0, 2], [1, 3, 6])[1].tolist() == [2]
    with pytest.raises(InputError):
        derivative([1, 1], [0, 1])
    with pytest.raises(InputError):
        tidy([1, 2], [1])


def test_a_line_under_a_peak_is_taken_away() -> None:
    peak = np.exp(-(X**2) / 0.01)
    assert without_background(X, peak + 3 * X + 7) == pytest.approx(peak, abs=1e-6)
    with pytest.raises(InputError):
        background([1], [1])


@given(st.lists(st.tuples(st.floats(), st.floats()), max_size=10))
def test_any_curve_has_an_edge_that_is_a_number_or_none(
    points: list[tuple[float, float]],
) -> None:
    with suppress(InputError), np.errstate(all="ignore"):
        found = edge([x for x, _ in points], [y for _, y in points])
        assert math.isfinite(found.position)
