"""What all simulated devices share: a name, a reading, no configuration beyond their arguments."""

from __future__ import annotations

import math
import threading
import time
from typing import Any

from undula.core.errors import DeviceError, InputError
from undula.devices.sim.status import DoneStatus, SimStatus
from undula.devices.sim.timer import TIMER


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
    """A device that counts for a time: triggered, then read.

    Once triggered in a run, a reading is what the last trigger counted; otherwise it is counted
    anew, so that a look between scans shows the beam as it is.
    """

    NOMINAL_S = 0.1
    default_count_time_s = 0.0

    def __init__(self, name: str, unit: str = "counts", precision: int = 0) -> None:
        super().__init__(name, unit, precision)
        self.count_time_s = 0.0
        self._last: Any = None
        self._stamp = 0.0
        self._staged = self._triggered = False
        self._pending: SimStatus | None = None
        self._lock = threading.Lock()

    @property
    def instant(self) -> bool:
        """Only without a count time: then it counts for a nominal 0.1 s in no time."""
        return self.count_time_s == 0.0

    def set_count_time(self, count_time_s: float) -> None:
        """Count for so many seconds at each trigger; 0 takes no time. Raises: InputError."""
        if not 0.0 <= count_time_s < math.inf:
            raise InputError(
                f"{count_time_s} s is no count time", remedy="give 0 s or more", device=self.name
            )
        self.count_time_s = count_time_s

    def counted(self, count_time_s: float) -> Any:
        """What is counted in that time."""
        raise NotImplementedError

    def value(self) -> Any:
        """The last counts while staged, else new ones."""
        if self._last is None or not (self._staged and self._triggered):
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
        """Count; done after the count time. A count that is going on is given up."""
        self._triggered = True
        if not self.count_time_s:
            self._take()
            return self._done
        status = SimStatus(self)
        self._give_up(status, "a new count was started")
        TIMER.after(self.count_time_s, lambda: self._counted(status))
        return status

    def _counted(self, status: SimStatus) -> None:
        with self._lock:
            if self._pending is not status:
                return
            self._pending = None
        self._take()
        status.finish()

    def _give_up(self, successor: SimStatus | None, why: str) -> None:
        with self._lock:
            status, self._pending = self._pending, successor
        if status is not None:
            status.finish(DeviceError(why, remedy="trigger it again", device=self.name))

    def stop(self, *, success: bool = False) -> None:  # noqa: ARG002  # part of the protocol
        """Give up a count that is going on: its status ends without success."""
        self._give_up(None, "the count was stopped")

    def stage(self) -> list[Any]:
        """Take part in a run: from now on a reading is what a trigger counted."""
        self._staged, self._triggered, self._last = True, False, None
        return [self]

    def unstage(self) -> list[Any]:
        """Take part no more; a count that is going on is given up."""
        self._staged = False
        self._give_up(None, "the count was stopped")
        return [self]

    def read_configuration(self) -> dict[str, Any]:
        """The count time, seconds."""
        key = f"{self.name}_count_time"
        return {key: {"value": self.count_time_s, "timestamp": self._stamp or time.time()}}

    def describe_configuration(self) -> dict[str, Any]:
        """The count time, seconds."""
        key = f"{self.name}_count_time"
        source = f"sim:{key}"
        return {key: {"source": source, "dtype": "number", "shape": [], "units": "s"}}
