"""The check before anything moves: names, kinds, limits of every point, time, disk.

In: a `ScanRequest` and the devices. Out: a `CheckedScan`, or the first error that a person should
mend. Used when a request comes, and again when its scan starts. Touches no axis.
"""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import bluesky.plans as bp
import numpy as np

from undula.core.errors import DeviceError, InputError, LimitError
from undula.core.settings import BeamlineSettings
from undula.devices.groups import MeasurementGroup, expanded
from undula.devices.pseudo_axis import real_moves
from undula.devices.registry import LoadedDevice, Registry
from undula.messages import PlanSource, ScanRequest
from undula.plans import FORMS, StepForm, Trajectory, parse_form
from undula.plans.beam import Opens
from undula.plans.trajectory import FloatArray
from undula.plans.usage import check_call
from undula.scans.places import check_room
from undula.scans.stoppable import Unstoppable, stoppable
from undula.scans.user_plans import devices_named, form_of, load_plan

POINT_OVERHEAD_S = 0.002
SAMPLED_MOVES = 500
MOVE_MARGIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Driven:
    """The real axes that a scan moves: those named, and those under pseudo axes.

    `points` has shape (points, axes), in each axis's unit.
    """

    axes: tuple[str, ...] = ()
    points: FloatArray | None = None
    origin: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckedScan:
    """A request that may run: its devices and, for a declared plan, its numbers."""

    request: ScanRequest
    axes: tuple[str, ...]
    detectors: tuple[str, ...]
    form: StepForm | None = None
    trajectory: Trajectory | None = None
    origin: tuple[float, ...] = ()
    driven: Driven = field(default_factory=Driven)
    shutters: tuple[str, ...] = ()
    opens: Opens = "per_scan"
    num_points: int | None = None
    estimate_s: float | None = None
    move_timeout_s: float | None = None
    warnings: tuple[str, ...] = field(default=())

    @property
    def first(self) -> int:
        """Index, from 0, of the first point; more than 0 when it goes on with another run."""
        return self.request.continues.first_point - 1 if self.request.continues else 0

    @property
    def count_time_s(self) -> float | None:
        """Seconds per point; the plan's own argument wins over the option."""
        own = self.form.count_time_s if self.form else None
        return own if own is not None else self.request.count_time_s

    @property
    def devices(self) -> tuple[str, ...]:
        """All devices that the scan uses."""
        return tuple(
            dict.fromkeys((*self.axes, *self.detectors, *self.driven.axes, *self.shutters))
        )


def usable(devices: Registry, name: object, role: str) -> LoadedDevice:
    """The device, if it exists, is enabled and connected. Raises: InputError, DeviceError."""
    if not isinstance(name, str) or name not in devices.names():
        near = devices.suggest(name) if isinstance(name, str) else None
        raise InputError(
            f"there is no device {name!r}",
            remedy=f"did you mean {near}" if near else "see undula devices",
        )
    device = devices[name]
    if not device.enabled:
        raise DeviceError(
            f"it is disabled{': ' + device.problem if device.problem else ''}",
            remedy=f"enable it (undula devices enable {name}) or leave it out as {role}",
            device=name,
        )
    if not device.connected:
        raise DeviceError(
            f"it is not connected: {device.problem}",
            remedy="see to its power, its IOC and the network: it is taken in by itself when it "
            f"answers, or at once by undula devices enable {name}",
            device=name,
        )
    return device


def movable_axis(devices: Registry, name: object) -> LoadedDevice:
    """The device, if it is usable and can be moved. Raises: InputError, DeviceError."""
    device = usable(devices, name, "an axis")
    if not hasattr(device.obj, "set"):
        raise InputError(
            "it cannot be moved",
            remedy="name a positioner; see undula devices",
            device=device.name,
        )
    refuse_read_only(device)
    return device


def refuse_read_only(device: LoadedDevice) -> None:
    """Raises: InputError when sets are refused."""
    if device.read_only:
        raise InputError("it is read-only", remedy="ask staff to lift readOnly", device=device.name)


def check_set(device: LoadedDevice, target: object) -> None:
    """One set that is about to be sent. Raises: InputError, LimitError."""
    refuse_read_only(device)
    if isinstance(target, numbers.Real | Decimal):  # a number of numpy, too
        check_limits(device, [float(target)])
    elif isinstance(target, np.ndarray) and target.dtype.kind in "biuf":
        check_limits(device, np.ravel(target))


