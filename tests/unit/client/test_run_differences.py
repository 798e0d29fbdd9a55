"""Why two runs differ, and what is no difference."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.lib.pretty import pretty

from undula.client.diff import Difference, Known, Reading, beyond_noise, differences
from undula.client.runs import filters_of
from undula.core.errors import InputError

START = {
    "uid": "a", "time": 1.0, "scan_id": 1, "plan_name": "scan", "sample": "Fe",
    "command": "scan('samx', 0, 1, 5)", "detectors": ["diode"], "count_time_s": 0.1,
    "versions": {"undula": "1", "numpy": "2"},
}  # fmt: skip
RUN = Known(
    1,
    START,
    {"args": ["samx", 0, 1, 5], "kwargs": {}},
    {"samx_velocity": 1.0},
    {"ring_current": Reading(400.0, 0.2, "mA"), "shutter": Reading("open")},
    {"exit_status": "success", "reason": ""},
)


def _start(**changes: Any) -> Known:
    return replace(RUN, start={**START, **changes})


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (_start(uid="b", time=2.0, scan_id=2), []),
        (_start(sample="Cu"), [("metadata", "sample", "Fe", "Cu")]),
        (_start(count_time_s=0.2), [("count time", "count_time_s", 0.1, 0.2)]),
        (_start(detectors=["diode", "i0"]), [("detectors", "i0", None, "read")]),
        (_start(plan_version="3"), [("code", "plan_version", None, "3")]),
        (_start(versions={"undula": "2", "numpy": "2"}), [("code", "undula", "1", "2")]),
        (
            replace(RUN, request={"args": ["samx", 0, 2, 5], "kwargs": {}}),
            [("command", "argument 3", 1, 2)],
        ),
        (
            replace(RUN, configuration={"samx_velocity": 2.0}),
            [("configuration", "samx_velocity", 1.0, 2.0)],
        ),
        (replace(RUN, baseline={**RUN.baseline, "ring_current": Reading(400.5)}), []),
        (
            replace(RUN, baseline={**RUN.baseline, "ring_current": Reading(300.0)}),
            [("baseline", "ring_current", 400.0, 300.0)],
        ),
        (
            replace(RUN, baseline={"ring_current": Reading(400.0), "shutter": Reading("shut")}),
            [("baseline", "shutter", "open", "shut")],
        ),
        (
            replace(RUN, ended={"exit_status": "abort", "reason": "beam lost"}),
            [("end", "exit_status", "success", "abort"), ("end", "reason", "", "beam lost")],
        ),
    ],
)
def test_each_difference_is_told_and_nothing_else(
    other: Known, expected: list[tuple[str, str, Any, Any]]
) -> None:
    found = [(d.kind, d.name, d.a, d.b) for d in differences(RUN, other)]
    assert found == expected


def test_a_difference_has_the_unit_of_its_reading() -> None:
    other = replace(RUN, baseline={"ring_current": Reading(300.0), "shutter": Reading("open")})
    assert differences(RUN, other) == [Difference("baseline", "ring_current", 400.0, 300.0, "mA")]


def test_differences_read_as_a_table_at_a_prompt() -> None:
    other = replace(RUN, number=15, baseline={**RUN.baseline, "ring_current": Reading(300.0)})
    assert pretty(differences(RUN, other)).splitlines() == [
        f"what      name          run {RUN.number}   run 15",
        "baseline  ring_current  400 mA  300 mA",
    ]
    assert pretty(differences(RUN, RUN)) == f"runs {RUN.number} and {RUN.number} do not differ"


VALUES = st.one_of(st.none(), st.booleans(), st.floats(), st.text(max_size=3))
READINGS = st.builds(Reading, VALUES, st.floats(0, 10), st.just(""), st.sampled_from([None, 0, 3]))


@given(READINGS, READINGS)
def test_which_run_is_named_first_does_not_matter(one: Reading, other: Reading) -> None:
    assert beyond_noise(one, other) == beyond_noise(other, one)
    assert not beyond_noise(one, one)


def test_a_comparison_that_a_filter_does_not_take_is_refused() -> None:
    assert filters_of({"sample__name": "gold"})["where"][0].key == "sample.name"
    with pytest.raises(InputError, match="tag takes no 'foo'"):
        filters_of({"tag__foo": "good"})
