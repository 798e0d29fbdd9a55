"""Room: pipes. The producer's end of a link to consumers on other hosts, over ZeroMQ.

In: frames, from the caller. Out: the same descriptors as on one host, with the data behind them:
small frames together in one part, large ones each in a part that libzmq reads where it lies. Who
holds which slot is decided in `holding`, as on one host: a slot is a credit.

A consumer that cannot be reached, or is silent for `Liveness.dead_s`, is dead; one that comes back
says what it has done, and what it has in hand. No thread of ours: the caller's calls do everything,
the check of keys included.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zmq
from zmq.utils import z85

from undula.core.errors import UndulaError
from undula.core.faults import reached
from undula.core.log import get_logger
from undula.pipes.errors import PipeError
from undula.pipes.frame import Frame, checksum, in_slot, marked_again, pack
from undula.pipes.intervals import IntervalSet
from undula.pipes.ledger import EdgeLedger
from undula.pipes.link import wire
from undula.pipes.link.far import (
    ALIGN,
    BATCH_BYTES,
    CONTROL_BYTES,
    Ears,
    Liveness,
    need_keys,
    prepare,
)
from undula.pipes.link.holding import Consumer, Entry, Holding
from undula.pipes.link.keys import Keys
from undula.pipes.link.outlet import BATCH_FRAMES, BATCH_S, policy_from
from undula.pipes.link.ports import Loan
from undula.pipes.link.slab import SpillSlab, slot_size
from undula.pipes.policy import Policy

LINGER_S = 0.5
"""A last word may take so long to leave."""
_ZAP = "inproc://zeromq.zap.01"


class _Peer:
    """A connection of a consumer."""

    __slots__ = ("answered", "consumer", "end_sent", "identity", "token")

    def __init__(self, identity: bytes, consumer: Consumer, token: str) -> None:
        self.identity, self.consumer, self.token = identity, consumer, token
        self.end_sent = False
        self.answered = 0


class FarOutlet:
    """Slots of one producer, and the consumers on other hosts that are connected to it.

    Args:
        address: to listen at, `tcp://HOST:PORT`; `*` takes any free port, see `address`.
        frame_bytes: size of the largest frame.
        budget_bytes: memory for all slots.
        expect: consumers that will come, by name: a lossless one misses nothing until it does.
        spill: folder for frames that a policy may put on disk.
        spill_bytes: how much of it at most.
        checked: send a checksum with each frame.
        keys: of this host; only an address of this host alone may do without.
        alive: when a consumer counts as dead.
    Raises: PipeError when it cannot listen there, or lacks keys.
    """

    def __init__(
        self,
        address: str,
        *,
        frame_bytes: int,
        budget_bytes: int = 64 << 20,
        expect: Mapping[str, Policy] | None = None,
        spill: Path | None = None,
        spill_bytes: int = 0,
        checked: bool = False,
        keys: Keys | None = None,
        alive: Liveness | None = None,
    ) -> None:
        need_keys(address, keys)
        self.slot_bytes = slot_size(frame_bytes)
        slots = max(3, budget_bytes // self.slot_bytes)
        on_disk = spill_bytes // self.slot_bytes if spill is not None else 0
        self._holding = Holding(slots, self.slot_bytes, on_disk)
        for name, policy in (expect or {}).items():
            self._holding.expect(name, policy)
        self._checked, self._keys, self._alive = checked, keys, alive or Liveness()
        self._memory: list[bytearray | None] = [None] * slots
        self._lent: dict[int, list[Any]] = {}
        self._descriptors: list[bytes] = [b""] * (slots + on_disk)
        self._sizes: list[int] = [0] * (slots + on_disk)
        self._incarnation = uuid.uuid4().hex
        self._peers: dict[bytes, _Peer] = {}
        self._by_name: dict[str, _Peer] = {}
        self._unsent, self._oldest, self._asked_at, self._asked = 0, 0.0, 0.0, 0
        self._finished: dict[str, Any] | None = None
        self._closed = False
        self.last = 0
        """Sequence number of the last frame that was published."""
        self._context = zmq.Context()
        self._ears = Ears()
        try:
            self._open(address)
        except BaseException:
            self._ears.close()
            self._context.destroy(0)
            raise
        self._spill = SpillSlab(spill, on_disk, self.slot_bytes) if spill and on_disk else None

    def _open(self, address: str) -> None:
        self._zap = self._context.socket(zmq.REP)
        self._zap.bind(_ZAP)
        self._door = self._context.socket(zmq.ROUTER)
        prepare(self._door, self._alive, address)
        self._door.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._door.setsockopt(zmq.MAXMSGSIZE, CONTROL_BYTES)
        if self._keys is not None:
            self._door.setsockopt(zmq.CURVE_SERVER, 1)
            self._door.setsockopt(zmq.CURVE_PUBLICKEY, self._keys.public)
            self._door.setsockopt(zmq.CURVE_SECRETKEY, self._keys.secret)
            self._door.setsockopt(zmq.ZAP_DOMAIN, b"undula")
        self._monitor = self._door.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        for made in (self._zap, self._door, self._monitor):
            self._ears.add(made)
        try:
            self._door.bind(address)
        except zmq.ZMQError as exc:
            raise PipeError(
                f"frames cannot be handed on at {address}: {exc.strerror}",
                remedy="give an address of this host, and a port that is free (or *)",
            ) from exc
        endpoint: Any = self._door.getsockopt(zmq.LAST_ENDPOINT)
        self.address: str = endpoint.rstrip(b"\0").decode()
        """Where consumers find it, with the port that was taken."""

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
        return Loan(slot, np.ndarray(tuple(shape), kind, self._room(slot)))

    def _slot(self, size: int, timeout_s: float | None) -> int | None:
        if size > self.slot_bytes:
            raise PipeError(
                f"a frame of {size} bytes does not fit into a slot of {self.slot_bytes}",
                remedy="say how large the frames of this port are",
                where=self.address,
            )
        slot = self._holding.loan()
        if slot is None:
            end = None if timeout_s is None else time.monotonic() + timeout_s
            self.pump(0.0)
            while (slot := self._holding.loan()) is None:
                left = None if end is None else end - time.monotonic()
                if left is not None and left <= 0:
                    return None
                self.pump(left)
        if any(not sending.done for sending in self._lent.pop(slot, ())):
            self._memory[slot] = None  # libzmq still reads there, for one that is gone
        reached("pipes.loaned")
        return slot

    def _room(self, slot: int) -> bytearray:
        room = self._memory[slot]
        if room is None:
            room = self._memory[slot] = bytearray(self.slot_bytes)
        return room

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
        for consumer, place in self._holding.publish(slot, frame.seq_num):
            self._descriptors[place] = in_slot(descriptor, place, 1)
            self._sizes[place] = size
            offset = (place - self._holding.slots) * self.slot_bytes
            if self._spill is None or not self._spill.write(
                offset, memoryview(self._room(slot))[:size]
            ):
                self._holding.drop_last(consumer)
        self.last = frame.seq_num
        reached("pipes.published")
        self._unsent += 1
        now = time.monotonic()
        if self._unsent == 1:
            self._oldest = now
        if self._unsent >= BATCH_FRAMES or size >= BATCH_BYTES or now - self._oldest > BATCH_S:
            self.pump(0.0)

    def give_back(self, loan: Loan) -> None:
        """The loan is not needed after all."""
        self._holding.give_back(loan.slot)

    def send(self, frame: Frame, *, timeout_s: float | None = None) -> bool:
        """Copy a frame into a slot and publish it; False when there is no slot in time."""
        data = frame.data
        slot = self._slot(data.nbytes, timeout_s)
        if slot is None:
            return False
        np.ndarray(data.shape, data.dtype, self._room(slot))[...] = data
        self._publish(slot, frame)
        return True

    # ---- handing on ----------------------------------------------------------------------------

    def flush(self) -> None:
        """Hand everything on that waits to be sent together."""
        self._unsent = 0
        for peer in list(self._by_name.values()):
            self._hand_on(peer)
        self._ears.settle()

    def _hand_on(self, peer: _Peer) -> None:
        consumer = peer.consumer
        while entries := self._holding.due(consumer, BATCH_FRAMES):
            batch: list[Entry] = []
            size = 0
            for entry in entries:
                large = self._sizes[entry.slot] >= BATCH_BYTES
                if batch and (large or size >= BATCH_BYTES):
                    if not self._sent(peer, batch):
                        return
                    batch, size = [], 0
                batch.append(entry)
                size += self._sizes[entry.slot]
                if large:
                    if not self._sent(peer, batch):
                        return
                    batch, size = [], 0
            if batch and not self._sent(peer, batch):
                return
        if self._finished is not None and not consumer.pending and not peer.end_sent:
            peer.end_sent = self._say(peer, wire.words(wire.END, self._finished))

    def _sent(self, peer: _Peer, entries: list[Entry]) -> bool:
        """Send some frames; False when the consumer is gone, which then keeps what is its own."""
        texts = self._descriptors
        body = b"".join(marked_again(texts[e.slot]) if e.again else texts[e.slot] for e in entries)
        head = wire.packet(wire.FRAMES, body, len(entries))
        slot = entries[0].slot
        if len(entries) == 1 and self._sizes[slot] >= BATCH_BYTES and slot < self._holding.slots:
            return self._say(peer, head, slot=slot)
        return self._say(peer, head, b"".join(self._small(entry.slot) for entry in entries))

    def _small(self, slot: int) -> bytes:
        """A frame's bytes, copied, filled up so that the next one is aligned."""
        size = self._sizes[slot]
        if slot < self._holding.slots:
            found = bytes(memoryview(self._room(slot))[:size])
        else:
            start = (slot - self._holding.slots) * self.slot_bytes
            memory = None if self._spill is None else self._spill.memory
            found = b"" if memory is None else memory[start : start + size]
        return found + bytes(-size % ALIGN)

    def _say(self, peer: _Peer, head: bytes, data: bytes = b"", *, slot: int = -1) -> bool:
        door = self._door
        try:
            door.send(peer.identity, zmq.SNDMORE)
            if slot >= 0:
                door.send(head, zmq.SNDMORE)
                view = memoryview(self._room(slot))[: self._sizes[slot]]
                sending = door.send(view, copy=False, track=True)
                self._lent.setdefault(slot, []).append(sending)
            elif data:
                door.send(head, zmq.SNDMORE)
                door.send(data)
            else:
                door.send(head)
        except zmq.ZMQError:  # it cannot be reached any more
            self._drop(peer)
            return False
        if data or slot >= 0:
            reached("pipes.sent")
        return True

    # ---- consumers -----------------------------------------------------------------------------

    def pump(self, timeout_s: float | None = 0.0) -> None:
        """Hear the consumers: confirmations, newcomers, deaths. Wait for one so long."""
        if self._unsent:
            self.flush()
        if timeout_s != 0.0:
            most = self._alive.beat_s
            self._ears.wait(most if timeout_s is None else min(timeout_s, most))
        while self._ears.has(self._zap):
            self._judge()
        while self._ears.has(self._door):
            identity, *parts = self._door.recv_multipart()
            self._hear(identity, parts)
        gone = False
        while self._ears.has(self._monitor):
            self._monitor.recv_multipart()
            gone = True
        if gone or time.monotonic() - self._asked_at > self._alive.beat_s:
            self.ask()
        self.flush()

    def ask(self) -> None:
        """Ask every consumer whether it is there: one that cannot be reached is dead."""
        self._asked_at = time.monotonic()
        self._asked += 1
        for peer in list(self._peers.values()):
            self._say(peer, wire.packet(wire.ASK, b"", self._asked & 0xFFFF_FFFF))

    @property
    def answered(self) -> bool:
        """Whether each consumer that is there has answered the last `ask`, and read all before."""
        return all(peer.answered == self._asked for peer in self._peers.values())

    def _judge(self) -> None:
        """The key of one that wants in."""
        version, number, _, address, _, mechanism, *given = self._zap.recv_multipart()
        admitted = None
        if mechanism == b"CURVE" and self._keys is not None and given:
            admitted = self._keys.admits(z85.encode(given[0]))
        if admitted is None:
            get_logger().warning(
                "pipe_key_refused", link=self.address, peer=address.decode(errors="replace")
            )
        verdict = [b"400", b"this key is not known here"] if admitted is None else [b"200", b"OK"]
        self._zap.send_multipart([version, number, *verdict, (admitted or "").encode(), b""])

    def _hear(self, identity: bytes, parts: list[bytes]) -> None:
        peer = self._peers.get(identity)
        try:
            if len(parts) != 1:
                raise wire.nonsense(f"{len(parts)} parts")
            kind, count, body = wire.opened(parts[0])
            if kind == wire.HELLO and peer is None:
                self._welcome(identity, wire.content(body))
            elif peer is None:
                return  # what one that was given up has still to say
            elif kind == wire.CONFIRM:
                for mark in wire.confirmed(body):
                    failed = mark >= wire.FAILED
                    self._holding.confirm(peer.consumer, mark & ~wire.FAILED, failed)
            elif kind == wire.ANSWER:
                peer.answered = count
            elif kind == wire.ASK:
                self._say(peer, wire.packet(wire.ANSWER, b"", count))
            elif kind == wire.LEAVE:
                self._drop(peer)
            else:
                raise wire.nonsense(f"packet {kind} at the wrong moment")
        except UndulaError as exc:
            self._refuse(identity, exc)

    def _welcome(self, identity: bytes, asked: Mapping[str, Any]) -> None:
        name, token = asked.get("name"), asked.get("token")
        if not isinstance(name, str) or not name or not isinstance(token, str):
            raise wire.nonsense("a consumer without a name")
        policy = policy_from(asked)
        passed, failed, have = _told(asked)
        before = self._by_name.get(name)
        if before is not None:
            if before.token == token:
                self._drop(before)  # it has noticed before us that its connection was gone
            else:
                self._say(before, wire.packet(wire.ASK, b"", 0))
        consumer = self._holding.attach(name, policy)
        same = asked.get("producer") == self._incarnation
        kept = self._holding.resume(consumer, passed, failed, have if same else {})
        peer = self._peers[identity] = self._by_name[name] = _Peer(identity, consumer, token)
        answer = {
            "producer": self._incarnation, "kept": kept, "slot_bytes": self.slot_bytes,
            "most": consumer.most,
        }  # fmt: skip
        self._say(peer, wire.words(wire.WELCOME, answer))
        reached("pipes.welcomed")

    def _refuse(self, identity: bytes, error: UndulaError) -> None:
        get_logger().warning("pipe_consumer_refused", link=self.address, error=str(error))
        peer = self._peers.get(identity)
        answer = {"what": error.what, "remedy": error.remedy}
        try:
            self._door.send(identity, zmq.SNDMORE)
            self._door.send(wire.words(wire.REFUSED, answer))
        except zmq.ZMQError:
            pass  # it did not wait for the answer
        if peer is not None:
            self._drop(peer)

    def _drop(self, peer: _Peer) -> None:
        if self._peers.pop(peer.identity, None) is None:
            return
        if self._by_name.get(peer.consumer.name) is peer:
            del self._by_name[peer.consumer.name]
            self._holding.detach(peer.consumer.name)

    # ---- looking and ending --------------------------------------------------------------------

    def fileno(self) -> int:
        """Readable when `pump` has something to do; it must be called each `beat_s` as well."""
        return self._ears.fileno()

    def blocked_by(self) -> list[str]:
        """Names of the lossless consumers that hold the producer up."""
        return self._holding.blocked_by()

    @property
    def waiting(self) -> bool:
        """Whether a frame is not safe yet: until it is confirmed it would die with this host."""
        return self._holding.in_flight > 0

    @property
    def in_flight(self) -> int:
        """Frames that a lossless consumer has not confirmed yet."""
        return self._holding.in_flight

    @property
    def present(self) -> list[str]:
        """Consumers that are connected now."""
        return list(self._by_name)

    def ledgers(self) -> dict[str, EdgeLedger]:
        """What became of the frames, by consumer."""
        return {name: c.ledger for name, c in self._holding.consumers.items()}

    def depths(self) -> Mapping[str, int]:
        """Frames not yet confirmed, by consumer."""
        return self._holding.depths()

    def forget(self, name: str) -> None:
        """A consumer will have no successor: what it holds is lost and free."""
        peer = self._by_name.get(name)
        if peer is not None:
            self._say(peer, wire.packet(wire.LEAVE, b""))
            self._drop(peer)
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
        for peer in list(self._peers.values()):
            self._say(peer, wire.packet(wire.LEAVE, b""))
            self._drop(peer)
        self._ears.close()
        self._door.disable_monitor()
        self._monitor.close(0)
        self._zap.close(0)
        self._door.close(round(LINGER_S * 1000))
        self._context.term()
        if self._spill is not None:
            self._spill.close()


def _told(asked: Mapping[str, Any]) -> tuple[IntervalSet, IntervalSet, dict[int, int]]:
    """What a consumer that came back says: passed, failed, in hand by slot. Raises: WireError."""
    try:
        return (
            IntervalSet(asked.get("passed", ())),
            IntervalSet(asked.get("failed", ())),
            {int(slot): int(seq_num) for slot, seq_num in asked.get("have", ())},
        )
    except (TypeError, ValueError) as exc:
        raise wire.nonsense("a consumer that does not know what it has") from exc