def check_limits(
    device: LoadedDevice, targets: Sequence[float] | FloatArray, over: Sequence[str] = ()
) -> None:
    """Every target against limits read now. Raises: LimitError naming the point.

    Args:
        over: the pseudo axes that a person named, when this is a real one under them.
    """
    limits = device.limits()
    values = np.asarray(targets, dtype=np.float64)
    if not np.all(np.isfinite(values)):
        raise InputError(
            "a target is not a finite number", remedy="give numbers", device=device.name
        )
    if limits is None or limits[0] >= limits[1]:
        return
    low, high = limits
    bad = np.flatnonzero((values < low) | (values > high))
    if not len(bad):
        return
    first, unit = int(bad[0]), device.unit
    side, limit = ("above the high", high) if values[first] > high else ("below the low", low)
    at = f"point {first + 1} of {len(values)}: " if len(values) > 1 else ""
    by = f" (moved by {', '.join(over)})" if over else ""
    raise LimitError(
        f"{at}target {values[first]:g} {unit}{by} is {side} limit {limit:g} {unit}".replace(
            "  ", " "
        ),
        remedy=f"choose {low:g}..{high:g} {unit}, or ask staff to move the soft limit".replace(
            " ,", ","
        ),
        device=device.name,
    )


def _detectors(devices: Registry, wanted: Iterable[str] | None, axes: Sequence[str]) -> list[str]:
    """Names of detectors, groups replaced by what they read; without names, what is usual."""
    if wanted is None:
        return [n for n in _usual_detectors(devices) if n not in axes]
    names = list(dict.fromkeys(wanted))
    for name in names:
        usable(devices, name, "a detector")
    members = expanded(names, devices)
    for name in members:
        usable(devices, name, "a detector")
    return [n for n in members if n not in axes]


def _usual_detectors(devices: Registry) -> list[str]:
    """The members of the active groups; without one, all that is monitored and answers.

    A device that gives its data asynchronously, but only when it is triggered, is read as well.
    """
    monitored = [n for n in devices.by_priority("monitored") if _answers(devices[n])]
    groups = [n for n in monitored if isinstance(devices[n].obj, MeasurementGroup)]
    if groups:
        return _detectors(devices, groups, ())
    triggered = [
        n
        for n in devices.by_priority("async")
        if _answers(devices[n])
        and devices[n].triggered
        and not hasattr(devices[n].obj, "subscribe")
    ]
    return [*monitored, *triggered]


def _answers(device: LoadedDevice) -> bool:
    return device.enabled and device.connected


def _driven(
    axes: Sequence[LoadedDevice], path: Trajectory, origin: Sequence[float]
) -> tuple[list[LoadedDevice], Driven]:
    """The real axes with every point checked against their limits.

    Raises: LimitError naming the point; InputError for a target that a pseudo axis cannot reach.
    """
    moves = real_moves((axis, path.points[:, k]) for k, axis in enumerate(axes))
    over = pseudo_of(axes)
    for axis, targets in moves:
        refuse_read_only(axis)
        check_limits(axis, targets, () if axis in axes else over)
    start = real_moves(zip(axes, origin, strict=True))
    names = tuple(axis.name for axis, _ in moves)
    at = {axis.name: float(place) for axis, place in start}
    points = np.column_stack([np.broadcast_to(t, len(path.points)) for _, t in moves])
    return [axis for axis, _ in moves], Driven(names, points, tuple(at[n] for n in names))


def pseudo_of(axes: Iterable[LoadedDevice]) -> list[str]:
    """Names of the pseudo axes among these."""
    return [axis.name for axis in axes if hasattr(axis.obj, "reals")]


def with_sources(devices: Registry, names: Iterable[str]) -> list[str]:
    """Detectors, each computed one behind what it is computed from."""
    found: dict[str, None] = {}
    for name in names:
        sources = getattr(devices[name].obj, "sources", ())
        found |= dict.fromkeys([*(with_sources(devices, sources) if sources else ()), name])
    return list(found)


def _motion(axes: Sequence[LoadedDevice], driven: Driven) -> tuple[float, float | None]:
    """Expected time of all moves, seconds, and the deadline of a single one (None: unknown)."""
    if driven.points is None:
        return 0.0, None
    legs = np.vstack([np.asarray(driven.origin, dtype=np.float64)[None, :], driven.points])
    chosen = np.unique(np.linspace(0, len(legs) - 2, min(SAMPLED_MOVES, len(legs) - 1)).astype(int))
    total, longest, known = 0.0, 0.0, True
    for i in chosen:
        slowest = 0.0
        for k, axis in enumerate(axes):
            if legs[i][k] == legs[i + 1][k]:
                continue
            duration = axis.move_duration_s(float(legs[i][k]), float(legs[i + 1][k]))
            known = known and duration is not None
            slowest = max(slowest, duration or 0.0)
        total += slowest
        longest = max(longest, slowest)
    # the longest single way bounds moves that were not sampled
    for k, axis in enumerate(axes):
        span = axis.move_duration_s(float(legs[:, k].min()), float(legs[:, k].max()))
        known = known and span is not None
        longest = max(longest, span or 0.0)
    total *= (len(legs) - 1) / max(1, len(chosen))
    return total, (3.0 * longest + MOVE_MARGIN_S if known else None)


