"""Room: pipes. Who holds which slot: the protocol of a link, without any socket. Pure.

In: loans, frames published, what consumers confirm, who comes and who dies. Out: which slot is
free, what is due to whom, and the ledger of each consumer. `outlet` and `memory` act on it;
property tests kill everybody at every step of it.

The slots are as many as all consumers that are not lossless may hold, and some more. So these can
never use up the slots, however long they sleep: only a lossless consumer holds a producer up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from undula.pipes.errors import PipeError
from undula.pipes.intervals import IntervalSet
from undula.pipes.link.consumer import Consumer, Entry
from undula.pipes.policy import Policy

LOANS = 2
"""Slots beyond what consumers hold: one that is being written, one that was."""


class Holding:
    """The slots of one producer. Slots above `slots` lie on disk, for consumers that spill.

    Args:
        slots: in memory, at least 3.
        slot_bytes: size of each.
        spill_slots: on disk.
    """

    def __init__(self, slots: int, slot_bytes: int, spill_slots: int = 0) -> None:
        if slots < LOANS + 1:
            raise PipeError(
                f"a link with {slots} slots cannot work", remedy=f"give it {LOANS + 1} or more"
            )
        self.slots, self.slot_bytes, self.spill_slots = slots, slot_bytes, spill_slots
        self.consumers: dict[str, Consumer] = {}
        self._free = list(range(slots - 1, -1, -1))
        self._free_on_disk = list(range(slots + spill_slots - 1, slots - 1, -1))
        self._holders = [0] * (slots + spill_slots)
        self.published = 0
        """How many frames were published."""
        self._all: tuple[Consumer, ...] = ()
        self._lossless: tuple[Consumer, ...] = ()

    # ---- consumers -----------------------------------------------------------------------------

    def expect(self, name: str, policy: Policy) -> Consumer:
        """A consumer that will come: a lossless one misses nothing until then.

        Raises: PipeError when its budget and the others' are more than there is.
        """
        available = self.slots - LOANS - sum(c.most for c in self._all if not c.lossless)
        most = policy.slots(self.slot_bytes, max(1, available))
        least = 1 if policy.kind == "lossless" else most
        keep = 0 if policy.kind == "lossless" or not self._lossless else 1
        if least > available - keep:
            raise PipeError(
                f"consumer {name!r} ({policy.text}) may hold {most} slots, and "
                f"{available - keep} of {self.slots} are left",
                remedy="give the producer a larger budget, or the consumer a smaller one",
                where=name,
            )
        consumer = Consumer(name, policy, most)
        self.consumers[name] = consumer
        self._sort()
        return consumer

    def _sort(self) -> None:
        self._all = tuple(self.consumers.values())
        self._lossless = tuple(c for c in self._all if c.lossless)

    def attach(self, name: str, policy: Policy) -> Consumer:
        """A consumer came, perhaps the successor of one that died. Raises: PipeError."""
        known = self.consumers.get(name)
        if known is None:
            known = self.expect(name, policy)
        elif known.present:
            raise PipeError(
                f"there is a consumer {name!r} already",
                remedy="give this one another name, or end the other",
                where=name,
            )
        elif known.policy.kind != policy.kind:
            raise PipeError(
                f"consumer {name!r} is {known.policy.text} here, not {policy.text}",
                remedy="ask for the policy that the graph says",
                where=name,
            )
        known.present = known.came = True
        return known

    def detach(self, name: str) -> None:
        """A consumer died or hung up. Lossless: all it had is kept, in order, for its successor.

        The slots of every other consumer are free at once, and its frames count as lost.
        """
        consumer = self.consumers[name]
        consumer.present = False
        if consumer.lossless:
            for entry in consumer.sent.values():
                entry.again = True
            both = (*consumer.sent.values(), *consumer.pending)
            consumer.pending = deque(sorted(both, key=_place))
            consumer.sent.clear()
            consumer.mixed = False
        else:
            self._lose(consumer)

    def resume(
        self,
        consumer: Consumer,
        passed: IntervalSet,
        failed: IntervalSet,
        have: Mapping[int, int],
    ) -> list[int]:
        """A consumer on another host came back, and tells what became of what it was sent.

        Args:
            passed: sequence numbers that it is done with.
            failed: those that it could not work on.
            have: sequence numbers by slot that it still has in hand.
        Returns: slots of `have` that are with it as before; the others do not concern it any more.
        """
        kept: list[int] = []
        waiting: deque[Entry] = deque()
        for entry in consumer.pending:
            if have.get(entry.slot) == entry.seq_num:
                consumer.sent[entry.slot] = entry
                kept.append(entry.slot)
            elif entry.seq_num in passed or entry.seq_num in failed:
                fate = consumer.ledger.passed if entry.seq_num in passed else consumer.ledger.failed
                fate.add(entry.seq_num)
                self._release(consumer, entry.slot)
            else:
                waiting.append(entry)
        consumer.pending = waiting
        consumer.mixed = bool(kept and waiting)
        return kept

    def forget(self, name: str) -> None:
        """A consumer will have no successor: its frames are lost, its slots free."""
        consumer = self.consumers.pop(name)
        self._lose(consumer)
        self._sort()

    def _lose(self, consumer: Consumer) -> None:
        for entry in (*consumer.sent.values(), *consumer.pending):
            consumer.ledger.lost.add(entry.seq_num)
            if entry.source >= 0:
                entry.given_up = True  # it is still written to: `written` frees it
                consumer.orphans += 1
            else:
                self._release(consumer, entry.slot)
        consumer.sent.clear()
        consumer.pending.clear()

    # ---- slots ---------------------------------------------------------------------------------

    def _let_go(self, slot: int) -> None:
        self._holders[slot] -= 1
        if self._holders[slot] == 0:
            (self._free if slot < self.slots else self._free_on_disk).append(slot)

    def _release(self, consumer: Consumer, slot: int) -> None:
        if slot >= self.slots:
            consumer.on_disk -= 1
        self._let_go(slot)

    def loan(self) -> int | None:
        """A slot to write into; None when the lossless consumers leave none."""
        for consumer in self._lossless:
            if len(consumer.pending) + len(consumer.sent) >= consumer.most:
                return None
        if not self._free:
            return None
        slot = self._free.pop()
        self._holders[slot] = 1
        return slot

    def give_back(self, slot: int) -> None:
        """A loan that is not published."""
        self._let_go(slot)

    def blocked_by(self) -> list[str]:
        """Who leaves no slot: lossless consumers at their bound, else those that hold most."""
        full = [c.name for c in self._lossless if c.held >= c.most]
        if full or self._free:
            return full
        most = max((c.held for c in self._lossless), default=0)
        return [c.name for c in self._lossless if c.held == most and most]

    def publish(self, slot: int, seq_num: int) -> list[tuple[Consumer, Entry]]:
        """A loan was written. Returns what to copy onto disk now, out of `Entry.source`.

        Both slots are kept, and the consumer gets nothing, until `written` says what came of it.
        """
        copies: list[tuple[Consumer, Entry]] = []
        holders = 0
        for consumer in self._all:
            ledger = consumer.ledger
            ledger.seen.add(seq_num)
            if consumer.lossless:
                consumer.pending.append(Entry(slot, seq_num, place=self.published))
                holders += 1
                continue
            consumer.counted += 1
            place = self._placed(consumer, slot)
            if place is None:
                ledger.dropped.add(seq_num)
                continue
            holders += 1
            entry = Entry(place, seq_num)
            if place != slot:
                self._holders[place] = 1
                entry.source = slot
                copies.append((consumer, entry))
            consumer.pending.append(entry)
        self.published += 1
        self._holders[slot] += holders
        self._let_go(slot)
        return copies

    def written(self, consumer: Consumer, entry: Entry, done: bool) -> None:
        """A copy is on disk; not `done`: the disk is full, and the frame is left out after all."""
        source, entry.source = entry.source, -1
        consumer.writing -= 1
        consumer.orphans -= entry.given_up
        self._let_go(source)
        if not done and not entry.given_up:
            consumer.pending.remove(entry)
            consumer.ledger.dropped.add(entry.seq_num)
        if not done or entry.given_up:
            self._release(consumer, entry.slot)

    def _placed(self, consumer: Consumer, slot: int) -> int | None:
        """Where a frame waits for a consumer that may miss some; None: its policy leaves it out."""
        kind = consumer.policy.kind
        if not consumer.present and (consumer.came or kind != "latest"):
            return None  # a viewer that is still to come will see the newest frame
        if kind == "latest":
            while consumer.pending:
                old = consumer.pending.popleft()
                consumer.ledger.dropped.add(old.seq_num)
                self._let_go(old.slot)
            return slot if consumer.held < consumer.most else None
        if kind == "sample":
            wanted = (consumer.counted - 1) % consumer.policy.every == 0
            return slot if wanted and consumer.held < consumer.most else None
        in_memory = consumer.held - consumer.on_disk + consumer.orphans
        if in_memory < consumer.most - consumer.ahead:
            return slot
        room = consumer.policy.disk_bytes // self.slot_bytes - consumer.on_disk
        if self._free_on_disk and room > 0 and consumer.writing < consumer.ahead:
            consumer.on_disk += 1
            consumer.writing += 1
            return self._free_on_disk.pop()
        return None  # its share of the disk is full, or the disk is slower than the frames come

    # ---- frames --------------------------------------------------------------------------------

    def due(self, consumer: Consumer, most: int = 1 << 30) -> list[Entry]:
        """Frames to send to it now, which then are with it. `latest` keeps one back to be newer."""
        pending = consumer.pending
        if not pending or not consumer.present:
            return []
        room = most
        if consumer.policy.kind == "latest":
            room = min(room, consumer.most - 1 - len(consumer.sent))
        if consumer.writing:
            ready = (n for n, entry in enumerate(pending) if entry.source >= 0)
            room = min(room, next(ready, room))
        found = [pending.popleft() for _ in range(min(room, len(pending)))]
        for entry in found:
            consumer.sent[entry.slot] = entry
        if consumer.mixed:
            consumer.sent = {e.slot: e for e in sorted(consumer.sent.values(), key=_place)}
            consumer.mixed = bool(pending)
        return found

    def unsend(self, consumer: Consumer, entries: list[Entry]) -> None:
        """These were due, but its socket is full: they wait again."""
        for entry in reversed(entries):
            del consumer.sent[entry.slot]
            consumer.pending.appendleft(entry)

    def confirm(self, consumer: Consumer, slot: int, failed: bool = False) -> None:
        """A consumer is done with a frame. Raises: PipeError when it does not have that slot."""
        entry = consumer.sent.pop(slot, None)
        if entry is None:
            raise PipeError(
                f"{consumer.name!r} confirms slot {slot}, which it does not hold",
                remedy="let both ends run the same version of Undula",
                where=consumer.name,
            )
        ledger = consumer.ledger
        (ledger.failed if failed else ledger.passed).add(entry.seq_num)
        self._release(consumer, slot)

    # ---- looking -------------------------------------------------------------------------------

    @property
    def sent(self) -> int:
        """So many of the frames, from the first on, were sent to all lossless consumers."""
        return min(
            (c.pending[0].place for c in self._lossless if c.pending), default=self.published
        )

    @property
    def confirmed(self) -> int:
        """So many of the frames, from the first on, were confirmed by all lossless consumers."""
        found = self.sent
        for consumer in self._lossless:
            for entry in consumer.sent.values():
                found = min(found, entry.place)
                break  # they are in order
        return found

    @property
    def in_flight(self) -> int:
        """Frames that the slowest lossless consumer has not confirmed."""
        return max((consumer.held for consumer in self._lossless), default=0)

    @property
    def free(self) -> int:
        """Slots in memory that nobody holds."""
        return len(self._free)

    def holders(self, slot: int) -> int:
        """How many hold a slot, a loan included."""
        return self._holders[slot]

    def depths(self) -> Mapping[str, int]:
        """Frames not yet confirmed, by consumer."""
        return {consumer.name: consumer.held for consumer in self._all}


def _place(entry: Entry) -> int:
    return entry.place
