"""From a checked request to the generator that the RunEngine runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import bluesky.plans as bp
import bluesky.preprocessors as bpp

from undula.core.errors import UndulaError
from undula.core.settings import BeamlineSettings
from undula.devices.registry import Registry
from undula.messages import PlanSource
from undula.plans import StepRun, block_scan, step_scan
from undula.plans.beam import Beam
from undula.plans.guarded import Buffered
from undula.plans.lost import Losses
from undula.plans.step import Messages
from undula.plans.steps import Steps
from undula.plans.verbs import Told, finishing
from undula.scans.check import MOVE_MARGIN_S, CheckedScan
from undula.scans.checked import Checks, Lease, checked, with_beam
from undula.scans.frames import tell_policies
from undula.scans.metadata import start_metadata
from undula.scans.scan_hooks import ScanHooks, hook_checks
from undula.scans.shutters import shutter_of
from undula.scans.user_plans import PlanFailedError, load_plan, told_of

FIELDS = ("signal", "target_field")
"""Parameters of Bluesky's plans that name a data key, not a device."""


def baseline_of(scan: CheckedScan, devices: Registry) -> list[str]:
    """Devices read before and after: readout priority baseline, usable, not part of the scan."""
    names = devices.by_priority("baseline")
    return [
        n for n in names if n not in scan.devices and devices[n].enabled and devices[n].connected
    ]


def pushing(scan: CheckedScan, devices: Registry) -> list[str]:
    """Devices that give data by themselves: priority async or continuous, usable, not in the scan.

    Each change is an event of a stream of their own, `NAME_monitor`.
    """
    names = [*devices.by_priority("async"), *devices.by_priority("continuous")]
    return [
        n
        for n in names
        if n not in scan.devices
        and devices[n].enabled
        and devices[n].connected
        and _tells_changes(devices[n].obj)
    ]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a running plan asks whoever runs it: pause wanted, point spoiled, device lost; devices
    that it needs beside those that were leased before; which of its points is next; and what is run
    around it."""

    to_pause: Callable[[], bool]
    spoiled: Callable[[], bool]
    losses: Losses
    lease: Lease = lambda _: None
    steps: Steps | None = None
    hooks: ScanHooks | None = None


def _beam(scan: CheckedScan, devices: Registry) -> Beam | None:
    shutters = [shutter_of(devices[n]) for n in scan.shutters]
    found = [shutter for shutter in shutters if shutter is not None]
    return Beam(found, scan.opens, scan.request.darks) if found else None


def _tells_changes(obj: Any) -> bool:
    """It can be subscribed to as it is; an ophyd device without a default event cannot."""
    return hasattr(obj, "subscribe") and getattr(obj, "_default_sub", "") is not None


def set_count_time(scan: CheckedScan, devices: Registry) -> bool:
    """Tell the detectors their count time; True when none of them takes one."""
    seconds = scan.count_time_s
    if not seconds:
        for name in scan.detectors:
            usual = getattr(devices[name].obj, "default_count_time_s", None)
            if usual is not None:  # the count time of an earlier scan must not stick
                devices[name].set_count_time(usual)
        return False
    takers = [n for n in scan.detectors if devices[n].takes_count_time and devices[n].triggered]
    for name in takers:
        devices[name].set_count_time(seconds)
    return not takers


def declared_plan(scan: CheckedScan, devices: Registry, asked: Asked, told: Told) -> Messages:
    """The generator of a declared plan: in blocks when every device is `instant`."""
    form, driven = scan.form, scan.driven
    if form is None:
        raise ValueError("not a declared plan")
    alone = set_count_time(scan, devices)
    baseline = baseline_of(scan, devices)
    count_time_s = scan.count_time_s or 0.0
    used = [devices[n] for n in scan.devices if n not in set(scan.shutters) - set(scan.detectors)]
    policies = {d.name: d.entry.on_failure for d in used}
    instant = all(d.instant for d in used) and not alone and not form.delay_s
    beam = _beam(scan, devices)
    hooks = asked.hooks
    instant = instant and not (hooks is not None and hooks.at_points)
    instant = instant and "buffer" not in policies.values() and not (beam and beam.per_point)
    pseudo = [n for n in scan.axes if driven.axes and n not in driven.axes]
    run = StepRun(
        detectors=[
            Buffered(devices[n].obj) if _stands_in(policies[n], devices[n].obj) else devices[n].obj
            for n in (*pseudo, *scan.detectors)
        ],
        axes=[devices[n].obj for n in driven.axes],
        points=driven.points,
        num=form.num,
        baseline=[devices[n].obj for n in baseline],
        settle_s=count_time_s if alone else 0.0,
        delay_s=form.delay_s,
        move_timeout_s=scan.move_timeout_s,
        trigger_timeout_s=3.0 * count_time_s + MOVE_MARGIN_S,
        told=told,
        return_to=driven.origin if form.returns else None,
        pause_requested=asked.to_pause,
        spoiled=asked.spoiled,
        beam=beam,
        untriggered=frozenset(n for n in scan.detectors if not devices[n].triggered),
        on_failure=policies,
        losses=asked.losses,
        steps=asked.steps,
        around_point=hooks.around_point if hooks is not None and hooks.at_points else None,
        monitored=[devices[n].obj for n in pushing(scan, devices)],
    )
    return block_scan(run) if instant and form.num is not None else step_scan(run)


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
    if scan.form is not None:
        plan = declared_plan(scan, devices, asked, told)
    elif source is not None:
        plan = written_plan(scan, source, devices, asked, told)
    else:
        plan = foreign_plan(scan, devices, asked, told)
    hooks = asked.hooks
    if hooks is not None:
        hooks.checked_by(hook_checks(devices, scan, asked.lease))
        plan = hooks.around_scan(plan, declared=scan.form is not None)
    streams = {"baseline": baseline_of(scan, devices)}
    if scan.form is not None:
        streams |= {"dark": list(scan.detectors)} if scan.request.darks else {}
        streams |= {f"{n}_monitor": [n] for n in pushing(scan, devices)}
    md = start_metadata(scan, devices, settings, streams)
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
