"""Words that a person types as arguments of a plan: at the command line, in a batch. Pure.

`-1` is a number, `samx` a name, `0:1:11` eleven positions, `1,2,5` a list, `key=value` a keyword.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from undula.core.errors import InputError

_KEYWORD = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_RANGE = re.compile(r"([^:]+):([^:]+):([^:]+)")
_WORDS = {"true": True, "false": False, "none": None}


def number(text: str) -> int | float | None:
    """The number that `text` is, None when it is none.

    Raises: InputError for NaN and infinity.

    >>> number("-1"), number("-.5e-3"), number("samx")
    (-1, -0.0005, None)
    """
    try:
        return int(text)
    except ValueError:
        pass
    try:
        value = float(text)
    except ValueError:
        return None
    if not math.isfinite(value):
        raise InputError(f"{text} is not a finite number", remedy="give a finite number")
    return value


def value(text: str) -> Any:
    """One word as a number, a list, a truth value, or a name.

    >>> value("0:1:3"), value("1,2.5"), value("true"), value("samx")
    ([0.0, 0.5, 1.0], [1, 2.5], True, 'samx')
    >>> value("[[samx,0,1],[samy,2,3]]")
    [['samx', 0, 1], ['samy', 2, 3]]
    """
    found = number(text)
    if found is not None:
        return found
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    span = _RANGE.fullmatch(text)
    if span is not None:
        return _positions(text, *span.groups())
    inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if "," in inner or inner is not text:
        return [value(part.strip()) for part in _parts(text, inner) if part.strip()]
    if text.startswith("-"):
        raise InputError(
            f"{text} is neither an option nor a number", remedy="see the command with --help"
        )
    return text


def _parts(text: str, inner: str) -> list[str]:
    """What stands between the commas that are in no brackets of their own."""
    parts, depth = [""], 0
    for sign in inner:
        depth += {"[": 1, "]": -1}.get(sign, 0)
        if depth < 0:
            break
        if sign == "," and not depth:
            parts.append("")
        else:
            parts[-1] += sign
    if depth:
        raise InputError(f"the brackets of {text} do not match", remedy="write e.g. [[0,1],[2,3]]")
    return parts


def _positions(text: str, start: str, stop: str, num: str) -> list[float]:
    low, high, count = number(start), number(stop), number(num)
    if low is None or high is None or not isinstance(count, int) or count < 1:
        raise InputError(
            f"{text} is no range", remedy="write START:STOP:NUM with a whole number of positions"
        )
    import numpy as np

    return [float(x) for x in np.linspace(low, high, count)]


def arguments(words: Sequence[str]) -> tuple[list[Any], dict[str, Any]]:
    """Positional and keyword arguments of a plan.

    >>> arguments(["samx", "-1", "1", "21", "delay=0.5"])
    (['samx', -1, 1, 21], {'delay': 0.5})
    """
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for word in words:
        keyword = _KEYWORD.fullmatch(word)
        if keyword is None:
            if kwargs:
                raise InputError(
                    f"{word} stands behind a keyword", remedy="write keywords at the end"
                )
            args.append(_told(word, f"word {len(args) + 1}"))
        elif keyword[1] in kwargs:
            raise InputError(f"{keyword[1]} is given twice", remedy="give it once")
        else:
            kwargs[keyword[1]] = _told(keyword[2], keyword[1])
    return args, kwargs


def _told(text: str, which: str) -> Any:
    """Its value. Raises: InputError that says which word it is."""
    try:
        return value(text)
    except InputError as error:
        error.what = f"{which}: {error.what}"
        raise
