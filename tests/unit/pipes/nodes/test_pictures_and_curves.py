"""Previews show what is there; rings become the curve they were made of."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from undula.core.errors import ConfigError, InputError
from undula.pipes.frame import Frame
from undula.pipes.nodes.azimuthal import Azimuthal, RadialProfile
from undula.pipes.nodes.preview import Preview
from undula.pipes.nodes.simulated import SimulatedDetector


def fed(node: Any, image: Any) -> Any:
    node.accumulate(Frame(1, image))
    return node.result()


def test_a_preview_loses_no_single_bright_pixel() -> None:
    image = np.zeros((1000, 700), "u2")
    image[601, 402] = 500
    found = fed(Preview(largest=100, low=0, high=500), image)
    assert found["image"].shape == (100, 70)
    assert found["image"][60, 40] == 255
    assert (found["image"] == 255).sum() == 1
    assert found["image"][0, 0] == 1
    assert fed(Preview(largest=100, low=0, high=500, how="mean"), image)["image"].max() < 10
    assert fed(Preview(largest=100, low=0, high=500, how="first"), image)["image"].max() == 1


@given(
    arrays.arrays("u2", arrays.array_shapes(min_dims=2, max_dims=2, max_side=30))
    | arrays.arrays(
        "f4", arrays.array_shapes(min_dims=2, max_dims=2, max_side=30),
        elements=st.floats(-100, 1e6, width=32) | st.just(math.nan),
    ),
    st.integers(1, 12), st.sampled_from(["max", "mean", "first"]), st.booleans(), st.booleans(),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_a_preview_of_anything_is_small_and_dark_where_there_is_no_value(
    image: Any, largest: int, how: str, logarithmic: bool, highest: bool
) -> None:
    node = Preview(largest=largest, how=how, logarithmic=logarithmic, highest=highest)
    found = fed(node, image)
    assert max(found["image"].shape) <= largest
    assert found["image"].dtype == np.uint8
    assert found["levels"][1] > found["levels"][0]
    bad = np.isnan(image) if image.dtype.kind == "f" else (image == 65535) & highest
    if bad.all():
        assert (found["image"] == 0).all()
    if not bad.any():
        assert (found["image"] > 0).all()


def test_a_preview_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="no pixels"):
        fed(Preview(), np.zeros((0, 5), "u2"))


@given(
    arrays.arrays("u2", arrays.array_shapes(min_dims=2, max_dims=2, max_side=12)),
    st.integers(1, 9), st.floats(-2, 12), st.floats(-2, 12), st.floats(0, 5), st.booleans(),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_a_ring_has_the_mean_of_the_pixels_whose_centre_is_in_it(
    image: Any, bins: int, x: float, y: float, inner: float, highest: bool
) -> None:
    outer = inner + 7.5
    node = RadialProfile(
        centre_x=x, centre_y=y, bins=bins, inner=inner, outer=outer, highest=highest
    )
    found = fed(node, image)
    step = (outer - inner) / bins
    rings: list[list[float]] = [[] for _ in range(bins)]
    for row, column in np.ndindex(image.shape):
        value = int(image[row, column])
        at = math.floor((math.hypot(column - x, row - y) - inner) / step)
        if 0 <= at < bins and not (highest and value == 65535):
            rings[at].append(value)
    assert found["pixels"].tolist() == [len(ring) for ring in rings]
    wanted = [math.fsum(ring) / len(ring) if ring else math.nan for ring in rings]
    assert found["intensity"] == pytest.approx(wanted, nan_ok=True)
    assert found["radius"] == pytest.approx([inner + step * (n + 0.5) for n in range(bins)])


def test_known_rings_become_peaks_at_their_radii() -> None:
    detector = SimulatedDetector(
        width=401, height=401, pattern="rings", noise=False, background=0, level=1000, width_px=3
    )
    node = RadialProfile(bins=300, outer=300)
    found = fed(node, detector.take()[0].data)
    curve = found["intensity"]
    peaks = [n for n in range(2, 298) if curve[n] > 500 and curve[n] == curve[n - 2 : n + 3].max()]
    assert found["radius"][peaks] == pytest.approx([50, 100, 150], abs=1.0)
    assert curve[peaks] == pytest.approx([1000] * 3, rel=0.03)
    whole = fed(RadialProfile(bins=10), np.ones((5, 7), "u1"))
    assert whole["pixels"].sum() == 35
    with pytest.raises(InputError, match="no width"):
        node.change(inner=300)
    with pytest.raises(InputError, match="no width"):
        RadialProfile(inner=50).accumulate(Frame(2, np.ones((5, 5))))


def test_the_curve_of_rings_needs_a_geometry_that_can_be_read(tmp_path: Path) -> None:
    node = Azimuthal(poni=str(tmp_path / "none.poni"))
    with pytest.raises(ConfigError, match=r"gives no geometry|not installed"):
        node.accumulate(Frame(1, np.zeros((5, 5), "u2")))
