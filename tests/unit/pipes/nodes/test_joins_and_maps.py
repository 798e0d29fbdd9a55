"""Frames find their positions, numbers their places; what is missing shifts nothing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scanspec.specs import Line

from undula.core.errors import InputError
from undula.pipes.frame import Frame
from undula.pipes.nodes.join import INTERPOLATED, MEASURED, NO_POSITION, NO_ROOM, PositionJoin
from undula.pipes.nodes.maps import GridMap, PositionMap, place_of


def results(node: PositionJoin) -> list[tuple[int, list[float], int]]:
    found = []
    while (one := node.result()) is not None:
        assert one["frames"].seq_num == one["positions"].seq_num == one["quality"].seq_num
        found.append(
            (one["frames"].seq_num, one["positions"].data.tolist(), int(one["quality"].data))
        )
    return found


@given(st.sets(st.integers(0, 15)), st.sets(st.integers(0, 15)), st.integers(0, 20), st.randoms())
@settings(max_examples=100, deadline=None)
def test_each_frame_goes_on_once_in_order_with_its_own_position(
    frames: set[int], positions: set[int], patience: int, random: Any
) -> None:
    node = PositionJoin(patience=patience)
    sent = [("frames", at) for at in sorted(frames)]
    for at in sorted(positions):
        sent.insert(random.randint(0, len(sent)), ("positions", at))
    sent_frames = [at for port, at in sent if port == "frames"]
    sent = [one if one[0] == "positions" else ("frames", sent_frames.pop(0)) for one in sent]
    found = []
    for port, at in sent:
        data = np.array([at * 1.5, -at]) if port == "positions" else np.array([at])
        node.receive(port, Frame(at + 1, data, trigger=at))
        data[...] = -1  # a slot is used again
        found += results(node)
    node.finish()
    found += results(node)
    assert [seq_num for seq_num, _, _ in found] == [at + 1 for at in sorted(frames)]
    for seq_num, values, quality in found:
        if quality == MEASURED:
            assert values == [(seq_num - 1) * 1.5, -(seq_num - 1)]
            assert seq_num - 1 in positions
        else:
            assert quality == NO_POSITION
            assert all(math.isnan(value) for value in values)
            assert patience < 20 or seq_num - 1 not in positions


def test_frames_that_wait_have_a_bound_in_bytes_and_the_oldest_goes_on_and_says_why() -> None:
    node = PositionJoin(keep_bytes=3500)  # two frames of 1000 bytes
    for at in range(5):
        node.receive("frames", Frame(at + 1, np.zeros(1000, "u1"), trigger=at))
    assert [(n, quality) for n, _, quality in results(node)] == [(n, NO_ROOM) for n in (1, 2, 3)]
    node.receive("positions", Frame(4, np.array([7.0]), trigger=3))
    node.finish()
    assert results(node)[0] == (4, [7.0], MEASURED)
    small = PositionJoin(keep_bytes=10_000, patience=1_000_000)
    for at in range(1000):
        small.receive("frames", Frame(at + 1, np.zeros(1), trigger=at))
    assert len(results(small)) > 980, "a frame of 8 bytes takes more than its data"
    large = PositionJoin(keep_bytes=10)
    large.receive("frames", Frame(1, np.zeros(1000, "u1"), trigger=0))
    assert results(large) == [], "one frame may wait, whatever its size"


def test_positions_between_two_times_are_interpolated_not_too_far() -> None:
    node = PositionJoin(by="time", reach_s=1.0)
    for number, at in enumerate((0.0, 0.5, 2.6, 3.0), 1):
        node.receive("positions", Frame(number, np.array([10 * at]), time=at))
    for number, at in enumerate((0.25, 0.5, 1.0, 2.8, 9.0), 1):
        node.receive("frames", Frame(number, np.zeros((2, 2)), time=at))
    found = results(node)
    assert found[:2] == [(1, [2.5], INTERPOLATED), (2, [5.0], MEASURED)]
    assert len(found) == 2
    node.finish()
    rest = results(node)
    assert [(n, q) for n, _, q in rest] == [(3, NO_POSITION), (4, INTERPOLATED), (5, NO_POSITION)]
    assert rest[1][1] == pytest.approx([28.0])


def test_what_cannot_be_joined_is_refused() -> None:
    node = PositionJoin(by="time", clock="hardware")
    with pytest.raises(InputError, match="no hardware time"):
        node.receive("frames", Frame(1, np.zeros(1)))
    node.change(by="trigger")
    node.receive("positions", Frame(1, np.zeros(2), trigger=0))
    with pytest.raises(InputError, match="not those of 2 axes"):
        node.receive("positions", Frame(2, np.zeros(3), trigger=1))


@pytest.mark.parametrize("shape", [(7,), (3, 4), (2, 3, 4), (3, 2, 5)])
@pytest.mark.parametrize("snake", [False, True])
def test_points_lie_where_the_trajectory_puts_them(shape: tuple[int, ...], snake: bool) -> None:
    spec: Any = None
    for axis, length in enumerate(shape):
        line: Any = Line(f"a{axis}", 0, length - 1, length)
        line = ~line if snake and axis else line
        spec = line if spec is None else spec * line
    points = spec.midpoints()
    for index, point in enumerate(points):
        wanted = tuple(round(point[f"a{axis}"]) for axis in range(len(shape)))
        assert place_of(index, shape, snake=snake) == wanted


@given(st.data(), st.booleans(), st.integers(1, 5), st.integers(1, 5), st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_grid_map_keeps_every_point_in_its_place_whatever_is_missing(
    data: st.DataObject, snake: bool, rows: int, columns: int, channels: bool
) -> None:
    points = data.draw(st.lists(st.integers(0, rows * columns - 1), max_size=20))
    node = GridMap(shape=(rows, columns), snake=snake)
    wanted = np.full((rows, columns), np.nan)
    for number, point in enumerate(points, 1):
        value = float(number)
        node.accumulate(
            Frame(number, np.array([value, -value] if channels else value), trigger=point)
        )
        wanted[place_of(point, (rows, columns), snake=snake)] = value
    found: Any = node.result()
    if not points:
        assert found is None
        return
    assert np.array_equal(
        found["map"][..., 0] if channels else found["map"], wanted, equal_nan=True
    )
    assert not channels or np.array_equal(found["map"][..., 1], -wanted, equal_nan=True)
    assert list(node.missing_points) == sorted(set(range(max(points))) - set(points))
    assert found["missing"].tolist() == list(node.missing_points)
    assert found["gaps"] == len(node.missing_points)


def test_points_beyond_the_grid_are_refused() -> None:
    node = GridMap(shape=(2, 2))
    for wrong in (Frame(5, np.array(1.0)), Frame(1, np.ones((2, 2)))):
        with pytest.raises(InputError, match="the map has 4 points"):
            node.accumulate(wrong)
    with pytest.raises(InputError, match="cannot be"):
        GridMap(shape=(0, 2))
    with pytest.raises(InputError, match="cannot be"):
        GridMap(shape=())
    node.accumulate(Frame(1, np.array(1.0)))
    node.change(shape=(3,))
    assert node.result() is None


@given(
    st.lists(st.tuples(st.floats(-2, 12) | st.just(math.nan), st.floats(-2, 4)), max_size=25),
    st.randoms(),
)
@settings(max_examples=60, deadline=None)
def test_a_map_by_position_has_the_mean_of_each_pixel(
    points: list[tuple[float, float]], random: Any
) -> None:
    axes = [{"start": 10, "stop": 0, "num": 6}, {"start": 0, "stop": 2, "num": 3}]
    node = PositionMap(axes=axes)
    sent = [
        (port, Frame(number, np.array(number * 10.0) if port == "values" else np.array(at)))
        for number, at in enumerate(points, 1)
        for port in ("values", "positions")
    ]
    random.shuffle(sent)
    for port, frame in sent:
        node.receive(port, frame)
    pixels: dict[tuple[int, int], list[float]] = {}
    outside = 0
    for number, (x, y) in enumerate(points, 1):
        place = [
            next((n for n in range(num) if -0.5 <= (at - start) / step - n < 0.5), None)
            for at, start, step, num in ((x, 10, -2, 6), (y, 0, 1, 3))
        ]
        if None in place:
            outside += 1
        else:
            pixels.setdefault((place[0], place[1]), []).append(number * 10.0)  # type: ignore[arg-type]
    found: Any = node.result()
    if not pixels:
        assert found is None
        return
    assert found["outside"] == outside
    for at in np.ndindex(6, 3):
        values = pixels.get(at, [])  # type: ignore[call-overload]
        assert found["counts"][at] == len(values)
        wanted = math.fsum(values) / len(values) if values else math.nan
        assert found["map"][at] == pytest.approx(wanted, nan_ok=True)


def test_halves_that_wait_too_long_are_counted_and_channels_keep_their_nan() -> None:
    node = PositionMap(axes=[{"start": 0, "stop": 1, "num": 2}], patience=1)
    node.receive("values", Frame(1, np.array([1.0, math.nan])))
    node.receive("values", Frame(2, np.array([1.0, math.nan])))
    node.receive("positions", Frame(1, np.array([0.0])))
    node.receive("positions", Frame(2, np.array([1.0])))
    found: Any = node.result()
    assert found["outside"] == 1
    assert np.array_equal(found["map"], [[math.nan, math.nan], [1.0, math.nan]], equal_nan=True)
    assert found["counts"].tolist() == [[0, 0], [1, 0]]
    with pytest.raises(InputError, match="3 axes"):
        PositionMap(axes=[{"start": 0, "stop": 1, "num": 2}] * 3)


@pytest.mark.parametrize("first", ["values", "positions"])
def test_the_map_of_a_frame_is_told_once_with_both_halves_whichever_comes_first(first: str) -> None:
    node = PositionMap(axes=[{"start": 0, "stop": 1, "num": 2}])
    second = "positions" if first == "values" else "values"
    told = []
    for number in (1, 2):
        for port in (first, second):
            node.receive(port, Frame(number, np.array([number - 1.0])))
            told.append(node.result())
    assert [result is None for result in told] == [True, False, True, False]
    assert told[3] is not None
    assert told[3]["counts"].sum() == 2
