"""The check before anything moves: names, kinds, limits of every point, time, disk.

In: a `ScanRequest` and the devices. Out: a `CheckedScan`, or the first error that a person should
mend. Used when a request comes, and again when its scan starts. Touches no axis.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace

import bluesky.plans as bp

from undula.core.errors import InputError
from undula.core.settings import BeamlineSettings
from undula.core.suggest import near
from undula.devices.registry import Registry
from undula.messages import PlanSource, ScanRequest
from undula.plans import FORMS
from undula.plans.usage import check_call
from undula.scans.checked_scan import CheckedScan, Driven
from undula.scans.declared import check_declared, check_form
from undula.scans.fit_check import check_fits
from undula.scans.graphs import look_at_graphs
from undula.scans.involved import (
    bytes_per_point,
    detectors_of,
    left_out,
    left_out_text,
    named_devices,
    no_detector_text,
    reals_under,
    shutters_of,
)
from undula.scans.limits import usable
from undula.scans.places import check_room
from undula.scans.start_check import check_given
from undula.scans.user_plans import devices_named, form_of, load_plan

__all__ = ["CheckedScan", "check_scan", "named_devices", "usable"]


def _check_foreign(
    request: ScanRequest, devices: Registry, settings: BeamlineSettings
) -> CheckedScan:
    function = getattr(bp, request.plan, None)
    if (
        function is None
        or request.plan.startswith("_")
        or not inspect.isgeneratorfunction(function)
    ):
        meant = near(request.plan, FORMS)
        raise InputError(
            f"there is no plan {request.plan!r}",
            remedy=f"did you mean {meant}? See undula plans" if meant else "see undula plans",
        )
    args, absent = list(request.args), dict[str, str]()
    asked = request.detectors
    first = next(iter(inspect.signature(function).parameters), "")
    if first == "detectors" and not (args and isinstance(args[0], list)):
        args.insert(0, detectors_of(devices, request.detectors, ()))
        absent = left_out(devices) if request.detectors is None else {}
    elif first == "detectors":
        asked = args[0]
        args[0] = detectors_of(devices, asked, ())
    for value in args:
        if isinstance(value, str):
            usable(devices, value, "an argument")
    check_call(request.plan, function, args, request.kwargs)
    names = named_devices([*args, request.kwargs], devices)
    shutters, opens = shutters_of(request, devices, names)
    if request.darks or opens == "per_point":
        opens = "per_scan"
    for name in names:
        usable(devices, name, "an argument")
    check_room(settings, bytes_per_point(devices, names))
    return CheckedScan(
        request=request.model_copy(update={"args": args}),
        axes=tuple(n for n in names if hasattr(devices[n].obj, "set")),
        driven=Driven(reals_under(devices, names)),
        shutters=shutters,
        opens=opens,
        detectors=tuple(n for n in names if not hasattr(devices[n].obj, "set")),
        warnings=(
            "its points are not known beforehand: each move is checked before it is sent",
            *no_detector_text(asked),
            *left_out_text(absent),
        ),
        left_out=tuple(absent),
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
        scan = check_form(form, request, devices, {})
        check_room(settings, scan.data_bytes or 0)
        return scan
    loaded.close()
    names = devices_named(source, devices)
    for name in names:
        usable(devices, name, "a device of the plan")
    if request.darks:
        raise InputError(
            "darks are for declared plans", remedy="read with the shutter closed in the plan itself"
        )
    shutters, opens = shutters_of(request, devices, names)
    check_room(settings, bytes_per_point(devices, names))
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


def _rest(scan: CheckedScan) -> CheckedScan:
    """Only the points that another run has left. Raises: InputError when they are not known."""
    asked, form = scan.request.continues, scan.form
    if asked is None:
        return scan
    if form is None or form.num is None or not form.known:
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


def check_scan(
    request: ScanRequest,
    devices: Registry,
    settings: BeamlineSettings,
    reads_more: Callable[[CheckedScan], bool] = lambda _: False,
) -> CheckedScan:
    """Check the whole request. Raises: InputError, LimitError, DeviceError, StorageError.

    Args:
        reads_more: hooks or preprocessors may read what the plan of a scan does not.
    """
    check_given(request.metadata)
    if request.source is not None:
        scan = _check_source(request, request.source, devices, settings)
    elif request.plan in FORMS:
        scan = check_declared(request, devices, settings)
    else:
        scan = _check_foreign(request, devices, settings)
    doubtful = look_at_graphs(scan.detectors, devices)
    doubtful += check_fits(scan, devices, reads_more)
    return _rest(replace(scan, warnings=(*scan.warnings, *doubtful)) if doubtful else scan)
