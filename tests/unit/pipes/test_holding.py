"""The laws of a link, with everybody killed at every step."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from undula.pipes.errors import PipeError
from undula.pipes.intervals import IntervalSet
from undula.pipes.link.holding import LOANS, Consumer, Entry, Holding
from undula.pipes.policy import Policy

SLOT = 100
POLICIES = {
    "writer": Policy(),
    "slow_writer": Policy(budget_bytes=3 * SLOT),
    "viewer": Policy("latest"),
    "some": Policy("sample", every=3),
    "disk": Policy("spill", disk_bytes=3 * SLOT, budget_bytes=2 * SLOT),
}


class Link(RuleBasedStateMachine):
    """Producer and five consumers that come, work, die and come again, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.holding = Holding(12, SLOT, 3)
        for name, policy in POLICIES.items():
            self.holding.expect(name, policy)
        self.published: list[int] = []
        self.loans: list[int] = []
        self.in_hand: dict[str, list[Entry]] = {name: [] for name in POLICIES}
        self.first_time: dict[str, list[int]] = {name: [] for name in POLICIES}
        self.data: dict[int, int] = {}
        self.writing: list[tuple[Consumer, Entry, int]] = []

    def consumer(self, name: str) -> Consumer:
        return self.holding.consumers[name]

    @rule()
    def publish(self) -> None:
        slot = self.holding.loan()
        blocked = self.holding.blocked_by()
        if slot is None:
            assert set(blocked) <= {"writer", "slow_writer"}
            assert blocked, "held up, and by nobody"
            return
        seq = len(self.published) + 1
        self.data[slot] = seq
        for consumer, entry in self.holding.publish(slot, seq):
            self.writing.append((consumer, entry, seq))
            self.data[entry.slot] = -1
        self.published.append(seq)

    @rule(full=st.booleans())
    def disk(self, full: bool) -> None:
        """It is done with the oldest copy, whatever became of the consumer meanwhile."""
        if self.writing:
            consumer, entry, seq = self.writing.pop(0)
            assert self.data[entry.source] == seq, "written over while it was copied"
            assert self.data[entry.slot] == -1, "given to another meanwhile"
            self.data[entry.slot] = seq
            self.holding.written(consumer, entry, not full)

    @rule()
    @precondition(lambda self: len(self.loans) < LOANS - 1)
    def loan(self) -> None:
        slot = self.holding.loan()
        if slot is not None:
            self.data[slot] = -1
            self.loans.append(slot)

    @rule()
    @precondition(lambda self: self.loans)
    def give_back(self) -> None:
        self.holding.give_back(self.loans.pop())

    @rule(name=st.sampled_from(sorted(POLICIES)), most=st.integers(1, 4), full=st.booleans())
    def send(self, name: str, most: int, full: bool) -> None:
        consumer = self.consumer(name)
        entries = self.holding.due(consumer, most)
        if full:
            self.holding.unsend(consumer, entries)
            return
        for entry in entries:
            if not entry.again:
                self.first_time[name].append(entry.seq_num)
        self.in_hand[name] += entries

    @rule(name=st.sampled_from(sorted(POLICIES)), at=st.integers(0, 20), failed=st.booleans())
    def confirm(self, name: str, at: int, failed: bool) -> None:
        if self.in_hand[name]:
            entry = self.in_hand[name].pop(at % len(self.in_hand[name]))
            self.holding.confirm(self.consumer(name), entry.slot, failed)

    @rule(name=st.sampled_from(sorted(POLICIES)))
    def come(self, name: str) -> None:
        if self.consumer(name).present:
            with pytest.raises(PipeError, match="already"):
                self.holding.attach(name, POLICIES[name])
        else:
            self.holding.attach(name, POLICIES[name])

    @rule(name=st.sampled_from(sorted(POLICIES)))
    def die(self, name: str) -> None:
        consumer = self.consumer(name)
        if not consumer.present:
            return
        had = IntervalSet((e.seq_num, e.seq_num + 1) for e in self.in_hand[name])
        free = self.holding.free
        self.holding.detach(name)
        self.in_hand[name].clear()
        if consumer.lossless:
            assert self.holding.free == free, "its slots are kept for a successor"
            order = [e.seq_num for e in consumer.pending]
            assert order == sorted(order)
            assert set(had) <= set(order)
        else:
            assert consumer.held == 0
            assert not had - consumer.ledger.lost

    @invariant()
    def slots_are_neither_lost_nor_held_twice(self) -> None:
        holding = self.holding
        held: dict[int, int] = dict.fromkeys(self.loans, 1)
        for consumer in holding.consumers.values():
            for entry in (*consumer.sent.values(), *consumer.pending):
                held[entry.slot] = held.get(entry.slot, 0) + 1
        for _, entry, _ in self.writing:
            held[entry.source] = held.get(entry.source, 0) + 1
            held[entry.slot] = 1
        for slot in range(holding.slots + holding.spill_slots):
            assert holding.holders(slot) == held.get(slot, 0)
        assert holding.free == sum(1 for s in range(holding.slots) if s not in held)

    @invariant()
    def what_is_held_is_not_written_over(self) -> None:
        for consumer in self.holding.consumers.values():
            for entry in (*consumer.sent.values(), *consumer.pending):
                place = entry.slot if entry.source < 0 else entry.source
                assert self.data[place] == entry.seq_num
            assert all(entry.source < 0 for entry in consumer.sent.values())

    @invariant()
    def the_ledger_adds_up(self) -> None:
        for consumer in self.holding.consumers.values():
            counts = consumer.ledger.counts
            assert counts["seen"] == len(self.published)
            assert counts["on_the_way"] == consumer.held
            parts = sum(counts[name] for name in ("passed", "dropped", "lost", "failed"))
            assert parts + consumer.held == counts["seen"]

    @invariant()
    def a_lossless_consumer_misses_nothing_and_keeps_the_order(self) -> None:
        for name in ("writer", "slow_writer"):
            assert self.first_time[name] == sorted(set(self.first_time[name]))
            ledger = self.consumer(name).ledger
            assert not ledger.dropped.intervals()
            assert not ledger.lost.intervals()

    @invariant()
    def who_sleeps_holds_no_more_than_its_share(self) -> None:
        for consumer in self.holding.consumers.values():
            entries = (*consumer.sent.values(), *consumer.pending)
            in_memory = sum(entry.slot < self.holding.slots for entry in entries)
            in_memory += sum(one is consumer for one, _, _ in self.writing)
            assert in_memory <= consumer.most
            assert consumer.on_disk <= 3

    @invariant()
    def only_the_lossless_hold_a_producer_up(self) -> None:
        lossless = [c for c in self.holding.consumers.values() if c.lossless]
        if not any(c.held for c in lossless):
            assert self.holding.free >= 1


