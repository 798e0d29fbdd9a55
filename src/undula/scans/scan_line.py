"""Room: scans. A scan as a person could type it in the shell. Pure; imports nothing heavy.

In: a `ScanRequest`. Out: its line for the record. Called by: `scans.queue_desk`, and by clients.
"""

from __future__ import annotations

from undula.messages import ScanRequest


def written(scan: ScanRequest) -> str:
    """The line of a scan that has none yet, or other arguments than its line says.

    >>> written(ScanRequest(request_id="r", deadline=0, plan="ct", args=[1], count_time_s=0.5))
    'ct(1, time=0.5)'
    """
    options = {
        **scan.kwargs,
        "time": scan.count_time_s,
        "detectors": scan.detectors,
        "shutter": scan.shutter,
        "darks": scan.darks or None,
    }
    words = [repr(value) for value in scan.args]
    words += [f"{name}={value!r}" for name, value in options.items() if value is not None]
    return f"{scan.plan}({', '.join(words)})"
