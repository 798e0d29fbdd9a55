"""Lines that hold a secret, as they may be shown and kept. Pure."""

from __future__ import annotations

import re

HIDDEN = "'<hidden>'"
_WORDS = r"(?:pass(?:word|wd|phrase)?|secret|token|api_?key|credential)s?"
_NAMED = re.compile(
    rf"""(?ix)(\b\w*{_WORDS}\w*["']?\s*[=:]\s*)  # password = ..., "token": ...
    ("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s,)\]}}]+)"""
)
_LOGIN = re.compile(
    r"""(?x)(\blogin\s*\(\s*(?:"[^"]*"|'[^']*')\s*,\s*)  # login("anna", ...)
    ("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
)


def hidden(line: str) -> str:
    """The line with every secret replaced.

    >>> hidden("login('anna', 'geheim')"), hidden("connect(password='x y', n=3)")
    ("login('anna', '<hidden>')", "connect(password='<hidden>', n=3)")
    """
    return _LOGIN.sub(rf"\1{HIDDEN}", _NAMED.sub(rf"\1{HIDDEN}", line))
