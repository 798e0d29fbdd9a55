"""Where a motor stands after its motion: asked anew, not taken from the last message of a monitor.

In: a device of ophyd-async. Out: the same device, whose `read` asks its readback.

A Channel Access server answers a put with completion, and sends monitors, from two tasks: the
answer may be here before the last readback is, and a record with a deadband never sends the last
step. A cached readback is then that of the point before; the file would say where the motor was.
"""

from __future__ import annotations

from typing import Any


def read_anew(device: Any) -> None:
    """Let `device.read()` ask its readback, when it is one of ophyd-async that moves."""
    readback = getattr(getattr(device, "movable_logic", None), "readback", None)
    if readback is None or getattr(device, "reads_anew", False):
        return
    read = device.read

    async def read_device() -> dict[str, Any]:
        found = dict(await read())
        if readback.name in found:
            found.update(await readback.read(cached=False))
        return found

    vars(device)["read"] = read_device  # its own guard against a lost `read` does not apply
