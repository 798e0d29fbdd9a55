"""What a line that Python refuses was meant to be: a mistyped word, a unit, a decimal comma. Pure.

In: the line, the names of the prompt. Out: one line to be shown, "" where only Python can tell.
Called by: `session.shell`.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection, Iterable

from undula.core.suggest import near

_TEXT = re.compile(r"'[^']*'|\"[^\"]*\"|#.*")
_BEGINS = re.compile(r"\s*([A-Za-z_]\w*)(?:\s*\(|[ \t]+[^\s=])")
_UNIT = re.compile(
    r"(?<![\w.'\"])([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)((?![eEjJ]\b)[A-Za-zµ°%]+)(?!\w)"
)
_COMMA = re.compile(r"\b([A-Za-z_]\w*=[-+]?\d+),(\d+)(?![\w.])")


def meant(line: str, names: Collection[str]) -> str:
    """A line that was refused as no Python.

    >>> meant("sacn samx -1 1 10 0.05", ["scan", "samx"])
    "there is no 'sacn' here: did you mean scan?"
    >>> meant("mv samx 1mm", ["mv", "samx"])
    "1mm: a number is typed without its unit, in the device's own: 1"
    >>> meant("scan(samx, -1, 1, 10, time=0,1)", ["scan", "samx"])
    'time=0,1: decimals are typed with a point: time=0.1'
    """
    line = _TEXT.sub("''", line)
    begins = _BEGINS.match(line)
    if begins is None or keyword.iskeyword(begins[1]):
        return ""
    if begins[1] not in names:
        word = near(begins[1], names)
        return f"there is no {begins[1]!r} here: did you mean {word}?" if word else ""
    if comma := _COMMA.search(line):
        return f"{comma[0]}: decimals are typed with a point: {comma[1]}.{comma[2]}"
    if unit := _UNIT.search(line):
        return f"{unit[0]}: a number is typed without its unit, in the device's own: {unit[1]}"
    return ""


def no_such(owner: str, name: str, known: Iterable[str]) -> str:
    """An attribute that something of the beamline does not have.

    >>> no_such("scans", "lin_scan", ["line_scan", "umv"])
    "scans has no 'lin_scan': did you mean line_scan?"
    >>> no_such("queue", "foo", ["add", "pause"])
    "queue has no 'foo': it has add, pause"
    """
    names = sorted(n for n in known if not n.startswith("_"))
    word = near(name, names)
    hint = f"did you mean {word}?" if word else f"it has {', '.join(names)}"
    return f"{owner} has no {name!r}: {hint}"
