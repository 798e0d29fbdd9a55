"""A detector with a graph in scans of a real beamline: frames, sums, links; and deaths."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from undula.client import Client
from undula.core.procs import environment_of
from undula.pipes.graph import checked
from undula.pipes.nodes.registry import Shipped
from undula.pipes.replaying import as_replay, chosen
from undula.pipes.runner import Runner
from undula.testing.beamline import local_beamline

DEVICES = """
samx:
  deviceClass: undula.devices.sim.SimPositioner
  readoutPriority: baseline
  enabled: true
cam:
  deviceClass: undula.pipes.detector.GraphDetector
  deviceConfig:
    graph:
      nodes:
        det: {node: simulated, parameters: {width: 64, height: 48, rate_hz: 0}}
        roi:
          node: roi
          parameters:
            rois:
              all: {shape: box, x: 0, y: 0, width: 64, height: 48}
              half: {shape: box, x: 0, y: 0, width: 32, height: 48}
        file: frame_file
        view: preview
        out: channel
      edges: [det -> roi, det -> file, det -> view: latest, roi.sum -> out]
  readoutPriority: monitored
  enabled: true
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One beamline for all tests of this file."""
    devices = tmp_path_factory.mktemp("graph") / "devices.yaml"
    devices.write_text(DEVICES)
    with local_beamline(devices=devices) as beamline, beamline.connect() as client:
        yield client


def workers(client: Client) -> list[int]:
    """Processes of the graph of this very beamline, and of no other on this host."""
    del client
    own = os.environ["XDG_STATE_HOME"]
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            pid = int(folder.name)
            if b"undula.processes.pipe_worker" in words and (
                environment_of(pid, "XDG_STATE_HOME") == own
            ):
                found.append(pid)
    return found


def checked_run(run: Any, points: int) -> None:
    """Frames and sums of a run agree, and each frame is linked in the run's file."""
    assert run.status == "success", run.record.reason
    data = run.data
    assert data.shapes["cam"] == (points, 48, 64)
    frames = data["cam"][()].astype(np.float64)
    sums = np.asarray(data["cam_roi_sum"])
    assert sums.shape == (points, 2)
    assert np.array_equal(sums[:, 0], frames.sum(axis=(1, 2)))
    assert np.array_equal(sums[:, 1], frames[:, :, :32].sum(axis=(1, 2)))
    with h5py.File(run.path) as file:
        assert file["entry/instrument/cam/cam"].shape == (points, 48, 64)


def test_a_scan_reads_frames_and_sums_of_a_graph_at_each_point(client: Client) -> None:
    run = client.scan("samx", 0, 1, 5, detectors=["cam"]).run
    checked_run(run, 5)
    with h5py.File(run.path) as file:
        link = file["entry/instrument/cam"].get("cam", getlink=True)
        assert link.filename == f"{run.path.stem}_cam_0001.h5"


def test_the_graph_stays_warm_and_each_run_has_its_own_file(client: Client) -> None:
    before = sorted(workers(client))
    first = client.scan("samx", 0, 1, 3, detectors=["cam"]).run
    second = client.scan("samx", 0, 1, 4, detectors=["cam"]).run
    checked_run(first, 3)
    checked_run(second, 4)
    assert sorted(workers(client)) == before


def test_a_run_is_replayed_through_the_graph_that_it_keeps(client: Client, tmp_path: Path) -> None:
    client.scan("samx", 0, 1, 2, detectors=["cam"])
    run = client.scan("samx", 0, 1, 3, detectors=["cam"]).run  # its detector had counted before
    found = chosen(run.path, None)
    assert found.graph is not None
    types = Shipped()
    made = as_replay(checked(found.graph, types), found, types, speed=0, folder=tmp_path)
    heard: list[tuple[int, list[float]]] = []
    with Runner(made, types) as runner:
        runner.heard = lambda _, frame: heard.append((frame.seq_num, frame.data.tolist()))
        outcome = runner.run()
    assert outcome.ok, outcome.report.text
    assert heard == [(n + 1, row) for n, row in enumerate(run.data["cam_roi_sum"].tolist())]


def test_any_process_of_the_graph_is_killed_and_the_next_scan_is_whole(client: Client) -> None:
    checked_run(client.scan("samx", 0, 1, 2, detectors=["cam"]).run, 2)
    for pid in workers(client):
        os.kill(pid, signal.SIGKILL)
        checked_run(client.scan("samx", 0, 1, 3, detectors=["cam"]).run, 3)
