"""Room: pipes. The link within one process: frames go by reference, under the same rules.

It serves edges between nodes of one process, and is the twin of `outlet` and `inlet` in tests: one
contract suite runs on both. A death is a call here, `MemoryInlet.die`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from undula.core.clock import now
from undula.pipes.errors import PipeError
from undula.pipes.frame import Frame, checksum
from undula.pipes.ledger import EdgeLedger
from undula.pipes.link.consumer import Consumer
from undula.pipes.link.counted import Counted
from undula.pipes.link.holding import Holding
from undula.pipes.link.ports import Ended, Loan
from undula.pipes.policy import Policy


class MemoryOutlet(Counted):
    """The producer's end.

    Args:
        frame_bytes: size of the largest frame.
        budget_bytes: of all frames that are held.
        expect: consumers that will come, by name.
        checked: add a checksum to each frame.
        waiting: called while there is no slot; it lets the consumers of this process go on.
    """

    def __init__(
        self,
        *,
        frame_bytes: int,
        budget_bytes: int = 64 << 20,
        expect: Mapping[str, Policy] | None = None,
        spill_bytes: int = 0,
        checked: bool = False,
        waiting: Callable[[], object] | None = None,
    ) -> None:
        size = max(64, frame_bytes)
        self.holding = Holding(max(3, budget_bytes // size), size, spill_bytes // size)
        for name, policy in (expect or {}).items():
            self.holding.expect(name, policy)
        self.frames: dict[int, Frame] = {}
        self.finished = self.closed = False
        self._checked, self._let_others = checked, waiting
        self.last = 0

    def loan(
        self, shape: Sequence[int], dtype: npt.DTypeLike, *, timeout_s: float | None = None
    ) -> Loan | None:
        """A new array to write into; None when a lossless consumer leaves no slot.

        Raises: PipeError when it does not fit, or when nobody could ever make room.
        """
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        slot = self._slot(size, timeout_s)
        return None if slot is None else Loan(slot, np.empty(tuple(shape), dtype))

    def _slot(self, size: int, timeout_s: float | None) -> int | None:
        if size > self.holding.slot_bytes:
            raise PipeError(
                f"a frame of {size} bytes does not fit into a slot of {self.holding.slot_bytes}",
                remedy="say how large the frames of this port are",
            )
        while (slot := self.holding.loan()) is None:
            if timeout_s is not None:
                return None
            if self._let_others is None or not self._let_others():
                raise PipeError(
                    f"no slot is free, and {', '.join(self.blocked_by()) or 'nobody'} cannot go on",
                    remedy="give this edge a larger budget, or another policy",
                )
        return slot

    def publish(self, loan: Loan, frame: Frame) -> None:
        """Hand the frame on, by reference. Raises: PipeError when it is not in the loan."""
        loan.check(frame)
        if self._checked and frame.checksum is None:
            frame.checksum = checksum(frame.data)
        self._keep(loan.slot, frame)

    def _keep(self, slot: int, frame: Frame) -> None:
        view = frame.data.view()
        view.flags.writeable = False
        self.frames[slot] = kept = replace(frame, data=view, time=frame.time or now())
        for consumer, entry in self.holding.publish(slot, frame.seq_num):
            self.frames[entry.slot] = kept
            self.holding.written(consumer, entry, True)
        self.last = frame.seq_num
        if not self.holding.holders(slot):
            del self.frames[slot]

    def give_back(self, loan: Loan) -> None:
        """The loan is not needed after all."""
        self.holding.give_back(loan.slot)

    def send(self, frame: Frame, *, timeout_s: float | None = None) -> bool:
        """Hand a frame on without copying it: the caller no longer writes into its data."""
        slot = self._slot(frame.data.nbytes, timeout_s)
        if slot is None:
            return False
        if self._checked and frame.checksum is None:
            frame = replace(frame, checksum=checksum(frame.data))
        self._keep(slot, frame)
        return True

    def flush(self) -> None:
        """Nothing waits here."""

    def pump(self, timeout_s: float | None = 0.0) -> None:
        """Nothing is to be heard here."""
        del timeout_s

    def fileno(self) -> int:
        """None: -1."""
        return -1

    @property
    def safe(self) -> int:
        """So many of them were confirmed: whoever has the others would die with this process."""
        return self.holding.confirmed

    def forget(self, name: str) -> None:
        """A consumer will have no successor: what it holds is lost and free."""
        with suppress(KeyError):
            self.holding.forget(name)

    def finish(self) -> None:
        """There will be no further frame."""
        self.finished = True

    def close(self) -> None:
        """Consumers see that the producer is gone."""
        self.closed = True


class MemoryInlet:
    """The consumer's end. What `ledger` has passed is confirmed, and not handed out again.

    Raises: PipeError when the producer has no room for it.
    """

    def __init__(
        self,
        outlet: MemoryOutlet,
        name: str,
        policy: Policy | None = None,
        *,
        ledger: EdgeLedger | None = None,
    ) -> None:
        self._outlet, self.name = outlet, name
        self.ledger = ledger or EdgeLedger()
        self._resumed = bool(self.ledger.seen or self.ledger.closed)
        self._consumer: Consumer | None = outlet.holding.attach(name, policy or Policy())
        self.room = self._consumer.most
        """Frames that it may have in hand before it holds the producer up."""

    def take(self, most: int = 64, timeout_s: float | None = 0.0) -> list[Frame]:
        """Frames that wait, in order. Nothing to wait for: who makes them is this very thread."""
        del timeout_s
        if self._consumer is None:
            return []
        found = []
        for entry in self._outlet.holding.due(self._consumer, most):
            kept = self._outlet.frames[entry.slot]
            frame = replace(kept, again=entry.again or kept.again, slot=entry.slot)
            if self._resumed and (fate := self.ledger.fate(frame.seq_num)):
                self._finish(frame, failed=fate == "failed")
                continue
            self.ledger.seen.add(frame.seq_num)
            found.append(frame)
        return found

    def confirm(self, frame: Frame) -> None:
        """Done with it."""
        self._finish(frame, failed=False)

    def fail(self, frame: Frame) -> None:
        """Done with it, but it could not be worked on."""
        self._finish(frame, failed=True)

    def _finish(self, frame: Frame, *, failed: bool) -> None:
        (self.ledger.failed if failed else self.ledger.passed).add(frame.seq_num)
        if self._consumer is not None and self._is_known():
            self._outlet.holding.confirm(self._consumer, frame.slot, failed)
            if not self._outlet.holding.holders(frame.slot):
                self._outlet.frames.pop(frame.slot, None)

    def _is_known(self) -> bool:
        """Whether the producer has not forgotten it."""
        return self._outlet.holding.consumers.get(self.name) is self._consumer

    def flush(self) -> None:
        """Nothing waits here."""

    def fileno(self) -> int:
        """None: -1."""
        return -1

    @property
    def ended(self) -> Ended:
        """`end` behind the last frame, `lost` when the producer is gone."""
        if self._consumer is not None and self._consumer.pending:
            return "no"
        if self._outlet.finished:
            return "end"
        return "lost" if self._outlet.closed else "no"

    @property
    def owing(self) -> bool:
        """Never: who makes the frames knows at once."""
        return False

    def close(self) -> None:
        """Hang up, as one that dies would."""
        if self._consumer is not None:
            if self._is_known():
                self._outlet.holding.detach(self.name)
            self._consumer = None
            self._outlet.frames = {
                slot: f
                for slot, f in self._outlet.frames.items()
                if self._outlet.holding.holders(slot)
            }
