"""What a motor record says when a motion went wrong, in words and with a remedy. Pure.

In: a `MotorState`, read when the motion ended. Out: what happened and what to do now. The bits of
MSTA and the alarm rules are those of the motor record's documentation
(epics-modules.github.io/motor/motorRecord.html).
"""

from __future__ import annotations

from dataclasses import dataclass

SEVERITIES = ("NO_ALARM", "MINOR", "MAJOR", "INVALID")
PLUS_LS, SLIP_STALL, PROBLEM, COMM_ERR, MINUS_LS = 0x4, 0x40, 0x200, 0x1000, 0x2000
BITS = {
    PLUS_LS: "PLUS_LS",
    SLIP_STALL: "SLIP_STALL",
    PROBLEM: "PROBLEM",
    COMM_ERR: "COMM_ERR",
    MINUS_LS: "MINUS_LS",
}


@dataclass(frozen=True, slots=True)
class MotorState:
    """The record when the motion ended; positions in `unit`."""

    target: float
    setpoint: float
    readback: float
    unit: str
    msta: int = 0
    high_switch: bool = False
    low_switch: bool = False
    out_of_limits: bool = False
    missed: bool = False
    severity: str = "NO_ALARM"
    status: str = "NO_ALARM"

    @property
    def words(self) -> str:
        """What the hardware says, in its own words.

        >>> MotorState(1, 1, 0, "mm", msta=0x1204, severity="MAJOR", status="STATE").words
        'MSTA PLUS_LS PROBLEM COMM_ERR, alarm STATE MAJOR'
        """
        bits = " ".join(name for bit, name in BITS.items() if self.msta & bit)
        alarm = f"alarm {self.status} {self.severity}" if self.severity != "NO_ALARM" else ""
        return ", ".join(part for part in (f"MSTA {bits}" if bits else "", alarm) if part)


def fault(state: MotorState, severity_tolerated: str = "NO_ALARM") -> tuple[str, str] | None:
    """What went wrong and the remedy; None when the motor is where it was sent.

    >>> state = MotorState(12.0, 9.5, 9.5, "mm", msta=0x4, high_switch=True)
    >>> fault(state)[0]
    'it ran into its high limit switch (HLS) at 9.5 mm on the way to 12 mm: MSTA PLUS_LS'
    """
    here = f"{state.readback:g} {state.unit}".strip()
    there = f"{state.target:g} {state.unit}".strip()
    way = f"at {here} on the way to {there}"
    said = f"{way}: {state.words}" if state.words else way
    found = (
        (
            state.msta & COMM_ERR,
            f"its controller does not answer the IOC, {said}",
            "check the controller's power and cable, then ask controls to reboot its IOC",
        ),
        (
            state.high_switch or (state.msta & PLUS_LS and not state.low_switch),
            f"it ran into its high limit switch (HLS) {said}",
            f"move it back to below {here}, and let staff set its soft limit inside",
        ),
        (
            state.low_switch or state.msta & MINUS_LS,
            f"it ran into its low limit switch (LLS) {said}",
            f"move it back to above {here}, and let staff set its soft limit inside",
        ),
        (
            state.msta & SLIP_STALL,
            f"it slipped or stalled {said}",
            "look whether it is blocked, then home it before the next scan",
        ),
        (
            state.msta & PROBLEM,
            f"its controller reports a problem {said}",
            "look at the controller's display or panel, reset it there, then move again",
        ),
        (
            state.out_of_limits and state.setpoint != state.target,  # the record took VAL back
            f"its record refuses {there}: outside its soft limits (LVIO)",
            "choose a target inside LLM..HLM, or ask staff to move the soft limit",
        ),
        (
            state.missed,
            f"it ran out of retries (MISS) {said}",
            "look for mechanical trouble; staff may widen its retry deadband RDBD",
        ),
        (
            state.severity not in ("NO_ALARM", severity_tolerated),
            f"it ended in alarm {said}",
            "look at the motor's panel; the alarm must be gone before it moves again",
        ),
        (
            state.setpoint != state.target,
            f"somebody stopped it or sent it to {state.setpoint:g} {state.unit}, {way}",
            "see who uses its panel, then move it again",
        ),
    )
    return next(((what, remedy) for happened, what, remedy in found if happened), None)
