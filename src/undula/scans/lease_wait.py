"""Room: scans. A scan that waits for its devices until nobody else has them.

In: the leases, what the scan needs. Out: it returns when the scan has all of them; who is waited
for is told. Called by: `scans.runner`, on the thread of the scans.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

from undula.core.errors import BusyError
from undula.scans.leases import Leases

LOOK_EVERY_S = 0.5


class Waits(Protocol):
    """The scan that waits."""

    def waits_for(self, text: str, since: float | None = None) -> None:
        """What it waits for; '' ends it."""

    def stop_if_aborted(self) -> None:
        """Raises when the scan is not to begin any more."""


def await_leases(
    leases: Leases, holder: str, devices: Sequence[str], read: Sequence[str], scan: Waits
) -> None:
    """Take `devices` for `holder`, and share those that are only read."""
    begin = time.monotonic()
    while True:
        while other := leases.wait_free(devices, LOOK_EVERY_S, shared=read):
            scan.waits_for(f"waiting for {other}", begin)
            scan.stop_if_aborted()
        try:
            leases.take(devices, holder)
            leases.share(read, holder)  # a condition may be lifted while it holds the scan
            break
        except BusyError:  # somebody was quicker
            leases.release(holder)
    scan.waits_for("")
