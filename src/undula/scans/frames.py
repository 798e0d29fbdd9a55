"""What devices that write files of their own are told: where a run's file is, what a fault does.

In: the path of a run that opens, the device file's `onFailure`. Out: calls of `set_run_path`, and
`on_failure` of the devices that have them (`devices.epics.cameras`); and at the end of a run the
ledgers of the devices that keep one (`pipes.detector`), in its stop document.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from undula.core.errors import StorageError
from undula.devices.registry import Registry
from undula.scans.checked_scan import CheckedScan


def tell_path(path: Path, devices: Registry) -> None:
    """A run opens with its file at `path`.

    Raises: StorageError when its folder cannot be made, or written, and a device writes there.
    """
    for name in devices.names():
        tell = getattr(devices[name].obj, "set_run_path", None)
        if tell is None:
            continue
        try:
            tell(path)
        except OSError as exc:
            raise StorageError(
                f"the folder {path.parent} cannot be made: {exc.strerror}",
                remedy="correct its owner and mode: the frames of this run belong there",
                where=name,
            ) from exc
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise StorageError(
                f"the folder {path.parent} cannot be written",
                remedy="correct its owner and mode: the frames of this run belong there",
                where=name,
            )


def tell_policies(scan: CheckedScan, devices: Registry) -> None:
    """What a frame that is missing does, as the device file says."""
    for name in scan.devices:
        obj = devices[name].obj
        if hasattr(obj, "on_failure"):
            obj.on_failure = devices[name].entry.on_failure


def with_ledgers(stop: dict[str, Any], names: Iterable[str], devices: Registry) -> dict[str, Any]:
    """A stop document with the ledger of each device that keeps one.

    Frames that are missing are the run's `reason` when it has none of its own. What people changed
    of the graphs while the run was open is there too.
    """
    ledgers: dict[str, Any] = {}
    names = [name for name in names if name in devices]
    changes = [
        change for name in names if hasattr(devices[name].obj, "run_changes")
        for change in devices[name].obj.run_changes()
    ]  # fmt: skip
    if changes:
        stop = {**stop, "configuration_changes": sorted(changes, key=lambda c: c["time"])}
    for name in names:
        if not hasattr(devices[name].obj, "run_ledger"):
            continue
        found = devices[name].obj.run_ledger()
        if found is not None:
            ledgers[name] = found
    if not ledgers:
        return stop
    gone = [f"[{n}] {found['text']}" for n, found in ledgers.items() if found["missing"]]
    reason = stop.get("reason") or "".join(
        ["frames are missing: ", "; ".join(gone)] if gone else []
    )
    return {**stop, "ledger": ledgers} | ({"reason": reason} if reason else {})
