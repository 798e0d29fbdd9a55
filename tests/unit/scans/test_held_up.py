"""What is said of devices that hold a scan up, and how long one waits for a source that is away."""

from __future__ import annotations

from pathlib import Path

import pytest

from undula.devices.description import load_device_file
from undula.devices.registry import Registry
from undula.pipes.detector import GraphDetector
from undula.scans.held_up import HeldUp

DEVICES = """
samx: {deviceClass: undula.devices.sim.SimPositioner, readoutPriority: baseline, enabled: true}
cam:
  deviceClass: undula.pipes.detector.GraphDetector
  deviceConfig: {graph: {nodes: {det: simulated, file: frame_file}, edges: [det -> file]}}
  readoutPriority: monitored
  enabled: true
"""


@pytest.fixture
def devices(tmp_path: Path) -> Registry:
    (tmp_path / "devices.yaml").write_text(DEVICES)
    registry = Registry(load_device_file(tmp_path / "devices.yaml"))
    registry.connect()
    return registry


def cam(devices: Registry) -> GraphDetector:
    found = devices["cam"].obj
    assert isinstance(found, GraphDetector)
    return found


def says(detector: GraphDetector, held_up: str, away_s: float | None = None) -> None:
    """As the graph does, on its thread."""
    detector._run.held_up, detector._run.away_s = held_up, away_s


def test_one_that_cannot_keep_up_may_take_as_long_as_it_likes(devices: Registry) -> None:
    time = [100.0]
    held = HeldUp(devices, 300.0, clock=lambda: time[0])
    held.begin(["samx", "cam"])
    assert held.look() == ""
    says(cam(devices), "edge det.frames -> file.frames cannot keep up: frame 12 is on its way")
    assert held.look() == f"[cam] {cam(devices).held_up}"
    time[0] += 100_000.0
    held.look()
    assert not held.overdue


def test_a_source_that_is_away_has_a_deadline_which_is_told_before_and_after(
    devices: Registry,
) -> None:
    time = [100.0]
    held = HeldUp(devices, 300.0, clock=lambda: time[0])
    held.begin(["samx", "cam"])
    says(cam(devices), "det waits for X:CAM, which is not connected", 9.0)
    assert held.look() == f"[cam] {cam(devices).held_up}; the scan waits for 309 s at most"
    time[0] += 308.0
    held.look()
    assert not held.overdue
    time[0] += 2.0
    held.look()
    assert held.overdue.startswith("[cam] det waits for X:CAM, which is not connected: it did not")
    assert "within 309 s. Remedy: start its IOC" in held.overdue
    says(cam(devices), "")  # it is back
    assert held.look() == ""
    assert not held.overdue
    says(cam(devices), "det waits for X:CAM", 9.0)
    held.look()
    assert not held.overdue, "it is another time that it is away"
