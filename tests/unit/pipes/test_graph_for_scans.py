"""A graph as a detector of scans: what it must be like, its settings, what may be changed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from undula.core.errors import InputError
from undula.devices.description import load_device_file
from undula.devices.errors import DeviceFileError
from undula.pipes.coming import nothing_comes
from undula.pipes.detector import GraphDetector
from undula.pipes.errors import GraphError
from undula.pipes.graph import checked, read_graph
from undula.pipes.ledger import EdgeLedger
from undula.pipes.nodes.registry import Shipped
from undula.pipes.runner.follows import viewers

BOX = {"shape": "box", "x": 0, "y": 0, "width": 4, "height": 4}
DET = {"node": "simulated", "parameters": {"width": 8, "height": 8, "rate_hz": 0}}
NODES: dict[str, Any] = {
    "det": DET,
    "low": {"node": "threshold", "parameters": {"low": 5.0}},
    "roi": {"node": "roi", "parameters": {"rois": {"beam": BOX}}},
    "file": "frame_file",
    "out": "channel",
}
EDGES = ["det -> low", "low.frames -> roi", "det -> file", "roi.sum -> out", "low.count -> out"]


def detector(edges: list[Any] = EDGES, **nodes: Any) -> GraphDetector:
    return GraphDetector("cam", graph={"nodes": {**NODES, **nodes}, "edges": edges})


@pytest.mark.parametrize(
    ("edges", "nodes", "fault"),
    [
        ([{"det -> low": "latest"}, "low.frames -> file", "low.frames -> roi", "roi.sum -> out"],
         {},
         "[edges.0.policy] det.frames -> low.frames is latest, and file must have the frame of "
         "every point. Remedy: write lossless or spill(SIZE)"),
        ([*EDGES, "other -> low"], {"other": DET}, "[nodes] the graph of cam has 2 sources"),
        ([*EDGES, "roi.sum -> more"], {"more": "channel"},
         "[edges.5] there would be two data cam_roi_sum"),
    ],
)  # fmt: skip
def test_what_no_scan_can_use_is_refused_with_place_and_remedy(
    edges: list[Any], nodes: dict[str, Any], fault: str
) -> None:
    with pytest.raises(GraphError) as found:
        detector(edges, **nodes)
    assert any(line.startswith(fault) for line in found.value.details), found.value.details
    with pytest.raises(InputError, match=re.escape(fault.replace("cam", "graph"))):
        GraphDetector.check_config({"graph": {"nodes": {**NODES, **nodes}, "edges": edges}})


def test_numbers_are_described_with_their_units_before_the_first_frame() -> None:
    keys = detector().describe()
    assert keys["cam_low_count"]["units"] == "px"
    assert keys["cam_low_count"]["shape"] == []
    assert "cam_roi_sum" not in keys, "nobody knows how many regions there will be"


def test_settings_are_plain_and_the_digest_follows_every_change() -> None:
    cam = detector()
    before = {key: one["value"] for key, one in cam.read_configuration().items()}
    assert before["cam_roi_rois_beam_width"] == 4
    assert before["cam_low"] == "threshold"
    assert "det.frames -> low.frames: lossless" in before["cam_graph_edges"]
    assert not any("folder" in key for key in before), "it is another's in each run"
    cam.live_graph.change("roi", {"rois.beam.width": 2}, "ann")
    after = {key: one["value"] for key, one in cam.read_configuration().items()}
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {"cam_graph_digest", "cam_roi_rois_beam_width"}
    assert cam.describe_configuration().keys() == after.keys()
    assert all(type(v) in (bool, int, float, str, list) for v in after.values())


@pytest.mark.parametrize(
    ("node", "given", "words"),
    [
        ("roi", {"rois.beam.x": 20}, "rois.beam.*no pixel of frames.*x 0 to 7"),
        ("roi", {"rois.other.x": 20}, "no 'other'.*beam"),
        ("roi", {"rois.beam.size": 2}, "there is no size in it"),
        ("low", {"low.part": 2}, "low.low has no parts"),
        ("file", {"folder": "/tmp"}, "set by who runs the graph: each run"),
        ("out", {"x": 1}, "out has no parameters"),
        ("nobody", {"x": 1}, "no node 'nobody'.*there are"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_node_has_it(
    node: str, given: dict[str, Any], words: str
) -> None:
    cam = detector()
    before = cam.graph
    with pytest.raises(InputError, match=f"(?s){words}"):
        cam.live_graph.change(node, given, "ann")
    assert cam.graph is before


def test_a_file_that_was_changed_since_is_looked_at_before_each_scan(tmp_path: Path) -> None:
    mask = tmp_path / "mask.h5"

    def write(shape: tuple[int, int]) -> None:
        with h5py.File(mask, "w") as file:
            file["/entry/data/data"] = np.zeros(shape, "u1")

    write((8, 8))
    right = {"node": "correct", "parameters": {"mask": str(mask)}}
    cam = detector([*EDGES, "det -> right"], right=right)
    cam.live_graph.look()
    write((512, 512))
    with pytest.raises(InputError, match=r"nodes\.right\.parameters\.mask.*512"):
        cam.live_graph.look()


def test_only_what_is_changed_while_a_run_is_open_is_told_at_its_end(tmp_path: Path) -> None:
    cam = detector()
    cam.live_graph.change("low", {"low": 6}, "ann")
    cam.set_run_path(tmp_path / "run.nxs")
    cam.live_graph.change("low", {"low": 7}, "bob")
    (told,) = cam.run_changes()
    assert (told["user"], told["key"], told["before"], told["after"]) == (
        "bob", "cam_low_low", 6.0, 7.0
    )  # fmt: skip
    cam.live_graph.change("low", {"low": 8}, "ann")
    assert cam.run_changes() == []


def ledgers(**edges: dict[str, list[int]]) -> dict[str, EdgeLedger]:
    """Ledgers of edges by a short name, with the frames of each fate."""
    names = {"a": "det.frames -> low.frames", "b": "low.frames -> roi.frames",
             "c": "roi.sum -> out.values"}  # fmt: skip
    found = {name: EdgeLedger() for name in names.values()}
    for short, fates in edges.items():
        for fate, numbers in fates.items():
            for number in numbers:
                getattr(found[names[short]], fate).add(number)
                found[names[short]].seen.add(number)
    return found


@pytest.mark.parametrize(
    ("known", "policy", "why"),
    [
        (ledgers(), "lossless", ""),
        (ledgers(a={"seen": [1]}), "lossless", ""),
        (ledgers(a={"passed": [1]}, b={"seen": [1]}), "lossless", ""),
        (ledgers(a={"passed": [1]}, b={"passed": [1]}, c={"seen": [1]}), "lossless", ""),
        (ledgers(a={"passed": [1]}, b={"passed": [1]}), "lossless", "roi had nothing to say"),
        (ledgers(a={"passed": [1]}), "lossless", "low had nothing to say"),
        (ledgers(a={"passed": [1]}, b={"dropped": [1]}), "lossless", "low had nothing to say"),
        (ledgers(a={"dropped": [1]}), "latest",
         "det.frames -> low.frames is latest and left it out"),
        (ledgers(a={"failed": [1]}), "latest", "low failed on it"),
        (ledgers(a={"lost": [1]}), "latest", "it went with low when that died"),
        (ledgers(a={"lost": [1]}), "lossless", ""),
    ],
)  # fmt: skip
def test_it_is_known_why_nothing_of_a_frame_will_come(
    known: dict[str, EdgeLedger], policy: str, why: str
) -> None:
    types = Shipped()
    edges = [{"det -> low": policy}, "low.frames -> roi", "roi.sum -> out"]
    nodes = {name: node for name, node in NODES.items() if name != "file"}
    graph = checked(read_graph({"nodes": nodes, "edges": edges}), types)
    found = nothing_comes(graph, types, known, graph.edges[-1], 1)
    assert (found.why if found else "") == why
    passed = any(1 in ledger.passed for ledger in known.values())
    own_word = any(1 in ledger.dropped for ledger in known.values())
    assert bool(found and found.after) == (found is not None and passed and not own_word)


CAMERA: dict[str, Any] = {"pv": "X:I", "trigger": "X:A", "exposure": "X:T"}


def test_the_count_time_of_one_scan_is_not_that_of_the_next() -> None:
    cam = detector(det={"node": "pva_images", "parameters": {**CAMERA, "exposure_s": 0.1}})
    cam.set_count_time(2.0)
    assert cam.read_configuration()["cam_det_exposure_s"]["value"] == 2.0
    assert cam.describe_configuration()["cam_det_exposure_s"]["units"] == "s"
    assert cam.default_count_time_s == 0.1
    cam.live_graph.change("det", {"exposure_s": 0.3}, "ann")
    assert cam.default_count_time_s == 0.3


def test_a_camera_that_takes_a_count_time_needs_one_for_scans_without() -> None:
    with pytest.raises(GraphError) as found:
        detector(det={"node": "pva_images", "parameters": CAMERA})
    assert "nodes.det.parameters.exposure_s" in found.value.details[0]


def test_a_node_in_a_file_that_cannot_be_used_is_told_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("x = 1\ndef mine(:\n")
    graph = {"nodes": {"det": DET, "mine": "mine", "out": "channel"},
             "edges": ["det -> mine", "mine.result -> out"]}  # fmt: skip
    with pytest.raises(GraphError) as found:
        GraphDetector("cam", graph=graph, nodes=str(tmp_path))
    assert any(line.startswith(f"[{tmp_path}/mine.py:2]") for line in found.value.details)
    with pytest.raises(InputError, match=r"mine.py:2\] invalid syntax"):
        GraphDetector.check_config({"graph": graph, "nodes": str(tmp_path)})


def test_a_scan_without_a_known_shape_is_refused_by_a_map_without_one() -> None:
    scan = detector([*EDGES, "low.count -> map"], map="grid_map").scan
    assert scan.grid_parameters((2, 3), (False, True)) == {
        "map": {"shape": [2, 3], "snake": [False, True]}
    }
    with pytest.raises(InputError, match=r"undula pipes set cam map.shape \[21, 11\]"):
        scan.grid_parameters((), ())
    own = detector(
        [*EDGES, "low.count -> map"], map={"node": "grid_map", "parameters": {"shape": [4]}}
    )
    assert own.scan.grid_parameters((2, 3), ()) == {}


def test_faults_of_a_graph_in_a_device_file_are_told_with_their_lines(tmp_path: Path) -> None:
    (tmp_path / "cam.yaml").write_text("nodes:\n  det: {node: simulatd}\nedges: []\n")
    (tmp_path / "devices.yaml").write_text(
        "cam:\n"
        "  deviceClass: undula.pipes.detector.GraphDetector\n"
        "  deviceConfig:\n"
        "    graph:\n"
        "      nodes:\n"
        "        det: {node: simulated, parameters: {width: 0}}\n"
        "        low: threshold\n"
        "        roi:\n"
        "          node: roy\n"
        "        low: threshold\n"
        "      edges:\n"
        "        - det -> low\n"
        "        - det -> lwo\n"
        "  readoutPriority: monitored\n"
        "  enabled: true\n"
        "far:\n"
        "  deviceClass: undula.pipes.detector.GraphDetector\n"
        f"  deviceConfig: {{graph: {tmp_path}/cam.yaml}}\n"
        "  readoutPriority: monitored\n"
        "  enabled: true\n"
    )
    with pytest.raises(DeviceFileError) as found:
        load_device_file(tmp_path / "devices.yaml")
    assert sorted(found.value.details) == [
        "devices.yaml:10: cam.deviceConfig.graph.nodes.low stands twice, first in line 7. Remedy: "
        "keep one of them, or rename the other.",
        "devices.yaml:13: cam: [edges.1.to] there is no node 'lwo' in this graph. Remedy: did you "
        "mean low?",
        "devices.yaml:18: far: cam.yaml:2: [nodes.det.node] there is no node 'simulatd'. Remedy: "
        "did you mean simulated?",
        "devices.yaml:6: cam: [nodes.det.parameters.width] 0 is less than 1. Remedy: give 1 or "
        "more.",
        "devices.yaml:9: cam: [nodes.roi.node] there is no node 'roy'. Remedy: did you mean roi?",
    ]


def test_a_made_up_camera_takes_the_count_time_like_any_other() -> None:
    cam = detector()
    assert cam.obeys_count_time
    assert cam.default_count_time_s == 0.0
    slow = detector(
        det={"node": "simulated", "parameters": {"width": 8, "height": 8, "rate_hz": 2}}
    )
    assert slow.default_count_time_s == 0.5
    slow.live_graph.change("det", {"exposure_s": 3.0}, "ann")
    assert slow.default_count_time_s == 3.0


def test_viewers_are_those_to_whom_all_ways_leave_frames_out() -> None:
    plain = {
        "name": "g",
        "nodes": {"det": DET, "low": "threshold", "view": "preview", "mean": "mean_variance",
                  "more": "sum", "both": "join", "out": "channel"},
        "edges": ["det -> low", {"low.frames -> mean": "latest"}, "mean.mean -> more",
                  {"det -> view": "sample(1/3)"}, "det -> both.frames",
                  {"low.count -> both.positions": "latest"}, "low.count -> out"],
    }  # fmt: skip
    types = Shipped()
    assert viewers(checked(read_graph(plain), types)) == {"view", "mean", "more"}
