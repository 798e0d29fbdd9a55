"""A detector with a graph in scans of a real beamline: frames, sums, links; and deaths."""

from __future__ import annotations

import fcntl
import json
import os
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import h5py
import numpy as np
import pytest

from undula.bus.endpoints import QUEUE_STATUS
from undula.client import Client
from undula.client.runs import Run
from undula.client.scans import ScanHandle
from undula.core.clock import Deadline
from undula.core.errors import InputError, StorageError
from undula.core.paths import beamline_paths
from undula.messages import GraphTold, QueueStatus
from undula.pipes.graph import checked
from undula.pipes.nodes.registry import Shipped
from undula.pipes.replaying import as_replay, chosen, first_number
from undula.pipes.runner import Runner
from undula.testing.beamline import NAME, local_beamline
from undula.testing.flow import graph_workers

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
slow:
  deviceClass: undula.pipes.detector.GraphDetector
  deviceConfig:
    slow_after: 0.5
    nodes: FOLDER
    graph:
      nodes:
        det: {node: simulated, parameters: {width: 8, height: 8, rate_hz: 0}}
        gate: {node: gate, parameters: {folder: FOLDER}}
        out: channel
      edges: [det -> gate, gate.total -> out]
  readoutPriority: on_request
  enabled: true
sparse:
  deviceClass: undula.pipes.detector.GraphDetector
  deviceConfig:
    nodes: FOLDER
    graph:
      nodes:
        det:
          node: simulated
          parameters: {width: 8, height: 8, rate_hz: 0, faults: {1000: missing}}
        low: {node: threshold, process: all}
        even: {node: even, process: all}
        out: {node: channel, process: all}
      edges:
        - det -> low
        - det -> even
        - low.count -> out
        - even.total -> out
        - even.row -> out
        - det.frames -> out: sample(1/3)
  readoutPriority: on_request
  enabled: true
holes:
  deviceClass: undula.pipes.detector.GraphDetector
  deviceConfig:
    frame_timeout: 4.0
    graph:
      nodes:
        det:
          node: simulated
          parameters: {width: 4, height: 4, rate_hz: 0, faults: {"3": missing}}
        out: channel
      edges: [det -> out]
  readoutPriority: on_request
  enabled: true
large:
  deviceClass: undula.pipes.detector.GraphDetector
  deviceConfig:
    graph:
      nodes:
        det: {node: simulated, parameters: {width: 65536, height: 65536, rate_hz: 0}}
        file: frame_file
      edges: [det -> file]
  readoutPriority: on_request
  enabled: true
"""
GATE = '''"""A node that is slow on request."""

import fcntl
from pathlib import Path

from undula.pipes.nodes.base import Node, Port, parameter


class Gate(Node):
    """Waits while somebody holds the file `shut`."""

    outputs = (Port("total", "the sum of a frame", ndim=0, kinds="f", unit="counts"),)
    covers = "frame"
    folder: str = parameter("", "where the file is")

    def clear(self):
        self.total = 0.0

    def accumulate(self, frame):
        with Path(self.folder, "shut").open() as shut:
            fcntl.flock(shut, fcntl.LOCK_SH)
        self.total = float(frame.data.sum())

    def result(self):
        return {"total": self.total}
'''


EVEN = '''"""A node that has something to say at every other frame only."""

from undula.pipes.nodes.base import AS_INPUT, Node, Port


class Even(Node):
    """The sum, and the sums of all columns, of frames with an even number."""

    outputs = (
        Port("total", "the sum", ndim=0, kinds="i", unit=AS_INPUT),
        Port("row", "sums of columns, (x,)", ndim=1, kinds="i", unit=AS_INPUT),
    )

    def clear(self):
        self.found = None

    def accumulate(self, frame):
        even = frame.seq_num % 2 == 0
        self.found = (int(frame.data.sum()), frame.data.sum(axis=0)) if even else None

    def result(self):
        return None if self.found is None else {"total": self.found[0], "row": self.found[1]}
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the node that is slow on request, and the file that makes it so."""
    made = tmp_path_factory.mktemp("gate")
    (made / "gate.py").write_text(GATE)
    (made / "shut").touch()
    (made / "even.py").write_text(EVEN)
    return made


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Iterator[Client]:
    """One beamline for all tests of this file."""
    devices = tmp_path_factory.mktemp("graph") / "devices.yaml"
    devices.write_text(DEVICES.replace("FOLDER", str(folder)))
    with local_beamline(devices=devices) as beamline, beamline.connect() as client:
        yield client


