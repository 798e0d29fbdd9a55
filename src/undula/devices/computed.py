"""Devices that are computed from others: calculated counters, BEC's `ComputedSignal`.

In: readings of the devices they need. Out: one value, as old as the oldest reading it came from.
In a scan they are computed from the readings of the very point: see `offer`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from undula.core.errors import DeviceError, InputError
from undula.devices.expression import Expression
from undula.devices.expression_functions import NoValueError
from undula.devices.formula import Formula

MAIN_SIGNALS = ("readback", "user_readback", "value")
"""What BEC calls the signal that is the device's main value."""


class Derived:
    """A device that needs others. `bind` gives them to it before it connects."""

    parent = None
    inputs: tuple[str, ...] = ()
    """Names of the devices that it needs."""

    def __init__(self, name: str, unit: str = "", precision: int = 4) -> None:
        self.name, self.egu, self.precision = name, unit, precision
        self._devices: dict[str, Any] = {}
        self._offered: dict[str, Any] = {}

    def bind(self, devices: Mapping[str, Any]) -> None:
        """Take the devices that are needed; name to `LoadedDevice`. Raises: InputError."""
        for name in self.inputs:
            device = device_of(name, devices)
            if device is None:
                raise InputError(
                    f"it needs {name}, which is not there",
                    remedy="describe it in the device file",
                    device=self.name,
                )
            self._devices[device] = devices[device]

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the devices that it has taken."""
        return tuple(self._devices)

    @property
    def source_devices(self) -> tuple[Any, ...]:
        """The devices that it has taken, as `LoadedDevice`."""
        return tuple(self._devices.values())

    @property
    def connected(self) -> bool:
        """All that it needs answer."""
        return not self.absent

    @property
    def absent(self) -> list[str]:
        """Names of devices that it needs and that do not answer."""
        return [name for name, device in self._devices.items() if not device.connected]

    def wait_for_connection(self, timeout: float = 5.0) -> None:  # noqa: ARG002  # they have had theirs
        """Raises: DeviceError naming what does not answer."""
        if self.absent:
            raise DeviceError(
                f"it needs {', '.join(self.absent)}, which does not answer",
                remedy="see to that device first",
                device=self.name,
            )

    def offer(self, reading: Mapping[str, Any]) -> None:
        """A reading of the present point: the next value is computed from such, if complete."""
        self._offered.update(reading)

    def read(self) -> Any:
        """The value, as old as the oldest reading it comes from.

        Returns: a reading; when one of the devices reads asynchronously, an awaitable of it.
        Raises: InputError, or what a device raises.
        """
        offered, self._offered = self._offered, {}
        found = {
            name: _of_device(device, offered) or device.obj.read()
            for name, device in self._devices.items()
        }
        if any(hasattr(reading, "__await__") for reading in found.values()):
            return self._read_later(found)
        return self._reading(found)

    async def _read_later(self, found: dict[str, Any]) -> dict[str, Any]:
        return self._reading(
            {n: await r if hasattr(r, "__await__") else r for n, r in found.items()}
        )

    def _reading(self, readings: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        stamps: list[float] = []
        for name, reading in readings.items():
            values |= values_of(name, reading)
            stamps += [float(r["timestamp"]) for r in reading.values()]
        stamp = min(stamps, default=time.time())
        return {self.name: {"value": self.compute(values), "timestamp": stamp}}

    def compute(self, values: Mapping[str, Any]) -> Any:
        """The value for the values of what it needs."""
        raise NotImplementedError

    @property
    def source(self) -> str:
        """How it is computed."""
        raise NotImplementedError

    def shape(self) -> list[int]:
        """Shape of the value; [] for a number."""
        return []

    def describe(self) -> dict[str, Any]:
        """Data key of the value."""
        return {
            self.name: {
                "source": f"computed:{self.source}",
                "dtype": "array" if self.shape() else "number",
                "dtype_numpy": "<f8",
                "shape": self.shape(),
                "units": self.egu,
                "precision": self.precision,
            }
        }

    @property
    def instant(self) -> bool:
        """What it needs is read and set at once."""
        return all(device.instant for device in self._devices.values())

    @property
    def hints(self) -> dict[str, Any]:
        """The one key is worth a column and a curve."""
        return {"fields": [self.name]}

    def read_configuration(self) -> dict[str, Any]:
        """Nothing: the start document has the device's entry."""
        return {}

    def describe_configuration(self) -> dict[str, Any]:
        """Nothing: the start document has the device's entry."""
        return {}