def _bytes_per_point(devices: Registry, names: Iterable[str]) -> int:
    total = 0
    for name in names:
        for key in devices[name].describe().values():
            size = np.dtype(key.get("dtype_numpy") or "<f8").itemsize
            total += int(np.prod(key.get("shape") or [1])) * size
    return total


def _check_declared(
    request: ScanRequest, devices: Registry, settings: BeamlineSettings
) -> CheckedScan:
    form = parse_form(request.plan, request.args, request.kwargs)
    return _check_form(request, form, devices, settings)


def _check_form(
    request: ScanRequest, form: StepForm, devices: Registry, settings: BeamlineSettings
) -> CheckedScan:
    axes = [movable_axis(devices, name) for name in form.axes]
    wanted = request.detectors if request.detectors is not None else form.detectors
    detectors = with_sources(devices, _detectors(devices, wanted, form.axes))
    if not detectors and not axes:
        raise InputError(
            "nothing would be read: no device has readout priority monitored",
            remedy="name detectors, e.g. --detectors diode",
        )
    path, origin = form.trajectory, _origin(request, axes)
    moved, driven = axes, Driven()
    if path is not None:
        path = path.shifted(origin) if path.relative else path
        for k, axis in enumerate(axes):
            check_limits(axis, path.points[:, k])
        moved, driven = _driven(axes, path, origin)
        detectors = [n for n in detectors if n not in driven.axes]
    shutters, opens = _shutters(request, devices, form.axes)
    own = form.count_time_s
    count_time_s = own if own is not None else request.count_time_s
    motion_s, timeout_s = _motion(moved, driven)
    per_point = (count_time_s or 0.0) + form.delay_s + POINT_OVERHEAD_S
    timed = form.num is not None and (timeout_s is not None or not form.axes)
    estimate = motion_s + ((form.num or 0) + request.darks) * per_point if timed else None
    check_room(settings, (form.num or 1) * _bytes_per_point(devices, [*form.axes, *detectors]))
    deaf = [n for n in detectors if count_time_s and not devices[n].takes_count_time]
    loose = [
        f"{n} cannot be stopped on its way: declare stop: for it in the device file"
        for n in driven.axes
        if isinstance(stoppable(devices[n]), Unstoppable)
    ]
    warnings = (
        (f"{', '.join(deaf)} cannot take the count time: read once, after it",) if deaf else ()
    )
    return CheckedScan(
        request=request,
        axes=form.axes,
        detectors=tuple(detectors),
        form=form,
        trajectory=path,
        origin=origin,
        driven=driven,
        shutters=shutters,
        opens=opens,
        num_points=form.num,
        estimate_s=estimate,
        move_timeout_s=timeout_s,
        warnings=(*warnings, *loose),
    )


def _origin(request: ScanRequest, axes: Sequence[LoadedDevice]) -> tuple[float, ...]:
    """What relative points are relative to: where the axes are, or were before the first run."""
    kept = request.continues.origin if request.continues else None
    if kept is None:
        return tuple(axis.position() for axis in axes)
    if len(kept) != len(axes):
        raise InputError(
            f"its origin has {len(kept)} positions for {len(axes)} axes",
            remedy="repeat the run instead of continuing it",
        )
    return tuple(kept)


def _rest(scan: CheckedScan) -> CheckedScan:
    """Only the points that another run has left. Raises: InputError when they are not known."""
    asked, form = scan.request.continues, scan.form
    if asked is None:
        return scan
    if form is None or form.num is None:
        raise InputError(
            f"run {asked.number} cannot be continued: the points of {scan.request.plan} are not "
            "known beforehand",
            remedy=f"repeat it: undula runs repeat {asked.number}",
        )
    if form.num != asked.total or asked.first_point > form.num:
        raise InputError(
            f"{scan.request.plan} has {form.num} points now, run {asked.number} was to have "
            f"{asked.total}; point {asked.first_point} was to be the next",
            remedy=f"repeat it: undula runs repeat {asked.number}",
        )
    left = form.num - scan.first
    estimate = None if scan.estimate_s is None else scan.estimate_s * left / form.num
    return replace(scan, num_points=left, estimate_s=estimate)


def named_devices(value: Any, devices: Registry) -> list[str]:
    """Names of devices anywhere in plan arguments, in order, each once."""
    if isinstance(value, str):
        return [value] if value in devices.names() else []
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return list(dict.fromkeys(n for v in value for n in named_devices(v, devices)))
    return []


