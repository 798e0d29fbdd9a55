"""Room: the message bus. One running subscription: its thread, its link, its reconnects.

In: a key. Out: payloads, to a callback. Called by: `bus.connector` only.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import redis

from undula.bus.link import LOST, Address, Link, backoff_s
from undula.core.log import get_logger

_PING_S = 10.0
_POLL_S = 1.0


class BrokerSubscription:
    """Payloads of one channel, in a thread of its own; see `bus.ports.Subscription`."""

    def __init__(
        self,
        address: Address,
        key: str,
        latest: bool,
        deliver: Callable[[bytes], None],
        forget: Callable[[BrokerSubscription], None],
    ) -> None:
        self._address, self._key, self._latest = address, key, latest
        self._deliver, self._forget = deliver, forget
        self._closed = threading.Event()
        self._ready = threading.Event()
        self._link: Link | None = None
        self._thread = threading.Thread(target=self._run, name=f"bus {key}", daemon=True)

    def start(self) -> None:
        """Begin, and wait up to a second for the broker's confirmation."""
        self._thread.start()
        self._ready.wait(_POLL_S)

    def close(self) -> None:
        """No callback runs after this returns (unless called from the callback itself)."""
        self._closed.set()
        link = self._link
        if threading.current_thread() is not self._thread:
            if link is not None:
                link.hang_up()
            if self._thread.is_alive():
                self._thread.join()
        self._forget(self)

    def _run(self) -> None:
        attempt = 0
        while not self._closed.is_set():
            link = Link(self._address)
            self._link = link
            try:
                link.connect()
                pending = self._begin(link)
                attempt = 0
                self._follow(link, pending)
            except (*LOST, redis.RedisError) as exc:
                if self._closed.is_set():
                    break
                attempt += 1
                if attempt == 1:
                    get_logger().info("subscription_lost", key=self._key, why=str(exc))
                self._closed.wait(backoff_s(attempt))
            finally:
                link.close()

    def _begin(self, link: Link) -> list[bytes]:
        """Subscribe; payloads to deliver at once: the kept one and what followed it."""
        link.send("SUBSCRIBE", self._key)
        reply = link.receive(_PING_S)
        if not reply or reply[0] != b"subscribe":
            raise redis.ConnectionError(f"no confirmation of the subscription: {reply!r}")
        pending: list[bytes] = []
        if self._latest:
            kept = self._get_kept()
            while (message := link.receive(0)) is not None:
                pending += _payload(message)
            if kept is not None:
                pending = pending[pending.index(kept) :] if kept in pending else [kept, *pending]
        self._ready.set()
        return pending

    def _get_kept(self) -> bytes | None:
        link = Link(self._address)
        try:
            link.connect()
            kept: bytes | None = link.call("GET", self._key)
        finally:
            link.close()
        return kept

    def _follow(self, link: Link, pending: list[bytes]) -> None:
        silent_s = 0.0
        while True:
            for payload in pending:
                if self._closed.is_set():
                    return
                self._safely(payload)
            message = link.receive(_POLL_S)
            if self._closed.is_set():
                return
            pending = _payload(message)
            silent_s = silent_s + _POLL_S if message is None else 0.0
            if silent_s == _PING_S:
                link.send("PING")
            elif silent_s > 2 * _PING_S:
                raise redis.ConnectionError("the broker does not answer")

    def _safely(self, payload: bytes) -> None:
        try:
            self._deliver(payload)
        except Exception:  # a callback's fault must not end everybody's deliveries
            get_logger().exception("subscription_callback_failed", key=self._key)


def _payload(message: Any) -> list[bytes]:
    return [message[2]] if message and message[0] == b"message" else []
