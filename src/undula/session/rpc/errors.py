"""`ZError`: an error with a code for programs and a text for people, on both sides of the wire.

In: a code and a text. Out: `{"err": code, "desc": text}`, and the same exception at the client.
"""

from __future__ import annotations

import re

from undula.core.errors import UndulaError, with_remedy

_CODE = re.compile(r"[A-Za-z][\w./-]{0,63}")


class ZError(UndulaError):
    """An expected fault of a request.

    Args:
        code: one word for programs, e.g. `busy`, `limits`; `exc` means an unforeseen exception.
        text: one sentence for people.
        remedy: what to do now, when that is known.
        device: the device concerned, when there is one.

    >>> str(ZError("login", "nobody is logged in"))
    'login: nobody is logged in'
    """

    category = "rpc"

    def __init__(
        self, code: str, text: str, *, remedy: str = "", device: str | None = None
    ) -> None:
        if not _CODE.fullmatch(code):
            raise ValueError(f"{code!r} is no error code: one word, not empty")
        super().__init__(text, remedy=remedy, device=device)
        self.code = code
        self.args = (code, text)

    @property
    def text(self) -> str:
        """The sentence alone."""
        return self.what

    def __str__(self) -> str:
        text = f"{self.code}: {self.what}"
        return with_remedy(text, self.remedy) if self.remedy else text


def from_text(text: str) -> ZError | None:
    """The error whose text `CODE: SENTENCE` this is; None when it is no such text."""
    code, _, sentence = text.partition(": ")
    return ZError(code, sentence) if sentence and _CODE.fullmatch(code) else None
