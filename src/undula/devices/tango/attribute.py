"""A Tango attribute: read with its unit, time and quality; set where it can be written."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import tango

from undula.core.errors import DeviceError
from undula.devices.sim.status import SimStatus
from undula.devices.tango.proxy import TangoProxy, checked_address, limits_of, plain, unit_of

INVALID = -1
SEVERITY = {
    tango.AttrQuality.ATTR_VALID: 0,
    tango.AttrQuality.ATTR_CHANGING: 0,
    tango.AttrQuality.ATTR_WARNING: 1,
    tango.AttrQuality.ATTR_ALARM: 2,
    tango.AttrQuality.ATTR_INVALID: INVALID,
}
"""Quality as ophyd-async counts alarms: none, minor, major, invalid."""
WRITABLE = (tango.AttrWriteType.WRITE, tango.AttrWriteType.READ_WRITE)


class TangoAttribute:
    """An attribute of a Tango device.

    Args:
        uri: `DOMAIN/FAMILY/MEMBER/ATTRIBUTE`, or `tango://HOST:PORT/...#dbase=no`.
        poll: how often it is asked for changes where its server sends no events, seconds.
    """

    parent = None

    def __init__(self, name: str, *, uri: str, poll: float = 0.2) -> None:
        self.name = name
        address, self._attribute = checked_address(uri, attribute=True)
        self._proxy = TangoProxy(name, address)
        self._uri, self._poll_s = uri, poll
        self._config: Any = None
        self._described: dict[str, Any] = {}
        self._callbacks: list[Callable[..., None]] = []
        self._event: int | None = None
        self._stop_polling = threading.Event()

    @classmethod
    def check_config(cls, config: dict[str, Any]) -> None:
        """Raises: InputError for an address that is none."""
        checked_address(str(config.get("uri", "")), attribute=True)

    @property
    def connected(self) -> bool:
        """It answered when it was asked last."""
        return self._proxy.answers

    def wait_for_connection(self, timeout: float = 3.0) -> None:
        """Connect, and learn unit, limits and shape. Raises: DeviceError."""
        proxy = self._proxy
        proxy.connect(timeout)
        self._config = proxy.call(lambda: proxy.raw.get_attribute_config(self._attribute))
        value = np.asarray(self._reading()["value"])
        number = value.dtype.kind in "biuf"
        kind = "array" if value.ndim else "number" if number else "string"
        self._described = {
            self.name: {
                "source": self._uri,
                "dtype": kind,
                "shape": list(value.shape),
                "units": unit_of(self._config),
                **({"dtype_numpy": value.dtype.str} if number else {}),
            }
        }

    @property
    def hints(self) -> dict[str, Any]:
        """Worth a column."""
        return {"fields": [self.name]}

    @property
    def write_access(self) -> bool:
        """It can be set."""
        return self._config is not None and self._config.writable in WRITABLE

    @property
    def egu(self) -> str:
        """Engineering unit."""
        return "" if self._config is None else unit_of(self._config)

    @property
    def limits(self) -> tuple[float, float] | None:
        """Low and high of the server; None without."""
        return None if self._config is None else limits_of(self._config)

    def _entry(self, read: Any) -> dict[str, Any]:
        return {
            "value": plain(read.value, read.quality, self._described.get(self.name)),
            "timestamp": read.time.totime(),
            "alarm_severity": SEVERITY.get(read.quality, INVALID),
        }

    def _reading(self) -> dict[str, Any]:
        proxy = self._proxy
        read = proxy.call(lambda: proxy.raw.read_attribute(self._attribute))
        return self._entry(read)

    def read(self) -> dict[str, Any]:
        """Value, the server's time, and its quality as `alarm_severity`. Raises: DeviceError.

        `alarm_severity` is 0 for valid and changing, 1 for warning, 2 for alarm, -1 for invalid.
        """
        return {self.name: self._reading()}

    def describe(self) -> dict[str, Any]:
        """Data key, as the server described it."""
        return {key: dict(about) for key, about in self._described.items()}

    def read_configuration(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def describe_configuration(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def set(self, value: Any) -> SimStatus:
        """Write it, on a thread of its own; done when the server has taken it."""
        status = SimStatus(self)
        if not self.write_access:
            raise DeviceError("it is read-only", remedy="name one to write", device=self.name)

        def work() -> None:
            proxy = self._proxy
            try:
                proxy.call(lambda: proxy.raw.write_attribute(self._attribute, value))
            except DeviceError as error:
                status.finish(error)
            else:
                status.finish()

        threading.Thread(target=work, name=f"write {self.name}", daemon=True).start()
        return status

    # ---- changes ---------------------------------------------------------------------------

    def subscribe(self, callback: Callable[..., None], *_: Any, **__: Any) -> None:
        """Call `callback` with a reading at each change, by events or else by polling."""
        self._callbacks.append(callback)
        if len(self._callbacks) > 1:
            return
        try:
            self._event = self._proxy.raw.subscribe_event(
                self._attribute, tango.EventType.CHANGE_EVENT, self._pushed
            )
        except tango.DevFailed:  # its server sends none
            self._stop_polling.clear()
            threading.Thread(target=self._poll, name=f"poll {self.name}", daemon=True).start()

    def clear_sub(self, callback: Callable[..., None]) -> None:
        """Call it no more."""
        self._callbacks = [c for c in self._callbacks if c is not callback]
        if not self._callbacks:
            self._let_go()

    def destroy(self) -> None:
        """Let go of events and polling."""
        self._callbacks = []
        self._let_go()

    def _let_go(self) -> None:
        self._stop_polling.set()
        event, self._event = self._event, None
        if event is not None:
            self._proxy.raw.unsubscribe_event(event)

    def _pushed(self, event: Any) -> None:
        if not event.err:
            self._tell(self._entry(event.attr_value))

    def _poll(self) -> None:
        last: Any = None
        while not self._stop_polling.wait(self._poll_s):
            try:
                reading = self._reading()
            except DeviceError:
                continue  # its server is away: `connected` says so
            if last is None or _differ(last, reading):
                self._tell(reading)
            last = reading

    def _tell(self, reading: dict[str, Any]) -> None:
        for callback in list(self._callbacks):
            callback({self.name: reading})


def _differ(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Another severity, or another value of which the server says that it is one."""
    if one["alarm_severity"] != other["alarm_severity"]:
        return True
    return other["alarm_severity"] != INVALID and not np.array_equal(one["value"], other["value"])
