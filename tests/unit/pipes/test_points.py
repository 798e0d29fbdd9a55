"""When the frame of a point is through: processes tell what they know of it in any order."""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from undula.pipes.for_scans import ScanGraph, for_scans
from undula.pipes.graph import checked, read_graph
from undula.pipes.nodes.registry import Shipped
from undula.pipes.points import Awaited, Points
from undula.testing.stepped import SteppedGraph

TYPES = Shipped()
BOX = {"shape": "box", "x": 0, "y": 0, "width": 4, "height": 4}
GRAPH: dict[str, Any] = {
    "nodes": {
        "det": {"node": "simulated", "parameters": {"width": 8, "height": 8, "rate_hz": 0}},
        "low": "threshold",
        "roi": {"node": "roi", "parameters": {"rois": {"beam": BOX}}},
        "map": {"node": "grid_map", "parameters": {"shape": [3]}},
        "out": "channel",
    },
    "edges": ["det -> low", "low.frames -> roi", "roi.sum -> map", "map.map -> out"],
}
NODES = ("det", "low", "roi", "map")


def scan_graph(**changed: Any) -> ScanGraph:
    nodes = {**GRAPH["nodes"], **changed}
    return for_scans(checked(read_graph(GRAPH | {"nodes": nodes}), TYPES), TYPES, "cam")


class Scan:
    """Points of a scan, each judged again and again while the processes go on one by one."""

    def __init__(self, stepped: SteppedGraph, scan: ScanGraph) -> None:
        self.stepped, self.points, self.now = stepped, Points(scan), 0.0
        stepped.runner.heard = self.points.hear

    def trigger(self, number: int, index: int | None = None) -> Awaited:
        self.stepped.runner.trigger("det", number - 1 if index is None else index)
        return Awaited(number, self.now, 1000.0, 1000.0)

    def look(self, awaited: Awaited) -> bool:
        """As the thread of a graph does; whether the frame is through."""
        runner = self.stepped.runner
        runner.pump(0.0)
        self.now += 0.1
        found = self.points.judge(awaited, runner, self.now)
        assert found.error is None
        if found.ask:
            runner.ask()
        if found.through:
            self.points.take(awaited.seq_num, found.without, awaited.seq_num)
        return found.through

    def values(self) -> Any:
        (value,) = self.points.last.values()
        return value

    def goes_through(self, awaited: Awaited) -> bool:
        """Everybody goes on."""
        for _ in range(200):
            for process in list(self.stepped.processes.values()):
                process.step()
            if self.look(awaited):
                return True
        return False


ORDERS = st.builds(
    lambda got, then: [*NODES[:got], "look", *then],
    st.integers(1, 4), st.lists(st.sampled_from((*NODES, "look", "look")), max_size=8),
)  # fmt: skip
"""How far a frame got before somebody looked, and who went on or looked then."""


@given(st.lists(ORDERS, min_size=2, max_size=2))
@example([["det", "low", "look", "det", "look"], []])
@example([["det", "low", "roi", "look", "low", "look"], []])
@settings(max_examples=40, deadline=None)
def test_no_value_is_given_up_that_still_comes_in_whatever_order_processes_speak(
    orders: list[list[str]],
) -> None:
    scan = scan_graph()
    stepped = SteppedGraph(scan.graph, TYPES, tell_s=inf)
    with stepped.running() as runner:
        runner.begin(triggered=True)
        points = Scan(stepped, scan)
        for number, order in enumerate([[], *orders], 1):  # with the first all are connected
            awaited = points.trigger(number)
            through = False
            for who in order:
                if who == "look":
                    through = through or points.look(awaited)
                else:
                    stepped.processes[who].step()
            assert through or points.goes_through(awaited)
            measured = np.isfinite(points.values()).ravel()
            assert measured.tolist() == [n < number for n in range(3)]


@pytest.mark.parametrize("victim", ["", "low", "roi", "map"])
def test_a_node_that_had_nothing_to_say_leaves_a_gap_also_where_one_died(victim: str) -> None:
    scan = scan_graph(low={"node": "hits", "parameters": {"above": 1e9}})
    stepped = SteppedGraph(scan.graph, TYPES)
    with stepped.running() as runner:
        runner.begin(triggered=True)
        points = Scan(stepped, scan)
        awaited = points.trigger(1)
        if victim == "low":  # nobody hears from it that the frame is no hit
            stepped.processes[victim].strike("pipes.confirmed", 1)
        for who in ("det", "low", "low", "low", "det"):
            stepped.processes[who].step()
        if victim:
            stepped.processes[victim].kill()
        assert points.goes_through(awaited)
        (why,) = points.points.without().values()
        assert why.endswith("low had nothing to say")
        assert np.isnan(points.values()).all()


@pytest.mark.parametrize("steps", range(5))
@pytest.mark.parametrize("victim", NODES)
def test_a_run_may_begin_however_far_the_successor_of_a_process_has_got(
    victim: str, steps: int
) -> None:
    """Its first words, the begin of the graph, that of the run, what it is to forget: in order."""
    scan = scan_graph()
    stepped = SteppedGraph(scan.graph, TYPES, tell_s=inf)
    with stepped.running() as runner:
        runner.begin(triggered=True)
        points = Scan(stepped, scan)
        assert points.goes_through(points.trigger(1))
        stepped.processes[victim].kill()
        for _ in range(steps):
            runner.pump(0.0)
            stepped.processes[victim].step()
        assert runner.begin_run() == 2
        points.points.forget_frames()
        for node in NODES[1:]:
            stepped.with_steps(lambda node=node: runner.clear(node))
        for index in (0, 1):
            assert points.goes_through(points.trigger(index + 2, index))
            measured = np.isfinite(points.values()).ravel()
            assert measured.tolist() == [n <= index for n in range(3)]
        stepped.with_steps(lambda: runner.tell(60.0))
        report = runner.outcome(3).report
        assert report.complete, report.text
