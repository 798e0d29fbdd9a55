"""Laws that nodes obey, beside numpy's own answer; and frames that no detector should send."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from undula.core.errors import UndulaError
from undula.files import bslz4
from undula.pipes.frame import Frame
from undula.pipes.nodes.base import Node
from undula.pipes.nodes.pixels import binned
from undula.pipes.nodes.registry import Shipped
from undula.pipes.nodes.rois import STATISTICS, Box, region, statistics
from undula.pipes.nodes.statistics import MeanVariance, Sum

FEW = settings(max_examples=60, deadline=None)
DTYPES = ["?", "u1", ">u2", "<u2", "i2", ">i4", "u4", "u8", "i8", "f2", ">f4", "f4", "f8"]
ALL = {"box": {"shape": "box", "x": 0, "y": 0, "width": 1, "height": 1}}


def image_of(dtype: str, shape: tuple[int, ...]) -> st.SearchStrategy[Any]:
    """Frames of any dtype with numbers that doubles hold exactly."""
    kind = np.dtype(dtype).kind
    if kind == "b":
        return arrays.arrays(dtype, shape)
    elements: dict[str, st.SearchStrategy[Any]] = {
        "u": st.integers(0, min(np.iinfo(dtype).max, 2**40) if kind == "u" else 0),
        "i": st.integers(-100, 100),
        "f": st.floats(-1000, 1000, width=16) | st.sampled_from([math.nan, math.inf, -math.inf]),
    }
    return arrays.arrays(dtype, shape, elements=elements[kind])


IMAGES = st.tuples(
    st.sampled_from(DTYPES), arrays.array_shapes(min_dims=2, max_dims=2, max_side=8)
).flatmap(lambda one: image_of(*one))


@given(IMAGES)
@FEW
def test_statistics_of_a_region_are_numpys_of_its_pixels_with_a_value(image: Any) -> None:
    where = region(Box(x=0, y=0, width=image.shape[1], height=image.shape[0]), *image.shape)
    bad = None if image.dtype.kind != "f" else ~np.isfinite(image)
    found = dict(zip(STATISTICS, statistics(image, where, bad), strict=True))
    pixels = image.astype("f8")[np.isfinite(image)] if image.dtype.kind == "f" else image
    pixels = np.asarray(pixels, np.float64)
    assert found["valid"] == pixels.size
    assert found["sum"] == pytest.approx(pixels.sum(), rel=1e-12, abs=1e-9)
    if pixels.size:
        assert found["mean"] == pytest.approx(pixels.mean(), rel=1e-12, abs=1e-9)
        assert found["std"] == pytest.approx(pixels.std(), rel=1e-9, abs=1e-9)
        assert (found["min"], found["max"]) == (pixels.min(), pixels.max())


@given(IMAGES, st.integers(1, 3), st.integers(1, 3))
@FEW
def test_binning_keeps_the_sum(image: Any, rows: int, columns: int) -> None:
    height, width = image.shape[0] // rows * rows, image.shape[1] // columns * columns
    whole = image[:height, :width]
    if image.dtype.kind == "f":
        whole = np.where(np.isfinite(whole), whole, 0).astype(image.dtype)
    found = binned(whole, rows, columns)
    if image.dtype.kind in "bui":
        assert int(found.sum()) == sum(int(value) for value in whole.ravel())
    else:
        assert found.sum() == pytest.approx(whole.astype("f8").sum(), rel=1e-12, abs=1e-9)


@given(
    st.sampled_from(DTYPES).flatmap(
        lambda dtype: st.lists(image_of(dtype, (3, 4)), min_size=1, max_size=6)
    )
)
@FEW
def test_sum_mean_and_variance_are_numpys(stack: list[Any]) -> None:
    total, spread = Sum(), MeanVariance()
    for number, image in enumerate(stack, 1):
        kept = image.copy()
        for node in (total, spread):
            node.accumulate(Frame(number, image))
        assert np.array_equal(kept, image, equal_nan=image.dtype.kind == "f")
    whole = np.array(stack).astype("f8")
    whole = np.ma.masked_invalid(whole)
    found: Any = dict(total.result() or {}) | dict(spread.result() or {})
    assert np.array_equal(found["valid"], whole.count(axis=0))
    seen = found["valid"] > 0
    assert np.allclose(found["sum"][seen], whole.sum(axis=0)[seen], rtol=1e-12, atol=1e-9)
    assert np.allclose(found["mean"][seen], whole.mean(axis=0)[seen], rtol=1e-12, atol=1e-9)
    twice = found["valid"] > 1
    wanted = whole.var(axis=0, ddof=1)[twice] if len(stack) > 1 else []
    # what is lost is of the size of the mean squared, in double precision
    scale = float(np.abs(whole).max() or 1.0) ** 2 if whole.count() else 1.0
    assert np.allclose(found["variance"][twice], wanted, rtol=1e-12, atol=1e-12 * max(scale, 1.0))


def packed(data: Any) -> Frame:
    return Frame(1, bslz4.compress(data), compression="bslz4", shape=data.shape, dtype=data.dtype)


HOSTILE: dict[str, Callable[[], Frame]] = {
    "no pixels": lambda: Frame(1, np.zeros((0, 0), "u2")),
    "no rows": lambda: Frame(1, np.zeros((0, 5), "u2")),
    "no columns": lambda: Frame(1, np.zeros((5, 0), "f4")),
    "a number": lambda: Frame(1, np.array(3.0)),
    "a row": lambda: Frame(1, np.arange(5, dtype="u2")),
    "an empty row": lambda: Frame(1, np.zeros(0, "f8")),
    "a stack": lambda: Frame(1, np.zeros((2, 3, 4), "u2")),
    "one pixel": lambda: Frame(1, np.ones((1, 1), "u2")),
    "one row": lambda: Frame(1, np.ones((1, 7), "i4")),
    "truth": lambda: Frame(1, np.eye(6, dtype=bool)),
    "the largest numbers": lambda: Frame(1, np.full((6, 6), 2**64 - 1, "u8")),
    "the smallest numbers": lambda: Frame(1, np.full((6, 6), -(2**63), "i8")),
    "the other byte order": lambda: Frame(1, np.arange(36, dtype=">u4").reshape(6, 6)),
    "half precision": lambda: Frame(1, np.full((6, 6), 60000, "f2")),
    "nothing but NaN": lambda: Frame(1, np.full((6, 6), math.nan, "f4")),
    "nothing but infinity": lambda: Frame(1, np.full((6, 6), math.inf, "f8")),
    "every second column": lambda: Frame(1, np.arange(72, dtype="u2").reshape(6, 12)[:, ::2]),
    "compressed": lambda: packed(np.arange(36, dtype="u2").reshape(6, 6)),
}
"""Frames that no node expects; each makes a result or an error of ours, and no other exception."""

PARAMETERS: dict[str, dict[str, Any]] = {
    "roi": {"rois": ALL}, "binning": {"rows": 1, "columns": 1}, "grid_map": {"shape": [4]},
}  # fmt: skip
SHIPPED = Shipped()
TAKING = sorted(
    name for name, kind in SHIPPED.items()
    if kind.inputs and name not in ("frame_file", "azimuthal", "channel")
)  # fmt: skip


@pytest.mark.parametrize("name", TAKING)
@pytest.mark.filterwarnings("error")
def test_a_frame_that_nobody_expects_is_worked_on_or_refused_in_words(name: str) -> None:
    for case, make in HOSTILE.items():
        node: Node = SHIPPED[name](**PARAMETERS.get(name, {}))
        frame = make()
        for port in node.inputs:
            try:
                node.receive(port.name, frame)
                results = dict(node.result() or {})
            except UndulaError:
                continue
            for output, value in results.items():
                data = value.data if isinstance(value, Frame) else np.asarray(value)
                declared = next(one for one in node.outputs if one.name == output)
                assert data.dtype.kind in "biuf", (case, output)
                compressed = isinstance(value, Frame) and value.compression != "none"
                if declared.ndim is not None and not compressed:
                    assert data.ndim == declared.ndim, (case, output)


def test_every_shipped_node_with_an_input_meets_them() -> None:
    assert {"sum", "roi", "spots", "tracking", "join", "position_map", "compress"} <= set(TAKING)
