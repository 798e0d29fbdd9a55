"""A node that hangs, and listens to nobody: it holds nothing up but its own edges, and is ended."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

import pytest

from undula.core.errors import BusyError, DeviceError, UndulaError
from undula.pipes.detector import GraphDetector
from undula.pipes.errors import PipeError
from undula.pipes.graph import Graph, GraphBuilder, checked
from undula.pipes.nodes.user_nodes import NodeFolder
from undula.pipes.runner import Runner
from undula.pipes.runner.placement import LocalPlacement
from undula.testing.flow import flow_until
from undula.testing.law import ended, line_of, until

HANGS = '''
import signal
from pathlib import Path
from undula.pipes.nodes.base import Node, Port, parameter


class Hangs(Node):
    """Hangs at a frame while a file `mark` is there."""

    name = "hangs"
    outputs = (Port("n", "n", ndim=0),)
    limit: int = parameter(0, "a number")

    def accumulate(self, frame):
        mark = Path(__file__).parent / "mark"
        while mark.exists():
            mark.with_name("hung").touch()
            signal.sigtimedwait([], 0.01)

    def result(self):
        return {"n": 1}
'''

RUNS = """
import sys
from pathlib import Path
from undula.pipes.graph import GraphBuilder, checked
from undula.pipes.nodes.user_nodes import NodeFolder
from undula.pipes.runner import Runner
from undula.testing.flow import flow_until
folder = Path(sys.argv[1])
types = NodeFolder(folder)
made = GraphBuilder("g").node("det", "simulated", width=8, height=8).node("bad", "hangs")
with Runner(checked(made.edge("det -> bad").graph(), types), types) as runner:
    runner.begin()
    flow_until(runner, (folder / "hung").exists, "the node does not hang")
    print(*runner.pids().values(), flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def nodes(tmp_path: Path) -> Path:
    """A folder with a node that hangs while a file `mark` is there."""
    (tmp_path / "hangs.py").write_text(HANGS)
    (tmp_path / "mark").touch()
    return tmp_path


def graph(types: NodeFolder) -> Graph:
    made = GraphBuilder("g").node("det", "simulated", width=8, height=8).node("bad", "hangs")
    return checked(made.edge("det -> bad").graph(), types)


def test_a_node_that_does_not_listen_makes_nobody_wait_and_is_killed_at_last(
    nodes: Path,
) -> None:
    types, here = NodeFolder(nodes), LocalPlacement(kept_bytes=20_000)
    with Runner(graph(types), types, placement=here) as runner:
        runner.begin(triggered=True)
        runner.trigger("det")
        flow_until(runner, (nodes / "hung").exists, "the node does not hang")
        hung = runner.pids()["bad"]
        os.kill(hung, signal.SIGSTOP)  # it does not listen, though its successor need not hang
        (nodes / "mark").unlink()

        said: list[str] = []

        def said_until_killed() -> bool:
            said.append(runner.status.nodes["bad"].error)  # what went wrong in this run
            runner.ask()
            runner.begin_run()  # says something each time
            return runner.pids()["bad"] != hung

        flow_until(runner, said_until_killed, "the node that does not listen is not killed")

        def works() -> bool:
            runner.trigger("det")
            return runner.status.nodes["bad"].frames > 0

        flow_until(runner, works, "its successor has no frame")
        assert any("did not listen" in text for text in said)
        assert not runner.status.nodes["bad"].error, "it is no fault of the run that goes on"
        assert not runner.failed


def test_a_late_answer_is_not_taken_for_that_to_another_question(
    nodes: Path,
) -> None:
    types = NodeFolder(nodes)
    with Runner(graph(types), types) as runner:
        runner.begin(triggered=True)
        runner.trigger("det")
        flow_until(runner, (nodes / "hung").exists, "the node does not hang")
        patient_s, runner.answer_s = runner.answer_s, 0.1
        with pytest.raises(PipeError, match="bad did not answer"):
            runner.clear("bad")
        runner.answer_s = patient_s
        (nodes / "mark").unlink()
        with pytest.raises(PipeError, match="no_such"):
            runner.change("bad", no_such=1)
        runner.clear("bad")


def test_one_that_has_not_answered_is_not_asked_again(nodes: Path) -> None:
    types = NodeFolder(nodes)
    with Runner(graph(types), types) as runner:
        runner.begin(triggered=True)
        runner.trigger("det")
        flow_until(runner, (nodes / "hung").exists, "the node does not hang")
        said: list[str] = []
        line = runner._processes["bad"].line
        line.say = lambda **words: said.append(words["do"])  # type: ignore[method-assign]
        for _ in range(10):
            runner.ask()
            runner.pump(0.0)
        assert said == ["tell"]
        os.kill(runner.pids()["bad"], signal.SIGKILL)


@pytest.mark.parametrize("how", [signal.SIGKILL, None])
def test_a_hung_worker_does_not_outlive_the_process_that_ran_its_graph(
    nodes: Path, how: signal.Signals | None
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", RUNS, str(nodes)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        workers = [int(word) for word in line_of(process).split()]
        if how is not None:
            process.send_signal(how)
        else:
            process.communicate(b"", timeout=60)
    assert len(workers) == 2
    for pid in workers:
        ended(pid)


def hanging_detector(nodes: Path) -> GraphDetector:
    """Its first frame is in the hands of a node that hangs."""
    plain = {
        "nodes": {
            "det": {"node": "simulated", "parameters": {"width": 8, "height": 8, "rate_hz": 0}},
            "bad": "hangs",
            "out": "channel",
        },
        "edges": ["det -> bad", "bad.n -> out"],
    }
    return GraphDetector("cam", graph=plain, nodes=str(nodes), frame_timeout=0.5)


def test_a_detector_whose_node_hangs_is_closed_all_the_same(nodes: Path) -> None:
    detector = hanging_detector(nodes)
    status = detector.trigger()
    until((nodes / "hung").exists, "the node does not hang")
    told = detector.status
    assert told is not None
    pids = [node.pid for node in told.nodes.values() if node.pid]
    detector.close()
    assert detector.status is None
    for pid in pids:
        ended(pid)
    with pytest.raises(DeviceError, match="did not end within"):
        status.wait(60)


def test_a_change_that_a_node_makes_too_late_is_noted_all_the_same(
    nodes: Path, tmp_path: Path
) -> None:
    detector = hanging_detector(nodes)
    detector.set_run_path(tmp_path / "run.nxs")
    detector.trigger()
    until((nodes / "hung").exists, "the node does not hang")
    patient_s, detector.live_graph.answer_s = detector.live_graph.answer_s, 0.1
    with pytest.raises(BusyError, match="may still do"):
        detector.live_graph.change("bad", {"limit": 5}, "ann")
    detector.live_graph.answer_s = patient_s
    (nodes / "mark").unlink()
    detector.live_graph.change("bad", {"limit": 6}, "bob")  # done behind it
    told = [(one["user"], one["before"], one["after"]) for one in detector.run_changes()]
    assert told == [("ann", 0, 5), ("bob", 5, 6)]
    detector.close()


@pytest.mark.parametrize("asked", ["set", "clear", "result"])
def test_what_is_asked_of_a_viewer_that_is_busy_for_long_holds_no_scan(
    nodes: Path, asked: str
) -> None:
    plain = {
        "nodes": {
            "det": {"node": "simulated", "parameters": {"width": 8, "height": 8, "rate_hz": 0}},
            "low": "threshold",
            "bad": "hangs",
            "out": "channel",
        },
        "edges": ["det -> low", "low.count -> out", {"det -> bad": "latest"}],
    }
    detector = GraphDetector("cam", graph=plain, nodes=str(nodes), frame_timeout=10.0)
    graph = detector.live_graph
    do: dict[str, Callable[[], object]] = {
        "set": lambda: graph.change("bad", {"limit": 5}, "ann"),
        "clear": lambda: graph.clear("bad", "ann"),
        "result": lambda: graph.result("bad", "n"),
    }
    try:
        detector.trigger().wait(60)
        until((nodes / "hung").exists, "the node does not hang")
        graph.answer_s = 0.5
        with pytest.raises(BusyError, match="may still do"):
            do[asked]()
        for _ in range(3):
            detector.trigger().wait(8)
        assert (nodes / "mark").exists(), "it is busy still"
        (nodes / "mark").unlink()
        graph.answer_s = 60.0
        graph.change("bad", {"limit": 6}, "bob")
        assert graph.shown()["nodes"]["bad"]["parameters"]["limit"]["value"] == 6
    finally:
        detector.close()


def test_who_asks_a_node_of_a_graph_that_ends_meanwhile_is_told_and_the_next_is_heard(
    nodes: Path,
) -> None:
    detector = hanging_detector(nodes)
    graph, told = detector.live_graph, SimpleQueue[UndulaError]()
    graph.answer_s = 0.1
    detector.trigger()
    until((nodes / "hung").exists, "the node does not hang")
    with pytest.raises(BusyError, match="may still do"):
        graph.change("bad", {"limit": 4}, "ann")
    graph.answer_s = 60.0

    def ask() -> None:
        try:
            graph.change("bad", {"limit": 5}, "bob")
        except UndulaError as error:
            told.put(error)

    thread = threading.Thread(target=ask)
    thread.start()
    until(lambda: len(graph._wishes) == 2, "it is not asked")
    detector.close()
    assert re.search("ended|killed", str(told.get(timeout=30)))
    thread.join(30)
    (nodes / "mark").unlink()
    detector.trigger().wait(60)
    assert graph.change("bad", {"limit": 6}, "cyd")["changed"] == {"limit": [0, 6]}
    detector.close()
