"""A motor as people know it: user and dial position, offset, sign, limits, velocity, acceleration.

In: a `LoadedDevice` of any library. Out: `MotorView`, which reads and writes its parameters where
their owner keeps them: the record of an IOC, a server, or the device object itself. What the object
itself keeps is reported as `kept`, so that somebody stores it.
"""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass
from typing import Any

from undula.core.errors import DeviceError, InputError
from undula.devices.loaded import LoadedDevice

PUT_TIMEOUT_S = 3.0
HOMED = 0x4000
"""Bit of a motor record's MSTA: it has been homed."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a motor: where libraries keep it, and what it is."""

    name: str
    attributes: tuple[str, ...]
    unit: str
    about: str
    positive: bool = False


PARAMETERS = {
    p.name: p
    for p in (
        Parameter("velocity", ("velocity",), "{u}/s", "speed of a move", positive=True),
        Parameter(
            "acceleration_time", ("acceleration_time", "acceleration"), "s",
            "time to reach the velocity (EPICS: ACCL)", positive=True,
        ),
        Parameter("low_limit", ("low_limit_travel",), "{u}", "lowest user position"),
        Parameter("high_limit", ("high_limit_travel",), "{u}", "highest user position"),
        Parameter("offset", ("user_offset", "offset"), "{u}", "user = sign * dial + offset"),
        Parameter("sign", ("user_offset_dir", "sign"), "", "1 or -1"),
        Parameter("backlash", ("backlash",), "{u}", "taken out of each move"),
    )
}  # fmt: skip
COMPUTED = {
    "acceleration": ("{u}/s²", "velocity / acceleration time (BLISS: acceleration)"),
    "dial": ("{u}", "position of the controller"),
}


def is_motor(device: LoadedDevice) -> bool:
    """It moves, can be stopped, and is at a place that is a number."""
    if not device.movable or not hasattr(device.obj, "stop"):
        return False
    about: dict[str, Any] = next(iter(device.describe().values()), {})
    return about.get("dtype") in ("number", "integer")


