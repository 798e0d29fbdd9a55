"""An EPICS motor record by ophyd-async and aioca, lean: a move costs its put and one get.

In: a record's prefix. Out: ophyd-async's `Motor`, which says why a motion went wrong with the
record's own words, as `undula.devices.epics.EpicsMotor` does. Limits and velocity are followed by
monitors; where it stands, whether it was stopped and its faults are asked when a motion has ended.
Tried with caproto's and our own simulated records.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from aioca import CANothing, caget, caput
from ophyd_async.core import CALCULATE_TIMEOUT, AsyncStatus, CalculatableTimeout, wait_for_value
from ophyd_async.epics.core import epics_signal_r, epics_signal_rw
from ophyd_async.epics.motor import Motor as _Motor

from undula.core.errors import DeviceError, LimitError
from undula.devices.epics.channels import ANSWER_S, reading, readings, value_of
from undula.devices.epics.motor_faults import SEVERITIES, MotorState, fault

FINISH_S = 10.0
"""What a move may take beyond its way at its velocity."""
FRESH_S = 0.05
"""A reading asked at the end of a motion is not asked again for so long."""
FOLLOWED = (
    "low_limit_travel", "high_limit_travel", "dial_low_limit_travel", "dial_high_limit_travel",
    "velocity", "acceleration_time", "deadband", "motor_egu",
)  # fmt: skip
ASKED = (".RBV", ".VAL", ".MSTA", ".SEVR", ".HLS", ".LLS", ".LVIO", ".MISS")


class Motor(_Motor):
    """A motor record.

    Args:
        prefix: the record, e.g. `X:m1`.
        tolerated_severity: alarm with which a motion still counts as good, `NO_ALARM` or `MINOR`.
    """

    reads_anew = True
    """`read` asks the record each time, but just after a motion."""

    def __init__(
        self, prefix: str, name: str = "", *, tolerated_severity: str = "NO_ALARM"
    ) -> None:
        self._record = prefix
        self._tolerated = tolerated_severity
        self._stopped_as: bool | None = None
        self._at_end: tuple[float, dict[str, Any]] | None = None
        self._going = 0
        self._unsure = False
        self._now: dict[str, Any] = {}
        self.backlash = epics_signal_rw(float, prefix + ".BDST")
        self.user_offset_dir = epics_signal_rw(None, prefix + ".DIR")
        self.motor_status = epics_signal_r(None, prefix + ".MSTA")
        self.alarm_severity = epics_signal_r(None, prefix + ".SEVR")
        self.alarm_status = epics_signal_r(None, prefix + ".STAT")
        super().__init__(prefix, name)

    async def connect(self, *args: Any, **kwargs: Any) -> None:
        """Connect all fields and follow those that a move needs. Raises: NotConnectedError."""
        await super().connect(*args, **kwargs)
        for field in FOLLOWED:
            if field not in self._now:
                signal = getattr(self, field)
                signal.subscribe_reading(self._follower(field))
                self._now[field] = await signal.get_value()

    def _follower(self, field: str) -> Any:
        def changed(reading: dict[str, Any]) -> None:
            self._now[field] = next(iter(reading.values()))["value"]

        return changed

    # ---- moving ----------------------------------------------------------------------------

    async def check_value(self, value: float) -> None:
        """Raises: LimitError outside the record's soft limits (LLM, HLM)."""
        self._check(value)

    def _check(self, target: float) -> None:
        now, unit = self._now, str(self._now["motor_egu"])
        if now["dial_low_limit_travel"] == now["dial_high_limit_travel"] == 0:
            return  # the motor record's word for: no limits
        low, high = float(now["low_limit_travel"]), float(now["high_limit_travel"])
        if low < high and not low <= target <= high:
            side = f"above HLM {high:g}" if target > high else f"below LLM {low:g}"
            raise LimitError(
                f"target {target:g} {unit} is {side} {unit}",
                remedy=f"choose {low:g}..{high:g} {unit}, or ask staff to move the soft limit",
                device=self.name,
            )

    def set(  # no watchers: the engine publishes where it is
        self, new_position: float, timeout: CalculatableTimeout = CALCULATE_TIMEOUT
    ) -> AsyncStatus:
        """Go there; ends with the reason, as DeviceError, when it does not arrive."""
        return AsyncStatus(self._go(float(new_position), timeout))

    async def _go(self, target: float, timeout: CalculatableTimeout) -> None:
        self._check(target)
        self._stopped_as = self._at_end = None
        limit_s = ANSWER_S if isinstance(timeout, str) else timeout
        self._going += 1
        self._unsure = False
        try:
            if isinstance(timeout, str):
                async with asyncio.timeout(ANSWER_S):
                    limit_s = await self._longest(target)
            if self._stopped_as is not None:  # while it was asked where it is
                raise DeviceError("it was stopped", remedy="move it again", device=self.name)
            async with asyncio.timeout(limit_s):  # one for all: each of aioca's own makes a task
                await caput(self._record + ".VAL", target, wait=True, timeout=None)
                error = None if await self._quietly_there(target) else await self._error(target)
        except (CANothing, TimeoutError) as exc:
            error, self._unsure = self._late(exc, limit_s), True
        finally:
            self._going -= 1
        if error is not None:
            raise error

    async def _longest(self, target: float) -> float:
        velocity = float(self._now["velocity"])
        if not velocity > 0:
            raise DeviceError("its velocity is 0", remedy="set its velocity", device=self.name)
        low, high = float(self._now["low_limit_travel"]), float(self._now["high_limit_travel"])
        way = (
            high - low if low < high else abs(target - float(await value_of(self._record + ".RBV")))
        )
        return float(way / velocity + 2 * self._now["acceleration_time"] + FINISH_S)

    def _late(self, exc: Exception, limit_s: float | None) -> DeviceError:
        waited = "" if limit_s is None else f" within {limit_s:.3g} s"
        return DeviceError(
            f"its IOC did not say that the motion ended{waited}: {exc or 'no answer'}",
            remedy="check the IOC and the network, and whether it moves still",
            device=self.name,
        )

    async def _quietly_there(self, target: float) -> bool:
        """It stands at its target, in no alarm: one get.

        The record's severity comes with each of its fields; problem, stall and a controller that
        does not answer raise it (motor record, `alarm_sub`).
        """
        place = await value_of(self._record + ".RBV")
        if place.severity or abs(place - target) > float(self._now["deadband"]):
            return False
        self._at_end = (time.monotonic(), reading(place))
        return self._stopped_as is None

    async def _error(self, target: float) -> DeviceError | None:
        if not await caget(self._record + ".DMOV", timeout=None):
            # some records answer the put before the motion has ended
            await wait_for_value(self.motor_done_move, 1, timeout=None)
        if self._stopped_as is not None:
            if self._stopped_as:
                return None
            return DeviceError("it was stopped", remedy="move it again", device=self.name)
        found = fault(await self.state(target), self._tolerated)
        if found is None:
            return None
        return DeviceError(found[0], remedy=found[1], device=self.name)

    async def state(self, target: float) -> MotorState:
        """What the record says now, asked from the IOC."""
        said = {field: await caget(self._record + field, timeout=ANSWER_S) for field in ASKED}
        words = await caget(self._record + ".STAT", datatype=str, timeout=ANSWER_S)
        return MotorState(
            target=target,
            setpoint=float(said[".VAL"]),
            readback=float(said[".RBV"]),
            unit=str(self._now["motor_egu"]),
            msta=int(said[".MSTA"]),
            high_switch=bool(said[".HLS"]),
            low_switch=bool(said[".LLS"]),
            out_of_limits=bool(said[".LVIO"]),
            missed=bool(said[".MISS"]),
            severity=SEVERITIES[min(int(said[".SEVR"]), 3)],
            status=str(words),
        )

    async def stop(self, success: bool = False) -> None:
        """Write `.STOP`; but not after a move of ours that ended, as the RunEngine asks."""
        if self._going or self._unsure or not success:
            self._stopped_as, self._unsure = success, False
            await caput(self._record + ".STOP", 1, wait=False, timeout=ANSWER_S)

    # ---- reading ---------------------------------------------------------------------------

    @AsyncStatus.wrap
    async def stage(self) -> None:
        """Nothing to keep: each reading asks the record."""

    @AsyncStatus.wrap
    async def unstage(self) -> None:
        """Nothing was taken over."""

    async def read(self) -> dict[str, Any]:
        """Where it stands now, user position in its unit; just after a motion, where that ended."""
        name, at_end = self.user_readback.name, self._at_end
        if at_end is not None and time.monotonic() - at_end[0] < FRESH_S:
            return {name: at_end[1]}
        return await readings({name: self._record + ".RBV"})
