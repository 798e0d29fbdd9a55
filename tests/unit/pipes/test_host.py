"""One node at work, without processes: what it takes, hands on, confirms, and how it ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from undula.pipes.frame import Frame
from undula.pipes.graph import GraphBuilder
from undula.pipes.graph.model import NodeSpec
from undula.pipes.intervals import IntervalSet
from undula.pipes.link import MemoryInlet, MemoryOutlet, Sending
from undula.pipes.nodes.base import Node, Port, Results
from undula.pipes.nodes.join import PositionJoin
from undula.pipes.nodes.zmq_images import ZmqImages
from undula.pipes.policy import Policy
from undula.pipes.runner.host import NodeHost

EDGE = "src.frames -> node.frames"


class Bench:
    """A node between a link that the test writes into and one that it reads from."""

    def __init__(
        self, node: Node, kind: str, source: bool = False, slots: int = 99, behind: bool = False,
        results: int = 1000, **options: Any,
    ) -> None:  # fmt: skip
        made = GraphBuilder("bench")
        if source:
            made = made.node("node", kind).node("out", "preview").edge("node.frames -> out.frames")
        else:
            made = made.node("src", "simulated").node("node", kind, **options)
            made = made.edge(EDGE)
            if behind:
                made = made.node("out", "preview").edge("node.n -> out.frames")
        self.graph = made.graph()
        self.feed = MemoryOutlet(frame_bytes=64, budget_bytes=64 * slots, expect={EDGE: Policy()})
        self.out: dict[str, MemoryInlet] = {}
        self.results = results
        self.host = NodeHost(self.graph.nodes["node"], node, self.graph, self._make)
        if not source:
            self.host.inlets[EDGE] = MemoryInlet(self.feed, EDGE, Policy())
        self.told: list[Mapping[str, Any]] = []
        self.host.tell = lambda **words: self.told.append(words)

    def _make(self, spec: NodeSpec, port: str, size: int) -> list[Sending]:
        edges = self.graph.out_of(spec.name, port)
        expect = {edge.name: edge.policy for edge in edges}
        budget = max(64, size) * self.results
        made = MemoryOutlet(frame_bytes=size, budget_bytes=budget, expect=expect)
        for edge in edges:
            self.out[edge.name] = MemoryInlet(made, edge.name, edge.policy)
        return [made]

    def begin(self, **source: Any) -> None:
        words = {
            "given": 0, "resume": 0, "again": False, "made": 0, "remembered": {}, "indices": [],
        } | source  # fmt: skip
        sources = {"node": words} if self.host.source else {}
        self.host.begin({"at": 0.0, "triggered": bool(source), "sources": sources, "first": 0})

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
    assert not bench.host.making.wants_frames
    bench.host.making.trigger(1, 0)
    assert bench.steps() == 0, "what came before the first trigger is none"
    assert bench.host.making.wants_frames
    node.came(8, 9)
    assert bench.steps() == 1
    assert bench.host.making.produced.text() == "1"
    bench.host.making.trigger(2, 1)
    assert bench.steps() == 1
    assert bench.host.making.produced.text() == "1-2"
    bench.host.making.trigger(3, 2)
    bench.host.making.trigger(4, 3)
    node.came(11)
    assert bench.steps() == 1
    assert bench.host.making.produced.text() == "1-2, 4", "the third one had its trigger"
    assert bench.steps() == 0
    assert bench.host.making.allowed == 0
    assert bench.told == [{"remembered": {"origin": 8}, "name": "node"}]
    node.close()


def test_a_camera_that_missed_a_trigger_is_in_step_again_with_the_next_run() -> None:
    node = Heard()
    bench = Bench(node, "zmq_images", source=True)
    bench.begin(given=0)
    for number in (1, 2, 3):
        bench.host.making.trigger(number, number - 1)
        if number < 3:  # nothing comes with the third one
            node.came(number)
    bench.steps()
    bench.host.begin_run(4)
    node.came(3)
    bench.host.making.trigger(4, 0)
    assert bench.steps() == 0, "what came before the first trigger of a run is none"
    node.came(4)
    bench.steps()
    assert bench.host.making.produced.text() == "4", "the ledger is begun anew"
    assert [f.trigger for f in bench.out["node.frames -> out.frames"].take()] == [0, 1, 0]
    node.close()


def test_a_frame_of_the_run_before_is_not_worked_on() -> None:
    bench = Bench(keeper := Keeper(), "preview")
    bench.begin()
    bench.send(1, 2)
    bench.host.begin_run(3)
    bench.send(3)
    bench.steps()
    assert keeper.taken == 1
    assert bench.feed.in_flight == 1, "the others do not hold the producer up"


def test_frames_that_are_settled_are_forgotten_at_both_ends() -> None:
    bench = Bench(Heard(), "zmq_images", source=True)
    bench.begin()
    bench.host.node.came(1, 2, 3)
    bench.steps()
    (inlet,) = bench.out.values()
    for frame in inlet.take():
        inlet.confirm(frame)
    bench.host.forget_frames(IntervalSet([(1, 3)]))
    assert [ledger.passed.text() for _, ledger in bench.host.views()] == ["3"]
    assert bench.host.making.produced.text() == "3"
    bench.host.node.close()


class Keeper(Node):
    """Keeps frames until the test says what became of them."""

    name = "keeper"
    outputs = (Port("n", "frames so far", ndim=0),)
    covers = "start"
    keeps = True

    def clear(self) -> None:
        self.taken = 0
        self.says: list[int] = []
        self.bad: list[tuple[int, Exception]] = []

    def accumulate(self, frame: Frame) -> None:
        if frame.data[0] < 0:
            raise ValueError("negative")
        self.taken += 1

    def result(self) -> Results:
        return {"n": self.taken}

    def done(self) -> list[int]:
        said, self.says = self.says, []
        return said

    def failed(self) -> list[tuple[int, Exception]]:
        said, self.bad = self.bad, []
        return said


class Each(Keeper):
    """One result for each frame."""

    name = "each"
    covers = "frame"
    keeps = False


def test_a_frame_is_confirmed_when_the_next_node_of_the_process_is_done_with_it() -> None:
    bench = Bench(Each(), "threshold", behind=True)
    bench.begin()
    bench.send(1, 2, 3)
    bench.steps()
    assert bench.host.status.frames == 3
    (inlet,) = bench.out.values()
    first, second, third = inlet.take()
    assert fates(bench) == ("none", "none", 3), "both would die together"
    inlet.confirm(first)
    inlet.confirm(third)
    bench.host.settle()
    assert fates(bench) == ("1", "none", 2)
    inlet.confirm(second)
    bench.host.settle()
    assert fates(bench) == ("1-3", "none", 0)


def test_a_node_that_waits_for_a_slot_confirms_what_is_done_with_behind_it() -> None:
    bench = Bench(Each(), "threshold", behind=True, results=5)
    bench.begin()
    bench.send(*range(1, 10))
    bench.steps()
    assert bench.host.blocked
    (inlet,) = bench.out.values()
    for frame in inlet.take(3):
        inlet.confirm(frame)
    bench.host.step()
    assert bench.host.blocked, "the next results took the slots"
    assert fates(bench) == ("1-3", "none", 6)


def test_where_a_node_of_the_process_waits_for_later_frames_the_oldest_are_given_back() -> None:
    bench = Bench(Each(), "threshold", behind=True, slots=12)
    bench.host.confirming.copies_behind = True
    bench.begin()
    for number in range(1, 31):
        bench.send(number)
        bench.steps()
    assert 0 < bench.feed.in_flight <= 5


def fates(bench: Bench) -> tuple[str, str, int]:
    ledger = bench.feed.ledgers()[EDGE]
    return ledger.passed.text(), ledger.failed.text(), bench.feed.in_flight


def test_a_frame_that_a_node_kept_and_could_not_work_on_counts_as_failed() -> None:
    node = Keeper()
    bench = Bench(node, "frame_file")
    bench.begin()
    bench.send(1, 2, 3)
    bench.steps()
    assert fates(bench) == ("none", "none", 3)
    node.says, node.bad = [1, 3], [(2, ValueError("damaged"))]
    bench.steps()
    assert fates(bench) == ("1, 3", "2", 0)
    assert bench.host.status.failed == 1
    assert "damaged at frame 2" in bench.host.status.error


class Swells(Each):
    """Its third result is larger than all before."""

    name = "swells"

    def result(self) -> Results:
        return {"n": np.zeros(1000 if self.taken == 3 else 1)}


def test_a_result_that_cannot_be_handed_on_is_a_failure_at_its_frame_and_told_at_once() -> None:
    bench = Bench(Swells(), "threshold", behind=True)
    bench.begin()
    bench.send(1, 2)
    bench.steps()
    assert not bench.host.urgent
    bench.send(3, 4)
    bench.steps()
    (inlet,) = bench.out.values()
    for frame in inlet.take():
        inlet.confirm(frame)
    bench.host.settle()
    assert fates(bench) == ("1-2, 4", "3", 0)
    assert bench.host.urgent
    assert bench.host.status.error_at == 3
    bench.host.begin_run(5)
    assert not bench.host.status.error, "it is no fault of the next run"


def test_a_node_that_cannot_say_what_is_safe_ends_and_leaves_nobody_waiting() -> None:
    class Broken(Keeper):
        def done(self) -> list[int]:
            raise RuntimeError("lost count")

    bench = Bench(Broken(), "frame_file")
    bench.begin()
    bench.send(1, 2)
    bench.steps()
    assert bench.host.ended
    assert "lost count" in bench.host.stopped_by
    assert bench.feed.in_flight == 0


def test_a_node_that_stops_at_a_failure_fails_what_it_has_in_hand_and_ends() -> None:
    bench = Bench(Keeper(), "frame_file", on_failure="stop")
    bench.begin()
    bench.send(1, 2, 3, data=np.full(2, -1.0))
    assert bench.steps() < 50, "it does not spin"
    assert bench.host.ended
    assert fates(bench) == ("none", "1-3", 0)


def test_a_frame_that_waits_for_its_position_is_not_confirmed() -> None:
    node = PositionJoin(patience=100)
    bench = Bench(node, "join")
    bench.begin()
    bench.send(1, 2)
    bench.steps()
    assert fates(bench) == ("none", "none", 2), "a successor would get them"
    node.receive("positions", Frame(1, np.zeros(1)))
    bench.send(3)
    bench.steps()
    assert fates(bench) == ("1", "none", 2)


def test_a_join_with_a_short_edge_before_it_does_not_hold_it_up() -> None:
    bench = Bench(PositionJoin(patience=100), "join", slots=10)
    bench.begin()
    for number in range(1, 21):
        bench.send(number)
        bench.steps()
    assert bench.feed.in_flight <= 4


def test_a_source_that_raises_when_asked_whether_it_has_ended_fails_and_is_named() -> None:
    class Broken(Heard):
        @property
        def ended(self) -> bool:
            raise RuntimeError("no idea")

    bench = Bench(Broken(), "zmq_images", source=True)
    bench.begin()
    bench.steps()
    assert bench.host.ended
    assert "no idea" in bench.host.stopped_by
