"""What the publisher holds, as values, and what it says to the broker, as commands.

In: frames. Out: `HeldFrame`, `SendingEngine`, `JournalState`, which `bus.publisher` changes under
its lock; commands of Redis, and words to the engine. Called by: `bus.publisher`, `bus.journals`.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import Any

from undula.bus.endpoints import RUN_DOCUMENTS
from undula.bus.frames import DOCUMENT, PROGRESS, REFUSED, Frame, pack_word
from undula.bus.link import Command, Link

PROGRESS_KEPT_S = 86_400
_REFUSALS_A_ROUND = 100


@dataclass(eq=False)
class SendingEngine:
    """One life of an engine, as the publisher knows it. Numbers count its frames."""

    engine_id: str
    connection: socket.socket | None = None
    maybe_sent: int = 0  # frames up to here may have been appended by a publisher before
    received: int = 0
    appended: int = 0
    acknowledged: int = 0
    told: tuple[int, int] = (0, 0)
    refused: list[int] = field(default_factory=list)  # frames, not told yet

    def tell(self) -> None:
        """Tell it how far its frames are, when that is new and it can hear it now."""
        state = (self.appended, self.acknowledged)
        if self.connection is None or (state == self.told and not self.refused):
            return
        refused = self.refused[:_REFUSALS_A_ROUND]
        if len(refused) < len(self.refused):
            state = self.told  # no word of being safe before all refusals are told
        words = b"".join(pack_word(REFUSED, seq, 0) for seq in refused)
        words += pack_word(PROGRESS, *state)
        try:
            if self.connection.send(words, socket.MSG_DONTWAIT) == len(words):
                self.told = state
                del self.refused[: len(refused)]
        except BlockingIOError:
            return  # told at the next round
        except OSError:
            self.connection = None


@dataclass(slots=True, eq=False)
class HeldFrame:
    """A frame that is not acknowledged yet."""

    engine: SendingEngine
    frame: Frame
    again: bool = False


@dataclass
class JournalState:
    """How far one run's journal is."""

    appended: int = 0
    acknowledged: int = 0
    told: tuple[int, int] = (0, 0)
    refused: int = 0  # index of the first document that the broker refused; 0 for none

    def whole(self, index: int) -> bool:
        """Whether nothing was refused up to this index."""
        return not self.refused or index < self.refused


def appending(frame: Frame) -> Command:
    """Append a frame: a document under its own number, anything else under the broker's."""
    if frame.kind == DOCUMENT:
        return ("XADD", frame.key, f"{frame.index}-0", "m", frame.payload)
    bound: tuple[Any, ...] = ("MAXLEN", "=", frame.index) if frame.index else ()
    return ("XADD", frame.key, *bound, "*", "m", frame.payload)


def has_entry(link: Link, frame: Frame) -> bool:
    """Whether an entry without an id of its own was appended before the connection was lost."""
    entries = link.call("XREVRANGE", frame.key, "+", "-", "COUNT", 1000)
    return any(frame.payload in fields for _, fields in entries)


def published(key: str, payload: bytes) -> list[Command]:
    """Keep a value for whoever comes, and tell those who are there."""
    return [("SET", key, payload, "EX", PROGRESS_KEPT_S), ("PUBLISH", key, payload)]


def strictly(link: Link, commands: list[Command]) -> None:
    """Send commands. Raises: the first error that is among the replies."""
    for reply in link.pipe(commands) if commands else []:
        if isinstance(reply, Exception):
            raise reply


_DOCUMENTS_HEAD, _DOCUMENTS_TAIL = RUN_DOCUMENTS.pattern.split("{uid}")


def uid_of(key: str) -> str | None:
    """Of the run whose journal has this key; None for any other key.

    >>> uid_of(RUN_DOCUMENTS.key(uid="a")), uid_of("plans")
    ('a', None)
    """
    if not (key.startswith(_DOCUMENTS_HEAD) and key.endswith(_DOCUMENTS_TAIL)):
        return None
    return key.removeprefix(_DOCUMENTS_HEAD).removesuffix(_DOCUMENTS_TAIL)
