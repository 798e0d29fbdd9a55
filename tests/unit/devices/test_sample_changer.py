"""The simulated sample changer: what it does follows from its file and the clock alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undula.core.errors import DeviceError, InputError
from undula.devices.changer import SampleChanger
from undula.devices.sim import SimSampleChanger
from undula.devices.sim.changer import Robot


def test_it_is_a_sample_changer_that_mounts_and_puts_back() -> None:
    changer = SimSampleChanger("changer", mount_s=0.0)
    assert isinstance(changer, SampleChanger)
    changer.mount("S2").wait(60.0)
    assert (changer.mounted(), changer.changer_state(), changer.moves) == ("S2", "idle", 1)
    changer.set("S2").wait(60.0)
    assert changer.moves == 1, "what is mounted is not mounted again"
    changer.set("").wait(60.0)
    assert (changer.mounted(), changer.moves) == ("", 2)
    with pytest.raises(InputError, match="no sample 'S9'"):
        changer.mount("S9")


def test_a_busy_changer_refuses_a_second_mount(tmp_path: Path) -> None:
    file = str(tmp_path / "robot.json")
    changer = SimSampleChanger("changer", mount_s=60.0, state_file=file)
    changer.mount("S1")
    assert (changer.changer_state(), changer.mounted()) == ("mounting", "")
    with pytest.raises(DeviceError, match="it is mounting"):
        changer.mount("S2")
    again = SimSampleChanger("changer", mount_s=60.0, state_file=file)
    assert again.changer_state() == "mounting", "it goes on without who commanded it"


def test_a_fault_stays_until_it_is_enabled_anew(tmp_path: Path) -> None:
    file = str(tmp_path / "robot.json")
    changer = SimSampleChanger("changer", mount_s=0.0, fails=["S1"], state_file=file)
    with pytest.raises(DeviceError, match="S1 was not gripped"):
        changer.mount("S1").wait(60.0)
    assert (changer.changer_state(), changer.changer_fault()) == ("fault", "S1 was not gripped")
    with pytest.raises(DeviceError, match="in fault"):
        changer.mount("S2")
    enabled = SimSampleChanger("changer", mount_s=0.0, state_file=file)
    assert enabled.changer_state() == "idle"


@given(st.floats(0, 100), st.floats(0, 100))
def test_a_robot_is_on_its_way_exactly_as_long_as_it_takes(takes_s: float, later_s: float) -> None:
    robot = Robot(doing="mounting", target="S1", began=1000.0, takes_s=takes_s)
    then = robot.at(1000.0 + later_s, ())
    arrived = 1000.0 + later_s >= 1000.0 + takes_s
    assert (then.doing, then.sample) == (("idle", "S1") if arrived else ("mounting", ""))
    assert then.at(1000.0 + later_s, ()) == then
