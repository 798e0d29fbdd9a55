"""What is said of devices that cannot be reached, and how long one waits for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from undula.core.errors import DeviceError
from undula.devices.description import load_device_file
from undula.devices.links import Link
from undula.devices.registry import Registry
from undula.devices.sim import SIMULATED_FILE
from undula.scans.attendant import Attendant
from undula.scans.device_desk import DeviceDesk
from undula.scans.lost import LostDevices


@pytest.fixture
def devices() -> Registry:
    registry = Registry(load_device_file(Path(SIMULATED_FILE)))
    registry.connect()
    for name in ("samx", "diode"):
        registry[name].link = Link("ca://X")
    return registry


def _link(devices: Registry, name: str) -> Link:
    link = devices[name].link
    assert link is not None
    return link


def test_a_lost_device_is_named_with_the_time_and_forgotten_when_it_is_back(
    devices: Registry,
) -> None:
    time = [100.0]
    lost = LostDevices(devices, 60.0, clock=lambda: time[0])
    lost.begin(["samx", "diode"])
    assert not lost.look()
    assert lost.text == ""
    _link(devices, "diode").up = False
    assert lost.look()
    assert lost.look()
    assert lost.count == 1
    assert lost.text.startswith("[diode] its connection is lost since ")
    assert devices["diode"].problem == "its connection was lost"
    _link(devices, "diode").up = True
    assert not lost.look()
    assert lost.since(0)
    assert lost.paused, "who asks is going to pause, although the device is back already"


def test_one_waits_until_the_deadline_and_then_says_what_to_do(devices: Registry) -> None:
    time = [100.0]
    lost = LostDevices(devices, 60.0, clock=lambda: time[0])
    lost.begin(["samx", "diode"])
    _link(devices, "samx").up = False
    lost.look()
    time[0] += 59.0
    assert not lost.overdue
    time[0] += 2.0
    assert "[samx]" in lost.overdue
    assert "within 60 s. Remedy:" in lost.overdue


def test_devices_of_no_scan_do_not_matter(devices: Registry) -> None:
    lost = LostDevices(devices, 60.0)
    lost.begin(["samx"])
    _link(devices, "diode").up = False
    assert not lost.look()


def test_the_settings_of_a_device_that_hangs_are_waited_for_no_longer_than_its_reading(
    tmp_path: Path,
) -> None:
    flag, nobody = tmp_path / "hang", cast("Any", None)
    (tmp_path / "devices.yaml").write_text(
        "slow: {deviceClass: undula.testing.faulty.HangingSettings, enabled: true,\n"
        f"       readoutPriority: monitored, deviceConfig: {{flag: {flag}}}}}\n"
    )
    devices = Registry(load_device_file(tmp_path / "devices.yaml"))
    devices.connect()
    desk = DeviceDesk(devices, Attendant(), nobody, nobody)
    assert desk.read_configuration(["slow"])["readings"] == {"slow": {}}
    flag.touch()
    try:
        with pytest.raises(DeviceError, match="it does not answer") as told:
            desk.read_configuration(["slow"], 0.05)
        assert told.value.device == "slow"
    finally:
        flag.unlink()
