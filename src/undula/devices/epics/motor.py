"""An EPICS motor record over Channel Access, which says why a motion went wrong.

In: a record's prefix. Out: ophyd's `EpicsMotor` with the fields that tell faults; a move that does
not end where it was sent ends with an error that names the device, the hardware's word and the
remedy. `stop` writes `.STOP`. Tried with caproto's and our own simulated records.
"""

from __future__ import annotations

import functools
from typing import Any

from ophyd import Component, EpicsSignal, EpicsSignalRO
from ophyd import EpicsMotor as OphydMotor
from ophyd.status import MoveStatus

from undula.core.errors import DeviceError, LimitError
from undula.devices.epics.motor_faults import BITS, SEVERITIES, MotorState, fault

NOT_VALUES = {"kind": "omitted", "auto_monitor": True}


class EpicsMotor(OphydMotor):
    """A motor record.

    Args:
        prefix: the record, e.g. `X:m1`.
        tolerated_severity: alarm with which a motion still counts as good, `NO_ALARM` or `MINOR`.
    """

    motor_status = Component(EpicsSignalRO, ".MSTA", **NOT_VALUES)
    alarm_severity = Component(EpicsSignalRO, ".SEVR", **NOT_VALUES)
    alarm_status = Component(EpicsSignalRO, ".STAT", string=True, **NOT_VALUES)
    out_of_limits = Component(EpicsSignalRO, ".LVIO", **NOT_VALUES)
    backlash = Component(EpicsSignal, ".BDST", kind="omitted")
    missed = Component(EpicsSignalRO, ".MISS", **NOT_VALUES)

    def __init__(
        self, prefix: str = "", *, name: str, tolerated_severity: str = "NO_ALARM", **kwargs: Any
    ) -> None:
        self._tolerated = tolerated_severity
        self._goal: tuple[float, Any] | None = None
        self._stopped_as: bool | None = None
        super().__init__(prefix, name=name, **kwargs)
        self.out_of_limits.subscribe(self._limits_said, run=False)

    def check_value(self, pos: float) -> None:
        """Raises: LimitError outside the record's soft limits (LLM, HLM)."""
        low, high = float(self.low_limit_travel.get()), float(self.high_limit_travel.get())
        if low < high and not low <= pos <= high:
            unit = self.egu
            side = f"above HLM {high:g}" if pos > high else f"below LLM {low:g}"
            raise LimitError(
                f"target {pos:g} {unit} is {side} {unit}",
                remedy=f"choose {low:g}..{high:g} {unit}, or ask staff to move the soft limit",
                device=self.name,
            )

    def move(
        self,
        position: float,
        wait: bool = True,
        timeout: float | None = None,
        moved_cb: Any = None,
    ) -> Any:
        """Go to `position`; the status ends with the reason when it does not arrive.

        The status is finished here and not by ophyd's subscription: that one may lose the end of a
        short move which is sent from the callback of the move before.
        """
        self.check_value(position)
        self._started_moving, self._stopped_as = False, None
        limit_s = self._timeout if timeout is None else timeout
        status = MoveStatus(self, position, timeout=limit_s, settle_time=self._settle_time)
        if moved_cb is not None:
            status.add_callback(functools.partial(moved_cb, obj=self))
        before, self._goal = self._goal, (float(position), status)
        if before is not None and not before[1].done:
            error = DeviceError("it was sent elsewhere", remedy="wait for it", device=self.name)
            _fail(before[1], error)
        self.user_setpoint.put(position, wait=False)
        if wait:
            status.wait()
        return status

    def stop(self, *, success: bool = False) -> None:
        """Write `.STOP`."""
        self._stopped_as = success
        super().stop(success=success)

    def state(self, target: float) -> MotorState:
        """What the record says now, read from the IOC."""
        severity = int(self.alarm_severity.get(use_monitor=False))
        return MotorState(
            target=target,
            setpoint=float(self.user_setpoint.get(use_monitor=False)),
            readback=float(self.user_readback.get(use_monitor=False)),
            unit=str(self.egu),
            msta=int(self.motor_status.get(use_monitor=False)),
            high_switch=bool(self.high_limit_switch.get(use_monitor=False)),
            low_switch=bool(self.low_limit_switch.get(use_monitor=False)),
            out_of_limits=bool(self.out_of_limits.get(use_monitor=False)),
            missed=bool(self.missed.get(use_monitor=False)),
            severity=SEVERITIES[min(severity, 3)],
            status=str(self.alarm_status.get(use_monitor=False)),
        )

    def _limits_said(self, value: Any = None, **_: Any) -> None:
        """The record refused a target: it will never move, so nothing more is waited for."""
        if value and not self._moving:
            self._done_moving(success=False)

    def _done_moving(self, success: bool = True, **kwargs: Any) -> None:
        """Called by ophyd when the motion ended, for whatever reason."""
        goal, self._goal = self._goal, None
        error = None
        if goal is not None and not goal[1].done:
            error = self._error(goal[0], success)
        super()._done_moving(success=success and error is None, **kwargs)
        if goal is None or goal[1].done:
            return
        if error is None:  # last: who waits may send the next move at once
            goal[1].set_finished()
        else:
            _fail(goal[1], error)

    def _error(self, target: float, success: bool) -> DeviceError | None:
        if self._stopped_as is not None:
            if self._stopped_as:
                return None
            return DeviceError("it was stopped", remedy="move it again", device=self.name)
        try:
            if success and self._quietly_there(target):
                return None
            found = fault(self.state(target), self._tolerated)
        except Exception as exc:  # pyepics raises anything when the IOC is gone
            return DeviceError(
                f"its IOC does not answer after the motion: {type(exc).__name__}: {exc}",
                remedy="check the IOC and the network",
                device=self.name,
            )
        if found is None and success:
            return None
        what, remedy = found or ("its motion did not succeed", "look at the motor's panel")
        return DeviceError(what, remedy=remedy, device=self.name)

    def _quietly_there(self, target: float) -> bool:
        """Nothing speaks against it: two fields read from the IOC, the others from monitors."""
        told = (self.high_limit_switch, self.low_limit_switch, self.alarm_severity, self.missed)
        if any(signal.get() for signal in told):
            return False
        bits = int(self.motor_status.get(use_monitor=False))
        there = float(self.user_setpoint.get(use_monitor=False)) == target
        return there and not any(bits & bit for bit in BITS)


def _fail(status: Any, error: DeviceError) -> None:
    status._handle_failure = _nothing  # ophyd would write .STOP, into the next move
    status.set_exception(error)


def _nothing() -> None:
    """The motion is over: there is nothing to stop."""
