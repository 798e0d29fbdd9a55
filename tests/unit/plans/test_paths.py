"""Laws of the trajectories: number of points, bounds, order; and where they come from."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from bluesky import plan_patterns
from hypothesis import given, settings
from hypothesis import strategies as st

from undula.core.errors import InputError
from undula.plans import parse_form
from undula.plans.form import StepForm
from undula.plans.paths import energy, grids, lines, order, spirals
from undula.plans.trajectory import FloatArray

AXES = ("x", "y")
Place = st.floats(-50, 50).map(lambda v: round(v, 3))
Size = st.floats(0.5, 10).map(lambda v: round(v, 3))


def points(form: StepForm) -> FloatArray:
    assert form.trajectory is not None
    return form.trajectory.points


def rounded(values: FloatArray) -> set[tuple[float, ...]]:
    return {tuple(row) for row in np.round(values, 9).tolist()}


@given(Place, Place, Size, Size, st.floats(0.3, 3), st.integers(1, 8))
@settings(max_examples=40, deadline=None)
def test_spirals_stay_in_their_box_and_visit_no_place_twice(
    x: float, y: float, wide: float, high: float, dr: float, nth: int
) -> None:
    found = []
    for make, more in ((spirals.spiral, {"nth": nth}), (spirals.fermat, {"factor": 1.0})):
        try:
            found.append(make(AXES, (x, y), (wide, high), dr=dr, **more).points)  # type: ignore[operator]  # two of a kind
        except InputError as error:
            assert "no point lies" in str(error)  # noqa: PT017  # the box is smaller than a ring
    for path in found:
        assert np.all(np.abs(path - [x, y]) <= np.array([wide, high]) / 2 + 1e-9)
        assert len(rounded(path)) == len(path)


def test_spirals_are_the_points_of_bluesky() -> None:
    ours = points(parse_form("spiral", ["x", "y", 1, 2, 4, 3, 0.5, 6], {"tilt": 0.2}))
    theirs = plan_patterns.spiral("x", "y", 1, 2, 4, 3, 0.5, 6, tilt=0.2).by_key()
    assert np.array_equal(ours, np.column_stack([theirs["x"], theirs["y"]]))


@given(st.integers(2, 9), st.integers(2, 9))
def test_a_square_spiral_visits_each_node_of_its_grid_once(nx: int, ny: int) -> None:
    path = spirals.square(AXES, (0.0, 0.0), (2.0, 4.0), (nx, ny)).points
    nodes = [(a, b) for a in np.linspace(-1, 1, nx) for b in np.linspace(-2, 2, ny)]
    assert len(path) == nx * ny
    assert rounded(path) == rounded(np.array(nodes))


@given(st.integers(1, 8), st.integers(1, 9), st.floats(0, 5), st.floats(0.1, 5))
def test_rings_have_as_many_points_as_declared_at_their_radii(
    num: int, first: int, inner: float, width: float
) -> None:
    path = spirals.rings(AXES, (1.0, -2.0), (inner, inner + width), num, first).points
    radii = np.hypot(*(path - [1.0, -2.0]).T)
    assert len(path) == first * num * (num + 1) // 2
    assert radii.max() == pytest.approx(inner + width)
    assert np.all(np.diff(radii) >= -1e-9)


@given(Size, Size, st.floats(0.1, 2), st.floats(0.1, 2), st.booleans())
@settings(max_examples=50)
def test_a_hexagonal_map_stays_in_its_box(
    wide: float, high: float, dx: float, dy: float, snake: bool
) -> None:
    path = grids.hexagonal(AXES, (0.0, wide, dx), (-high, 0.0, dy), snake).points
    assert np.all((path >= [0.0, -high]) & (path <= [wide, 0.0]))
    assert len(rounded(path)) == len(path)
    assert np.all(np.diff(path[:, 1]) >= 0)


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([0.1, 0.3, 0.7, 1e-3]))
@settings(max_examples=50)
def test_a_hexagonal_map_reaches_a_stop_that_is_whole_steps_away(
    nx: int, ny: int, d: float
) -> None:
    path = grids.hexagonal(AXES, (0.0, nx * d, d), (0.0, ny * d, d), False).points
    even, odd = (ny // 2 + 1) * (nx + 1), ((ny + 1) // 2) * nx
    assert len(path) == even + odd
    assert path.max(axis=0).tolist() == [nx * d, ny * d]


@given(
    st.lists(st.lists(Place, min_size=1, max_size=4, unique=True), min_size=1, max_size=3),
    st.booleans(),
)
def test_a_map_of_lists_visits_each_combination_once(lists: list[list[float]], back: bool) -> None:
    args = [word for i, values in enumerate(lists) for word in (f"a{i}", values)]
    path = points(parse_form("list_grid_scan", args, {"snake_axes": back}))
    assert len(path) == math.prod(map(len, lists))
    assert len(rounded(path)) == len(path)
    if back:  # one axis at a time
        assert np.all(np.count_nonzero(np.diff(path, axis=0), axis=1) <= 1)


@given(st.lists(st.tuples(Place, Place, st.integers(1, 6)), min_size=1, max_size=4))
def test_regions_hang_together_and_share_their_ends(rows: list[tuple[float, float, int]]) -> None:
    path = lines.regions("x", rows).points[:, 0]
    shared = sum(num for *_, num in rows) - len(path)
    assert 0 <= shared < len(rows)
    assert path[0] == rows[0][0]
    assert set(np.round([r[0] for r in rows], 9)) <= set(np.round(path, 9))


@given(
    st.lists(st.floats(1, 100), min_size=2, max_size=5, unique=True).map(sorted),
    st.floats(0.1, 20),
)
def test_steps_of_regions_are_never_larger_than_asked(ends: list[float], step: float) -> None:
    path = lines.stepped("energy", ends, [step] * (len(ends) - 1)).points[:, 0]
    assert np.all(np.diff(path) <= step * (1 + 1e-9))
    assert np.all(np.diff(path) > 0)
    assert {*np.round(ends, 6)} <= {*np.round(path, 6)}


@given(st.floats(0.02, 0.2), st.floats(6, 16), st.floats(0, 4))
@settings(max_examples=50)
def test_exafs_steps_evenly_in_k_and_counts_longer_as_k_grows(
    step: float, stop: float, power: float
) -> None:
    form = parse_form(
        "exafs_scan", ["energy", 7112], {"k_stop": stop, "k_step": step, "k_power": power}
    )
    above = points(form)[:, 0] - 7112
    k = energy.wave_number(above[above >= 40 - 1e-9])
    assert k[-1] == pytest.approx(stop)
    assert np.ptp(np.diff(k)) < 1e-6
    assert np.all(np.diff(k) <= step + 1e-9)
    times = form.count_times_s
    assert times is not None
    assert times.shape == (form.num,)
    assert np.all(np.diff(times) >= -1e-12)
    assert times[-1] == pytest.approx((stop / k[0]) ** power)


def test_the_wave_number_of_an_electron_of_100_eV() -> None:
    # sqrt(100 / 3.80998) from the constants of CODATA
    assert energy.wave_number(np.array([100.0]))[0] == pytest.approx(5.1232, abs=1e-4)


def test_exafs_takes_no_longer_than_the_longest_count_time() -> None:
    form = parse_form("exafs_scan", ["e", 7112], {"k_stop": 14.0, "k_power": 3.0, "longest": 5.0})
    assert form.count_times_s is not None
    assert form.count_times_s.max() == 5.0


def test_xanes_counts_each_region_for_its_own_time() -> None:
    form = parse_form(
        "xanes_scan", ["e", [-20, 0, 10], [10, 5]], {"edge": 7112, "count_times": [1, 2]}
    )
    assert points(form)[:, 0].tolist() == [7092, 7102, 7112, 7117, 7122]
    assert form.count_times_s is not None
    assert form.count_times_s.tolist() == [1, 1, 1, 2, 2]


RELATIVE: list[tuple[str, str, list[Any]]] = [
    ("scan", "rel_scan", ["x", -1, 1, 5, ]),
    ("grid_scan", "rel_grid_scan", ["y", 0, 1, 2, "x", -1, 1, 3]),
    ("list_grid_scan", "rel_list_grid_scan", ["y", [0, 3], "x", [-1, 1, 2]]),
    ("log_scan", "rel_log_scan", ["x", 0, 1, 4]),
    ("ascan", "dscan", ["x", 0, 1, 4, 0.1]),
    ("mesh", "dmesh", ["x", 0, 1, 4, "y", 0, 2, 2, 0.1]),
    ("a2scan", "d2scan", ["x", 0, 1, "y", 3, 4, 4, 0.1]),
]  # fmt: skip


@pytest.mark.parametrize(("absolute", "relative", "args"), RELATIVE)
def test_a_relative_plan_is_its_absolute_one_moved(
    absolute: str, relative: str, args: list[Any]
) -> None:
    form = parse_form(relative, args, {})
    assert form.trajectory is not None
    assert form.returns
    assert form.trajectory.relative
    origin = [10.0 * (i + 1) for i in range(len(form.axes))]
    shifted = form.trajectory.shifted(origin).points
    assert np.allclose(shifted, points(parse_form(absolute, args, {})) + origin)


@given(
    st.lists(st.tuples(Place, Place), min_size=3, max_size=60, unique=True),
    st.sampled_from(order.METHODS),
)
@settings(max_examples=60, deadline=None)
def test_another_order_keeps_every_point(rows: list[tuple[float, float]], method: str) -> None:
    path = np.array(rows)
    found = order.ordered(path, method)
    assert sorted(map(tuple, found.tolist())) == sorted(map(tuple, path.tolist()))


@pytest.mark.parametrize("method", order.METHODS)
def test_a_spiral_in_order_is_a_shorter_way(method: str) -> None:
    path = spirals.fermat_in_box(AXES, (-5, 5), (-5, 5), 0.6).points
    assert order.length(order.ordered(path, method)) < order.length(path) / 3


@pytest.mark.parametrize(
    ("plan", "args", "kwargs", "text"),
    [
        ("spiral", ["x", "y", 0, 0, 1, 1, 5, 1], {}, "no point lies in the range"),
        ("spiral", ["x", "y", 0, 0, 1, 1, 1e-6, 1], {}, "too many"),
        ("spiral", ["x", "y", 0, 0, 1, 1, 0, 1], {}, "more than 0"),
        ("spiral", ["x", "y", 0, 0, 1, 1, 1e-200, 1], {}, "too small for a way"),
        ("spiral_fermat", ["x", "y", 0, 0, 1, 1, 1e-320, 1], {}, "too small for a way"),
        ("scans.fermat_scan", ["x", 0, 1, "y", 0, 1, 1e-200], {"relative": False}, "too many"),
        ("scans.hexagonal_scan", ["x", 0, 1, 1e-320, "y", 0, 1, 1], {"relative": False},
         "too small for a way"),
        ("scans.round_roi_scan", ["x", 0, 1, "y", 0, 1, 1e-320, 3], {"relative": False},
         "too small for a way"),
        ("xanes_scan", ["e", [0, 1e300], [1e-300]], {}, "too small for a way"),
        ("exafs_scan", ["e", 7112], {"k_stop": 12, "k_step": 1e-320}, "too small for a way"),
        ("for_each", ["x", list(range(2000)), "scan", "y", 0, 1, 5], {}, "2,000 runs are too many"),
        ("sequence", ["scan", "x", 0, 1, 5_000_000, "then", "ct"], {}, "points are too many"),
        ("spiral", ["x", "x", 0, 0, 1, 1, 0.1, 1], {}, "named twice"),
        ("log_scan", ["x", 0, 1000, 4], {}, "too large"),
        ("exafs_scan", ["e", 7112], {"k_stop": 2.0}, "below the last region"),
        ("exafs_scan", ["e", 7112], {}, "last wave number is missing"),
        ("xanes_scan", ["e", [0, 10], [1, 2]], {}, "do not bound 2 regions"),
        ("xanes_scan", ["e", [0, 10, 5], [1, 2]], {}, "neither rise nor fall"),
        ("scan_nd", [["x", "y"], [[1, 2], [3]]], {}, "point 2 is"),
        ("anscan", [[["x", 0]], 5, 0.1], {}, "names no axis as it should"),
        ("scans.line_scan", ["x", 0, 1], {"steps": 5}, "relative"),
        ("scans.multi_region_line_scan", ["x"], {"regions": [[0, 1]], "relative": True},
         "region 1"),
        ("scans.round_scan", ["x", "y", 5, 2, 3, 3], {"relative": True}, "outer radius"),
        ("scans.fermat_scan", ["x", 0, 1, "y", 0, 1, 0.3],
         {"relative": False, "optim_trajectory": "best"}, "corridor or shell or nearest"),
        ("adaptive_scan", ["d", "x", 0, 1, 0.5, 0.1, 1, True], {}, "is more than max_step"),
        ("monitor_scan", ["t"], {}, "neither a number of points nor a duration"),
        ("sequence", ["count", 3, "then", "sequence", "ct"], {}, "made of runs itself"),
        ("sequence", ["timescan", 0.1, "then", "ct"], {}, "until it is stopped"),
        ("sequence", ["spirla", 1], {}, "'spirla' is no declared plan"),
        ("for_each", ["scan", "x", 0, 1, 5], {}, "no condition was named"),
        ("for_each", ["x", [1, 2], "scan", "x", 0, 1, 5], {}, "is a condition and moved by scan"),
    ],
)  # fmt: skip
def test_what_makes_no_trajectory_is_refused_with_a_remedy(
    plan: str, args: list[Any], kwargs: dict[str, Any], text: str
) -> None:
    with pytest.raises(InputError) as caught:
        parse_form(plan, args, kwargs)
    assert text in str(caught.value)


def test_conditions_are_combined_and_named_in_each_run() -> None:
    words = ["temp", [20, 40], "field", [0, 1], "scan", "x", 0, 1, 3, "then", "count", 2]
    form = parse_form("for_each", words, {})
    assert [part.conditions for part in form.parts[::2]] == [
        {"temp": t, "field": f} for t in (20, 40) for f in (0, 1)
    ]
    assert form.parts[0].before == (("temp", 20.0), ("field", 0.0))
    assert form.parts[1].before == ()  # the second run at the same conditions
    assert form.axes == ("x", "temp", "field") or set(form.axes) == {"x", "temp", "field"}


def test_a_sequence_is_the_same_in_lists_and_in_words() -> None:
    in_lists = parse_form("sequence", [["scan", "x", 0, 1, 3], ["count", 2]], {"repeat": 2})
    in_words = parse_form("sequence", ["scan", "x", 0, 1, 3, "then", "count", 2], {"repeat": 2})
    assert [p.plan for p in in_lists.parts] == ["scan", "count"] * 2
    assert [p.num for p in in_words.parts] == [p.num for p in in_lists.parts] == [3, 2, 3, 2]
