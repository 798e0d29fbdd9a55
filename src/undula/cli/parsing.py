"""Words of a command line as arguments of a plan. Pure.

`-1` is a number, `samx` a name, `0:1:11` eleven positions, `1,2,5` a list, `key=value` a keyword.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from undula.core.errors import InputError
from undula.core.words import arguments, number, value

__all__ = [
    "arguments", "line_arguments", "metadata", "move_arguments", "names", "number",
    "plan_arguments", "value",
]  # fmt: skip

_NAME = re.compile(r"[A-Za-z_][\w.-]*")


def plan_arguments(
    words: Sequence[str], kinds: Mapping[str, str]
) -> tuple[list[Any], dict[str, Any]]:
    """Arguments of a plan of the catalogue; those with a name also as `--name value`.

    Args:
        kinds: name of each argument that may be given so, to its kind; one of kind `bool` stands
            alone, `--no-name` for false.

    >>> plan_arguments(["samx", "0", "--k-stop", "12", "--no-snake"], {"k_stop": "float",
    ...     "snake": "bool"})
    (['samx', 0], {'k_stop': 12, 'snake': False})
    """
    plain: list[str] = []
    given: dict[str, Any] = {}
    left = list(words)
    while left:
        word = left.pop(0)
        name, has_value, text = word[2:].partition("=")
        name = name.replace("-", "_")
        if not word.startswith("--") or not name:
            plain.append(word)
            continue
        off = name.startswith("no_") and name not in kinds
        name = name.removeprefix("no_") if off else name
        if name not in kinds:
            raise InputError(f"there is no option {word}", remedy="see the command with --help")
        if name in given:
            raise InputError(f"{word} is given twice", remedy="give it once")
        if has_value:
            given[name] = value(text)
        elif kinds[name] in ("bool", "plan") and (off or not left or kinds[name] == "bool"):
            given[name] = not off
        elif kinds[name] == "plan" and left[0].startswith("--"):
            given[name] = True
        elif not left:
            raise InputError(f"{word} has no value", remedy="see the command with --help")
        else:
            given[name] = value(left.pop(0))
    args, kwargs = arguments(plain)
    if twice := given.keys() & kwargs.keys():
        raise InputError(f"{min(twice)} is given twice", remedy="give it once")
    return args, kwargs | given


def line_arguments(words: Sequence[str]) -> tuple[list[Any], dict[str, Any]]:
    """Arguments of `undula scan`: AXIS START STOP, as often as wanted, then the number of points.

    Raises: InputError that names the word that does not fit.

    >>> line_arguments(["samx", "-1", "1", "samy", "0", "2", "21"])[0]
    ['samx', -1, 1, 'samy', 0, 2, 21]
    >>> line_arguments(["samx", "-1", "1", "1e3"])[0]
    ['samx', -1, 1, 1000]
    """
    usage = "write AXIS START STOP [AXIS START STOP ...] NUM, e.g. samx -1 1 21"
    args, kwargs = arguments(words)
    if len(args) >= 8 and len(args) % 4 == 0 and all(isinstance(a, str) for a in args[::4]):
        raise InputError(
            "each axis has its own number of points: that is a grid",
            remedy=f"use undula grid {' '.join(words)}, or give the number once, at the end",
        )
    if len(args) < 4 or len(args) % 3 != 1:
        raise InputError(f"{len(args)} words do not make a scan", remedy=usage)
    for i in range(0, len(args) - 1, 3):
        _check_axis(args[i], args[i + 1 : i + 3], usage)
    if isinstance(args[-1], float) and args[-1].is_integer():  # e.g. 1e3
        args[-1] = int(args[-1])
    if isinstance(args[-1], bool) or not isinstance(args[-1], int) or args[-1] < 1:
        raise InputError(f"the number of points is {args[-1]}", remedy=usage)
    return args, kwargs


def _check_axis(axis: Any, numbers: list[Any], usage: str) -> None:
    if not isinstance(axis, str) or not _NAME.fullmatch(axis):
        raise InputError(f"{axis} stands where an axis is expected", remedy=usage)
    for given in numbers:
        if isinstance(given, bool) or not isinstance(given, int | float):
            raise InputError(f"{given} is no position of {axis}", remedy=usage)


def move_arguments(words: Sequence[str]) -> dict[str, Any]:
    """Device to target, from `samx 3 samy 4`.

    >>> move_arguments(["samx", "-3", "shutter", "open"])
    {'samx': -3, 'shutter': 'open'}
    """
    usage = "write DEVICE TARGET [DEVICE TARGET ...], e.g. samx 3"
    if not words:
        raise InputError("no device was named", remedy=usage)
    if len(words) % 2:
        raise InputError(f"there is no target for {words[-1]}", remedy=usage)
    found: dict[str, Any] = {}
    for name, target in zip(words[::2], words[1::2], strict=True):
        if not _NAME.fullmatch(name):
            raise InputError(f"{name} stands where a device is expected", remedy=usage)
        if name in found:
            raise InputError(f"{name} is named twice", remedy="give one target for each device")
        found[name] = value(target)
    return found


def metadata(words: Sequence[str] | None) -> dict[str, Any] | None:
    """Metadata of `sample=Fe2O3 temperature_K=12.5`; None when there is none.

    >>> metadata(["sample=Fe2O3", "temperature_K=12.5"])
    {'sample': 'Fe2O3', 'temperature_K': 12.5}
    """
    found: dict[str, Any] = {}
    for word in words or ():
        key, has_value, text = word.partition("=")
        if not has_value or not key:
            raise InputError(
                f"{word!r} is no metadata", remedy="write KEY=VALUE, e.g. sample=Fe2O3"
            )
        if key in found:
            raise InputError(f"{key} is given twice", remedy="give it once")
        known = number(text)
        found[key] = text if known is None else known
    return found or None


def names(text: str | None) -> list[str] | None:
    """Device names of `--detectors diode,ion1`; None when none are given.

    Raises: InputError for an empty text: a variable of a script that was not set.
    """
    if text is None:
        return None
    found = text.replace(",", " ").split()
    if not found:
        raise InputError(
            "the list of detectors is empty",
            remedy="leave --detectors out for the usual ones, or name some: --detectors diode",
        )
    return found
