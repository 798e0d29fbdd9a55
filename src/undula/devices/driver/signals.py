"""Signals of a driver: a decorated method that reads, and one that writes where it can be set.

In: `@signal(unit="V")` above a method with a return type. Out: on the class a `Signal` (what is
declared), on a device a `BoundSignal` with Bluesky's protocols, to which a device file can write.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, get_type_hints

import numpy as np

from undula.core.errors import DeviceError, InputError, LimitError
from undula.devices.sim.status import SimStatus

if TYPE_CHECKING:
    from undula.devices.driver.base import Driver

Kind = Literal["hinted", "normal", "config", "omitted"]
Reading = dict[str, Any]
T = TypeVar("T")
DTYPES = {float: ("number", "<f8"), int: ("integer", "<i8"), bool: ("boolean", "|b1")}


class Signal(Generic[T]):
    """What is declared of a signal. See `signal`."""

    def __init__(
        self,
        getter: Callable[[Any], T],
        unit: str,
        kind: Kind,
        limits: tuple[float, float] | None,
        precision: int | None,
    ) -> None:
        self.getter, self.putter = getter, None
        self.unit, self.kind, self.limits, self.precision = unit, kind, limits, precision
        self.attribute = getter.__name__
        self.__doc__ = getter.__doc__

    putter: Callable[[Any, T], None] | None

    def setter(self, putter: Callable[[Any, T], None]) -> Callable[[Any, T], None]:
        """Decorate the method that writes it."""
        self.putter = putter
        return putter

    def __get__(self, device: Driver | None, owner: type[Any]) -> Any:
        return self if device is None else device.signals[self.attribute]

    @property
    def type(self) -> Any:
        """What its method says it returns."""
        return get_type_hints(self.getter).get("return", float)


def signal(
    *,
    unit: str = "",
    kind: Kind = "normal",
    limits: tuple[float, float] | None = None,
    precision: int | None = None,
) -> Callable[[Callable[[Any], T]], Signal[T]]:
    """Declare a signal by the method that reads it; its return type is the signal's type.

    Args:
        unit: engineering unit.
        kind: `hinted`: read at each point, and worth a column; `normal`: read at each point;
            `config`: read at the begin of a run; `omitted`: only when asked for.
        limits: lowest and highest value that may be set, in `unit`.
        precision: digits after the point, for people.
    """

    def declare(getter: Callable[[Any], T]) -> Signal[T]:
        return Signal(getter, unit, kind, limits, precision)

    return declare


class BoundSignal:
    """A signal of one device: Readable, Movable where it can be set, Subscribable."""

    parent = None

    def __init__(self, device: Driver, declared: Signal[Any], name: str) -> None:
        self._device, self.declared, self.name = device, declared, name
        self.egu = declared.unit
        self.last: Reading | None = None

    @property
    def write_access(self) -> bool:
        """It can be set."""
        return self.declared.putter is not None

    @property
    def limits(self) -> tuple[float, float] | None:
        """Lowest and highest value that may be set."""
        return self.declared.limits

    def take(self) -> Reading:
        """Ask the hardware; only on the device's own thread. Raises: whatever the driver raises."""
        value: Any = self.declared.getter(self._device)
        self.last = {"value": value, "timestamp": time.time()}
        return self.last

    def get(self) -> Any:
        """The value now. Raises: UndulaError that names the device."""
        return self.read()[self.name]["value"]

    def read(self) -> dict[str, Reading]:
        """The value now. Raises: UndulaError that names the device."""
        return self._device.take([self])

    def describe(self) -> dict[str, dict[str, Any]]:
        """Its data key."""
        return {self.name: described(self)}

    def check_value(self, value: Any) -> None:
        """Raises: InputError, LimitError."""
        check(self._device.name, value, self.declared)

    def put(self, value: Any) -> None:
        """Write it and wait. Raises: UndulaError that names the device."""
        putter = self.declared.putter
        if putter is None:
            raise DeviceError(
                f"{self.declared.attribute} cannot be set",
                remedy="set one that can be",
                device=self._device.name,
            )
        self.check_value(value)
        self._device.work(f"setting {self.declared.attribute}", lambda: putter(self._device, value))

    def set(self, value: Any) -> SimStatus:
        """Write it; the status is done when the device has taken it. Raises: as `check_value`."""
        self.check_value(value)
        status = SimStatus(self)

        def write() -> None:
            try:
                self.put(value)
            except Exception as exc:  # the status carries what went wrong, whatever it is
                status.finish(exc)
            else:
                status.finish()

        self._device.later(f"setting {self.declared.attribute}", write)
        return status


def described(bound: BoundSignal) -> dict[str, Any]:
    """Data key of a signal: type, shape of the last value, unit, limits, precision."""
    declared = bound.declared
    value = None if bound.last is None else bound.last["value"]
    dtype, numpy = DTYPES.get(declared.type, ("string", ""))
    about: dict[str, Any] = {"source": f"driver:{bound.name}", "dtype": dtype, "shape": []}
    if isinstance(value, np.ndarray | list | tuple):
        array = np.asarray(value)
        about |= {"dtype": "array", "shape": list(array.shape)}
        numpy = array.dtype.str
    if numpy:
        about["dtype_numpy"] = numpy
    about["units"] = declared.unit
    if declared.precision is not None:
        about["precision"] = declared.precision
    if bound.limits is not None:
        low, high = bound.limits
        about["limits"] = {"control": {"low": low, "high": high}}
    return about


def check(
    device: str, value: Any, declared: Signal[Any], limits: tuple[float, float] | None = None
) -> None:
    """Raises: InputError for what is no finite number, LimitError outside the limits."""
    if declared.type not in (float, int):
        return
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or not math.isfinite(value):
        raise InputError(
            f"{value!r} is no value for {declared.attribute}", remedy="give a number", device=device
        )
    low, high = limits or declared.limits or (0.0, 0.0)
    if low < high and not low <= value <= high:
        raise LimitError(
            f"target {value:g} {declared.unit} is outside {low:g}..{high:g} {declared.unit}",
            remedy=f"choose {low:g}..{high:g} {declared.unit}",
            device=device,
        )


def units(signals: Mapping[str, BoundSignal]) -> str:
    """Unit of the first hinted signal; '' without one."""
    return next((s.egu for s in signals.values() if s.declared.kind == "hinted"), "")
