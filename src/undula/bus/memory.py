"""Room: the message bus. The connector's twin in memory, for tests without a server.

In and out: as `bus.ports.Connector`. Several connectors share one `MemoryBroker`. Payloads are the
same bytes as on the wire, so what cannot be sent cannot be sent here either.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from undula.bus import rules
from undula.bus.codec import decode, encode
from undula.bus.endpoints import Endpoint
from undula.bus.link import closed_error
from undula.bus.ports import BEGIN
from undula.core.clock import Deadline, now
from undula.core.errors import BusError, WireError
from undula.core.faults import reached
from undula.core.log import get_logger
from undula.messages import Message, Reply, Request

M = TypeVar("M", bound=Message)
R = TypeVar("R", bound=Request)
_Id = tuple[int, int]


def _parse(entry_id: str) -> _Id:
    major, _, minor = entry_id.partition("-")
    return int(major), int(minor or 0)


@dataclass
class _Stream:
    entries: deque[tuple[_Id, bytes]] = field(default_factory=deque)
    last: _Id = (0, 0)


@dataclass(frozen=True)
class _Entry:
    key: str
    number: int
    request_id: str
    payload: bytes


class MemoryBroker:
    """What a broker keeps. `changed` guards everything and tells of every change."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.values: dict[str, bytes] = {}
        self.streams: dict[str, _Stream] = defaultdict(_Stream)
        self.subscriptions: dict[str, list[MemorySubscription]] = defaultdict(list)
        self.expiry: dict[str, Deadline] = {}
        self.requests: dict[str, list[_Entry]] = defaultdict(list)
        self.taken: dict[tuple[str, int], _Entry] = {}
        self.outcomes: dict[str, bytes] = {}
        self.replies: dict[str, deque[bytes]] = defaultdict(deque)
        self._number = 0

    def add_entry(
        self, key: str, payload: bytes, entry_id: str = "", bound: int | None = None
    ) -> str:
        """Append raw bytes to a stream; an explicit id must be larger than the last one."""
        with self.changed:
            self.sweep()
            stream = self.streams[key]
            number = _parse(entry_id) if entry_id else (int(now() * 1000), 0)
            if not entry_id and number <= stream.last:
                number = (stream.last[0], stream.last[1] + 1)
            if number <= stream.last:
                raise BusError(f"id {entry_id} is not above the last one", remedy="count upwards")
            stream.entries.append((number, payload))
            stream.last = number
            while bound and len(stream.entries) > bound:
                stream.entries.popleft()
            self.changed.notify_all()
            return f"{number[0]}-{number[1]}"

    def publish(self, key: str, payload: bytes, *, keep: bool) -> None:
        """Hand raw bytes to all subscribers of a key, and keep them if asked."""
        with self.changed:
            if keep:
                self.expiry.pop(key, None)
                self.values[key] = payload
            for subscription in self.subscriptions[key]:
                subscription.offer(payload)

    def add_request(self, key: str, request_id: str, payload: bytes) -> None:
        """Append a raw request."""
        with self.changed:
            self._number += 1
            self.requests[key].append(_Entry(key, self._number, request_id, payload))
            self.changed.notify_all()

    def sweep(self) -> None:
        """Forget what has expired."""
        for key in [key for key, deadline in self.expiry.items() if deadline.passed]:
            del self.expiry[key]
            self.values.pop(key, None)
            self.streams.pop(key, None)


class MemorySubscription:
    """See `bus.ports.Subscription`."""

    def __init__(self, broker: MemoryBroker, key: str, deliver: Callable[[bytes], None]) -> None:
        self._broker, self._key, self._deliver = broker, key, deliver
        self._payloads: deque[bytes] = deque()
        self._something = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"memory {key}", daemon=True)
        self._thread.start()

    def offer(self, payload: bytes) -> None:
        """Queue for the thread."""
        with self._something:
            self._payloads.append(payload)
            self._something.notify()

    def _run(self) -> None:
        while True:
            with self._something:
                self._something.wait_for(lambda: self._payloads or self._closed)
                if not self._payloads:  # closed, and what came before was delivered
                    return
                payload = self._payloads.popleft()
            try:
                self._deliver(payload)
            except Exception:  # a callback's fault must not end everybody's deliveries
                get_logger().exception("subscription_callback_failed", key=self._key)

    def close(self) -> None:
        """No callback runs after this returns (unless called from the callback itself)."""
        with self._broker.changed:
            if self in self._broker.subscriptions[self._key]:
                self._broker.subscriptions[self._key].remove(self)
        inside = threading.current_thread() is self._thread
        with self._something:
            self._closed = True
            if inside:
                self._payloads.clear()
            self._something.notify()
        if not inside:
            self._thread.join()


