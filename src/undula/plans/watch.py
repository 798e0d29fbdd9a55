"""Read on each change of a device: a monitor scan.

In: a `StepRun` and the device that is watched. Out: messages. Changes that come while a point is
read count as one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bluesky.utils import Msg

from undula.core.errors import InputError
from undula.plans.step import Messages, StepRun, point_with_hooks
from undula.plans.verbs import CHANGE

LOOK_EVERY_S = 0.25


@dataclass(frozen=True, slots=True)
class Watch:
    """What is watched, and until when.

    Args:
        device: its name.
        num: points; None: until the time is over, or it is stopped.
        duration_s: seconds; None: without end.
    """

    device: str
    num: int | None = None
    duration_s: float | None = None


class Changes:
    """Tells the engine's loop that a device has changed. Made on that loop."""

    def __init__(self, device: Any) -> None:
        self._loop = asyncio.get_running_loop()
        self.event = asyncio.Event()
        self._device = device

    def begin(self) -> None:
        """Listen. Raises: InputError for a device that tells nothing."""
        subscribe = _first(self._device, "subscribe", "subscribe_reading")
        if subscribe is None:
            raise InputError(
                "it does not tell when it changes",
                remedy="name a device that can be monitored",
                device=self._device.name,
            )
        subscribe(self._changed)
        self.event.set()

    def end(self) -> None:
        """Listen no more."""
        clear = _first(self._device, "clear_sub")
        if clear is not None:
            clear(self._changed)

    def _changed(self, *_: Any, **__: Any) -> None:
        self._loop.call_soon_threadsafe(self.event.set)


def _first(device: Any, *names: str) -> Callable[..., Any] | None:
    return next((getattr(device, n) for n in names if hasattr(device, n)), None)


def watch_core(run: StepRun, watch: Watch, device: Any) -> Messages:
    """One event for each change of `device` into stream `primary`; the first at once."""
    steps, taken = run.place, 0
    point = point_with_hooks(run, steps)
    end = None if watch.duration_s is None else time.monotonic() + watch.duration_s
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
            left = LOOK_EVERY_S if end is None else min(LOOK_EVERY_S, end - time.monotonic())
            if left <= 0:
                return
            if (yield Msg(CHANGE, None, changes.event, left)):
                yield from point()
                taken += 1
                steps.took()
    finally:
        changes.end()
