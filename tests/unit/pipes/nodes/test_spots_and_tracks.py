"""Where the light is, and which spot is which from frame to frame."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from undula.core.errors import InputError
from undula.pipes.frame import Frame
from undula.pipes.nodes.simulated import SimulatedDetector
from undula.pipes.nodes.spots import CentreOfMass, Peaks, Spots, find_spots
from undula.pipes.nodes.tracking import Tracking


def test_spots_are_found_where_the_detector_put_them() -> None:
    detector = SimulatedDetector(
        width=300, height=200, pattern="spots", spot_count=6, level=500, width_px=2, seed=4
    )
    node = Spots()
    assert node.result() is None
    node.accumulate(detector.take()[0])
    found: Any = node.result()
    assert found["count"] == 6
    places = detector.spot_places()
    for x, y in found["spots"][:, :2]:
        assert np.hypot(*(places - (x, y)).T).min() < 0.5
    assert found["spots"][:, 2].tolist() == sorted(found["spots"][:, 2], reverse=True)


def loop_over_pixels(light: Any) -> list[tuple[float, ...]]:
    """Connected pixels above 0 by a plain walk: x, y, sum, max, pixels."""
    left = {(int(y), int(x)) for y, x in np.argwhere(light > 0)}
    found = []
    while left:
        waiting, spot = [left.pop()], []
        while waiting:
            y, x = waiting.pop()
            spot.append((y, x))
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            waiting += near
        weights = [float(light[at]) for at in spot]
        total = math.fsum(weights)
        x = math.fsum(w * at[1] for w, at in zip(weights, spot, strict=True)) / total
        y = math.fsum(w * at[0] for w, at in zip(weights, spot, strict=True)) / total
        found.append((x, y, total, max(weights), float(len(spot))))
    return sorted(found, key=lambda row: [round(value, 6) for value in row])


@given(st.sets(st.tuples(st.integers(0, 11), st.integers(0, 9)), max_size=20), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_spots_are_those_of_a_walk_from_pixel_to_pixel(
    bright: set[tuple[int, int]], seed: int
) -> None:
    light = np.zeros((12, 10))
    rng = np.random.default_rng(seed)
    for at in bright:
        light[at] = rng.integers(100, 200)
    found = find_spots(light + 4.0, sigmas=6, smallest=1, most=1000)
    wanted = loop_over_pixels(light)
    rows = sorted(found.tolist(), key=lambda row: [round(value, 6) for value in row])
    assert np.allclose(np.array(rows).reshape(-1, 5), np.array(wanted).reshape(-1, 5))
    large = find_spots(light + 4.0, sigmas=6, smallest=3, most=1)
    sizes = sorted((spot for spot in wanted if spot[4] >= 3), key=lambda spot: -spot[2])
    assert len(large) == min(1, len(sizes))
    assert not sizes or large[0][2] == pytest.approx(sizes[0][2])


def test_masked_pixels_make_no_spot() -> None:
    image = np.full((20, 20), 3, "u2")
    image[5, 5:9] = 65535
    image[12, 3:8] = 300
    node = Spots(highest=True)
    node.accumulate(Frame(1, image))
    found: Any = node.result()
    assert found["spots"][:, :2].tolist() == [[5.0, 12.0]]
    node.accumulate(Frame(2, np.full((4, 4), np.nan)))
    assert node.result() == {"count": 0, "spots": pytest.approx(np.zeros((0, 5)))}


@given(st.integers(0, 1000), st.floats(5, 25), st.floats(5, 15))
@settings(max_examples=30, deadline=None)
def test_the_centre_of_mass_is_that_of_the_light_above_the_level(
    seed: int, cx: float, cy: float
) -> None:
    y, x = np.mgrid[:21, :31]
    image = 10 + 1000 * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 4)
    image += np.random.default_rng(seed).uniform(0, 0.1, image.shape)
    node = CentreOfMass(above=12)
    node.accumulate(Frame(1, image))
    found: Any = node.result()
    weights = [(max(image[at] - 12, 0), at) for at in np.ndindex(image.shape)]
    total = math.fsum(weight for weight, _ in weights)
    assert found["x"] == pytest.approx(math.fsum(w * at[1] for w, at in weights) / total)
    assert found["y"] == pytest.approx(math.fsum(w * at[0] for w, at in weights) / total)
    assert found["sum"] == pytest.approx(total)
    assert abs(found["x"] - cx) < 0.2


def test_a_frame_without_light_has_no_centre() -> None:
    for image in (np.full((3, 3), 7), np.full((2, 2), np.nan)):
        node = CentreOfMass()
        node.accumulate(Frame(1, image))
        found: Any = node.result()
        assert math.isnan(found["x"])
        assert found["sum"] == 0


def test_peaks_of_a_curve_are_found_with_their_widths_the_highest_first() -> None:
    x = np.arange(200.0)
    curve = 5 + 100 * np.exp(-0.5 * ((x - 50) / 4) ** 2) + 200 * np.exp(-0.5 * ((x - 130) / 2) ** 2)
    curve[10] = np.nan
    node = Peaks(prominence=20)
    node.accumulate(Frame(1, curve))
    found: Any = node.result()
    assert found["place"].tolist() == [130, 50]
    assert found["height"] == pytest.approx([205, 105], abs=1e-6)
    assert found["width"] == pytest.approx([2.3548 * 2, 2.3548 * 4], rel=0.03)
    node.change(prominence=150)
    node.accumulate(Frame(2, curve))
    assert node.result()["place"].tolist() == [130]  # type: ignore[index]
    with pytest.raises(InputError, match="takes curves"):
        node.accumulate(Frame(3, np.zeros((2, 2))))


def tracks_of(node: Tracking) -> dict[int, tuple[float, float]]:
    """Number: place, of the tracks that are seen."""
    found: Any = node.result()
    return {int(row[0]): (row[1], row[2]) for row in found["tracks"] if row[5] == 0}


def spots_at(places: list[tuple[float, float]]) -> Any:
    return np.array([(x, y, 100.0, 10.0, 9.0) for x, y in places]).reshape(-1, 5)


@given(st.integers(0, 10_000), st.integers(2, 8), st.data())
@settings(max_examples=40, deadline=None)
def test_a_track_keeps_its_number_through_jitter_losses_and_missing_frames(
    seed: int, count: int, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    base = np.column_stack((50.0 * np.arange(count), rng.uniform(0, 30, count)))
    speed = rng.uniform(-0.4, 0.4, (count, 2))  # none passes another
    absent = data.draw(st.sets(st.integers(2, 29), max_size=5))
    node = Tracking(reach=10, patience=4)
    truth: dict[int, int] = {}
    unseen = np.zeros(count, int)
    for frame in range(1, 31):
        if frame in absent:
            continue
        places = base + speed * frame + rng.uniform(-1.5, 1.5, (count, 2))
        lost = (rng.random(count) < 0.2) & (unseen < 3) & (frame > 1)
        unseen = np.where(lost, unseen + 1, 0)
        there = np.flatnonzero(~lost)
        order = rng.permutation(there)
        node.accumulate(Frame(frame, spots_at([tuple(places[at]) for at in order])))
        tracks = tracks_of(node)
        assert len(tracks) == len(there)
        for number, place in tracks.items():
            spot = int(np.hypot(*(places - place).T).argmin())
            assert truth.setdefault(number, spot) == spot
    assert len(truth) == count


def test_a_track_that_is_gone_too_long_ends_and_its_number_is_not_given_again() -> None:
    node = Tracking(reach=5, patience=1)
    for frame, places in enumerate(([(0, 0), (20, 0)], [(0, 0)], [(0, 0)], [(0, 0), (20, 0)]), 1):
        node.accumulate(Frame(frame, spots_at(places)))
    assert sorted(tracks_of(node)) == [1, 3]
    node.accumulate(Frame(4, spots_at([])))
    assert sorted(tracks_of(node)) == [1, 3]
    node.clear()
    assert node.result() is None
    with pytest.raises(InputError, match="takes spots"):
        node.accumulate(Frame(1, np.zeros(3)))


def test_two_spots_that_pass_each_other_keep_their_numbers() -> None:
    node = Tracking(reach=6, smooth=1.0)
    for frame in range(1, 22):
        left, right = (3.0 * frame, 10.0), (66 - 3.0 * frame, 12.0)
        node.accumulate(Frame(frame, spots_at([left, right])))
    tracks = tracks_of(node)
    assert tracks[1] == (63.0, 10.0)
    assert tracks[2] == (3.0, 12.0)
