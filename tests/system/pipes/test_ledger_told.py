"""What the ledger of a graph says while and after processes are killed, however long it runs."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from undula.pipes.graph import Graph, GraphBuilder, checked
from undula.pipes.nodes.registry import Shipped
from undula.pipes.runner import Runner
from undula.testing.flow import flow_past, flow_until, run_out

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
    frames = 12_000
    with Runner(graph(frames), TYPES) as runner:
        runner.book.long = 50
        runner.begin(triggered=True)
        for turn, victim in enumerate(["low", "det", "view", ""]):
            for _ in range(frames // 4):
                runner.trigger("det")
            flow_past(runner, LOW_TOTAL, turn * frames // 4 + 1000)
            if victim:
                os.kill(runner.pids()[victim], signal.SIGKILL)
        run_out(runner)
        outcome = runner.outcome(frames)
    assert not outcome.failed
    restarts = {name: node.restarts for name, node in outcome.status.nodes.items()}
    assert all(restarts[victim] for victim in ("low", "det", "view")), restarts
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


def test_a_viewer_that_has_ended_fails_no_frame_of_a_source_that_makes_them_again() -> None:
    frames = 1000  # fewer than there are slots: the source ends, and waits for what stands still
    with Runner(graph(frames), TYPES) as runner:
        os.kill(runner.pids()["low"], signal.SIGSTOP)
        runner.begin()
        nodes = runner.status.nodes
        flow_until(runner, lambda: nodes["view"].state == "ended", "the viewer does not end")
        os.kill(runner.pids()["det"], signal.SIGKILL)
        os.kill(runner.pids()["low"], signal.SIGCONT)
        run_out(runner)
        outcome = runner.outcome(frames)
    view = outcome.report.edges[DET_VIEW].counts
    assert outcome.status.nodes["det"].restarts == 1
    assert (view["seen"], view["failed"]) == (frames, 0)
    assert outcome.ok


INSIDE = "low.frames -> high.frames"
SINK, OUT = "low.frames -> stat.frames", "high.frames -> total.frames"


def inner_graph(frames: int, **where: str) -> Graph:
    """A detector, two nodes and a sink in one process, a sum behind them."""
    made = (
        GraphBuilder("inner")
        .node("det", "simulated", width=16, height=16, frames=frames, rate_hz=0, **where)
        .node("low", "threshold", process="one")
        .node("high", "threshold", process="one")
        .node("stat", "sum", process="one")
        .node("total", "sum")
        .edge("det -> low", budget="100 kB")
        .edge("low.frames -> high")
        .edge("low.frames -> stat")
        .edge("high.frames -> total", budget="100 kB")
    )
    return checked(made.graph(), TYPES)


AWAY = (
    "pipes.received:3",
    "pipes.confirmed:3",
    "pipes.loaned:60",
    "pipes.published:60",
    "pipes.sent:2",
)
CASES = [("det", point) for point in AWAY] + [("one", point) for point in AWAY[2:]]


@pytest.mark.parametrize(("where", "point"), CASES)
def test_a_process_with_edges_inside_is_killed_and_no_frame_is_lost_or_called_missing(
    where: str, point: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = 400
    token = tmp_path / "once"
    with Runner(inner_graph(frames, process=where), TYPES) as runner:
        token.touch()
        monkeypatch.setenv("UNDULA_TEST", "1")
        monkeypatch.setenv("UNDULA_FAULT", point)
        monkeypatch.setenv("UNDULA_FAULT_ONCE", str(token))
        os.kill(runner.pids()["one"], signal.SIGKILL)  # its successor is armed
        outcome = runner.run(triggers=frames)
    assert not token.exists(), "nobody was killed"
    assert not outcome.failed
    report = outcome.report
    assert not report.missing, report.text
    for name in (DET_LOW, INSIDE, OUT):
        counts = report.edges[name].counts
        assert (counts["seen"], counts["passed"]) == (frames, frames), name
    assert {m.edge for m in report.unknown} <= {SINK}
    unknown = sum(m.count for m in report.unknown)
    assert report.edges[SINK].counts["passed"] + unknown == frames