@contextmanager
def held(shut: Path) -> Iterator[None]:
    """The gate is shut."""
    with shut.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def the_run(scan: ScanHandle) -> Run:
    """The run of a scan, which there must be."""
    assert scan.run is not None
    return scan.run


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
    client.scan("samx", 0, 1, 2, detectors=["cam"])
    before = sorted(graph_workers())
    first = client.scan("samx", 0, 1, 3, detectors=["cam"]).run
    second = client.scan("samx", 0, 1, 4, detectors=["cam"]).run
    checked_run(first, 3)
    checked_run(second, 4)
    assert sorted(graph_workers()) == before


def test_a_client_sees_how_the_graph_runs_and_what_its_ports_gave(client: Client) -> None:
    came: SimpleQueue[GraphTold] = SimpleQueue()
    following = client.pipes["cam"].follow(came.put)
    run = client.scan("samx", 0, 1, 4, detectors=["cam"]).run
    try:
        deadline = Deadline(60.0)
        while True:  # the last word comes within a quarter of a second
            told = came.get(timeout=deadline.left_s())
            images = {image.port: image for image in told.images}
            if {"det.frames", "roi.sum"} <= set(images) and told.nodes[0].frames:
                break
    finally:
        following.close()
    assert list(client.pipes) == ["cam", "slow", "sparse", "holes", "large"]
    assert {n.name for n in told.nodes} == {"det", "roi", "file", "view", "out"}
    assert images["det.frames"].shape == [48, 64]
    assert images["det.frames"].data.shape == (48, 64)
    assert images["roi.sum"].data.shape == (2,)
    assert client.pipes["cam"]["det"].parameters["width"] == 64
    text = repr(client.pipes["cam"])
    assert "det.frames -> view.frames" in text
    assert "latest" in text
    assert run.status == "success"
    with pytest.raises(InputError, match="it has det"):
        client.pipes["cam"]["dte"]
    assert "det -> roi -> out" in text
    listed = repr(client.pipes).splitlines()
    assert next(line for line in listed if line.startswith("cam")).split()[1] == "running"
    with pytest.raises(InputError, match="there are cam, slow"):
        client.pipes["samx"]


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
        outcome = runner.run(first=first_number(found))
    assert outcome.ok, outcome.report.text
    assert outcome.report.triggers == 3
    (stop,) = [doc for name, doc in run.documents() if name == "stop"]
    first = stop["ledger"]["cam"]["first_frame"]
    assert first > 1
    assert heard == [(n, row) for n, row in enumerate(run.data["cam_roi_sum"].tolist(), first)]


def test_a_scan_whose_frames_would_fill_the_disk_is_refused_before_it_starts(
    client: Client,
) -> None:
    with pytest.raises(StorageError, match=r"GB free, the scan needs 85\d\d\d\.\d\d GB"):
        client.scan("samx", 0, 1, 10_000, detectors=["large"])


def test_any_process_of_the_graph_is_killed_and_the_next_scan_is_whole(client: Client) -> None:
    checked_run(client.scan("samx", 0, 1, 2, detectors=["cam"]).run, 2)
    for pid in graph_workers():
        os.kill(pid, signal.SIGKILL)
        checked_run(client.scan("samx", 0, 1, 3, detectors=["cam"]).run, 3)


