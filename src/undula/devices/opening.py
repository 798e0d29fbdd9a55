"""Which configuration an engine starts with: the device file, or the last revision of it.

In: the device file and the history. Out: an `Opening`. A device file that was edited wins over
changes made at run time, which stay in the history; a file that has faults since is not taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from undula.core.log import get_logger
from undula.devices.description import DeviceFile, load_device_file
from undula.devices.errors import DeviceFileError
from undula.devices.revisions import Revision, Revisions

SYSTEM = "undula"
"""Who changed the configuration when nobody asked for it."""


@dataclass(frozen=True, slots=True)
class Opening:
    """The devices to begin with."""

    file: DeviceFile
    revision: Revision
    problem: str = ""


def open_configuration(source: Path, revisions: Revisions) -> Opening:
    """The devices to begin with.

    Raises: DeviceFileError when the device file has faults and no revision of it was ever good;
    StorageError when the history cannot be written.
    """
    last = revisions.last()
    if last is not None and last.source != str(source):
        last = None
    try:
        file = load_device_file(source)
    except DeviceFileError as error:
        if last is None:
            raise
        problem = f"the device file has faults, revision {last.number} holds: {error}"
        get_logger().error("device_file_refused", source=str(source), faults=str(error))
        return Opening(revisions.load(last.number), last, problem)
    if last is not None and last.digest == file.digest:
        try:
            return Opening(revisions.load(last.number), last)
        except DeviceFileError as error:  # e.g. a package that was uninstalled since
            problem = f"revision {last.number} cannot be used, the device file holds: {error}"
            return Opening(file, _added(revisions, file, source, "start with the file"), problem)
    problem = ""
    if last is not None and last.edited:
        problem = (
            f"the device file was edited: changes made at run time no longer hold "
            f"(see undula config diff {last.number}; undula config undo brings them back)"
        )
        get_logger().warning("changes_superseded", revision=last.number)
    return Opening(file, _added(revisions, file, source, f"start with {source.name}"), problem)


def _added(revisions: Revisions, file: DeviceFile, source: Path, action: str) -> Revision:
    return revisions.add(
        file.entries, user=SYSTEM, action=action, source=str(source), digest=file.digest
    )
