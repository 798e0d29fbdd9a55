"""The check of plans with parts, count times by point, bounds in place of points."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky.utils import Msg

from undula.core.errors import InputError, LimitError
from undula.plans import FORMS, parse_form, step_scan
from undula.plans.step import StepRun
from undula.scans.build import baseline_of
from undula.scans.forecast import left_at
from undula.session.plans import make_plan
from undula.testing.scan_house import ScanHouse

AXIS = """{name}: {{deviceClass: undula.devices.sim.SimPositioner, readoutPriority: on_request,
  enabled: true, deviceConfig: {{limits: {limits}, delay: 0, unit: {unit}, start: {start}}}}}
"""
DEVICES = (
    "".join(
        AXIS.format(name=name, limits=limits, unit=unit, start=start)
        for name, limits, unit, start in (
            ("samx", [-5, 5], "mm", 0),
            ("samy", [-5, 5], "mm", 0),
            ("energy", [7000, 8000], "eV", 7100),
        )
    )
    + """
both: {deviceClass: undula.devices.PseudoAxis, readoutPriority: on_request, enabled: true,
  deviceConfig: {value: "(samx + samy) / 2", moves: {samx: value, samy: value}, unit: mm}}
ion: {deviceClass: undula.devices.sim.SimMonitor, readoutPriority: on_request, enabled: true}
heater: {deviceClass: undula.devices.sim.SimMonitor, readoutPriority: baseline, enabled: true}
diode: {deviceClass: undula.devices.sim.SimMonitor, readoutPriority: monitored, enabled: true,
        softwareTrigger: true}
