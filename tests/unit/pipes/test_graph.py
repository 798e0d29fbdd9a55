"""Graphs are read, every wrong one is refused with all of its faults, right ones are drawn."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import h5py
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from undula.pipes.detector import GraphDetector
from undula.pipes.errors import GraphError
from undula.pipes.graph import (
    Graph,
    GraphBuilder,
    checked,
    load_graph,
    read_graph,
    svg,
    whole_graph,
)
from undula.pipes.graph.draw import columns
from undula.pipes.graph.units import unit_of
from undula.pipes.nodes.registry import Shipped
from undula.testing.wrong_graphs import (
    AT_ONCE,
    FAULTS_AT_ONCE,
    GOOD,
    WRONG_FORM,
    WRONG_GRAPHS,
)

TYPES = Shipped()


def good() -> Graph:
    return checked(read_graph(yaml.safe_load(GOOD)), TYPES)


def refused(text: str) -> list[str]:
    with pytest.raises(GraphError) as found:
        checked(read_graph(yaml.safe_load(text)), TYPES)
    assert str(found.value)
    return found.value.details


@pytest.mark.parametrize("case", [*WRONG_FORM, *WRONG_GRAPHS])
def test_a_wrong_graph_is_refused_with_every_place_and_a_remedy(case: str) -> None:
    text, faults = (WRONG_FORM | WRONG_GRAPHS)[case]
    lines = refused(text)
    for path, words in faults:
        assert any(line.startswith(f"[{path}]") and words in line for line in lines), lines
    assert len(lines) == len(faults), lines
    assert all(". Remedy: " in line for line in lines)


@pytest.mark.parametrize("case", [*WRONG_FORM, *WRONG_GRAPHS])
def test_faults_of_its_form_hide_no_others_and_are_told_once(case: str, tmp_path: Path) -> None:
    text, faults = (WRONG_FORM | WRONG_GRAPHS)[case]
    (tmp_path / "graph.yaml").write_text(text)
    with pytest.raises(GraphError) as found:
        whole_graph(tmp_path / "graph.yaml", TYPES)
    paths = [fault.path for fault in found.value.faults]
    assert {path for path, _ in faults} <= set(paths)
    assert all(re.match(r"graph\.yaml(:\d+)?: \[", line) for line in found.value.details)


def test_all_faults_of_a_file_are_told_at_once_each_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "live.yaml").write_text(AT_ONCE)
    with pytest.raises(GraphError) as found:
        whole_graph(tmp_path / "live.yaml", TYPES)
    for (line, path, words), said in zip(FAULTS_AT_ONCE, found.value.details, strict=True):
        assert said.startswith(f"live.yaml:{line}: [{path}] {words}"), said


def test_what_stands_twice_is_refused_with_both_lines_at_any_depth(tmp_path: Path) -> None:
    file = tmp_path / "live.json"
    file.write_text(
        '{"nodes": {"det": {"node": "simulated",\n  "parameters": {"width": 8, "width": 9}},\n'
        '  "total": "sum"},\n "edges": ["det -> total"], "edges": ["det -> total"]}'
    )
    for read in (load_graph, lambda path: whole_graph(path, TYPES)):
        with pytest.raises(GraphError) as found:
            read(file)
        assert [line.partition(", and")[0] for line in found.value.details] == [
            "live.json:2: [nodes.det.parameters.width] it stands twice in line 2",
            "live.json:4: [edges] it stands twice in line 4",
        ]
    merged = tmp_path / "merged.yaml"
    merged.write_text(
        "nodes:\n  det: &d {node: simulated, parameters: {width: 8}}\n"
        "  other: {<<: *d, process: a}\n  total: {node: sum}\n"
        "edges: [det -> total, other -> total]\n"
    )
    assert len(whole_graph(merged, TYPES).nodes) == 3, "what is merged in stands there once"


def test_images_of_another_size_than_the_frames_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "images.h5", "w") as file:
        file["dark"] = np.zeros((5, 80, 100))
        file["flat"] = np.ones((100, 80))
        file["mask"] = np.zeros(100)
    (tmp_path / "a.poni").write_text('Detector: Detector\nDetector_config: {"max_shape": [80, 90]}')
    text = """
    nodes:
      det: {node: simulated, parameters: {width: 100, height: 80}}
      good: {node: correct, parameters: {dark: "F::/dark", flat: "F::/flat", mask: "F::/mask"}}
      rings: {node: azimuthal, parameters: {poni: P, mask: "F::/flat"}}
      total: sum
    edges: [det -> good, good -> rings, good -> total]
    """.replace("F:", f"{tmp_path}/images.h5:").replace("P,", f"{tmp_path}/a.poni,")
    lines = refused(text)
    wanted = (
        ("nodes.good.parameters.flat", "is (100, 80), the frames are (80, 100)"),
        ("nodes.good.parameters.mask", "is of shape (100,)"),
        ("nodes.rings.parameters.poni", "is for frames of (80, 90)"),
        ("nodes.rings.parameters.mask", "is (100, 80), the frames are (80, 100)"),
    )
    for (path, words), line in zip(wanted, lines, strict=True):
        assert line.startswith(f"[{path}]"), line
        assert words in line
    elsewhere = text.replace("node: correct,", "node: correct, host: far,")
    assert (
        len(
            refused(
                elsewhere.replace("node: azimuthal,", "node: azimuthal, host: far,")
                + ("\n    name: [1]")
            )
        )
        == 1
    ), "files of another host are not looked at"


def test_a_good_graph_has_its_ports_filled_in() -> None:
    graph = good()
    assert [edge.name for edge in graph.edges] == [
        "det.frames -> roi.frames", "det.frames -> total.frames", "det.frames -> rate.frames",
    ]  # fmt: skip
    assert [edge.policy.kind for edge in graph.edges] == ["lossless", "lossless", "latest"]


def test_yaml_json_and_python_make_the_same_graph(tmp_path: Path) -> None:
    (tmp_path / "live.yaml").write_text(GOOD)
    (tmp_path / "live.json").write_text(json.dumps(yaml.safe_load(GOOD)))
    box = {"shape": "box", "x": 0, "y": 0, "width": 64, "height": 48}
    built = (
        GraphBuilder("live")
        .node("det", "simulated", width=64, height=48, frames=20, rate_hz=0)
        .node("roi", "roi", rois={"all": box})
        .node("total", "sum")
        .node("rate", "rate")
        .edge("det -> roi")
        .edge("det -> total", "lossless")
        .edge("det.frames -> rate.frames", "latest")
        .graph()
    )
    assert load_graph(tmp_path / "live.yaml") == load_graph(tmp_path / "live.json") == built


def test_a_policy_may_stand_in_the_quotes_of_an_edge() -> None:
    quoted = GOOD.replace(
        "{from: det.frames, to: rate.frames, policy: latest}", "'det -> rate: latest'"
    )
    assert quoted != GOOD
    assert checked(read_graph(yaml.safe_load(quoted)), TYPES) == good()


def test_a_graph_survives_being_written_and_read() -> None:
    graph = good()
    assert read_graph(graph.plain()) == graph


def test_the_graph_of_the_documentation_has_no_fault() -> None:
    page = Path(__file__).parents[3] / "docs/reference/pipes.md"
    text, device = re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)
    graph = checked(read_graph(yaml.safe_load(text)), TYPES)
    assert graph.processes()["sums"] == ["total", "view"]
    detector = GraphDetector("cam", **yaml.safe_load(device)["cam"]["deviceConfig"])
    assert "out" in detector.graph.nodes


def test_faults_of_a_file_are_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("nodes:\n  det: [simulated\n")
    with pytest.raises(GraphError, match=r"bad.yaml, line 3"):
        load_graph(tmp_path / "bad.yaml")
    with pytest.raises(GraphError, match="cannot be read"):
        load_graph(tmp_path / "none.yaml")


def test_a_cycle_through_a_feedback_edge_is_allowed() -> None:
    graph = checked(
        GraphBuilder("loop")
        .node("det", "simulated")
        .node("a", "binning")
        .node("b", "threshold")
        .edge("det -> a")
        .edge("a -> b")
        .edge("b.frames -> a", feedback=True)
        .graph(),
        TYPES,
    )
    assert graph.edges[2].policy.kind == "latest"
    assert graph.order() == ["det", "a", "b"]
    assert columns(graph) == {"det": 0, "a": 1, "b": 2}


def test_nodes_are_placed_in_processes_in_the_order_of_the_flow() -> None:
    graph = checked(
        GraphBuilder("placed")
        .node("total", "sum", process="work")
        .node("low", "threshold", process="work")
        .node("det", "simulated")
        .edge("det -> low")
        .edge("low.frames -> total")
        .graph(),
        TYPES,
    )
    assert graph.processes() == {"det": ["det"], "work": ["low", "total"]}


def test_the_picture_shows_every_node_and_edge_with_names_escaped() -> None:
    graph = good()
    picture = svg(graph, {"det": "20 Hz <ok>"}, {"roi": "it failed & more"})
    tree = ElementTree.fromstring(picture)
    texts = " ".join(text for text in tree.itertext())
    for name in (*graph.nodes, "20 Hz <ok>", "it failed & more", "latest"):
        assert name in texts
    paths = [e for e in tree.iter() if e.tag.endswith("path")]
    assert len(paths) == len(graph.edges)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(
        ["", "det", "simulated", "sum", "det -> total", "total.sum -> det", "latest", "spill(3)"]
    ),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["name", "nodes", "edges", "node", "parameters", "from", "to", "policy", "det", "total",
             "budget", "frame", "feedback", "process", "det -> total"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=300)
@given(PLAIN, st.lists(PLAIN, max_size=3))
def test_whatever_is_read_is_a_graph_or_an_error_in_words(content: object, edges: object) -> None:
    whole = {"nodes": {"det": "simulated", "total": "sum"}, "edges": edges}
    for some in (content, whole, {"nodes": content, "edges": edges}):
        try:
            checked(read_graph(some), TYPES)
        except GraphError as exc:
            found = exc.details
        else:
            continue
        assert found


def test_a_channel_is_in_no_process_whatever_it_names() -> None:
    made = GraphBuilder("one").node("det", "simulated", process="all")
    made = made.node("low", "threshold", process="all").node("out", "channel", process="all")
    graph = checked(made.edge("det -> low").edge("low.count -> out").graph(), TYPES)
    assert graph.processes() == {"all": ["det", "low"]}


def test_a_unit_goes_through_a_graph_as_far_as_values_keep_it(tmp_path: Path) -> None:
    poni = tmp_path / "cam.poni"
    poni.touch()
    made = GraphBuilder("units").node("det", "simulated").node("low", "threshold")
    box = {"shape": "box", "x": 0, "y": 0, "width": 4, "height": 4}
    made = made.node("roi", "roi", rois={"all": box}).node(
        "round", "azimuthal", unit="q_A^-1", poni=str(poni)
    )
    made = made.edge("det -> low").edge("low.frames -> roi").edge("low.frames -> round")
    graph = checked(made.graph(), TYPES)
    found = {port: unit_of(graph, TYPES, *port.split("."))
             for port in ("det.frames", "roi.sum", "roi.x", "low.count", "round.axis")}  # fmt: skip
    assert found == {
        "det.frames": "counts", "roi.sum": "counts", "roi.x": "px", "low.count": "px",
        "round.axis": "A^-1",
    }  # fmt: skip
