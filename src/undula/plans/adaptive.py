"""Points where the signal changes: the next step is chosen from what was read.

In: a rule and the readings. Out: positions, never beyond the bounds, never more than declared. The
rule is that of Bluesky's `adaptive_scan`; pure but for `adaptive_core`, which yields messages.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from bluesky.utils import Msg

from undula.core.errors import DeviceError
from undula.plans.lost import retaken
from undula.plans.step import Messages, StepRun, first_move, point_with_hooks
from undula.plans.verbs import MOVE


@dataclass(frozen=True, slots=True)
class Adaptive:
    """How the next step is chosen.

    Args:
        signal: the data key, or the device, whose change counts.
        start, stop: bounds, in the axis's unit; the stop is not reached.
        min_step, max_step: of a step, in the axis's unit, more than 0.
        target_delta: the change of the signal wanted between two points, in its unit.
        backstep: go back when a step was too large.
        threshold: a step is too large when the wanted one is less than this part of it.
        most: points at most.
    """

    signal: str
    start: float
    stop: float
    min_step: float
    max_step: float
    target_delta: float
    backstep: bool = False
    threshold: float = 0.8
    most: int = 1000

    def between(self, start: float, stop: float) -> Adaptive:
        """The same rule within other bounds."""
        return replace(self, start=start, stop=stop)


class Stepper:
    """Where the next point is, from what was read at those before.

    >>> steps = Stepper(Adaptive("diode", 0.0, 1.0, 0.25, 0.75, 1.0))
    >>> steps.take(0.0), steps.position
    (None, 0.25)
    """

    def __init__(self, rule: Adaptive) -> None:
        self._rule = rule
        self._step = (rule.max_step - rule.min_step) / 2 or rule.min_step
        self._sign = 1.0 if rule.stop >= rule.start else -1.0
        self._before: float | None = None
        self.taken = 0
        self.position: float | None = rule.start
        """The next point, in the axis's unit; None when all are taken."""

    def take(self, value: float) -> None:
        """What was read at `position`; one that is not a number counts as no change."""
        rule, here = self._rule, self.position
        if here is None:
            return
        self.taken += 1
        if self._before is None or not math.isfinite(value):
            self._before = value if math.isfinite(value) else self._before
            self._go(here + self._step * self._sign)
            return
        slope = abs(value - self._before) / self._step
        wanted = min(self._step * 1.1, rule.max_step)
        if slope:
            wanted = min(max(rule.target_delta / slope, rule.min_step), rule.max_step)
        if rule.backstep and wanted < self._step * rule.threshold:
            here -= self._step * self._sign
            self._step = wanted
        else:
            self._before = value
            self._step = 0.2 * wanted + 0.8 * self._step
        self._go(here + self._step * self._sign)

    def _go(self, target: float) -> None:
        inside = target * self._sign < self._rule.stop * self._sign
        self.position = target if inside and self.taken < self._rule.most else None


def signal_of(signal: str, row: Mapping[str, Any]) -> float:
    """The value of the signal in the readings of a point. Raises: DeviceError."""
    reading = row.get(signal)
    value: Any = reading["value"] if reading is not None else None
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise DeviceError(
            f"{signal} gave no number: {value!r}", remedy=f"choose one of {', '.join(row)}"
        )
    return float(value)


def adaptive_core(run: StepRun, rule: Adaptive) -> Messages:
    """One event a point into stream `primary`, the points chosen on the way."""
    stepper, steps = Stepper(rule), run.place
    point = point_with_hooks(run, steps)

    def one(target: float) -> Messages:
        yield Msg("checkpoint")
        if run.pause_requested():
            yield Msg("pause")
        if stepper.taken:
            targets = [(axis, target) for axis in run.axes]
            yield Msg(MOVE, None, targets, run.move_timeout_s, run.told)
        else:
            yield from first_move(run, [target])
        return (yield from point())

    while (target := stepper.position) is not None:
        if steps.asked:
            steps.turn()
        if steps.completed:
            return
        row = yield from retaken(partial(one, target), run.losses, lambda: None)
        if not row:  # a hook stood in its place: nothing is known of the signal here
            stepper.take(math.nan)
        else:
            stepper.take(signal_of(rule.signal, row))
