"""The supervisor's two sockets: notifications of services, and control by `undula`.

In: datagrams of `undula.core.notify`; lines of JSON `{"do": "ping"}`, `{"do": "stop"}`,
`{"do": "restart", "name": "writer"}`, `{"do": "status"}`, which is quicker with `"memory": false`.
Out: each request gets one line of JSON.
Called by: `supervisor` only. Standard library only. Nothing here waits for a peer: a silent one is
hung up on, and without a free file descriptor the door rests for a moment.
"""

from __future__ import annotations

import json
import selectors
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from undula.core.unix_socket import bind_for_group, peer_of

MAX_LINE = 65_536
MAX_WORDS = 256
MAX_PEERS = 64
SILENT_S = 5.0
REST_S = 0.2
Answer = Callable[[dict[str, Any], int], dict[str, Any]]
"""What is said to a request of a user id, which the kernel attests."""


class NotifyDoor:
    """Receives the words of services; a malformed one is dropped."""

    def __init__(self, path: Path) -> None:
        self.socket = bind_for_group(path, socket.SOCK_DGRAM)
        self.socket.setblocking(False)

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
        self._listener = bind_for_group(path)
        self._listener.setblocking(False)
        self._listener.listen(16)
        self._selector = selector
        self._answer = answer
        self._peers: dict[socket.socket, float] = {}  # until when each may be silent, oldest first
        self._rest_until: float | None = None
        self._listen()

    @property
    def moment(self) -> float | None:
        """When `look` has something to do, monotonic; None: never."""
        moments = [m for m in (self._rest_until, next(iter(self._peers.values()), None)) if m]
        return min(moments, default=None)

    def look(self, now: float) -> None:
        """Hang up on silent peers; open the door again after a rest."""
        for peer in [peer for peer, until in self._peers.items() if now >= until]:
            self._hang_up(peer)
        if self._rest_until is not None and now >= self._rest_until:
            self._listen()

    def _listen(self) -> None:
        self._rest_until = None
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def _accept(self) -> None:
        try:
            peer, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError:  # no file descriptor left: the caller stays in the queue of the kernel
            for silent in list(self._peers):
                self._hang_up(silent)
            self._selector.unregister(self._listener)
            self._rest_until = time.monotonic() + REST_S
            return
        if len(self._peers) >= MAX_PEERS:
            self._hang_up(next(iter(self._peers)))
        peer.setblocking(False)
        heard = bytearray()
        self._peers[peer] = time.monotonic() + SILENT_S
        self._selector.register(peer, selectors.EVENT_READ, lambda: self._hear(peer, heard))

    def _hang_up(self, peer: socket.socket) -> None:
        del self._peers[peer]
        self._selector.unregister(peer)
        peer.close()

    def _hear(self, peer: socket.socket, heard: bytearray) -> None:
        if peer not in self._peers:
            return  # hung up on in this very round
        try:
            data = peer.recv(MAX_LINE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        heard += data
        if data and b"\n" not in heard and len(heard) < MAX_LINE:
            return
        with suppress(OSError):
            if heard:
                request = _object(bytes(heard.partition(b"\n")[0]))
                uid = peer_of(peer)[1]
                reply = (
                    {"error": "no JSON object"} if request is None else self._answer(request, uid)
                )
                peer.settimeout(0.2)  # a reply fits the socket's buffer; a stuck peer loses it
                peer.sendall(json.dumps(reply).encode() + b"\n")
        self._hang_up(peer)

    def close(self) -> None:
        """Hang up and stop listening."""
        for peer in list(self._peers):
            self._hang_up(peer)
        if self._rest_until is None:
            self._selector.unregister(self._listener)
        self._listener.close()


def _object(data: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(data)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