def _shutters(
    request: ScanRequest, devices: Registry, axes: Iterable[str]
) -> tuple[tuple[str, ...], Opens]:
    """The shutters that a scan opens and closes, and when.

    Raises: DeviceError for one that does not answer; InputError when darks need one.
    """
    named = set(axes)
    found = [devices[n] for n in devices.names() if n not in named]
    roles = [(d, d.entry.shutter) for d in found if d.entry.shutter and d.entry.enabled]
    used = [(d, role) for d, role in roles if request.shutter or role.opens != "by_hand"]
    if request.shutter == "none" or not used:
        if request.darks or request.shutter not in (None, "none"):
            raise InputError(
                "no device has the role of a shutter",
                remedy="give one shutter: {open: 1, close: 0} in the device file",
            )
        return (), "per_scan"
    for device, _ in used:
        usable(devices, device.name, "a shutter (--shutter none)")
    asked = request.shutter
    per_point = any(role.opens == "per_point" for _, role in used)
    opens: Opens = asked or ("per_point" if per_point else "per_scan")
    return tuple(d.name for d, _ in used), opens


def reals_under(devices: Registry, names: Iterable[str]) -> tuple[str, ...]:
    """Axes under the pseudo axes among these, pseudo ones under others included."""
    found: dict[str, None] = {}
    for name in names:
        for real in getattr(devices[name].obj, "reals", ()):
            found |= dict.fromkeys([real, *reals_under(devices, [real])])
    return tuple(found)


def _check_foreign(
    request: ScanRequest, devices: Registry, settings: BeamlineSettings
) -> CheckedScan:
    function = getattr(bp, request.plan, None)
    if (
        function is None
        or request.plan.startswith("_")
        or not inspect.isgeneratorfunction(function)
    ):
        raise InputError(
            f"there is no plan {request.plan!r}",
            remedy=f"choose one of {', '.join(sorted(FORMS))}, or a plan of bluesky.plans",
        )
    args = list(request.args)
    first = next(iter(inspect.signature(function).parameters), "")
    if first == "detectors" and not (args and isinstance(args[0], list)):
        args.insert(0, _detectors(devices, request.detectors, ()))
    elif first == "detectors":
        args[0] = _detectors(devices, args[0], ())
    for value in args:
        if isinstance(value, str):
            usable(devices, value, "an argument")
    check_call(request.plan, function, args, request.kwargs)
    names = named_devices([*args, request.kwargs], devices)
    shutters, opens = _shutters(request, devices, names)
    if request.darks or opens == "per_point":
        opens = "per_scan"
    for name in names:
        usable(devices, name, "an argument")
    check_room(settings, _bytes_per_point(devices, names))
    return CheckedScan(
        request=request.model_copy(update={"args": args}),
        axes=tuple(n for n in names if hasattr(devices[n].obj, "set")),
        driven=Driven(reals_under(devices, names)),
        shutters=shutters,
        opens=opens,
        detectors=tuple(n for n in names if not hasattr(devices[n].obj, "set")),
        warnings=("its points are not known beforehand: each move is checked before it is sent",),
    )


def _check_source(
    request: ScanRequest, source: PlanSource, devices: Registry, settings: BeamlineSettings
) -> CheckedScan:
    """A plan that a person wrote: it can be made, and the devices it names are there.

    One that declares its points is checked as any declared plan.
    """
    loaded = load_plan(source, devices)
    if loaded.points is not None:
        form = form_of(source.name, loaded.points, devices)
        return _check_form(request, form, devices, settings)
    loaded.close()
    names = devices_named(source, devices)
    for name in names:
        usable(devices, name, "a device of the plan")
    if request.darks:
        raise InputError(
            "darks are for declared plans", remedy="read with the shutter closed in the plan itself"
        )
    shutters, opens = _shutters(request, devices, names)
    check_room(settings, _bytes_per_point(devices, names))
    uses = f"it names {', '.join(names)}" if names else "it names no device"
    return CheckedScan(
        request=request,
        axes=tuple(n for n in names if hasattr(devices[n].obj, "set")),
        driven=Driven(reals_under(devices, names)),
        shutters=shutters,
        opens="per_scan" if opens == "per_point" else opens,
        detectors=tuple(n for n in names if not hasattr(devices[n].obj, "set")),
        warnings=(
            f"the points of {source.name} are not known beforehand, each move is checked before it "
            f"is sent; {uses}",
        ),
    )


def check_scan(request: ScanRequest, devices: Registry, settings: BeamlineSettings) -> CheckedScan:
    """Check the whole request. Raises: InputError, LimitError, DeviceError, StorageError."""
    if request.source is not None:
        return _rest(_check_source(request, request.source, devices, settings))
    if request.plan in FORMS:
        return _rest(_check_declared(request, devices, settings))
    return _rest(_check_foreign(request, devices, settings))
