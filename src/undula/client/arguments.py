"""What a person may pass to a plan, as plain data for the bus, and as the line for the record.

In: device proxies, numbers, texts, lists, arrays. Out: names, numbers, texts, lists. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

from undula.core.errors import InputError
from undula.core.shown import counted


@runtime_checkable
class Named(Protocol):
    """Anything that stands for a device: a proxy has a `device_name`."""

    @property
    def device_name(self) -> str:
        """Name of the device in the device file."""


def _is_array(value: Any) -> bool:
    """An array or a number of numpy, told without importing numpy."""
    return hasattr(type(value), "dtype") and hasattr(value, "tolist")


def plain(value: Any, what: str = "") -> Any:
    """`value` as data that may travel: proxies and plans become names, arrays become lists.

    Args:
        what: which argument it is, for the error, e.g. `argument 2 of scan`.
    Raises: InputError for anything that is neither a device nor plain data, for NaN and infinity.

    >>> import numpy as np
    >>> plain([np.float64(0.5), (1, None), np.arange(2)])
    [0.5, [1, None], [0, 1]]
    """
    if _is_array(value):
        return plain(value.tolist(), what)  # of a single number, too
    if value is None or isinstance(value, bool | int | float | str):
        return _finite(value, what)
    if isinstance(value, Named):
        return value.device_name
    if isinstance(name := getattr(value, "plan_name", None), str):
        return name  # a plan of the shell, as a part of another
    if isinstance(value, Mapping):
        return {str(key): plain(inner, _inside(what, key)) for key, inner in value.items()}
    if isinstance(value, Iterable):
        return [plain(inner, _inside(what, n)) for n, inner in enumerate(value, 1)]
    raise InputError(
        f"{f'{what}, ' if what else ''}{value!r}, cannot be sent to the engine",
        remedy="pass devices, numbers, texts, or lists of them",
    )


def plain_call(
    plan: str, args: Iterable[Any], kwargs: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a plan as data that may travel. Raises: InputError that names the wrong one.

    >>> plain_call("scan", ["samx", float("nan")], {})
    Traceback (most recent call last):
    undula.core.errors.InputError: argument 2 of scan is nan. Remedy: give a finite number.
    """
    placed = [plain(value, f"argument {n} of {plan}") for n, value in enumerate(args, 1)]
    return placed, {str(name): plain(value, f"{name} of {plan}") for name, value in kwargs.items()}


def _inside(what: str, place: object) -> str:
    if not what:
        return ""
    return f"{what}, {place}" if isinstance(place, str) else f"{what}, its number {place}"


def _finite(value: Any, what: str) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(
            f"{what} is {value}" if what else f"{value} is not a finite number",
            remedy="give a finite number",
        )
    return value


def names(devices: Iterable[Any] | str | None) -> list[str] | None:
    """Device names of a list of proxies and names; one name may stand alone.

    >>> names("diode"), names(["diode"]), names(None)
    (['diode'], ['diode'], None)
    """
    if devices is None:
        return None
    given = [devices] if isinstance(devices, str | Named) else list(devices)
    found = [plain(device) for device in given]
    for device in found:
        if not isinstance(device, str):
            raise InputError(f"{device!r} is no device", remedy="name devices")
    return found


def targets(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Device to target from `(samx, 3, "samy", 4)` or `samx=3, samy=4`.

    >>> targets(("samx", 3), {"samy": 4})
    {'samx': 3, 'samy': 4}
    """
    if len(args) % 2 or not (args or kwargs):
        raise InputError(
            f"{counted(len(args), 'argument')} cannot be pairs of a device and its target",
            remedy="give a device and its target, e.g. mv(samx, 3)",
        )
    result: dict[str, Any] = {}
    for device, target in zip(args[::2], args[1::2], strict=True):
        name = plain(device)
        if not isinstance(name, str):
            raise InputError(f"{device!r} is no device", remedy="give a device, then its target")
        if name in result:
            raise InputError(f"{name} is named twice", remedy="give one target for each device")
        result[name] = plain(target, f"the target of {name}")
    for name, target in kwargs.items():
        if name in result:
            raise InputError(f"{name} is named twice", remedy="give one target for each device")
        result[name] = plain(target, f"the target of {name}")
    return result


def _written(value: Any) -> str:
    if isinstance(value, Named):
        return str(getattr(value, "device_path", value.device_name))
    if _is_array(value):
        return repr(value.tolist())
    if isinstance(name := getattr(value, "plan_name", None), str):
        return name
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_written(inner) for inner in value) + "]"
    return repr(plain(value))


def command_line(plan: str, args: Iterable[Any], kwargs: Mapping[str, Any]) -> str:
    """The call as a person could type it in the shell; a device by the path that reaches it.

    >>> command_line("scan", ["samx", -1, 1, 21], {"time": 0.1})
    "scan('samx', -1, 1, 21, time=0.1)"
    """
    parts = [_written(a) for a in args]
    parts += [f"{key}={_written(value)}" for key, value in kwargs.items() if value is not None]
    return f"{plan}({', '.join(parts)})"
