"""Room: the message bus. Single connections to the broker, a pool of them, and errors in words.

In: commands as tuples. Out: raw RESP2 replies. Called by: `connector`, `publisher`, `broker`. Over
redis-py's `Connection`, whose silent retries are switched off: who sends again decides so here.
"""

from __future__ import annotations

import os
import random
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.connection import Connection, UnixDomainSocketConnection, parse_url
from redis.retry import Retry

from undula.core.errors import BusError, ConfigError

Part = str | bytes | int | float
Command = tuple[Part, ...]
LOST = (redis.ConnectionError, redis.TimeoutError, OSError)
ANSWER_TIMEOUT_S = 15.0
CONNECT_TIMEOUT_S = 5.0
MAX_IDLE = 8


@dataclass(frozen=True, slots=True)
class Address:
    """Where a broker is and who asks: a Unix socket path or a redis://, rediss://, unix:// URL."""

    url: str
    user: str | None = None
    password: str | None = None
    client_name: str = "undula"

    @property
    def shown(self) -> str:
        """The address without any password, for messages and logs."""
        scheme, mark, rest = self.url.partition("://")
        return f"{scheme}{mark}{rest.rpartition('@')[2]}" if mark else self.url

    def __repr__(self) -> str:
        return f"Address({self.shown!r}, user={self.user!r}, client_name={self.client_name!r})"


def backoff_s(attempt: int) -> float:
    """Pause before attempt 1, 2, ...: 10 ms doubled up to 1 s, with jitter."""
    return float(min(1.0, 0.01 * 2 ** min(attempt - 1, 10)) * random.uniform(0.5, 1.0))  # noqa: S311  # no secret


def in_words(error: Exception, address: Address) -> BusError:
    """Any error of the broker or of the way to it, as a `BusError` with a remedy."""
    text = str(error)
    place = f"the broker at {address.shown}"
    authentication = isinstance(error, redis.AuthenticationError)
    if authentication or text.startswith(("WRONGPASS", "NOAUTH")):
        return BusError(
            f"{place} refuses user {address.user or 'default'} or its password",
            remedy="check the password in the broker folder or in the URL",
        )
    if isinstance(error, redis.exceptions.NoPermissionError) or "NOPERM" in text[:8]:
        return BusError(
            f"{place} does not allow this to user {address.user or 'default'}: {text}",
            remedy="use a role that may do this, see the endpoint reference",
        )
    if isinstance(error, redis.exceptions.OutOfMemoryError) or text.startswith("OOM"):
        return BusError(
            f"{place} is full",
            remedy="raise broker_limit_bytes in the settings, or wait until journals are archived",
        )
    if "MISCONF" in text[:12] or "No space left" in text:
        return BusError(
            f"{place} cannot write its append-only file: {text}",
            remedy="free disk space below its folder; it goes on by itself",
        )
    if isinstance(error, LOST):
        return BusError(
            f"{place} cannot be reached: {text}",
            remedy="start the beamline (undula up), or see `undula status`",
        )
    return BusError(f"{place} answered: {text}", remedy="see `undula logs` for what was asked")


