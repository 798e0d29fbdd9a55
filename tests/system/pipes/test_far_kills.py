"""Long graphs over several hosts whose edges hold few frames, and processes killed again and again.

`UNDULA_SOAK_SEED=n make soak` draws the same graph and the same kills again.
"""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from undula.pipes.graph import Graph, GraphBuilder, checked
from undula.pipes.nodes.registry import Shipped
from undula.pipes.runner import Outcome, Runner
from undula.testing.flow import flow_past, flow_until, run_out
from undula.testing.named_hosts import NamedHosts

TYPES = Shipped()
HOSTS = ("near", "far", "other")
SLOT = 8192
"""Bytes of a frame of 64 x 64."""


def chain(hosts: list[str], slots: int) -> Graph:
    """A source, a node on each host in turn, a sum and a viewer behind the last one."""
    made = GraphBuilder("long")
    made.node("det", "simulated", host=hosts[0], width=64, height=64, rate_hz=0, noise=False)
    before = "det"
    for number, host in enumerate(hosts[1:], 1):
        made.node(f"n{number}", "threshold", host=host)
        made.edge(f"{before}.frames -> n{number}", budget=slots * SLOT)
        before = f"n{number}"
    made.node("total", "sum", host=hosts[0]).node("view", "rate", host=hosts[-1])
    made.edge(f"{before}.frames -> total", budget=slots * SLOT)
    made.edge(f"{before}.frames -> view", policy="latest")
    return checked(made.graph(), TYPES)


def through_kills(graph: Graph, folder: Path, victims: list[str]) -> Outcome:
    """Run it; each victim is killed when all that was made before the last death is through."""
    last = next(edge.name for edge in graph.edges if edge.target == "total")
    with Runner(graph, TYPES, placement=NamedHosts(folder, ("", *HOSTS))) as runner:
        runner.begin()
        flow_past(runner, last, 50)
        for victim in victims:
            kill(runner, victim)
            flow_past(runner, last, runner.book.highest)
        runner.stop()
        run_out(runner)
        outcome = runner.outcome()
    assert not outcome.failed
    return outcome


def kill(runner: Runner, victim: str) -> None:
    """Kill a process, and let its successor do some work."""
    node, restarts = runner.graph.processes()[victim][0], runner.restarts(victim) + 1
    os.kill(runner.pids()[victim], signal.SIGKILL)

    def works() -> bool:
        status = runner.status.nodes[node]
        return status.restarts == restarts and status.frames > 0

    flow_until(runner, works, f"no successor of {victim}")


def judge(graph: Graph, outcome: Outcome) -> None:
    """Nothing was lost but what a viewer had in hand."""
    made, text = outcome.report.triggers, outcome.report.text
    for edge in graph.edges:
        counts = outcome.report.edges[edge.name].counts
        if edge.policy.kind == "lossless":
            assert (counts["seen"], counts["passed"]) == (made, made), text
        else:
            assert counts["passed"] + counts["dropped"] + counts["lost"] == counts["seen"], text
    view = {edge.name for edge in graph.edges if edge.target == "view"}
    assert {missing.edge for missing in outcome.report.missing} <= view, text


def test_a_long_far_graph_with_small_windows_goes_on_whoever_is_killed(tmp_path: Path) -> None:
    graph = chain(["near", "far", "near"], slots=4)
    judge(graph, through_kills(graph, tmp_path, ["n1", "det", "n2", "total"]))


@pytest.mark.soak
def test_long_far_graphs_with_small_windows_go_on_through_random_kills(tmp_path: Path) -> None:
    seed = int(os.environ.get("UNDULA_SOAK_SEED", time.time()))
    print(f"seed {seed}")
    dice = random.Random(seed)
    for number in range(20):
        hosts = [dice.choice(HOSTS) for _ in range(dice.randint(3, 6))]
        slots = dice.choice((1, 2, 3, 8, 40))
        graph = chain(hosts, slots)
        often = [name for name in graph.processes() for _ in range(2)]
        victims = dice.sample(often, k=min(len(often), 8))
        print(f"round {number}: {hosts}, {slots} slots, {victims}")
        judge(graph, through_kills(graph, tmp_path / str(number), victims))
