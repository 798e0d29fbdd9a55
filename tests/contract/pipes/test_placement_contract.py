"""What every placement does: processes that work, whose death is seen, and that leave nothing."""

from __future__ import annotations

import signal

import pytest

from undula.pipes.errors import GraphError
from undula.pipes.graph import GraphBuilder, checked
from undula.pipes.graph.model import Graph
from undula.pipes.nodes.registry import Shipped
from undula.pipes.runner import Runner
from undula.pipes.runner.placement import (
    HERE,
    LocalPlacement,
    MemoryPlacement,
    Placement,
    placeable,
)
from undula.testing.law import until

TYPES = Shipped()


@pytest.fixture(params=[LocalPlacement, MemoryPlacement])
def placement(request: pytest.FixtureRequest) -> Placement:
    made: Placement = request.param()
    return made


def graph(host: str = "", frames: int = 50) -> Graph:
    made = GraphBuilder("placed")
    made.node("det", "simulated", width=8, height=8, frames=frames, rate_hz=0)
    made.node("total", "sum", host=host).edge("det -> total")
    return checked(made.graph(), TYPES)


def test_a_graph_runs_where_it_is_placed(placement: Placement) -> None:
    with Runner(graph(), TYPES, placement=placement) as runner:
        outcome = runner.run()
    assert outcome.ok, outcome.report.text
    assert outcome.report.edges["det.frames -> total.frames"].counts["passed"] == 50


def test_a_process_that_is_killed_hangs_up(placement: Placement) -> None:
    placed = placement.start("lonely", HERE)
    assert placed.wait(0.0) is None
    placed.kill()
    assert placed.wait(60.0) == -signal.SIGKILL
    until(lambda: placed.line.heard() or placed.line.ended, "it does not hang up")
    placed.line.close()


def test_a_process_whose_runner_hangs_up_ends(placement: Placement) -> None:
    placed = placement.start("lonely", HERE)
    placed.line.close()
    assert placed.wait(60.0) == 0


def test_a_host_that_is_not_reached_is_refused_with_its_place(placement: Placement) -> None:
    with pytest.raises(
        GraphError, match=r"nodes\.total\.host\] nothing here can start a process on 'farm'"
    ) as caught:
        Runner(graph("farm"), TYPES, placement=placement)
    assert "use a placement that reaches it" in str(caught.value)


def test_a_host_without_keys_takes_part_in_no_link() -> None:
    sites = MemoryPlacement().sites()
    with pytest.raises(GraphError, match="has no keys for links to others"):
        placeable(graph("farm"), {**sites, "farm": sites[HERE]})
