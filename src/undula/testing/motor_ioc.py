"""Motor records with limit switches and faults, on caproto's server (BSD-3-Clause).

Written from the public motor record documentation (epics-modules.github.io/motor/motorRecord.html):
VAL, RBV, DMOV, MOVN, STOP, HLM, LLM, LVIO, HLS, LLS, MSTA, TDIR, alarm state. A put to VAL with
completion is answered when the motion has ended. It met no real motor. In: `python -m
undula.testing.motor_ioc PREFIX READY_FD`. Out: records `m1`, `m2`.

Beside each record stand switches for tests: `m1:SIM:HighSwitch`, `m1:SIM:LowSwitch` (positions of
the limit switches, mm), `m1:SIM:Fault` (MSTA bits that stop the next motion half way) and
`m1:SIM:Homed` (whether the controller knows its home).
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from typing import Any

from caproto import AlarmSeverity, AlarmStatus
from caproto.asyncio.server import run
from caproto.server import PVGroup, SubGroup, pvproperty

TICK_S = 0.01
DIRECTION, DONE, PLUS_LS, PROBLEM, MOVING = 0x1, 0x2, 0x4, 0x200, 0x400
COMM_ERR, MINUS_LS, HOMED = 0x1000, 0x2000, 0x4000


class Motor(PVGroup):
    """One motor record."""

    motor = pvproperty(value=0.0, name="", record="motor", precision=4)
    high_switch = pvproperty(value=1000.0, name=":SIM:HighSwitch")
    low_switch = pvproperty(value=-1000.0, name=":SIM:LowSwitch")
    fault = pvproperty(value=0, name=":SIM:Fault")
    homed = pvproperty(value=0, name=":SIM:Homed")

    def __init__(self, *args: Any, velocity: float = 10.0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._velocity = velocity
        self._target = 0.0
        self._moving: asyncio.Event | None = None
        self._on_its_way = False

    @motor.startup  # type: ignore[no-redef]  # caproto's way to name a hook
    async def motor(self, instance: Any, async_lib: Any) -> None:
        """What a record holds after its IOC has started."""
        del async_lib
        fields = instance.field_inst
        await fields.engineering_units.write("mm")
        await fields.velocity.write(self._velocity)
        await fields.seconds_to_velocity.write(0.05)
        await fields.motor_step_size.write(0.001)
        for low, high in (
            (fields.user_low_limit, fields.user_high_limit),
            (fields.dial_low_limit, fields.dial_high_limit),
        ):
            await low.write(-20.0)
            await high.write(20.0)
        await fields.done_moving_to_value.write(1)
        await fields.motor_status.write(DONE)

    @homed.putter  # type: ignore[no-redef]  # caproto's way to name a hook
    async def homed(self, instance: Any, value: int) -> int:
        """The controller finds or forgets its home."""
        del instance
        status = self.motor.field_inst.motor_status
        await status.write(int(status.value) & ~HOMED | (HOMED if value else 0))
        return int(value)

    @motor.putter  # type: ignore[no-redef]  # caproto's way to name a hook
    async def motor(self, instance: Any, value: float) -> float:
        """A put to VAL; answered when the motion has ended."""
        fields = instance.field_inst
        low, high = fields.user_low_limit.value, fields.user_high_limit.value
        outside = low < high and not low <= value <= high
        await fields.limit_violation.write(int(outside))
        if outside:
            return float(instance.value)
        if self._moving is not None and self._on_its_way and not fields.stop.value:
            self._target = float(value)  # it goes on to the new target
            await instance.write(value, verify_value=False)
            await self._moving.wait()
            return float(instance.value)
        while self._moving is not None:  # it stops, or has arrived: this is a motion of its own
            await self._moving.wait()
        self._moving = asyncio.Event()
        self._target = float(value)
        await instance.write(value, verify_value=False)
        try:
            await self._move(instance)
        finally:
            self._moving.set()
            self._moving = None
        return float(instance.value)

    @motor.fields.user_offset.putter  # type: ignore[no-redef]  # caproto's way to name a hook
    async def motor(fields: Any, instance: Any, value: float) -> float:  # noqa: N805  # of the fields
        """A put to OFF names places anew: RBV, VAL and the user limits go along, nothing moves."""
        record, by = fields.parent, float(value) - float(instance.value)
        for field in (fields.user_readback_value, fields.user_low_limit, fields.user_high_limit):
            await field.write(field.value + by)
        record.group._target += by
        await record.write(record.value + by, verify_value=False)
        return float(value)

    async def _move(self, instance: Any) -> None:
        fields = instance.field_inst
        await fields.stop.write(0)
        start = fields.user_readback_value.value
        forward = self._target >= start
        await fields.direction_of_travel.write(int(forward))
        await instance.alarm.write(status=AlarmStatus.NO_ALARM, severity=AlarmSeverity.NO_ALARM)
        await fields.motor_status.write(MOVING | self._bits(forward))
        await fields.motor_is_moving.write(1)
        await fields.done_moving_to_value.write(0)
        self._on_its_way = True
        status = await self._travel(fields, start)
        self._on_its_way = False
        await asyncio.sleep(TICK_S)  # as in a real IOC, the last readback leaves before the answer
        if status:
            await self._alarm(instance, status)
        if status or fields.stop.value:  # where it came to rest is where it shall be
            await instance.write(fields.user_readback_value.value, verify_value=False)
        await fields.stop.write(0)
        await fields.user_high_limit_switch.write(int(bool(status & PLUS_LS)))
        await fields.user_low_limit_switch.write(int(bool(status & MINUS_LS)))
        await fields.motor_status.write(status | DONE | self._bits(forward))
        await fields.motor_is_moving.write(0)
        await fields.done_moving_to_value.write(1)

    def _bits(self, forward: bool) -> int:
        return (DIRECTION if forward else 0) | (HOMED if self.homed.value else 0)

    async def _travel(self, fields: Any, start: float) -> int:
        """Go step by step; MSTA bits of what stopped it, 0 when nothing did."""
        middle = (start + self._target) / 2
        while True:
            await asyncio.sleep(TICK_S)
            here = fields.user_readback_value.value
            if fields.stop.value:
                return 0
            step = fields.velocity.value * TICK_S
            there = min(self._target, here + step) if self._target > here else here
            there = max(self._target, here - step) if self._target < here else there
            high, low = self.high_switch.value, self.low_switch.value
            there = min(max(there, low), high)
            await fields.user_readback_value.write(there)
            await fields.dial_readback_value.write(there)
            if there >= high and self._target > high:
                return PLUS_LS
            if there <= low and self._target < low:
                return MINUS_LS
            if self.fault.value and abs(there - start) >= abs(middle - start):
                return int(self.fault.value)
            if there == self._target:
                return 0

    async def _alarm(self, instance: Any, status: int) -> None:
        kind, severity = AlarmStatus.STATE, AlarmSeverity.MAJOR_ALARM
        if status & COMM_ERR:
            kind, severity = AlarmStatus.COMM, AlarmSeverity.INVALID_ALARM
        elif status & (PLUS_LS | MINUS_LS):
            kind = AlarmStatus.HIHI if status & PLUS_LS else AlarmStatus.LOLO
        await instance.alarm.write(status=kind, severity=severity)


class Motors(PVGroup):
    """Two of them."""

    m1 = SubGroup(Motor, prefix="m1", velocity=20.0)
    m2 = SubGroup(Motor, prefix="m2", velocity=5.0)


def main() -> None:
    """Serve `PREFIX` until the parent ends."""
    prefix, ready = sys.argv[1], int(sys.argv[2])

    async def started(_: Any) -> None:
        os.write(ready, b"1")

    def wait_for_the_end() -> None:
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    pvdb = Motors(prefix=prefix).pvdb
    for name in ("m1", "m2"):  # a record has one alarm, whichever field is asked
        record = pvdb[prefix + name]
        record.field_inst.user_readback_value.alarm = record.alarm
    run(
        pvdb,
        interfaces=["127.0.0.1"],
        startup_hook=started,
        log_pv_names=False,
    )


if __name__ == "__main__":
    main()
