"""One axis moves without a halt, detectors are read on its way: a software continuous line.

In: a `StepRun` with one axis. Out: messages. The moments are those of software: where the axis was
is what it says when it is read. After a pause the axis goes on from where it was stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bluesky.utils import Msg

from undula.core.errors import DeviceError, TimeoutUndulaError
from undula.plans.step import Messages, StepRun, first_move, point_with_hooks
from undula.plans.steps import Steps
from undula.plans.verbs import SET_OFF

LOOK_EVERY_S = 0.005
NEAR = 1e-3
"""An axis has arrived when it is so near to its end, as a part of its way."""
SLACK_S = 0.2
"""How late a position may be read after the axis has passed it, seconds of motion."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """How a line is read on the way.

    Args:
        period_s: from one reading to the next at least; 0: as often as it can be read.
        num: read so many positions, evenly spaced, as each is passed; None: all the time.
        offset: run-up before the first position, in the axis's unit.
        tolerance: how far behind a position the axis may be when it is read; None: what it goes
            in 0.2 s.
    """

    period_s: float = 0.0
    num: int | None = None
    offset: float = 0.0
    tolerance: float | None = None


@dataclass(slots=True)
class _Way:
    """The move of the axis, begun again when a pause has stopped it."""

    run: StepRun
    start: float
    stop: float
    status: Any = None
    place: float | None = None
    begun: float = 0.0

    def set_off(self, place: float | None) -> Messages:
        """Send the axis on from where it is. Raises: its error when it does not get on."""
        if self.status is not None and not self.status.success and self.place == place:
            raise _error(self.status, self.run.axes[0].name)
        self.place, self.begun = place, time.monotonic()
        self.status = yield Msg(SET_OFF, None, self.run.axes[0], self.stop)

    @property
    def halted(self) -> bool:
        """The axis stands: at its end, or where a pause has stopped it."""
        return bool(self.status.done)

    def arrived(self, place: float | None) -> bool:
        """It stands at its end. A device may call it success when it is stopped on its way."""
        if not (self.status.done and self.status.success):
            return False
        near = NEAR * abs(self.stop - self.start)
        return place is None or place == self.place or abs(place - self.stop) <= near

    def check_time(self) -> None:
        """Raises: TimeoutUndulaError when it is on its way for too long."""
        limit = self.run.move_timeout_s
        if limit is not None and time.monotonic() - self.begun > limit:
            raise TimeoutUndulaError(
                f"it did not arrive within {limit:.0f} s",
                remedy="look at the device: blocked, in fault, or slower than declared",
                device=self.run.axes[0].name,
            )


def _error(status: Any, name: str) -> BaseException:
    error = status.exception(0)
    if isinstance(error, BaseException):
        return error
    return DeviceError("it did not do what it was told", remedy="look at the device", device=name)


def place_in(axis: Any, row: Mapping[str, Any]) -> float | None:
    """Where the axis says that it is; None when it does not tell."""
    found = row.get(axis.name) or next(iter(row.values()), None)
    return None if found is None else float(found["value"])


def sweep_core(run: StepRun, sweep: Sweep, ends: tuple[float, float]) -> Messages:
    """One event for each reading into stream `primary`, the last behind the end of the motion.

    Args:
        ends: start and stop, in the axis's unit.
    """
    start, stop = ends
    sign = 1.0 if stop >= start else -1.0
    yield Msg("checkpoint")
    yield from first_move(run, [start - sign * sweep.offset])
    steps = run.place
    way, point = _Way(run, start, stop), point_with_hooks(run, steps)
    yield from way.set_off(None)
    if sweep.num is None:
        yield from _all_the_time(run, sweep, way, (steps, point))
        return
    step = (stop - start) / max(1, sweep.num - 1)
    targets = [start + step * i for i in range(sweep.num)]
    yield from _at_positions(run, targets, sweep.tolerance or 0.0, (way, steps, point))


def _ended(steps: Steps) -> bool:
    """Somebody counts it as complete."""
    if steps.asked:
        steps.turn()
    return steps.completed


def _all_the_time(
    run: StepRun, sweep: Sweep, way: _Way, parts: tuple[Steps, Callable[[], Messages]]
) -> Messages:
    steps, point = parts
    while not _ended(steps):
        yield Msg("checkpoint")
        if run.pause_requested():
            yield Msg("pause")
        halted, begun = way.halted, time.monotonic()
        row = yield from point()
        place = place_in(run.axes[0], row or {})
        if halted:
            if way.arrived(place):
                return
            yield from way.set_off(place)
        way.check_time()
        rest = sweep.period_s - (time.monotonic() - begun)
        if rest > 0 and not way.halted:
            yield Msg("sleep", None, rest)


def _at_positions(
    run: StepRun,
    targets: Sequence[float],
    tolerance: float,
    parts: tuple[_Way, Steps, Callable[[], Messages]],
) -> Messages:
    way, steps, point = parts
    sign = 1.0 if targets[-1] >= targets[0] else -1.0
    for number, target in enumerate(targets, 1):
        while True:
            if _ended(steps):
                return
            yield Msg("checkpoint")
            if run.pause_requested():
                yield Msg("pause")
            halted = way.halted
            place = place_in(run.axes[0], (yield Msg("read", run.axes[0])))
            behind = sign * (place - target) if place is not None else 0.0
            if behind > tolerance:
                raise DeviceError(
                    f"it passed point {number} before it could be read",
                    remedy="move it slower, ask for fewer points, or give a larger tolerance",
                    device=run.axes[0].name,
                )
            if halted and not way.arrived(place):
                yield from way.set_off(place)
            elif behind >= 0 or halted:
                break
            way.check_time()
            yield Msg("sleep", None, LOOK_EVERY_S)
        yield from point()
