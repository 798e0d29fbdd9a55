"""One IOC of each kind a test session, and scripts run as its clients in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from undula.testing.iocs import (
    Ioc,
    RunningIoc,
    start_camera,
    start_counting,
    start_fake_motor,
    start_mini_beamline,
    start_motor,
)

Run = Callable[[str, str], str]

HEAD = """
import sys, time
from bluesky.run_engine import RunEngine
from undula.devices.description import load_device_file
from undula.devices.epics import stop_pvs
from undula.devices.epics.stop_client import stop_all
from undula.devices.registry import Registry
engine = RunEngine({}, context_managers=[])
registry = Registry(load_device_file(sys.argv[1]))
begin = time.monotonic()
registry.connect(loop=engine.loop)
took_s = time.monotonic() - begin
"""


def _runner(ioc: RunningIoc | Ioc, folder: Path) -> Run:
    def run(devices: str, body: str) -> str:
        path = folder / "devices.yaml"
        path.write_text(devices)
        done = subprocess.run(
            [sys.executable, "-c", HEAD + textwrap.dedent(body) + "\nprint('DONE')", str(path)],
            env={**os.environ, **ioc.env},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert "DONE" in done.stdout, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def motor_ioc() -> Iterator[RunningIoc]:
    with start_fake_motor() as running:
        script = (
            "from caproto.sync.client import write; "
            "write('sim:mtr1.EGU', 'mm', repeater=False, timeout=30)"
        )
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, **running.env},
            check=True,
            timeout=30,
        )
        yield running


@pytest.fixture(scope="session")
def beamline_ioc() -> Iterator[RunningIoc]:
    with start_mini_beamline() as running:
        yield running


@pytest.fixture
def with_motor(motor_ioc: RunningIoc, tmp_path: Path) -> Run:
    """Run a script as a client of the motor IOC: device file, body; gives what it printed."""
    return _runner(motor_ioc, tmp_path)


@pytest.fixture
def with_beamline(beamline_ioc: RunningIoc, tmp_path: Path) -> Run:
    """Run a script as a client of the mini_beamline IOC."""
    return _runner(beamline_ioc, tmp_path)


@pytest.fixture(scope="session")
def faulty_motor_ioc() -> Iterator[Ioc]:
    with start_motor() as running:
        yield running


@pytest.fixture(scope="session")
def camera_ioc() -> Iterator[Ioc]:
    with start_camera() as running:
        yield running


@pytest.fixture(scope="session")
def counting_ioc() -> Iterator[Ioc]:
    with start_counting() as running:
        yield running


@pytest.fixture
def with_faulty_motor(faulty_motor_ioc: Ioc, tmp_path: Path) -> Run:
    """Run a script as a client of the motors with switches and faults."""
    return _runner(faulty_motor_ioc, tmp_path)


@pytest.fixture
def with_camera(camera_ioc: Ioc, tmp_path: Path) -> Run:
    """Run a script as a client of the camera IOC, without faults at its begin."""
    return _runner(camera_ioc, tmp_path)


@pytest.fixture
def with_counting(counting_ioc: Ioc, tmp_path: Path) -> Run:
    """Run a script as a client of the counting card and the MCA."""
    return _runner(counting_ioc, tmp_path)
