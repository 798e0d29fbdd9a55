"""What the ledger of a graph says while and after processes are killed, however long it runs."""

from __future__ import annotations

import os
import signal

from undula.pipes.graph import Graph, GraphBuilder, checked
from undula.pipes.nodes.registry import Shipped
from undula.pipes.runner import GraphStatus, Runner

TYPES = Shipped()
DET_LOW, LOW_TOTAL = "det.frames -> low.frames", "low.frames -> total.frames"
DET_VIEW = "det.frames -> view.frames"


def graph(frames: int) -> Graph:
    made = (
        GraphBuilder("live")
        .node("det", "simulated", width=8, height=8, frames=frames, rate_hz=0, noise=False)
        .node("low", "threshold")
        .node("total", "sum")
        .node("view", "rate")
        .edge("det -> low")
        .edge("low.frames -> total")
        .edge("det -> view", "sample(1/3)")
    )
    return checked(made.graph(), TYPES)


def test_a_long_run_whose_edge_passes_scattered_frames_has_a_short_book_through_kills() -> None:
    frames, victims = 12_000, ["low", "det", "view"]

    def look(status: GraphStatus) -> None:
        if victims and status.edges[LOW_TOTAL].passed > 3000 * (4 - len(victims)):
            os.kill(status.nodes[victims.pop(0)].pid, signal.SIGKILL)

    with Runner(graph(frames), TYPES) as runner:
        runner.book.long = 50
        outcome = runner.run(show=look, triggers=frames)
    assert not outcome.failed
    assert not victims
    assert runner.book.closed.highest > frames / 4, "frames were kept one by one"
    for name in (DET_LOW, LOW_TOTAL):
        counts = outcome.report.edges[name].counts
        assert (counts["seen"], counts["passed"]) == (frames, frames)
        assert outcome.status.edges[name].passed == frames, "the counters stand still"
    view = outcome.report.edges[DET_VIEW].counts
    assert view["seen"] == view["passed"] + view["dropped"] + view["lost"]
    assert {m.edge for m in (*outcome.report.missing, *outcome.report.unknown)} <= {DET_VIEW}
    assert sum(m.count for m in outcome.report.missing) == view["lost"]
    assert view["seen"] + sum(m.count for m in outcome.report.unknown) == frames