TestLink = Link.TestCase
TestLink.settings = settings(max_examples=120, stateful_step_count=60, deadline=None)


def step_by_step(name: str, kill_at: int) -> tuple[list[int], Consumer]:
    """Thirty frames through one consumer, which is killed after so many steps; what it saw."""
    holding = Holding(8, SLOT)
    holding.expect(name, POLICIES[name])
    steps = 0
    in_hand: list[Entry] = []
    seen: list[int] = []

    def step(action: Callable[[], None]) -> None:
        nonlocal steps
        action()
        steps += 1
        if steps == kill_at:
            if holding.consumers[name].present:
                holding.detach(name)
            in_hand.clear()
            holding.attach(name, POLICIES[name])

    def receive() -> None:
        entries = holding.due(holding.consumers[name], 1)
        in_hand.extend(entries)

    def confirm() -> None:
        if in_hand:
            entry = in_hand.pop(0)
            holding.confirm(holding.consumers[name], entry.slot)
            seen.append(entry.seq_num)

    step(lambda: holding.attach(name, POLICIES[name]) and None)
    for seq in range(1, 31):
        slot = holding.loan()
        assert slot is not None
        step(lambda slot=slot, seq=seq: holding.publish(slot, seq) and None)
        step(receive)
        step(confirm)
    while holding.consumers[name].held:
        receive()
        confirm()
    return seen, holding.consumers[name]


@pytest.mark.parametrize("kill_at", range(1, 92))
def test_a_lossless_consumer_killed_at_any_step_confirms_every_frame_once(kill_at: int) -> None:
    seen, consumer = step_by_step("writer", kill_at)
    assert seen == list(range(1, 31))
    assert consumer.ledger.counts["passed"] == 30


@given(st.integers(1, 91))
def test_a_viewer_killed_at_any_step_leaves_nothing_held(kill_at: int) -> None:
    seen, consumer = step_by_step("viewer", kill_at)
    assert seen == sorted(set(seen))
    assert consumer.held == 0
    assert sum(consumer.ledger.counts[n] for n in ("passed", "dropped", "lost")) == 30