LOSSLESS = ["det.frames -> roi.frames", "det.frames -> file.frames", "roi.sum -> out.values"]


def passed(path: Path, device: str) -> tuple[int, dict[str, int]]:
    """Triggers and frames that passed each edge, as the file of a run says."""
    with h5py.File(path) as file:
        ledger = file[f"entry/ledger/results/{device}"]
        edges = json.loads(ledger["edge"].asstr()[()])
        counts = dict(zip(edges, ledger["passed"][()].tolist(), strict=True))
        return int(ledger["triggers"][()]), counts


def test_each_process_is_killed_in_mid_scan_and_every_point_has_its_frame(client: Client) -> None:
    checked_run(client.scan("samx", 0, 1, 2, detectors=["cam"]).run, 2)
    victims = graph_workers()
    kills = [10 + 25 * n for n in range(len(victims))]
    scan = client.scan("samx", 0, 1, kills[-1] + 15, detectors=["cam"], wait=False)
    for event in scan.events():
        if event["seq_num"] in kills:
            os.kill(victims.pop(), signal.SIGKILL)
    scan.wait(100)
    assert not victims
    checked_run(scan.run, kills[-1] + 15)
    triggers, counts = passed(scan.run.path, "cam")
    assert triggers >= kills[-1] + 15
    assert {edge: counts[edge] for edge in LOSSLESS} == dict.fromkeys(LOSSLESS, triggers)


def test_an_edge_that_cannot_keep_up_pauses_the_scan_which_goes_on_by_itself(
    client: Client, folder: Path
) -> None:
    told: SimpleQueue[QueueStatus] = SimpleQueue()
    hearing = closing(client.link.connector.subscribe(QUEUE_STATUS, told.put))
    with hearing, held(folder / "shut"):
        scan = client.scan("samx", 0, 1, 400, detectors=["slow"], wait=False)
        while not (said := told.get(timeout=60).message).startswith("paused by itself"):
            pass
    assert "[slow] edge det.frames -> gate.frames cannot keep up" in said
    scan.wait(60)
    assert scan.run.status == "success", scan.run.record.reason
    assert len(scan.run.data["slow_gate_total"]) == 400
    triggers, counts = passed(scan.run.path, "slow")
    assert set(counts.values()) == {triggers}


def test_a_frame_that_went_missing_is_named_in_the_run_and_its_file(client: Client) -> None:
    scan = client.scan("samx", 0, 1, 4, detectors=["holes"], wait=False)
    scan.wait(60, check=False)
    assert scan.run is not None
    assert scan.run.status == "fail"
    assert "frame 3 did not come to det.frames -> out.values" in scan.run.record.reason
    triggers, counts = passed(scan.run.path, "holes")
    assert (triggers, counts) == (3, {"det.frames -> out.values": 2})
    with h5py.File(scan.run.path) as file:
        text = file["entry/ledger/results/holes/text"].asstr()[()]
    assert text == "det.frames -> out.values: 1 frame 3 never made by det"


def test_the_ledger_of_a_run_is_in_its_file(client: Client) -> None:
    run = client.scan("samx", 0, 1, 4, detectors=["cam"]).run
    triggers, counts = passed(run.path, "cam")
    assert triggers == 4
    assert {edge: counts[edge] for edge in LOSSLESS} == dict.fromkeys(LOSSLESS, 4)
    with h5py.File(run.path) as file:
        assert file["entry/ledger"].attrs["NX_class"] == "NXprocess"
        text = file["entry/ledger/results/cam/text"].asstr()[()]
    assert text == "complete: 4 frames, each accounted for on 4 edges"


