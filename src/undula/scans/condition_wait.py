"""Room: scans. A scan that waits to begin, until all conditions of the beamline hold.

In: the conditions as they are now. Out: it returns when the scan may begin; what is waited for is
told. Called by: `scans.steering`, on the thread of the scans.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from undula.core.errors import DeviceError
from undula.scans.conditions import Conditions, told
from undula.scans.hold import Hold

LOOK_EVERY_S = 0.1


def await_conditions(
    conditions: Conditions,
    lock: threading.Condition,
    waits_for: Callable[[str, float], None],
    stop_if_aborted: Callable[[], None],
) -> None:
    """Return when all hold, and have held for as long as each wants.

    Args:
        lock: notified when the scan is asked to end.
        waits_for: told what is waited for, and since when; '' in the end.
        stop_if_aborted: raises when the scan is not to begin any more.
    Raises: DeviceError where one refuses a start.
    """
    begin, hold = time.monotonic(), Hold()
    trips = [t for t in conditions.trips(now=True) if t.action != "warn"]
    while trips or hold.active:
        if refusing := [t for t in trips if t.action != "pause"]:
            raise DeviceError(
                told(refusing), remedy="wait until it holds; staff may disable the condition"
            )
        waits_for(f"waiting until it holds: {told(trips)}", begin)
        if not hold.active:
            hold.begin(trips, time.monotonic())
        elif hold.see(trips, time.monotonic()):
            break
        stop_if_aborted()
        with lock:
            lock.wait(LOOK_EVERY_S)
        trips = [t for t in conditions.trips(now=True) if t.action != "warn"]
    waits_for("", begin)
