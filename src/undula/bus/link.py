"""Room: the message bus. Single connections to the broker, a pool of them, and errors in words.

In: commands as tuples. Out: raw RESP2 replies. Called by: `connector`, `publisher`, `broker`. Over
`resp`, which sends nothing twice: who sends again decides so here.
"""

from __future__ import annotations

import os
import random
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from undula.bus import resp
from undula.bus.resp import Command, Part
from undula.core.errors import BusError, ConfigError

LOST = (resp.LostError, resp.NoAnswerError, OSError)
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
    if isinstance(error, resp.AuthenticationError):
        return BusError(
            f"{place} refuses user {address.user or 'default'} or its password",
            remedy="check the password in the broker folder or in the URL",
        )
    if isinstance(error, resp.NoPermissionError):
        return BusError(
            f"{place} does not allow this to user {address.user or 'default'}: {text}",
            remedy="use a role that may do this, see the endpoint reference",
        )
    if isinstance(error, resp.OutOfMemoryError):
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
        target = resp.Target(user=address.user, password=address.password)
        if "://" in address.url:
            try:
                target = resp.parse_url(address.url, target)
            except ValueError as exc:
                raise ConfigError(
                    f"{address.shown!r} is no broker URL",
                    remedy="write redis://[user:password@]host:port, rediss:// or unix://path",
                ) from exc
        else:
            target = replace(target, path=address.url)
        self.address = address
        self._connection = resp.Connection(
            target,
            address.client_name.replace(" ", "_"),
            answer_timeout_s=answer_timeout_s,
            connect_timeout_s=connect_timeout_s,
        )

    def connect(self) -> None:
        """Connect and log in. Raises: one of `LOST`, `RefusedError`."""
        self._connection.connect()

    def pipe(self, commands: Sequence[Command]) -> list[Any]:
        """Send all, read all. A refused command's place holds its `RefusedError`.

        Raises: one of `LOST`; then it is unknown how much was carried out.
        """
        self._connection.send(commands)
        replies: list[Any] = []
        for _ in commands:
            try:
                replies.append(self._connection.read())
            except resp.RefusedError as exc:
                replies.append(exc)
        return replies

    def call(self, *command: Part) -> Any:
        """One command, one reply. Raises: `RefusedError`, or one of `LOST`."""
        reply = self.pipe([command])[0]
        if isinstance(reply, Exception):
            raise reply
        return reply

    def send(self, *command: Part) -> None:
        """Send and read nothing: for subscriptions."""
        self._connection.send([command])

    def receive(self, timeout_s: float) -> Any:
        """The next message of a subscription, None when there is none within the time."""
        if not self._connection.can_read(timeout_s):
            return None
        return self._connection.read()

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
            descriptor = os.dup(self._connection.fileno())
        except (resp.LostError, OSError, ValueError):
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

        Raises: errors of `resp` while connecting, before anything was sent.
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