def test_viewers_that_sleep_hold_nobody_up() -> None:
    holding = Holding(12, SLOT)
    for number in range(4):
        holding.attach(f"viewer{number}", Policy("latest"))
    for seq in range(1, 200):
        slot = holding.loan()
        assert slot is not None
        holding.publish(slot, seq)
        for consumer in holding.consumers.values():
            holding.due(consumer)
    assert [c.ledger.counts["dropped"] for c in holding.consumers.values()] == [197] * 4


def test_a_consumer_for_whom_no_slot_is_left_is_refused() -> None:
    holding = Holding(5, SLOT)
    holding.attach("writer", Policy())
    holding.attach("viewer", Policy("latest"))
    with pytest.raises(PipeError, match="larger budget"):
        holding.attach("another", Policy("latest"))


def test_a_full_lossless_consumer_is_named() -> None:
    holding = Holding(8, SLOT)
    holding.expect("slow", Policy(budget_bytes=2 * SLOT))
    holding.expect("quick", Policy())
    for seq in (1, 2):
        slot = holding.loan()
        assert slot is not None
        holding.publish(slot, seq)
    assert holding.loan() is None
    assert holding.blocked_by() == ["slow"]
    holding.forget("slow")
    assert holding.loan() is not None


def test_a_sample_is_each_nth_frame() -> None:
    holding = Holding(8, SLOT)
    consumer = holding.attach("some", Policy("sample", every=4))
    got = []
    for seq in range(1, 21):
        slot = holding.loan()
        assert slot is not None
        holding.publish(slot, seq)
        for entry in holding.due(consumer):
            got.append(entry.seq_num)
            holding.confirm(consumer, entry.slot)
    assert got == [1, 5, 9, 13, 17]


def spilling(slots: int, frames: int) -> tuple[Holding, Consumer, list[Entry]]:
    """A consumer with so many slots, and frames for it; what is to be copied onto disk."""
    holding = Holding(8, SLOT, 5)
    policy = Policy("spill", disk_bytes=5 * SLOT, budget_bytes=slots * SLOT)
    consumer = holding.attach("disk", policy)
    copies: list[Entry] = []
    for seq in range(1, frames + 1):
        slot = holding.loan()
        assert slot is not None
        copies += [entry for _, entry in holding.publish(slot, seq)]
    return holding, consumer, copies


def test_what_spills_comes_in_order_and_is_bounded() -> None:
    holding, consumer, copies = spilling(4, 2)
    for seq in range(3, 11):
        slot = holding.loan()
        assert slot is not None
        for one, entry in holding.publish(slot, seq):
            copies.append(entry)
            holding.written(one, entry, True)
    assert len(copies) == 5
    entries = holding.due(consumer)
    assert [e.seq_num for e in entries] == [1, 2, 3, 4, 5, 6, 7]
    assert consumer.ledger.counts["dropped"] == 3
    for entry in entries:
        holding.confirm(consumer, entry.slot)
    assert consumer.on_disk == 0


def test_a_disk_that_is_slow_or_full_leaves_frames_out_and_keeps_the_order() -> None:
    holding, consumer, (first, second) = spilling(4, 6)
    assert consumer.ledger.dropped.intervals() == [(5, 7)], "the disk is behind"
    assert [e.seq_num for e in holding.due(consumer)] == [1, 2]
    holding.written(consumer, second, True)
    assert holding.due(consumer) == [], "the one before it is still being copied"
    holding.written(consumer, first, False)
    assert [e.seq_num for e in holding.due(consumer)] == [4]
    assert consumer.ledger.dropped.intervals() == [(3, 4), (5, 7)]


def test_a_consumer_that_dies_while_its_frames_are_copied_frees_them_when_they_are() -> None:
    holding, consumer, copies = spilling(4, 4)
    holding.detach("disk")
    assert consumer.held == 0
    assert holding.free == 6, "two are still being read"
    for entry in copies:
        holding.written(consumer, entry, True)
    assert holding.free == 8
    assert consumer.on_disk == consumer.writing == 0


def test_a_slot_that_is_not_held_cannot_be_confirmed() -> None:
    holding = Holding(4, SLOT)
    consumer = holding.attach("writer", Policy())
    with pytest.raises(PipeError, match="does not hold"):
        holding.confirm(consumer, 2)
