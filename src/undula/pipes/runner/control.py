"""Room: pipes. What runner and worker say to each other: JSON objects, one a line.

They use a socket pair. The end of file is a death: a worker whose runner died ends at once, so that
nothing is left behind.
"""

from __future__ import annotations

import json
import socket
from typing import Any

from undula.core.errors import WireError

READ_BYTES = 1 << 18


class Line:
    """One end of the conversation. Sending waits until the other end has room."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._rest = b""
        self._unread: list[dict[str, Any]] = []
        self.ended = False

    def fileno(self) -> int:
        """Readable when the other end said something, or died."""
        return self._socket.fileno()

    def say(self, **words: Any) -> None:
        """Say one thing; silently nothing to one that died."""
        try:
            self._socket.sendall(json.dumps(words).encode() + b"\n", socket.MSG_NOSIGNAL)
        except OSError:
            self.ended = True

    def heard(self) -> list[dict[str, Any]]:
        """What was said since; waits for nothing. Raises: WireError."""
        while True:
            try:
                raw = self._socket.recv(READ_BYTES, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            except OSError:
                raw = b""
            if not raw:
                self.ended = True
                break
            self._rest += raw
        *lines, self._rest = self._rest.split(b"\n")
        unread, self._unread = self._unread, []
        return unread + [_object(line) for line in lines if line]

    def unread(self, words: list[dict[str, Any]]) -> None:
        """Give back what somebody else is to hear."""
        self._unread = words + self._unread

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def _object(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as exc:
        raise WireError("a worker speaks nonsense", remedy="see `undula logs`") from exc
    if not isinstance(found, dict):
        raise WireError("a worker speaks nonsense", remedy="see `undula logs`")
    return found
