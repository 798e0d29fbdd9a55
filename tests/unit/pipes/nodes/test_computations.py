"""What nodes compute, beside plain loops over pixels and frames."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from undula.core.errors import ConfigError, InputError
from undula.pipes.frame import Frame
from undula.pipes.nodes.base import Node
from undula.pipes.nodes.correct import Correct, OddPixels, odd_pixels
from undula.pipes.nodes.pixels import Binning, Hits, Threshold, binned
from undula.pipes.nodes.rois import (
    STATISTICS,
    Box,
    Circle,
    Polygon,
    RoiStatistics,
    region,
    statistics,
)
from undula.pipes.nodes.statistics import Histogram, MeanVariance, Rate, Sum

FEW = settings(max_examples=40, deadline=None)
SHAPES = arrays.array_shapes(min_dims=2, max_dims=2, max_side=9)


def images(shape: tuple[int, ...]) -> st.SearchStrategy[Any]:
    """Images of one shape: counts with full-scale pixels, or floats with NaN."""
    counts = st.sampled_from(["u1", "u2", "i4", "u4"]).flatmap(lambda d: arrays.arrays(d, shape))
    odd = st.sampled_from([math.nan, math.inf, -math.inf])
    floats = arrays.arrays("f8", shape, elements=st.floats(-1e6, 1e6) | odd)
    return counts | floats


STACKS = SHAPES.flatmap(
    lambda shape: images(shape).flatmap(
        lambda first: st.lists(
            arrays.arrays(first.dtype, shape)
            if first.dtype.kind != "f"
            else images(shape).filter(lambda image: image.dtype.kind == "f"),
            min_size=0, max_size=4,
        ).map(lambda rest: [first, *rest])
    )
)  # fmt: skip


def fed(node: Node, stack: list[Any], numbers: list[int] | None = None) -> Any:
    """The result after all frames."""
    for number, image in zip(numbers or range(1, len(stack) + 1), stack, strict=False):
        node.accumulate(Frame(number, image))
    return node.result()


@given(STACKS)
@FEW
def test_the_sum_is_that_of_a_loop_to_the_last_digit(stack: list[Any]) -> None:
    found = fed(Sum(), stack)
    for y, x in np.ndindex(stack[0].shape):
        values = [image[y, x].item() for image in stack if np.isfinite(image[y, x])]
        assert found["valid"][y, x] == len(values)
        assert found["sum"][y, x] == pytest.approx(sum(values), rel=1e-12, abs=1e-6)
        if stack[0].dtype.kind != "f":
            assert int(found["sum"][y, x]) == sum(values)


@given(STACKS)
@FEW
def test_mean_and_variance_are_those_of_exact_fractions(stack: list[Any]) -> None:
    found = fed(MeanVariance(), stack)
    for y, x in np.ndindex(stack[0].shape):
        values = [Fraction(image[y, x].item()) for image in stack if np.isfinite(image[y, x])]
        mean = sum(values) / len(values) if values else None
        wanted = math.nan if mean is None else float(mean)
        assert found["mean"][y, x] == pytest.approx(wanted, nan_ok=True, abs=1e-6)
        squares = sum((value - mean) ** 2 for value in values) if mean is not None else 0
        wanted = float(squares / (len(values) - 1)) if len(values) > 1 else math.nan
        assert found["variance"][y, x] == pytest.approx(wanted, nan_ok=True, abs=1e-3, rel=1e-9)


def test_a_small_spread_on_a_large_mean_is_not_lost() -> None:
    noise = np.random.default_rng(0).normal(0, 1, (1000, 1, 1))
    found = fed(MeanVariance(), list(1e9 + noise))
    assert found["variance"][0, 0] == pytest.approx(noise.var(ddof=1), rel=1e-5)


def test_sums_do_not_overflow_and_a_frame_counts_once() -> None:
    full = np.full((2, 2), 2**32 - 1, "u4")
    node = Sum()
    found = fed(node, [full] * 5, [1, 2, 2, 5, 6])
    assert found["sum"][0, 0] == 4 * (2**32 - 1)
    assert node.gaps == 2
    node.clear()
    assert node.result() is None
    signed = fed(Sum(), [np.full((1, 1), -(2**31), "i4")] * 3)
    assert signed["sum"][0, 0] == -3 * 2**31


def test_the_highest_number_has_no_value_when_it_is_said_so() -> None:
    stack = [np.array([[1, 65535]], "u2"), np.array([[2, 7]], "u2")]
    found = fed(Sum(highest=True), stack)
    assert found["sum"].tolist() == [[3, 7]]
    assert found["valid"].tolist() == [[2, 1]]
    assert fed(Sum(), stack)["sum"].tolist() == [[3, 65542]]


def test_a_frame_of_another_shape_is_refused_and_changes_nothing() -> None:
    for node in (Sum(), MeanVariance()):
        before = fed(node, [np.ones((2, 2), "u2")])
        with pytest.raises(InputError, match=r"holds frames of \(2, 2\)"):
            node.accumulate(Frame(2, np.ones((3, 2), "u2")))
        after: Any = node.result()
        assert all((before[key] == after[key]).all() for key in before if key != "variance")


@given(
    st.lists(arrays.arrays("u2", (3, 4)) | arrays.arrays("f4", (3, 4)), min_size=1, max_size=3),
    st.integers(1, 12), st.floats(-10, 100), st.floats(0.5, 1000), st.booleans(),
)  # fmt: skip
@FEW
def test_a_histogram_counts_each_pixel_where_the_edges_put_it(
    stack: list[Any], bins: int, low: float, width: float, highest: bool
) -> None:
    high = low + width
    found = fed(Histogram(bins=bins, low=low, high=high, highest=highest), stack)
    edges = np.linspace(low, high, bins + 1)
    counts, below, above = [0] * bins, 0, 0
    for image in stack:
        for value in image.ravel().tolist():
            if not math.isfinite(value) or (
                highest and image.dtype == np.uint16 and value == 65535
            ):
                continue
            if value < low:
                below += 1
            elif value > high:
                above += 1
            else:
                counts[min(int(np.sum(edges <= value)) - 1, bins - 1)] += 1
    assert found["counts"].tolist() == counts
    assert (found["below"], found["above"]) == (below, above)
    assert found["edges"].tolist() == edges.tolist()


def test_a_histogram_without_width_is_refused_and_new_bins_begin_anew() -> None:
    with pytest.raises(InputError, match="no width"):
        Histogram(low=2, high=2)
    node = Histogram(bins=2, low=0, high=2)
    fed(node, [np.ones((2, 2), "u1")])
    node.change(bins=4)
    assert node.result() is None


def test_a_rate_is_that_of_the_window_and_gaps_are_counted() -> None:
    node = Rate(window=3, hardware=True)
    for number, at in ((1, 0.0), (2, 100.0), (4, 100.1), (5, 100.2)):
        node.accumulate(Frame(number, np.zeros(1), hardware_time=at))
    assert node.result() == {"rate": pytest.approx(10.0), "gaps": 1}
    assert math.isnan(Rate().result()["rate"])  # type: ignore[index]


ROIS = st.one_of(
    st.builds(
        Box, x=st.integers(-4, 9), y=st.integers(-4, 9),
        width=st.integers(1, 12), height=st.integers(1, 12),
    ),
    st.builds(Circle, x=st.floats(-3, 10), y=st.floats(-3, 10), radius=st.floats(0, 8)),
    st.builds(
        Polygon,
        points=st.lists(
            st.tuples(st.integers(-3, 11), st.integers(-3, 11)), min_size=3, max_size=7
        ).map(tuple),
    ),
)  # fmt: skip


def holds(roi: Any, x: int, y: int) -> bool:
    """Whether a pixel belongs to a region, by the plain definition."""
    if isinstance(roi, Box):
        return roi.x <= x < roi.x + roi.width and roi.y <= y < roi.y + roi.height
    if isinstance(roi, Circle):
        return (x - roi.x) ** 2 + (y - roi.y) ** 2 <= roi.radius**2
    inside = False
    for (ax, ay), (bx, by) in zip(roi.points, (*roi.points[1:], roi.points[0]), strict=True):
        if min(ay, by) <= y < max(ay, by) and x < ax + (y - ay) * (bx - ax) / (by - ay):
            inside = not inside
    return inside


@given(SHAPES.flatmap(images), st.lists(ROIS, max_size=4), st.booleans())
@settings(max_examples=150, deadline=None)
def test_statistics_of_regions_are_those_of_a_loop_over_pixels(
    image: Any, rois: list[Any], highest: bool
) -> None:
    node = RoiStatistics(
        rois={f"r{n}": roi.model_dump() for n, roi in enumerate(rois)}, highest=highest
    )
    found = fed(node, [image])
    assert all(len(found[name]) == len(rois) for name in STATISTICS)
    for at, roi in enumerate(rois):
        pixels = [
            (x, y, float(image[y, x]))
            for y, x in np.ndindex(image.shape)
            if holds(roi, x, y) and np.isfinite(image[y, x])
            and not (highest and image.dtype.kind != "f"
                     and image[y, x] == np.iinfo(image.dtype).max)
        ]  # fmt: skip
        values = [value for _, _, value in pixels]
        assert found["valid"][at] == len(values)
        total = math.fsum(values)
        assert found["sum"][at] == pytest.approx(total, abs=1e-6)
        if not values:
            assert all(math.isnan(found[name][at]) for name in ("mean", "min", "max", "std", "x"))
            continue
        assert found["min"][at] == min(values)
        assert found["max"][at] == max(values)
        mean = total / len(values)
        assert found["mean"][at] == pytest.approx(mean, abs=1e-6)
        std = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
        assert found["std"][at] == pytest.approx(std, rel=1e-6, abs=1e-6)
        if image.dtype.kind == "f":
            continue  # weights of both signs: the quotient means nothing
        if total > 0:
            x = math.fsum(x * value for x, _, value in pixels) / total
            assert found["x"][at] == pytest.approx(x, abs=1e-9)
        elif image.dtype.kind == "u":
            assert math.isnan(found["y"][at])


def test_regions_are_changed_while_frames_flow() -> None:
    node = RoiStatistics()
    frame = np.arange(12, dtype="u2").reshape(3, 4)
    assert fed(node, [frame])["sum"].tolist() == []
    node.change(rois={"a": {"shape": "box", "x": 1, "y": 1, "width": 2, "height": 1}})
    assert fed(node, [frame])["sum"].tolist() == [11]
    with pytest.raises(InputError, match=r"roi.rois.a.width\] 0 is less than 1"):
        node.change(rois={"a": {"shape": "box", "x": 1, "y": 1, "width": 0, "height": 1}})
    assert fed(node, [frame])["sum"].tolist() == [11]
    wide = np.ones((1, 2), "u2")
    assert fed(node, [wide])["valid"].tolist() == [0]


def test_full_scale_pixels_of_a_large_region_do_not_overflow() -> None:
    image = np.full((600, 700), 2**32 - 1, "u4")
    total, mean, least, most, std, x, y, valid = statistics(
        image, region(Box(x=0, y=0, width=700, height=600), 600, 700)
    )
    assert total == 600 * 700 * (2**32 - 1)
    assert (mean, least, most, std) == (2**32 - 1, 2**32 - 1, 2**32 - 1, 0)
    assert (x, y, valid) == (pytest.approx(349.5), pytest.approx(299.5), 420_000)


@given(SHAPES.flatmap(images), st.integers(1, 4), st.integers(1, 4))
@FEW
def test_binning_is_that_of_a_loop_over_blocks(image: Any, rows: int, columns: int) -> None:
    for how in ("sum", "mean"):
        found = binned(image, rows, columns, how=how)
        assert found.shape == (image.shape[0] // rows, image.shape[1] // columns)
        for y, x in np.ndindex(found.shape):
            block = image[y * rows : (y + 1) * rows, x * columns : (x + 1) * columns]
            values = [value.item() for value in block.ravel() if np.isfinite(value)]
            mean = math.fsum(values) / len(values) if values else math.nan
            wanted = mean * rows * columns if how == "sum" else mean
            assert float(found[y, x]) == pytest.approx(wanted, nan_ok=True, abs=1e-6)
    if image.dtype.kind == "u":
        assert binned(image, 1, 1).dtype == np.uint64


def test_a_block_larger_than_the_frame_is_refused() -> None:
    with pytest.raises(InputError, match="no block"):
        Binning(rows=3).accumulate(Frame(1, np.zeros((2, 9))))


@given(SHAPES.flatmap(images), st.floats(-5, 300), st.none() | st.floats(0, 1000), st.booleans())
@FEW
def test_a_threshold_keeps_what_lies_in_its_window(
    image: Any, low: float, high: float | None, binary: bool
) -> None:
    low, high = (low, high) if high is None else (min(low, high), max(low, high))
    found = fed(Threshold(low=low, high=high, binary=binary), [image])
    assert found["frames"].dtype == image.dtype
    kept = 0
    for y, x in np.ndindex(image.shape):
        value = image[y, x].item()
        inside = math.isfinite(value) and value >= low and (high is None or value <= high)
        kept += inside
        assert found["frames"][y, x] == ((1 if binary else value) if inside else 0)
    assert found["count"] == kept


def test_only_hits_are_passed_on_and_masked_pixels_are_never_bright() -> None:
    node = Hits(above=10, pixels=2, highest=True)
    blank, hit = np.full((2, 2), 65535, "u2"), np.array([[11, 12], [0, 65535]], "u2")
    assert fed(node, [blank]) == {"hit": 0, "bright": 0}
    found = fed(node, [hit])
    assert (found["hit"], found["bright"]) == (1, 2)
    assert found["frames"] is hit


def test_dark_flat_and_mask_are_applied_as_a_loop_would(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    raw = rng.integers(0, 1000, (6, 7)).astype("u2")
    dark, flat = rng.uniform(5, 15, (6, 7)), rng.uniform(0.5, 2, (6, 7))
    mask = rng.random((6, 7)) < 0.2
    flat[0, 0], dark[1, 1] = 0, np.nan
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file["entry/data/data"] = np.stack([dark - 1, dark + 1])
        file["flat"], file["mask"] = flat, mask.astype("u1")
    place = f"{tmp_path}/c.h5"
    node = Correct(dark=place, flat=f"{place}::/flat", mask=f"{place}::mask", dtype="float64")
    found = fed(node, [raw])["frames"]
    used = [
        (y, x) for y, x in np.ndindex(raw.shape)
        if not mask[y, x] and flat[y, x] > 0 and np.isfinite(dark[y, x])
    ]  # fmt: skip
    mean = np.mean([flat[at] for at in used])
    for y, x in np.ndindex(raw.shape):
        wanted = (raw[y, x] - dark[y, x]) / flat[y, x] * mean if (y, x) in used else math.nan
        assert found[y, x] == pytest.approx(wanted, nan_ok=True)
    node.change(dark="", flat="", mask="")
    assert fed(node, [raw])["frames"].tolist() == raw.tolist()
    node.change(dtype="float32")
    assert fed(node, [raw])["frames"].dtype == np.float32


def test_corrections_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no image"):
        Correct(dark=f"{tmp_path}/none.h5")
    node = Correct()
    with pytest.raises(ConfigError, match="differ in shape"):
        node.use(dark=np.zeros((2, 2)), flat=np.ones((3, 2)))
    node.use(dark=np.zeros((2, 2)))
    with pytest.raises(InputError, match="its correction"):
        node.accumulate(Frame(1, np.zeros((3, 3), "u2")))


def test_a_masked_integer_pixel_becomes_nan() -> None:
    found = fed(Correct(highest=True), [np.array([[3, 65535]], "u2")])["frames"]
    assert found[0, 0] == 3
    assert math.isnan(found[0, 1])


def test_hot_and_dead_pixels_are_found_among_noisy_ones() -> None:
    rng = np.random.default_rng(2)
    node = OddPixels()
    for number in range(1, 21):
        image = rng.poisson(100, (40, 50)).astype("u2")
        image[3, 4], image[10, 11], image[20, 21] = 900, 0, 101
        node.accumulate(Frame(number, image))
    found: Any = node.result()
    assert found["count"] == 3
    assert [int(found["mask"][at]) for at in ((3, 4), (10, 11), (20, 21))] == [1, 2, 2]
    assert odd_pixels(np.array([[np.nan, 1.0]])).tolist() == [[3, 0]]
    assert odd_pixels(np.full((2, 2), np.nan)).tolist() == [[3, 3], [3, 3]]


@given(st.integers(1, 6), st.sets(st.integers(1, 30), max_size=20))
@FEW
def test_blocks_of_frames_are_those_of_a_loop_the_last_one_with_what_is_left(
    block: int, numbers: set[int]
) -> None:
    nodes: list[Node] = [Sum(block=block), MeanVariance(block=block)]
    found: list[list[Any]] = [[], []]
    for number in sorted(numbers):
        image = np.full((2, 3), number, "u2")
        for node, results in zip(nodes, found, strict=True):
            node.accumulate(Frame(number, image, trigger=number - 1, time=float(number)))
            while (one := node.result()) is not None:
                results.append(one)
    for node, results in zip(nodes, found, strict=True):
        node.finish()
        while (one := node.result()) is not None:
            results.append(one)
    ordered = sorted(numbers)
    blocks = [ordered[at : at + block] for at in range(0, len(ordered), block)]
    for results, port in zip(found, ("sum", "mean"), strict=True):
        frames = [one[port] for one in results]
        assert [(f.first, f.seq_num, f.count) for f in frames] == [
            (b[0], b[-1], len(b)) for b in blocks
        ]
        assert [(f.trigger, f.time) for f in frames] == [(b[-1] - 1, float(b[-1])) for b in blocks]
        wanted = [sum(b) / (1 if port == "sum" else len(b)) for b in blocks]
        assert [float(f.data[1, 2]) for f in frames] == pytest.approx(wanted)


def test_a_new_size_of_blocks_begins_anew() -> None:
    node = Sum(block=2)
    node.accumulate(Frame(1, np.ones((1, 1), "u1")))
    node.change(block=0)
    assert node.result() is None
    assert not node.queued
    assert fed(node, [np.ones((1, 1), "u1")])["sum"] == 1
