"""Stopping EPICS records from a process of its own, over its own connections.

Light on purpose: the stopper process imports nothing else of the devices. Client: caproto's.
"""

from __future__ import annotations

from collections.abc import Sequence


def stop_all(pairs: Sequence[tuple[str, float]], timeout_s: float) -> dict[str, str | None]:
    """Write each value to its PV; PV to None when it was written, else to what went wrong."""
    if not pairs:
        return {}
    try:
        from caproto.threading.client import Context
    except ImportError:
        return {pv: "caproto is not installed (extra epics)" for pv, _ in pairs}
    result: dict[str, str | None] = {}
    context = Context()
    channels = context.get_pvs(*(pv for pv, _ in pairs), timeout=timeout_s)
    for channel, (pv, value) in zip(channels, pairs, strict=True):
        try:
            channel.wait_for_connection(timeout=timeout_s)
            channel.write(value, wait=False)
            channel.read(timeout=timeout_s)  # the answer to a read proves that the write arrived
            result[pv] = None
        except Exception as exc:  # name it and go on to the next: the others must be stopped too
            result[pv] = f"{type(exc).__name__}: {exc}"
    context.disconnect()
    return result
