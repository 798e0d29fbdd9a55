"""The verdict of a rehearsal."""

from __future__ import annotations

from pathlib import Path

from undula.pipes.graph import Graph, GraphBuilder
from undula.pipes.nodes.simulated import SimulatedDetector
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


def advice(found: GraphStatus, rate_hz: float = 0.0, made: Graph | None = None) -> str:
    return verdict(made or graph(), found, 10.0, ["det"], rate_hz, cores=8).advice


def test_sources_go_as_fast_as_they_can_and_files_into_a_folder_of_their_own() -> None:
    found, folders = rehearsal(graph(), 0.0, "rehearsal-1", {})
    assert found.nodes["det"].parameters == {"rate_hz": 0.0, "frames": 0, "faults": {}}
    assert found.nodes["file"].parameters["folder"] == "/data/x/rehearsal-1"
    assert folders == [Path("/data/x/rehearsal-1")]


def test_a_real_source_is_stood_in_for_by_frames_of_its_size_drawn_beforehand() -> None:
    found, _ = rehearsal(graph(), 5.0, "rehearsal-1", {"det": (512, 1024, "uint32")})
    source = SimulatedDetector(**found.nodes["det"].parameters)
    source.prepare()
    drawn = {id(frame.data) for _ in range(50) for frame in source.take()}
    assert len(drawn) <= 16, "nothing is drawn while it runs"
    assert source.take()[0].data.shape == (512, 1024)


def test_the_slowest_node_that_holds_the_source_up_is_the_bottleneck() -> None:
    found = verdict(
        graph(), status(5.0, det=900, roi=5000, file=120), 10.0, ["det"], 200.0, cores=8
    )
    assert found.bottleneck == "file"
    assert found.sustained_hz == 100


def test_advice_follows_from_what_was_measured() -> None:
    busy = status(5.0, det=900, roi=5000, file=120)  # 83 % of the time at work
    assert advice(busy) == "Threads: 7 for file, 5 of 8 cores are idle"
    waits = status(5.0, det=900, roi=5000, file=400)  # 25 %
    assert advice(waits, 200.0) == "File works 25% of the time: a faster disk for 200 Hz"
    few = verdict(graph(), busy, 10.0, ["det"], 0.0, cores=2).advice
    assert few.startswith("Compression: none for file, all 2 cores are busy")
    slow = status(5.0, det=900, roi=110, file=5000)
    assert "can do 110 Hz and is at work 91% of the time: let it do 1.8 times less" in advice(
        slow, 200.0
    )
    burst = status(1.0, det=900, roi=5000, file=120)
    assert advice(burst, 100.0).startswith("100 Hz are held, and det waited for 10%")
    viewer = (
        GraphBuilder("seen").node("det", "simulated").node("view", "preview").edge("det -> view")
    )
    assert (
        "make the edge to view latest"
        in advice(status(5.0, det=900, view=50), 0.0, viewer.graph()).lower()
    )


def test_nodes_that_share_a_process_are_told_to_part() -> None:
    found = verdict(
        graph("one"), status(5.0, det=900, roi=50, file=120), 10.0, ["det"], 0.0, cores=8
    )
    assert found.bottleneck == "roi"
    assert found.advice.startswith("Give roi a process of its own: file take 83% of it")


def test_a_source_that_nobody_holds_up_is_the_bottleneck_itself() -> None:
    found = verdict(graph(), status(0.0, det=101, roi=5000, file=1200), 10.0, ["det"], 0.0, cores=8)
    assert found.bottleneck == "det"
    assert "the graph could do more" in found.advice
    held = verdict(
        graph(), status(0.0, det=101, roi=5000, file=1200), 10.0, ["det"], 100.0, cores=8
    )
    assert "rate of 100 Hz is held" in held.advice
