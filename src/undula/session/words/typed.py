"""The typing helper: `umv samx 3`, as in SPEC and BLISS, is taken as `umv(samx, 3)`.

Lines of Python are never touched: only a line that Python refuses is looked at, and only when it
begins with a word of the beamline. But a word that needs nothing and stands alone, `wa`, is a
call: as Python it would only name the function. In: the lines of a cell. Out: lines of Python.
Pure, but for `TypingHelper`, which an IPython asks.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable

MAX_LINES = 300
"""Longer cells are programs: nobody types them in this way."""
TEXT_WORDS = frozenset({"newproposal", "newsample", "newdataset", "lsdev", "load_script", "script"})
"""Words whose arguments are texts: `newsample Fe2O3`."""
ALONE = frozenset(
    {
        "wa", "lsdev", "stop", "pause", "resume", "skip", "retake", "complete", "abort",
        "cen", "com", "peak", "fwhm", "goto_cen", "goto_com", "goto_peak",
        "edge", "goto_edge", "goto_fit", "plotselect", "endproposal", "reload_plans",
        "typing_helper", "help", "login", "logout", "whoami",
    }
)  # fmt: skip
"""Words that may stand alone: `wa` is `wa()`."""
_FIRST = re.compile(r"([A-Za-z_]\w*)[ \t]+(?=\S)")
_KEYWORD = re.compile(r"[A-Za-z_]\w*=(?!=)")
_BARE = re.compile(r"[\w.*?/~-]+")
_OPENING, _CLOSING = "([{", ")]}"


def compiles(text: str) -> bool:
    """Whether Python takes a text as it is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            compile(text, "<typed>", "exec")
        except (SyntaxError, ValueError, OverflowError, MemoryError, RecursionError):
            return False
    return True


def as_calls(lines: list[str], is_word: Callable[[str], bool]) -> list[str]:
    """The lines of a cell, those of SPEC's kind made calls.

    Args:
        lines: with their line ends.
        is_word: whether a name is a word of the beamline, which nobody has given another meaning.

    >>> as_calls(["umv samx 3\\n", "x = 1\\n"], lambda word: word == "umv")
    ['umv(samx, 3)\\n', 'x = 1\\n']
    """
    if len(lines) > MAX_LINES or not lines or lines[0].startswith("%%"):
        return lines
    if not any(_begins(line, is_word) for line in lines) or compiles("".join(lines)):
        return lines
    found: list[str] = []
    begun = ""  # a statement that may go on
    for line in lines:
        if not begun and (typed := as_call(line, is_word)) is not None:
            found.append(typed)
            continue
        found.append(line)
        begun += line
        if _of_ipython(begun) or compiles(begun):
            begun = ""
    return found


def alone(lines: list[str], is_word: Callable[[str], bool]) -> list[str]:
    """A cell that is one word, and needs nothing more, as a call.

    >>> alone(["wa\\n"], lambda _: True), alone(["x\\n"], lambda _: True)
    (['wa()\\n'], ['x\\n'])
    """
    if len(lines) != 1:
        return lines
    word = lines[0].strip().removesuffix(";").rstrip()
    return [f"{word}()\n"] if word in ALONE and is_word(word) else lines


def _begins(line: str, is_word: Callable[[str], bool]) -> bool:
    first = _FIRST.match(line)
    return first is not None and is_word(first.group(1))


def _of_ipython(text: str) -> bool:
    line = text.strip()
    return "\n" not in line and (line.startswith(("%", "!", "?")) or line.endswith("?"))


def as_call(line: str, is_word: Callable[[str], bool]) -> str | None:
    """One line as calls of Python, its comment kept; None when it is to stay as it is.

    >>> as_call("scan samx -1 1 21 time=0.1  # again", lambda _: True)
    'scan(samx, -1, 1, 21, time=0.1)  # again'
    >>> as_call("newsample Fe2O3; ct 1", lambda _: True)
    "newsample('Fe2O3'); ct(1)"
    >>> as_call("ct - 1", lambda _: True) is as_call("ct in [1", lambda _: True) is None
    True
    """
    body = line.rstrip("\r\n")
    if "\n" in body or not _begins(body, is_word) or compiles(body):
        return None
    parts = _parts(body)
    if parts is None:
        return None
    statements, comment = parts
    calls = []
    for words in statements:
        call = _call(words, is_word)
        if call is None:
            return None
        calls.append(call)
    made = "; ".join(calls)
    if not _is_call(made):  # e.g. a word that is given another meaning, in a line that is faulty
        return None
    return made + comment + line[len(body) :]


def _is_call(text: str) -> bool:
    """Its first statement is a call."""
    first = ast.parse(text).body[0]
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Call)


def _call(words: list[str], is_word: Callable[[str], bool]) -> str | None:
    if not words:
        return None
    name, arguments = words[0], [word.strip(",") for word in words[1:]]
    text = " ".join(words)
    if compiles(text):
        return text
    if not is_word(name):
        return None
    arguments = [word for word in arguments if word]
    if name in TEXT_WORDS:
        arguments = [repr(a) if _BARE.fullmatch(a) and not _number(a) else a for a in arguments]
    call = f"{name}({', '.join(arguments)})"
    fit = all(compiles(f"f({a})") if _KEYWORD.match(a) else compiles(f"({a})") for a in arguments)
    return call if fit and compiles(call) else None


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _parts(line: str) -> tuple[list[list[str]], str] | None:
    """The words of each statement, and the comment; None when a bracket or text stays open."""
    statements: list[list[str]] = [[]]
    word, depth, i = "", 0, 0
    while i < len(line):
        char = line[i]
        if char in "\"'":
            end = _end_of_text(line, i)
            if end is None:
                return None
            word, i = word + line[i:end], end
            continue
        depth += (char in _OPENING) - (char in _CLOSING)
        outside = depth == 0
        if depth < 0 or (char == "#" and not outside):
            return None
        if outside and char == "#":
            break
        if outside and (char.isspace() or char == ";"):
            statements[-1] += [word] if word else []
            word = ""
            statements += [[]] if char == ";" else []
        else:
            word += char
        i += 1
    if depth:
        return None
    statements[-1] += [word] if word else []
    comment = line[i:]
    while len(statements) > 1 and not statements[-1]:
        statements.pop()
    return statements, f"  {comment}" if comment else ""


def _end_of_text(line: str, start: int) -> int | None:
    quote = line[start]
    i = start + 1
    while i < len(line):
        if line[i] == "\\":
            i += 1
        elif line[i] == quote:
            return i + 1
        i += 1
    return None


class TypingHelper:
    """The helper of one prompt, on until it is switched off.

    Args:
        is_word: see `as_calls`.
    """

    def __init__(self, is_word: Callable[[str], bool]) -> None:
        self._is_word = is_word
        self.on = True

    def __call__(self, lines: list[str]) -> list[str]:
        """A cell's lines, for IPython."""
        return as_calls(alone(lines, self._is_word), self._is_word) if self.on else lines

    def typing_helper(self, on: bool | None = None) -> bool:
        """typing_helper(False): take `umv samx 3` no more as umv(samx, 3). Says what holds."""
        if on is not None:
            self.on = bool(on)
        return self.on
