"""What devices that write files of their own are told: where a run's file is, what a fault does.

In: the path of a run that opens, the device file's `onFailure`. Out: calls of `set_run_path`, and
`on_failure` of the devices that have them (`devices.epics.cameras`).
"""

from __future__ import annotations

from pathlib import Path

from undula.core.errors import StorageError
from undula.devices.registry import Registry
from undula.scans.checked_scan import CheckedScan


def tell_path(path: Path, devices: Registry) -> None:
    """A run opens with its file at `path`. Raises: StorageError when its folder cannot be made."""
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


def tell_policies(scan: CheckedScan, devices: Registry) -> None:
    """What a frame that is missing does, as the device file says."""
    for name in scan.devices:
        obj = devices[name].obj
        if hasattr(obj, "on_failure"):
            obj.on_failure = devices[name].entry.on_failure