class Calculated(Derived):
    """A counter that is an expression over others, e.g. `log(i0 / i1)`.

    Args:
        expression: over names of devices, or `device.signal` for another data key of one.
        unit: of the result.
        precision: digits behind the point.
    """

    def __init__(self, name: str, *, expression: str, unit: str = "", precision: int = 4) -> None:
        super().__init__(name, unit, precision)
        self._expression = Expression(expression)
        self.inputs = self.needs_of({"expression": expression})
        self._shape: list[int] = []

    @classmethod
    def needs_of(cls, config: Mapping[str, Any]) -> tuple[str, ...]:
        """Names of the devices in a `deviceConfig`. Raises: InputError for a wrong expression."""
        expression = Expression(str(config.get("expression", "")))
        if not expression.names:
            raise InputError(
                f"{expression.text!r} names no device", remedy="write one, e.g. i1 / i0"
            )
        return tuple(dict.fromkeys(n.partition(".")[0] for n in sorted(expression.names)))

    def wait_for_connection(self, timeout: float = 5.0) -> None:
        """Compute it once, which tells its shape. Raises: DeviceError, InputError."""
        super().wait_for_connection(timeout)
        readings = {name: device.read() for name, device in self._devices.items()}
        self._shape = list(np.shape(self._reading(readings)[self.name]["value"]))

    def compute(self, values: Mapping[str, Any]) -> Any:
        """The value for the values of what it needs; NaN where a condition rests on NaN."""
        try:
            return self._expression(values)
        except NoValueError:
            return np.full(self._shape, math.nan) if self._shape else math.nan

    @property
    def source(self) -> str:
        """How it is computed."""
        return self._expression.text

    def shape(self) -> list[int]:
        """Shape of the first value that was computed."""
        return list(self._shape)


class ComputedSignal(Calculated):
    """BEC's computed signal: a small function over signals, read as arithmetic, never run.

    Args:
        compute_method: `def f(a, b): return a.get() * b.get()`.
        input_signals: as in BEC, `device_signal`; one for each argument.
        unit: of the result.
    """

    def __init__(
        self,
        name: str,
        *,
        compute_method: str,
        input_signals: Sequence[str],
        unit: str = "",
        precision: int = 4,
    ) -> None:
        Derived.__init__(self, name, unit, precision)
        self._formula = Formula(compute_method)
        self._signals = tuple(input_signals)
        self.inputs = self._signals
        self._shape = []

    @classmethod
    def needs_of(cls, config: Mapping[str, Any]) -> tuple[str, ...]:
        """The input signals; which devices they are of is known when all names are."""
        formula = Formula(str(config.get("compute_method", "")))
        signals = config.get("input_signals") or []
        if len(signals) != len(formula.parameters):
            raise InputError(
                f"compute_method takes {len(formula.parameters)} signals, "
                f"input_signals names {len(signals)}",
                remedy="name one signal for each argument",
            )
        return tuple(map(str, signals))

    def compute(self, values: Mapping[str, Any]) -> Any:
        """The value for the values of the signals."""
        return self._formula([self._of(signal, values) for signal in self._signals])

    def _of(self, signal: str, values: Mapping[str, Any]) -> Any:
        if signal in values:
            return values[signal]
        device = device_of(signal, self.sources) or ""
        if signal.removeprefix(f"{device}_") in MAIN_SIGNALS:
            return values[device]
        raise InputError(
            f"{device} has no signal {signal}",
            remedy=f"it has {', '.join(sorted(k for k in values if k.startswith(device)))}",
            device=self.name,
        )

    @property
    def source(self) -> str:
        """How it is computed."""
        return " ".join(self._formula.source.split())


def device_of(signal: str, names: Iterable[str]) -> str | None:
    """The device that a signal of BEC, `device_signal`, belongs to: the longest name that fits.

    >>> device_of("bpm4i_readback", ["bpm4i", "bpm4"])
    'bpm4i'
    """
    fitting = [n for n in names if signal == n or signal.startswith(f"{n}_")]
    return max(fitting, key=len, default=None)


def _of_device(device: Any, offered: Mapping[str, Any]) -> dict[str, Any]:
    """What was offered of a device; empty unless it is everything."""
    keys = device.describe() if offered else {}
    found = {key: offered[key] for key in keys if key in offered}
    return found if len(found) == len(keys) else {}


def values_of(name: str, reading: Mapping[str, Any]) -> dict[str, Any]:
    """Values under the names an expression may use: the device, `device.signal`, the data key."""
    values: dict[str, Any] = {}
    for key, entry in reading.items():
        value = entry["value"]
        value = np.asarray(value) if isinstance(value, list | tuple) else value
        short = key.removeprefix(f"{name}_") if key != name else name
        values[key] = values[f"{name}.{short}"] = value
    if name not in values and reading:
        values[name] = next(iter(values.values()))
    return values
