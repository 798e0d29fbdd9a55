"""Lines that hold a secret, as they may be shown and kept. Pure."""

from __future__ import annotations

import re

HIDDEN = "'<hidden>'"
# Every repetition is bounded or ends at its first other character: lines may be hostile, and long.
_TEXT = (
    r"""(?>[rbfuRBFU]{0,2}(?:\"{3}.*?\"{3}|'{3}.*?'{3}"""
    r"""|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'))"""
)
_WORDS = r"(?:pass(?:word|wd|phrase)?|pwd|secret|token|api_?key|credential)s?"
_NAMED = re.compile(
    rf"""(?isx)({_WORDS}\w{{0,40}}\\?["']?\]?   # DB_PASSWORD, "token", environ["token"]
    (?:\s*:\s*[\w.]{{1,40}}\s*=|\s*[=:]=?)\s*)  # = ..., : ..., : str = ...
    (\\"[^"\\]*\\"|{_TEXT}|[^\s,)\]}}]+)"""
)
_LOGIN = re.compile(rf"(?s)(\blogin\s*\(\s*(?:{_TEXT}|[\w.]+)\s*,\s*)({_TEXT})")


def hidden(line: str) -> str:
    """The line with every secret replaced.

    >>> hidden("login('anna', 'geheim')"), hidden("connect(password='x y', n=3)")
    ("login('anna', '<hidden>')", "connect(password='<hidden>', n=3)")
    """
    return _LOGIN.sub(rf"\1{HIDDEN}", _NAMED.sub(rf"\1{HIDDEN}", line))
