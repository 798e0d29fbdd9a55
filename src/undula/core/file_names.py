"""Names of people's things as names of folders and files: any letters, and no two share one.

In: a text, e.g. the name of a sample. Out: a part of a path: letters, marks and digits of any
script in composed form (NFC), `.`, `_` and `-`; never hidden, never with a separator, bounded in
bytes. A text that had to be changed for that gets a short mark of what it was behind it. Pure,
standard library only.
"""

from __future__ import annotations

import hashlib
import unicodedata

LONGEST_BYTES = 80
"""Of one part: a file name of several parts stays below the 255 bytes of Linux, a PV's 256 too."""
UNNAMED = "unnamed"
_MARK_DIGITS = 6


def fits(text: str) -> bool:
    """Whether it is a part of a path as it stands.

    >>> fits("Öl-Probe"), fits("a/b"), fits(".hidden"), fits("")
    (True, False, False, False)
    """
    return bool(text) and file_part(text) == text


def file_part(text: str) -> str:
    """The part of a path that a text gives.

    >>> file_part("Fe2O3"), file_part("Öl-Probe_1.5"), file_part("")
    ('Fe2O3', 'Öl-Probe_1.5', 'unnamed')
    >>> file_part("a b"), file_part("a_b"), file_part("../x")
    ('a_b-c8687a', 'a_b', 'x-d6b96a')
    """
    if not text:
        return UNNAMED
    whole = unicodedata.normalize("NFC", text)
    kept = "".join(c if _is_kept(c) else "\0" for c in whole)
    kept = "_".join(filter(None, kept.split("\0"))).strip(".")
    kept = kept if kept == whole else kept.strip("._")
    if kept == whole and len(kept.encode()) <= LONGEST_BYTES:
        return kept
    mark = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:_MARK_DIGITS]
    return f"{_cut(kept, LONGEST_BYTES - _MARK_DIGITS - 1) or UNNAMED}-{mark}"


def _is_kept(char: str) -> bool:
    return char in "._-" or unicodedata.category(char)[0] in "LMN"


def _cut(text: str, most_bytes: int) -> str:
    """The beginning, in whole characters, each with its marks."""
    while len(text.encode()) > most_bytes:
        text = text[:-1]
        while text and unicodedata.category(text[-1])[0] == "M":
            text = text[:-1]
    return text
