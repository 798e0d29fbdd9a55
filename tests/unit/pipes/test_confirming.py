"""A node between two hosts: what it confirms and when, with everything killed at every step."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from undula.pipes.frame import Frame
from undula.pipes.graph import GraphBuilder
from undula.pipes.intervals import IntervalSet
from undula.pipes.ledger import EdgeLedger
from undula.pipes.link import MemoryInlet, MemoryOutlet
from undula.pipes.link.holding import Consumer, Holding
from undula.pipes.link.in_hand import InHand
from undula.pipes.link.wire import FAILED
from undula.pipes.nodes.base import Node
from undula.pipes.policy import Policy
from undula.pipes.runner.confirming import Confirming, waited_for

SLOT = 64
BEFORE, BEHIND = 9, 6
"""Slots of the edges before and behind the node."""


class Plain(Node):
    """Keeps nothing."""

    name = "plain"


class FarEnd:
    """The end of an edge to another host, without its socket."""

    def __init__(self) -> None:
        self.holding = Holding(BEHIND, SLOT)
        self.consumer = self.holding.expect("far", Policy())

    @property
    def published(self) -> int:
        return self.holding.published

    @property
    def safe(self) -> int:
        return self.holding.confirmed


class Middle(RuleBasedStateMachine):
    """A producer, a node, and a consumer on another host of the results.

    Frames whose number is a multiple of four have no result. The link to the consumer is cut, the
    node and the consumer are killed, at any moment; what was under way is lost with it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.feed = MemoryOutlet(
            frame_bytes=SLOT, budget_bytes=BEFORE * SLOT, expect={"node": Policy()}
        )
        self.lives = self.made = 0
        self.hand = InHand(EdgeLedger())
        self.open: list[tuple[int, int]] = []
        self.done = IntervalSet()
        self.connected = False
        self.start()

    def start(self) -> None:
        """The node, with nothing in hand."""
        self.lives += 1
        self.inlet = MemoryInlet(self.feed, "node", Policy())
        self.far = FarEnd()
        self.confirming = Confirming(Plain())
        self.queue: deque[Frame] = deque()
        self.held: int | None = None
        self.lost_connection()

    def lost_connection(self) -> None:
        self.connected = False
        self.there: deque[tuple[int, int]] = deque()
        self.back: deque[int] = deque()

    @property
    def outlets(self) -> Sequence[Any]:
        return [self.far]

    # ---- the node ------------------------------------------------------------------------------

    @rule(times=st.integers(1, 4))
    def make(self, times: int) -> None:
        for _ in range(times):
            if self.feed.send(Frame(self.made + 1, np.zeros(2)), timeout_s=0.0):
                self.made += 1

    @rule(times=st.integers(1, 4))
    def work(self, times: int) -> None:
        """Take a frame, make its result, hand it on when there is a slot."""
        self.queue += self.inlet.take()
        for _ in range(times):
            if not self.hand_on() or not self.queue:
                return
            frame = self.queue.popleft()
            self.held = frame.seq_num if frame.seq_num % 4 else None
            self.confirming.worked_on(self.inlet, frame)
            self.hand_on()

    def hand_on(self) -> bool:
        if self.held is not None:
            slot = self.far.holding.loan()
            if slot is None:
                return False
            self.far.holding.publish(slot, self.held)
            self.held = None
        self.confirming.handed_on(self.outlets)
        return True

    @rule()
    def settle(self) -> None:
        self.confirming.confirm(self.outlets)

    # ---- the consumer --------------------------------------------------------------------------

    @rule()
    @precondition(lambda self: not self.connected)
    def connect(self) -> None:
        told = self.hand.told()
        if self.far.consumer.present:
            self.far.holding.detach("far")
        self.far.holding.attach("far", Policy())
        have = dict(told["have"]) if told["producer"] == str(self.lives) else {}
        kept = self.far.holding.resume(
            self.far.consumer, IntervalSet(told["passed"]), IntervalSet(told["failed"]), have
        )
        self.hand.welcomed(str(self.lives), kept)
        self.connected = True

    @rule(most=st.integers(1, 4))
    def arrive(self, most: int) -> None:
        if self.connected:
            self.there += [(e.slot, e.seq_num) for e in self.far.holding.due(self.consumer, most)]
        while self.there:
            slot, number = self.there.popleft()
            if self.hand.came(slot, number):
                self.open.append((slot, number))

    @rule(at=st.integers(0, 9), failed=st.booleans())
    def finish(self, at: int, failed: bool) -> None:
        """The consumer is done with a frame, in any order."""
        if self.open:
            slot, number = self.open.pop(at % len(self.open))
            self.hand.done(slot, number, failed=failed)
            self.done.add(number)

    @rule()
    def hear(self) -> None:
        """Confirmations travel."""
        if self.connected:
            for mark in self.hand.marks:
                self.far.holding.confirm(self.consumer, mark & ~FAILED, mark >= FAILED)
            self.hand.marks.clear()

    @property
    def consumer(self) -> Consumer:
        return self.far.consumer

    # ---- deaths --------------------------------------------------------------------------------

    @rule()
    def the_line_is_cut(self) -> None:
        self.lost_connection()

    @rule()
    def the_node_is_killed(self) -> None:
        self.inlet.close()
        self.start()

    @rule()
    def the_consumer_is_killed(self) -> None:
        """What it had told stays known at its producer; the rest comes again."""
        if self.connected:
            self.far.holding.detach("far")
        self.lost_connection()
        self.hand = InHand(EdgeLedger())
        self.open.clear()

    # ---- laws ----------------------------------------------------------------------------------

    @property
    def confirmed(self) -> IntervalSet:
        return self.feed.ledgers()["node"].passed

    @invariant()
    def what_is_confirmed_is_done_with_behind(self) -> None:
        results = IntervalSet((n, n + 1) for n in self.confirmed if n % 4)
        assert not (results - self.done).intervals(), "it would be lost with the node"

    @invariant()
    def frames_are_confirmed_in_order(self) -> None:
        assert self.confirmed.intervals() in ([], [(1, len(self.confirmed) + 1)])

    @invariant()
    def no_more_is_in_hand_than_the_edges_hold(self) -> None:
        assert self.feed.in_flight <= BEFORE
        assert self.far.holding.in_flight <= BEHIND

    @invariant()
    def what_is_safe_is_what_a_look_at_all_frames_says(self) -> None:
        consumer = self.consumer
        held = [e.place for e in (*consumer.sent.values(), *consumer.pending)]
        assert self.far.safe == min(held, default=self.far.published)

    @rule()
    def a_frame_is_confirmed_as_soon_as_all_before_it_are_done_with(self) -> None:
        """However many frames behind it are still on their way."""
        if not self.connected:
            return
        self.hear()
        self.settle()
        waiting = [e.seq_num for e in (*self.consumer.sent.values(), *self.consumer.pending)]
        worked_on = [f.seq_num for f in self.queue]
        worked_on += [] if self.held is None else [self.held]
        ahead = [e.seq_num for e in self.feed.holding.consumers["node"].pending]
        first = min((*waiting, *worked_on, *ahead, self.made + 1))
        assert len(self.confirmed) == first - 1

    def teardown(self) -> None:
        rounds = 10 * self.made + 10
        while len(self.confirmed) < self.made:
            rounds -= 1
            assert rounds, "a frame is never confirmed"
            if not self.connected:
                self.connect()
            self.work(4)
            self.arrive(9)
            while self.open:
                self.finish(0, False)
            self.hear()
            self.settle()
        assert list(self.done) == [n for n in range(1, self.made + 1) if n % 4]
        assert not self.confirming.busy


TestMiddle = Middle.TestCase
TestMiddle.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)


def graph() -> GraphBuilder:
    made = GraphBuilder("hosts")
    made.node("det", "simulated", host="near", process="one")
    made.node("low", "threshold", host="near", process="one")
    made.node("far", "threshold", host="far")
    made.node("total", "sum", host="far", process="sums").node("view", "preview", host="near")
    made.edge("det -> low").edge("low.frames -> far").edge("far.frames -> total")
    return made.edge("low.frames -> view", policy="latest")


@pytest.mark.parametrize(
    ("name", "found"),
    [("det", {"low", "far"}), ("low", {"far"}), ("far", set()), ("total", set())],
)
def test_a_node_waits_for_those_that_die_with_it_or_are_on_another_host(
    name: str, found: set[str]
) -> None:
    assert waited_for(graph().graph(), name) == found
