"""Telling the session service that somebody types here. Never waits, and may be lost.

In: whether the line holds text. Out: the verb `cmd/typing`, now and every few seconds.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import zmq

from undula.client import Client
from undula.core.errors import AccessError
from undula.session.rpc.client import REQUESTS

AGAIN_S = 5.0


class TypingTold:
    """One line to the session service, used on one thread."""

    def __init__(self, folder: Path, client: Client) -> None:
        self._client = client
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.IMMEDIATE, 1)
        self._socket.connect(f"ipc://{folder / REQUESTS}")
        self._last, self._said = False, 0.0

    def __call__(self, has_text: bool) -> None:
        """Say it, unless it was said a moment ago."""
        now = time.monotonic()
        if has_text == self._last and (not has_text or now - self._said < AGAIN_S):
            return
        self._last, self._said = has_text, now
        try:
            token = self._client.link.token()
        except AccessError:  # told with the next line; a key must never fail
            return
        request = {"typ": "cmd/typing", "on": has_text}
        if token:
            request["token"] = token.reveal()
        try:
            while True:  # the replies say nothing
                self._socket.recv(zmq.NOBLOCK)
        except zmq.Again:
            pass
        try:
            self._socket.send(json.dumps(request).encode(), zmq.NOBLOCK)
        except zmq.Again:  # the session service is away: nobody is refused because of this line
            self._last = False

    def close(self) -> None:
        """Close the line."""
        self._socket.close(0)
        self._context.term()
