"""Measurement groups: what is read in which state, and every wrong name a fault of the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from undula.core.errors import InputError
from undula.devices.changes import compare
from undula.devices.description import check_devices, load_device_file
from undula.devices.errors import DeviceFileError
from undula.devices.export import device_keys
from undula.devices.groups import MeasurementGroup, expanded
from undula.devices.registry import Registry

DETECTORS = "".join(
    f"{n}:\n  deviceClass: undula.devices.sim.SimMonitor\n  readoutPriority: monitored\n"
    "  enabled: true\n"
    for n in ("i0", "i1", "diode")
)


def _group(name: str, config: str) -> str:
    return (
        f"{name}:\n  deviceClass: undula.devices.MeasurementGroup\n  deviceConfig: {config}\n"
        "  readoutPriority: on_request\n  enabled: true\n"
    )


def _loaded(tmp_path: Path, text: str) -> Registry:
    path = tmp_path / "devices.yaml"
    path.write_text(DETECTORS + text)
    registry = Registry(load_device_file(path))
    registry.connect()
    return registry


def test_a_group_reads_the_members_of_its_state(tmp_path: Path) -> None:
    config = "{members: [i0, i1, diode], states: {quick: [i0, i1]}, state: quick, without: [i1]}"
    devices = _loaded(tmp_path, _group("xas", config))
    assert devices["xas"].obj.detectors == ("i0",)
    assert expanded(["xas", "diode", "i0"], devices) == ["i0", "diode"]
    assert devices["xas"].read()["xas"]["value"] == "quick"
    assert devices["xas"].describe()["xas"]["source"] == "group:i0"


def test_groups_may_name_groups_and_each_detector_is_read_once(tmp_path: Path) -> None:
    text = _group("outer", "{members: [inner, diode, i0]}") + _group("inner", "{members: [i0, i1]}")
    assert expanded(["outer"], _loaded(tmp_path, text)) == ["i0", "i1", "diode"]


@pytest.mark.parametrize(
    ("config", "what"),
    [
        ("{members: []}", "members is empty"),
        ("{members: i0}", "members is 'i0'"),
        ("{members: [i0, iO1]}", "x needs iO1"),
        ("{members: [i0], states: {quick: [diode]}}", "states.quick names diode"),
        ("{members: [i0], state: quikc, states: {quick: [i0]}}", "state is quikc"),
        ("{members: [i0], without: [i1]}", "without names i1"),
        ("{members: [i0], states: [quick]}", "states is no mapping"),
        ("{members: [x]}", "needs"),
    ],
)
def test_a_wrong_name_is_a_fault_of_the_file(tmp_path: Path, config: str, what: str) -> None:
    path = tmp_path / "devices.yaml"
    path.write_text(DETECTORS + _group("x", config))
    with pytest.raises(DeviceFileError, match=what):
        load_device_file(path)


def test_a_change_of_state_rebuilds_the_group_alone(tmp_path: Path) -> None:
    text = _group("xas", "{members: [i0, i1], states: {quick: [i0]}}")
    before = _loaded(tmp_path, text).file
    raw = {e.name: device_keys(e) for e in before.entries}
    raw["xas"]["deviceConfig"]["state"] = "quick"
    change = compare(before.entries, check_devices(raw, "update").entries)
    assert change.rebuilt == ("xas",)


def test_a_group_made_by_hand_is_checked_as_well() -> None:
    with pytest.raises(InputError, match="did you mean quick"):
        MeasurementGroup("g", members=["i0"], states={"quick": ["i0"]}, state="quickly")
