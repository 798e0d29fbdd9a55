"""Room: pipes. What the producer's end does with its slots, whichever way frames leave it.

In: frames, from the caller. Out: slots that are lent, filled, published, and put on disk where a
policy says so. `outlet` (one host) and `far_outlet` (between hosts) add the memory that slots lie
in, and the consumers. Who holds which slot is decided in `holding`.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from undula.core.faults import reached
from undula.core.log import get_logger
from undula.pipes.errors import PipeError
from undula.pipes.frame import Array, Frame, checksum, in_slot, pack
from undula.pipes.link import wire
from undula.pipes.link.consumer import Consumer, Entry
from undula.pipes.link.counted import Counted
from undula.pipes.link.holding import Holding
from undula.pipes.link.ports import Loan
from undula.pipes.link.slab import slot_size
from undula.pipes.link.spilling import Spilling
from undula.pipes.policy import Policy

BATCH_S = 0.001
"""A small frame waits so long at most to travel together with others."""
BATCH_FRAMES = 128
AT_ONCE_BYTES = 1 << 16
"""A frame of this size does not wait for others."""

Peer = TypeVar("Peer")
"""A connection of a consumer."""


class SlotOutlet(Counted, ABC, Generic[Peer]):
    """Slots of one producer.

    Args:
        where: what it is called in errors.
        frame_bytes: size of the largest frame.
        budget_bytes: memory for all slots.
        expect: consumers that will come, by name: a lossless one misses nothing until it does.
        spill: folder for frames that a policy may put on disk.
        spill_bytes: how much of it at most.
        checked: send a checksum with each frame.
    Raises: StorageError when nothing can be put on disk there.
    """

    def __init__(
        self,
        where: str,
        *,
        frame_bytes: int,
        budget_bytes: int,
        expect: Mapping[str, Policy] | None,
        spill: Path | None,
        spill_bytes: int,
        checked: bool,
    ) -> None:
        self._where = where
        self.slot_bytes = slot_size(frame_bytes)
        slots = max(3, budget_bytes // self.slot_bytes)
        on_disk = spill_bytes // self.slot_bytes if spill is not None else 0
        self.holding = Holding(slots, self.slot_bytes, on_disk)
        for name, policy in (expect or {}).items():
            self.holding.expect(name, policy)
        self._checked = checked
        self._descriptors: list[bytes] = [b""] * (slots + on_disk)
        self._sizes: list[int] = [0] * (slots + on_disk)
        self._unsent = 0
        self._oldest = 0.0
        self._finished: dict[str, Any] | None = None
        self._disk_full = self._closed = False
        self._by_name: dict[str, Peer] = {}
        self.last = 0
        """Sequence number of the last frame that was published."""
        self._spill: Spilling[tuple[Consumer, Entry]] | None = None
        if spill is not None and on_disk:
            self._spill = Spilling(spill, on_disk, self.slot_bytes)

    # ---- what the two ways differ in -----------------------------------------------------------

    @abstractmethod
    def _memory_of(self, slot: int) -> tuple[Any, int]:
        """The memory that a slot lies in, and where in it, bytes."""

    @abstractmethod
    def pump(self, timeout_s: float | None = 0.0) -> None:
        """Hear the consumers: confirmations, newcomers, deaths. Wait for one so long."""

    @abstractmethod
    def flush(self) -> None:
        """Hand everything on that waits to be sent together."""

    @abstractmethod
    def _dismiss(self, peer: Peer) -> None:
        """Hang up on a consumer."""

    @abstractmethod
    def _close(self) -> None:
        """Hang up on all of them, and let nobody in."""

    # ---- frames --------------------------------------------------------------------------------

    def loan(
        self, shape: Sequence[int], dtype: npt.DTypeLike, *, timeout_s: float | None = None
    ) -> Loan | None:
        """A slot to write into; None when a lossless consumer holds us up for so long.

        Waits for ever with None, does not wait with 0. Raises: PipeError when it does not fit.
        """
        kind = np.dtype(dtype)
        slot = self._slot(math.prod(shape) * kind.itemsize, timeout_s)
        return None if slot is None else Loan(slot, self._array(slot, shape, kind))

    def _array(self, slot: int, shape: Sequence[int], kind: np.dtype[Any]) -> Array:
        memory, place = self._memory_of(slot)
        return np.ndarray(tuple(shape), kind, memory, place)

    def _slot(self, size: int, timeout_s: float | None) -> int | None:
        if size > self.slot_bytes:
            raise PipeError(
                f"a frame of {size} bytes does not fit into a slot of {self.slot_bytes}",
                remedy="say how large the frames of this port are",
                where=self._where,
            )
        slot = self.holding.loan()
        if slot is None:
            slot = self._wait_for_slot(timeout_s)
            if slot is None:
                return None
        reached("pipes.loaned")
        return slot

    def _wait_for_slot(self, timeout_s: float | None) -> int | None:
        end = None if timeout_s is None else time.monotonic() + timeout_s
        self.pump(0.0)
        while (slot := self.holding.loan()) is None:
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                return None
            self.pump(left)
        return slot

    def publish(self, loan: Loan, frame: Frame) -> None:
        """Hand on what lies in the loan; `frame` says what it is, `frame.data` a part of it.

        Raises: PipeError when it is not.
        """
        loan.check(frame)
        self._publish(loan.slot, frame)

    def _publish(self, slot: int, frame: Frame) -> None:
        if self._checked and frame.checksum is None:
            frame.checksum = checksum(frame.data)
        if not frame.time:
            frame.time = time.time()
        size = frame.data.nbytes
        descriptor = self._descriptors[slot] = pack(frame, slot)
        self._sizes[slot] = size
        for consumer, entry in self.holding.publish(slot, frame.seq_num):
            self._descriptors[entry.slot] = in_slot(descriptor, entry.slot, 1)
            self._sizes[entry.slot] = size
            self._put_on_disk(consumer, entry, size)
        self.last = frame.seq_num
        reached("pipes.published")
        self._unsent += 1
        now = time.monotonic()
        if self._unsent == 1:
            self._oldest = now
        if self._unsent >= BATCH_FRAMES or size >= AT_ONCE_BYTES or now - self._oldest > BATCH_S:
            self.pump(0.0)

    def _put_on_disk(self, consumer: Consumer, entry: Entry, size: int) -> None:
        """Have a frame copied to where it waits for one that spills."""
        if self._spill is None:  # then there are no places on disk
            return
        memory, start = self._memory_of(entry.source)
        offset = (entry.slot - self.holding.slots) * self.slot_bytes
        self._spill.write((consumer, entry), offset, memoryview(memory)[start : start + size])

    def _hear_disk(self) -> None:
        """What was copied waits for its consumer now; what found no room is left out, and said."""
        if self._spill is None:
            return
        for (consumer, entry), done in self._spill.written():
            self.holding.written(consumer, entry, done)
            if not done and not self._disk_full:  # once, however often there is room in between
                folder = str(self._spill.slab.folder)
                get_logger().warning("pipe_spill_disk_full", link=self._where, folder=folder)
            self._disk_full = self._disk_full or not done

    def give_back(self, loan: Loan) -> None:
        """The loan is not needed after all."""
        self.holding.give_back(loan.slot)

    def send(self, frame: Frame, *, timeout_s: float | None = None) -> bool:
        """Copy a frame into a slot and publish it; False when there is no slot in time."""
        data = frame.data
        slot = self._slot(data.nbytes, timeout_s)
        if slot is None:
            return False
        self._array(slot, data.shape, data.dtype)[...] = data
        self._publish(slot, frame)
        return True

    # ---- looking and ending --------------------------------------------------------------------

    @property
    def present(self) -> list[str]:
        """Consumers that are connected now."""
        return list(self._by_name)

    def forget(self, name: str) -> None:
        """A consumer will have no successor: what it holds is lost and free."""
        peer = self._by_name.get(name)
        if peer is not None:
            self._dismiss(peer)
        if name in self.holding.consumers:
            self.holding.forget(name)

    def finish(self) -> None:
        """There will be no further frame: consumers see the end behind the last one."""
        self._finished = {"last": self.last}
        self.flush()

    def close(self) -> None:
        """Hang up. What was not handed on goes with it: `finish` and `in_flight` first."""
        if self._closed:
            return
        self._closed = True
        self._close()
        if self._spill is not None:
            self._spill.close()


def policy_from(asked: Mapping[str, Any]) -> Policy:
    """The policy that a consumer asks for. Raises: WireError."""
    kind = asked.get("kind")
    numbers = [asked.get(name) for name in ("every", "disk_bytes")]
    budget = asked.get("budget_bytes")
    if kind not in ("lossless", "latest", "sample", "spill") or not all(
        isinstance(n, int) and n >= 0 for n in (*numbers, budget or 0)
    ):
        raise wire.nonsense(f"policy {kind!r}")
    return Policy(kind, max(1, int(numbers[0] or 1)), int(numbers[1] or 0), budget)
