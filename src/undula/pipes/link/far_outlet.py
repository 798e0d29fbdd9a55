"""Room: pipes. The producer's end of a link to consumers on other hosts, over ZeroMQ.

In: frames, from the caller. Out: the same descriptors as on one host, with the data behind them:
small frames together in one part, large ones each in a part that libzmq reads where it lies. Who
holds which slot is decided in `holding`, as on one host: a slot is a credit.

A consumer that cannot be reached, or is silent for `Liveness.dead_s`, is dead; one that comes back
says what it has done, and what it has in hand. No thread of ours: the caller's calls do everything,
the check of keys included.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import zmq

from undula.core.errors import UndulaError
from undula.core.faults import reached
from undula.core.log import get_logger
from undula.pipes.frame import marked_again
from undula.pipes.link import wire
from undula.pipes.link.consumer import Consumer, Entry
from undula.pipes.link.far import ALIGN, BATCH_BYTES, Liveness
from undula.pipes.link.far_door import FarDoor, host_of
from undula.pipes.link.in_hand import told
from undula.pipes.link.keys import Keys
from undula.pipes.link.slots import BATCH_FRAMES, SlotOutlet, policy_from
from undula.pipes.link.succession import Claim, judge, replaced
from undula.pipes.policy import Policy


class _Peer:
    """A connection of a consumer."""

    __slots__ = ("consumer", "end_sent", "identity")

    def __init__(self, identity: bytes, consumer: Consumer) -> None:
        self.identity, self.consumer = identity, consumer
        self.end_sent = False


class FarOutlet(SlotOutlet[_Peer]):
    """Slots of one producer, and the consumers on other hosts that are connected to it.

    Args:
        address: to listen at, `tcp://HOST:PORT`; port `*` takes any that is free, 7000-7099 the
            first of these, see `address`.
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
        super().__init__(
            address, frame_bytes=frame_bytes, budget_bytes=budget_bytes, expect=expect,
            spill=spill, spill_bytes=spill_bytes, checked=checked,
        )  # fmt: skip
        slots = self.holding.slots
        self._keys, self._alive = keys, alive or Liveness()
        self._memory: list[bytearray | None] = [None] * slots
        self._lent: dict[int, list[Any]] = {}
        self._incarnation = uuid.uuid4().hex
        self._peers: dict[bytes, _Peer] = {}
        self._claims: dict[str, Claim] = {}
        self._asked_at = 0.0
        try:
            self._door = FarDoor(address, self._keys, self._alive)
        except BaseException:  # whatever it is, it goes on to the caller
            if self._spill is not None:
                self._spill.close()
            raise
        self._socket, self._ears = self._door.socket, self._door.ears
        if self._spill is not None:
            self._ears.listen_to(self._spill.fileno())
        self.address = self._door.address
        """Where consumers find it, with the port that was taken."""

    # ---- slots ---------------------------------------------------------------------------------

    def _slot(self, size: int, timeout_s: float | None) -> int | None:
        slot = super()._slot(size, timeout_s)
        if slot is not None and any(not sending.done for sending in self._lent.pop(slot, ())):
            self._memory[slot] = None  # libzmq still reads there, for one that is gone
        return slot

    def _memory_of(self, slot: int) -> tuple[Any, int]:
        room = self._memory[slot]
        if room is None:
            room = self._memory[slot] = bytearray(self.slot_bytes)
        return room, 0

    def _view(self, slot: int) -> memoryview:
        """What a frame has in its slot, or on disk."""
        size = self._sizes[slot]
        if slot < self.holding.slots:
            return memoryview(self._memory_of(slot)[0])[:size]
        start = (slot - self.holding.slots) * self.slot_bytes
        return memoryview(self._spill.slab.memory if self._spill else b"")[start : start + size]

    # ---- handing on ----------------------------------------------------------------------------

    def flush(self) -> None:
        """Hand everything on that waits to be sent together."""
        self._unsent = 0
        for peer in list(self._by_name.values()):
            self._hand_on(peer)
        self._ears.settle()

    def _hand_on(self, peer: _Peer) -> None:
        consumer = peer.consumer
        while entries := self.holding.due(consumer, BATCH_FRAMES):
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
        if len(entries) == 1 and self._sizes[slot] >= BATCH_BYTES and slot < self.holding.slots:
            return self._say(peer, head, slot=slot)
        return self._say(peer, head, b"".join(self._small(entry.slot) for entry in entries))

    def _small(self, slot: int) -> bytes:
        """A frame's bytes, copied, filled up so that the next one is aligned."""
        return bytes(self._view(slot)) + bytes(-self._sizes[slot] % ALIGN)

    def _say(self, peer: _Peer, head: bytes, data: bytes = b"", *, slot: int = -1) -> bool:
        door = self._socket
        try:
            door.send(peer.identity, zmq.SNDMORE)
            if slot >= 0:
                door.send(head, zmq.SNDMORE)
                sending = door.send(self._view(slot), copy=False, track=True)
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
        self._door.admit()
        self._hear_disk()
        while self._ears.has(self._socket):
            identity, *parts = self._socket.recv_multipart(copy=False)
            self._hear(identity.bytes, parts)
        if self._door.broke() or time.monotonic() - self._asked_at > self._alive.beat_s:
            self.ask()
        self.flush()

    def ask(self) -> None:
        """Ask every consumer whether it is there: one that cannot be reached is dead."""
        self._asked_at = time.monotonic()
        for peer in list(self._peers.values()):
            self._say(peer, wire.packet(wire.ASK, b""))

    def _hear(self, identity: bytes, parts: list[zmq.Frame]) -> None:
        peer = self._peers.get(identity)
        try:
            if len(parts) != 1:
                raise wire.nonsense(f"{len(parts)} parts")
            kind, count, body = wire.opened(parts[0].bytes)
            if kind == wire.HELLO and peer is None:
                self._welcome(identity, host_of(parts[0]), wire.content(body))
            elif peer is None:
                return  # what one that was given up has still to say
            elif kind == wire.CONFIRM:
                for mark in wire.confirmed(body):
                    failed = mark >= wire.FAILED
                    self.holding.confirm(peer.consumer, mark & ~wire.FAILED, failed)
            elif kind == wire.ASK:
                self._say(peer, wire.packet(wire.ANSWER, b"", count))
            elif kind == wire.LEAVE:
                self._drop(peer)
            else:
                raise wire.nonsense(f"packet {kind} at the wrong moment")
        except UndulaError as exc:
            self._refuse(identity, exc)

    def _welcome(self, identity: bytes, who: str, asked: Mapping[str, Any]) -> None:
        name, token, turn = asked.get("name"), asked.get("token"), asked.get("turn", 0)
        if not isinstance(name, str) or not name or not isinstance(token, str):
            raise wire.nonsense("a consumer without a name")
        if not isinstance(turn, int):
            raise wire.nonsense("a consumer that does not know its turn")
        policy = policy_from(asked)
        passed, failed, have = told(asked)
        claim, last, before = (
            Claim(token, who, turn),
            self._claims.get(name),
            self._by_name.get(name),
        )
        if before is not None and last is not None and token != last.token:
            self._say(before, wire.packet(wire.ASK, b""))  # it is dropped when that cannot be
            before = self._by_name.get(name)
        judge(name, last, before is not None, claim)
        if before is not None and last is not None and token != last.token:
            self._refuse(before.identity, replaced(name))
        elif before is not None:  # it has noticed before us that its connection was gone
            self._drop(before)
        consumer = self.holding.attach(name, policy)
        self._claims[name] = claim
        same = asked.get("producer") == self._incarnation
        kept = self.holding.resume(consumer, passed, failed, have if same else {})
        peer = self._peers[identity] = self._by_name[name] = _Peer(identity, consumer)
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
            self._socket.send(identity, zmq.SNDMORE)
            self._socket.send(wire.words(wire.REFUSED, answer))
        except zmq.ZMQError:
            pass  # it did not wait for the answer
        if peer is not None:
            self._drop(peer)

    def _drop(self, peer: _Peer) -> None:
        if self._peers.pop(peer.identity, None) is None:
            return
        if self._by_name.get(peer.consumer.name) is peer:
            del self._by_name[peer.consumer.name]
            self.holding.detach(peer.consumer.name)

    # ---- looking and ending --------------------------------------------------------------------

    def fileno(self) -> int:
        """Readable when `pump` has something to do; it must be called each `beat_s` as well."""
        return self._ears.fileno()

    @property
    def safe(self) -> int:
        """So many of the frames were confirmed: the others would die with this host."""
        return self.holding.confirmed

    def _dismiss(self, peer: _Peer) -> None:
        self._say(peer, wire.packet(wire.LEAVE, b""))
        self._drop(peer)

    def forget(self, name: str) -> None:
        """A consumer will have no successor: what it holds is lost and free."""
        super().forget(name)
        self._claims.pop(name, None)

    def _close(self) -> None:
        for peer in list(self._peers.values()):
            self._say(peer, wire.packet(wire.LEAVE, b""))
            self._drop(peer)
        self._door.close()
