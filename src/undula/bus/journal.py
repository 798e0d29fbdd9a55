"""Room: the message bus. Reading a run's journal: in order, without gap, with one's own cursor.

In: a connector and a run's uid. Out: `RunDocument`s. Called by: writer, live views, recovery.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Protocol

from undula.bus.endpoints import RUN_DOCUMENTS
from undula.bus.ports import BEGIN, Connector
from undula.core.clock import Deadline
from undula.core.errors import BusError
from undula.messages import RunDocument

_BLOCK_S = 0.5
_COUNT = 1000


class Stop(Protocol):
    """What may end a reader's wait; `threading.Event` is one."""

    def is_set(self) -> bool:
        """True when the reader shall end."""


class JournalReader:
    """The documents of one run after index `after`, each once and in order.

    Iterating blocks for the next document and ends after the stop document, when `stop` is set, or
    after `timeout_s` without any document (None: waits for ever).

    Raises while reading: BusError for a gap.
    """

    def __init__(
        self,
        connector: Connector,
        uid: str,
        *,
        after: int = 0,
        stop: Stop | None = None,
        timeout_s: float | None = None,
    ) -> None:
        self.uid, self.index = uid, after
        self.complete = False
        self._connector, self._timeout_s = connector, timeout_s
        self._stop = stop or threading.Event()

    def take(self, *, count: int = _COUNT, block_s: float | None = None) -> list[RunDocument]:
        """What has come since the last call; empty after `block_s` without any."""
        after = f"{self.index}-0" if self.index else BEGIN
        entries = self._connector.read(
            RUN_DOCUMENTS, after=after, count=count, block_s=block_s, uid=self.uid
        )
        documents: list[RunDocument] = []
        for entry_id, document in entries:
            expected = self.index + 1
            if document.index != expected or entry_id != f"{expected}-0":
                if documents:
                    break  # give what is whole; the next call meets the gap again
                raise BusError(
                    f"the journal of run {self.uid} has a gap: document {expected} is missing, "
                    f"{entry_id} follows",
                    remedy="see `undula logs --service publisher`; rebuild from the archive",
                )
            self.index = expected
            self.complete = self.complete or document.name == "stop"
            documents.append(document)
        return documents

    def __iter__(self) -> Iterator[RunDocument]:
        deadline = Deadline(self._timeout_s)
        while not (self.complete or self._stop.is_set() or deadline.passed):
            left = deadline.left_s()
            documents = self.take(block_s=_BLOCK_S if left is None else min(left, _BLOCK_S))
            if documents:
                yield from documents
                deadline = Deadline(self._timeout_s)


def read_all(connector: Connector, uid: str, *, after: int = 0) -> list[RunDocument]:
    """All documents of a journal as it is now. Raises: BusError for a gap."""
    reader = JournalReader(connector, uid, after=after)
    documents: list[RunDocument] = []
    while more := reader.take():
        documents += more
    return documents


def tail(connector: Connector, uid: str) -> RunDocument | None:
    """The last document of a journal as it is now; None when it is empty."""
    last = connector.last_id(RUN_DOCUMENTS, uid=uid)
    if last == BEGIN:
        return None
    before = int(last.partition("-")[0]) - 1
    entries = connector.read(RUN_DOCUMENTS, after=f"{before}-0" if before else BEGIN, uid=uid)
    return entries[-1][1] if entries else None
