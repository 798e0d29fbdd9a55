"""One device that was built: its object, whatever library it comes from, seen in one way."""

from __future__ import annotations

import asyncio
import inspect
import math
import time
from typing import Any, Literal

from undula.core.errors import DeviceError
from undula.devices.description import DeviceEntry
from undula.devices.links import Link
from undula.devices.readings import severity_word
from undula.messages import DeviceInfo, Severity

CALL_TIMEOUT_S = 5.0
SPEED_KEPT_S = 2.0
EXTERNAL_TIMEOUT_S = 30.0


class LoadedDevice:
    """A device of the registry. `obj` is None while it is disabled."""

    def __init__(self, entry: DeviceEntry, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.entry = entry
        self.name = entry.name
        self.obj: Any = None
        self.enabled = entry.enabled
        self.loop = loop
        self.link: Link | None = None
        self.refused = False
        """It answered, but did not take what `deviceConfig` says."""
        self._answered = False
        self._problem = ""
        self._unit = ""
        self._speed: tuple[float, float | None, float] = (-math.inf, None, 0.0)
        self._description: dict[str, Any] = {}

    @property
    def read_only(self) -> bool:
        """Sets are refused."""
        return self.entry.read_only

    @property
    def connected(self) -> bool:
        """It answered, and its connection has not been lost since (where its library says so)."""
        reached = self.link is None or self.link.up
        return self._answered and reached and bool(getattr(self.obj, "connected", True))

    @connected.setter
    def connected(self, answered: bool) -> None:
        self._answered = answered

    @property
    def problem(self) -> str:
        """Why it is not connected; '' when it is, or was never asked to be."""
        if self._problem or not self._answered or self.connected:
            return self._problem
        absent = getattr(self.obj, "absent", ())
        if absent:
            return f"it needs {', '.join(absent)}, which does not answer"
        return "its connection was lost"

    @problem.setter
    def problem(self, problem: str) -> None:
        self._problem = problem

    @property
    def movable(self) -> bool:
        """It can be set."""
        if self.obj is None or not hasattr(self.obj, "set"):
            return False
        return bool(getattr(self.obj, "write_access", True))

    @property
    def triggered(self) -> bool:
        """It is triggered at each point: it can be, and the device file does not say otherwise."""
        return hasattr(self.obj, "trigger") and self.entry.software_trigger is not False

    @property
    def instant(self) -> bool:
        """Synchronous set and read, done on return, by the device's own word."""
        return bool(getattr(self.obj, "instant", False))

    @property
    def unit(self) -> str:
        """Engineering unit; '' when it has none."""
        unit = getattr(self.obj, "egu", None)
        if isinstance(unit, str):
            return unit
        if not self._unit and self.connected:
            keys = self.describe()
            first: dict[str, Any] = keys.get(self.name) or next(iter(keys.values()), {})
            self._unit = str(first.get("units") or self._value("motor_egu") or "")
        return self._unit

    def call(self, result: Any, timeout_s: float = CALL_TIMEOUT_S) -> Any:
        """The value of a synchronous or asynchronous call. Raises: DeviceError when it is late."""
        if not asyncio.iscoroutine(result):
            return result
        if self.loop is None:
            result.close()
            raise DeviceError("it needs a running loop", remedy="report this", device=self.name)
        try:
            return asyncio.run_coroutine_threadsafe(result, self.loop).result(timeout_s)
        except TimeoutError as exc:
            raise DeviceError(
                f"no answer within {timeout_s:g} s",
                remedy="check its controller and the network",
                device=self.name,
            ) from exc

    @property
    def synchronous(self) -> bool:
        """Its library answers at once, without a loop."""
        sources = getattr(self.obj, "source_devices", ())
        own = not inspect.iscoroutinefunction(getattr(self.obj, "read", None))
        return own and all(device.synchronous for device in sources)

    def put(self, value: Any, timeout_s: float) -> None:
        """Set it and wait, from any thread but the loop's. Raises: DeviceError."""
        try:
            if inspect.iscoroutinefunction(getattr(self.obj, "read", None)):
                self.call(_set_and_await(self.obj, value), timeout_s)
            else:
                self.obj.set(value).wait(timeout_s)
        except DeviceError:
            raise
        except Exception as exc:  # a driver may raise anything
            raise DeviceError(
                f"it was not set to {value!r}: {type(exc).__name__}: {exc}",
                remedy="look at the device",
                device=self.name,
            ) from exc

    def describe(self) -> dict[str, Any]:
        """Event-model data keys, kept after the first success."""
        if not self._description and self.obj is not None and self.connected:
            self._description = dict(self.call(self.obj.describe()))
        return self._description

    def read(self) -> dict[str, Any]:
        """Data key to value and timestamp. Raises: DeviceError."""
        if self.obj is None:
            raise DeviceError(
                f"it is not there: {self.problem or 'disabled'}",
                remedy=f"switch it on; at once: undula devices enable {self.name}",
                device=self.name,
            )
        try:
            return dict(self.call(self.obj.read()))
        except DeviceError:
            raise
        except Exception as exc:  # a driver may raise anything while it reads
            raise DeviceError(
                f"it cannot be read: {type(exc).__name__}: {exc}",
                remedy="check its controller and the network",
                device=self.name,
            ) from exc

    def configuration(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Readings and descriptions of its settings. Raises: DeviceError."""
        try:
            reading = dict(self.call(self.obj.read_configuration()))
            return reading, dict(self.call(self.obj.describe_configuration()))
        except DeviceError:
            raise
        except Exception as exc:  # a driver may raise anything while it reads
            raise DeviceError(
                f"its settings cannot be read: {type(exc).__name__}: {exc}",
                remedy="check its controller and the network",
                device=self.name,
            ) from exc

    def severities(self, reading: dict[str, Any]) -> dict[str, Severity]:
        """Data key to alarm of a reading, where there is one; cheap."""
        found = {key: severity_word(about.get("alarm_severity")) for key, about in reading.items()}
        main = self.name if self.name in reading else next(iter(reading), "")
        if main and "alarm_severity" not in reading[main]:  # ophyd keeps it beside the reading
            signal = getattr(self.obj, "user_readback", self.obj)
            found[main] = severity_word(getattr(signal, "alarm_severity", None))
        return {key: word for key, word in found.items() if word is not None}

    def position(self) -> float:
        """Readback, in its unit. Raises: DeviceError."""
        place = getattr(self.obj, "position", None)
        if isinstance(place, int | float):
            return float(place)
        reading = self.read()
        found = reading.get(self.name) or next(iter(reading.values()))
        return float(found["value"])

    def limits(self) -> tuple[float, float] | None:
        """Low and high, read live, in its unit; None when it has none."""
        low_signal: Any = getattr(self.obj, "low_limit_travel", None)
        high_signal: Any = getattr(self.obj, "high_limit_travel", None)
        if hasattr(low_signal, "get_value") and hasattr(high_signal, "get_value"):
            low, high = self.call(low_signal.get_value()), self.call(high_signal.get_value())
        elif hasattr(low_signal, "get") and hasattr(high_signal, "get"):
            low, high = low_signal.get(), high_signal.get()
        else:
            own = getattr(self.obj, "limits", None)
            if not isinstance(own, tuple | list) or None in own or not own[0] < own[1]:
                own = None
            limits = own or self.entry.device_config.get("limits")
            if not limits or limits[0] is None or limits[1] is None:
                return None
            low, high = limits
        low, high = float(low), float(high)
        return (low, high) if low < high else None

    def reach(self) -> tuple[float, float] | None:
        """How far a computed axis could go from here by its real ones' limits; None for others."""
        found: tuple[float, float] | None = self.obj.reach() if hasattr(self.obj, "reach") else None
        return found

    def _velocity(self) -> tuple[float | None, float]:
        asked, speed, acceleration_s = self._speed
        if time.monotonic() - asked < SPEED_KEPT_S:
            return speed, acceleration_s
        speed = self._number("velocity")
        acceleration_s = self._number("acceleration_time") or self._number("acceleration") or 0.0
        self._speed = (time.monotonic(), speed, acceleration_s)
        return speed, acceleration_s

    def forget_speed(self) -> None:
        """Its velocity was changed: ask for it before the next move."""
        self._speed = (-math.inf, None, 0.0)

    def _number(self, attribute: str) -> float | None:
        found = self._value(attribute)
        return float(found) if isinstance(found, int | float) else None

    def _value(self, attribute: str) -> Any:
        """What a signal of the device holds now, or a plain attribute; None without one."""
        found: Any = getattr(self.obj, attribute, None)
        if hasattr(found, "get_value"):
            return self.call(found.get_value())
        return found.get() if hasattr(found, "get") else found

    def move_duration_s(self, start: float, target: float) -> float | None:
        """Expected duration of a move, from velocity and acceleration time; None when unknown."""
        if self.instant:
            return 0.0
        speed, acceleration_s = self._velocity()
        if not speed or speed <= 0:
            return None
        return abs(target - start) / speed + 2.0 * acceleration_s

    def _count_path(self) -> str:
        """Where the count time goes: as the device file says, else by the usual names; or ''."""
        declared = self.entry.count_time.get("signal")
        declared = declared or self.entry.user_parameter.get("count_time_signal")
        if declared:
            return str(declared)
        if hasattr(self.obj, "preset_time"):
            return "preset_time"
        return "cam.acquire_time" if hasattr(getattr(self.obj, "cam", None), "acquire_time") else ""

    def count_signal(self) -> Any:
        """The signal that takes the count time, seconds; None without one.

        Raises: DeviceError when the device file names one that is not there.
        """
        found = self.obj if self._count_path() else None
        for part in self._count_path().split("."):
            if found is None:
                return None
            if not hasattr(found, part):
                raise DeviceError(
                    f"it has no signal {self._count_path()} to take the count time",
                    remedy="correct countTime in the device file",
                    device=self.name,
                )
            found = getattr(found, part)
        return found

    @property
    def takes_count_time(self) -> bool:
        """It can be told the count time."""
        return hasattr(self.obj, "set_count_time") or bool(self._count_path())

    @property
    def obeys_count_time(self) -> bool:
        """It counts as long as it is told; some only have to know how long others do."""
        return self.takes_count_time and bool(getattr(self.obj, "obeys_count_time", True))

    def set_count_time(self, count_time_s: float) -> None:
        """Count for so many seconds at the next trigger. Raises: DeviceError."""
        if hasattr(self.obj, "set_count_time"):
            self.obj.set_count_time(count_time_s)
            return
        signal = self.count_signal()
        try:
            if hasattr(signal, "get_value"):
                self.call(_set_and_await(signal, count_time_s))
            else:
                signal.set(count_time_s).wait(CALL_TIMEOUT_S)
        except Exception as exc:  # a driver may raise anything
            raise DeviceError(
                f"it did not take the count time {count_time_s:g} s: {exc}",
                remedy="check the signal under countTime in the device file",
                device=self.name,
            ) from exc

    @property
    def group(self) -> str:
        """M for what moves, D for the rest, unless the device file says otherwise."""
        moves = self.movable and not self.read_only
        return self.entry.group or ("M" if moves else "D")

    def info(self, problem: str = "") -> DeviceInfo:
        """What a client must know of it. A device that fails to answer is shown with that.

        Args:
            problem: why it is not asked for what only it can say.
        """
        kind: Literal["positioner", "detector", "signal", "device"] = "device"
        if self.movable:
            kind = "positioner"
        elif self.obj is not None:
            kind = "detector" if hasattr(self.obj, "trigger") else "signal"
        asked, connected, live = not problem, self.connected, dict[str, Any]()
        problem = problem or self.problem
        if connected and asked:
            try:
                live = self._live()
            except Exception as exc:  # a driver may raise anything; the table must be shown
                problem = f"{type(exc).__name__}: {exc}"
        return DeviceInfo(
            name=self.name,
            path=f"{self.group}.{self.name}",
            device_class=self.entry.device_class,
            kind=kind,
            readout_priority=self.entry.readout_priority,
            enabled=self.enabled,
            connected=connected,
            problem=problem,
            read_only=self.read_only,
            tags=self.entry.device_tags,
            description=self.entry.description,
            instant=self.instant,
            **live,
        )

    def _live(self) -> dict[str, Any]:
        """What only the device itself can say."""
        main: dict[str, Any] = next(iter(self.describe().values()), {})
        precision = main.get("precision")
        choices = main.get("choices") or main.get("enum_strs") or ()
        return {
            "precision": precision if isinstance(precision, int) and precision >= 0 else None,
            "choices": [str(word) for word in choices],
            "unit": self.unit,
            "limits": self.limits() if self.movable else None,
            "takes_count_time": self.obeys_count_time,
            "data_keys": self.describe(),
        }


async def _set_and_await(signal: Any, value: Any) -> None:
    await signal.set(value)
