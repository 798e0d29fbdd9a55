"""Room: pipes. Where a producer listens for consumers on other hosts: sockets, ports, keys.

In: an address, keys. Out: the socket over which packets go, one descriptor for all there is to
hear, and the name of the host whose key a packet came with. What packets mean is `far_outlet`'s.
"""

from __future__ import annotations

import errno
import os
from typing import Any

import zmq
from zmq.utils import z85

from undula.core.log import get_logger
from undula.pipes.errors import PipeError
from undula.pipes.link.far import CONTROL_BYTES, Ears, Liveness, each_port, need_keys, prepare
from undula.pipes.link.keys import Keys

LINGER_S = 0.5
"""A last word may take so long to leave."""
IO_THREADS = 4
"""A line is encrypted by one thread of libzmq, and those of several consumers by several."""
_ZAP = "inproc://zeromq.zap.01"


class FarDoor:
    """The sockets of one producer.

    Args:
        address: to listen at, as `FarOutlet` has it.
        keys: of this host; only an address of this host alone may do without.
        alive: when a consumer counts as dead.
    Raises: PipeError when it cannot listen there, or lacks keys.
    """

    def __init__(self, address: str, keys: Keys | None, alive: Liveness) -> None:
        need_keys(address, keys)
        self._keys = keys
        self._context = zmq.Context(min(IO_THREADS, os.cpu_count() or 1))
        self.ears = Ears()
        try:
            self._open(address, alive)
        except BaseException:  # whatever it is, it goes on to the caller
            self.ears.close()
            self._context.destroy(0)
            raise

    def _open(self, address: str, alive: Liveness) -> None:
        self._zap = self._context.socket(zmq.REP)
        self._zap.bind(_ZAP)
        made = self.socket = self._context.socket(zmq.ROUTER)
        prepare(made, alive, address)
        made.setsockopt(zmq.ROUTER_MANDATORY, 1)
        made.setsockopt(zmq.MAXMSGSIZE, CONTROL_BYTES)
        if self._keys is not None:
            made.setsockopt(zmq.CURVE_SERVER, 1)
            made.setsockopt(zmq.CURVE_PUBLICKEY, self._keys.public)
            made.setsockopt(zmq.CURVE_SECRETKEY, self._keys.secret)
            made.setsockopt(zmq.ZAP_DOMAIN, b"undula")
        self._monitor = made.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        for one in (self._zap, made, self._monitor):
            self.ears.add(one)
        try:
            self._bind(address)
        except zmq.ZMQError as exc:
            raise PipeError(
                f"frames cannot be handed on at {address}: {exc.strerror}",
                remedy="give an address of this host, and a port that is free (or *, or a range)",
            ) from exc
        endpoint: Any = made.getsockopt(zmq.LAST_ENDPOINT)
        self.address: str = endpoint.rstrip(b"\0").decode()
        """Where consumers find it, with the port that was taken."""

    def _bind(self, address: str) -> None:
        """At the first of its ports that is free. Raises: ZMQError when none is."""
        *taken, last = each_port(address)
        for one in taken:
            try:
                self.socket.bind(one)
            except zmq.ZMQError as exc:
                if exc.errno != errno.EADDRINUSE:
                    raise
            else:
                return
        self.socket.bind(last)

    def admit(self) -> None:
        """Judge the keys of those that want in."""
        while self.ears.has(self._zap):
            self._judge()

    def _judge(self) -> None:
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

    def broke(self) -> bool:
        """Whether a connection broke since this was asked last."""
        found = False
        while self.ears.has(self._monitor):
            self._monitor.recv_multipart()
            found = True
        return found

    def close(self) -> None:
        """Let nobody in any more, once the last words have left."""
        self.ears.close()
        self.socket.disable_monitor()
        self._monitor.close(0)
        self._zap.close(0)
        self.socket.close(round(LINGER_S * 1000))
        self._context.term()


def host_of(part: zmq.Frame) -> str:
    """The host whose key a message came with; '' without keys."""
    try:
        found = part.get("User-Id")
    except zmq.ZMQError:
        return ""
    return found if isinstance(found, str) else ""
