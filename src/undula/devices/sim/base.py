"""What all simulated devices share: a name, a reading, no configuration beyond their arguments."""

from __future__ import annotations

import time
from typing import Any

from undula.devices.sim.status import DoneStatus, SimStatus


class SimDevice:
    """A Bluesky-protocol device with one data key, named like the device."""

    parent = None
    dtype = "number"
    dtype_numpy = "<f8"

    def __init__(self, name: str, unit: str = "", precision: int = 4) -> None:
        self.name = name
        self.egu = unit
        self.precision = precision
        self._done = DoneStatus(self)

    @property
    def hints(self) -> dict[str, Any]:
        """The one key is worth a column and a curve."""
        return {"fields": [self.name]}

    @property
    def instant(self) -> bool:
        """Reads and sets are done on return."""
        return True

    def value(self) -> Any:
        """The value now."""
        raise NotImplementedError

    def shape(self) -> list[int]:
        """Shape of the value; [] for a number."""
        return []

    def read(self) -> dict[str, Any]:
        """Value and time of the device's one key."""
        return {self.name: {"value": self.value(), "timestamp": time.time()}}

    def describe(self) -> dict[str, Any]:
        """Data key of the device."""
        return {
            self.name: {
                "source": f"sim:{self.name}",
                "dtype": self.dtype,
                "dtype_numpy": self.dtype_numpy,
                "shape": self.shape(),
                "units": self.egu,
                "precision": self.precision,
            }
        }

    def read_configuration(self) -> dict[str, Any]:
        """Nothing, unless a device says otherwise."""
        return {}

    def describe_configuration(self) -> dict[str, Any]:
        """Nothing, unless a device says otherwise."""
        return {}


class SimCounter(SimDevice):
    """A device that counts for a time: triggered, then read."""

    NOMINAL_S = 0.1

    def __init__(self, name: str, unit: str = "counts", precision: int = 0) -> None:
        super().__init__(name, unit, precision)
        self.count_time_s = 0.0
        self._last: Any = None
        self._stamp = 0.0
        self._run = 0

    @property
    def instant(self) -> bool:
        """Only without a count time: then it counts for a nominal 0.1 s in no time."""
        return self.count_time_s == 0.0

    def set_count_time(self, count_time_s: float) -> None:
        """Count for so many seconds at each trigger; 0 takes no time."""
        self.count_time_s = count_time_s

    def counted(self, count_time_s: float) -> Any:
        """What is counted in that time."""
        raise NotImplementedError

    def value(self) -> Any:
        """The last counts; a nominal count when it was never triggered."""
        if self._last is None:
            self._take()
        return self._last

    def _take(self) -> None:
        self._last = self.counted(self.count_time_s or self.NOMINAL_S)
        self._stamp = time.time()

    def read(self) -> dict[str, Any]:
        """The last counts, with the time at which they were complete."""
        value = self.value()
        return {self.name: {"value": value, "timestamp": self._stamp}}

    def trigger(self) -> SimStatus:
        """Count; done after the count time."""
        from undula.devices.sim.timer import TIMER

        if not self.count_time_s:
            self._take()
            return self._done
        status = SimStatus(self)
        self._run += 1
        run = self._run

        def end() -> None:
            if run == self._run:
                self._take()
            status.finish()

        TIMER.after(self.count_time_s, end)
        return status

    def stop(self, *, success: bool = False) -> None:  # noqa: ARG002  # part of the protocol
        """Forget a count that is going on."""
        self._run += 1

    def read_configuration(self) -> dict[str, Any]:
        """The count time, seconds."""
        key = f"{self.name}_count_time"
        return {key: {"value": self.count_time_s, "timestamp": self._stamp or time.time()}}

    def describe_configuration(self) -> dict[str, Any]:
        """The count time, seconds."""
        key = f"{self.name}_count_time"
        source = f"sim:{key}"
        return {key: {"source": source, "dtype": "number", "shape": [], "units": "s"}}
