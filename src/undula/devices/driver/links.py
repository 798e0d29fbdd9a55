"""Links to instruments that talk in lines of text: over TCP, or simulated in this process.

In: questions and commands. Out: answers. Every call has a deadline; after a missed one the link is
closed, so that a late answer is never taken for the next one.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from typing import Protocol

from undula.core.errors import InputError, TimeoutUndulaError

MAX_ANSWER = 16 * 1024 * 1024


class Link(Protocol):
    """One conversation with an instrument. Calls from several threads take turns.

    Raises: OSError when the other side is gone, TimeoutUndulaError when it does not answer.
    """

    def open(self) -> None:
        """Connect."""

    def close(self) -> None:
        """Hang up."""

    def tell(self, text: str) -> None:
        """Send a line."""

    def ask(self, text: str) -> str:
        """Send a line; its answer."""


class TcpLines:
    """Lines over TCP.

    Args:
        address: `HOST:PORT`.
        terminator: ends each line, in both directions.
        timeout_s: deadline of each call, connecting included.
    Raises: InputError for what is no address.
    """

    def __init__(self, address: str, terminator: str = "\n", timeout_s: float = 2.0) -> None:
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit():
            raise InputError(f"{address!r} is no address", remedy="write HOST:PORT")
        self._place = (host.strip("[]"), int(port))
        self._address, self._end, self._timeout_s = address, terminator.encode(), timeout_s
        self._socket: socket.socket | None = None
        self._rest = b""
        self._lock = threading.Lock()

    def open(self) -> None:
        """Connect anew. Raises: OSError."""
        with self._lock:
            self._drop()
            self._socket = socket.create_connection(self._place, self._timeout_s)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        """Hang up."""
        with self._lock:
            self._drop()

    def tell(self, text: str) -> None:
        """Send a line that has no answer."""
        with self._lock:
            self._send(text, time.monotonic() + self._timeout_s)

    def ask(self, text: str) -> str:
        """Send a line; the answer without its terminator."""
        with self._lock:
            ends = time.monotonic() + self._timeout_s
            self._rest = b""
            self._send(text, ends)
            try:
                return self._line(ends).decode("latin-1").strip()
            except TimeoutError as exc:
                self._drop()
                raise TimeoutUndulaError(
                    f"no answer to {text!r} from {self._address} within {self._timeout_s:g} s",
                    remedy="switch it off and on, or see what else talks to it",
                ) from exc
            except OSError:
                self._drop()
                raise

    def _send(self, text: str, ends: float) -> None:
        if self._socket is None:
            raise ConnectionError(f"{self._address} is not connected")
        try:
            self._socket.settimeout(max(0.001, ends - time.monotonic()))
            self._socket.sendall(text.encode("latin-1") + self._end)
        except OSError:
            self._drop()
            raise

    def _line(self, ends: float) -> bytes:
        """Up to the next terminator. Raises: OSError."""
        while self._end not in self._rest:
            if self._socket is None or len(self._rest) > MAX_ANSWER:
                raise ConnectionError(f"{self._address} sends no end of line")
            self._socket.settimeout(max(0.001, ends - time.monotonic()))
            more = self._socket.recv(65536)
            if not more:
                raise ConnectionError(f"{self._address} hung up")
            self._rest += more
        line, _, self._rest = self._rest.partition(self._end)
        return line

    def _drop(self) -> None:
        it, self._socket, self._rest = self._socket, None, b""
        if it is not None:
            with contextlib.suppress(OSError):
                it.close()


class SimLink:
    """A link to a function in this process, for tests: a line to its answer, '' for none."""

    def __init__(self, answer: Callable[[str], str]) -> None:
        self._answer = answer
        self.is_open = False
        self.said: list[str] = []

    def open(self) -> None:
        """From now on it answers."""
        self.is_open = True

    def close(self) -> None:
        """From now on it does not."""
        self.is_open = False

    def tell(self, text: str) -> None:
        """Give it a line."""
        self.ask(text)

    def ask(self, text: str) -> str:
        """Its answer. Raises: ConnectionError when it is closed."""
        if not self.is_open:
            raise ConnectionError("the simulated link is closed")
        self.said.append(text)
        return self._answer(text)
