"""A graph whose processes go on in any order, and are killed anywhere: it comes to its end."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from undula.pipes.graph import Graph, GraphBuilder, checked
from undula.pipes.nodes.registry import Shipped
from undula.testing.stepped import SteppedGraph

TYPES = Shipped()
FRAMES = 30
ROUNDS = 2000
POINTS = ("loaned", "published", "sent", "welcomed", "received", "confirmed")


def chain(view: str, budget: str) -> Graph:
    """A source, a node, a sum behind it, and a viewer."""
    made = (
        GraphBuilder("chain")
        .node("det", "simulated", width=8, height=8, frames=FRAMES, rate_hz=0, noise=False)
        .node("low", "threshold").node("total", "sum").node("view", "rate")
        .edge("det -> low", budget=budget)
        .edge("low.frames -> total", budget=budget)
        .edge("det -> view", view)
    )  # fmt: skip
    return checked(made.graph(), TYPES)


def inner(view: str, budget: str) -> Graph:
    """Two nodes and a sink in one process, and a channel behind them."""
    made = (
        GraphBuilder("inner")
        .node("det", "simulated", width=8, height=8, frames=FRAMES, rate_hz=0, noise=False)
        .node("low", "threshold", process="one").node("high", "threshold", process="one")
        .node("view", "rate", process="one").node("total", "sum").node("out", "channel")
        .edge("det -> low", budget=budget)
        .edge("low.frames -> high").edge("low.frames -> view", view)
        .edge("high.frames -> total", budget=budget).edge("total.sum -> out", budget=budget)
    )  # fmt: skip
    return checked(made.graph(), TYPES)


def diamond(view: str, budget: str) -> Graph:
    """What a source makes goes two ways, which are joined again."""
    made = (
        GraphBuilder("diamond")
        .node("det", "simulated", width=8, height=8, frames=FRAMES, rate_hz=0, noise=False)
        .node("low", "threshold").node("where", "rate").node("join", "join", patience=5)
        .node("out", "channel")
        .edge("det -> low", budget=budget).edge("det -> where", view)
        .edge("low.frames -> join.frames", budget=budget).edge("where.rate -> join.positions")
        .edge("join.quality -> out", budget=budget)
    )  # fmt: skip
    return checked(made.graph(), TYPES)


GRAPHS = {"chain": chain, "inner": inner, "diamond": diamond}


@st.composite
def histories(draw: st.DrawFn) -> tuple[Graph, list[tuple[Any, ...]]]:
    """A graph, and who goes on, dies, or is to die, in which order."""
    make = GRAPHS[draw(st.sampled_from(sorted(GRAPHS)))]
    graph = make(draw(st.sampled_from(["latest", "sample(1/3)"])),
                 draw(st.sampled_from(["1 kB", "10 kB"])))  # fmt: skip
    who = st.sampled_from(sorted(graph.processes()))
    goes_on = st.tuples(st.just("step"), who, st.integers(1, 20))
    sleeps = st.tuples(st.just("without"), who, st.integers(1, 40))
    spoken = st.tuples(st.just("pump"))
    dies = st.one_of(
        st.tuples(st.just("kill"), who),
        st.tuples(st.just("strike"), who, st.sampled_from(POINTS), st.integers(1, 30)),
    )
    quiet = st.lists(st.one_of(goes_on, goes_on, spoken, sleeps), max_size=12)
    found = draw(quiet)
    for _ in range(draw(st.integers(0, 4))):
        found += [draw(dies), *draw(quiet)]
    return graph, found


def play(stepped: SteppedGraph, history: list[tuple[Any, ...]]) -> None:
    for what, *more in history:
        if what == "pump":
            stepped.runner.pump(0.0)
        elif what == "step":
            for _ in range(more[1]):
                stepped.processes[more[0]].step()
        elif what == "without":
            stepped.go_on(more[1], without=more[0])
        elif what == "kill":
            stepped.processes[more[0]].kill()
        else:
            stepped.processes[more[0]].strike(f"pipes.{more[1]}", more[2])


TOTAL_SLEEPS = (("without", "", 6), ("without", "total", 60))
KNOWN = (
    [*TOTAL_SLEEPS, ("kill", "det"), ("pump",), ("kill", "low")],
    [*TOTAL_SLEEPS, ("kill", "low"), ("pump",), ("kill", "det")],
    [("without", "view", 60), ("kill", "det"), ("pump",)],
    [("without", "view", 60), ("kill", "det"), ("pump",), ("kill", "view")],
    [("without", "view", 60), ("kill", "low"), ("pump",), ("kill", "det")],
)
"""A process that had ended dies, and then its neighbour, which had not."""


@pytest.mark.parametrize("history", KNOWN)
@pytest.mark.parametrize("view", ["latest", "sample(1/3)"])
def test_a_process_that_had_ended_is_there_again_for_those_that_have_not(
    history: list[tuple[Any, ...]], view: str
) -> None:
    ends(chain(view, "10 kB"), history)


def ends(graph: Graph, history: list[tuple[Any, ...]]) -> None:
    stepped = SteppedGraph(graph, TYPES)
    with stepped.running() as runner:
        runner.begin()
        play(stepped, history)
        over = stepped.go_on(ROUNDS)
        state = {n: s.state for n, s in runner.status.nodes.items()}
        assert not runner.failed
        assert over, f"it stands still: {state}"
        report = runner.outcome(FRAMES).report
    deaths = sum(what in ("kill", "strike") for what, *_ in history)
    for edge in graph.edges:
        counts = report.edges[edge.name].counts
        named = [m for m in (*report.missing, *report.unknown) if m.edge == edge.name]
        settled = counts["passed"] + counts["dropped"] + sum(missing.count for missing in named)
        assert settled >= counts["seen"], (edge.name, counts, report.text)
        assert not counts["failed"]
        of_a_viewer = (
            edge.start.partition(".")[0] in runner.viewers
        )  # nobody makes its frames again
        if deaths <= 1 and edge.policy.kind == "lossless" and not of_a_viewer:
            assert counts["passed"] == counts["seen"], (edge.name, counts, report.text)


def test_what_a_viewer_had_made_when_it_was_killed_is_named() -> None:
    history = [("without", "join", 2), ("step", "det", 1), ("step", "where", 1), ("kill", "where")]
    ends(diamond("latest", "1 kB"), history)


@given(histories())
@settings(max_examples=40, deadline=None)
def test_a_graph_comes_to_its_end_whoever_is_killed_in_whatever_order(
    found: tuple[Graph, list[tuple[Any, ...]]],
) -> None:
    ends(*found)


@pytest.mark.soak
@given(histories())
@settings(max_examples=3000, deadline=None)
def test_a_graph_comes_to_its_end_in_thousands_of_histories(
    found: tuple[Graph, list[tuple[Any, ...]]],
) -> None:
    ends(*found)
