"""The engine is killed while a graph is at work: the run ends as failed, and nothing is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import pytest

from undula.testing.beamline import local_beamline
from undula.testing.flow import graph_workers
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


ENGINE = """
import json, sys
from pathlib import Path
import yaml
from undula.pipes.detector import GraphDetector

graph = yaml.safe_load(sys.argv[1])["cam"]["deviceConfig"]["graph"]
cam = GraphDetector("cam", graph=graph, frame_timeout=30.0)
cam.set_run_path(Path(sys.argv[2]))
cam.stage().wait(60)
taken = 0
while True:
    cam.trigger().wait(60)
    taken += len(list(cam.collect_asset_docs()))
    if taken == 6:
        print(json.dumps([node.pid for node in cam.status.nodes.values() if node.pid]), flush=True)
"""


def test_whoever_runs_a_graph_and_is_killed_takes_its_processes_along_and_leaves_whole_files(
    tmp_path: Path,
) -> None:
    words = [sys.executable, "-c", ENGINE, DEVICES, str(tmp_path / "run.nxs")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as engine:
        assert engine.stdout is not None
        graph = json.loads(engine.stdout.readline())
        engine.kill()
    assert len(set(graph)) == 3, "det, file, and those inside one process"
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in graph), "its graph lives on")
    with h5py.File(tmp_path / "run_cam_0001.h5") as file:  # plainly, as any program does
        numbers = file["entry/data/seq_num"][()].tolist()
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) >= 5
        assert file["entry/frames_closed"][()] == 1


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
                before = graph_workers()
                os.kill(beamline.pid("engine"), signal.SIGKILL)
                break
        assert before
        until(lambda: not set(before) & set(graph_workers()), "its graph lives on")
        until(lambda: client.runs[-1].status == "fail", "the run is not ended")
        failed = client.runs[-1]
        taken = len(failed.data["cam_roi_sum"])
        assert taken >= 20
        with h5py.File(failed.path) as file:
            assert file["entry/instrument/cam/cam"].shape[0] == taken
            ledger = file["entry/ledger/results/cam"]
            assert ledger["triggers"][()] == taken
            known = (ledger["passed"][()] + ledger["unknown"][()]).tolist()
            assert known == [taken] * 4, "what a file has has passed, the rest nobody knows"
        run = client.scan("samx", 0, 1, 3, detectors=["cam"]).run
        assert run.status == "success", run.record.reason
        frames = run.data["cam"][()]
        assert run.data["cam_roi_sum"].tolist() == [float(f.sum()) for f in frames]
        after = graph_workers()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in after), "processes are left")
