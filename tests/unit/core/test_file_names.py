"""Parts of paths from people's words: of any script, harmless, and of different words different."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from undula.core.file_names import LONGEST_BYTES, file_part, fits

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=120)


@given(TEXTS)
def test_every_text_gives_a_harmless_part_of_a_path(text: str) -> None:
    part = file_part(text)
    assert 0 < len(part.encode()) <= LONGEST_BYTES
    assert not part.startswith(".")
    assert not {"/", "\\", "\0", "\n", " "} & set(part)
    assert unicodedata.is_normalized("NFC", part)
    assert fits(part)


@given(TEXTS, TEXTS)
def test_different_texts_share_no_part(one: str, other: str) -> None:
    assume(unicodedata.normalize("NFC", one) != unicodedata.normalize("NFC", other))
    assume("" not in (one, other))
    assert file_part(one) != file_part(other)


@pytest.mark.parametrize("text", ["Öl-Probe", "試样", "unicode_plän", "नमूना", "no_sample", "a..b"])
def test_letters_of_any_script_stay(text: str) -> None:
    assert file_part(text) == unicodedata.normalize("NFC", text)


def test_two_ways_to_write_a_letter_are_one_folder() -> None:
    assert file_part("O\u0308l") == file_part("\u00d6l") == "\u00d6l"


def test_what_had_to_change_is_marked() -> None:
    marked = file_part("Öl-Probe µ 试样")
    assert marked.startswith("Öl-Probe_µ_试样-")
    assert (
        len({file_part(t) for t in ("a b", "a/b", "a_b", "a  b", ".a_b", "ab" * 90, "ab" * 91)})
        == 7
    )
