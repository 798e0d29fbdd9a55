"""Room: scans. A fit that a scan wants is of something that the scan reads.

In: a checked scan, the devices. Out: warnings, or an `InputError` before anything moves. Which
models there are is known to who asks (`analysis.wishes`); here stands only what is fitted.
"""

from __future__ import annotations

from collections.abc import Callable

from undula.analysis.wishes import KEY, wishes
from undula.core.errors import InputError
from undula.core.suggest import near
from undula.devices.registry import Registry
from undula.scans.checked_scan import CheckedScan


def check_fits(
    scan: CheckedScan, devices: Registry, reads_more: Callable[[CheckedScan], bool]
) -> list[str]:
    """Raise InputError for a fit of a signal that is not read, and for what is no fit.

    Of a plan whose points are not known nobody knows what it will read: any device will do.

    Args:
        reads_more: a preprocessor, or a hook in place of the scan, may read what the plan does
            not. Asked when it matters.
    Returns: warnings of signals that only those may read.
    """
    said = scan.request.metadata.get(KEY)
    if not said:
        return []
    wanted = [wish.signal for wish in wishes({KEY: said}) if wish.signal]
    if not wanted:
        return []
    known = scan.form is not None
    read = _read(scan) if known else [n for n in devices.names() if devices[n].obj is not None]
    wanted = [signal for signal in wanted if signal not in read]
    if not wanted:  # the usual case: no device need be asked for its keys
        return []
    doubtful = []
    names = list(dict.fromkeys(name for n in read for name in (n, *devices[n].describe())))
    moved = {key: n for n in scan.axes if known for key in (n, *devices[n].describe())}
    for signal in wanted:
        if signal in moved:
            raise InputError(
                f"the fit is of {signal}, but {moved[signal]} is moved: a fit is of what is read "
                "over it",
                remedy=f"choose a detector: {', '.join(read) or 'none is read'}",
            )
        if signal not in names and reads_more(scan):
            doubtful.append(
                f"the fit is of {signal}, which this plan does not read: it is made when a "
                "preprocessor, or a hook in place of the scan, reads it"
            )
        elif signal not in names:
            meant = near(signal, names)
            listed = f"it reads {', '.join(names) or 'nothing'}" if known else "see undula devices"
            raise InputError(
                f"the fit is of {signal}, which {'this scan' if known else 'no device'} "
                f"{'does not read' if known else 'gives'}",
                remedy=f"did you mean {meant}?" if meant else listed,
            )
    return doubtful


def _read(scan: CheckedScan) -> list[str]:
    """Devices that are read at each point, beside the axes that are moved."""
    return [n for n in (*scan.detectors, *scan.driven.axes) if n not in scan.axes]