def test_a_value_that_a_node_does_not_give_is_nan_and_the_run_says_why(client: Client) -> None:
    run = the_run(client.scan("samx", 0, 1, 6, detectors=["sparse"]))
    assert run.status == "success", run.record.reason
    count, total, row, frame = (
        np.asarray(run.data[f"sparse_{port}"])
        for port in ("low_count", "even_total", "even_row", "det_frames")
    )
    assert np.isfinite(count).all(), "a channel in a shared process is heard"
    odd = slice(0, None, 2)
    assert np.isnan(total[odd]).all()
    assert np.isfinite(total[1::2]).all()
    assert row.shape == (6, 8)
    assert np.array_equal(row[1::2].sum(axis=1), total[1::2])
    assert np.isnan(row[odd].astype(float)).all()
    assert 1 <= np.isfinite(frame).any(axis=(1, 2)).sum() <= 2, "one of three"
    (stop,) = [doc for name, doc in run.documents() if name == "stop"]
    ledger = stop["ledger"]["sparse"]
    assert ledger["complete"]
    assert ledger["without"]["sparse_even_total"] == (
        "none at 3 of its frames (1, 3, 5): even had nothing to say"
    )
    assert "sample(1/3) and left it out" in ledger["without"]["sparse_det_frames"]


def test_the_settings_of_a_graph_are_plain_values_with_units(client: Client) -> None:
    first = the_run(client.scan("samx", 0, 1, 2, detectors=["sparse"]))
    (descriptor,) = [d for n, d in first.documents() if n == "descriptor"
                     and "sparse_low_count" in d["data_keys"]]  # fmt: skip
    keys = descriptor["data_keys"]
    assert keys["sparse_low_count"]["units"] == "px"
    assert keys["sparse_even_total"]["units"] == "counts"
    settings = descriptor["configuration"]["sparse"]
    assert settings["data"]["sparse_det_width"] == 8
    assert settings["data"]["sparse_det_faults_1000"] == "missing"
    assert settings["data"]["sparse_low"] == "threshold"
    assert settings["data_keys"]["sparse_low_low"] == {
        "source": "pipes:sparse", "dtype": "number", "shape": [], "units": "counts",
    }  # fmt: skip
    with h5py.File(first.path) as file:
        kept = file["entry/collection/device_configuration/sparse"]
        assert kept["sparse_low_low"][()] == 1.0
        assert file["entry/instrument/sparse/sparse_even_total"].attrs["units"] == "counts"


def test_parameters_of_a_node_are_read_and_changed_by_name(client: Client) -> None:
    run = the_run(client.scan("samx", 0, 1, 2, detectors=["sparse"]))
    low = client.pipes["sparse"]["low"]
    assert low.low == 1.0
    assert {"low", "set", "result"} <= set(dir(low))
    low.low = 1000
    try:
        assert client.pipes["sparse"]["low"].low == 1000.0
        after = the_run(client.scan("samx", 0, 1, 2, detectors=["sparse"]))
    finally:
        low.set(low=1)
    assert not np.asarray(after.data["sparse_low_count"]).any()
    assert (np.asarray(run.data["sparse_low_count"]) > 50).all()
    found = {d.name: (d.a, d.b) for d in run.diff(after) if d.kind == "configuration"}
    assert found["sparse_low_low"] == (1.0, 1000.0)
    assert "sparse_graph_digest" in found
    came: SimpleQueue[GraphTold] = SimpleQueue()
    with closing(client.pipes["sparse"].follow(came.put)):  # the last word comes a little later
        while "low.count" not in {image.port for image in came.get(timeout=60).images}:
            pass
    assert low.result("count") in range(65)
    assert "lowest value that stays" in repr(low)


@pytest.mark.parametrize(
    ("node", "parameter", "value", "words"),
    [
        ("low", "low", "bright", r"low\.low: 'bright' is not a number"),
        ("low", "lwo", 3, "no parameter 'lwo'.*did you mean low"),
        ("det", "width", 0, r"det\.width: 0 is less than 1. Remedy: give 1 or more"),
        ("even", "size", 1, "even has no parameters"),
        ("lo", "low", 1, "no node 'lo'.*low"),
    ],
)
def test_a_wrong_change_is_refused_with_the_remedy_and_nothing_is_changed(
    client: Client, node: str, parameter: str, value: Any, words: str
) -> None:
    before = client.pipes["sparse"].nodes
    with pytest.raises(InputError, match=f"(?s){words}"):
        client.pipes["sparse"].set(node, {parameter: value})
    assert client.pipes["sparse"].nodes == before


