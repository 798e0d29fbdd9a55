"""Stopping EPICS records from a process of its own, over its own connections.

Light on purpose: the stopper process imports nothing else of the devices. Client: caproto's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence


def stop_all(pairs: Sequence[tuple[str, float]], timeout_s: float) -> dict[str, str | None]:
    """Write each value to its PV; PV to None when it was written, else to what went wrong."""
    if not pairs:
        return {}
    try:
        from caproto.sync.client import write
    except ImportError:
        return {pv: "caproto is not installed (extra epics)" for pv, _ in pairs}
    result: dict[str, str | None] = {pv: f"no answer within {timeout_s:g} s" for pv, _ in pairs}

    def work(pv: str, value: float) -> None:
        try:
            write(pv, value, notify=True, timeout=timeout_s, repeater=False)
            result[pv] = None
        except Exception as exc:  # name it; the others must be stopped too
            result[pv] = f"{type(exc).__name__}: {exc}"

    threads = [threading.Thread(target=work, args=pair, daemon=True) for pair in pairs]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 2.0 * timeout_s
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    return result
