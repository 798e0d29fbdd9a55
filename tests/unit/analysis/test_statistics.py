"""Peak statistics are laws: a known curve gives its known numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from undula.analysis.statistics import peak_stats

FINITE = st.floats(-1e6, 1e6, allow_nan=False)


@given(
    centre=st.floats(-1, 1), sigma=st.floats(0.2, 1), height=st.floats(1e-3, 1e6),
    base=st.floats(-1e3, 1e3), falling=st.booleans(),
)  # fmt: skip
def test_a_gaussian_is_found(
    centre: float, sigma: float, height: float, base: float, falling: bool
) -> None:
    x = np.linspace(centre - 6 * sigma, centre + 6 * sigma, 241)
    y = base + height * np.exp(-((x - centre) ** 2) / (2 * sigma**2))
    if falling:
        x, y = x[::-1], y[::-1]

    stats = peak_stats(x, y)

    assert stats is not None
    assert stats.cen == pytest.approx(centre, abs=0.01 * sigma)
    assert stats.com == pytest.approx(centre, abs=0.01 * sigma)
    assert stats.fwhm == pytest.approx(2 * math.sqrt(2 * math.log(2)) * sigma, rel=0.01)
    assert stats.peak == (pytest.approx(centre, abs=0.05 * sigma), y.max())


@given(st.lists(st.tuples(FINITE, FINITE), min_size=1, max_size=30))
def test_statistics_stay_within_the_curve(points: list[tuple[float, float]]) -> None:
    x, y = zip(*points, strict=True)

    stats = peak_stats(x, y)

    assert stats is not None
    assert stats.peak[1] == max(y)
    assert stats.minimum[1] == min(y)
    for place in (stats.com, stats.cen):
        if place is not None:
            assert min(x) - 1e-3 <= place <= max(x) + 1e-3
    assert stats.fwhm is None or stats.fwhm >= 0


def test_gaps_are_left_out_and_nothing_gives_none() -> None:
    stats = peak_stats([0, 1, 2, 3, 4], [0, 1, math.nan, 1, 0])
    assert stats is not None
    assert stats.com == 2
    assert peak_stats([math.nan], [1]) is None
    assert peak_stats([], []) is None


def test_a_flat_or_one_sided_curve_has_no_width() -> None:
    flat = peak_stats([0, 1, 2], [5, 5, 5])
    edge = peak_stats([0, 1, 2], [0, 1, 2])
    assert flat is not None
    assert (flat.com, flat.cen, flat.fwhm) == (None, None, None)
    assert edge is not None
    assert edge.fwhm is None
