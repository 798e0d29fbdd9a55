"""After the engine's death, and by `undula stop`, the motor really stops: the IOC is asked, not us.

An IOC and a whole beamline are started, and each test waits for a slow motor: more than 5 s.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from caproto import RemoteProtocolError
from caproto.sync.client import read, write

from undula.devices.demo_ioc import fake_motor
from undula.testing.beamline import NAME, LocalBeamline, local_beamline, short_folder
from undula.testing.law import until

RECORD = "sim:mtr1"
WAY_S = 600.0
DEVICES = f"""
mtr:
  deviceClass: ophyd.EpicsMotor
  deviceConfig: {{prefix: "{RECORD}"}}
  readoutPriority: baseline
  enabled: true
  connectionTimeout: 30
"""


def _ask_ioc(field: str) -> float:
    for _ in range(5):
        try:
            return float(read(f"{RECORD}.{field}", timeout=30, repeater=False).data[0])
        except RemoteProtocolError:
            continue  # a reply to the search of another client; ask again
    raise AssertionError("the IOC gives no proper answer")


def _until(field: str, condition: str, timeout_s: float = 60.0) -> float:
    """Poll the IOC until the field fulfils the condition; its last value."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        value = _ask_ioc(field)
        if (condition == "stopped" and value == 1) or (condition == "moving" and value == 0):
            return value
    raise AssertionError(f"{RECORD}.{field} never became {condition}: {_ask_ioc(field)}")


@pytest.fixture(scope="module")
def beamline() -> Iterator[LocalBeamline]:
    """A beamline with a slow motor of an IOC."""
    with (
        short_folder("uh-") as folder,
        fake_motor() as ioc,
        pytest.MonkeyPatch.context() as patch,
    ):
        (folder / "devices.yaml").write_text(DEVICES)
        for name, value in ioc.env.items():
            patch.setenv(name, value)
        write(f"{RECORD}.VELO", 10 / WAY_S, notify=True, timeout=30, repeater=False)
        with local_beamline(folder / "devices.yaml", folder=folder) as made:
            yield made


@pytest.fixture
def moving(beamline: LocalBeamline) -> Iterator[LocalBeamline]:
    """Its motor is under way to 10 mm, for minutes."""
    code = f"import undula.client as c; c.connect({NAME!r}).mv(mtr=10)"
    mover = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    try:
        _until("DMOV", "moving")
        yield beamline
    finally:
        mover.kill()
        mover.wait()


def test_a_new_engine_stops_the_motor_that_its_dead_predecessor_had_moved(
    moving: LocalBeamline,
) -> None:
    victim = moving.pid("engine")
    os.kill(victim, signal.SIGKILL)
    _until("DMOV", "stopped")
    assert _ask_ioc("RBV") < 9.0
    with moving.connect() as client:
        assert client.read("mtr")  # and the beamline is usable again
    log = (moving.paths.logs / "engine.jsonl").read_text().splitlines()
    events = {record["event"]: record for record in map(json.loads, log)}
    first, then = events["left_behind_stopped"], events["hardware_made_safe"]
    assert json.loads(first["report"])["stopped"] == ["mtr"]
    assert first["time"] < then["time"], "it was stopped before any device was connected"


def _undula_stop() -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from undula.cli import main; main()", "stop"],
        env={**os.environ, "UNDULA_BEAMLINE": NAME},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_undula_stop_stops_a_move(moving: LocalBeamline) -> None:
    done = _undula_stop()
    assert done.returncode == 0, done.stderr
    assert "mtr" in done.stdout
    _until("DMOV", "stopped")
    assert _ask_ioc("RBV") < 9.0


def test_undula_stop_reaches_the_motor_when_the_engine_does_not_answer(
    moving: LocalBeamline,
) -> None:
    stuck = moving.pid("engine")
    os.kill(stuck, signal.SIGSTOP)
    done = _undula_stop()
    assert "mtr (by the stopper" in done.stdout
    _until("DMOV", "stopped")
    assert _ask_ioc("RBV") < 9.0
    until(lambda: moving.pid("engine") not in (stuck, 0), "the engine was not started anew")
