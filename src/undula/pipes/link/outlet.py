"""Room: pipes. The producer's end of a link between processes of one host.

In: frames, from the caller. Out: descriptors to each consumer over a Unix socket, in batches; the
frames themselves lie in slots that consumers map for reading (`slab`). Who holds which slot is
decided in `holding`. No thread, no timer: the caller's calls do everything, and a death is an end
of file, seen at once by a caller who waits for a slot.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from undula.core.errors import UndulaError
from undula.core.faults import reached
from undula.core.log import get_logger
from undula.core.unix_socket import bind_for_group
from undula.pipes.frame import marked_again
from undula.pipes.link import wire
from undula.pipes.link.consumer import Consumer
from undula.pipes.link.slab import Slab
from undula.pipes.link.slots import SlotOutlet, policy_from
from undula.pipes.policy import Policy

SEND_BUFFER_BYTES = 1 << 20


class _Connection:
    """A consumer's socket."""

    __slots__ = ("blocked", "consumer", "end_sent", "socket")

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.consumer: Consumer | None = None
        self.blocked = False
        self.end_sent = False


class Outlet(SlotOutlet[_Connection]):
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
        super().__init__(
            path.name, frame_bytes=frame_bytes, budget_bytes=budget_bytes, expect=expect,
            spill=spill, spill_bytes=spill_bytes, checked=checked,
        )  # fmt: skip
        self._path = path
        self._connections: dict[int, _Connection] = {}
        with ExitStack() as undone:
            if self._spill is not None:
                undone.callback(self._spill.close)
            self._slab = Slab(self.holding.slots, self.slot_bytes)
            undone.callback(self._slab.close)
            self._door = bind_for_group(path, socket.SOCK_SEQPACKET)
            undone.callback(self._door.close)
            self._door.listen(64)
            self._door.setblocking(False)
            self._epoll = select.epoll()
            undone.callback(self._epoll.close)
            self._epoll.register(self._door.fileno(), select.EPOLLIN)
            if self._spill is not None:
                self._epoll.register(self._spill.fileno(), select.EPOLLIN)
            undone.pop_all()  # all is there: `close` gives it back

    def _memory_of(self, slot: int) -> tuple[Any, int]:
        return self._slab.memory, slot * self.slot_bytes

    # ---- consumers -----------------------------------------------------------------------------

    def flush(self) -> None:
        """Hand everything on that waits to be sent together."""
        self._unsent = 0
        for connection in list(self._by_name.values()):
            self._hand_on(connection)

    def _hand_on(self, connection: _Connection) -> None:
        consumer, holding = connection.consumer, self.holding
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
            self._hear_disk()
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
            confirm = self.holding.confirm
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
        before = self._by_name.get(name)
        if before is not None:
            self._hear(before, select.EPOLLIN)  # its end of file may wait to be read
        consumer = self.holding.attach(name, policy)
        connection.consumer = consumer
        self._by_name[name] = connection
        answer = {
            "slots": self.holding.slots,
            "slot_bytes": self.slot_bytes,
            "spill_slots": self.holding.spill_slots if self._spill else 0,
            "most": consumer.most,
        }
        given = [self._slab.descriptor]
        if self._spill is not None:
            given.append(self._spill.slab.descriptor)
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
        if consumer is not None and self._by_name.get(consumer.name) is connection:
            del self._by_name[consumer.name]
            self.holding.detach(consumer.name)

    # ---- looking and ending --------------------------------------------------------------------

    def fileno(self) -> int:
        """Readable when `pump` has something to do."""
        return self._epoll.fileno()

    @property
    def safe(self) -> int:
        """So many of the frames were sent: consumers keep the memory, whatever happens here."""
        return self.holding.sent

    def _dismiss(self, peer: _Connection) -> None:
        self._drop(peer)

    def _close(self) -> None:
        for connection in list(self._connections.values()):
            self._drop(connection)
        self._epoll.close()
        self._door.close()
        with suppress(OSError):
            os.unlink(self._path)
        self._slab.close()
