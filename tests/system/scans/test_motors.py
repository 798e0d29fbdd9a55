"""Motors as people know them: on the simulated beamline, through the real services."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from undula.cli.services import restart_one
from undula.client import Background, Client
from undula.core.errors import BusyError, InputError, LimitError, UndulaError
from undula.testing.beamline import LocalBeamline, local_beamline
from undula.testing.law import until

UNDULA = str(Path(sys.executable).with_name("undula"))


@pytest.fixture(scope="module")
def beamline() -> Iterator[LocalBeamline]:
    with local_beamline() as running:
        yield running


@pytest.fixture
def client(beamline: LocalBeamline) -> Iterator[Client]:
    with beamline.connect() as client:
        yield client


def test_a_position_is_redefined_without_moving_and_limits_go_along(client: Client) -> None:
    samx = client.devices.samx
    client.mv(samx=3)
    dial = samx.dial
    samx.set_position(0)
    assert (samx.position, samx.dial, samx.offset) == (0.0, dial, -3.0)
    assert samx.limits == (-53.0, 47.0)
    with pytest.raises(LimitError):
        client.mv(samx=48)
    samx.offset = 0
    assert samx.position == 3.0


def test_limits_and_velocity_are_set_and_hold(client: Client) -> None:
    samx = client.devices.samx
    before = samx.limits
    samx.limits = (-5, 5)
    with pytest.raises(LimitError, match=r"point 3 of 3: target 6 mm is above the high limit 5 mm"):
        client.scan("samx", 4, 6, 3)
    samx.velocity = 20
    assert samx.velocity == 20.0
    samx.velocity = 100
    samx.limits = before


@pytest.mark.parametrize(
    ("parameter", "values", "text"),
    [
        ("velocty", [1], "did you mean velocity"),
        ("velocity", [0], "give more than 0"),
        ("limits", [5, -5], "low first"),
        ("limits", [5], "takes 2 numbers"),
        ("sign", [2], "give 1 or -1"),
        ("dial", [0], "the dial is the controller's"),
        ("backlash", [0.1], "it has no backlash"),
    ],
)
def test_what_makes_no_sense_is_refused(
    client: Client, parameter: str, values: list[float], text: str
) -> None:
    before = client.motors.parameters("samx")
    with pytest.raises(InputError, match=text):
        client.motors.set("samx", parameter, *values)
    after = client.motors.parameters("samx")
    assert {n: r["value"] for n, r in after.items()} == {n: r["value"] for n, r in before.items()}


def test_no_motor_is_named_as_such(client: Client) -> None:
    with pytest.raises(InputError, match="it is no motor"):
        client.motors.parameters("diode")


def test_a_motor_that_a_scan_uses_is_not_changed(client: Client) -> None:
    scan = client.scan("samx", -1, 1, 300, time=0.02, detectors=["diode"], wait=False)
    until(lambda: client.queue.list().points_done > 3, "the scan does not begin")
    with pytest.raises(BusyError, match=r"in use by run \d+, scan"):
        client.devices.samx.set_position(0)
    client.motors.set("samy", "velocity", 50)
    client.queue.abort("enough")
    scan.wait(60.0, check=False)


def test_where_all_motors_are(client: Client) -> None:
    found = client.motors.all()
    assert {"samx", "samy", "energy"} <= set(found)
    assert "diode" not in found
    assert found["samx"]["position"]["unit"] == "mm"


def test_settings_hold_after_a_restart_and_the_history_tells(
    beamline: LocalBeamline, client: Client
) -> None:
    client.mv(samy=1)
    samy = client.devices.samy
    samy.set_position(10)
    samy.velocity = 33
    limits, offset = samy.limits, samy.offset
    restart_one(beamline.paths, "engine")
    assert (samy.limits, samy.offset, samy.velocity) == (limits, offset, 33.0)
    names = [(c["name"], c["new"]) for c in client.motors.history("samy")]
    assert ("position", 10.0) in names
    assert ("velocity", 33.0) in names


def _jog(client: Client, direction: str, velocity: float) -> Background:
    """Begun, and seen to move."""
    begin = client.devices.samx.position
    move = client.motors.start_jog("samx", direction, velocity)
    until(lambda: move.done(0) or client.devices.samx.position != begin, "it does not move")
    return move


@pytest.mark.parametrize(("direction", "sign"), [("+", 1), ("-", -1)])
def test_a_jog_goes_until_a_stop_and_the_velocity_is_back(
    client: Client, direction: str, sign: int
) -> None:
    client.mv(samx=0)
    before = client.devices.samx.velocity
    move = _jog(client, direction, 2.0)
    assert client.devices.samx.velocity == 2.0
    with pytest.raises(BusyError, match="in use by a move"):
        client.mv(samx=1)
    assert client.stop().stopped == ["samx"]
    there = move.result()["samx"]
    assert 0 < sign * there["value"] < 40
    assert there["value"] == client.devices.samx.position
    assert client.devices.samx.velocity == before


def test_a_jog_ends_at_the_soft_limit_and_goes_no_further(client: Client) -> None:
    samx = client.devices.samx
    limits, before = samx.limits, samx.velocity
    client.mv(samx=0)
    samx.limits = (-1, 1)
    assert client.motors.jog("samx", "+", 20) == {"value": 1.0, "unit": "mm"}
    with pytest.raises(InputError, match="at its high limit, 1 mm, already"):
        client.motors.jog("samx", "+")
    assert samx.velocity == before
    samx.limits = limits


def test_the_velocity_is_back_when_the_client_of_a_jog_dies(
    client: Client, beamline: LocalBeamline
) -> None:
    client.mv(samx=0)
    before, offset = client.devices.samx.velocity, 0.0
    command = [UNDULA, "jog", "samx", "+", "--velocity", "2"]
    jogging = subprocess.Popen(command, env={**os.environ, "UNDULA_BEAMLINE": "test"})
    try:
        until(lambda: client.devices.samx.position > offset, "it does not move")
    finally:
        jogging.kill()
        jogging.wait(60.0)
    assert client.devices.samx.velocity == 2.0
    client.stop()
    until(lambda: client.devices.samx.velocity == before, "the velocity is not put back")


IN_PYTHON = """
from undula.client import connect
there = connect("test").motors.jog("samx", "-", 2)
print("samx", there["value"], there["unit"])
"""
IN_THE_SHELL = """
from undula.client import connect
from undula.session.commands import Shell
names = Shell(connect("test")).namespace()
names["jog"](names["samx"], "-", 2)
"""


@pytest.mark.parametrize(
    "command",
    [
        [UNDULA, "jog", "samx", "-", "--velocity", "2"],
        [sys.executable, "-c", IN_PYTHON],
        [sys.executable, "-c", IN_THE_SHELL],
    ],
    ids=["command", "python", "shell"],
)
def test_ctrl_c_ends_a_jog(client: Client, command: list[str]) -> None:
    client.mv(samx=0)
    before = client.devices.samx.velocity
    jogging = subprocess.Popen(
        command,
        env={**os.environ, "UNDULA_BEAMLINE": "test"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until(lambda: client.devices.samx.position < 0, "it does not move")
        jogging.send_signal(signal.SIGINT)
        said, errors = jogging.communicate(timeout=60.0)
    finally:
        jogging.kill()
    assert jogging.returncode == 0, errors
    name, place, unit = said.split()[-3:]
    assert (name, unit) == ("samx", "mm"), said
    assert client.devices.samx.position == pytest.approx(float(place), abs=1e-3)
    assert client.devices.samx.velocity == before


@pytest.mark.parametrize(
    ("device", "direction", "velocity", "text"),
    [
        ("samx", "up", None, "is no direction"),
        ("samx", "+", -1.0, "velocity"),
        ("diode", "+", None, "diode"),
    ],
)
def test_a_jog_that_makes_no_sense_is_refused(
    client: Client, device: str, direction: str, velocity: float | None, text: str
) -> None:
    with pytest.raises(UndulaError, match=text):
        client.motors.jog(device, direction, velocity)


def _axis(**config: Any) -> dict[str, Any]:
    sim = "undula.devices.sim.SimPositioner"
    keys = {"readoutPriority": "on_request", "enabled": True}
    return {"deviceClass": sim, "deviceConfig": config, **keys}


def test_an_axis_that_nothing_would_end_or_stop_does_not_jog(client: Client) -> None:
    client.config.add({"free": _axis(delay=1), "quick": _axis(delay=0, limits=[-5, 5])})
    with pytest.raises(InputError, match="no soft limits"):
        client.motors.jog("free", "+")
    with pytest.raises(InputError, match="take no time"):
        client.motors.jog("quick", "+")
    assert client.devices.quick.position == 0
    assert set(client.devices.samx.parameters) >= {"velocity"}
    client.config.remove("free")
    client.config.remove("quick")


def test_a_velocity_just_set_is_known_to_the_next_move(client: Client) -> None:
    """Its deadline follows from it."""
    samx = client.devices.samx
    client.mv(samx=0)
    samx.velocity = 0.2
    assert client.check("scan", "samx", 0, 2, 2, detectors=["diode"]).estimate_s > 5.0
    samx.velocity = 100


def test_a_motor_outside_its_limits_says_so(client: Client) -> None:
    client.mv(samx=0)
    try:
        rows = client.motors.set_limits("samx", 3, 5)
        assert rows["status"]["value"] == "outside its limits"
    finally:
        client.motors.set_limits("samx", -10, 10)
    assert client.motors.parameters("samx")["status"]["value"] == "ready"
