"""Devices of the running scan that cannot be reached: which, since when, until when one waits.

In: the names of a scan's devices, a deadline. Out: what to say, whether to go on waiting. Pausing
and resuming are the runner's.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from undula.core.clock import now
from undula.core.log import get_logger
from undula.devices.loaded import CALL_TIMEOUT_S
from undula.devices.registry import LoadedDevice, Registry

RESTORE_TIMEOUT_S = 15.0


class LostDevices:
    """Follows the connections of a scan's devices. `look` is called often, by two threads."""

    def __init__(
        self, devices: Registry, deadline_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._devices = devices
        self._deadline_s = deadline_s
        self._clock = clock
        self._names: tuple[str, ...] = ()
        self._since: dict[str, tuple[float, float]] = {}
        self._restore: set[str] = set()
        self.count = 0
        """How often a device was lost."""
        self.paused = False
        """The scan pauses for a lost device, or is about to."""

    def begin(self, names: Iterable[str]) -> None:
        """A scan with these devices begins: what was lost in the one before is over."""
        self._names = tuple(n for n in names if n in self._devices)
        self._since, self._restore, self.paused = {}, set(), False

    def also(self, names: Iterable[str]) -> None:
        """The scan turns out to need these, too."""
        self._names = tuple(dict.fromkeys([*self._names, *names]))

    def look(self) -> bool:
        """Whether a device of the scan is out of reach now."""
        for name in self._names:
            if self._devices[name].connected:
                if self._since.pop(name, None):
                    get_logger().info("device_is_back", device=name)
            elif name not in self._since:
                self._since[name] = (self._clock(), now())
                self._restore.add(name)
                self.count += 1
                get_logger().warning("device_lost", device=name)
        return bool(self._since)

    def since(self, count: int) -> bool:
        """Whether more than `count` losses are known; then the plan that asks is going to pause."""
        self.look()
        self.paused = self.paused or self.count > count
        return self.count > count

    @property
    def text(self) -> str:
        """Which devices, and since when.

        e.g. `[cam] its connection is lost since 08:15:02`
        """
        return ", ".join(
            f"[{name}] its connection is lost since {_clock_time(stamp)}"
            for name, (_, stamp) in sorted(self._since.items())
        )

    @property
    def overdue(self) -> str:
        """Why nobody should wait any longer; '' while one should."""
        late = [n for n, (at, _) in self._since.items() if self._clock() - at > self._deadline_s]
        if not late:
            return ""
        return (
            f"{self.text}: it did not come back within {self._deadline_s:g} s. Remedy: start its "
            "IOC or controller, see undula devices, then repeat the scan from its last point."
        )

    def restore(self) -> None:
        """Those that came back get their settings again: a restarted IOC has forgotten them."""
        self.paused = False
        for name in sorted(self._restore):
            self._restore.discard(name)
            try:
                restore(self._devices[name])
            except Exception:  # a driver may raise anything; its next use will tell
                get_logger().exception("device_not_restored", device=name)


def restore(device: LoadedDevice) -> None:
    """Wait until every signal of a device answers again, then let it write its settings.

    Raises: what its library raises.
    """
    connect = getattr(device.obj, "connect", None)
    if inspect.iscoroutinefunction(connect):
        again = connect(timeout=RESTORE_TIMEOUT_S, force_reconnect=True)
        device.call(again, RESTORE_TIMEOUT_S + CALL_TIMEOUT_S)
    own = getattr(device.obj, "restore", None)
    if own is not None:
        device.call(own(), RESTORE_TIMEOUT_S)


def _clock_time(stamp: float) -> str:
    return datetime.fromtimestamp(stamp, UTC).astimezone().strftime("%H:%M:%S")