class MemoryConnector:
    """The twin of `BrokerConnector`."""

    def __init__(self, broker: MemoryBroker | None = None) -> None:
        self.broker = broker or MemoryBroker()
        self._open: dict[str, list[_Entry]] = {}
        self._subscriptions: list[MemorySubscription] = []
        self._closed = False

    def _check(self) -> None:
        if self._closed:
            raise closed_error()

    def put(self, endpoint: Endpoint[M], message: M, **names: str) -> None:
        """Keep and publish (`latest`), or publish (`send`)."""
        rules.check_delivery(endpoint, "put", "latest", "send")
        rules.check_message(endpoint, message)
        self._check()
        keep = endpoint.delivery == "latest"
        self.broker.publish(endpoint.key(**names), encode(message), keep=keep)

    def get(self, endpoint: Endpoint[M], **names: str) -> M | None:
        """The kept value, None before the first."""
        rules.check_delivery(endpoint, "get", "latest")
        self._check()
        with self.broker.changed:
            self.broker.sweep()
            payload = self.broker.values.get(endpoint.key(**names))
        return None if payload is None else decode(payload, endpoint.message)

    def subscribe(
        self, endpoint: Endpoint[M], callback: Callable[[M], None], **names: str
    ) -> MemorySubscription:
        """Call for each message, in a thread of its own."""
        rules.check_delivery(endpoint, "subscribe", "latest", "send")
        self._check()
        key = endpoint.key(**names)

        def deliver(payload: bytes) -> None:
            try:
                message = decode(payload, endpoint.message)
            except WireError as exc:
                get_logger().warning("payload_skipped", endpoint=endpoint.pattern, why=exc.what)
                return
            callback(message)

        with self.broker.changed:
            subscription = MemorySubscription(self.broker, key, deliver)
            self._subscriptions.append(subscription)
            self.broker.subscriptions[key].append(subscription)
            self.broker.sweep()
            kept = self.broker.values.get(key) if endpoint.delivery == "latest" else None
            if kept is not None:
                subscription.offer(kept)
        return subscription

    def append(self, endpoint: Endpoint[M], message: M, **names: str) -> str:
        """Append and trim; returns the entry's id."""
        rules.check_delivery(endpoint, "append", "stream")
        rules.check_message(endpoint, message)
        self._check()
        key = endpoint.key(**names)
        return self.broker.add_entry(key, encode(message), bound=endpoint.maxlen)

    def read(
        self,
        endpoint: Endpoint[M],
        *,
        after: str = BEGIN,
        count: int = 1000,
        block_s: float | None = None,
        **names: str,
    ) -> list[tuple[str, M]]:
        """Entries after the cursor."""
        rules.check_delivery(endpoint, "read", "stream", "journal")
        key, cursor, deadline = endpoint.key(**names), _parse(after), Deadline(block_s or 0.0)
        while True:
            with self.broker.changed:
                self._check()
                self.broker.sweep()
                entries = [e for e in self.broker.streams[key].entries if e[0] > cursor][:count]
                if not entries:
                    if deadline.passed:
                        return []
                    self.broker.changed.wait(deadline.left_s())
                    continue
            cursor = entries[-1][0]
            found = _decoded(endpoint, entries)
            if found:
                return found

    def last_id(self, endpoint: Endpoint[M], **names: str) -> str:
        """Id of the newest entry, `BEGIN` when empty."""
        rules.check_delivery(endpoint, "last_id", "stream", "journal")
        with self.broker.changed:
            self.broker.sweep()
            entries = self.broker.streams[endpoint.key(**names)].entries
            return "{}-{}".format(*entries[-1][0]) if entries else BEGIN

    def expire(self, endpoint: Endpoint[M], after_s: float, **names: str) -> None:
        """Let a key vanish after so many seconds."""
        with self.broker.changed:
            self.broker.expiry[endpoint.key(**names)] = Deadline(after_s)

    def request(self, endpoint: Endpoint[R], message: R) -> Reply:
        """Send and wait for the one reply."""
        rules.check_request(endpoint, message)
        self._check()
        self.broker.add_request(endpoint.key(), message.request_id, encode(message))
        reached("client.request_sent")
        replies = self.broker.replies[message.request_id]
        with self.broker.changed:
            while not replies:
                self._check()
                left = message.deadline - now()
                if left <= 0:
                    raise rules.lost(f"no reply to request {message.request_id} in time")
                self.broker.changed.wait(left)
            payload = replies.popleft()
        reached("client.reply_received")
        return rules.result_of(decode(payload, Reply))

    def take_requests(
        self, endpoints: Sequence[Endpoint[R]], *, block_s: float
    ) -> list[tuple[Endpoint[R], R]]:
        """Server side: requests that nobody has taken yet."""
        for endpoint in endpoints:
            rules.check_delivery(endpoint, "take_requests", "request")
        deadline = Deadline(block_s)
        with self.broker.changed:
            while True:
                self._check()
                taken: list[tuple[Endpoint[R], R]] = []
                for endpoint in endpoints:
                    waiting = self.broker.requests[endpoint.key()]
                    while waiting:
                        request = self._admit(endpoint, waiting.pop(0))
                        if request is not None:
                            taken.append((endpoint, request))
                if taken or deadline.passed:
                    return taken
                self.broker.changed.wait(deadline.left_s())

    def _admit(self, endpoint: Endpoint[R], entry: _Entry) -> R | None:
        if not rules.is_request_id(entry.request_id):
            return None
        self.broker.taken[(entry.key, entry.number)] = entry
        others = self._open.get(entry.request_id)
        if others is not None:
            others.append(entry)
            return None
        kept = self.broker.outcomes.get(entry.request_id)
        if kept is not None:
            self._answer([entry], decode(kept, Reply))
            return None
        try:
            request = decode(entry.payload, endpoint.message)
            if request.request_id != entry.request_id:
                raise WireError("two request ids", remedy="send one id in both places")
        except WireError as exc:
            self._answer([entry], rules.error_reply(entry.request_id, exc))
            return None
        if request.deadline <= now():
            self._answer([entry], rules.late(entry.request_id))
            return None
        self._open[entry.request_id] = [entry]
        return request

    def _answer(self, entries: list[_Entry], reply: Reply) -> None:
        payload, request_id = encode(reply), entries[0].request_id
        with self.broker.changed:
            self.broker.outcomes.setdefault(request_id, payload)
            self.broker.replies[request_id].extend([payload] * len(entries))
            for entry in entries:
                self.broker.taken.pop((entry.key, entry.number), None)
            self._open.pop(request_id, None)
            self.broker.changed.notify_all()

    def reply(self, request: Request, reply: Reply) -> None:
        """Server side: answer, exactly once; keep the outcome."""
        with self.broker.changed:
            entries = self._open.get(request.request_id)
            if entries is None or reply.request_id != request.request_id:
                raise BusError(
                    f"request {request.request_id} is not open here",
                    remedy="answer a taken request once, under its own id",
                )
            self._answer(entries, reply)

    def answer_abandoned(
        self,
        endpoints: Sequence[Endpoint[R]] | None = None,
        resolve: Callable[[R], Reply | None] | None = None,
    ) -> int:
        """Server side, once at the start: answer what a dead server took."""
        endpoints = rules.request_endpoints(endpoints)
        by_key: dict[str, Endpoint[R]] = {endpoint.key(): endpoint for endpoint in endpoints}
        with self.broker.changed:
            left = [e for e in self.broker.taken.values() if e.key in by_key]
            left = [e for e in left if e.request_id not in self._open]
            for entry in left:
                kept = self.broker.outcomes.get(entry.request_id)
                reply = decode(kept, Reply) if kept is not None else None
                if reply is None and resolve is not None:
                    reply = _resolved(by_key[entry.key], entry, resolve)
                self._answer([entry], reply or rules.abandoned(entry.request_id))
        return len(left)

    def close(self) -> None:
        """Close all subscriptions; waiting verbs end with BusError."""
        with self.broker.changed:
            self._closed = True
            self.broker.changed.notify_all()
        for subscription in self._subscriptions:
            subscription.close()


def _resolved(
    endpoint: Endpoint[Any], entry: _Entry, resolve: Callable[[Any], Reply | None]
) -> Reply | None:
    try:
        return resolve(decode(entry.payload, endpoint.message))
    except WireError:
        return None


def _decoded(endpoint: Endpoint[M], entries: list[tuple[_Id, bytes]]) -> list[tuple[str, M]]:
    found: list[tuple[str, M]] = []
    for number, payload in entries:
        entry_id = f"{number[0]}-{number[1]}"
        try:
            found.append((entry_id, decode(payload, endpoint.message)))
        except WireError as exc:
            get_logger().warning(
                "entry_skipped", endpoint=endpoint.pattern, id=entry_id, why=exc.what
            )
    return found
