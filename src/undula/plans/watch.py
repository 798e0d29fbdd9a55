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
        change: smallest change since the last point that counts, in the unit of what changes; 0:
            any.
        period_s: shortest time between two points; what changes meanwhile counts at its end.
    """

    device: str
    num: int | None = None
    duration_s: float | None = None
    change: float = 0.0
    period_s: float = 0.0


class Changes:
    """Tells a plan that a device has changed: by subscription, or by reading it again and again.

    Made on the engine's loop.

    Args:
        smallest: a smaller change of a number, since the last one that was told, is none.
    """

    def __init__(self, device: Any, smallest: float = 0.0) -> None:
        self._smallest = smallest
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
            told = yield Msg(CHANGE, None, self._event, seconds)
            if not told or not self._smallest:
                return told
        reading = yield Msg("read", self._device)
        values = {key: entry["value"] for key, entry in reading.items()}
        if differ(self._values, values, self._smallest):
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


def differ(before: Any, values: dict[str, Any], smallest: float = 0.0) -> bool:
    """Whether any value is another one; of numbers, by `smallest` at least.

    >>> differ(None, {"t": 1.0}), differ({"t": 1.0}, {"t": 1.2}, 0.5), differ({"t": 1}, {"t": 2})
    (True, False, True)
    >>> differ({"state": "open"}, {"state": "shut"}, 0.5)
    True
    """
    if before is None or before.keys() != values.keys():
        return True
    return any(_moved(before[key], value, smallest) for key, value in values.items())


def _moved(before: Any, after: Any, smallest: float) -> bool:
    one, other = np.asarray(before), np.asarray(after)
    numbers = one.dtype.kind in "iuf" and other.dtype.kind in "iuf" and one.shape == other.shape
    if not numbers or not smallest:
        return not np.array_equal(one, other)
    apart = np.abs(other.astype(float) - one.astype(float))
    unknown = np.isnan(one.astype(float)) != np.isnan(other.astype(float))
    return bool(np.any(apart >= smallest) or np.any(unknown))


def watch_core(run: StepRun, watch: Watch, device: Any) -> Messages:
    """One event for each change of `device` into stream `primary`; the first at once.

    With `watch.period_s` no more often than that.
    """
    steps, taken = run.place, 0
    point = point_with_hooks(run, steps)
    end = None if watch.duration_s is None else run.clock() + watch.duration_s
    changes, next_at = Changes(device, watch.change), 0.0
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
            early = next_at - run.clock() if watch.period_s and taken else 0.0
            if early > 0:
                yield Msg("sleep", None, min(left, early))
            elif (yield from changes.within(left)):
                next_at = run.clock() + watch.period_s if watch.period_s else 0.0
                yield from point()
                taken += 1
    finally:
        changes.end()
