"""Read on each change of a device: a monitor scan.

In: a `StepRun` and the device that is watched. Out: messages. Changes that come while a point is
read count as one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from bluesky.utils import Msg

from undula.plans.step import Messages, StepRun, point_with_hooks
from undula.plans.verbs import CHANGE

LOOK_EVERY_S = 0.25
"""How often it is looked whether the scan is to pause or its time is over."""
POLL_EVERY_S = 0.05
"""How often a device is read that tells nothing by itself."""


@dataclass(frozen=True, slots=True)
class Watch:
    """What is watched, and until when.

    Args:
        device: its name.
        num: points; None: until the time is over, or it is stopped.
        duration_s: seconds, without pauses; None: without end.
    """

    device: str
    num: int | None = None
    duration_s: float | None = None


class Changes:
    """Tells a plan that a device has changed: by subscription, or by reading it again and again.

    Made on the engine's loop.
    """

    def __init__(self, device: Any) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()
        self._device = device
        self._values: Any = None
        self._polled = not _tells(device)

    def begin(self) -> None:
        """Listen."""
        if not self._polled:
            _method(self._device, "subscribe_reading", "subscribe")(self._changed)
            self._event.set()  # the first point is taken at once

    def end(self) -> None:
        """Listen no more."""
        if not self._polled:
            _method(self._device, "clear_sub")(self._changed)

    def within(self, seconds: float) -> Messages:
        """Wait so long at most. Returns: whether it has changed."""
        if not self._polled:
            return (yield Msg(CHANGE, None, self._event, seconds))
        reading = yield Msg("read", self._device)
        values = {key: entry["value"] for key, entry in reading.items()}
        if _differ(self._values, values):
            self._values = values
            return True
        yield Msg("sleep", None, min(seconds, POLL_EVERY_S))
        return False

    def _changed(self, *_: Any, **__: Any) -> None:
        self._loop.call_soon_threadsafe(self._event.set)


def _tells(device: Any) -> bool:
    told = hasattr(device, "subscribe_reading") or (
        hasattr(device, "subscribe") and getattr(device, "_default_sub", "") is not None
    )
    return told and hasattr(device, "clear_sub")


def _method(device: Any, *names: str) -> Callable[..., Any]:
    found: Callable[..., Any] = next(getattr(device, n) for n in names if hasattr(device, n))
    return found


def _differ(before: Any, values: dict[str, Any]) -> bool:
    if before is None or before.keys() != values.keys():
        return True
    return any(not np.array_equal(before[key], value) for key, value in values.items())


def watch_core(run: StepRun, watch: Watch, device: Any) -> Messages:
    """One event for each change of `device` into stream `primary`; the first at once."""
    steps, taken = run.place, 0
    point = point_with_hooks(run, steps)
    end = None if watch.duration_s is None else run.clock() + watch.duration_s
    changes = Changes(device)
    changes.begin()
    try:
        while watch.num is None or taken < watch.num:
            yield Msg("checkpoint")
            if run.pause_requested():
                yield Msg("pause")
            if steps.asked:
                steps.turn()
            if steps.completed:
                return
            left = LOOK_EVERY_S if end is None else min(LOOK_EVERY_S, end - run.clock())
            if left <= 0:
                return
            if (yield from changes.within(left)):
                yield from point()
                taken += 1
    finally:
        changes.end()
