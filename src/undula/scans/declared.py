"""The check of declared plans: every point of every run against limits, time, size.

In: a `ScanRequest` for a plan of the catalogue, the devices. Out: a `CheckedScan`; for a plan of
several runs one with its parts, each checked from where the part before it ends.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from undula.core.errors import InputError, UndulaError
from undula.core.settings import BeamlineSettings
from undula.devices.registry import LoadedDevice, Registry
from undula.messages import ScanRequest
from undula.plans import StepForm, Trajectory, parse_form
from undula.scans.checked_scan import CheckedScan, Driven
from undula.scans.involved import (
    bytes_per_point,
    detectors_of,
    left_out,
    left_out_text,
    no_detector_text,
    reals_under,
    shutters_of,
    with_sources,
)
from undula.scans.limits import check_limits, movable_axis, usable
from undula.scans.motion import MOVE_MARGIN_S, driven_by, motion
from undula.scans.places import check_room
from undula.scans.stoppable import Unstoppable, stoppable

POINT_OVERHEAD_S = 0.002
TINY_STEP = 1e-9
"""In the unit of an axis, or of its position where that is more than 1: a step is meant longer."""
Places = Mapping[str, float]
"""Where axes will be, by name, in their units; the others are where they are now."""


def check_declared(
    request: ScanRequest, devices: Registry, settings: BeamlineSettings
) -> CheckedScan:
    """Check a plan of the catalogue. Raises: InputError, LimitError, DeviceError, StorageError."""
    form = parse_form(request.plan, request.args, request.kwargs)
    if form.parts:
        scan = _several(form, request, devices)
    else:
        scan = check_form(form, request, devices, {})
    check_room(settings, scan.data_bytes or 0)
    return scan


def check_form(form: StepForm, request: ScanRequest, devices: Registry, at: Places) -> CheckedScan:
    """Check one run. Raises: InputError, LimitError, DeviceError."""
    if request.settle_s is not None and not form.settle_s:
        form = replace(form, settle_s=request.settle_s)
    before = [(movable_axis(devices, name), target) for name, target in form.before]
    path = form.path
    axes = [movable_axis(devices, name) for name in (path.axes if path is not None else ())]
    wanted = request.detectors if request.detectors is not None else form.detectors
    moved_axes = [axis.name for axis in axes]
    for name in form.also_read:
        usable(devices, name, "a device that is read")
    absent = left_out(devices, (*moved_axes, *form.not_read)) if wanted is None else {}
    named = _chosen(form, devices, detectors_of(devices, wanted, moved_axes), moved_axes)
    detectors = with_sources(devices, dict.fromkeys([*form.also_read, *named]))
    if not detectors and not axes:
        why = "no device has readout priority monitored"
        raise InputError(
            f"nothing would be read: {why if wanted is None else 'the list of detectors is empty'}",
            remedy="name detectors, e.g. --detectors diode",
        )
    _check_units(form, axes)
    _check_signal(form, devices, detectors)
    origin = _origin(request, axes, at)
    moved, driven = axes, Driven()
    if path is not None:
        path = path.shifted(origin) if path.relative else path
        for k, axis in enumerate(axes):
            check_limits(axis, path.points[:, k])
        moved, driven = driven_by(axes, path, origin)
        detectors = [n for n in detectors if n not in driven.axes]
    shutters, opens = shutters_of(request, devices, form.axes)
    ends_only = form.trajectory is None and driven.points is not None
    way = replace(driven, points=driven.points[[0, -1]]) if ends_only else driven  # type: ignore[index]  # not None
    motion_s, timeout_s = motion(moved, way)
    to_begin_s, begin_timeout_s, reals = _before(before, at)
    most = _most_points(form)
    size = (most or 1) * bytes_per_point(devices, [*moved_axes, *detectors])
    estimate = None
    timed = (form.num is not None or form.sweep is not None) and (timeout_s is not None or not axes)
    if timed and to_begin_s is not None:
        estimate = to_begin_s + motion_s + _counting_s(form, request)
    return CheckedScan(
        request=request,
        axes=tuple(moved_axes),
        detectors=tuple(detectors),
        form=form,
        trajectory=path if form.trajectory is not None else None,
        bounds=path if form.trajectory is None else None,
        origin=origin,
        driven=driven,
        conditions=reals,
        shutters=shutters,
        opens=opens,
        num_points=form.num,
        data_bytes=size if most is not None else None,
        estimate_s=estimate,
        move_timeout_s=timeout_s,
        before_timeout_s=begin_timeout_s,
        warnings=(
            *no_detector_text(wanted),
            *left_out_text(absent),
            *_tiny_steps(path if form.trajectory is not None else None, axes),
            *_warnings(form, request, devices, detectors, driven.axes),
        ),
        left_out=tuple(absent),
    )


def _chosen(
    form: StepForm, devices: Registry, usual: Sequence[str], axes: Sequence[str]
) -> list[str]:
    """Detectors with those that the plan adds, without those that it leaves out."""
    added = detectors_of(devices, form.also_monitored, axes)
    for name in form.not_read:
        usable(devices, name, "a device that is not read")
    return [n for n in dict.fromkeys([*usual, *added]) if n not in form.not_read]


def _origin(request: ScanRequest, axes: Sequence[LoadedDevice], at: Places) -> tuple[float, ...]:
    """What relative points are relative to: where the axes are, or were before the first run."""
    kept = request.continues.origin if request.continues else None
    if kept is None:
        return tuple(at[a.name] if a.name in at else a.position() for a in axes)
    if len(kept) != len(axes):
        raise InputError(
            f"its origin has {len(kept)} positions for {len(axes)} axes",
            remedy="repeat the run instead of continuing it",
        )
    return tuple(kept)


def _most_points(form: StepForm) -> int | None:
    return form.adaptive.most if form.adaptive is not None else form.num


def _counting_s(form: StepForm, request: ScanRequest) -> float:
    """Seconds spent at all points, darks included."""
    count_time_s = _count_time_s(form, request) or 0.0
    apart = form.delay_s + form.settle_s + form.settle_after_s + POINT_OVERHEAD_S
    if form.count_times_s is not None:
        longest = float(form.count_times_s.max())
        own = float(form.count_times_s.sum()) + len(form.count_times_s) * apart
        return own + request.darks * (longest + apart)
    return ((form.num or 0) + request.darks) * (count_time_s + apart)


def _count_time_s(form: StepForm, request: ScanRequest) -> float | None:
    return form.count_time_s if form.count_time_s is not None else request.count_time_s


def _check_units(form: StepForm, axes: Sequence[LoadedDevice]) -> None:
    for axis in axes:
        wanted = form.units.get(axis.name, "")
        if wanted and axis.unit and axis.unit != wanted:
            raise InputError(
                f"it is moved in {axis.unit}, the plan wants {wanted}",
                remedy=f"name an axis in {wanted}",
                device=axis.name,
            )


def _check_signal(form: StepForm, devices: Registry, detectors: Sequence[str]) -> None:
    """The signal that an adaptive plan follows is read. Raises: InputError."""
    if form.adaptive is None:
        return
    keys = [key for name in detectors for key in devices[name].describe()]
    if form.adaptive.signal not in keys:
        near = difflib.get_close_matches(form.adaptive.signal, keys, 1)
        raise InputError(
            f"{form.adaptive.signal} is not read by this scan",
            remedy=f"did you mean {near[0]}?" if near else f"it reads {', '.join(keys)}",
        )


def _before(
    moves: Sequence[tuple[LoadedDevice, float]], at: Places
) -> tuple[float | None, float | None, tuple[str, ...]]:
    """Time of the moves before a run, their deadline, and all axes that they move.

    Raises: LimitError, InputError.
    """
    longest, known, reals = 0.0, True, []
    for axis, target in moves:
        check_limits(axis, [target])
        place = at[axis.name] if axis.name in at else axis.position()
        line = Trajectory((axis.name,), np.array([[target]]), (1,))
        found, driven = driven_by([axis], line, (place,))
        reals += [axis.name, *driven.axes]
        duration, deadline = motion(found, driven)
        longest, known = max(longest, duration), known and deadline is not None
    deadline_s = 3.0 * longest + MOVE_MARGIN_S if known else None
    return (longest if known else None), deadline_s, tuple(dict.fromkeys(reals))


def _warnings(
    form: StepForm,
    request: ScanRequest,
    devices: Registry,
    detectors: Sequence[str],
    driven: Sequence[str],
) -> tuple[str, ...]:
    counted = _count_time_s(form, request) or form.count_times_s is not None
    deaf = [
        n for n in detectors if counted and devices[n].triggered and not devices[n].obeys_count_time
    ]
    loose = [
        f"{n} cannot be stopped on its way: declare stop: for it in the device file"
        for n in driven
        if isinstance(stoppable(devices[n]), Unstoppable)
    ]
    if not deaf:
        return tuple(loose)
    return (f"{', '.join(deaf)} cannot take the count time: triggered once, as it is set", *loose)


def _tiny_steps(path: Trajectory | None, axes: Sequence[LoadedDevice]) -> Iterator[str]:
    """A warning for each axis whose longest step is shorter than anything that moves."""
    if path is None or len(path.points) < 2:
        return
    longest = np.abs(np.diff(path.points, axis=0)).max(axis=0)
    for axis, step, place in zip(axes, longest, np.abs(path.points).max(axis=0), strict=True):
        if 0 < step < TINY_STEP * max(1.0, place):
            most = f"{step:.3g} {axis.unit}".rstrip()
            yield f"{axis.name} moves by {most} a step at most: does it stand still?"


@dataclass(slots=True)
class _Whereabouts:
    """Where axes will be after some parts, and which were moved so that others are unknown."""

    devices: Registry
    at: dict[str, float] = field(default_factory=dict)
    moved: set[str] = field(default_factory=set)

    def check_known(self, form: StepForm) -> None:
        """Raises: InputError when a relative part begins where another axis left it."""
        path = form.path
        for name in path.axes if path is not None and path.relative else ():
            if name not in self.at and self.moved & {name, *reals_under(self.devices, [name])}:
                raise InputError(
                    "it is moved by another axis before: where it begins is not known",
                    remedy="use the absolute plan, or split the sequence",
                    device=name,
                )

    def after(self, scan: CheckedScan) -> None:
        """Take in where a part ends."""
        form, ends = scan.form, dict[str, float]()
        if form is None:
            return
        ends |= dict(form.before)
        if scan.trajectory is not None and not form.returns:
            ends |= dict(zip(scan.axes, scan.trajectory.points[-1].tolist(), strict=True))
        elif form.path is not None and not form.returns:
            self.moved |= set(scan.axes)
        touched = set(ends) | set(reals_under(self.devices, ends))
        self.moved |= touched
        self.at = {n: v for n, v in self.at.items() if not self._follows(n, touched)} | ends

    def _follows(self, name: str, touched: set[str]) -> bool:
        return bool(touched & {name, *reals_under(self.devices, [name])})


def _several(form: StepForm, request: ScanRequest, devices: Registry) -> CheckedScan:
    """Check all runs of a plan, each from where the one before ends."""
    where, parts = _Whereabouts(devices), []
    for number, part in enumerate(form.parts, 1):
        try:
            where.check_known(part)
            scan = check_form(part, request, devices, where.at)
        except UndulaError as error:
            error.what = f"run {number} of {len(form.parts)}: {error.what}"
            raise
        where.after(scan)
        parts.append(scan)
    total = [p.num_points for p in parts]
    times = [p.estimate_s for p in parts]
    sizes = [p.data_bytes for p in parts]
    driven = dict.fromkeys(n for p in parts for n in (*p.driven.axes, *p.conditions))
    return CheckedScan(
        request=request,
        axes=tuple(dict.fromkeys(n for p in parts for n in p.axes)),
        detectors=tuple(dict.fromkeys(n for p in parts for n in p.detectors)),
        form=form,
        driven=Driven(tuple(driven)),
        shutters=parts[0].shutters,
        opens=parts[0].opens,
        parts=tuple(parts),
        num_points=None if None in total else sum(n or 0 for n in total),
        data_bytes=None if None in sizes else sum(n or 0 for n in sizes),
        estimate_s=None if None in times else sum(t or 0.0 for t in times),
        warnings=tuple(dict.fromkeys(w for p in parts for w in p.warnings)),
    )
