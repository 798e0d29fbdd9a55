"""From a checked request to the generator that the RunEngine runs."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import bluesky.plans as bp
import bluesky.preprocessors as bpp
from bluesky.utils import Msg

from undula.core.errors import UndulaError
from undula.core.settings import BeamlineSettings
from undula.devices.registry import Registry
from undula.messages import PlanSource
from undula.plans import StepRun, block_scan, step_scan
from undula.plans.adaptive import adaptive_core
from undula.plans.beam import Beam
from undula.plans.guarded import Buffered
from undula.plans.lost import Losses
from undula.plans.step import Messages, measure
from undula.plans.steps import Steps
from undula.plans.sweep import SLACK_S, sweep_core
from undula.plans.verbs import CHECK, Told, finishing
from undula.plans.watch import watch_core
from undula.scans.checked import Checks, Lease, Sends, checked, with_beam
from undula.scans.checked_scan import CheckedScan
from undula.scans.frames import tell_policies
from undula.scans.metadata import start_metadata
from undula.scans.motion import MOVE_MARGIN_S
from undula.scans.scan_hooks import ScanHooks, hook_checks
from undula.scans.shutters import shutter_of
from undula.scans.user_plans import PlanFailedError, load_plan, told_of

FIELDS = ("signal", "target_field")
"""Parameters of Bluesky's plans that name a data key, not a device."""


def baseline_of(scan: CheckedScan, devices: Registry) -> list[str]:
    """Devices read before and after: readout priority baseline, usable, not part of the scan."""
    names = devices.by_priority("baseline")
    left_out = scan.form.not_read if scan.form is not None else ()
    return [
        n
        for n in names
        if n not in (*scan.devices, *left_out) and devices[n].enabled and devices[n].connected
    ]