class MotorView:
    """Reads and writes the parameters of one motor. Blocks; not for the RunEngine's loop."""

    def __init__(self, device: LoadedDevice) -> None:
        if not is_motor(device):
            raise InputError("it is no motor", remedy="see undula devices", device=device.name)
        self._device = device

    # ---- looking ---------------------------------------------------------------------------

    def parameters(self) -> dict[str, dict[str, Any]]:
        """Name to value, unit and meaning; only what this motor has."""
        device, found = self._device, dict[str, dict[str, Any]]()
        unit = device.unit
        found["position"] = _row(device.position(), unit, "user position, from the readback")
        limits = device.limits() or device.reach()
        for name, parameter in PARAMETERS.items():
            value = self.get(name)
            if name in ("low_limit", "high_limit"):
                value = None if limits is None else limits[name == "high_limit"]
            if value is not None:
                found[name] = _row(value, parameter.unit.format(u=unit), parameter.about)
        for name, (per, about) in COMPUTED.items():
            value = getattr(self, f"_{name}")()
            if value is not None:
                found[name] = _row(value, per.format(u=unit), about)
        found["status"] = _row(", ".join(self.words()) or "ready", "", "what the hardware says")
        return found

    def get(self, name: str) -> float | None:
        """A parameter; None where this motor has none. Raises: DeviceError."""
        holder = self._holder(name)
        if holder is None:
            return None
        value = self._value(holder)
        if name == "sign":
            return _sign(value)
        return float(value) if isinstance(value, int | float) else None

    def _dial(self) -> float | None:
        offset, sign = self.get("offset"), self.get("sign")
        if offset is None:
            return None
        return ((sign or 1.0) * (self._device.position() - offset)) or 0.0

    def _acceleration(self) -> float | None:
        velocity, time_s = self.get("velocity"), self.get("acceleration_time")
        return velocity / time_s if velocity and time_s else None

    def words(self) -> list[str]:
        """The hardware's words: moving, at a limit switch, homed, alarm."""
        obj, found = self._device.obj, list[str]()
        for attribute, word in (
            ("moving", "moving"),
            ("high_limit_switch", "at the high limit switch"),
            ("low_limit_switch", "at the low limit switch"),
        ):
            value = self._value(getattr(obj, attribute, None))
            if isinstance(value, bool | int | float) and value:
                found.append(word)
        status_bits = self._value(getattr(obj, "motor_status", None))
        if isinstance(status_bits, int | float) and int(status_bits) & HOMED:
            found.append("homed")
        limits = self._device.limits()
        if limits is not None and not limits[0] <= self._device.position() <= limits[1]:
            found.append("outside its limits")
        severity = self._value(getattr(obj, "alarm_severity", None))
        status = self._value(getattr(obj, "alarm_status", None))
        if isinstance(severity, int) and severity:
            found.append(f"alarm {status}")
        return found

    # ---- changing --------------------------------------------------------------------------

    def set(self, name: str, value: float) -> tuple[float | None, bool]:
        """Change a parameter; what it was, and whether the object itself keeps it.

        Raises: InputError for a value that makes no sense or a parameter that it has not;
        DeviceError when it is refused.
        """
        device = self._device
        if not math.isfinite(value):
            raise InputError(f"{value} is not finite", remedy="give a number", device=device.name)
        if name == "acceleration":
            velocity = self.get("velocity")
            if not velocity or value <= 0:
                raise InputError("it needs a velocity and more than 0", remedy="set velocity first")
            before, kept = self.set("acceleration_time", velocity / value)
            return (velocity / before if before else None), kept
        if name == "dial":
            raise InputError("the dial is the controller's", remedy="set the offset or position")
        if name == "position":
            return self.set_position(value)
        parameter = PARAMETERS.get(name)
        if parameter is None:
            raise InputError(
                f"there is no parameter {name!r}", remedy=f"use {', '.join(PARAMETERS)}"
            )
        if parameter.positive and not value > 0:
            raise InputError(f"{name} is {value:g}", remedy="give more than 0", device=device.name)
        if name == "sign" and value not in (1, -1):
            raise InputError(f"sign is {value:g}", remedy="give 1 or -1", device=device.name)
        return self._write(name, value)

    def set_position(self, value: float) -> tuple[float | None, bool]:
        """Call the present place `value`, without moving: SPEC's `set`. As `set` for the rest.

        Raises: InputError also where the record's offset is frozen.
        """
        device, here = self._device, self._device.position()
        own = getattr(device.obj, "set_position", None)
        if callable(own):
            own(value)
            return here, True
        offset = self.get("offset")
        if offset is None:
            raise InputError(
                "its position cannot be redefined",
                remedy="redefine it at its controller",
                device=device.name,
            )
        self._write("offset", offset + value - here)
        return here, False

    def set_limits(self, low: float, high: float) -> tuple[tuple[float, float] | None, bool]:
        """Both soft limits at once, in user positions; what they were.

        Raises: InputError; DeviceError when one was refused, and then the other is as before.
        """
        device = self._device
        if not low < high:
            raise InputError(
                f"limits {low:g} to {high:g}", remedy="low first, then high", device=device.name
            )
        before = device.limits()
        if hasattr(device.obj, "low_limit_travel"):
            order = [("high_limit", high), ("low_limit", low)]
            if before is not None and high <= before[0]:
                order.reverse()  # so that they are never inside out
            self._write_pair(order)
            return before, False
        if not isinstance(getattr(device.obj, "limits", None), tuple):
            raise InputError(
                "it has no soft limits", remedy="set them at its server", device=device.name
            )
        device.obj.limits = (float(low), float(high))
        return before, True

    def _write_pair(self, pair: list[tuple[str, float]]) -> None:
        """Write both. Raises: DeviceError when one is refused, after the first was put back."""
        (first, value), (second, other) = pair
        was, _ = self._write(first, value)
        try:
            self._write(second, other)
        except DeviceError as error:
            if was is None:
                raise
            try:
                self._write(first, was)
            except DeviceError as again:
                raise DeviceError(
                    f"{error.what}; {first} is {value:g} already and was not put back to {was:g}",
                    remedy="look at both limits: undula motor " + self._device.name,
                    device=self._device.name,
                ) from again
            raise

    def home(self, direction: str) -> Any:
        """Start a home search; its status. Raises: InputError where it has none."""
        home = getattr(self._device.obj, "home", None)
        if not callable(home):
            raise InputError(
                "it has no home search",
                remedy="home it at its controller",
                device=self._device.name,
            )
        takes_wait = "wait" in inspect.signature(home).parameters
        return home(direction, wait=False) if takes_wait else home(direction)

    def _write(self, name: str, value: float) -> tuple[float | None, bool]:
        device, before = self._device, self.get(name)
        if name in ("low_limit", "high_limit") and self._holder(name) is None:
            limits = device.limits() or (-math.inf, math.inf)
            low, high = (value, limits[1]) if name == "low_limit" else (limits[0], value)
            _, kept = self.set_limits(low, high)
            return limits[name == "high_limit"], kept
        holder = self._holder(name)
        if holder is None:
            raise InputError(
                f"it has no {name}", remedy=f"see undula motor {device.name}", device=device.name
            )
        if name == "offset":
            self._refuse_frozen()
        if not hasattr(holder, "set"):
            if name == "velocity":
                device.forget_speed()
            attribute = next(a for a in PARAMETERS[name].attributes if hasattr(device.obj, a))
            setattr(device.obj, attribute, float(value))
            return before, True
        self._put(holder, name, value)
        return before, False

    def _refuse_frozen(self) -> None:
        """Raises: InputError where the record keeps its offset (`.FOFF` is Frozen)."""
        switch = getattr(self._device.obj, "offset_freeze_switch", None)
        if switch is None:
            return
        if hasattr(switch, "get_value"):  # asked anew: monitors may lag behind
            frozen = self._device.call(switch.get_value(cached=False))
        else:
            frozen = switch.get(use_monitor=False)
        if frozen.lower() == "frozen" if isinstance(frozen, str) else frozen:
            raise InputError(
                "its offset is frozen (.FOFF is Frozen), so its position cannot be redefined here",
                remedy="unfreeze .FOFF, or calibrate at the controller",
                device=self._device.name,
            )

    def _put(self, holder: Any, name: str, value: float) -> None:
        device, sent = self._device, value if name != "sign" else self._sign_word(holder, value)
        try:
            if inspect.iscoroutinefunction(getattr(holder, "get_value", None)):
                device.call(_set_signal(holder, sent), PUT_TIMEOUT_S)
            else:
                holder.put(sent, wait=True, timeout=PUT_TIMEOUT_S)
        except DeviceError:
            raise
        except Exception as exc:  # a driver may raise anything
            raise DeviceError(
                f"{name} was not set to {value:g}: {type(exc).__name__}: {exc}",
                remedy="look at the device",
                device=device.name,
            ) from exc
        finally:
            device.forget_speed()

    def _sign_word(self, holder: Any, value: float) -> str | int:
        """What EPICS's DIR takes: its word where the library gives words, else its number."""
        if isinstance(self._value(holder), str):
            return "Pos" if value > 0 else "Neg"
        return 0 if value > 0 else 1

    def _holder(self, name: str) -> Any:
        """The signal or plain value that holds a parameter; None without one."""
        for attribute in PARAMETERS[name].attributes:
            found = getattr(self._device.obj, attribute, None)
            if found is not None:
                return found
        return None

    def _value(self, holder: Any) -> Any:
        if hasattr(holder, "get_value"):
            return self._device.call(holder.get_value())
        return holder.get() if hasattr(holder, "get") else holder


async def _set_signal(signal: Any, value: Any) -> None:
    await signal.set(value)


def _row(value: Any, unit: str, about: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "about": about}


def _sign(value: Any) -> float:
    """Of EPICS's DIR (0 or Pos, 1 or Neg), or a plain 1.0 or -1.0."""
    if isinstance(value, str):
        return -1.0 if value.lower().startswith("neg") else 1.0
    if isinstance(value, float):
        return value
    return -1.0 if value else 1.0
