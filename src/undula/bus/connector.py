"""Room: the message bus. The connector over a real Valkey or Redis server.

In: messages and endpoints. Out: messages. Called by: every process but the publisher's hot path.
The seam it fills is `bus.ports.Connector`; its twin is `bus.memory.MemoryConnector`.

Requests are entries of a stream that the server reads as a consumer group: the cursor and the marks
"taken, not yet answered" live in the broker, so a restarted server goes on where the old one ended.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import redis

from undula.bus import rules
from undula.bus.codec import decode, encode
from undula.bus.endpoints import Endpoint
from undula.bus.link import LOST, Address, Command, Pool, backoff_s, closed_error, in_words
from undula.bus.ports import BEGIN
from undula.bus.subscription import BrokerSubscription
from undula.bus.taking import RequestServer
from undula.core.clock import Deadline, now
from undula.core.errors import BusError, WireError
from undula.core.faults import reached
from undula.core.log import get_logger
from undula.messages import Message, Reply, Request

M = TypeVar("M", bound=Message)
R = TypeVar("R", bound=Request)

_BLOCK_S = 1.0
_PATIENCE_S = 5.0


class BrokerConnector:
    """One process's connection to the bus; safe for several threads.

    Args:
        url_or_socket: a Unix socket path, or a redis://, rediss:// or unix:// URL.
        user, password: broker user; those of the URL win.
        client_name: shown by the broker's CLIENT LIST.
        patience_s: how long a verb that may be repeated waits for an absent broker.
    """

    def __init__(
        self,
        url_or_socket: str | Path,
        *,
        user: str | None = None,
        password: str | None = None,
        client_name: str = "undula",
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self.address = Address(str(url_or_socket), user, password, client_name)
        self._patience_s = patience_s
        self._pool = Pool(self.address)
        self._closed = threading.Event()
        self._subscriptions: set[BrokerSubscription] = set()
        self._lock = threading.Lock()
        self._server = RequestServer(self.run)

    def run(self, commands: Sequence[Command], *, again: bool) -> list[Any]:
        """Carry out commands in one go; wait and reconnect while the broker is away.

        Args:
            again: whether they may be sent a second time when the connection is lost in between.

        Raises: BusError when the broker stays away, refuses one command, or (`again` false) when
            it is unknown what was carried out.
        """
        deadline = Deadline(self._patience_s)
        attempt = 0
        while True:
            sent = False
            try:
                with self._pool.link() as link:
                    sent = True
                    replies = link.pipe(commands)
            except redis.BusyLoadingError as exc:
                error: Exception = exc
            except redis.AuthenticationError as exc:
                raise in_words(exc, self.address) from exc
            except LOST as exc:
                if self._closed.is_set():
                    raise closed_error() from None
                if sent and not again:
                    raise in_words(exc, self.address) from exc
                error = exc
            else:
                return self._checked(replies)
            attempt += 1
            if deadline.passed or self._closed.wait(backoff_s(attempt)):
                raise in_words(error, self.address) from error

    def _checked(self, replies: list[Any]) -> list[Any]:
        for reply in replies:
            for part in reply if isinstance(reply, list) else (reply,):
                if isinstance(part, redis.ResponseError):
                    raise in_words(part, self.address) from part
        return replies

    def put(self, endpoint: Endpoint[M], message: M, **names: str) -> None:
        """Keep and publish (`latest`), or publish (`send`)."""
        rules.check_delivery(endpoint, "put", "latest", "send")
        rules.check_message(endpoint, message)
        key, payload = endpoint.key(**names), encode(message)
        if endpoint.delivery == "send":
            self.run([("PUBLISH", key, payload)], again=False)
            return
        both = [("MULTI",), ("SET", key, payload), ("PUBLISH", key, payload), ("EXEC",)]
        self.run(both, again=True)

    def get(self, endpoint: Endpoint[M], **names: str) -> M | None:
        """The kept value, None before the first. Raises: WireError for a malformed one."""
        rules.check_delivery(endpoint, "get", "latest")
        payload = self.run([("GET", endpoint.key(**names))], again=True)[0]
        return None if payload is None else decode(payload, endpoint.message)

    def subscribe(
        self, endpoint: Endpoint[M], callback: Callable[[M], None], **names: str
    ) -> BrokerSubscription:
        """Call for each message, in a thread of its own; see the port."""
        rules.check_delivery(endpoint, "subscribe", "latest", "send")
        key = endpoint.key(**names)

        def deliver(payload: bytes) -> None:
            try:
                message = decode(payload, endpoint.message)
            except WireError as exc:
                get_logger().warning("payload_skipped", endpoint=endpoint.pattern, why=exc.what)
                return
            callback(message)

        latest = endpoint.delivery == "latest"
        with self._lock:
            if self._closed.is_set():
                raise closed_error()
            subscription = BrokerSubscription(self.address, key, latest, deliver, self._forget)
            self._subscriptions.add(subscription)
        subscription.start()
        return subscription

    def _forget(self, subscription: BrokerSubscription) -> None:
        with self._lock:
            self._subscriptions.discard(subscription)

    def append(self, endpoint: Endpoint[M], message: M, **names: str) -> str:
        """Append and trim; returns the entry's id.

        Raises: BusError when the connection is lost in between: it may have been appended.
        """
        rules.check_delivery(endpoint, "append", "stream")
        rules.check_message(endpoint, message)
        bound = ("MAXLEN", "=", endpoint.maxlen) if endpoint.maxlen else ()
        command = ("XADD", endpoint.key(**names), *bound, "*", "m", encode(message))
        return str(self.run([command], again=False)[0], "ascii")

    def read(
        self,
        endpoint: Endpoint[M],
        *,
        after: str = BEGIN,
        count: int = 1000,
        block_s: float | None = None,
        **names: str,
    ) -> list[tuple[str, M]]:
        """Entries after the cursor; see the port."""
        rules.check_delivery(endpoint, "read", "stream", "journal")
        key = endpoint.key(**names)
        deadline = Deadline(block_s or 0.0)
        while True:
            left = deadline.left_s() or 0.0
            block = ("BLOCK", max(1, int(min(left, _BLOCK_S) * 1000))) if left > 0 else ()
            command = ("XREAD", "COUNT", count, *block, "STREAMS", key, after)
            reply = self.run([command], again=True)[0]
            if reply:
                found, after = _entries(endpoint, reply[0][1])
                if found:
                    return found
            elif deadline.passed:
                return []

    def last_id(self, endpoint: Endpoint[M], **names: str) -> str:
        """Id of the newest entry, `BEGIN` when empty."""
        rules.check_delivery(endpoint, "last_id", "stream", "journal")
        command = ("XREVRANGE", endpoint.key(**names), "+", "-", "COUNT", 1)
        reply = self.run([command], again=True)[0]
        return str(reply[0][0], "ascii") if reply else BEGIN

    def expire(self, endpoint: Endpoint[M], after_s: float, **names: str) -> None:
        """Let a key vanish after so many seconds."""
        self.run([("PEXPIRE", endpoint.key(**names), max(1, int(after_s * 1000)))], again=True)

    def request(self, endpoint: Endpoint[R], message: R) -> Reply:
        """Send and wait for the one reply; see the port.

        A connection lost while waiting is made again until the deadline; a connection lost while
        sending ends in OutcomeUnknownError at once, since the request is never sent twice.
        """
        rules.check_request(endpoint, message)
        command = (
            "XADD", endpoint.key(), "MAXLEN", "=", rules.REQUESTS_BOUND, "*",
            "id", message.request_id, "m", encode(message),
        )  # fmt: skip
        try:
            self.run([command], again=False)
        except BusError as exc:
            if isinstance(exc.__cause__, LOST):
                raise rules.lost(f"the request may have been lost: {exc.what}") from exc
            raise
        reached("client.request_sent")
        reply = self._await_reply(message)
        reached("client.reply_received")
        return rules.result_of(reply)

    def _await_reply(self, message: Request) -> Reply:
        list_key, kept_key = f"replies/{message.request_id}", f"outcomes/{message.request_id}"
        while (left := message.deadline - now()) > 0:
            try:
                popped = self.run([("BLPOP", list_key, f"{min(left, _BLOCK_S):.3f}")], again=False)
                payload = popped[0][1] if popped[0] else None
            except BusError as exc:
                if self._closed.is_set() or not isinstance(exc.__cause__, LOST):
                    raise
                payload = self._kept(kept_key)
            if payload is not None:
                return decode(payload, Reply)
        raise rules.lost(f"no reply to request {message.request_id} before its deadline")

    def _kept(self, key: str) -> bytes | None:
        """The kept outcome; a reply may have been popped and lost with its connection."""
        try:
            payload: bytes | None = self.run([("GET", key)], again=True)[0]
        except BusError:
            self._closed.wait(0.1)
            return None
        return payload

    def take_requests(
        self, endpoints: Sequence[Endpoint[R]], *, block_s: float
    ) -> list[tuple[Endpoint[R], R]]:
        """Server side: requests that nobody has taken yet; see the port."""
        for endpoint in endpoints:
            rules.check_delivery(endpoint, "take_requests", "request")
        deadline = Deadline(block_s)
        while True:
            left = deadline.left_s() or 0.0
            taken = self._server.take(endpoints, min(left, _BLOCK_S))
            if taken or deadline.passed:
                return taken

    def reply(self, request: Request, reply: Reply) -> None:
        """Server side: answer, exactly once; keep the outcome for a day."""
        self._server.reply(request, reply)

    def answer_abandoned(
        self,
        endpoints: Sequence[Endpoint[R]] | None = None,
        resolve: Callable[[R], Reply | None] | None = None,
    ) -> int:
        """Server side, once at the start: answer what a dead server took; see the port."""
        endpoints = rules.request_endpoints(endpoints)
        return self._server.answer_abandoned(endpoints, resolve)

    def close(self) -> None:
        """Close all connections and subscriptions; waiting verbs end with BusError."""
        self._closed.set()
        with self._lock:
            subscriptions = list(self._subscriptions)
        for subscription in subscriptions:
            subscription.close()
        self._pool.close()


def _entries(endpoint: Endpoint[M], raw: list[Any]) -> tuple[list[tuple[str, M]], str]:
    """Decoded entries, and the id of the last one, malformed or not."""
    found: list[tuple[str, M]] = []
    for raw_id, fields in raw:
        entry_id = str(raw_id, "ascii")
        try:
            payload = fields[fields.index(b"m") + 1]
            found.append((entry_id, decode(payload, endpoint.message)))
        except (WireError, ValueError, IndexError) as exc:
            get_logger().warning(
                "entry_skipped", endpoint=endpoint.pattern, id=entry_id, why=str(exc)[:300]
            )
    return found, str(raw[-1][0], "ascii")
