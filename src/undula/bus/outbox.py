"""Room: the message bus. The engine's end of the way to the publisher.

In: packed documents, from the RunEngine's loop; never blocks it. Out: frames to the publisher. Kept
until acknowledged, sent again to a restarted publisher from the first unacknowledged one. Called
by: `scans`, in the engine. Loss: none; when the bound is full, `put` raises; what the broker
refuses for good is told by `refusal`, and never counts as acknowledged.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections import OrderedDict, deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from undula.bus import frames
from undula.bus.codec import encode
from undula.bus.endpoints import Endpoint
from undula.bus.link import backoff_s
from undula.bus.rules import check_delivery, check_message
from undula.core.errors import BusError, UndulaError
from undula.core.faults import reached
from undula.core.ids import new_id
from undula.core.log import get_logger
from undula.messages import Message

_KEYS_KEPT = 1000
_RECEIVE = 65536


class OutboxFullError(UndulaError):
    """The bound of unacknowledged documents is full: the broker has been away for too long."""

    category = "bus"


@dataclass(frozen=True, slots=True)
class _Item:
    seq: int
    key: str
    index: int
    frame: bytes
    journal: str  # whose refusal it is


class Outbox:
    """Hands documents to the publisher and knows how far they are safe. Thread-safe.

    Args:
        socket_path: the publisher's Unix socket.
        max_documents, max_bytes: bound of what is not acknowledged yet.
    """

    def __init__(
        self, socket_path: Path, *, max_documents: int = 20_000, max_bytes: int = 200_000_000
    ) -> None:
        self._path, self._max_documents, self._max_bytes = socket_path, max_documents, max_bytes
        self._engine_id = new_id()
        self._changed = threading.Condition(threading.Lock())
        self._kept: deque[_Item] = deque()  # not acknowledged
        self._unsent: deque[_Item] = deque()
        self._partial: memoryview | None = None
        self._kept_bytes = 0
        self._seq = 0
        self._sent_words = (0, 0)  # appended, acknowledged, as numbers of frames
        self._in_broker: OrderedDict[str, int] = OrderedDict()
        self._safe: OrderedDict[str, int] = OrderedDict()
        self._refused: OrderedDict[str, tuple[int, str]] = OrderedDict()
        self._socket: socket.socket | None = None
        self._live = False
        self._welcomed = threading.Event()
        self._closed = threading.Event()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)

    def start(self, timeout_s: float = 30.0) -> None:
        """Connect, and wait until the publisher has appended what earlier engines left with it.

        Raises: BusError when it does not answer in time.
        """
        self._thread.start()
        if not self._welcomed.wait(timeout_s):
            self.close()
            raise BusError(
                f"the publisher at {self._path} does not answer, or cannot append what the engine "
                f"before left with it",
                remedy="see `undula status` for publisher and broker",
            )

    def put(self, key: str, index: int, payload: bytes, *, closing: bool = False) -> None:
        """Hand over document `index` of the journal `key`; returns at once.

        A document that closes a run is taken even when the bound is full.
        Raises: OutboxFullError when the bound is full.
        """
        self._hand_over(frames.DOCUMENT, key, index, payload, always=closing, journal=key)
        reached("engine.document_sent")

    def announce(
        self, endpoint: Endpoint[Any], message: Message, *, journal: str = "", **names: str
    ) -> None:
        """Append to a bounded stream, in order with the documents; returns at once.

        Args:
            journal: key of the journal that cannot do without it, for `refusal`.
        """
        check_delivery(endpoint, "announce", "stream")
        check_message(endpoint, message)
        bound = endpoint.maxlen or 0
        key = endpoint.key(**names)
        self._hand_over(frames.ENTRY, key, bound, encode(message), journal=journal)

    def _hand_over(
        self,
        kind: int,
        key: str,
        index: int,
        payload: bytes,
        *,
        journal: str,
        always: bool = False,
    ) -> None:
        with self._changed:
            too_many = len(self._kept) >= self._max_documents
            too_large = self._kept and self._kept_bytes + len(payload) > self._max_bytes
            if (too_many or too_large) and not always:
                raise OutboxFullError(
                    f"{len(self._kept)} documents ({self._kept_bytes // 1_000_000} MB) wait for "
                    f"the broker, no more are taken",
                    remedy="see `undula status` for broker and publisher; what waits is not lost",
                )
            self._seq += 1
            frame = frames.pack_frame(kind, self._seq, index, key, payload)
            place = index if kind == frames.DOCUMENT else 0
            item = _Item(self._seq, key, place, frame, journal)
            self._kept.append(item)
            self._kept_bytes += len(frame)
            if self._live and not self._unsent and self._partial is None:
                self._send(item)
                if self._partial is None:
                    return
            else:
                self._unsent.append(item)
        self._wake_up()

    def _send(self, item: _Item | None) -> None:
        """Send as much as the socket takes now; the lock is held."""
        data = self._partial if item is None else memoryview(item.frame)
        if self._socket is None or data is None:
            return
        try:
            sent = self._socket.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._live = False
            sent = 0
        self._partial = data[sent:] if sent < len(data) else None

    def _wake_up(self) -> None:
        if not self._closed.is_set():
            os.eventfd_write(self._wake, 1)

    @property
    def fill(self) -> float:
        """How full the bound is, 0 to 1; what is sent but not acknowledged counts."""
        with self._changed:
            by_number = len(self._kept) / self._max_documents
            return min(1.0, max(by_number, self._kept_bytes / self._max_bytes))

    def appended(self, key: str) -> int:
        """Highest index of the journal known to be in the broker; 0 for none."""
        with self._changed:
            return self._in_broker.get(key, 0)

    def acknowledged(self, key: str) -> int:
        """Highest index of the journal known to survive a `kill -9` of the broker; 0 for none."""
        with self._changed:
            return self._safe.get(key, 0)

    def refusal(self, key: str) -> str:
        """Why the journal can never be whole; empty while nothing of it was refused."""
        refused = self._refused.get(key)
        return "" if refused is None else refused[1]

    def wait_acknowledged(self, key: str, index: int, timeout_s: float) -> bool:
        """Wait until document `index` is acknowledged; False when the time is over, or never."""

        def settled() -> bool:
            return self._safe.get(key, 0) >= index or key in self._refused

        with self._changed:
            self._changed.wait_for(settled, timeout_s)
            return self._safe.get(key, 0) >= index

    def drained(self, timeout_s: float) -> bool:
        """Wait until everything is acknowledged; False when the time is over."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._kept, timeout_s)

    def close(self) -> None:
        """Hang up; what is not sent yet is lost with this object: call `drained` before."""
        if self._closed.is_set():
            return
        self._closed.set()
        os.eventfd_write(self._wake, 1)  # after the flag, or the thread may look at it too early
        if self._thread.is_alive():
            self._thread.join()
        os.close(self._wake)

    def _run(self) -> None:
        attempt = 0
        while not self._closed.is_set():
            try:
                self._connect()
                attempt = 0
                self._talk()
            except OSError as exc:
                attempt += 1
                if attempt == 1:
                    get_logger().info("publisher_lost", why=str(exc))
            self._hang_up()
            self._closed.wait(backoff_s(attempt))

    def _connect(self) -> None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(5.0)
            connection.connect(str(self._path))
            with self._changed:
                handed_over = self._seq
            engine_id = self._engine_id.encode()
            hello = frames.pack_frame(frames.HELLO, 0, handed_over, "", engine_id)
            connection.sendall(hello)
            connection.setblocking(False)
        except OSError:
            connection.close()
            raise
        with self._changed:
            self._socket = connection

    def _hang_up(self) -> None:
        with self._changed:
            connection, self._socket, self._live, self._partial = self._socket, None, False, None
        if connection is not None:
            connection.close()

    def _talk(self) -> None:
        """Until the publisher hangs up (OSError) or this is closed."""
        connection = self._socket
        if connection is None:
            return
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        buffer = bytearray()
        while not self._closed.is_set():
            with self._changed:
                waiting = self._live and (self._unsent or self._partial is not None)
            interest = select.POLLIN | (select.POLLOUT if waiting else 0)
            poll.register(connection, interest)
            events = dict(poll.poll())
            if self._wake in events:
                os.eventfd_read(self._wake)
            event = events.get(connection.fileno(), 0)
            if event & (select.POLLIN | select.POLLHUP | select.POLLERR):
                self._listen(connection, buffer)
            if event & select.POLLOUT:
                self._send_waiting()

    def _listen(self, connection: socket.socket, buffer: bytearray) -> None:
        data = connection.recv(_RECEIVE)
        if not data:
            raise ConnectionResetError("the publisher hung up")
        buffer += data
        for kind, appended, acknowledged in frames.unpack_words(buffer):
            if kind == frames.REFUSED:
                self._heard_refusal(appended)
                continue
            self._heard(appended, acknowledged)
            if kind == frames.WELCOME:
                with self._changed:
                    self._unsent = deque(self._kept)
                    self._live = True
                self._welcomed.set()

    def _heard_refusal(self, seq: int) -> None:
        with self._changed:
            item = next((item for item in self._kept if item.seq == seq), None)
            if item is None or not item.journal:
                return
            what = f"document {item.index}" if item.index else f"the entry in {item.key}"
            text = (
                f"the broker refused {what} of this run's journal; "
                f"`undula logs publisher` has its words"
            )
            first = self._refused.get(item.journal, (item.index + 1, ""))[0]
            if item.index < first:
                self._refused[item.journal] = (item.index, text)
            while len(self._refused) > _KEYS_KEPT:
                self._refused.popitem(last=False)
            self._changed.notify_all()

    def _note(self, known: OrderedDict[str, int], item: _Item) -> None:
        """What follows a refused document is no part of a whole journal."""
        if item.key in self._refused and item.index >= self._refused[item.key][0]:
            return
        known[item.key] = max(item.index, known.pop(item.key, 0))
        while len(known) > _KEYS_KEPT:
            known.popitem(last=False)

    def _heard(self, appended: int, acknowledged: int) -> None:
        with self._changed:
            known = self._sent_words
            if appended > known[0]:
                for item in self._kept:
                    if item.seq > appended:
                        break
                    if item.seq > known[0] and item.index:
                        self._note(self._in_broker, item)
            while self._kept and self._kept[0].seq <= acknowledged:
                item = self._kept.popleft()
                self._kept_bytes -= len(item.frame)
                if item.index:
                    self._note(self._safe, item)
                    self._note(self._in_broker, item)
            self._sent_words = (max(appended, known[0]), max(acknowledged, known[1]))
            self._changed.notify_all()

    def _send_waiting(self) -> None:
        with self._changed:
            if self._partial is not None:
                self._send(None)
            end = time.monotonic() + 0.002  # then let the RunEngine have the lock
            while self._live and self._unsent and self._partial is None:
                self._send(self._unsent.popleft())
                if time.monotonic() > end:
                    break
