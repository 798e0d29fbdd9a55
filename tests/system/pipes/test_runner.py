"""Graphs in real processes: results, failures, deaths, and a ledger that adds up."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any

import h5py
import pytest

from undula.pipes.errors import PipeError
from undula.pipes.graph import Graph, GraphBuilder, checked
from undula.pipes.graph.shapes import waiting_for_first
from undula.pipes.nodes.registry import Shipped
from undula.pipes.nodes.user_nodes import NodeFolder
from undula.pipes.runner import GraphStatus, Outcome, Runner
from undula.testing.flow import flow_past, flow_until, run_out, started_anew

TYPES = Shipped()
DOCS = Path(__file__).parents[3] / "docs/reference/pipes.md"
FRAMES = 200


def graph(
    frames: int = FRAMES, rate_hz: float = 0, on_failure: str = "skip", **options: Any
) -> Graph:
    """A detector, a node in the middle, a sum behind it, and a viewer."""
    made = (
        GraphBuilder("live")
        .node("det", "simulated", width=64, height=64, frames=frames, rate_hz=rate_hz, **options)
        .node("low", "threshold", budget="1 MB", on_failure=on_failure)
        .node("total", "sum", process="ends")
        .node("view", "rate", process="ends")
        .edge("det -> low")
        .edge("low.frames -> total")
        .edge("det -> view", "latest")
    )
    return checked(made.graph(), TYPES)


def counts(outcome: Outcome, edge: str) -> dict[str, int]:
    return outcome.report.edges[edge].counts


DET_LOW, LOW_TOTAL = "det.frames -> low.frames", "low.frames -> total.frames"
DET_VIEW = "det.frames -> view.frames"
ALL = {"seen": FRAMES, "passed": FRAMES, "dropped": 0, "lost": 0, "failed": 0, "on_the_way": 0}


def test_every_frame_of_a_run_is_accounted_for_on_every_edge() -> None:
    with Runner(graph(), TYPES) as runner:
        outcome = runner.run()
    assert outcome.ok, outcome.report.text
    assert outcome.report.text == f"complete: {FRAMES} frames, each accounted for on 3 edges"
    assert counts(outcome, DET_LOW) == counts(outcome, LOW_TOTAL) == ALL
    view = counts(outcome, DET_VIEW)
    assert view["passed"] + view["dropped"] == FRAMES
    assert view["passed"] >= 1, "a viewer sees the last frame, however late it comes"
    nodes = outcome.status.nodes
    assert nodes["total"].frames == FRAMES
    assert all(node.state == "ended" for node in nodes.values())
    assert all(node.could_hz > 0 for node in nodes.values())


def test_frames_that_the_detector_lost_are_named_with_the_place() -> None:
    with Runner(graph(faults={50: "missing", 51: "missing"}), TYPES) as runner:
        outcome = runner.run()
    assert not outcome.ok
    assert {(m.frames.text(), m.place) for m in outcome.report.missing} == {
        ("50-51", "never made by det")
    }


@pytest.mark.parametrize(
    "fault",
    ["pipes.loaned:60", "pipes.published:60", "pipes.sent:3", "pipes.received:3",
     "pipes.confirmed:5"],
)  # fmt: skip
def test_any_process_may_be_killed_at_any_point_and_nothing_is_lost(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "once"
    token.touch()
    for name, value in (
        ("UNDULA_TEST", "1"), ("UNDULA_FAULT", fault), ("UNDULA_FAULT_ONCE", str(token)),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    with Runner(graph(), TYPES) as runner:
        outcome = runner.run(triggers=FRAMES)
    assert not token.exists(), "nobody was killed"
    again = {node.process for node in outcome.status.nodes.values() if node.restarts}
    assert len(again) == 1
    assert not outcome.failed
    assert counts(outcome, DET_LOW) == counts(outcome, LOW_TOTAL) == ALL
    view = counts(outcome, DET_VIEW)
    assert view["seen"] == FRAMES
    assert view["on_the_way"] == 0
    assert {m.edge for m in outcome.report.missing} <= {DET_VIEW}


def kill_process_of(runner: Runner, node: str) -> None:
    """Kill it, and wait until it was started anew."""
    before = runner.restarts(node)
    os.kill(runner.pids()[runner.status.nodes[node].process], signal.SIGKILL)
    started_anew(runner, node, before + 1)


@pytest.mark.parametrize("file_is", ["apart", "with its source"])
def test_a_writer_that_was_started_anew_writes_no_frame_twice_when_its_source_dies_too(
    file_is: str, tmp_path: Path
) -> None:
    made = (
        GraphBuilder("twice")
        .node("det", "simulated", width=8, height=8, frames=120, rate_hz=200)
        .node("total", "sum")
        .node(
            "file", "frame_file", folder=str(tmp_path), flush_s=0.0,
            process="file" if file_is == "apart" else "det",
        )
        .edge("det -> total")
        .edge("det -> file")
    )  # fmt: skip
    to_file = "det.frames -> file.frames"
    with Runner(checked(made.graph(), TYPES), TYPES) as runner:
        slow = runner.pids()["total"]
        os.kill(slow, signal.SIGSTOP)  # the source makes all frames again: this one had none
        runner.begin()
        flow_past(runner, to_file, 30)
        kill_process_of(runner, "file")

        def works_again() -> bool:
            """What the writer before had in hand has been written by this one."""
            file = runner.status.nodes["file"]
            return file.restarts == 1 and file.frames >= 5

        flow_until(runner, works_again, "the writer stands still")
        kill_process_of(runner, "det")
        os.kill(slow, signal.SIGCONT)
        run_out(runner)
        outcome = runner.outcome(120)
    assert outcome.ok, outcome.report.text
    rows: list[int] = []
    for path in tmp_path.glob("*.h5"):
        with h5py.File(path, swmr=True, locking=False) as file:
            rows += file["/entry/data/seq_num"][()].tolist()
    assert sorted(rows) == list(range(1, 121))


def test_the_example_of_the_documentation_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    exec(compile(code, str(DOCS), "exec"), {})
    assert capsys.readouterr().out == re.findall(r"# (complete: .*)", code)[0] + "\n"


def test_nodes_of_one_process_hand_frames_on_by_reference() -> None:
    made = (
        GraphBuilder("inside")
        .node("det", "simulated", width=32, height=32, frames=50, rate_hz=0, process="one")
        .node("low", "threshold", process="one")
        .node("total", "sum", process="one")
        .edge("det -> low")
        .edge("low.frames -> total", budget="20 kB")
    )
    with Runner(checked(made.graph(), TYPES), TYPES) as runner:
        assert list(runner.pids()) == ["one"]
        outcome = runner.run()
    assert outcome.ok, outcome.report.text
    assert counts(outcome, LOW_TOTAL)["passed"] == 50


def test_parameters_are_changed_while_it_runs_and_wrong_ones_are_refused() -> None:
    with Runner(graph(frames=0, rate_hz=100), TYPES) as runner:
        runner.begin()
        runner.change("low", low=5.0)
        with pytest.raises(PipeError, match=r"threshold\.low"):
            runner.change("low", low="much")
        with pytest.raises(PipeError, match="there is no node"):
            runner.change("lwo", low=1.0)
        runner.stop()
        run_out(runner)
        assert runner.outcome().ok


def test_a_frame_that_a_node_fails_on_is_left_out_counted_and_named() -> None:
    with Runner(graph(faults={7: "corrupt"}, checksums=True), TYPES) as runner:
        outcome = runner.run()
    low = outcome.status.nodes["low"]
    assert "frame 7 of primary is not what was sent" in low.error
    assert low.failed == 1
    assert not outcome.failed, "its policy is to skip it"
    assert counts(outcome, LOW_TOTAL)["passed"] == FRAMES - 1
    places = {(m.edge, m.frames.text(), m.place) for m in outcome.report.missing}
    assert {(DET_LOW, "7", "failed in low"), (LOW_TOTAL, "7", "failed in low")} <= places


def test_a_node_that_stops_at_a_failure_ends_the_graph_and_is_named() -> None:
    made = graph(frames=0, rate_hz=500, faults={7: "corrupt"}, checksums=True, on_failure="stop")
    with Runner(made, TYPES) as runner:
        outcome = runner.run()
    assert outcome.failed.startswith("node low: WireError: ")
    assert outcome.status.state == "failed"


def test_a_lossless_edge_that_cannot_keep_up_is_named_and_a_feedback_edge_holds_nobody_up() -> None:
    made = (
        GraphBuilder("loop")
        .node("det", "simulated", width=32, height=32, frames=150, rate_hz=0, budget="100 kB")
        .node("low", "threshold")
        .node("again", "threshold", process="low")
        .edge("det -> low")
        .edge("low.frames -> again")
        .edge("again.frames -> low", feedback=True)
    )
    with Runner(checked(made.graph(), TYPES), TYPES) as runner:
        os.kill(runner.pids()["low"], signal.SIGSTOP)
        runner.begin()
        nodes = runner.status.nodes
        flow_until(runner, lambda: nodes["det"].blocked_by, "nothing holds the detector up")
        assert nodes["det"].blocked_by == [DET_LOW]
        os.kill(runner.pids()["low"], signal.SIGCONT)
        run_out(runner)
        outcome = runner.outcome()
    assert outcome.ok, outcome.report.text
    assert counts(outcome, DET_LOW)["passed"] == 150
    assert outcome.status.nodes["det"].blocked_s > 0


def test_a_process_that_dies_again_and_again_ends_the_graph_and_is_named() -> None:
    killed = 0

    def kill(status: GraphStatus) -> None:
        nonlocal killed
        node = status.nodes["low"]
        if node.state in ("running", "blocked") and node.pid and node.restarts == killed:
            os.kill(node.pid, signal.SIGKILL)
            killed += 1

    with Runner(graph(frames=0, rate_hz=50), TYPES) as runner:
        outcome = runner.run(show=kill)
    assert "process low ended (killed by signal 9)" in outcome.failed
    assert not outcome.ok


def test_a_writer_that_dies_again_and_again_leaves_files_that_every_program_opens(
    tmp_path: Path,
) -> None:
    made = (
        GraphBuilder("kept")
        .node("det", "simulated", width=8, height=8, rate_hz=100)
        .node("file", "frame_file", folder=str(tmp_path), flush_s=0)
        .edge("det -> file")
    )
    killed, safe = 0, 0

    def kill(status: GraphStatus) -> None:
        nonlocal killed, safe
        node, edge = status.nodes["file"], status.edges["det.frames -> file.frames"]
        if node.restarts == killed and node.pid and edge.passed > safe:
            os.kill(node.pid, signal.SIGKILL)
            killed, safe = killed + 1, edge.passed

    with Runner(checked(made.graph(), TYPES), TYPES) as runner:
        outcome = runner.run(show=kill)
    assert "process file ended (killed by signal 9)" in outcome.failed
    numbers: set[int] = set()
    for path in tmp_path.iterdir():
        with h5py.File(path) as file:
            numbers |= set(file["entry/data/seq_num"][()].tolist())
    assert numbers >= set(range(1, safe + 1))


def test_a_runner_that_is_gone_takes_its_processes_with_it() -> None:
    runner = Runner(graph(frames=0, rate_hz=20), TYPES)
    runner.start()
    runner.begin()
    processes = [p.process for p in runner._processes.values()]
    for process in runner._processes.values():
        process.line.close()  # as its death would
    assert [p.wait(60.0) for p in processes] == [0] * len(processes)
    assert not runner._folder.exists(), "sockets are left"


def test_a_source_that_dies_when_it_was_stopped_stays_stopped() -> None:
    with Runner(graph(frames=0, rate_hz=200), TYPES) as runner:
        runner.begin()
        nodes = runner.status.nodes
        flow_until(runner, lambda: nodes["det"].frames, "the detector makes no frame")
        runner.stop()
        os.kill(runner.pids()["det"], signal.SIGKILL)
        run_out(runner)
        assert runner.status.nodes["det"].restarts <= 1


def test_a_first_frame_that_does_not_fit_ends_the_graph_by_the_name_of_the_node(
    tmp_path: Path,
) -> None:
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "from undula.pipes.frame import Frame\n"
        "from undula.pipes.nodes.base import Node, Port, Source\n\n\n"
        "class Camera(Source):\n"
        '    """Nobody knows how large its frames are."""\n\n'
        "    outputs = (Port('frames', 'frames', ndim=None),)\n"
        "    made = 0\n\n"
        "    ended = property(lambda self: self.made >= 3)\n\n"
        "    def take(self, time=0.0):\n"
        "        self.made += 1\n"
        "        return [Frame(self.made, np.ones((8, 9), 'u2'))]\n\n\n"
        "class Half(Node):\n"
        '    """Half of an image, of which nobody knows how large it is."""\n\n'
        "    inputs = (Port('frames', 'frames'),)\n"
        "    outputs = (Port('frames', 'frames'),)\n\n"
        "    def accumulate(self, frame):\n"
        "        self.half = frame.data[: len(frame.data) // 2]\n\n"
        "    def result(self):\n"
        "        return {'frames': self.half}\n"
    )
    types = NodeFolder(tmp_path)
    far = {"shape": "box", "x": 0, "y": 6, "width": 2, "height": 2}

    def run(*edges: str) -> Outcome:
        made = GraphBuilder("live").node("cam", "camera").node("half", "half")
        made = made.node("roi", "roi", rois={"far": far}).node("total", "sum")
        for edge in edges:
            made = made.edge(edge)
        graph = checked(made.graph(), types)
        assert waiting_for_first(graph, types) == (["cam"], ["roi"])
        with Runner(graph, types) as runner:
            return runner.run()

    outcome = run("cam -> half", "half.frames -> roi", "cam -> total")
    assert outcome.failed == (
        "node half: half.frames gives frames of (4, 9), which do not fit: [nodes.roi.parameters."
        "rois.far] it has no pixel of frames of (4, 9), (y, x): place it within x 0 to 8 and y 0 "
        "to 3"
    )
    assert outcome.status.nodes["roi"].frames == 0
    assert run("cam -> half", "cam -> roi", "half.frames -> total").ok


def test_a_node_that_raises_when_it_is_changed_says_so_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "picky.py").write_text(PICKY)
    types = NodeFolder(tmp_path)
    made = GraphBuilder("live").node("det", "simulated", width=8, height=8, frames=50)
    made = made.node("picky", "picky").edge("det -> picky")
    with Runner(checked(made.graph(), types), types) as runner:
        with pytest.raises(PipeError, match="ValueError: not 13"):
            runner.change("picky", level=13)
        outcome = runner.run()
    assert outcome.ok, outcome.report.text
    assert outcome.status.nodes["picky"].restarts == 0


PICKY = '''
from undula.pipes.nodes.base import Node, Port, parameter

class Picky(Node):
    """Does not like 13."""

    name = "picky"
    outputs = (Port("n", "a number", ndim=0),)
    level: int = parameter(1, "a level")

    def changed(self, names):
        if self.level == 13:
            raise ValueError("not 13")

    def accumulate(self, frame):
        pass

    def result(self):
        return {"n": 1}
'''
