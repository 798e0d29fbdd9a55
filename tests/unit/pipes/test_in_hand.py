"""A link between hosts that is cut at any moment, in pure form: who knows what, and what comes."""

from __future__ import annotations

from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from undula.pipes.intervals import IntervalSet
from undula.pipes.ledger import EdgeLedger, merged
from undula.pipes.link.holding import Holding
from undula.pipes.link.in_hand import InHand
from undula.pipes.link.wire import FAILED
from undula.pipes.policy import Policy

SLOT = 100


class Cuts(RuleBasedStateMachine):
    """A producer and a lossless consumer; what is under way between them is lost with each cut."""

    def __init__(self) -> None:
        super().__init__()
        self.hand = InHand(EdgeLedger())
        self.given: list[int] = []
        self.open: list[tuple[int, int]] = []
        self.before: list[EdgeLedger] = []
        self.published = self.highest = self.incarnations = 0
        self.connected = False
        self.start()

    def start(self) -> None:
        self.incarnations += 1
        self.holding = Holding(8, SLOT)
        self.consumer = self.holding.expect("writer", Policy())
        self.there: deque[tuple[int, int]] = deque()
        self.back: deque[int] = deque()

    @rule()
    def publish(self) -> None:
        slot = self.holding.loan()
        if slot is not None:
            self.published += 1
            self.highest = max(self.highest, self.published)
            self.holding.publish(slot, self.published)

    @rule(most=st.integers(1, 4))
    def send(self, most: int) -> None:
        if self.connected:
            self.there += [(e.slot, e.seq_num) for e in self.holding.due(self.consumer, most)]

    @rule(most=st.integers(1, 4))
    def arrive(self, most: int) -> None:
        for _ in range(min(most, len(self.there))):
            slot, seq_num = self.there.popleft()
            if self.hand.came(slot, seq_num):
                self.given.append(seq_num)
                self.open.append((slot, seq_num))

    @rule(most=st.integers(1, 4))
    def hand_on(self, most: int) -> None:
        """All at once, as where nothing is slow: so that most histories get somewhere."""
        for _ in range(most):
            self.publish()
        self.send(most)
        self.arrive(most)

    @rule(at=st.integers(0, 9), failed=st.booleans())
    def work(self, at: int, failed: bool) -> None:
        if self.open:
            slot, seq_num = self.open.pop(at % len(self.open))
            self.hand.done(slot, seq_num, failed=failed)

    @rule()
    def flush(self) -> None:
        if self.connected:
            self.back += self.hand.marks
            self.hand.marks.clear()

    @rule(most=st.integers(1, 4))
    def hear(self, most: int) -> None:
        for _ in range(min(most, len(self.back))):
            mark = self.back.popleft()
            self.holding.confirm(self.consumer, mark & ~FAILED, mark >= FAILED)

    @rule()
    @precondition(lambda self: self.connected)
    def cut(self) -> None:
        self.connected = False
        self.there.clear()
        self.back.clear()

    @rule(tries=st.lists(st.lists(st.booleans(), max_size=2), min_size=1, max_size=2))
    @precondition(lambda self: not self.connected)
    def reconnect(self, tries: list[list[bool]]) -> None:
        """A first word on each new connection; only the last is answered, and work goes on."""
        for meanwhile in tries:
            told = self.hand.told()
            for failed in meanwhile:
                self.work(0, failed)
        if self.consumer.present:
            self.holding.detach("writer")
        self.holding.attach("writer", Policy())
        producer = str(self.incarnations)
        have = dict(told["have"]) if told["producer"] == producer else {}
        kept = self.holding.resume(
            self.consumer, IntervalSet(told["passed"]), IntervalSet(told["failed"]), have
        )
        self.hand.welcomed(producer, kept)
        self.connected = True

    @rule(back=st.integers(0, 5))
    @precondition(lambda self: self.published >= 6)
    def the_producer_dies_and_makes_some_again(self, back: int) -> None:
        """Its successor begins at most where every fate is known."""
        done = (self.hand.ledger.passed | self.hand.ledger.failed).intervals()
        known = done[0][1] - 1 if done and done[0][0] == 1 else 0
        self.before.append(self.consumer.ledger)
        self.connected = False
        self.start()
        self.published = max(0, known - back)

    @invariant()
    def no_frame_is_handed_out_twice_or_out_of_order(self) -> None:
        assert self.given == list(range(1, len(self.given) + 1))

    @invariant()
    def both_ends_agree_on_what_is_held(self) -> None:
        if self.connected:
            held = {e.slot: e.seq_num for e in self.consumer.sent.values()}
            assert self.hand.held.items() <= held.items()
            adopted = {slot for slots in self.hand.adopted.values() for slot in slots}
            coming = {slot for slot, _ in self.there}
            going = {mark & ~FAILED for mark in (*self.hand.marks, *self.back)}
            assert held.keys() == coming | going | adopted | self.hand.held.keys()

    def teardown(self) -> None:
        if not self.connected:
            self.reconnect([[]])
        rounds = self.highest + 10
        while self.consumer.held or self.published < self.highest:
            rounds -= 1
            assert rounds, "a confirmation is never heard"
            self.publish()
            self.send(99)
            self.arrive(99)
            while self.open:
                self.work(0, failed=False)
            self.flush()
            self.hear(99)
        ledger = merged([self.hand.ledger, self.consumer.ledger, *self.before])
        assert not ledger.lost.intervals()
        assert not ledger.on_the_way.intervals()
        assert len(ledger.passed) + len(ledger.failed) == len(self.given)
        assert len(self.given) == self.highest


TestCuts = Cuts.TestCase
TestCuts.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)


def test_a_viewer_that_was_given_up_does_not_confirm_what_it_still_has() -> None:
    hand = InHand(EdgeLedger())
    hand.welcomed("one", [])
    assert hand.came(3, 7)
    hand.welcomed("one", [])  # its slots were given away meanwhile
    assert hand.came(3, 9)
    hand.done(3, 7, failed=False)
    assert hand.marks == []
    hand.done(3, 9, failed=False)
    assert hand.marks == [3]


def test_a_frame_that_is_done_between_the_first_word_and_the_answer_is_confirmed() -> None:
    hand = InHand(EdgeLedger())
    hand.welcomed("one", [])
    assert hand.came(3, 7)
    assert hand.came(4, 8)
    told = hand.told()  # on a new connection
    hand.done(3, 7, failed=False)
    assert told["have"] == [(3, 7), (4, 8)]
    hand.welcomed("one", [3, 4])
    assert hand.marks == [3]
