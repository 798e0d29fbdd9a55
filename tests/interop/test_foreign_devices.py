"""Devices that others wrote, named in a device file, run in our scans: ophyd's simulation,
ophyd-async's soft motor, and the records of a real EPICS IOC (softioc, in an environment of its
own)."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from undula.client import Client
from undula.devices.demo_ioc import loopback_environment
from undula.testing.beamline import local_beamline, short_folder

pytestmark = pytest.mark.interop

SOFT_DEVICES = """
axis:
  deviceClass: ophyd.sim.SynAxis
  readoutPriority: baseline
  enabled: true
periodic:
  deviceClass: ophyd.sim.SynPeriodicSignal
  readoutPriority: monitored
  enabled: true
number:
  deviceClass: ophyd.Signal
  deviceConfig: {value: 7.5}
  readoutPriority: monitored
  enabled: true
positioner:
  deviceClass: ophyd.SoftPositioner
  deviceConfig: {init_pos: 0, egu: mm}
  readoutPriority: baseline
  enabled: true
modern:
  deviceClass: ophyd_async.sim.SimMotor
  deviceConfig: {units: mm}
  readoutPriority: baseline
  enabled: true
"""

IOC_RECORDS = """
import math
from softioc import asyncio_dispatcher, builder, softioc
dispatcher = asyncio_dispatcher.AsyncioDispatcher()
builder.SetDeviceName("SOFT")
readback = builder.aIn("RBV", initial_value=0.0, EGU="mm", PREC=4)
counts = builder.aIn("DET", initial_value=0.0, EGU="counts")
def moved(value):
    readback.set(value)
    counts.set(1000.0 * math.exp(-0.5 * value**2))
target = builder.aOut("X", initial_value=0.0, EGU="mm", PREC=4, DRVL=-10, DRVH=10,
                      on_update=moved, blocking=True)
builder.LoadDatabase()
softioc.iocInit(dispatcher)
moved(0.0)
print("ready", flush=True)
import sys
sys.stdin.read()
"""
IOC_DEVICES = """
x:
  deviceClass: ophyd.EpicsSignal
  deviceConfig: {read_pv: "SOFT:RBV", write_pv: "SOFT:X", put_complete: true, tolerance: 0.001}
  readoutPriority: baseline
  enabled: true
  connectionTimeout: 15
det:
  deviceClass: ophyd.EpicsSignalRO
  deviceConfig: {read_pv: "SOFT:DET"}
  readoutPriority: monitored
  enabled: true
  connectionTimeout: 15
"""


def _written(folder: Path, devices: str) -> Path:
    (folder / "devices.yaml").write_text(devices)
    return folder / "devices.yaml"


@contextlib.contextmanager
def _beamline(devices: str) -> Iterator[Client]:
    with (
        short_folder("ui-") as folder,
        local_beamline(_written(folder, devices), folder=folder) as beamline,
        beamline.connect() as client,
    ):
        problems = [i.problem for i in client.devices.table() if not i.connected]
        assert problems == []
        yield client


@pytest.fixture(scope="module")
def soft() -> Iterator[Client]:
    with _beamline(SOFT_DEVICES) as client:
        yield client


@pytest.mark.parametrize("axis", ["axis", "positioner", "modern"])
def test_soft_axes_of_others_are_scanned(soft: Client, axis: str) -> None:
    run = soft.scan(axis, -1, 1, 11).run
    assert run.status == "success"
    assert np.allclose(run.data[axis], np.linspace(-1, 1, 11))
    assert np.allclose(run.data["number"], 7.5)
    assert len(run.data["periodic"]) == 11


def test_an_old_and_a_new_axis_make_a_map_with_units(soft: Client) -> None:
    run = soft.grid_scan("modern", 0, 1, 2, "positioner", 0, 3, 4, detectors=["number"]).run
    assert np.allclose(run.data["modern"], np.repeat([0, 1], 4))
    assert np.allclose(run.data["positioner"], np.tile([0, 1, 2, 3], 2))
    with h5py.File(run.path) as file:
        units = file["entry/collection/primary/modern"].attrs.get("units")
    assert units == "mm"


def test_an_axis_of_others_moves_and_reads(soft: Client) -> None:
    assert soft.mv(modern=0.25)["modern"]["value"] == pytest.approx(0.25)
    assert soft.read("axis")["axis"]["axis"]["value"] is not None


@pytest.fixture(scope="module")
def softioc_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python with softioc in an environment of its own; skips when it cannot be had."""
    place = tmp_path_factory.mktemp("softioc")
    uv, own = str(Path(sys.executable).with_name("uv")), str(place / "bin" / "python")
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(place)], check=True)
    pip = [uv, "pip", "install", "-q", "--python", own, "softioc"]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"softioc cannot be installed: {done.stderr.strip()[-200:]}")
    return own


@contextlib.contextmanager
def _softioc(python: str) -> Iterator[dict[str, str]]:
    env, ports = loopback_environment(), loopback_environment()
    env |= {
        "EPICS_PVAS_INTF_ADDR_LIST": "127.0.0.1",
        "EPICS_PVA_ADDR_LIST": "127.0.0.1",
        "EPICS_PVA_AUTO_ADDR_LIST": "NO",
        "EPICS_PVAS_SERVER_PORT": ports["EPICS_CA_SERVER_PORT"],
        "EPICS_PVAS_BROADCAST_PORT": ports["EPICS_CA_REPEATER_PORT"],
    }
    ioc = subprocess.Popen(
        [python, "-c", IOC_RECORDS],
        env={**os.environ, **env},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert any("ready" in line for line in ioc.stdout), "the IOC ended before it was ready"
        yield env
    finally:
        ioc.kill()
        ioc.wait()


def test_the_records_of_a_real_ioc_are_scanned(softioc_python: str) -> None:
    with _softioc(softioc_python) as env, pytest.MonkeyPatch.context() as patch:
        for name, value in env.items():
            patch.setenv(name, value)
        with _beamline(IOC_DEVICES) as client:
            run = client.scan("x", -2, 2, 9).run
            assert run.status == "success"
            at = np.linspace(-2, 2, 9)
            assert np.allclose(run.data["x"], at, atol=1e-6)
            assert np.allclose(run.data["det"], 1000 * np.exp(-0.5 * at**2), rtol=1e-6)
            assert client.devices.info("x").unit == "mm"
