"""Secrets on their way through a program: never shown by accident, and blacked out of any text.

In: passwords and tokens. Out: `Secret`, whose text is had by `reveal()` only; `redact` for logs.
Standard library only.
"""

from __future__ import annotations

import re
from typing import Any, Final

HIDDEN: Final = "[hidden]"
TOKEN_MARK: Final = "und1."  # noqa: S105 - how a token begins, so that it is found in any text
PASS_MARK: Final = "undp1."  # noqa: S105 - as above
_NAMES: Final = ("password", "passwd", "passphrase", "token", "secret")
_WORD = re.compile("|".join(_NAMES), re.IGNORECASE)
_TOKEN = re.compile(r"\bundp?1\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_FIELD = re.compile(
    rf"""(?P<head>["']?\b(?:{"|".join(_NAMES)})["']?\s*[=:]\s*)"""
    r"""(?P<value>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')""",
    re.IGNORECASE,
)


class Secret:
    """A text that neither `repr`, `str`, a traceback with values, a pickle nor JSON gives away.

    >>> Secret("open sesame")
    Secret([hidden])
    >>> Secret("open sesame").reveal()
    'open sesame'
    """

    __slots__ = ("__text",)

    def __init__(self, text: str | Secret) -> None:
        self.__text: str = text.reveal() if isinstance(text, Secret) else text

    def reveal(self) -> str:
        """The text itself; for the one place that needs it."""
        return self.__text

    def __repr__(self) -> str:
        return f"Secret({HIDDEN})"

    def __str__(self) -> str:
        return HIDDEN

    def __bool__(self) -> bool:
        return bool(self.__text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.reveal() == self.__text

    def __hash__(self) -> int:
        return hash(self.__text)

    def __reduce__(self) -> str:
        raise TypeError("a secret is not written anywhere")


def redact(text: str) -> str:
    """`text` without tokens, and without quoted values of fields called password, token, secret.

    >>> redact('login(user="eva", password="open sesame")')
    'login(user="eva", password=[hidden])'
    >>> redact("und1.eyJ1Ijoi.c2lnbmF0dXJl")
    '[hidden]'
    """
    if TOKEN_MARK in text or PASS_MARK in text:
        text = _TOKEN.sub(HIDDEN, text)
    return _FIELD.sub(rf"\g<head>{HIDDEN}", text) if _WORD.search(text) else text


def redacted(value: Any) -> Any:
    """A value of texts, lists and dicts without secrets; what a log keeps.

    >>> redacted({"user": "eva", "password": "open sesame", "tries": [1, "und1.eyJ1.c2ln"]})
    {'user': 'eva', 'password': '[hidden]', 'tries': [1, '[hidden]']}
    """
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {
            key: HIDDEN if inner and _is_secret(key) else redacted(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [redacted(inner) for inner in value]
    return value


def _is_secret(key: Any) -> bool:
    return isinstance(key, str) and key.lower() in _NAMES
