"""One attribute or device over PyTango, with deadlines and errors that name it.

In: an address, `DOMAIN/FAMILY/MEMBER[/ATTRIBUTE]` of the site's database, or
`tango://HOST:PORT/...#dbase=no` without one. Out: values with their time and quality; DeviceError.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from undula.core.errors import DeviceError, InputError

try:
    import tango
except ImportError as exc:
    raise ImportError("PyTango is not installed: pip install 'undula[tango]'") from exc

CALL_TIMEOUT_S = 3.0
_ADDRESS = re.compile(
    r"(tango://[^/\s]+/)?[^/\s#]+/[^/\s#]+/[^/\s#]+(/[^/\s#]+)?(#dbase=(no|yes))?"
)
_NOT_GIVEN = ("Not specified", "", "No unit", "No standard unit")
T = TypeVar("T")


def checked_address(uri: str, *, attribute: bool) -> tuple[str, str]:
    """Address of the device, and the name of the attribute ('' without one).

    Raises: InputError for what is no address.

    >>> checked_address("tango://127.0.0.1:9/sys/tg/1/double#dbase=no", attribute=True)
    ('tango://127.0.0.1:9/sys/tg/1#dbase=no', 'double')
    """
    found = _ADDRESS.fullmatch(uri)
    if found is None or bool(found[2]) != attribute:
        what = "DOMAIN/FAMILY/MEMBER/NAME" if attribute else "DOMAIN/FAMILY/MEMBER"
        raise InputError(
            f"{uri!r} is no Tango address",
            remedy=f"write {what}, or tango://HOST:PORT/{what}#dbase=no",
        )
    if not attribute:
        return uri, ""
    path, mark, base = uri.partition("#")
    device, _, name = path.rpartition("/")
    return f"{device}{mark}{base}", name


class TangoProxy:
    """A Tango device. Connects again by itself after its server was away."""

    def __init__(self, name: str, address: str) -> None:
        self._name = name
        self.address = address
        self.answers = False
        self._proxy: Any = None

    def connect(self, timeout_s: float) -> None:
        """Look it up and see whether it answers. Raises: DeviceError."""
        self._proxy = self.call(lambda: tango.DeviceProxy(self.address))
        self._proxy.set_timeout_millis(max(1, int(1000 * min(timeout_s, CALL_TIMEOUT_S))))
        self.call(self._proxy.ping)

    @property
    def raw(self) -> Any:
        """PyTango's own proxy. Raises: DeviceError before `connect`."""
        if self._proxy is None:
            raise DeviceError("it was never connected", remedy="connect it", device=self._name)
        return self._proxy

    def call(self, what: Callable[[], T]) -> T:
        """Do it. Raises: DeviceError with the server's own words."""
        try:
            result = what()
        except tango.DevFailed as exc:
            self.answers = not isinstance(exc, tango.ConnectionFailed | tango.CommunicationFailed)
            raise DeviceError(
                f"{self.address}: {_words(exc)}",
                remedy="see to its device server" if not self.answers else "see what it says",
                device=self._name,
            ) from exc
        self.answers = True
        return result


def _words(exc: Any) -> str:
    """The most telling line of a Tango error: the first that is no mere wrapper."""
    errors = list(getattr(exc, "args", ()))
    texts = [" ".join(str(getattr(e, "desc", e)).split()) for e in errors]
    return next((t for t in texts if t), type(exc).__name__)[:300]


def unit_of(config: Any) -> str:
    """Engineering unit of an attribute's configuration."""
    return "" if config.unit in _NOT_GIVEN else str(config.unit)


def limits_of(config: Any) -> tuple[float, float] | None:
    """`min_value` and `max_value` of an attribute; None unless both are given."""
    try:
        low, high = float(config.min_value), float(config.max_value)
    except ValueError:
        return None
    return (low, high) if low < high else None


def plain(value: Any, quality: Any, about: Mapping[str, Any] | None = None) -> Any:
    """A value for an event: enums as numbers; in place of what is invalid NaN, an array of NaN (0
    where it holds integers) or '', as its data key `about` says."""
    if quality == tango.AttrQuality.ATTR_INVALID:
        kind = (about or {}).get("dtype", "number")
        if kind == "array" and about is not None:
            fill = math.nan if np.dtype(about.get("dtype_numpy", "<f8")).kind == "f" else 0
            return np.full(about["shape"], fill, dtype=about.get("dtype_numpy", "<f8"))
        return "" if kind == "string" else math.nan
    if isinstance(value, tango.DevState):
        return str(value)
    return value.value if isinstance(value, enum.Enum) else value