class Link:
    """One connection. Not thread-safe. Replies are raw: bytes, int, list, None."""

    def __init__(
        self,
        address: Address,
        *,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
    ) -> None:
        options: dict[str, Any] = {
            "username": address.user,
            "password": address.password,
            "client_name": address.client_name.replace(" ", "_") or None,
            "socket_timeout": answer_timeout_s,
            "socket_connect_timeout": connect_timeout_s,
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,
            "health_check_interval": 0,
        }
        cls: Any = UnixDomainSocketConnection
        if "://" in address.url:
            try:
                parsed = dict(parse_url(address.url))
            except ValueError as exc:
                raise ConfigError(
                    f"{address.shown!r} is no broker URL",
                    remedy="write redis://[user:password@]host:port, rediss:// or unix://path",
                ) from exc
            default = UnixDomainSocketConnection if "path" in parsed else Connection
            cls = parsed.pop("connection_class", default)
            options = {k: v for k, v in options.items() if v is not None} | parsed
        else:
            options["path"] = address.url
        self.address = address
        self._connection: Any = cls(**options)

    def connect(self) -> None:
        """Connect and log in. Raises: errors of redis-py."""
        self._connection.connect()

    def pipe(self, commands: Sequence[Command]) -> list[Any]:
        """Send all, read all. A refused command's place holds its `ResponseError`.

        Raises: one of `LOST`; then it is unknown how much was carried out.
        """
        connection = self._connection
        connection.send_packed_command(connection.pack_commands(commands), check_health=False)
        replies: list[Any] = []
        for _ in commands:
            try:
                replies.append(connection.read_response())
            except redis.ResponseError as exc:
                replies.append(exc)
        return replies

    def call(self, *command: Part) -> Any:
        """One command, one reply. Raises: ResponseError, or one of `LOST`."""
        reply = self.pipe([command])[0]
        if isinstance(reply, Exception):
            raise reply
        return reply

    def send(self, *command: Part) -> None:
        """Send and read nothing: for subscriptions."""
        connection = self._connection
        connection.send_packed_command(connection.pack_commands([command]), check_health=False)

    def receive(self, timeout_s: float) -> Any:
        """The next message of a subscription, None when there is none within the time."""
        if not self._connection.can_read(timeout_s):
            return None
        return self._connection.read_response()

    @property
    def usable(self) -> bool:
        """False when the other side has hung up, or has said something unasked."""
        try:
            return self._connection.is_connected and not self._connection.can_read(0)
        except LOST:
            return False

    def hang_up(self) -> None:
        """From any thread: end the connection; who waits in this link meets one of `LOST`."""
        try:
            descriptor = os.dup(self._connection._sock.fileno())
        except (AttributeError, OSError, ValueError):
            return  # not connected
        with socket.socket(fileno=descriptor) as copy, suppress(OSError):
            copy.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the connection; only from the thread that uses it."""
        self._connection.disconnect()


class Pool:
    """Idle links to one address, for several threads."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._idle: list[Link] = []
        self._busy: set[Link] = set()
        self._lock = threading.Lock()
        self._closed = False

    @contextmanager
    def link(self) -> Iterator[Link]:
        """A connected link; kept for others unless an exception passes.

        Raises: errors of redis-py while connecting, before anything was sent.
        """
        link = self._take()
        try:
            yield link
        except BaseException:  # whatever it is, also a cancel: it goes on to the caller
            self._forget(link)
            link.close()
            raise
        with self._lock:
            self._busy.discard(link)
            keep = not self._closed and len(self._idle) < MAX_IDLE
            if keep:
                self._idle.append(link)
        if not keep:
            link.close()

    def _take(self) -> Link:
        while True:
            with self._lock:
                if self._closed:
                    raise closed_error()
                link = self._idle.pop() if self._idle else None
                if link is not None:
                    self._busy.add(link)
            if link is None:
                break
            if link.usable:
                return link
            self._forget(link)
            link.close()
        link = Link(self.address)
        with self._lock:
            self._busy.add(link)
        try:
            link.connect()
            if self._closed:
                raise closed_error()
        except BaseException:  # whatever it is, also a cancel: it goes on to the caller
            self._forget(link)
            link.close()
            raise
        return link

    def _forget(self, link: Link) -> None:
        with self._lock:
            self._busy.discard(link)

    def close(self) -> None:
        """Hang up all links, also those that wait."""
        with self._lock:
            self._closed = True
            idle, busy = list(self._idle), list(self._busy)
            self._idle.clear()
        for link in busy:
            link.hang_up()
        for link in idle:
            link.close()


def closed_error() -> BusError:
    """What every verb of a closed connector raises."""
    return BusError("this connection to the broker is closed", remedy="open a new one")
