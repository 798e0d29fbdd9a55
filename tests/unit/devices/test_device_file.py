"""Device files are checked whole; every fault is named with its line and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from undula.devices.description import load_device_file, report_lines
from undula.devices.errors import DeviceFileError
from undula.devices.registry import Registry
from undula.devices.sim import SIMULATED_FILE

EXAMPLES = Path(__file__).parents[3] / "examples"
GOOD = """samx:
  deviceClass: undula.devices.sim.SimPositioner
  readoutPriority: baseline
  enabled: true
"""


def _faults(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "devices.yaml"
    path.write_text(text)
    with pytest.raises(DeviceFileError) as caught:
        load_device_file(path)
    return [str(f) for f in caught.value.faults]


@pytest.mark.parametrize(
    ("text", "line", "what", "remedy"),
    [
        ("samx:\n\tenabled: true\n", 2, "YAML", "tabs"),
        ("", 1, "empty", "describe at least one"),
        ("- samx\n", 1, "not a mapping", "NAME:"),
        ("samx: 3\n", 1, "samx is not a mapping", "deviceClass"),
        (GOOD + GOOD, 5, "samx stands twice", "rename"),
        (GOOD + "  readOnlyy: true\n", 5, "no key readOnlyy", "did you mean readOnly"),
        (GOOD.replace("baseline", "baselin"), 3, "readoutPriority is 'baselin'", "'monitored'"),
        (GOOD.replace("true", "maybe"), 4, "enabled is 'maybe'", "true or false"),
        (GOOD.replace("  enabled: true\n", ""), 1, "enabled is missing", "add enabled"),
        (GOOD.replace("SimPositioner", "SimPositoner"), 2, "no class SimPositoner", "correct"),
        (GOOD.replace("undula.devices.sim", "no_such_package"), 2, "cannot be imported", "install"),
        (
            GOOD + "  needs: [beamstop]\n",
            5,
            "needs beamstop, which is not described",
            "describe it",
        ),
        (GOOD + "  needs: [samx]\n", 5, "circle: samx -> samx", "take one"),
        (GOOD.replace("samx", "sam-x"), 1, "is no Python name", "letters"),
        (GOOD.replace("samx", "class"), 1, "is no Python name", "letters"),
        (GOOD.replace("samx", "_samx"), 1, "underscore", "letters"),
        (GOOD + "  deviceConfig: {limits: [5, -5]}\n", 5, "limits is [5, -5]", "low then high"),
        (GOOD + "  deviceConfig: {velocty: 5}\n", 5, "takes no velocty", "did you mean velocity"),
        (
            GOOD + "  deviceConfig:\n    delay: 0\n    velocty: 5\n",
            7,
            "takes no velocty",
            "did you mean velocity",
        ),
        (
            GOOD + "  deviceConfig:\n    delay: 0\n    delay: 1\n",
            7,
            "samx.deviceConfig.delay stands twice",
            "keep one",
        ),
        (GOOD + "  description: !!python/name:os.system\n", 5, "unknown tag", "only plain values"),
        (GOOD + "  countTime: {signl: x}\n", 5, "countTime", "signal"),
        (GOOD + "more: !include none.yaml\n", 0, "cannot be read", "check the path"),
        (GOOD + "more: !include devices.yaml\n", 5, "include each other", "take one"),
        (GOOD + "  connectionTimeout: -1\n", 5, "connectionTimeout is -1", "greater than 0"),
    ],
)
def test_a_fault_is_named_with_line_and_remedy(
    tmp_path: Path, text: str, line: int, what: str, remedy: str
) -> None:
    faults = _faults(tmp_path, text)
    assert any(
        (f"devices.yaml:{line}:" in f or not line) and what in f and remedy in f for f in faults
    ), "\n".join(faults)


def test_every_fault_of_a_file_is_reported_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("baseline", "often") + GOOD.replace("samx", "samy").replace("true", "3.5")
    assert len(_faults(tmp_path, text)) == 2


def test_a_wrong_class_is_named_beside_a_wrong_value(tmp_path: Path) -> None:
    text = GOOD.replace("baseline", "often").replace("SimPositioner", "SimPositoner")
    assert [f.split(": ")[0] for f in _faults(tmp_path, text)] == [
        "devices.yaml:2",
        "devices.yaml:3",
    ]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DeviceFileError, match="check the path"):
        load_device_file(tmp_path / "none.yaml")


def test_included_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text(GOOD.replace("samx", "samy"))
    path = tmp_path / "devices.yaml"
    path.write_text(GOOD + "optics: !include more.yaml\n")
    assert [e.name for e in load_device_file(path).entries] == ["samx", "samy"]


def test_a_later_include_replaces_a_device_and_the_report_says_so(tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text(GOOD.replace("baseline", "monitored"))
    path = tmp_path / "devices.yaml"
    path.write_text(GOOD + "optics: [!include more.yaml]\n")
    file = load_device_file(path)
    assert [e.readout_priority for e in file.entries] == ["monitored"]
    assert "samx: (whole entry) ignored: more.yaml:1 replaces devices.yaml:1" in report_lines(
        file.report
    )


def test_a_device_may_be_merged_from_another(tmp_path: Path) -> None:
    path = tmp_path / "devices.yaml"
    path.write_text(GOOD.replace("samx:", "samx: &axis") + "samy:\n  <<: *axis\n  enabled: false\n")
    assert [e.enabled for e in load_device_file(path).entries] == [True, False]


def test_a_file_that_is_no_text_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "devices.yaml"
    path.write_bytes(GOOD.encode() + b"  description: \xff\n")
    with pytest.raises(DeviceFileError, match=r"devices\.yaml:5: this is not UTF-8"):
        load_device_file(path)


def test_keys_that_mean_less_than_in_bec_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "devices.yaml"
    path.write_text(GOOD + "  deviceType: x\n  deviceConfig: {sim_init: {}, delay: 0}\n")
    report = "\n".join(report_lines(load_device_file(path).report))
    for key in ("deviceType", "deviceConfig.sim_init"):
        assert f"samx: {key} ignored: " in report


def test_needed_devices_come_first(tmp_path: Path) -> None:
    path = tmp_path / "devices.yaml"
    path.write_text(GOOD + "  needs: [samy]\n" + GOOD.replace("samx", "samy"))
    assert [e.name for e in load_device_file(path).entries] == ["samy", "samx"]


def test_the_two_seed_examples_load_unchanged_with_a_report() -> None:
    file = load_device_file(EXAMPLES / "seed_devices.yaml")
    report = "\n".join(report_lines(file.report))
    assert "samx: deviceClass mapped: undula.devices.sim.SimPositioner" in report
    assert "bpm3a: deviceConfig.deviceTags mapped" in report
    registry = Registry(file)
    registry.connect()
    assert registry["samx"].limits() == (-50.0, 50.0)
    assert not registry["bpm3a"].enabled


def test_the_simulated_beamline_and_the_epics_example_load() -> None:
    assert load_device_file(SIMULATED_FILE).entries
    assert load_device_file(EXAMPLES / "epics_mini_beamline.yaml").entries
