"""The forms that people type give the points that they expect."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from undula.core.errors import InputError
from undula.plans import parse_form


def test_ascan_counts_intervals_so_ten_intervals_are_eleven_points() -> None:
    form = parse_form("ascan", ["samx", 0, 1, 10, 0.1], {})
    assert form.num == 11
    assert form.count_time_s == 0.1
    assert form.trajectory is not None
    assert form.trajectory.points.ravel().tolist() == pytest.approx(np.linspace(0, 1, 11).tolist())
    assert not form.returns


def test_scan_counts_points() -> None:
    assert parse_form("scan", ["samx", 0, 1, 11], {}).num == 11
    assert parse_form("scan", ["samx", 0, 1], {"num": 7}).num == 7


def test_dscan_is_relative_and_returns() -> None:
    form = parse_form("dscan", ["samx", -1, 1, 4, 0.5], {})
    assert form.returns
    assert form.trajectory is not None
    assert form.trajectory.relative
    assert form.trajectory.shifted([10.0]).points.ravel().tolist() == [9.0, 9.5, 10.0, 10.5, 11.0]


def test_mesh_moves_its_first_axis_fastest() -> None:
    form = parse_form("mesh", ["samx", 0, 2, 2, "samy", 0, 1, 1, 0.1], {})
    assert form.trajectory is not None
    assert form.trajectory.axes == ("samy", "samx")
    assert form.trajectory.points.tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]


def test_grid_scan_moves_its_last_axis_fastest_and_snakes_on_request() -> None:
    form = parse_form("grid_scan", ["y", 0, 1, 2, "x", 0, 1, 2], {"snake_axes": True})
    assert form.trajectory is not None
    assert form.trajectory.points.tolist() == [[0, 0], [0, 1], [1, 1], [1, 0]]
    assert form.trajectory.shape == (2, 2)


def test_a_list_as_first_argument_names_the_detectors() -> None:
    assert parse_form("count", [["diode"], 3], {}).detectors == ("diode",)


def test_timescan_without_a_number_goes_on_until_it_is_stopped() -> None:
    assert parse_form("timescan", [0.1], {}).num is None
    assert parse_form("timescan", [0.1, 5], {}).num == 5
    assert parse_form("loopscan", [5, 0.1], {}).num == 5
    assert parse_form("ct", [0.5], {}).count_time_s == 0.5


@pytest.mark.parametrize(
    ("plan", "args", "kwargs", "text"),
    [
        ("scan", [], {}, "no axis was named"),
        ("scan", ["samx", 0, 1, 0], {}, "the number of points is 0"),
        ("scan", ["samx", 0, 1, 10**9], {}, "5,000,000 or fewer"),
        ("grid_scan", ["y", 0, 1, 10**5, "x", 0, 1, 10**5], {}, "too many"),
        ("count", [10**9], {}, "5,000,000 or fewer"),
        ("scan", ["samx", 0, "b", 5], {}, "stop of samx is 'b'"),
        ("scan", ["samx", 0, float("nan"), 5], {}, "finite"),
        ("scan", ["samx", 0, 1, "samx", 0, 1, 5], {}, "named twice"),
        ("scan", ["samx", 0, 1, 5], {"speed": 3}, "has no option 'speed'"),
        ("scan", ["samx", 0, 5], {}, "the number of points is missing"),
        ("ascan", ["samx", 0, 1, 10], {}, "INTERVALS TIME"),
        ("ascan", ["samx", 0, 1, 2.5, 0.1], {}, "whole number"),
        ("mesh", ["samx", 0, 1, 3], {}, "mesh AXIS START STOP INTERVALS"),
        ("list_scan", ["samx", [1, 2], "samy", [1]], {}, "one equal length"),
        ("grid_scan", ["y", 0, 1, 2, "x", 0, 1, 2], {"snake_axes": ["z"]}, "snake_axes names"),
        ("count", [True], {}, "whole number"),
        ("timescan", [], {}, "TIME [NPOINTS]"),
    ],
)
def test_a_wrong_argument_is_refused_with_a_remedy(
    plan: str, args: list[object], kwargs: dict[str, object], text: str
) -> None:
    with pytest.raises(InputError) as caught:
        parse_form(plan, args, kwargs)
    assert text in str(caught.value)
    assert "Remedy:" in str(caught.value)


@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=3),
    st.booleans(),
)
def test_a_grid_visits_every_node_once_whatever_the_snaking(nums: list[int], snake: bool) -> None:
    args = [v for i, n in enumerate(nums) for v in (f"a{i}", 0.0, float(n), n)]
    form = parse_form("grid_scan", args, {"snake_axes": snake})
    assert form.trajectory is not None
    points = form.trajectory.points
    assert len(points) == np.prod(nums)
    assert len({tuple(row) for row in np.round(points, 9).tolist()}) == len(points)


def test_a_single_number_is_a_list_of_one() -> None:
    form = parse_form("list_scan", ["samx", 1.5, "samy", [2.5]], {})
    assert form.trajectory is not None
    assert form.trajectory.points.tolist() == [[1.5, 2.5]]