"""
)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScanHouse]:
    made = ScanHouse(Path(tmp_path_factory.mktemp("house")), DEVICES)
    yield made
    made.close()


def test_a_scan_of_bec_reads_what_is_monitored_and_not_what_is_on_request(
    house: ScanHouse,
) -> None:
    words: dict[str, Any] = {"steps": 3, "relative": False}
    usual = house.check("scans.line_scan", "samx", 0, 1, **words)
    assert usual.detectors == ("diode",)
    assert baseline_of(usual, house.devices) == ["heater"]
    more = house.check("scans.line_scan", "samx", 0, 1, **words, monitored=["ion", "samy"])
    assert more.detectors == ("diode", "ion", "samy")
    words |= {"monitored": "ion", "on_request": ["diode", "heater"]}
    other = house.check("scans.line_scan", "samx", 0, 1, **words)
    assert other.detectors == ("ion",)
    assert baseline_of(other, house.devices) == []
    with pytest.raises(InputError, match="'dioed'"):
        house.check("scans.line_scan", "samx", 0, 1, steps=3, on_request=["dioed"], relative=False)


@pytest.mark.parametrize("name", [name for name in FORMS if name.startswith("scans.")])
def test_words_of_bec_without_a_counterpart_name_what_does_the_same(name: str) -> None:
    assert {"monitored", "on_request", "file_suffix", "file_directory"} <= set(FORMS[name].options)
    for word in ("hide_report", "scan_queue", "callback", "async_callback"):
        refused = FORMS[name].elsewhere[word]
        with pytest.raises(InputError, match=f"'{word}'") as error:
            make_plan(name, parse_form)(**{word: True})
        assert error.value.remedy == refused


def test_each_run_is_checked_from_where_the_one_before_ends(house: ScanHouse) -> None:
    scan = house.check("sequence", "scan", "samx", 0, 2, 3, "then", "dscan", "samx", 0, 3, 3, 0.1)
    path = scan.parts[1].trajectory
    assert path is not None
    assert np.allclose(path.points.ravel(), [2, 3, 4, 5])
    assert left_at(scan)["samx"] == 2
    assert scan.num_points == 3 + 4
    with pytest.raises(LimitError, match=r"run 2 of 2: point 4 of 4"):
        house.check("sequence", "scan", "samx", 0, 2, 3, "then", "dscan", "samx", 0, 3.1, 3, 0.1)


def test_a_relative_run_behind_another_axis_that_moves_it_is_refused(house: ScanHouse) -> None:
    words = ["sequence", "scan", "samx", 0, 2, 3, "then", "rel_scan", "both", -1, 1, 3]
    with pytest.raises(InputError, match="moved by another axis before"):
        house.check(*words)
    words[7] = "scan"
    assert house.check(*words).num_points == 6


def test_a_condition_is_checked_leased_and_read(house: ScanHouse) -> None:
    scan = house.check("for_each", "samy", [1, 2], "scan", "samx", 0, 1, 3)
    assert {"samx", "samy", "diode"} <= set(scan.devices)
    assert all("samy" in part.detectors for part in scan.parts)
    assert left_at(scan) == {"samx": 1.0, "samy": 2.0}
    with pytest.raises(LimitError, match=r"run 2 of 2: target 6 mm"):
        house.check("for_each", "samy", [1, 6], "scan", "samx", 0, 1, 3)


def test_the_estimate_counts_the_time_at_each_point(house: ScanHouse) -> None:
    options = {"k_stop": 10.0, "k_power": 2.0, "ends": [-20, 40], "steps": [10]}
    scan = house.check("exafs_scan", "energy", 7112, **options)
    form = scan.form
    assert form is not None
    assert form.count_times_s is not None
    assert scan.estimate_s == pytest.approx(form.count_times_s.sum(), rel=0.05)
    assert scan.data_bytes == scan.num_points * 16


def test_a_sweep_is_estimated_by_its_way(house: ScanHouse) -> None:
    scan = house.check("sweep_scan", "samx", -1, 1)
    assert scan.estimate_s is not None
    assert scan.num_points is None
    assert scan.data_bytes is None


def test_an_energy_scan_wants_an_axis_in_eV(house: ScanHouse) -> None:
    with pytest.raises(InputError, match="it is moved in mm, the plan wants eV"):
        house.check("exafs_scan", "samx", 1, k_stop=10.0)


@pytest.mark.parametrize(
    "words",
    [
        ("adaptive_scan", "diode", "samx", -4, 6, 0.1, 1, 10, True),
        ("sweep_scan", "samx", -4, 6),
        ("sweep_scan", "both", -4, 6),
        ("rel_adaptive_scan", "diode", "samx", -6, 0, 0.1, 1, 10, True),
    ],
)
def test_bounds_are_checked_as_points_are(house: ScanHouse, words: tuple[Any, ...]) -> None:
    with pytest.raises(LimitError, match=r"limit -?5 mm"):
        house.check(*words)


def test_where_a_scan_that_finds_its_points_ends_is_not_known(house: ScanHouse) -> None:
    assert left_at(house.check("sweep_scan", "samx", 0, 1)) == {"samx": None}
    back = house.check("rel_adaptive_scan", "diode", "samx", 0, 1, 0.1, 1, 10, True)
    assert left_at(back)["samx"] is not None


def _messages(run: StepRun) -> list[Msg]:
    plan, found, reply = step_scan(run), [], None
    while True:
        try:
            msg = plan.send(reply)
        except StopIteration:
            return found
        found.append(msg)
        reply = msg.obj.read() if msg.command == "read" else None


def test_detectors_are_told_a_count_time_only_when_it_changes(house: ScanHouse) -> None:
    times, told = np.array([1.0, 1.0, 2.0, 2.0, 1.0]), list[float]()
    diode = house.devices["diode"].obj
    run = StepRun([diode], num=5, count_times_s=times, tell_count_time=told.append)
    works = [msg.args[0] for msg in _messages(run) if msg.command == "check_first"]
    for work in works:
        work()
    assert told == [1.0, 2.0, 1.0]


def test_a_count_time_that_nobody_takes_is_waited(house: ScanHouse) -> None:
    times = np.array([0.5, 1.5])
    run = StepRun([house.devices["samx"].obj], num=2, count_times_s=times)
    assert [m.args[0] for m in _messages(run) if m.command == "sleep"] == [0.5, 1.5]


def test_settling_stands_before_the_trigger_and_behind_it(house: ScanHouse) -> None:
    diode = house.devices["diode"].obj
    run = StepRun([diode], num=1, settle_s=0.1, settle_after_s=0.2)
    words = [(m.command, *m.args[:1]) if m.command == "sleep" else (m.command,)
             for m in _messages(run)]  # fmt: skip
    at = words.index(("trigger_and_wait",))
    assert words[at - 1] == ("sleep", 0.1)
    assert words[at + 1] == ("sleep", 0.2)


def test_a_form_of_bec_waits_and_counts_as_bec_does() -> None:
    form = parse_form(
        "scans.line_scan", ["samx", 0, 1],
        {"steps": 3, "relative": True, "exp_time": 0.2, "frames_per_trigger": 3,
         "settling_time": 0.1, "settling_time_after_trigger": 0.3},
    )  # fmt: skip
    assert form.count_time_s == pytest.approx(0.6)
    assert (form.settle_s, form.settle_after_s, form.returns) == (0.1, 0.3, True)
    timed = parse_form("scans.time_scan", [5, 1.5], {"exp_time": 0.5})
    assert timed.delay_s == 1.0


def test_what_is_made_of_several_runs_is_not_continued(house: ScanHouse) -> None:
    rest = {"uid": "u", "number": 1, "first_point": 2, "total": 8}
    with pytest.raises(InputError, match="run 1 cannot be continued"):
        house.check("sequence", "count", 3, "then", "count", 5, continues=rest)
    with pytest.raises(InputError, match="run 1 cannot be continued"):
        house.check("scans.cont_line_scan", "samx", -1, 1, 8, relative=False, continues=rest)


def test_of_the_count_time_only_triggered_detectors_are_said_not_to_take_it(
    house: ScanHouse,
) -> None:
    scan = house.check("scan", "samx", 0, 1, 3, count_time_s=0.2, detectors=["samy", "ion"])
    assert not [text for text in scan.warnings if "count time" in text]


@pytest.mark.parametrize(("stop", "warns"), [(1e-12, True), (1e-6, False), (0, False)])
def test_steps_that_no_axis_makes_are_warned_of(house: ScanHouse, stop: float, warns: bool) -> None:
    found = [text for text in house.check("scan", "samx", 0, stop, 5).warnings if "a step" in text]
    said = "samx moves by 2.5e-13 mm a step at most: does it stand still?"
    assert found == [said] * warns


def test_of_an_unknown_plan_the_one_that_was_meant_is_named(house: ScanHouse) -> None:
    with pytest.raises(InputError) as refused:
        house.check("spirl", "samx", 0, 1, 3)
    assert refused.value.remedy == "did you mean spiral? See undula plans"


def test_defaults_that_became_faulty_are_said_to_apply_as_they_were(house: ScanHouse) -> None:
    file = house.plans / "defaults.yaml"
    file.write_text("scan: {time: 0.1}\n")
    try:
        assert house.check("scan", "samx", 0, 1, 3).request.count_time_s == 0.1
        assert house.additions.stale() == []
        file.write_text("scan: {tme: 0.1}\n# mistyped\n")
        assert house.check("scan", "samx", 0, 1, 3).request.count_time_s == 0.1
        assert "defaults.yaml is faulty, what it said before applies" in house.additions.stale()[0]
    finally:
        file.unlink()
    house.check("scan", "samx", 0, 1, 3)
    assert house.additions.stale() == []


def test_a_usual_detector_that_is_disabled_is_missed_aloud_and_in_the_run(tmp_path: Path) -> None:
    house = ScanHouse(tmp_path, DEVICES)
    try:
        house.devices.disable("diode")
        scan = house.check("scan", "samx", 0, 1, 3)
        assert scan.left_out == ("diode",)
        assert "diode is not read: disabled by request" in scan.warnings[0]
        ended = house.run("scan", "samx", 0, 1, 3)
        assert house.start(ended.run_uids[0])["detectors_left_out"] == ["diode"]
        chosen = house.check("scan", "samx", 0, 1, 3, detectors=["ion"])
        assert (chosen.left_out, chosen.warnings) == ((), ())
    finally:
        house.close()


OFF = """
samx: {deviceClass: undula.devices.sim.SimPositioner, readoutPriority: on_request, enabled: true}
diode: {deviceClass: undula.devices.sim.SimMonitor, readoutPriority: monitored, enabled: true}
ring: {deviceClass: undula.devices.sim.SimPositioner, readoutPriority: async, enabled: false}
fast: {deviceClass: undula.devices.sim.bec.SimMonitorAsync, readoutPriority: async, enabled: false}
shot: {deviceClass: undula.devices.sim.SimMonitor, readoutPriority: async, enabled: false,
       softwareTrigger: true}
