"""Plans that find their points on the way: adaptive, on each change, along a continuous line.

Their axes stay within declared bounds, which are checked as points are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from undula.core.errors import InputError
from undula.plans.arguments import MAX_POINTS, Argument
from undula.plans.declared import Call, DeclaredPlan
from undula.plans.families.bec import (
    ELSEWHERE,
    EVERY_SCAN,
    EXP_TIME,
    FRAMES,
    PREFIX,
    READOUT,
    RELATIVE,
    STEPS,
    timed,
)
from undula.plans.families.common import NUM, START, STOP
from undula.plans.form import StepForm

if TYPE_CHECKING:
    from undula.plans.trajectory import Trajectory

MONITOR_PERIOD_S = 0.1
"""A device that jitters at each reading would make thousands of points a second."""
CHECKED_BETWEEN = 101
"""Places between two bounds that are checked: a pseudo axis may leave its limits between them."""


def bounds(call: Call, axis: str, start: float, stop: float) -> Trajectory:
    """Places along the way from start to stop."""
    from undula.plans.trajectory import line

    return replace(line([(axis, start, stop)], CHECKED_BETWEEN), relative=call.relative)


def _adaptive(call: Call) -> StepForm:
    from undula.plans.adaptive import Adaptive

    low, high = call["min_step"], call["max_step"]
    if low > high:
        raise InputError(
            f"min_step {low:g} is more than max_step {high:g}", remedy="give the smaller one first"
        )
    rule = Adaptive(
        call["target_field"], call["start"], call["stop"], low, high, call["target_delta"],
        backstep=call["backstep"],
        threshold=0.8 if call["threshold"] is None else call["threshold"],
        most=call["max_points"],
    )  # fmt: skip
    path = bounds(call, call["motor"], call["start"], call["stop"])
    return StepForm(call.plan.name, bounds=path, adaptive=rule, returns=call.relative)


def _monitor(call: Call) -> StepForm:
    from undula.plans.watch import Watch

    if call["num"] is None and call["duration"] is None:
        raise InputError(
            "neither a number of points nor a duration is given",
            remedy="give num=100, or duration=60 (seconds)",
        )
    period_s = MONITOR_PERIOD_S if call["period"] is None else call["period"]
    watch = Watch(call["device"], call["num"], call["duration"], call["change"] or 0.0, period_s)
    return StepForm(
        call.plan.name, watch=watch, also_read=(call["device"],),
        num=call["num"] if call["duration"] is None else None,
    )  # fmt: skip


def _line_sweep(call: Call) -> StepForm:
    from undula.plans.sweep import Sweep

    period_s = call["min_update"] if call.plan.family == "bec" else call["period"]
    return StepForm(
        call.plan.name,
        bounds=bounds(call, call.axes[0], call["start"], call["stop"]),
        sweep=Sweep(period_s),
        returns=call.relative,
        **(timed(call) if call.plan.family == "bec" else {}),
    )


def _cont_line(call: Call) -> StepForm:
    from undula.plans.sweep import Sweep

    start, stop, offset = call["start"], call["stop"], call["offset"]
    if start == stop:
        raise InputError(f"start and stop are both {start:g}", remedy="give a way to go")
    first = start - offset if stop > start else start + offset
    return StepForm(
        call.plan.name,
        bounds=bounds(call, call["device"], first, stop),
        num=call["steps"],
        sweep=Sweep(num=call["steps"], offset=offset, tolerance=call["atol"]),
        returns=call.relative,
        **timed(call),
    )


_ADAPTIVE = (
    Argument("target_field", "text", "signal whose change counts", more="A detector or a data key"),
    Argument("motor", "axis", "axis"),
    START,
    STOP,
    Argument("min_step", "float", "smallest step", "axis", above=0),
    Argument("max_step", "float", "largest step", "axis", above=0),
    Argument("target_delta", "float", "change wanted between two points", "of the signal", above=0),
    Argument("backstep", "bool", "way back after too large a step"),
    Argument(
        "threshold", "float", "part of a step below which the next is too small", default=0.8,
        above=0, high=1,
    ),
    Argument(
        "max_points", "int", "largest number of points", default=1000, low=1, high=MAX_POINTS,
        keyword=True,
    ),
)  # fmt: skip
_DEVICE = Argument("device", "axis", "axis")

_SWEEP = (
    Argument("motor", "axis", "axis"),
    START,
    STOP,
    Argument("period", "float", "time between two readings", "s", 0.0, low=0),
)

PLANS: tuple[DeclaredPlan, ...] = (
    DeclaredPlan(
        "adaptive_scan",
        "bluesky",
        "Points where the signal changes: the step is chosen so that the signal changes by\n"
        "target_delta from one to the next. It stays between start and stop.",
        'adaptive_scan("diode", samx, -1, 1, 0.01, 0.2, 100, True)',
        _adaptive,
        arguments=_ADAPTIVE,
    ),
    DeclaredPlan(
        "rel_adaptive_scan",
        "bluesky",
        "As adaptive_scan, counted from the present position; goes back at the end.",
        'rel_adaptive_scan("diode", samx, -1, 1, 0.01, 0.2, 100, True)',
        _adaptive,
        arguments=_ADAPTIVE,
        relative=True,
    ),
    DeclaredPlan(
        "monitor_scan",
        "bluesky",
        "Read at each change of a device: so many times, or for so long. Changes that are smaller\n"
        "than change do not count, and there are no more points than one in a period.",
        "monitor_scan(temperature, num=100, change=0.01)",
        _monitor,
        arguments=(
            Argument("device", "device", "device that is watched"),
            replace(NUM, default=None),
            Argument("duration", "float", "duration", "s", None, above=0, keyword=True),
            Argument(
                "change", "float", "smallest change that counts", "of the device", 0.0, low=0,
                keyword=True, more="0: any",
            ),
            Argument(
                "period", "float", "shortest time between two points", "s", MONITOR_PERIOD_S, low=0,
                keyword=True, more="What changes meanwhile counts at its end",
            ),
        ),
    ),
    DeclaredPlan(
        "sweep_scan",
        "bluesky",
        "One axis moves from start to stop without a halt and is read on the way, as often as it\n"
        "can be, or once in a period.",
        "sweep_scan(samx, -1, 1, period=0.1)",
        _line_sweep,
        arguments=_SWEEP,
    ),
    DeclaredPlan(
        "rel_sweep_scan",
        "bluesky",
        "As sweep_scan, counted from the present position; goes back at the end.",
        "rel_sweep_scan(samx, -1, 1, period=0.1)",
        _line_sweep,
        arguments=_SWEEP,
        relative=True,
    ),
    DeclaredPlan(
        PREFIX + "line_sweep_scan",
        "bec",
        "One axis moves from start to stop without a halt and is read on the way.",
        PREFIX + "line_sweep_scan(samx, -1, 1, min_update=0.1, relative=False)",
        _line_sweep,
        arguments=(
            _DEVICE,
            START,
            STOP,
            RELATIVE,
            EXP_TIME,
            FRAMES,
            Argument(
                "min_update", "float", "time between two readings", "s", 0.0, low=0, keyword=True
            ),
            Argument(
                "max_update", "float", "longest time between two readings", "s", 0.0, low=0,
                keyword=True, more="Taken, not obeyed: here it is read all the time",
            ),
            *EVERY_SCAN,
        ),
        elsewhere=ELSEWHERE,
    ),
    DeclaredPlan(
        PREFIX + "cont_line_scan",
        "bec",
        "One axis moves without a halt and is read as it passes evenly spaced positions.",
        PREFIX + "cont_line_scan(samx, -1, 1, 11, relative=False)",
        _cont_line,
        arguments=(
            _DEVICE,
            START,
            STOP,
            replace(STEPS, low=2),
            RELATIVE,
            Argument("offset", "float", "run-up", "axis", 0.0, low=0, keyword=True),
            Argument(
                "atol", "float", "how far behind a position it may be read", "axis", None, above=0,
                keyword=True, more="Default: what the axis goes in 0.2 s",
            ),
            EXP_TIME,
            READOUT,
            FRAMES,
            *EVERY_SCAN,
        ),
        elsewhere=ELSEWHERE,
    ),
)  # fmt: skip
