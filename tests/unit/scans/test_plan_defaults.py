"""Defaults by plan name: what a request says itself wins, the more special pattern wins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from undula.core.errors import ConfigError
from undula.messages import ScanRequest
from undula.scans.plan_defaults import Defaults, completed, read

TEXT = """
"*":
  time: 1.0
  metadata: {technique: none, operator: Ada}
grid_scan|mesh:
  snake: true
"*scan":
  time: 0.5
scan:
  time: 0.1
  detectors: [diode]
  metadata: {technique: line}
count:
  arguments: {num: 7}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "defaults.yaml"
    path.write_text(TEXT)
    return path


def request(plan: str, **fields: Any) -> ScanRequest:
    return ScanRequest(request_id="r", deadline=2e9, plan=plan, **fields)


def test_the_most_special_pattern_wins_key_by_key(file: Path) -> None:
    found, said = completed(request("scan"), read(file))
    assert (found.count_time_s, found.detectors) == (0.1, ["diode"])
    assert found.metadata == {"technique": "line", "operator": "Ada"}
    assert said == [
        "count time 0.1 (by scan)",
        "detectors ['diode'] (by scan)",
        "metadata technique line (by scan)",
        "metadata operator Ada (by *)",
    ]
    assert completed(request("rel_scan"), read(file))[0].count_time_s == 0.5
    assert completed(request("ct"), read(file))[0].count_time_s == 1.0


def test_what_a_request_says_itself_wins(file: Path) -> None:
    own = request(
        "scan", count_time_s=2.0, detectors=["i0"], metadata={"technique": "t", "operator": "B"}
    )
    assert completed(own, read(file)) == (own, [])


@pytest.mark.parametrize(("plan", "option"), [("grid_scan", "snake_axes"), ("mesh", "snake")])
def test_snake_is_given_as_each_plan_calls_it(file: Path, plan: str, option: str) -> None:
    assert completed(request(plan), read(file))[0].kwargs == {option: True}
    own = request(plan, kwargs={option: False})
    assert completed(own, read(file))[0].kwargs == {option: False}


def test_arguments_are_given_by_name_unless_they_stand_in_their_place(file: Path) -> None:
    assert completed(request("count"), read(file))[0].kwargs == {"num": 7}
    assert completed(request("count", args=[3]), read(file))[0].kwargs == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "scan:\n  tmie: 1\n",
            r"\[defaults.yaml, line 2\] scan.tmie: there is no key tmie. Remedy: did you mean time",
        ),
        (
            "a: {}\nscan:\n  time: 1\n  settle: -1\n",
            r"line 4\] scan.settle: -1 is less than 0. Remedy: give 0 or more",
        ),
        (
            "scan:\n  metadata:\n    time: 5\n",
            r"line 2\] scan.metadata: each run says its time itself. Remedy: leave it out of the "
            "metadata, or choose another name",
        ),
        ("scan: [\n", r"\[defaults.yaml, line 2\]"),
        ("- scan\n", "it is no table"),
    ],
)
def test_a_fault_is_told_with_its_line(file: Path, text: str, said: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError, match=said):
        read(file)


def test_a_count_time_of_0_is_what_is_usual_for_each_detector(file: Path) -> None:
    file.write_text("scan:\n  time: 0\n")
    assert completed(request("scan"), read(file))[0].count_time_s == 0
    file.write_text("scan:\n  time: -1\n")
    with pytest.raises(ConfigError, match=r"scan.time: -1 is less than 0. Remedy: give 0 or more"):
        read(file)


def test_a_faulty_file_leaves_its_last_good_version(file: Path) -> None:
    defaults = Defaults(file)
    assert defaults.added(request("scan"))[0].count_time_s == 0.1
    file.write_text("scan: [")
    assert defaults.added(request("scan"))[0].count_time_s == 0.1
    assert "defaults.yaml, line 1" in defaults.fault
    file.unlink()
    assert (defaults.added(request("scan"))[1], defaults.fault) == ([], "")


def test_a_call_that_names_its_detectors_keeps_them(file: Path) -> None:
    own = request("scan", args=[["i0"], "samx", 0, 1, 3])
    assert completed(own, read(file))[0].detectors is None


def test_an_argument_of_a_users_plan_that_stands_in_its_place_stays(file: Path) -> None:
    file.write_text("align: {arguments: {half: 1, num: 5}}")
    found, said = completed(request("align", args=["samx", 2]), read(file), ["axis", "half"])
    assert (found.kwargs, said) == ({"num": 5}, ["num 5 (by align)"])
