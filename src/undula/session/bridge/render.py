"""A call with typed arguments as the line that a person could have typed. Pure.

Exact: evaluating the line gives the same arguments. In: a `Call`. Out: one line of Python.
"""

from __future__ import annotations

import keyword
import math
from collections.abc import Mapping
from typing import Any

from undula.core.errors import InputError
from undula.session.bridge.model import Call, Path

MAX_DEPTH = 20
MAX_LINE = 20_000


def is_path(text: str) -> bool:
    """Whether a text is names joined by dots, none of them private or a keyword.

    >>> is_path("M.samx"), is_path("M.samx.__class__"), is_path("os.system('x')")
    (True, False, False)
    """
    return all(
        part.isidentifier() and not keyword.iskeyword(part) and not part.startswith("_")
        for part in text.split(".")
    )


def render(call: Call) -> str:
    """The line. Raises: InputError for what no line can hold exactly, naming the argument.

    >>> render(Call("umv", (Path("M.samx"), 1.2)))
    'umv(M.samx, 1.2)'
    """
    if not is_path(call.function):
        raise InputError(
            f"{call.function[:80]!r} is no name of a function", remedy="send a name, e.g. umv"
        )
    parts = [_written(value, f"argument {n}") for n, value in enumerate(call.args, 1)]
    for key, value in call.kwargs.items():
        if not key.isidentifier() or keyword.iskeyword(key):
            raise InputError(f"{key[:80]!r} is no name of an argument", remedy="send a name")
        parts.append(f"{key}={_written(value, key)}")
    line = f"{call.function}({', '.join(parts)})"
    if len(line) > MAX_LINE:
        raise InputError(
            f"the line would have {len(line)} characters, {MAX_LINE} are allowed",
            remedy="pass large data by a file",
        )
    return line


def _written(value: Any, where: str, depth: int = 0) -> str:
    if depth > MAX_DEPTH:
        raise InputError(f"{where} is nested too deeply", remedy=f"use at most {MAX_DEPTH} levels")
    if isinstance(value, Path):
        if not is_path(value.path):
            raise InputError(
                f"{where}: {value.path[:80]!r} is no path of a device", remedy="send e.g. M.samx"
            )
        return value.path
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{where} is {value}, no finite number", remedy="give a finite number")
    if value is None or type(value) in (bool, int, float, str):
        return repr(value)
    if isinstance(value, list):
        return "[" + ", ".join(_written(v, where, depth + 1) for v in value) + "]"
    if isinstance(value, tuple):
        inner = ", ".join(_written(v, where, depth + 1) for v in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, Mapping):
        items = (
            f"{_written(k, where, depth + 1)}: {_written(v, where, depth + 1)}"
            for k, v in value.items()
        )
        return "{" + ", ".join(items) + "}"
    raise InputError(
        f"{where} is a {type(value).__name__}",
        remedy="send numbers, texts, lists, dicts or paths of devices",
    )
