"""The engine is killed while a graph is at work: the run ends as failed, and nothing is left."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import h5py
import pytest

from undula.core.procs import environment_of
from undula.testing.beamline import local_beamline
from undula.testing.law import until

DEVICES = """
samx:
  deviceClass: undula.devices.sim.SimPositioner
  readoutPriority: baseline
  enabled: true
cam:
  deviceClass: undula.pipes.detector.GraphDetector
  deviceConfig:
    frame_timeout: 30.0
    graph:
      nodes:
        det: {node: simulated, parameters: {width: 64, height: 48, rate_hz: 0}}
        low: {node: threshold, process: inside}
        roi:
          node: roi
          process: inside
          parameters: {rois: {all: {shape: box, x: 0, y: 0, width: 64, height: 48}}}
        file: frame_file
        out: channel
      edges: [det -> low, low.frames -> roi, det -> file, roi.sum -> out]
  readoutPriority: monitored
  enabled: true
"""


def workers() -> list[int]:
    """Processes of graphs of this very beamline."""
    own = os.environ["XDG_STATE_HOME"]
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            pid = int(folder.name)
            if b"undula.processes.pipe_worker" in words and (
                environment_of(pid, "XDG_STATE_HOME") == own
            ):
                found.append(pid)
    return found


@pytest.mark.soak
def test_an_engine_that_dies_takes_its_graph_along_and_the_next_scan_has_one(
    tmp_path: Path,
) -> None:
    devices = tmp_path / "devices.yaml"
    devices.write_text(DEVICES)
    with local_beamline(devices=devices) as beamline, beamline.connect() as client:
        scan = client.scan("samx", 0, 1, 2000, detectors=["cam"], wait=False)
        before: list[int] = []
        for event in scan.events():
            if event["seq_num"] == 20:
                before = workers()
                os.kill(beamline.pid("engine"), signal.SIGKILL)
                break
        assert before
        until(lambda: not set(before) & set(workers()), "its graph lives on")
        until(lambda: client.runs[-1].status == "fail", "the run is not ended")
        failed = client.runs[-1]
        taken = len(failed.data["cam_roi_sum"])
        assert taken >= 20
        with h5py.File(failed.path) as file:
            assert file["entry/instrument/cam/cam"].shape[0] == taken
        run = client.scan("samx", 0, 1, 3, detectors=["cam"]).run
        assert run.status == "success", run.record.reason
        frames = run.data["cam"][()]
        assert run.data["cam_roi_sum"].tolist() == [float(f.sum()) for f in frames]
        after = workers()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in after), "processes are left")
