"""A run begins while processes die: each node has the parameters of this run, or says why not."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from undula.pipes.frame import Frame
from undula.pipes.graph import checked, read_graph
from undula.pipes.nodes.registry import Shipped
from undula.testing.stepped import SteppedGraph

TYPES = Shipped()
BOX = {"shape": "box", "x": 0, "y": 0, "width": 4, "height": 4}
GRAPH: dict[str, Any] = {
    "name": "g",
    "nodes": {
        "det": {"node": "simulated", "parameters": {"width": 8, "height": 8, "rate_hz": 0}},
        "roi": {"node": "roi", "parameters": {"rois": {"beam": BOX}}},
        "map": {"node": "grid_map", "parameters": {"shape": [2, 3]}},
        "side": "sum",
        "out": "channel",
    },
    "edges": ["det -> roi", "det -> side", {"roi.sum -> map": "latest"}, "map.map -> out"],
}


@pytest.mark.parametrize("answered", [False, True])
def test_a_viewer_killed_while_a_run_begins_has_the_grid_of_this_run(answered: bool) -> None:
    """It dies before or behind its answer, while another node has not answered yet."""
    stepped = SteppedGraph(checked(read_graph(GRAPH), TYPES), TYPES)
    maps: list[tuple[int, ...]] = []

    def hear(edge: str, frame: Frame) -> None:
        del edge
        maps.append(frame.data.shape)

    with stepped.running() as runner:
        runner.heard = hear
        runner.begin(triggered=True)
        runner.trigger("det", 0)
        while not maps:
            stepped.go_on(1)
        runner.begin_run()
        changes = {"map": {"shape": [3, 2]}}
        begins = threading.Thread(target=runner.begin_nodes, args=(changes, 60.0))
        begins.start()
        while not any(one.node == "map" for one in runner._asking.asleep()):
            threading.Event().wait(0.001)
        while answered and any(one.node == "map" for one in runner._asking.asleep()):
            stepped.processes["map"].step()
        stepped.processes["map"].kill()
        while begins.is_alive():
            for process in list(stepped.processes.values()):
                process.step()
            begins.join(0.001)
        assert runner.restarts("map") == 1
        maps.clear()
        for _ in range(100):  # it may not have connected when the first frame comes
            runner.trigger("det", 0)
            stepped.go_on(10)
        assert maps[-1] == (3, 2)
        assert not runner.asleep(0.0)
