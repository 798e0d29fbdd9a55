"""Devices of the benchmarks: simulated ones that are slower on purpose, by a known time.

In: `deviceConfig` of `devices.yaml`. Out: Bluesky devices. The same classes serve Undula and the
stock RunEngine.
"""

from __future__ import annotations

from typing import Any

from undula.devices.sim import SimMonitor, SimPositioner
from undula.devices.sim.status import SimStatus
from undula.devices.sim.timer import TIMER


class SynchronousAxis(SimPositioner):
    """Done on return, but does not say so: a scan sends one message per action."""

    @property
    def instant(self) -> bool:
        """Never declared."""
        return False


class SynchronousMonitor(SimMonitor):
    """Done on return, but does not say so."""

    @property
    def instant(self) -> bool:
        """Never declared."""
        return False


class ThreadedAxis(SynchronousAxis):
    """Told done by another thread after `seconds`, also when that is 0."""

    def __init__(self, name: str, *, seconds: float = 0.0, **options: Any) -> None:
        super().__init__(name, **options)
        self._seconds = seconds

    def set(self, target: float) -> SimStatus:
        """Move; done later, on the thread of the timer."""
        super().set(target)
        status = SimStatus(self)
        TIMER.after(self._seconds, status.finish)
        return status


class ThreadedMonitor(SynchronousMonitor):
    """Told done by another thread after `seconds`, also when that is 0."""

    def __init__(self, name: str, *, seconds: float = 0.0, **options: Any) -> None:
        super().__init__(name, **options)
        self._seconds = seconds

    def trigger(self) -> SimStatus:
        """Count; done later, on the thread of the timer."""
        status = SimStatus(self)

        def counted() -> None:
            self._take()
            status.finish()

        TIMER.after(self._seconds, counted)
        return status
