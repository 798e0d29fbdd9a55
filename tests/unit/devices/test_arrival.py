"""A moved axis of ophyd-async is read where it is, also when its monitor is late."""

from __future__ import annotations

import asyncio
from functools import cached_property
from typing import Any

from ophyd_async.core import (
    MovableLogic,
    SignalR,
    SignalRW,
    SoftSignalBackend,
    StandardMovable,
    StandardReadable,
    StandardReadableFormat,
    init_devices,
)

from undula.devices.arrival import read_anew


class LateMonitor(SoftSignalBackend[float]):
    """Tells its first value by the monitor, and never another."""

    def set_callback(self, callback: Any) -> None:
        told: list[bool] = []

        def once(reading: Any) -> None:
            if not told:
                told.append(True)
                callback(reading)

        super().set_callback(once if callback else None)


class Axis(StandardMovable[float], StandardReadable):
    """An axis at once at its target, whose monitor says that it never left."""

    def __init__(self, name: str = "") -> None:
        backend = LateMonitor(float)
        with self.add_children_as_readables(StandardReadableFormat.HINTED_SIGNAL):
            self.readback = SignalR(backend)
        self.setpoint = SignalRW(backend)
        super().__init__(name)

    @cached_property
    def movable_logic(self) -> MovableLogic[float]:
        return MovableLogic(readback=self.readback, setpoint=self.setpoint)


async def _read_after_move(*, anew: bool) -> float:
    async with init_devices():
        axis = Axis("x")
    if anew:
        read_anew(axis)
    await axis.stage()
    await axis.readback.read()
    await axis.setpoint.set(1.5)
    found = await axis.read()
    await axis.unstage()
    return float(found["x"]["value"])


def test_the_readback_is_asked_after_a_move() -> None:
    assert asyncio.run(_read_after_move(anew=False)) == 0.0  # what the library would say
    assert asyncio.run(_read_after_move(anew=True)) == 1.5


def test_a_device_of_another_kind_is_left_as_it_is() -> None:
    thing = object()
    read_anew(thing)
