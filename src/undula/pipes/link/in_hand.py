"""Room: pipes. What a consumer on another host has in hand, over all its connections. Pure.

In: frames that came, frames that are done, and each new connection. Out: whether a frame is to be
handed out, what to confirm, and what a new connection says first, so that the producer goes on at
the first frame that is neither done nor in hand. Its counterpart is `Holding.resume`, which takes
what `told` read of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

from undula.pipes.intervals import IntervalSet
from undula.pipes.ledger import EdgeLedger
from undula.pipes.link.wire import FAILED, nonsense

MOST_TOLD = 1000
"""Intervals that a new connection tells of; frames before them come again, and are known here."""


class InHand:
    """Frames between their arrival and their confirmation.

    `held`: by slot of the producer, whom their confirmation concerns. `orphans`: in hand as well,
    but their producer died or has counted them as lost. `adopted`: slots in which orphans came
    again, meanwhile; they are confirmed together with them.
    """

    def __init__(self, ledger: EdgeLedger) -> None:
        self.ledger = ledger
        self.producer = ""
        self.held: dict[int, int] = {}
        self.orphans: set[int] = set()
        self.adopted: dict[int, list[int]] = {}
        self.marks: list[int] = []
        self._resumed = bool(ledger.seen or ledger.closed)

    def told(self) -> dict[str, Any]:
        """What a new connection says first, of the time before; it has nothing else to confirm."""
        self.marks.clear()
        have = [*self.held.items(), *((s, n) for n, slots in self.adopted.items() for s in slots)]
        return {
            "producer": self.producer,
            "have": have,
            "passed": self.ledger.passed.intervals()[-MOST_TOLD:],
            "failed": self.ledger.failed.intervals()[-MOST_TOLD:],
        }

    def welcomed(self, producer: str, kept: Iterable[int]) -> None:
        """A connection stands; `kept`: slots that are held for us as before."""
        still = set(kept) if producer == self.producer else set()
        self.orphans.update(n for slot, n in self.held.items() if slot not in still)
        self.held = {slot: n for slot, n in self.held.items() if slot in still}
        adopted = {n: [s for s in slots if s in still] for n, slots in self.adopted.items()}
        self.adopted = {n: slots for n, slots in adopted.items() if slots}
        # done since `told`, in a slot that is ours as before: the producer does not know yet
        self.marks = [mark for mark in self.marks if mark & ~FAILED in still]
        self._resumed = self._resumed or bool(self.producer)
        self.producer = producer

    def came(self, slot: int, seq_num: int) -> bool:
        """Whether to hand a frame out; one that is done already is confirmed again."""
        ledger = self.ledger
        if seq_num in self.orphans:
            self.adopted.setdefault(seq_num, []).append(slot)
            return False
        if self._resumed and (fate := ledger.fate(seq_num)):
            self.marks.append(slot if fate == "passed" else slot | FAILED)
            return False
        ledger.seen.add(seq_num)
        self.held[slot] = seq_num
        return True

    def done(self, slot: int, seq_num: int, *, failed: bool) -> None:
        """A frame that was handed out is done with."""
        mark = FAILED if failed else 0
        (self.ledger.failed if failed else self.ledger.passed).add(seq_num)
        if self.held.get(slot) == seq_num:
            del self.held[slot]
            self.marks.append(slot | mark)
            return
        self.orphans.discard(seq_num)
        self.marks += [s | mark for s in self.adopted.pop(seq_num, ())]


def told(asked: Mapping[str, Any]) -> tuple[IntervalSet, IntervalSet, dict[int, int]]:
    """What a consumer that came back says: passed, failed, in hand by slot. Raises: WireError."""
    have = asked.get("have", [])
    if not _are_pairs(have):
        raise nonsense("a consumer that does not know what it has")
    return _intervals(asked.get("passed", [])), _intervals(asked.get("failed", [])), dict(have)


def _are_pairs(found: Any) -> bool:
    """Whether it is a list of two numbers each, that a frame or a slot may have."""
    return isinstance(found, list) and all(map(_is_pair, found))


def _is_pair(found: Any) -> bool:
    is_pair = isinstance(found, list) and len(found) == 2
    return is_pair and all(type(n) is int and 0 <= n < 1 << 63 for n in found)


def _intervals(found: Any) -> IntervalSet:
    """Intervals, each behind the one before it. Raises: WireError."""
    numbers = [number for pair in found for number in pair] if _are_pairs(found) else [1, 0]
    if any(after <= number for number, after in pairwise(numbers)):
        raise nonsense("a consumer whose intervals are in no order")
    return IntervalSet(found)
