"""One node at work, without processes: what it takes, hands on, confirms, and how it ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from undula.pipes.frame import Frame
from undula.pipes.graph import GraphBuilder
from undula.pipes.graph.model import NodeSpec
from undula.pipes.link import MemoryInlet, MemoryOutlet, Sending
from undula.pipes.nodes.base import Node
from undula.pipes.nodes.zmq_images import ZmqImages
from undula.pipes.policy import Policy
from undula.pipes.runner.host import NodeHost

EDGE = "src.frames -> node.frames"


class Bench:
    """A node between a link that the test writes into and one that it reads from."""

    def __init__(self, node: Node, kind: str, source: bool = False, **options: Any) -> None:
        made = GraphBuilder("bench")
        if source:
            made = made.node("node", kind).node("out", "preview").edge("node -> out")
        else:
            made = made.node("src", "simulated").node("node", kind, **options)
            made = made.edge("src -> node")
        self.graph = made.graph()
        self.feed = MemoryOutlet(frame_bytes=64, expect={EDGE: Policy()})
        self.out: dict[str, MemoryInlet] = {}
        self.host = NodeHost(self.graph.nodes["node"], node, self.graph, self._make)
        if not source:
            self.host.inlets[EDGE] = MemoryInlet(self.feed, EDGE, Policy())
        self.told: list[Mapping[str, Any]] = []
        self.host.tell = lambda **words: self.told.append(words)

    def _make(self, spec: NodeSpec, port: str, size: int) -> list[Sending]:
        edges = self.graph.out_of(spec.name, port)
        made = MemoryOutlet(frame_bytes=size, expect={edge.name: edge.policy for edge in edges})
        for edge in edges:
            self.out[edge.name] = MemoryInlet(made, edge.name, edge.policy)
        return [made]

    def begin(self, **source: Any) -> None:
        words = {"given": 0, "resume": 0, "again": False, "made": 0, "remembered": {}} | source
        sources = {"node": words} if self.host.source else {}
        self.host.begin({"at": 0.0, "triggered": bool(source), "sources": sources})

    def send(self, *numbers: int, data: Any = None) -> None:
        for number in numbers:
            self.feed.send(Frame(number, np.zeros(2) if data is None else data))

    def steps(self, most: int = 50) -> int:
        """Let it work until it has nothing to do; how often it had something."""
        for number in range(most):
            if not self.host.step():
                return number
        return most


class Heard(ZmqImages):
    """Frames that the test puts in."""

    name = "heard"

    def start(self) -> None:
        pass

    def came(self, *theirs: int) -> None:
        for number in theirs:
            self._put(Frame(self._number(number), np.zeros(2)))


def test_a_source_that_hears_the_network_uses_a_trigger_only_for_a_frame() -> None:
    node = Heard()
    bench = Bench(node, "zmq_images", source=True)
    bench.begin(given=0)
    node.came(7)
    assert bench.steps() == 0, "no trigger was given"
    assert not bench.host.wants_frames
    bench.host.trigger()
    assert bench.steps() == 0, "what came before the first trigger is none"
    assert bench.host.wants_frames
    node.came(8, 9)
    assert bench.steps() == 1
    assert bench.host.produced.text() == "1"
    bench.host.trigger()
    assert bench.steps() == 1
    assert bench.host.produced.text() == "1-2"
    bench.host.trigger()
    bench.host.trigger()
    node.came(11)
    assert bench.steps() == 1
    assert bench.host.produced.text() == "1-2, 4", "the third one had its trigger"
    assert bench.steps() == 0
    assert bench.host.allowed == 0
    assert bench.told == [{"remembered": {"origin": 8}, "name": "node"}]
    node.close()
