"""How far journals are: what was refused ends one, and only so many are kept in mind."""

from __future__ import annotations

from undula.bus.endpoints import RUN_DOCUMENTS
from undula.bus.frames import DOCUMENT, Frame
from undula.bus.journals import _KEYS_KEPT, Journals


def document(index: int, uid: str = "a") -> Frame:
    return Frame(kind=DOCUMENT, seq=index, index=index, key=RUN_DOCUMENTS.key(uid=uid), payload=b"")


def told(journals: Journals) -> list[tuple[str, int, int]]:
    return [(one.uid, one.appended, one.acknowledged) for one in journals.news()]


def test_what_is_new_of_a_journal_is_told_once() -> None:
    journals = Journals()
    for index in (1, 2, 3):
        journals.note_appended(document(index))
    journals.note_acknowledged(document(2))
    assert told(journals) == [("a", 3, 2)]
    assert told(journals) == []
    journals.note_acknowledged(document(1))  # appended again behind a reconnect
    assert told(journals) == []


def test_a_journal_ends_before_the_document_that_was_refused() -> None:
    journals = Journals()
    journals.note_appended(document(1))
    journals.note_refused(document(2))
    for note in (journals.note_appended, journals.note_acknowledged):
        note(document(3))
    journals.note_acknowledged(document(1))
    assert told(journals) == [("a", 1, 1)]


def test_of_many_journals_the_oldest_are_forgotten() -> None:
    journals = Journals()
    for number in range(_KEYS_KEPT + 2):
        journals.note_appended(document(1, f"u{number}"))
    assert [one[0] for one in told(journals)] == [f"u{n}" for n in range(2, _KEYS_KEPT + 2)]