def pushing(scan: CheckedScan, devices: Registry) -> list[str]:
    """Devices that give data by themselves: priority async or continuous, usable, not in the scan.

    Each change is an event of a stream of their own, `NAME_monitor`.
    """
    names = [*devices.by_priority("async"), *devices.by_priority("continuous")]
    left_out = scan.form.not_read if scan.form is not None else ()
    return [
        n
        for n in names
        if n not in (*scan.devices, *left_out)
        and devices[n].enabled
        and devices[n].connected
        and _tells_changes(devices[n].obj)
    ]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a running plan asks whoever runs it: pause wanted, point spoiled, device lost; devices
    that it needs beside those that were leased before; which of its points is next; what is run
    around it; how many rows its runs have; and the time without pauses."""

    to_pause: Callable[[], bool]
    spoiled: Callable[[], bool]
    losses: Losses
    lease: Lease = lambda _: None
    steps: Steps | None = None
    hooks: ScanHooks | None = None
    sends: Sends = lambda *_: None
    rows: Callable[[], int] | None = None
    clock: Callable[[], float] = time.monotonic


def _beam(scan: CheckedScan, devices: Registry) -> Beam | None:
    shutters = [shutter_of(devices[n]) for n in scan.shutters]
    found = [shutter for shutter in shutters if shutter is not None]
    return Beam(found, scan.opens, scan.request.darks) if found else None


def _tells_changes(obj: Any) -> bool:
    """It can be subscribed to as it is; an ophyd device without a default event cannot."""
    return hasattr(obj, "subscribe") and getattr(obj, "_default_sub", "") is not None


def takers(scan: CheckedScan, devices: Registry) -> list[str]:
    """Detectors of a scan that take a count time."""
    return [n for n in scan.detectors if devices[n].takes_count_time and devices[n].triggered]


def set_count_time(scan: CheckedScan, devices: Registry) -> None:
    """Tell the detectors their count time; without one what is usual for each of them."""
    times = scan.form.count_times_s if scan.form is not None else None
    seconds = scan.count_time_s if times is None else float(times[0])
    if seconds:
        tell_count_time(scan, devices, seconds)
        return
    for name in scan.detectors:
        usual = getattr(devices[name].obj, "default_count_time_s", None)
        if usual is not None:  # the count time of an earlier scan must not stick
            devices[name].set_count_time(usual)


def tell_count_time(scan: CheckedScan, devices: Registry, seconds: float) -> None:
    """Tell the detectors that take it a count time."""
    for name in takers(scan, devices):
        devices[name].set_count_time(seconds)


def trigger_timeout_s(count_time_s: float, detectors: Sequence[Any]) -> float:
    """Seconds that a point's detectors may take; one with a `frame_timeout_s` says itself first.

    >>> trigger_timeout_s(1.0, [])
    13.0
    """
    own_s = max((float(getattr(d, "frame_timeout_s", 0.0)) for d in detectors), default=0.0)
    return max(2.0 * count_time_s, own_s) + count_time_s + MOVE_MARGIN_S


def declared_plan(scan: CheckedScan, devices: Registry, asked: Asked, told: Told) -> Messages:
    """The generator of a declared plan: in blocks when every device is `instant`."""
    form, driven = scan.form, scan.driven
    if form is None:
        raise ValueError("not a declared plan")
    times = form.count_times_s
    longest_s = (scan.count_time_s or 0.0) if times is None else float(times.max())
    alone = longest_s > 0 and not takers(scan, devices)
    baseline = baseline_of(scan, devices)
    used = [devices[n] for n in scan.devices if n not in set(scan.shutters) - set(scan.detectors)]
    policies = {d.name: d.entry.on_failure for d in used}
    beam = _beam(scan, devices)
    hooks = asked.hooks
    whole = form.trajectory is not None
    pseudo = [n for n in scan.axes if whole and driven.axes and n not in driven.axes]
    tell = partial(tell_count_time, scan, devices) if times is not None and not alone else None
    run = StepRun(
        detectors=[
            Buffered(devices[n].obj) if _stands_in(policies[n], devices[n].obj) else devices[n].obj
            for n in (*pseudo, *scan.detectors)
        ],
        axes=[devices[n].obj for n in (driven.axes if whole else scan.axes)],
        points=driven.points if whole else None,
        num=form.num,
        baseline=[devices[n].obj for n in baseline],
        settle_s=form.settle_s + (longest_s if alone and times is None else 0.0),
        settle_after_s=form.settle_after_s,
        count_times_s=times,
        tell_count_time=tell,
        delay_s=form.delay_s,
        move_timeout_s=scan.move_timeout_s,
        trigger_timeout_s=trigger_timeout_s(longest_s, [devices[n].obj for n in scan.detectors]),
        told=told,
        return_to=(driven.origin if whole else scan.origin) if form.returns else None,
        pause_requested=asked.to_pause,
        spoiled=asked.spoiled,
        beam=beam,
        untriggered=frozenset(n for n in scan.detectors if not devices[n].triggered),
        on_failure=policies,
        losses=asked.losses,
        steps=asked.steps,
        clock=asked.clock,
        around_point=hooks.around_point if hooks is not None and hooks.at_points else None,
        rows=asked.rows if hooks is not None and hooks.at_points else None,
        monitored=[devices[n].obj for n in pushing(scan, devices)],
    )
    if (not whole and scan.axes) or form.watch is not None:
        return measure(run, core_of(scan, devices))
    hooked = hooks is not None and hooks.at_points
    plain = (
        not hooked
        and times is None
        and not (alone or form.delay_s or form.settle_s or form.settle_after_s)
    )
    instant = plain and form.num is not None and all(d.instant for d in used)
    instant = instant and "buffer" not in policies.values() and not (beam and beam.per_point)
    return block_scan(run) if instant else step_scan(run)


def core_of(scan: CheckedScan, devices: Registry) -> Callable[[StepRun], Messages]:
    """What is done inside a run whose points are found on the way."""
    form, path = scan.form, scan.bounds
    if form is not None and form.watch is not None:
        watch = form.watch
        return lambda run: watch_core(run, watch, devices[watch.device].obj)
    if form is None or path is None:
        raise ValueError("not a plan that finds its points on the way")
    ends = float(path.points[0, 0]), float(path.points[-1, 0])
    if form.adaptive is not None:
        rule = form.adaptive.between(*ends)
        return lambda run: adaptive_core(run, rule)
    if form.sweep is None:
        raise ValueError("neither adaptive nor a sweep")
    sweep = form.sweep
    way_s = devices[scan.axes[0]].move_duration_s(*ends)
    if sweep.num is not None and sweep.tolerance is None and way_s:
        sweep = replace(sweep, tolerance=SLACK_S * abs(ends[1] - ends[0]) / way_s)
    begin = ends[0] + sweep.offset * (1.0 if ends[1] >= ends[0] else -1.0)
    return lambda run: sweep_core(run, sweep, (begin, ends[1]))


def several_plans(
    scan: CheckedScan, devices: Registry, settings: BeamlineSettings, asked: Asked, told: Told
) -> Messages:
    """The runs of a plan that makes several, one after the other."""
    for number, part in enumerate(scan.parts, 1):
        if asked.steps is not None:
            if asked.steps.asked:
                asked.steps.turn()
            if asked.steps.completed:
                return
            asked.steps.begin(part.num_points)
        yield Msg("checkpoint")
        if asked.to_pause():
            yield Msg("pause")
        yield from _before(part, devices)
        yield Msg(CHECK, None, partial(set_count_time, part, devices))
        md = start_metadata(part, devices, settings, _streams(part, devices))
        md |= {"part": number, "parts": len(scan.parts)}
        yield from bpp.inject_md_wrapper(declared_plan(part, devices, asked, told), md)


def _before(part: CheckedScan, devices: Registry) -> Messages:
    """Bring the axes of its conditions to their places, and wait there."""
    form = part.form
    moves = form.before if form is not None else ()
    for name, target in moves:
        yield Msg("set", devices[name].obj, target, group="before")
    if moves:
        yield Msg("wait", None, group="before", timeout=part.before_timeout_s)
        yield Msg("checkpoint")
    if form is not None and form.rest_s:
        yield Msg("sleep", None, form.rest_s)


def _streams(scan: CheckedScan, devices: Registry) -> dict[str, list[str]]:
    """Devices of each stream beside `primary`."""
    streams = {"baseline": baseline_of(scan, devices)}
    if scan.form is not None:
        streams |= {"dark": list(scan.detectors)} if scan.request.darks else {}
        streams |= {f"{n}_monitor": [n] for n in pushing(scan, devices)}
    return streams


def _stands_in(policy: str, obj: Any) -> bool:
    """Its last reading stands in for one that fails; some devices know better what to do."""
    return policy == "buffer" and not hasattr(obj, "on_failure")


def resolve(value: Any, devices: Registry) -> Any:
    """Plan arguments with names of devices replaced by the devices."""
    if isinstance(value, str):
        return devices[value].obj if value in devices.names() else value
    if isinstance(value, list | tuple):
        return [resolve(v, devices) for v in value]
    if isinstance(value, dict):
        return {k: resolve(v, devices) for k, v in value.items()}
    return value


def foreign_plan(scan: CheckedScan, devices: Registry, asked: Asked, told: Told) -> Messages:
    """A plan of `bluesky.plans`, each `set` checked before it is sent."""
    set_count_time(scan, devices)
    request = scan.request
    function = getattr(bp, request.plan)
    bound = inspect.signature(function).bind(*request.args, **request.kwargs)
    for name, value in bound.arguments.items():
        if name not in FIELDS:
            bound.arguments[name] = resolve(value, devices)
    plan = function(*bound.args, **bound.kwargs)
    beam = _beam(scan, devices)
    plan = beam.around(plan, told) if beam is not None else plan
    return _looked_at(plan, scan, devices, asked)


def written_plan(
    scan: CheckedScan, source: PlanSource, devices: Registry, asked: Asked, told: Told
) -> Messages:
    """A plan that a person wrote, each `set` checked before it is sent.

    Raises: InputError when it can no longer be made.
    """
    set_count_time(scan, devices)
    loaded = load_plan(source, devices)
    plan = loaded.located()
    beam = _beam(scan, devices)
    plan = with_beam(plan, beam, told) if beam is not None else plan
    return _looked_at(plan, scan, devices, asked, loaded.failing_at)


def _looked_at(
    plan: Messages,
    scan: CheckedScan,
    devices: Registry,
    asked: Asked,
    failing_at: Callable[[], str] = str,
) -> Messages:
    finish = finishing(devices[n].obj for n in scan.detectors)
    strict = scan.request.source is not None
    before = Checks(
        devices,
        scan.devices,
        lease=asked.lease,
        to_pause=asked.to_pause,
        finish=finish,
        strict=strict,
        failing_at=failing_at,
        sends=asked.sends,
    )
    plan = checked(plan, before)
    if baseline := baseline_of(scan, devices):
        plan = bpp.baseline_wrapper(plan, [devices[n].obj for n in baseline])
    return plan


def build_plan(
    scan: CheckedScan,
    devices: Registry,
    settings: BeamlineSettings,
    asked: Asked,
    told: Told,
) -> tuple[Messages, dict[str, Any]]:
    """The generator for `scan`, and the metadata of its runs; a foreign plan keeps its own words.

    Raises: UndulaError when a device refuses its count time.
    """
    tell_policies(scan, devices)
    source = scan.request.source
    if scan.parts:
        plan = several_plans(scan, devices, settings, asked, told)
    elif scan.form is not None:
        set_count_time(scan, devices)
        plan = declared_plan(scan, devices, asked, told)
    elif source is not None:
        plan = written_plan(scan, source, devices, asked, told)
    else:
        plan = foreign_plan(scan, devices, asked, told)
    hooks = asked.hooks
    if hooks is not None:
        hooks.checked_by(hook_checks(devices, scan, asked.lease))
        plan = hooks.around_scan(
            plan, declared=scan.form is not None, baseline=bool(baseline_of(scan, devices))
        )
    if scan.parts:
        return plan, {} if hooks is None else hooks.metadata()
    md = start_metadata(scan, devices, settings, _streams(scan, devices))
    if scan.form is None:
        for key in ("plan_name", "motors", "hints"):
            md.pop(key, None)
    if source is not None:
        md |= told_of(source, scan.request.user)
        md |= {"plan_declared": True} if scan.form is not None else {}
    if hooks is not None:
        md |= hooks.metadata()
    return plan, md


def explain(exc: BaseException, waiting: str) -> str:
    """Why a run ended, for its stop document and for people; one line.

    Of a plan that a person wrote it names the line.
    """
    if not isinstance(exc, PlanFailedError) or exc.__cause__ is None:
        return _what(exc, waiting)
    what, remedy, rest = _what(exc.__cause__, waiting).partition(". Remedy: ")
    return f"{what}, at {exc.place}{remedy}{rest}" if exc.place else f"{what}{remedy}{rest}"


def _what(exc: BaseException, waiting: str) -> str:
    if isinstance(exc, UndulaError):
        return str(exc)
    cause = exc.__cause__ or exc
    if isinstance(cause, UndulaError):
        return str(cause)
    if type(exc).__name__ == "WaitForTimeoutError":
        return f"{waiting or 'a device'} did not finish within its deadline"
    text = " ".join(str(cause).split())[:500]
    return f"{type(cause).__name__}: {text}" if text else type(cause).__name__
