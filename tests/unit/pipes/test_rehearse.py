"""What is rehearsed, and the verdict about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undula.pipes.graph import Graph, GraphBuilder
from undula.pipes.nodes.simulated import SimulatedDetector
from undula.pipes.runner.rehearse import rehearsal
from undula.pipes.runner.status import GraphStatus, NodeStatus
from undula.pipes.runner.verdict import Verdict, verdict

SPAN_S = 10.0


def graph(process: str = "", **writer: Any) -> Graph:
    return (
        GraphBuilder("live")
        .node("det", "simulated", rate_hz=10, frames=5, faults={1: "missing"})
        .node("roi", "roi", process=process)
        .node("file", "frame_file", process=process, **{"folder": "/data/x", **writer})
        .edge("det -> roi")
        .edge("det -> file")
        .graph()
    )


def status(blocked_s: float, **could_hz: float) -> GraphStatus:
    """1000 frames in 10 s, through nodes that could do so many a second."""
    nodes = {
        n: NodeStatus(n, frames=1000, busy_s=1000 / hz, at_work_s=1000 / hz)
        for n, hz in could_hz.items()
    }
    nodes["det"].blocked_s = blocked_s
    return GraphStatus("live", nodes=nodes)


def written(found: GraphStatus, **measured: float) -> GraphStatus:
    """1000 frames of 8 MB, a quarter of that in the file, unless it is said."""
    found.nodes["file"].measured = {
        "compressing_s": 0.0, "waiting_s": 0.0, "writing_s": 0.0, "frame_bytes": 8e9,
        "file_bytes": 2e9, **measured,
    }  # fmt: skip
    return found


def judged(
    found: GraphStatus, rate_hz: float = 0.0, made: Graph | None = None, idle_cores: float = 0.0
) -> Verdict:
    return verdict(made or graph(), found, SPAN_S, ["det"], rate_hz, idle_cores=idle_cores)


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


def test_the_node_that_is_at_work_all_the_time_is_the_bottleneck() -> None:
    found = judged(status(5.0, det=900, roi=5000, file=120), 200.0)
    assert found.bottleneck == "file"
    assert found.sustained_hz == 100
    slow = judged(status(5.0, det=900, roi=110, file=5000), 200.0)
    assert slow.bottleneck == "roi"
    assert "can do 110 Hz and is at work 91% of the time" in slow.advice
    assert "let it do 1.8 times less" in slow.advice


def test_a_node_at_work_that_computes_little_is_said_to_wait_itself() -> None:
    found = status(9.0, det=900, roi=101, file=5000)
    found.nodes["roi"].cpu_s = 0.02 * SPAN_S
    idle = judged(found, idle_cores=1.5).advice
    assert "though it computes for 2% only: it waits for something itself" in idle
    assert "for 2% only: no core of this host is idle" in judged(found).advice


def test_a_writer_whose_threads_compress_all_the_time_is_given_the_idle_cores() -> None:
    found = written(
        status(8.0, det=900, roi=5000, file=101), compressing_s=19.8, waiting_s=9.0, writing_s=0.5
    )
    advice = judged(found, idle_cores=5.3).advice
    assert advice.startswith("2 threads of file can compress 101 frames/s at most, to 1/4")
    assert "threads: 7, as 5 more cores are idle, gives up to 353.5 frames/s" in advice
    assert judged(found, made=graph(threads=4)).could_hz["file"] < 102, "as fast as it was"


def test_without_an_idle_core_a_writer_is_told_what_its_disk_would_take_bare() -> None:
    bound = {"compressing_s": 19.8, "waiting_s": 9.0}
    quick = written(status(8.0, det=900, roi=5000, file=101), writing_s=0.5, **bound)
    assert "compression: none gives up to 500 frames/s" in judged(quick, idle_cores=0.4).advice
    tough = written(status(8.0, det=900, roi=5000, file=101), writing_s=4.0, **bound)
    advice = judged(tough).advice
    assert "without compression the disk would take 62.5 frames/s" in advice
    assert "compression: none" not in advice, "it would be slower"


def test_a_writer_that_writes_all_the_time_needs_a_faster_disk() -> None:
    found = written(
        status(8.0, det=900, roi=5000, file=101), compressing_s=8.0, waiting_s=0.2, writing_s=9.1
    )
    advice = judged(found, 200.0, idle_cores=3.0).advice
    assert advice == "File writes for 91% of the time, /data/x took 220 MB/s: a faster disk " + (
        "for 200 Hz"
    )
    both = written(
        status(8.0, det=900, roi=5000, file=101), compressing_s=9.0, waiting_s=3.7, writing_s=5.6
    )
    advice = judged(both, idle_cores=1.4, made=graph(threads=1)).advice
    assert advice.endswith("threads: 2, as it also waits 37% of the time for those that compress")
    assert "threads" not in judged(both, made=graph(threads=1)).advice, "no core is idle"
    bare = written(status(8.0, det=900, roi=5000, file=101), writing_s=9.1, file_bytes=8e9)
    found_bare = judged(bare, made=graph(compression="none"))
    assert "or compression: bslz4" in found_bare.advice


@given(
    st.floats(0, 40), st.floats(0, 10), st.floats(0, 10), st.floats(0, 8),
    st.sampled_from(["none", "bslz4"]), st.integers(0, 8),
)  # fmt: skip
def test_advice_to_a_writer_promises_no_less_than_was_reached(
    compressing_s: float, waiting_s: float, writing_s: float, idle: float, how: str, threads: int
) -> None:
    found = written(
        status(8.0, det=900, roi=5000, file=101),
        compressing_s=compressing_s, waiting_s=waiting_s, writing_s=writing_s,
    )  # fmt: skip
    made = judged(found, made=graph(compression=how, threads=threads), idle_cores=idle)
    assert made.bottleneck == "file"
    if "compression: none gives" in made.advice:
        assert float(made.advice.rpartition("up to ")[2].split()[0]) > made.sustained_hz
    assert ("threads: " in made.advice) <= (idle >= 1)


def test_a_rate_that_is_held_in_bursts_needs_a_larger_budget() -> None:
    burst = status(1.0, det=900, roi=5000, file=120)
    assert judged(burst, 100.0).advice.startswith("100 Hz are held, and det waited for 10%")


def test_where_nobody_is_at_a_limit_more_frames_are_to_be_on_their_way() -> None:
    found = judged(status(8.0, det=900, roi=5000, file=400))
    assert "nobody is at a limit (file is at work for 25% of the time)" in found.advice.lower()
    assert "a larger budget of det" in found.advice


def test_a_viewer_that_holds_up_is_to_hear_the_latest() -> None:
    viewer = (
        GraphBuilder("seen").node("det", "simulated").node("view", "preview").edge("det -> view")
    )
    found = judged(status(5.0, det=900, view=101), made=viewer.graph())
    assert "make the edge to view latest" in found.advice.lower()


def test_nodes_that_share_a_process_are_told_to_part() -> None:
    found = judged(status(5.0, det=900, roi=150, file=300), made=graph("one"))
    assert found.bottleneck == "roi"
    assert found.advice.startswith("Give roi a process of its own: file take 33% of the time")


def test_a_node_behind_is_the_bottleneck_before_the_frames_on_their_way_fill_their_room() -> None:
    found = judged(status(0.0, det=200, roi=5000, file=101))
    assert found.bottleneck == "file"
    held = judged(status(0.0, det=200, roi=5000, file=101), 100.0)
    assert "rate of 100 Hz is held" in held.advice


def test_a_writer_in_a_shared_process_is_at_work_while_it_writes_behind_a_frame() -> None:
    found = written(status(5.0, det=900, roi=300, file=900), writing_s=9.0)
    made = judged(found, made=graph("one"))
    assert made.bottleneck == "file"
    assert "file writes for 90% of the time" in made.advice.lower()
    assert made.could_hz["file"] == pytest.approx(1000 / 9)


def test_a_source_that_nobody_holds_up_is_the_bottleneck_itself() -> None:
    found = judged(status(0.0, det=101, roi=5000, file=1200))
    assert found.bottleneck == "det"
    assert "the graph could do more" in found.advice
    held = judged(status(0.0, det=101, roi=5000, file=1200), 100.0)
    assert "rate of 100 Hz is held" in held.advice
