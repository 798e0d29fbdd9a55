"""Step scans: generators of `Msg`, one event a point, without plan stubs in the loop.

Stock plan stubs format a stack trace each, 60 % of a point; these loops yield `Msg` objects
directly, reuse the constant ones and wait by verbs of our own. A pause at the next point is asked
for by `pause_requested` and taken after the checkpoint, because a deferred pause of the RunEngine
sleeps for 0.5 s.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import bluesky.preprocessors as bpp
from bluesky.utils import FailedStatus, Msg, RunEngineControlException

from undula.plans.beam import DARK, Beam
from undula.plans.guarded import Policies, Policy, read_again
from undula.plans.lost import Losses, NoLosses, retaken
from undula.plans.steps import SteeredError, Steps
from undula.plans.trajectory import FloatArray
from undula.plans.turns import TurnReader, given_up, tell_turns
from undula.plans.verbs import CHECK, MOVE, TRIGGER, Told, Wait, finishing

Messages = Generator[Msg, Any, Any]
AroundPoint = Callable[[int, Sequence[float], Callable[[], Messages]], Messages]


def silent(_: Wait | None) -> None:
    """Nobody wants to know what is waited for."""


def never() -> bool:
    """No pause is asked for."""
    return False


@dataclass(frozen=True, slots=True)
class StepRun:
    """What a step scan needs: objects and numbers, all checked before.

    `points` has shape (number of points, number of axes), in each axis's unit; None counts `num`
    times, for ever when that is None too. `move_timeout_s` and `trigger_timeout_s` are deadlines
    of one point; None waits without end. `told` is called with what is waited for, and
    with None when it is done. `untriggered` names detectors that are read as they are;
    `spoiled` says at the end of a point that it must be taken again, after a pause; so is a point
    with an error in which a device was lost, by `losses`. `monitored` are devices whose every
    change is an event of a stream of their own. `steps` says which point is next, and is asked by
    people; None: all points from the first one. `around_point(index, targets, take)` stands in
    place of each point, and takes it by `take`. `settle_s` is waited before each trigger,
    `settle_after_s` behind it. `count_times_s` has shape (number of points,), when the count time
    differs from point to point: `tell_count_time` tells the detectors one that is new, on a
    thread; without it nobody takes one and it is waited. `rows` counts the rows of the scan that
    were really made, where something stands around points; None: each point makes its row.
    `clock`: seconds that the plan has run; it stands still in pauses.
    """

    detectors: Sequence[Any]
    axes: Sequence[Any] = ()
    points: FloatArray | None = None
    num: int | None = 1
    md: dict[str, Any] = field(default_factory=dict)
    baseline: Sequence[Any] = ()
    settle_s: float = 0.0
    delay_s: float = 0.0
    move_timeout_s: float | None = None
    trigger_timeout_s: float | None = None
    told: Told = silent
    return_to: Sequence[float] | None = None
    pause_requested: Callable[[], bool] = never
    untriggered: frozenset[str] = frozenset()
    on_failure: Policies = field(default_factory=dict)
    monitored: Sequence[Any] = ()
    beam: Beam | None = None
    spoiled: Callable[[], bool] = never
    losses: Losses = field(default_factory=NoLosses)
    steps: Steps | None = None
    around_point: AroundPoint | None = None
    rows: Callable[[], int] | None = None
    clock: Callable[[], float] = time.monotonic
    settle_after_s: float = 0.0
    count_times_s: FloatArray | None = None
    tell_count_time: Callable[[float], None] | None = None

    @property
    def place(self) -> Steps:
        """Where it is in its trajectory; steered from outside, or not at all."""
        total = self.num if self.points is None else len(self.points)
        return Steps(total) if self.steps is None else self.steps

    @property
    def counters(self) -> list[Any]:
        """Detectors that are triggered at each point."""
        return [
            d for d in self.detectors if hasattr(d, "trigger") and d.name not in self.untriggered
        ]

    def policy(self, device: Any) -> Policy:
        """What happens when a device cannot be read."""
        return self.on_failure.get(device.name, "raise")


def _read_all(devices: Sequence[Any], stream: str) -> Messages:
    triggered = [d for d in devices if hasattr(d, "trigger")]
    for device in triggered:
        yield Msg("trigger", device, group="baseline")
    if triggered:
        yield Msg("wait", None, group="baseline")
    yield Msg("create", None, name=stream)
    for device in devices:
        yield Msg("read", device)
    yield Msg("save")


def _darks(run: StepRun, beam: Beam) -> Messages:
    """Points with the beam off, in the stream `dark`."""
    yield from beam.closed(run.told)
    for _ in range(beam.darks):
        yield Msg("checkpoint")
        if run.counters:
            yield Msg(TRIGGER, None, run.counters, run.trigger_timeout_s, run.told)
        elif run.settle_s:
            yield Msg("sleep", None, run.settle_s)
        yield Msg("create", None, name=DARK)
        for device in run.detectors:
            yield Msg("read", device)
        yield Msg("save")


def measure(run: StepRun, core: Callable[[StepRun], Messages]) -> Messages:
    """The brackets of a run around its `core`: stage, open, baseline, points, baseline, close."""

    def inside() -> Messages:
        run.told(None)
        if run.baseline:
            yield from _read_all(run.baseline, "baseline")
        for device in run.monitored:
            yield Msg("monitor", device, name=f"{device.name}_monitor")
        if run.beam is None:
            yield from core(run)
        else:
            yield from _darks(run, run.beam)
            yield from run.beam.around(core(run), run.told)
        for device in run.monitored:
            yield Msg("unmonitor", device)
        yield from finishing(run.detectors)
        if run.baseline:
            yield from _read_all(run.baseline, "baseline")

    # injected, because a message cannot be made with a keyword called `command`
    bracketed = bpp.inject_md_wrapper(bpp.run_wrapper(inside()), run.md)
    staged = [*run.detectors, *run.axes]
    run.told(Wait("stage", [f"{d.name} to be ready" for d in staged]))
    result = yield from bpp.stage_wrapper(bracketed, staged)
    if run.return_to is not None:
        # only after a run that ended by itself: after a stop or an abort nothing may move
        for axis, position in zip(run.axes, run.return_to, strict=True):
            yield Msg("set", axis, position, group="return")
        run.told(_move_of(run, run.return_to))
        yield Msg("wait", None, group="return", timeout=run.move_timeout_s)
    return result


def rows_of(run: StepRun) -> Callable[[int], Sequence[float]]:
    """Point, by its index, to the targets of all axes."""
    if run.points is None:
        return lambda _: ()
    return run.points.tolist().__getitem__  # type: ignore[no-any-return]  # numpy types it as Any


def step_core(run: StepRun) -> Messages:
    """One event a point into stream `primary`: checkpoint, move, trigger, read, save."""
    checkpoint, pause = Msg("checkpoint"), Msg("pause")
    before: list[float | None] = [None] * len(run.axes)
    axes = list(enumerate(run.axes))
    steps, row_of = run.place, rows_of(run)
    measured = measure_point(run, steps)
    times = None if run.count_times_s is None else _CountTimes(run, run.count_times_s.tolist())
    moved = False

    def one(row: Sequence[float]) -> Messages:
        nonlocal moved
        yield checkpoint
        if run.pause_requested():
            yield pause
        if steps.asked:
            raise SteeredError
        if not moved:
            yield from first_move(run, row)
        elif targets := [(axis, row[i]) for i, axis in axes if row[i] != before[i]]:
            yield Msg(MOVE, None, targets, run.move_timeout_s, run.told)
        if steps.now:
            raise SteeredError
        moved = True
        before[:] = row
        if times is not None:
            yield from times.at(steps.point)
        return (yield from measured())

    def again() -> None:  # all axes are sent anew: they may have been stopped anywhere
        before[:] = [None] * len(before)

    def point() -> Messages:
        row = row_of(steps.point)
        if run.around_point is None:
            return retaken(partial(one, row), run.losses, again)
        again()  # the axes may be moved in between
        return run.around_point(steps.point, row, partial(hooked_point, row))

    def hooked_point(row: Sequence[float]) -> Messages:
        yield from closed(run, steps, lambda: retaken(partial(one, row), run.losses, again))

    yield from _points(run, steps, point, again)


def counted(run: StepRun, steps: Steps, point: Callable[[], Messages]) -> Messages:
    """A point that counts if it made a row: what stands around it may have kept it from that."""
    before = -1 if run.rows is None else run.rows()
    row = yield from point()
    if row is not None and (run.rows is None or run.rows() != before):
        steps.between = True
        steps.took()
    return row


def closed(run: StepRun, steps: Steps, point: Callable[[], Messages]) -> Messages:
    """A point among hooks: counted, and a pause behind it repeats nothing of it."""
    rows = steps.rows
    row = yield from counted(run, steps, point)
    if steps.rows == rows:
        yield from given_up()
    else:
        yield Msg("checkpoint")
    return row


def _points(
    run: StepRun, steps: Steps, point: Callable[[], Messages], again: Callable[[], None]
) -> Messages:
    """All points as `steps` has them; what people ask is seen to between two."""
    reader = TurnReader()
    delay = Msg("sleep", None, run.delay_s) if run.delay_s else None
    hooked = run.around_point is not None
    steps.open = True
    try:
        while True:
            if steps.asked:
                steps.turn()
                again()
            if steps.turns:
                yield from tell_turns(steps, reader)
            if steps.over:
                return
            steps.between, rows = False, steps.rows
            try:
                yield from point()
            except SteeredError:
                yield from given_up()
                continue
            if not hooked:
                steps.took()
            elif steps.rows == rows:
                yield from given_up()
                if not steps.asked:
                    steps.missed()
                continue
            if delay is not None:
                yield Msg("checkpoint")  # a pause in it repeats the delay, not the point
                yield delay
    finally:
        steps.open = steps.between = False


class _CountTimes:
    """Count times that differ from point to point: told where one is another than the last."""

    def __init__(self, run: StepRun, seconds: Sequence[float]) -> None:
        self._tell = run.tell_count_time
        self._seconds = seconds
        self._told: float | None = None

    def at(self, point: int) -> Messages:
        """Before the trigger of a point, by its index; waited where nobody takes a count time."""
        seconds = self._seconds[point]
        if self._tell is None:
            yield Msg("sleep", None, seconds)
        elif seconds != self._told:
            yield Msg(CHECK, None, partial(self._tell, seconds))
            self._told = seconds


def measure_point(run: StepRun, steps: Steps) -> Callable[[], Messages]:
    """What is done at each point once the axes stand; again as long as it is spoiled.

    The messages return what was read, data key to reading; None where no row was made, because the
    scan was ended while the point was spoiled. Raises: SteeredError when the point is given up.
    """
    create, save = Msg("create", None, name="primary"), Msg("save")
    drop, checkpoint, pause = Msg("drop"), Msg("checkpoint"), Msg("pause")
    settle, after = Msg("sleep", None, run.settle_s), Msg("sleep", None, run.settle_after_s)
    counters = run.counters
    trigger = Msg(TRIGGER, None, counters, run.trigger_timeout_s, run.told)
    devices = (*run.axes, *run.detectors)
    reads = [(Msg("read", d), run.policy(d)) for d in devices]
    beam = run.beam if run.beam is not None and run.beam.per_point else None

    def point() -> Messages:
        while True:
            if beam is not None:
                yield from beam.opened(run.told)
            if run.settle_s:
                yield settle
            if counters:
                yield trigger
            if run.settle_after_s:
                yield after
            if not steps.now:
                yield create
                row = yield from _readings(reads)
            if beam is not None:
                yield from beam.closed(run.told)
            if steps.now:
                raise SteeredError
            if not run.spoiled():
                yield save
                return row
            yield drop
            yield checkpoint  # so that the pause repeats nothing: the point is taken again here
            yield pause
            if steps.asked:
                return _left(steps)

    return point


def _left(steps: Steps) -> None:
    """A spoiled point is not taken again. Raises: SteeredError where the plan gives it up."""
    if steps.open:
        raise SteeredError
    # a plan without a trajectory sees to it before its next point


def point_with_hooks(run: StepRun, steps: Steps) -> Callable[[], Messages]:
    """As `measure_point`, counted, with what stands around each; for plans without a trajectory."""
    measured, around = measure_point(run, steps), run.around_point
    if around is None:
        return partial(counted, run, steps, measured)

    def take() -> Messages:
        rows: list[Any] = []

        def one() -> Messages:
            rows.append((yield from closed(run, steps, measured)))

        yield from around(steps.point, (), one)
        return rows[-1] if rows else {}

    return take


def _readings(reads: Sequence[tuple[Msg, Policy]]) -> Messages:
    """Read each device, once more where its policy says so; a computed one gets what was read."""
    row: dict[str, Any] = {}
    for message, policy in reads:
        if hasattr(message.obj, "offer"):
            message.obj.offer(row)  # just before it is read: no reading of a broken point is left
        try:
            reading = yield message
        except (RunEngineControlException, FailedStatus):
            raise
        except Exception as exc:  # a driver may raise anything while it is read
            read_again(message.obj, policy, exc)
            reading = yield message
        row.update(reading or {})
    return row


def first_move(run: StepRun, row: Sequence[float]) -> Messages:
    """By the RunEngine's own verbs, so that it knows what to stop."""
    for axis, target in zip(run.axes, row, strict=True):
        yield Msg("set", axis, target, group="first")
    if run.axes:
        run.told(_move_of(run, row))
        yield Msg("wait", None, group="first", timeout=run.move_timeout_s)


def _move_of(run: StepRun, row: Sequence[float]) -> Wait:
    names = [axis.name for axis in run.axes]
    return Wait("move", names, dict(zip(names, row, strict=True)))


def step_scan(run: StepRun) -> Messages:
    """A whole step scan, one message per action."""
    return (yield from measure(run, step_core))
