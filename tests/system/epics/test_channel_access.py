"""Devices over Channel Access, against IOCs that others wrote, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from undula.devices.demo_ioc import RunningIoc, fake_motor

FILE = """
mtr:
  deviceClass: {motor}
  deviceConfig: {{prefix: "sim:mtr1"}}
  readoutPriority: baseline
  enabled: true
  connectionTimeout: 10
absent:
  deviceClass: ophyd.EpicsSignalRO
  deviceConfig: {{read_pv: "sim:not:there"}}
  readoutPriority: monitored
  enabled: true
  connectionTimeout: 1.0
"""

SCRIPT = """
import sys, time
from bluesky.run_engine import RunEngine
from undula.devices.description import load_device_file
from undula.devices.registry import Registry
from undula.devices.epics import stop_pvs
from undula.devices.epics_stop import stop_all
engine = RunEngine({{}}, context_managers=[])
registry = Registry(load_device_file(sys.argv[1]))
begin = time.monotonic()
registry.connect(loop=engine.loop)
assert time.monotonic() - begin < 12, time.monotonic() - begin
assert registry["mtr"].connected, registry["mtr"].problem
assert not registry["absent"].connected
assert registry["absent"].problem, "an absent IOC must be named"
{body}
print("DONE", flush=True)
"""


@pytest.fixture(scope="session")
def ioc() -> Iterator[RunningIoc]:
    with fake_motor() as running:
        yield running


def _run(ioc: RunningIoc, tmp_path: Path, motor: str, body: str) -> None:
    import os

    path = tmp_path / "devices.yaml"
    path.write_text(FILE.format(motor=motor))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(body=textwrap.dedent(body)), str(path)],
        env={**os.environ, **ioc.env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "DONE" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("motor", ["ophyd.EpicsMotor", "ophyd_async.epics.motor.Motor"])
def test_a_motor_record_moves_is_read_and_has_live_limits(
    ioc: RunningIoc, tmp_path: Path, motor: str
) -> None:
    _run(
        ioc,
        tmp_path,
        motor,
        """
        import bluesky.plan_stubs as bps
        m = registry["mtr"]
        here = m.position()
        engine(bps.mv(m.obj, here + 0.2))
        assert abs(m.position() - here - 0.2) < 0.05, m.position()
        assert m.move_duration_s(0.0, 1.0) > 0
        assert m.unit
        assert m.info().kind == "positioner"
        reading = registry.reading("mtr")
        assert reading.values
        """,
    )


def test_the_stopper_writes_the_stop_field_over_its_own_connection(
    ioc: RunningIoc, tmp_path: Path
) -> None:
    _run(
        ioc,
        tmp_path,
        "ophyd.EpicsMotor",
        """
        pairs = stop_pvs(registry["mtr"].entry)
        assert pairs == [("sim:mtr1.STOP", 1)], pairs
        assert stop_all(pairs, 5.0) == {"sim:mtr1.STOP": None}
        missing = stop_all([("sim:gone.STOP", 1)], 0.5)
        assert missing["sim:gone.STOP"], missing
        """,
    )
