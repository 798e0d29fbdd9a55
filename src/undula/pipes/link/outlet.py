"""Room: pipes. The producer's end of a link between processes of one host.

In: frames, from the caller. Out: descriptors to each consumer over a Unix socket, in batches; the
frames themselves lie in slots that consumers map for reading (`slab`). Who holds which slot is
decided in `holding`. No thread, no timer: the caller's calls do everything, and a death is an end
of file, seen at once by a caller who waits for a slot.
"""

from __future__ import annotations

import math
import os
import select
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from undula.core.errors import UndulaError
from undula.core.faults import reached
from undula.core.log import get_logger
from undula.core.unix_socket import bind_for_group
from undula.pipes.errors import PipeError
from undula.pipes.frame import Frame, checksum, in_slot, marked_again, pack
from undula.pipes.ledger import EdgeLedger
from undula.pipes.link import wire
from undula.pipes.link.holding import Consumer, Holding
from undula.pipes.link.ports import Loan
from undula.pipes.link.slab import Slab, SpillSlab, slot_size
from undula.pipes.policy import Policy

BATCH_S = 0.001
"""A small frame waits so long at most to travel together with others."""
BATCH_FRAMES = 128
AT_ONCE_BYTES = 1 << 16
"""A frame of this size does not wait for others."""
SEND_BUFFER_BYTES = 1 << 20


class _Connection:
    """A consumer's socket."""

    __slots__ = ("blocked", "consumer", "end_sent", "socket")

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.consumer: Consumer | None = None
        self.blocked = False
        self.end_sent = False


