"""Room: the message bus. How far the journals are that the publisher appends to. Pure.

In: frames that were appended, refused or acknowledged. Out: what is new of each journal, as a
message. Called by: `bus.publisher`, under its lock. Only so many journals are kept in mind.
"""

from __future__ import annotations

from collections.abc import Iterator

from undula.bus.frames import DOCUMENT, Frame
from undula.bus.held_frames import JournalState, uid_of
from undula.messages import JournalProgress

_KEYS_KEPT = 1000


class Journals:
    """The state of each journal, by its key; frames that are no documents count for none."""

    def __init__(self) -> None:
        self._known: dict[str, JournalState] = {}

    def _of(self, frame: Frame) -> JournalState | None:
        """The journal of a document; None where a document before it was refused."""
        if frame.kind != DOCUMENT:
            return None
        journal = self._known.get(frame.key)
        if journal is None:
            while len(self._known) >= _KEYS_KEPT:
                self._known.pop(next(iter(self._known)))
            journal = self._known[frame.key] = JournalState()
        return journal if journal.whole(frame.index) else None

    def note_appended(self, frame: Frame) -> None:
        """The broker has it."""
        journal = self._of(frame)
        if journal is not None:
            journal.appended = max(journal.appended, frame.index)

    def note_acknowledged(self, frame: Frame) -> None:
        """The broker's file has it."""
        journal = self._of(frame)
        if journal is not None:
            journal.acknowledged = max(journal.acknowledged, frame.index)

    def note_refused(self, frame: Frame) -> None:
        """The broker will never take it: its journal ends before."""
        journal = self._of(frame)
        if journal is not None:
            journal.refused = frame.index

    def news(self) -> Iterator[JournalProgress]:
        """Journals that are further than was told last."""
        for key, journal in self._known.items():
            state = (journal.appended, journal.acknowledged)
            uid = uid_of(key)
            if state != journal.told and uid is not None:
                journal.told = state
                yield JournalProgress(uid=uid, appended=state[0], acknowledged=state[1])
