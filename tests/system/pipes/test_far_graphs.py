"""A graph over several hosts, which here are names for this one: keys, ports and edges are real."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

from undula.pipes.errors import PipeError
from undula.pipes.graph import GraphBuilder, checked
from undula.pipes.graph.model import Graph
from undula.pipes.link.far import Liveness
from undula.pipes.nodes.registry import Shipped
from undula.pipes.runner import Outcome, Runner
from undula.pipes.runner.placement import LocalProcess
from undula.testing.flow import flow_past, flow_until, run_out
from undula.testing.law import until
from undula.testing.named_hosts import NamedHosts

TYPES = Shipped()
FRAMES = 300
EDGES = ("det.frames -> low.frames", "low.frames -> total.frames")


def graph(frames: int = FRAMES, rate_hz: float = 0) -> Graph:
    """A source, a node on another host, and a sum on the first one again."""
    made = GraphBuilder("hosts")
    made.node("det", "simulated", host="near", width=64, height=64, frames=frames, rate_hz=rate_hz)
    made.node("low", "threshold", host="far").node("total", "sum", host="near", process="sums")
    made.edge("det -> low").edge("low.frames -> total")
    return checked(made.graph(), TYPES)


def test_edges_between_hosts_lose_nothing(tmp_path: Path) -> None:
    with Runner(graph(), TYPES, placement=NamedHosts(tmp_path)) as runner:
        outcome = runner.run()
    assert outcome.ok, outcome.report.text + outcome.failed
    for name in EDGES:
        assert outcome.report.edges[name].counts["passed"] == FRAMES


def test_what_a_node_on_another_host_gave_is_not_written_there(tmp_path: Path) -> None:
    with Runner(graph(), TYPES, placement=NamedHosts(tmp_path)) as runner:
        with pytest.raises(PipeError, match="low runs on far") as refused:
            runner.write_latest("low", "frames", tmp_path / "low.npy")
        assert "ask a node on this host" in refused.value.remedy


def trigger(runner: Runner, times: int) -> None:
    for _ in range(times):
        runner.trigger("det")


def ran_out(runner: Runner) -> Outcome:
    """To the end: all triggers were given."""
    run_out(runner)
    return runner.outcome(FRAMES)


def test_frames_before_a_node_in_the_middle_are_confirmed_while_others_are_behind_it(
    tmp_path: Path,
) -> None:
    """The last five frames always wait behind it, for positions that do not come."""
    made = GraphBuilder("hosts")
    made.node("det", "simulated", host="near", width=64, height=64, frames=FRAMES, rate_hz=0)
    made.node("low", "threshold", host="far").node("where", "sum", host="near")
    made.node("join", "join", host="near", patience=5)
    made.edge("det -> low").edge("low.frames -> join.frames")
    made.edge("det -> where", policy="sample(1/1000)").edge("where.sum -> join.positions")
    with Runner(checked(made.graph(), TYPES), TYPES, placement=NamedHosts(tmp_path)) as runner:
        runner.begin(triggered=True)
        trigger(runner, 50)
        flow_past(runner, EDGES[0], 45)
        assert runner.status.edges[EDGES[0]].passed == 45
        trigger(runner, FRAMES - 50)
        outcome = ran_out(runner)
    assert outcome.ok, outcome.report.text + outcome.failed


def test_a_channel_that_reaches_its_producer_no_more_is_noticed_and_ends_the_graph(
    tmp_path: Path,
) -> None:
    made = GraphBuilder("hosts").node("out", "channel")
    made.node("det", "simulated", host="near", width=8, height=8, frames=0, rate_hz=10)
    made.edge("det -> out")
    with (
        Runner(checked(made.graph(), TYPES), TYPES, placement=NamedHosts(tmp_path)) as runner,
        socket.create_server(("127.0.0.1", 0)) as silent,  # it takes a connection, and says nothing
    ):
        runner.begin()
        flow_until(runner, lambda: runner.status.nodes["out"].frames, "no frame came")
        edge = runner.graph.edges[0]
        runner._channels.join(edge, f"tcp://127.0.0.1:{silent.getsockname()[1]}")
        runner._channels._inlets[edge.name]._alive = Liveness(0.1, 0.2, 0.5)
        flow_until(runner, lambda: runner.failed, "nobody noticed")
        assert "welcomed this consumer for 0.5 s" in runner.failed


@pytest.mark.parametrize(
    "victim",
    [
        "low",
        pytest.param("det", marks=pytest.mark.soak),
        pytest.param("sums", marks=pytest.mark.soak),
    ],
)
def test_a_process_that_is_killed_goes_on_on_its_host(tmp_path: Path, victim: str) -> None:
    with Runner(graph(), TYPES, placement=NamedHosts(tmp_path)) as runner:
        runner.begin(triggered=True)
        trigger(runner, 30)
        flow_past(runner, EDGES[1 if victim == "sums" else 0], 20)
        trigger(runner, 100)  # some of them are on their way
        os.kill(runner.pids()[victim], signal.SIGKILL)
        trigger(runner, FRAMES - 130)
        outcome = ran_out(runner)
        assert runner.restarts(victim if victim != "sums" else "total") == 1
    assert outcome.ok, outcome.report.text + outcome.failed
    for name in EDGES:
        assert outcome.report.edges[name].counts["passed"] == FRAMES


class Unplugged(LocalProcess):
    """A process whose host loses its power when it is told: it says no last word to anybody."""

    unplugged = False

    def unplug(self) -> None:
        self.unplugged = True
        os.kill(self.pid, signal.SIGSTOP)
        stat = Path(f"/proc/{self.pid}/stat")
        until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "it goes on")
        with socket.socket(fileno=os.dup(self.line.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)

    def wait(self, timeout_s: float | None = None) -> int | None:
        return -signal.SIGKILL if self.unplugged else super().wait(timeout_s)


class Sockets(NamedHosts):
    """Hosts whose power can be cut."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.started: dict[str, list[Unplugged]] = {}

    def start(self, process: str, host: str) -> Unplugged:
        made = Unplugged()
        self.started.setdefault(process, []).append(made)
        return made


def test_a_node_goes_on_at_once_when_its_host_loses_its_power(tmp_path: Path) -> None:
    hosts = Sockets(tmp_path)
    frames = 200
    with Runner(graph(frames, rate_hz=100), TYPES, placement=hosts) as runner:
        runner.begin()
        flow_past(runner, EDGES[1], 20)
        hosts.started["low"][0].unplug()
        run_out(runner)
        outcome = runner.outcome(frames)
        os.kill(hosts.started["low"][0].pid, signal.SIGKILL)
    assert len(hosts.started["low"]) == 2
    assert not outcome.status.nodes["low"].error.count("already"), "its successor was refused"
    assert outcome.ok, outcome.report.text + outcome.failed
    for name in EDGES:
        assert outcome.report.edges[name].counts["passed"] == frames


def test_values_come_to_a_channel_where_the_graph_is_run(tmp_path: Path) -> None:
    made = GraphBuilder("values")
    made.node("det", "simulated", host="far", width=8, height=8, frames=20, rate_hz=0)
    made.node("total", "sum", host="far", process="sums").node("out", "channel")
    made.edge("det -> total").edge("total.sum -> out")
    heard: list[int] = []
    graph = checked(made.graph(), TYPES)
    with Runner(graph, TYPES, placement=NamedHosts(tmp_path, ("", "far"))) as runner:
        runner.heard = lambda _, frame: heard.append(frame.seq_num)
        outcome = runner.run()
    assert outcome.ok, outcome.report.text + outcome.failed
    assert heard == list(range(1, 21))