def test_a_part_of_a_parameter_is_changed_in_mid_scan_and_the_run_says_so(
    client: Client, folder: Path
) -> None:
    before = the_run(client.scan("samx", 0, 1, 1, detectors=["cam"]))
    roi = client.pipes["cam"]["roi"]
    with held(folder / "shut"):  # so long the scan is under way
        scan = client.scan("samx", 0, 1, 20, detectors=["cam", "slow"], wait=False)
        next(scan.documents())  # the run is open
        roi.rois.half.width = 16
    try:
        scan.wait(60)
        assert roi.rois.half.width == 16
    finally:
        roi.rois["half"]["width"] = 32
    run = the_run(scan)
    (stop,) = [doc for name, doc in run.documents() if name == "stop"]
    (change,) = stop["configuration_changes"]
    assert change["key"] == "cam_roi_rois_half_width"
    assert (change["before"], change["after"]) == (32, 16)
    found = {d.name: (d.a, d.b) for d in before.diff(run)}
    assert found["cam_roi_rois_half_width"] == (32, "32, then 16")
    sums, frames = np.asarray(run.data["cam_roi_sum"]), run.data["cam"][()]
    assert sums[-1, 1] == frames[-1, :, :16].sum()
    with h5py.File(run.path) as file:
        keys = file["entry/configuration_changes/results/key"].asstr()[()]
        assert json.loads(keys) == ["cam_roi_rois_half_width"]


def test_a_node_that_sums_up_forgets_when_it_is_told_to(client: Client) -> None:
    client.scan("samx", 0, 1, 1, detectors=["sparse"])
    client.pipes["sparse"]["low"].clear()
    with pytest.raises(InputError, match="nothing to forget"):
        client.pipes["sparse"]["det"].clear()


def test_a_node_saved_in_the_beamlines_own_folder_is_there_for_a_detector_at_once(
    client: Client,
) -> None:
    own = beamline_paths(NAME).nodes
    own.mkdir(exist_ok=True)
    (own / "spread.py").write_text(
        "def spread(image):\n    return float(image.max() - image.min())\n"
    )
    graph = {
        "nodes": {
            "det": {"node": "simulated", "parameters": {"width": 8, "height": 8, "rate_hz": 0}},
            "spread": "spread",
            "file": "frame_file",
            "out": "channel",
        },
        "edges": ["det -> spread", "det -> file", "spread.result -> out"],
    }
    client.config.add(
        {
            "own": {
                "deviceClass": "undula.pipes.detector.GraphDetector",
                "deviceConfig": {"graph": graph},
                "readoutPriority": "on_request",
                "enabled": True,
            }
        }
    )
    run = the_run(client.scan("samx", 0, 1, 2, detectors=["own"]))
    frames, spread = run.data["own"], run.data["own_spread_result"]
    assert spread.tolist() == [float(frame.max() - frame.min()) for frame in frames]
    passed_by_edge = passed(run.path, "own")[1]
    assert passed_by_edge["det.frames -> spread.frames"] == 2
    ledger = run.data.ledgers["own"]
    assert dict(zip(ledger["edge"], ledger["passed"], strict=True)) == passed_by_edge
    assert (ledger["complete"], ledger["policy"]) == (True, ["lossless"] * 3)

    (own / "spread.py").write_text("def spread(image):\n    return -float(image.max())\n")
    run = the_run(client.scan("samx", 0, 1, 2, detectors=["own"]))
    assert run.data["own_spread_result"].tolist() == [-float(f.max()) for f in run.data["own"]]
