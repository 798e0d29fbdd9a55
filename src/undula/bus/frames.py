"""Room: the message bus. What engine and publisher say to each other on their Unix socket.

Engine to publisher: frames of a header, a key and a payload, numbered by `seq` from 1 for as long
as the engine lives. Publisher to engine: words of fixed size, how far it has appended and how far
that is acknowledged, and before that which frames the broker refused. Imports the standard library
only.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from undula.core.errors import WireError

MAX_FRAME_BYTES = 70_000_000

HELLO = 1  # payload: id of the engine's life; index: frames handed over before
DOCUMENT = 2  # index: place in the journal
ENTRY = 3  # index: bound of the stream

WELCOME = 1
PROGRESS = 2
REFUSED = 3  # the first number: the frame that the broker will never take; the second: 0

_HEADER = struct.Struct(">IBQQH")
_WORD = struct.Struct(">BQQ")


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame from an engine."""

    kind: int
    seq: int
    index: int
    key: str
    payload: bytes


def pack_frame(kind: int, seq: int, index: int, key: str, payload: bytes) -> bytes:
    """A frame as bytes."""
    name = key.encode("ascii")
    return _HEADER.pack(len(name) + len(payload), kind, seq, index, len(name)) + name + payload


def unpack_frames(buffer: bytearray) -> list[Frame]:
    """Take all whole frames off the buffer. Raises: WireError for what is no frame."""
    frames: list[Frame] = []
    start = 0
    while len(buffer) - start >= _HEADER.size:
        length, kind, seq, index, name_length = _HEADER.unpack_from(buffer, start)
        if length > MAX_FRAME_BYTES or name_length > length or kind not in (HELLO, DOCUMENT, ENTRY):
            raise WireError("no frame of an engine", remedy="connect only the engine here")
        body = start + _HEADER.size
        if len(buffer) - body < length:
            break
        try:
            key = str(buffer[body : body + name_length], "ascii")
        except UnicodeDecodeError as exc:
            raise WireError("a key that is no text", remedy="connect only the engine here") from exc
        payload = bytes(buffer[body + name_length : body + length])
        frames.append(Frame(kind, seq, index, key, payload))
        start = body + length
    del buffer[:start]
    return frames


def pack_word(kind: int, appended: int, acknowledged: int) -> bytes:
    """A word as bytes."""
    return _WORD.pack(kind, appended, acknowledged)


def unpack_words(buffer: bytearray) -> list[tuple[int, int, int]]:
    """Take all whole words off the buffer: kind, appended, acknowledged."""
    whole = len(buffer) // _WORD.size * _WORD.size
    words = [
        (int(kind), int(appended), int(acknowledged))
        for kind, appended, acknowledged in _WORD.iter_unpack(bytes(buffer[:whole]))
    ]
    del buffer[:whole]
    return words
