"""What every node shares: parameters with bounds, changed all or none."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from undula.core.errors import InputError, UndulaError
from undula.pipes.frame import Frame
from undula.pipes.nodes.azimuthal import RadialProfile
from undula.pipes.nodes.base import Node
from undula.pipes.nodes.correct import Correct
from undula.pipes.nodes.coverage import Coverage
from undula.pipes.nodes.image import without_value
from undula.pipes.nodes.maps import GridMap, PositionMap
from undula.pipes.nodes.rois import RoiStatistics
from undula.pipes.nodes.simulated import SimulatedDetector
from undula.pipes.nodes.statistics import Histogram, Rate
from undula.pipes.runner.indices import TriggerIndices
from undula.pipes.runner.making import Making


def test_a_wrong_parameter_names_itself_and_changes_nothing() -> None:
    node = Histogram(bins=4, low=0, high=8)
    for wrong in ({"bins": 0}, {"bins": "many"}, {"low": float("nan")}, {"colour": 1}):
        with pytest.raises(InputError, match=f"histogram.{next(iter(wrong))}"):
            node.change(high=9, **wrong)
        assert node.parameters == {"bins": 4, "low": 0.0, "high": 8.0, "highest": False}
    node.change(high=10)
    assert node.high == 10.0
    assert node.parameters["high"] == 10.0


def test_parameters_hold_from_the_next_frame_on() -> None:
    rate = Rate(window=10)
    for number in range(1, 11):
        rate.accumulate(Frame(number, np.zeros(1), time=number**2))
    rate.change(window=2)
    assert rate.result() == {"rate": pytest.approx(1 / (100 - 81)), "gaps": 0}


def test_a_node_describes_its_parameters_as_a_json_schema() -> None:
    schema = Histogram.model().model_json_schema()
    assert schema["properties"]["bins"]["minimum"] == 1
    assert schema["properties"]["low"]["unit"] == "counts"
    assert schema["additionalProperties"] is False


def test_a_frame_that_comes_again_is_no_gap_and_no_second_one() -> None:
    covered = Coverage()
    taken = [covered.add(n) for n in (4, 5, 5, 4, 9, 7)]
    assert taken == [True, True, False, False, True, True]
    assert (covered.first, covered.last, covered.frames, covered.gaps) == (4, 9, 4, 2)


def test_no_value_is_nan_and_the_highest_number_only_when_asked() -> None:
    data = np.array([0, 65535], "u2")
    assert without_value(data) is None
    found = without_value(data, highest=True)
    assert found is not None
    assert found.tolist() == [False, True]


def test_the_same_seed_gives_the_same_frames() -> None:
    settings = {"width": 40, "height": 30, "frames": 20, "pattern": "spots"}
    first = [frame.data for frame in SimulatedDetector(seed=3, **settings)]
    again = [frame.data for frame in SimulatedDetector(seed=3, **settings)]
    other = [frame.data for frame in SimulatedDetector(seed=4, **settings)]
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert not (first[0] == other[0]).all()
    assert not (first[0] == first[1]).all()
    assert first[0].shape == (30, 40)
    assert first[0].dtype == np.uint16


def test_faults_are_made_where_they_were_asked_for() -> None:
    detector = SimulatedDetector(
        width=8, height=8, frames=7, rate_hz=100,
        faults={2: "missing", 3: "doubled", 5: "late", 6: "corrupt"},
    )  # fmt: skip
    frames = list(detector)
    assert [frame.seq_num for frame in frames] == [1, 3, 3, 4, 6, 5, 7]
    assert [frame.trigger for frame in frames][:2] == [0, 2]
    for frame in frames:
        if frame.seq_num == 6:
            with pytest.raises(Exception, match="checksum differs"):
                frame.check()
        else:
            frame.check()
    assert detector.ended
    last = SimulatedDetector(width=4, height=4, frames=2, faults={2: "late"})
    assert [frame.seq_num for frame in last] == [1, 2]


def test_the_rate_says_when_a_frame_is_due() -> None:
    detector = SimulatedDetector(width=4, height=4, rate_hz=50)
    detector.take()
    assert detector.due_s() == pytest.approx(0.02)
    detector.change(rate_hz=0)
    assert detector.due_s() == 0
    detector.change(rate_hz=None)
    assert detector.due_s() == pytest.approx(0.1), "10 Hz, where nobody says more"
    with pytest.raises(InputError, match="no input"):
        detector.accumulate(Frame(1, np.zeros((2, 2))))


def test_a_made_up_camera_takes_the_count_time_and_never_more_frames_than_its_rate() -> None:
    takes_s = [
        SimulatedDetector(width=4, height=4, **given).takes_s()
        for given in ({}, {"rate_hz": 0}, {"rate_hz": 0.5}, {"exposure_s": 3.0, "rate_hz": 0.5},
                      {"exposure_s": 1.0, "rate_hz": 0.5}, {"exposure_s": 1.0})
    ]  # fmt: skip
    assert takes_s == [0.0, 0.0, 2.0, 3.0, 2.0, 1.0]


def test_frames_of_a_slow_camera_are_due_one_after_another_from_their_triggers_on() -> None:
    making = Making(SimulatedDetector(width=4, height=4, exposure_s=500.0), lambda words: None)
    words = {
        "given": 0,
        "resume": 0,
        "indices": TriggerIndices().plain(),
        "again": False,
        "made": 0,
        "remembered": {},
    }
    making.begin(words, triggered=True, at=0.0)
    assert making.due_in_s() == math.inf
    for number in (1, 2):
        making.trigger(number, number - 1)
    assert 400 < making.due_in_s() <= 500
    frames = making.take()  # whoever runs it waited
    assert frames is not None
    assert [frame.trigger for frame in frames] == [0]
    assert 400 < making.due_in_s() <= 500, "the second one begins when the first one is there"
    making.take()
    assert making.due_in_s() == math.inf


def test_patterns_are_where_the_parameters_put_them() -> None:
    spot = SimulatedDetector(width=64, height=33, pattern="spot", noise=False, drift=2, frames=3)
    for frame in spot:
        y, x = np.unravel_index(int(frame.data.argmax()), frame.data.shape)
        assert (abs(x - spot.spot_at(frame.seq_num)[0]) <= 0.5, y) == (True, 16)
    rings = SimulatedDetector(width=161, height=161, pattern="rings", noise=False, background=0)
    row = rings.take()[0].data[80, 80:]
    peaks = [n for n in range(1, 80) if row[n] > row[n - 1] and row[n] >= row[n + 1]]
    assert peaks == [20, 40, 60]
    flat = SimulatedDetector(width=5, height=5, pattern="flat", noise=False, level=7, background=1)
    assert (flat.take()[0].data == 8).all()
    bright = SimulatedDetector(width=5, height=5, pattern="flat", level=1e4, dtype="uint8")
    assert (bright.take()[0].data == 255).all()


@pytest.mark.parametrize(
    ("node", "wrong"),
    [
        (Histogram(bins=4), {"low": 1e9}),
        (Correct(), {"dark": "/nowhere/dark.h5"}),
        (GridMap(shape=(2, 3)), {"shape": (0,)}),
        (PositionMap(), {"axes": ()}),
        (RadialProfile(outer=20), {"inner": 30}),
        (RoiStatistics(), {"rois": {str(n): {"shape": "nothing"} for n in range(1000)}}),
    ],
)
def test_parameters_that_do_not_fit_together_change_nothing(node: Node, wrong: Any) -> None:
    before, values = node.parameters, {key: getattr(node, key) for key in node.declared}
    with pytest.raises(UndulaError):
        node.change(**wrong)
    assert node.parameters == before
    assert {key: getattr(node, key) for key in node.declared} == values
    if "dark" not in wrong:
        with pytest.raises(InputError):
            type(node).checked(**before | wrong)


def test_what_is_kept_of_the_frames_that_a_result_covers_does_not_grow_with_the_run() -> None:
    covered = Coverage()
    for number in range(1, 100_000, 3):
        assert covered.add(number)
    assert covered.numbers.pieces <= 10_000
    assert not covered.add(1), "it was here before"
    assert (covered.frames, covered.gaps) == (33_333, 66_664)
