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
from undula.testing.named_hosts import NamedHosts

TYPES = Shipped()
HOSTS = ("near", "far", "other")
SLOT = 8192
"""Bytes of a frame of 64 x 64."""


def chain(hosts: list[str], frames: int, slots: int) -> Graph:
    """A source, a node on each host in turn, a sum and a viewer behind the last one."""
    made = GraphBuilder("long")
    made.node(
        "det", "simulated", host=hosts[0], width=64, height=64, frames=frames, rate_hz=0,
        noise=False,
    )  # fmt: skip
    before = "det"
    for number, host in enumerate(hosts[1:], 1):
        made.node(f"n{number}", "threshold", host=host)
        made.edge(f"{before}.frames -> n{number}", budget=slots * SLOT)
        before = f"n{number}"
    made.node("total", "sum", host=hosts[0]).node("view", "rate", host=hosts[-1])
    made.edge(f"{before}.frames -> total", budget=slots * SLOT)
    made.edge(f"{before}.frames -> view", policy="latest")
    return checked(made.graph(), TYPES)


def through_kills(graph: Graph, folder: Path, victims: list[str], patience_s: float) -> Outcome:
    """Run it to its end; each victim is killed when the sum has got on another bit."""
    frames = graph.nodes["det"].parameters["frames"]
    last = next(edge.name for edge in graph.edges if edge.target == "total")
    step = frames // (len(victims) + 1)
    kill_at, left = step, list(victims)
    with Runner(graph, TYPES, placement=NamedHosts(folder, ("", *HOSTS))) as runner:
        runner.begin()
        end = time.monotonic() + patience_s
        while not runner.over:
            runner.pump(0.1)
            assert not runner.failed
            depths = {e.name: (e.passed, e.depth) for e in runner.status.edges.values()}
            assert time.monotonic() < end, f"it stands still: {depths}"
            if left and runner.status.edges[last].passed >= kill_at:
                os.kill(runner.pids()[left.pop(0)], signal.SIGKILL)
                kill_at += step
        outcome = runner.outcome(frames)
    assert not left, "it ended before all were killed"
    return outcome


def judge(graph: Graph, outcome: Outcome) -> None:
    frames = graph.nodes["det"].parameters["frames"]
    for edge in graph.edges:
        counts = outcome.report.edges[edge.name].counts
        if edge.policy.kind == "lossless":
            assert (counts["seen"], counts["passed"]) == (frames, frames), outcome.report.text
        else:
            assert counts["passed"] + counts["dropped"] + counts["lost"] == counts["seen"]
    assert {missing.edge for missing in outcome.report.missing} <= {
        edge.name for edge in graph.edges if edge.target == "view"
    }


def test_a_long_far_graph_with_small_windows_goes_on_whoever_is_killed(tmp_path: Path) -> None:
    graph = chain(["near", "far", "near"], 600, slots=4)
    judge(graph, through_kills(graph, tmp_path, ["n1", "det", "n2", "total"], 60.0))


@pytest.mark.soak
def test_long_far_graphs_with_small_windows_go_on_through_random_kills(tmp_path: Path) -> None:
    seed = int(os.environ.get("UNDULA_SOAK_SEED", time.time()))
    print(f"seed {seed}")
    dice = random.Random(seed)
    for number in range(20):
        hosts = [dice.choice(HOSTS) for _ in range(dice.randint(3, 6))]
        graph = chain(hosts, 2000, slots=dice.choice((1, 2, 3, 8, 40)))
        often = [name for name in graph.processes() for _ in range(2)]
        victims = dice.sample(often, k=min(len(often), 8))
        print(f"round {number}: {hosts}, {victims}")
        judge(graph, through_kills(graph, tmp_path / str(number), victims, 180.0))
