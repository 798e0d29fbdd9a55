"""Simulated devices that BEC's configurations name: each does what it is for."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import bluesky.plans as bp
import h5py
import numpy as np
import pytest
from bluesky import RunEngine

from undula.core.errors import DeviceError, InputError
from undula.devices.description import load_device_file
from undula.devices.errors import DeviceFileError
from undula.devices.registry import Registry
from undula.devices.sim import SimWaveform
from undula.devices.sim.bec import SimAsyncGauss2D, SimFlyer, SimHexapod, SimMonitorAsync, SimRamp
from undula.devices.sim.models import curve


def _entry(name: str, cls: str, config: str = "{}") -> str:
    return (
        f"{name}:\n  deviceClass: ophyd_devices.{cls}\n  deviceConfig: {config}\n"
        "  readoutPriority: baseline\n  enabled: true\n"
    )


def _loaded(tmp_path: Path, text: str) -> Registry:
    path = tmp_path / "devices.yaml"
    path.write_text(text)
    registry = Registry(load_device_file(path))
    registry.connect()
    return registry


CAMERA = _entry("eiger", "SimCamera", "{shape: [20, 30]}")
MOTORS = _entry("slx", "SimPositioner") + _entry("sly", "SimPositioner")
SLIT = """{eiger: {signal_name: image, center_offset: [0, 0], covariance: [[4, 0], [0, 4]],
    pixel_size: 0.1, ref_motors: [slx, sly], slit_width: [1.0, 0.4], motor_dir: [0, 1]}}"""


def test_a_slit_before_a_camera_follows_its_motors(tmp_path: Path) -> None:
    devices = _loaded(tmp_path, _entry("slits", "SlitProxy", SLIT) + CAMERA + MOTORS)
    camera = devices["eiger"]
    assert devices["slits"].connected
    lit = np.argwhere(camera.read()["eiger"]["value"] > 0)
    assert np.ptp(lit, axis=0).tolist() == [3, 9]  # 0.4 mm and 1 mm of pixels of 0.1 mm
    devices["slx"].obj.set(0.5)
    devices["sly"].obj.set(-0.3)
    moved = np.argwhere(camera.read()["eiger"]["value"] > 0)
    assert (moved.mean(axis=0) - lit.mean(axis=0)).round().tolist() == [-3, 5]


def test_a_camera_replays_the_images_of_a_file_from_the_beginning_again(tmp_path: Path) -> None:
    images = np.arange(3 * 4 * 5, dtype=np.uint16).reshape(3, 4, 5)
    with h5py.File(tmp_path / "images.h5", "w") as file:
        file["entry/data"] = images
    part = f"{{eiger: {{file_source: {tmp_path}/images.h5, h5_entry: /entry/data}}}}"
    camera = _loaded(tmp_path, CAMERA + _entry("replay", "H5ImageReplayProxy", part))["eiger"]
    assert camera.describe()["eiger"]["shape"] == [4, 5]
    seen = [camera.read()["eiger"]["value"] for _ in range(4)]
    assert np.array_equal(seen[0], images[0])
    assert np.array_equal(seen[2], images[2])
    assert np.array_equal(seen[3], images[0])


def test_a_proxy_without_its_file_is_shown_with_the_reason(tmp_path: Path) -> None:
    part = "{eiger: {file_source: /nowhere/images.h5}}"
    devices = _loaded(tmp_path, CAMERA + _entry("replay", "H5ImageReplayProxy", part))
    assert not devices["replay"].connected
    assert "/nowhere/images.h5 cannot be read" in devices["replay"].problem
    assert devices["eiger"].connected


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (_entry("p", "SlitProxy", "{eigr: {}}"), "p needs eigr"),
        (_entry("p", "SlitProxy", "{eiger: {ref_motors: [slz]}}"), "p needs slz"),
        (_entry("p", "SlitProxy", "{eiger: {slit_widht: [1]}}"), "takes no slit_widht"),
        (_entry("p", "H5ImageReplayProxy", "{eiger: 3}"), "eiger is 3"),
    ],
)
def test_a_wrong_part_of_a_proxy_is_a_fault_of_the_file(
    tmp_path: Path, text: str, what: str
) -> None:
    path = tmp_path / "devices.yaml"
    path.write_text(CAMERA + MOTORS + text)
    with pytest.raises(DeviceFileError, match=what):
        load_device_file(path)


@pytest.mark.parametrize("device", [SimMonitorAsync("m"), SimAsyncGauss2D("g")])
def test_a_device_that_pushes_gives_readings_until_nobody_listens(device: Any) -> None:
    device.push_rate_hz = 200.0
    came, several = list[dict[str, Any]](), threading.Event()

    def take(reading: dict[str, Any]) -> None:
        came.append(reading)
        if len(came) == 3:
            several.set()
            device.clear_sub(take)

    def fails(_: dict[str, Any]) -> None:
        if came:
            raise RuntimeError("a listener that fails")

    device.subscribe(fails)
    device.subscribe(take)
    assert several.wait(60.0)
    device.clear_sub(fails)
    assert list(came[0]) == [device.name]
    assert np.shape(came[0][device.name]["value"]) == tuple(device.shape())


def test_a_flyer_flies_in_a_run_of_bluesky() -> None:
    flyer, documents = SimFlyer("flyer", delay=0.05, num=10), list[tuple[str, dict[str, Any]]]()
    RunEngine()(bp.fly([flyer]), lambda name, doc: documents.append((name, doc)))
    pages = [doc for name, doc in documents if name == "event_page"]
    events = [doc for name, doc in documents if name == "event"]
    assert len(events) + sum(len(page["seq_num"]) for page in pages) == 10
    assert documents[-1][1]["exit_status"] == "success"
    with pytest.raises(DeviceError, match="not started"):
        SimFlyer("other").complete()


def test_parts_of_a_group_are_read_together_and_moved_each() -> None:
    hexapod: Any = SimHexapod("hexapod")
    hexapod.y.set(2.5)
    assert {k: r["value"] for k, r in hexapod.read().items()} == {
        "hexapod_x": 0.0,
        "hexapod_y": 2.5,
        "hexapod_z": 0.0,
    }
    assert set(hexapod.describe()) == set(hexapod.read()) == set(hexapod.hints["fields"])


def test_a_ramp_takes_its_time_and_can_be_stopped() -> None:
    ramp = SimRamp("ramp", ramp_rate=1.0)
    status = ramp.set(100.0)
    assert not status.done
    ramp.stop()
    assert status.done
    assert not status.success
    assert 0.0 <= ramp.position < 100.0


def test_a_model_of_bec_gives_the_shape_of_a_waveform() -> None:
    params = {"amplitude": 1e6, "center": 500, "sigma": 50}
    waveform = SimWaveform(
        "w", waveform_shape=1000, sim_init={"model": "GaussianModel", "params": params}
    )
    counts = waveform.counted(0.1)
    assert counts.shape == (1000,)
    assert abs(int(np.average(np.arange(1000), weights=counts)) - 500) < 3
    assert counts.sum() == pytest.approx(1e6, rel=0.01)  # the amplitude is the area


@pytest.mark.parametrize(
    ("init", "what"),
    [
        ({"model": "MadeUp"}, "no model 'MadeUp'"),
        ({"model": "GaussianModel", "params": {"sigma": 0}}, "sigma"),
        ({"model": "ConstantModel", "params": {"c": "x"}}, "c is 'x'"),
    ],
)
def test_a_wrong_model_is_refused(init: dict[str, Any], what: str) -> None:
    with pytest.raises(InputError, match=what):
        curve(init)
