"""The verdict of a rehearsal."""

from __future__ import annotations

from pathlib import Path

from undula.pipes.graph import Graph, GraphBuilder
from undula.pipes.runner.rehearse import rehearsal, verdict
from undula.pipes.runner.status import GraphStatus, NodeStatus


def graph(process: str = "") -> Graph:
    return (
        GraphBuilder("live")
        .node("det", "simulated", rate_hz=10, frames=5, faults={1: "missing"})
        .node("roi", "roi", process=process)
        .node("file", "frame_file", process=process, folder="/data/x")
        .edge("det -> roi")
        .edge("det -> file")
        .graph()
    )


def status(blocked_s: float, **could_hz: float) -> GraphStatus:
    nodes = {n: NodeStatus(n, frames=1000, busy_s=1000 / hz) for n, hz in could_hz.items()}
    nodes["det"].blocked_s = blocked_s
    return GraphStatus("live", nodes=nodes)


def test_sources_go_as_fast_as_they_can_and_files_into_a_folder_of_their_own() -> None:
    found, folders = rehearsal(graph(), 0.0, "rehearsal-1")
    assert found.nodes["det"].parameters == {"rate_hz": 0.0, "frames": 0, "faults": {}}
    assert found.nodes["file"].parameters["folder"] == "/data/x/rehearsal-1"
    assert folders == [Path("/data/x/rehearsal-1")]


def test_the_slowest_node_that_holds_the_source_up_is_the_bottleneck() -> None:
    found = verdict(graph(), status(5.0, det=900, roi=5000, file=120), 10.0, ["det"], 200.0)
    assert found.bottleneck == "file"
    assert found.sustained_hz == 100
    assert "more threads, or a faster disk for 200 Hz" in found.advice


def test_nodes_that_share_a_process_are_told_to_part() -> None:
    found = verdict(graph("one"), status(5.0, det=900, roi=50, file=120), 10.0, ["det"], 0.0)
    assert found.bottleneck == "roi"
    assert found.advice == "Give roi a process of its own: it shares one with file"


def test_a_source_that_nobody_holds_up_is_the_bottleneck_itself() -> None:
    found = verdict(graph(), status(0.0, det=101, roi=5000, file=1200), 10.0, ["det"], 0.0)
    assert found.bottleneck == "det"
    assert "the graph could do more" in found.advice
    held = verdict(graph(), status(0.0, det=101, roi=5000, file=1200), 10.0, ["det"], 100.0)
    assert "rate of 100 Hz is held" in held.advice