grp: {deviceClass: undula.devices.MeasurementGroup, readoutPriority: monitored, enabled: false,
      deviceConfig: {members: [diode]}}
"""


def test_only_what_a_scan_would_read_is_missed(tmp_path: Path) -> None:
    house = ScanHouse(tmp_path, OFF)
    try:
        assert house.check("scan", "samx", 0, 1, 3).left_out == ("shot",)
        house.devices.enable("shot")
        scan = house.check("scan", "samx", 0, 1, 3)
        assert (scan.left_out, scan.detectors) == ((), ("diode", "shot"))
    finally:
        house.close()


@pytest.mark.parametrize(
    ("args", "words"),
    [(("samx", 0, 1, 3), {"detectors": []}), (([], "samx", 0, 1, 3), {})],
)
def test_a_scan_of_axes_alone_is_allowed_aloud_and_runs(
    house: ScanHouse, args: tuple[Any, ...], words: dict[str, Any]
) -> None:
    scan = house.check("scan", *args, **words)
    assert scan.detectors == ()
    assert any("the list of detectors is empty: only the axes are read" in w for w in scan.warnings)
    assert house.run("scan", *args, **words).exit_status == "success"


def test_a_plan_that_would_read_nothing_at_all_is_refused(house: ScanHouse) -> None:
    with pytest.raises(InputError, match="nothing would be read: the list of detectors is empty"):
        house.check("count", num=2, detectors=[])
