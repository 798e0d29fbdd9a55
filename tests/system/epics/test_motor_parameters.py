"""Parameters of EPICS motors, by both classes, against an IOC: what is changed is in the record."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import pytest
from caproto.sync.client import read, write

from undula.cli.main import main
from undula.client import Client
from undula.core.errors import InputError, UndulaError
from undula.testing.beamline import LocalBeamline, local_beamline
from undula.testing.iocs import Ioc
from undula.testing.law import until

Run = Callable[[str, str], str]
MOTOR = """
samx:
  deviceClass: undula.devices.epics.CLASS
  deviceConfig: {prefix: "MOT:m2"}
  readoutPriority: baseline
  enabled: true
  connectionTimeout: 30
"""
HEAD = """
        from caproto.sync.client import read, write
        from undula.core.errors import InputError
        from undula.devices.motor import MotorView
        view = MotorView(registry["samx"])
        def field(name):
            return read(f"MOT:m2.{name}", repeater=False, timeout=30).data[0]
        def put(name, value):
            write(f"MOT:m2{name}", value, repeater=False, notify=True, timeout=30)
        def until(condition):
            end = time.monotonic() + 60.0
            while not condition():  # each look is a round trip to the record
                assert time.monotonic() < end, view.parameters()
"""
both = pytest.mark.parametrize("cls", ["EpicsMotor", "Motor"])


@both
def test_backlash_and_sign_reach_the_record(with_faulty_motor: Run, cls: str) -> None:
    with_faulty_motor(
        MOTOR.replace("CLASS", cls),
        HEAD
        + """
        for backlash in (0.1, 0.0):
            view.set("backlash", backlash)
            assert field("BDST") == backlash
            until(lambda: view.get("backlash") == backlash)
        for sign, word in ((-1, b"Neg"), (1, b"Pos")):
            view.set("sign", sign)
            assert field("DIR") == word, field("DIR")
            until(lambda: view.get("sign") == sign)
        """,
    )


@both
def test_a_frozen_offset_is_left_alone(with_faulty_motor: Run, cls: str) -> None:
    with_faulty_motor(
        MOTOR.replace("CLASS", cls),
        HEAD
        + """
        before, here = field("OFF"), registry["samx"].position()
        put(".FOFF", 1)
        for change in (lambda: view.set_position(here + 2), lambda: view.set("offset", before + 2)):
            try:
                change()
            except InputError as exc:
                assert "frozen" in exc.what and "unfreeze .FOFF" in exc.remedy, exc
            else:
                raise AssertionError("a frozen offset was changed")
        assert field("OFF") == before
        put(".FOFF", 0)
        view.set_position(here + 2)
        assert abs(field("OFF") - before - 2) < 1e-9
        until(lambda: abs(registry["samx"].position() - here - 2) < 1e-6)
        view.set_position(here)
        """,
    )


@both
def test_the_status_says_homed_and_at_which_switch(with_faulty_motor: Run, cls: str) -> None:
    with_faulty_motor(
        MOTOR.replace("CLASS", cls),
        HEAD
        + """
        def go(target):
            try:
                registry["samx"].put(target, 60)
            except Exception:
                pass
        go(0.0)
        assert "homed" not in view.words()
        put(":SIM:Homed", 1)
        until(lambda: view.words() == ["homed"])
        put(":SIM:HighSwitch", 0.5)
        go(1.0)
        until(lambda: {"at the high limit switch", "homed"} <= set(view.words()))
        put(":SIM:HighSwitch", 1000.0)
        put(":SIM:LowSwitch", -0.5)
        go(-1.0)
        until(lambda: "at the low limit switch" in view.words())
        put(":SIM:LowSwitch", -1000.0)
        go(0.0)
        put(":SIM:Homed", 0)
        until(lambda: view.words() == [])
        """,
    )


@pytest.fixture(scope="module")
def beamline(
    faulty_motor_ioc: Ioc, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalBeamline]:
    """Two classes on one record, through the real services."""
    path = tmp_path_factory.mktemp("motors") / "devices.yaml"
    both_ = (MOTOR.replace("CLASS", "EpicsMotor"), MOTOR.replace("CLASS", "Motor"))
    path.write_text(both_[0] + both_[1].replace("samx:", "lean:"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in faulty_motor_ioc.env.items():
            patch.setenv(name, value)
        with local_beamline(path) as running:
            yield running


@pytest.fixture
def client(beamline: LocalBeamline) -> Iterator[Client]:
    with beamline.connect() as client:
        yield client


def _field(name: str) -> float:
    return float(read(f"MOT:m2.{name}", repeater=False, timeout=30).data[0])


def test_undula_motor_and_set_reach_the_record(
    client: Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("samx", "lean"):
        for value in ("0.1", "0"):
            words = ["undula", "motor", name, "backlash", value, "--beamline", "test"]
            monkeypatch.setattr("sys.argv", words)
            with pytest.raises(SystemExit) as ended:
                main()
            assert not ended.value.code, capsys.readouterr()
            assert _field("BDST") == float(value)
    write("MOT:m2.FOFF", 1, repeater=False, notify=True, timeout=30)
    try:
        for name in ("samx", "lean"):
            with pytest.raises(InputError, match="unfreeze"):
                client.motors.set_position(name, 3)
    finally:
        write("MOT:m2.FOFF", 0, repeater=False, notify=True, timeout=30)


@pytest.mark.parametrize("name", ["samx", "lean"])
def test_a_jog_of_a_record_puts_its_velocity_back(client: Client, name: str) -> None:
    client.mv(**{name: 0})
    before = _field("VELO")
    move = client.motors.start_jog(name, "+", 2.5)
    until(lambda: move.done(0) or _field("RBV") > 0.1, "it does not move")
    assert _field("VELO") == 2.5
    assert name in client.stop().stopped
    there = move.result()[name]["value"]
    assert 0 < there < 20
    assert _field("VELO") == before
    assert _field("RBV") == pytest.approx(there)


def test_the_velocity_is_put_back_when_the_engine_dies_during_a_jog(
    client: Client, beamline: LocalBeamline
) -> None:
    client.mv(lean=0)
    before = _field("VELO")
    move = client.motors.start_jog("lean", "-", 1.5)
    until(lambda: move.done(0) or _field("RBV") < -0.1, "it does not move")
    assert _field("VELO") == 1.5
    os.kill(beamline.pid("engine"), signal.SIGKILL)
    with pytest.raises(UndulaError):
        move.result()
    until(lambda: _field("VELO") == before, "the velocity is not put back")
    until(lambda: _field("DMOV") == 1, "it still moves")
    until(lambda: not beamline.paths.velocities.read_text().strip("{}"), "it is kept")
    client.mv(lean=0)
