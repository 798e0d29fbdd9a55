"""Room: pipes. Packets between the two ends of a link, over a Unix SEQPACKET socket.

A packet is 8 bytes of head and a body. FRAMES: descriptors one after the other. CONFIRM: slots as
32-bit numbers, with the highest bit set for a frame that failed. The others carry a little JSON.
Between hosts the same packets go over ZeroMQ; the data of FRAMES follow in a part of their own.
"""

from __future__ import annotations

import json
import socket
import struct
from array import array
from collections.abc import Iterable, Mapping
from typing import Any

from undula.core.errors import WireError

HEAD = struct.Struct("<3sBI")
MARK = b"UP1"
HELLO, WELCOME, REFUSED, FRAMES, CONFIRM, END = range(1, 7)
LEAVE, ASK, ANSWER = range(7, 10)
"""Between hosts only: this end hangs up; are you there; a producer's answer, with the number."""
FAILED = 1 << 31
MAX_PACKET = 1 << 16
"""Bytes of a packet at most."""
PER_PACKET = 500
"""Descriptors in a packet at most."""
PER_CONFIRM = 8000


def packet(kind: int, body: bytes, count: int = 0) -> bytes:
    """Head and body."""
    return HEAD.pack(MARK, kind, count) + body


def opened(raw: bytes | memoryview) -> tuple[int, int, bytes | memoryview]:
    """Kind, count, body. Raises: WireError when it is no packet of ours."""
    if len(raw) < HEAD.size:
        raise nonsense(f"{len(raw)} bytes")
    mark, kind, count = HEAD.unpack_from(raw)
    if mark != MARK or not HELLO <= kind <= ANSWER:
        raise nonsense(f"{bytes(raw[:8])!r}")
    return kind, count, raw[HEAD.size :]


def words(kind: int, content: Mapping[str, Any]) -> bytes:
    """A packet that carries JSON."""
    return packet(kind, json.dumps(content).encode())


def content(body: bytes | memoryview) -> dict[str, Any]:
    """The JSON of a packet. Raises: WireError."""
    try:
        found = json.loads(bytes(body))
    except (ValueError, RecursionError) as exc:
        raise nonsense("no JSON") from exc
    if not isinstance(found, dict):
        raise nonsense("no JSON object")
    return found


def confirmation(slots: Iterable[int]) -> bytes:
    """Slots that are done with; `slot | FAILED` for a frame that failed."""
    marks = array("I", slots)
    return packet(CONFIRM, marks.tobytes(), len(marks))


def confirmed(body: bytes | memoryview) -> array[int]:
    """What `confirmation` said. Raises: WireError."""
    marks = array("I")
    if len(body) % marks.itemsize:
        raise nonsense("a broken confirmation")
    marks.frombytes(bytes(body))
    return marks


def nonsense(what: str) -> WireError:
    """The error for what is no packet."""
    return WireError(
        f"the other end of a link speaks nonsense: {what}",
        remedy="let both ends run the same version of Undula",
    )


def received(connected: socket.socket) -> bytes:
    """The next packet; empty at the end of file, which a death is. Raises: BlockingIOError.

    When the other end dies with something unread, the kernel reports that first, before the packets
    that it had sent: they are read all the same.
    """
    while True:
        try:
            return connected.recv(MAX_PACKET, socket.MSG_DONTWAIT)
        except BlockingIOError:
            raise
        except (InterruptedError, ConnectionResetError):
            continue
        except OSError:
            return b""


def room_in(answer: Mapping[str, Any]) -> int:
    """How many frames a consumer that was welcomed may have in hand; 1 when it was not told."""
    most = answer.get("most")
    return most if isinstance(most, int) and most >= 1 else 1
