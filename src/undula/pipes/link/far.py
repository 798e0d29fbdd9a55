"""Room: pipes. What both ends of a link between hosts share: times, sockets, waiting.

In: settings and keys. Out: ZeroMQ sockets with heartbeats and CURVE, and one descriptor that is
readable whenever any of them has something. libzmq's own descriptors tell only of changes; `Ears`
makes a level of that, so that a caller may poll them like any other.
"""

from __future__ import annotations

import ipaddress
import os
import re
import select
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import zmq

from undula.core.errors import InputError
from undula.pipes.errors import PipeError
from undula.pipes.link.keys import Keys

BATCH_BYTES = 1 << 16
"""Frames below this travel together in one part, copied; larger ones each in one, not copied."""
ALIGN = 8
CONTROL_BYTES = 1 << 22
_ADDRESS = re.compile(r"tcp://(\[.+\]|[^:/\s]+):(\d+-\d+|\d+|\*)")


@dataclass(frozen=True, slots=True)
class Liveness:
    """When a silent peer counts as dead; between hosts there is no end of file that says so.

    Args:
        beat_s: libzmq asks the other end so often whether it is there, s.
        dead_s: no answer for so long is a death, s. Longer than the largest frame takes to travel,
            and than the cuts of the network that should be ridden out without a new connection.
        patience_s: a consumer tries to reach its producer again for so long, then counts it as
            lost, s.
    """

    beat_s: float = 1.0
    dead_s: float = 5.0
    patience_s: float = 120.0

    def __post_init__(self) -> None:
        if not 0 < self.beat_s <= self.dead_s <= self.patience_s:
            raise InputError(
                f"beat_s={self.beat_s}, dead_s={self.dead_s}, patience_s={self.patience_s} are not "
                "in that order",
                remedy="let a death take several heartbeats, and the patience several deaths",
            )


def loopback(address: str) -> bool:
    """Whether only this host can reach an address. Raises: InputError when it is none.

    >>> loopback("tcp://127.0.0.1:*"), loopback("tcp://0.0.0.0:5000")
    (True, False)
    """
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise InputError(
            f"{address!r} is no address", remedy="write tcp://HOST:PORT; PORT may be * or 7000-7099"
        )
    host = match[1].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def each_port(address: str) -> list[str]:
    """An address for each port that it allows. Raises: InputError when it is none.

    >>> each_port("tcp://10.0.0.7:7000-7002")[1:]
    ['tcp://10.0.0.7:7001', 'tcp://10.0.0.7:7002']
    """
    loopback(address)
    start, _, ports = address.rpartition(":")
    first, dash, last = ports.partition("-")
    if not dash:
        return [address]
    if not 0 < int(first) <= int(last) < 1 << 16:
        raise InputError(
            f"{ports} is no range of ports", remedy="write FIRST-LAST, 1 to 65535, e.g. 7000-7099"
        )
    return [f"{start}:{port}" for port in range(int(first), int(last) + 1)]


def need_keys(address: str, keys: Keys | None) -> None:
    """Raises: PipeError when others than this host could listen in, and there are no keys."""
    if keys is None and not loopback(address):
        raise PipeError(
            f"a link over {address} needs keys: others could read and send frames",
            remedy="give it the keys of this host (`undula pipes keys`), or use 127.0.0.1",
        )


def prepare(made: zmq.Socket[bytes], alive: Liveness, address: str) -> None:
    """Options that both ends have: no bound but the credits, heartbeats, IPv6 where it is asked."""
    made.set_hwm(0)
    made.setsockopt(zmq.LINGER, 0)
    made.setsockopt(zmq.HEARTBEAT_IVL, _ms(alive.beat_s))
    made.setsockopt(zmq.HEARTBEAT_TIMEOUT, _ms(alive.dead_s))
    made.setsockopt(zmq.HEARTBEAT_TTL, _ms(alive.dead_s))
    made.setsockopt(zmq.CONNECT_TIMEOUT, _ms(alive.dead_s))
    made.setsockopt(zmq.RECONNECT_IVL, 50)
    made.setsockopt(zmq.RECONNECT_IVL_MAX, _ms(min(1.0, alive.dead_s)))
    made.setsockopt(zmq.IPV6, int("[" in address))


def _ms(span_s: float) -> int:
    return max(1, round(span_s * 1000))


class Ears:
    """Several ZeroMQ sockets behind one descriptor, readable as long as one has something."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._flag = os.eventfd(0, os.EFD_NONBLOCK)
        self._raised = False
        self._epoll.register(self._flag, select.EPOLLIN)
        self._sockets: dict[Any, int] = {}

    def add(self, made: Any) -> None:
        """One more socket."""
        self._sockets[made] = made.getsockopt(zmq.FD)
        self._epoll.register(self._sockets[made], select.EPOLLIN)

    def listen_to(self, descriptor: int) -> None:
        """One more descriptor that is no socket of ZeroMQ; its owner reads it."""
        self._epoll.register(descriptor, select.EPOLLIN)

    def remove(self, made: Any) -> None:
        """Before it is closed."""
        with suppress(OSError):
            self._epoll.unregister(self._sockets.pop(made))

    def has(self, made: Any) -> bool:
        """Whether a socket has something to be read."""
        return bool(made.getsockopt(zmq.EVENTS) & zmq.POLLIN)

    def settle(self) -> None:
        """Call after every use of the sockets: what is unread keeps the descriptor readable."""
        unread = any(self.has(made) for made in self._sockets)
        if unread and not self._raised:
            os.eventfd_write(self._flag, 1)
        elif self._raised and not unread:
            os.eventfd_read(self._flag)
        self._raised = unread

    def wait(self, timeout_s: float | None) -> None:
        """Until something can be read, or so long."""
        self.settle()
        self._epoll.poll(timeout_s)

    def fileno(self) -> int:
        """The one descriptor."""
        return self._epoll.fileno()

    def close(self) -> None:
        """Give the descriptors back, not the sockets."""
        self._epoll.close()
        os.close(self._flag)
