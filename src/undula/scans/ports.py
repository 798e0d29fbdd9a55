"""The way out for documents: what scans need of the outbox. Twin: `MemoryDocuments`."""

from __future__ import annotations

from typing import Any, Protocol

from undula.bus.endpoints import Endpoint
from undula.messages import Message


class Documents(Protocol):
    """Takes packed documents; never blocks its caller."""

    @property
    def fill(self) -> float:
        """How full it is, 0 to 1; at 1 the next `put` raises."""

    def put(self, key: str, index: int, payload: bytes, *, closing: bool = False) -> None:
        """Queue one packed document for a journal; room is kept for those that close a run."""

    def announce(self, endpoint: Endpoint[Any], message: Message, *, journal: str = "") -> None:
        """Queue an entry of a bounded stream, in order with the documents."""

    def refusal(self, key: str) -> str:
        """Why the journal can never be whole; empty while nothing of it was refused."""

    def acknowledged(self, key: str) -> int:
        """Highest index up to which the journal is acknowledged; 0 for none."""

    def wait_acknowledged(self, key: str, index: int, timeout_s: float) -> bool:
        """Wait until the document is acknowledged; False when the time is over."""


class MemoryDocuments:
    """Twin: keeps everything in lists, acknowledged at once."""

    def __init__(self) -> None:
        self.journals: dict[str, list[bytes]] = {}
        self.announced: list[Message] = []
        self.fill = 0.0
        self.refused: dict[str, str] = {}

    def put(self, key: str, index: int, payload: bytes, *, closing: bool = False) -> None:  # noqa: ARG002  # twin
        """Append; an index out of order is an error of the caller."""
        journal = self.journals.setdefault(key, [])
        if index != len(journal) + 1:
            raise ValueError(f"{key}: index {index} after {len(journal)}")
        journal.append(payload)

    def announce(
        self,
        endpoint: Endpoint[Any],  # noqa: ARG002  # twin
        message: Message,
        *,
        journal: str = "",  # noqa: ARG002  # twin
    ) -> None:
        """Keep the message."""
        self.announced.append(message)

    def refusal(self, key: str) -> str:
        """What a test put into `refused`."""
        return self.refused.get(key, "")

    def acknowledged(self, key: str) -> int:
        """All that was put."""
        return len(self.journals.get(key, []))

    def wait_acknowledged(self, key: str, index: int, timeout_s: float) -> bool:  # noqa: ARG002  # twin
        """True when it was put."""
        return len(self.journals.get(key, [])) >= index
