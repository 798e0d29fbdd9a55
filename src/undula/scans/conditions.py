"""Watching the conditions of the beamline, each on a thread of its own, so that none hides another.

In: the `Condition` devices of the registry. Out: `Trip`s. A condition that was not looked at for a
while, or whose device cannot be built, counts as tripped: what is not known does not hold.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from undula.core.log import get_logger
from undula.devices.condition import Action, Condition, Verdict
from undula.devices.registry import LoadedDevice, Registry

LATE_S = 2.0
"""How long after it should have been looked at a condition counts as lost."""
CLASS = f"{Condition.__module__}.{Condition.__qualname__}"


@dataclass(frozen=True, slots=True)
class Trip:
    """A condition that does not hold."""

    name: str
    reason: str
    action: Action
    settle_s: float

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


class Conditions:
    """All conditions of the beamline. `trips` may be called from any thread."""

    def __init__(self, devices: Registry) -> None:
        self._devices = devices
        self._verdicts: dict[str, Verdict] = {}
        self._watched: dict[str, Condition] = {}
        self._closing = threading.Event()
        self.refresh()
        devices.on_change(lambda _: self.refresh())

    def close(self) -> None:
        """Stop watching."""
        self._closing.set()

    def refresh(self) -> None:
        """Watch the conditions that there are now."""
        found = {d.name: d.obj for d in self._all() if isinstance(d.obj, Condition)}
        fresh = {n: c for n, c in found.items() if self._watched.get(n) is not c}
        self._watched = found
        for name, condition in fresh.items():
            self._verdicts[name] = condition.look() if condition.synchronous else _unknown(name)
            threading.Thread(
                target=self._watch, args=(name, condition), name=f"condition {name}", daemon=True
            ).start()

    def _all(self) -> list[LoadedDevice]:
        devices = (self._devices[n] for n in self._devices.names())
        return [d for d in devices if d.entry.enabled and d.entry.device_class == CLASS]

    def _watch(self, name: str, condition: Condition) -> None:
        while self._watched.get(name) is condition and not self._closing.wait(condition.every_s):
            before, verdict = self._verdicts.get(name), condition.look()
            self._verdicts[name] = verdict
            if before is not None and before.holds != verdict.holds:
                get_logger().warning(
                    "condition_changed", name=name, holds=verdict.holds, reason=verdict.reason
                )

    def trips(self, *, now: bool = False) -> list[Trip]:
        """Conditions that do not hold.

        Args:
            now: look at them again where that needs no loop, instead of taking the last look.
        """
        return [trip for device in self._all() if (trip := self._trip(device, now)) is not None]

    def _trip(self, device: LoadedDevice, now: bool) -> Trip | None:
        condition = device.obj
        if not isinstance(condition, Condition):
            return Trip(device.name, device.problem or "it cannot be looked at", "pause", 0.0)
        if now and condition.synchronous:
            verdict = self._verdicts[device.name] = condition.look()
        else:
            verdict = self._verdicts.get(device.name) or _unknown(device.name)
        age_s = time.monotonic() - verdict.time
        if age_s > condition.every_s + LATE_S:
            why = f"{', '.join(condition.sources)} does not answer since {age_s:.0f} s"
            return Trip(device.name, why, condition.action, condition.settle_s)
        if verdict.holds:
            return None
        return Trip(device.name, verdict.reason, condition.action, condition.settle_s)


def _unknown(name: str) -> Verdict:
    return Verdict(False, f"{name} was not looked at yet", time.monotonic())


def told(trips: Sequence[Trip]) -> str:
    """What does not hold, in one line."""
    return "; ".join(map(str, trips))