class Outlet:
    """Slots of one producer, and the consumers that are connected to it.

    Args:
        path: of the Unix socket that consumers connect to.
        frame_bytes: size of the largest frame.
        budget_bytes: memory for all slots.
        expect: consumers that will come, by name: a lossless one misses nothing until it does.
        spill: folder for frames that a policy may put on disk.
        spill_bytes: how much of it at most.
        checked: send a checksum with each frame.
    """

    def __init__(
        self,
        path: Path,
        *,
        frame_bytes: int,
        budget_bytes: int = 64 << 20,
        expect: Mapping[str, Policy] | None = None,
        spill: Path | None = None,
        spill_bytes: int = 0,
        checked: bool = False,
    ) -> None:
        self.slot_bytes = slot_size(frame_bytes)
        slots = max(3, budget_bytes // self.slot_bytes)
        on_disk = spill_bytes // self.slot_bytes if spill is not None else 0
        self._holding = Holding(slots, self.slot_bytes, on_disk)
        for name, policy in (expect or {}).items():
            self._holding.expect(name, policy)
        self._spill = SpillSlab(spill, on_disk, self.slot_bytes) if spill and on_disk else None
        self._slab = Slab(slots, self.slot_bytes)
        self._checked = checked
        self._path = path
        self._descriptors: list[bytes] = [b""] * (slots + on_disk)
        self._connections: dict[int, _Connection] = {}
        self._by_consumer: dict[str, _Connection] = {}
        self._unsent = 0
        self._oldest = 0.0
        self._finished: dict[str, Any] | None = None
        self._closed = False
        self.last = 0
        """Sequence number of the last frame that was published."""
        self._door = bind_for_group(path, socket.SOCK_SEQPACKET)
        self._door.listen(64)
        self._door.setblocking(False)
        self._epoll = select.epoll()
        self._epoll.register(self._door.fileno(), select.EPOLLIN)

    # ---- frames --------------------------------------------------------------------------------

    def loan(
        self, shape: Sequence[int], dtype: npt.DTypeLike, *, timeout_s: float | None = None
    ) -> Loan | None:
        """A slot to write into; None when a lossless consumer holds us up for so long.

        Waits for ever with None, does not wait with 0. Raises: PipeError when it does not fit.
        """
        kind = np.dtype(dtype)
        slot = self._slot(math.prod(shape) * kind.itemsize, timeout_s)
        if slot is None:
            return None
        place = slot * self.slot_bytes
        return Loan(slot, np.ndarray(tuple(shape), kind, self._slab.memory, place))

    def _slot(self, size: int, timeout_s: float | None) -> int | None:
        if size > self.slot_bytes:
            raise PipeError(
                f"a frame of {size} bytes does not fit into a slot of {self.slot_bytes}",
                remedy="say how large the frames of this port are",
                where=str(self._path.name),
            )
        slot = self._holding.loan()
        if slot is None:
            slot = self._wait_for_slot(timeout_s)
        reached("pipes.loaned")
        return slot

    def _wait_for_slot(self, timeout_s: float | None) -> int | None:
        end = None if timeout_s is None else time.monotonic() + timeout_s
        self.pump(0.0)
        while True:
            slot = self._holding.loan()
            if slot is not None:
                return slot
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                return None
            self.pump(left)

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
        descriptor = self._descriptors[slot] = pack(frame, slot)
        for consumer, place in self._holding.publish(slot, frame.seq_num):
            self._put_on_disk(consumer, place, slot, frame.data.nbytes, descriptor)
        self.last = frame.seq_num
        reached("pipes.published")
        self._unsent += 1
        if self._unsent == 1:
            self._oldest = time.monotonic()
        if (
            self._unsent >= BATCH_FRAMES
            or frame.data.nbytes >= AT_ONCE_BYTES
            or time.monotonic() - self._oldest > BATCH_S
        ):
            self.pump(0.0)

    def _put_on_disk(
        self, consumer: Consumer, place: int, slot: int, size: int, descriptor: bytes
    ) -> None:
        start = slot * self.slot_bytes
        view = memoryview(self._slab.memory)[start : start + size]
        offset = (place - self._holding.slots) * self.slot_bytes
        self._descriptors[place] = in_slot(descriptor, place, 1)
        if self._spill is None or not self._spill.write(offset, view):
            self._holding.drop_last(consumer)

    def give_back(self, loan: Loan) -> None:
        """The loan is not needed after all."""
        self._holding.give_back(loan.slot)

    def send(self, frame: Frame, *, timeout_s: float | None = None) -> bool:
        """Copy a frame into a slot and publish it; False when there is no slot in time."""
        data = frame.data
        slot = self._slot(data.nbytes, timeout_s)
        if slot is None:
            return False
        place = slot * self.slot_bytes
        np.ndarray(data.shape, data.dtype, self._slab.memory, place)[...] = data
        self._publish(slot, frame)
        return True

    # ---- consumers -----------------------------------------------------------------------------

    def flush(self) -> None:
        """Hand everything on that waits to be sent together."""
        self._unsent = 0
        for connection in list(self._by_consumer.values()):
            self._hand_on(connection)

    def _hand_on(self, connection: _Connection) -> None:
        consumer, holding = connection.consumer, self._holding
        if consumer is None or connection.blocked:
            return
        while entries := holding.due(consumer, wire.PER_PACKET):
            texts = self._descriptors
            body = b"".join(
                marked_again(texts[e.slot]) if e.again else texts[e.slot] for e in entries
            )
            if not self._sent(connection, wire.packet(wire.FRAMES, body, len(entries))):
                if connection.blocked:
                    holding.unsend(consumer, entries)
                return
            reached("pipes.sent")
        if self._finished is not None and not consumer.pending and not connection.end_sent:
            connection.end_sent = self._sent(connection, wire.words(wire.END, self._finished))

    def _sent(self, connection: _Connection, raw: bytes) -> bool:
        try:
            connection.socket.send(raw, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except (BlockingIOError, InterruptedError):
            connection.blocked = True
            self._epoll.modify(connection.socket.fileno(), select.EPOLLIN | select.EPOLLOUT)
            return False
        except OSError:  # it died: what it confirmed before is still to be read
            self._hear(connection, select.EPOLLIN)
            self._drop(connection)
            return False
        return True

    def pump(self, timeout_s: float | None = 0.0) -> None:
        """Hear the consumers: confirmations, newcomers, deaths. Wait for one so long."""
        if self._unsent:
            self.flush()
        events = self._epoll.poll(timeout_s)
        door = self._door.fileno()
        for descriptor, event in events:
            if descriptor == door:
                continue
            connection = self._connections.get(descriptor)
            if connection is not None:
                self._hear(connection, event)
        if any(descriptor == door for descriptor, _ in events):
            self._admit()
        if events:
            self.flush()

    def _hear(self, connection: _Connection, event: int) -> None:
        if event & select.EPOLLOUT:
            connection.blocked = False
            self._epoll.modify(connection.socket.fileno(), select.EPOLLIN)
        if not event & ~select.EPOLLOUT:
            return
        while True:
            try:
                raw = wire.received(connection.socket)
            except BlockingIOError:
                return
            if not raw:
                self._drop(connection)
                return
            try:
                self._understand(connection, raw)
            except UndulaError as exc:
                self._refuse(connection, exc)
                return

    def _understand(self, connection: _Connection, raw: bytes) -> None:
        kind, _, body = wire.opened(raw)
        consumer = connection.consumer
        if kind == wire.CONFIRM and consumer is not None:
            confirm = self._holding.confirm
            for mark in wire.confirmed(body):
                confirm(consumer, mark & ~wire.FAILED, mark >= wire.FAILED)
        elif kind == wire.HELLO and consumer is None:
            self._welcome(connection, wire.content(body))
        else:
            raise wire.nonsense(f"packet {kind} at the wrong moment")

    def _admit(self) -> None:
        while True:
            try:
                connected, _ = self._door.accept()
            except (BlockingIOError, InterruptedError):
                return
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            self._connections[connected.fileno()] = _Connection(connected)
            self._epoll.register(connected.fileno(), select.EPOLLIN)

    def _welcome(self, connection: _Connection, asked: Mapping[str, Any]) -> None:
        name = asked.get("name")
        if not isinstance(name, str) or not name:
            raise wire.nonsense("a consumer without a name")
        policy = policy_from(asked)
        before = self._by_consumer.get(name)
        if before is not None:
            self._hear(before, select.EPOLLIN)  # its end of file may wait to be read
        consumer = self._holding.attach(name, policy)
        connection.consumer = consumer
        self._by_consumer[name] = connection
        answer = {
            "slots": self._holding.slots,
            "slot_bytes": self.slot_bytes,
            "spill_slots": self._holding.spill_slots if self._spill else 0,
            "most": consumer.most,
        }
        given = [self._slab.descriptor]
        if self._spill is not None:
            given.append(self._spill.descriptor)
        try:
            socket.send_fds(connection.socket, [wire.words(wire.WELCOME, answer)], given)
        except OSError:
            self._drop(connection)
        reached("pipes.welcomed")

    def _refuse(self, connection: _Connection, error: UndulaError) -> None:
        get_logger().warning("pipe_consumer_refused", link=self._path.name, error=str(error))
        answer = wire.words(wire.REFUSED, {"what": error.what, "remedy": error.remedy})
        with suppress(OSError):
            connection.socket.send(answer, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        self._drop(connection)

    def _drop(self, connection: _Connection) -> None:
        number = connection.socket.fileno()
        if self._connections.pop(number, None) is None:
            return
        self._epoll.unregister(number)
        connection.socket.close()
        consumer, connection.consumer = connection.consumer, None
        if consumer is not None and self._by_consumer.get(consumer.name) is connection:
            del self._by_consumer[consumer.name]
            self._holding.detach(consumer.name)

    # ---- looking and ending --------------------------------------------------------------------

    def fileno(self) -> int:
        """Readable when `pump` has something to do."""
        return self._epoll.fileno()

    def blocked_by(self) -> list[str]:
        """Names of the lossless consumers that hold the producer up."""
        return self._holding.blocked_by()

    @property
    def waiting(self) -> bool:
        """Whether a frame has not reached a lossless consumer yet."""
        return self._holding.waiting

    @property
    def in_flight(self) -> int:
        """Frames that a lossless consumer has not confirmed yet."""
        return self._holding.in_flight

    @property
    def present(self) -> list[str]:
        """Consumers that are connected now."""
        return list(self._by_consumer)

    def ledgers(self) -> dict[str, EdgeLedger]:
        """What became of the frames, by consumer."""
        return {name: c.ledger for name, c in self._holding.consumers.items()}

    def depths(self) -> Mapping[str, int]:
        """Frames not yet confirmed, by consumer."""
        return self._holding.depths()

    def forget(self, name: str) -> None:
        """A consumer will have no successor: what it holds is lost and free."""
        connection = self._by_consumer.get(name)
        if connection is not None:
            self._drop(connection)
        if name in self._holding.consumers:
            self._holding.forget(name)

    def finish(self) -> None:
        """There will be no further frame: consumers see the end behind the last one."""
        self._finished = {"last": self.last}
        self.flush()

    def close(self) -> None:
        """Hang up. What was not handed on goes with it: `finish` and `in_flight` first."""
        if self._closed:
            return
        self._closed = True
        for connection in list(self._connections.values()):
            self._drop(connection)
        self._epoll.close()
        self._door.close()
        with suppress(OSError):
            os.unlink(self._path)
        self._slab.close()
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
