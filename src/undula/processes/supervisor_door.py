"""The supervisor's two sockets: notifications of services, and control by `undula`.

In: datagrams of `undula.core.notify`; lines of JSON `{"do": "status"}`, `{"do": "stop"}`,
`{"do": "restart", "name": "writer"}`, `{"do": "ping"}`. Out: each request gets one line of JSON.
Called by: `supervisor` only. Standard library only. Nothing here waits for a peer.
"""

from __future__ import annotations

import json
import selectors
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

MAX_LINE = 65_536
MAX_WORDS = 256
Answer = Callable[[dict[str, Any]], dict[str, Any]]


def bind(path: Path, kind: socket.SocketKind) -> socket.socket:
    """A socket at `path`, in place of what a dead supervisor left there; for the group (0660)."""
    sock = socket.socket(socket.AF_UNIX, kind)
    path.unlink(missing_ok=True)
    sock.bind(str(path))
    path.chmod(0o660)
    sock.setblocking(False)
    return sock


class NotifyDoor:
    """Receives the words of services; a malformed one is dropped."""

    def __init__(self, path: Path) -> None:
        self.socket = bind(path, socket.SOCK_DGRAM)

    def words(self) -> list[dict[str, Any]]:
        """All words that have come since the last call, at most 256."""
        words: list[dict[str, Any]] = []
        with suppress(BlockingIOError):
            for _ in range(MAX_WORDS):
                word = _object(self.socket.recv(MAX_LINE))
                if word is not None:
                    words.append(word)
        return words

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()


class ControlDoor:
    """Answers one line of JSON a connection, through the supervisor's own selector."""

    def __init__(self, path: Path, selector: selectors.BaseSelector, answer: Answer) -> None:
        self._listener = bind(path, socket.SOCK_STREAM)
        self._listener.listen(16)
        self._selector = selector
        self._answer = answer
        selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def _accept(self) -> None:
        with suppress(BlockingIOError, ConnectionError):
            peer, _ = self._listener.accept()
            peer.setblocking(False)
            heard = bytearray()
            self._selector.register(peer, selectors.EVENT_READ, lambda: self._hear(peer, heard))

    def _hear(self, peer: socket.socket, heard: bytearray) -> None:
        try:
            data = peer.recv(MAX_LINE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        heard += data
        if data and b"\n" not in heard and len(heard) < MAX_LINE:
            return
        self._selector.unregister(peer)
        with peer, suppress(OSError):
            if heard:
                request = _object(bytes(heard.partition(b"\n")[0]))
                reply = {"error": "no JSON object"} if request is None else self._answer(request)
                peer.settimeout(0.2)  # a reply fits the socket's buffer; a stuck peer loses it
                peer.sendall(json.dumps(reply).encode() + b"\n")

    def close(self) -> None:
        """Stop listening."""
        self._selector.unregister(self._listener)
        self._listener.close()


def _object(data: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(data)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
