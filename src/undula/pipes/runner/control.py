"""Room: pipes. What runner and worker say to each other: JSON objects, one a line.

They use a socket pair. The end of file is a death: a worker whose runner died ends at once, so that
nothing is left behind. A worker waits until its runner has room for its words; the runner waits for
nobody: what a worker does not hear is kept for it, up to a bound.
"""

from __future__ import annotations

import json
import socket
from collections import deque
from typing import Any

from undula.core.errors import WireError

READ_BYTES = 1 << 18
KEPT_BYTES = 8 << 20
"""So much a runner keeps for a worker that does not listen."""


class Line:
    """One end of the conversation.

    Args:
        connected: to the other end.
        kept_bytes: so much is kept while the other end has no room: `say` then never waits, whoever
            says must `flush`, and hears by `deaf` that it was too much. None: `say` waits.
    """

    def __init__(self, connected: socket.socket, *, kept_bytes: int | None = None) -> None:
        self._socket = connected
        self._kept_bytes = kept_bytes
        self._kept: deque[bytes] = deque()
        self._size = 0
        self.deaf = False
        """The other end has not listened for so long that words to it are lost."""
        self._rest = b""
        self._unread: list[dict[str, Any]] = []
        self.ended = False

    def fileno(self) -> int:
        """Readable when the other end said something, or died."""
        return self._socket.fileno()

    def say(self, **words: Any) -> None:
        """Say one thing; silently nothing to one that died."""
        raw = json.dumps(words).encode() + b"\n"
        if self._kept_bytes is None:
            try:
                self._socket.sendall(raw, socket.MSG_NOSIGNAL)
            except OSError:
                self.ended = True
            return
        if self._kept and self._size + len(raw) > self._kept_bytes:
            self.deaf = True  # one thing is always kept, however large it is
        if self.deaf or self.ended:
            return
        self._kept.append(raw)
        self._size += len(raw)
        self.flush()

    @property
    def keeps(self) -> bool:
        """Whether there are words that the other end has had no room for."""
        return bool(self._kept)

    def flush(self) -> None:
        """Send what is kept, as far as there is room now."""
        while self._kept and not self.ended:
            raw = self._kept.popleft()
            try:
                sent = self._socket.send(raw, socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._kept.clear()
                self.ended = True
                return
            self._size -= sent
            if sent < len(raw):
                self._kept.appendleft(raw[sent:])
                return

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
