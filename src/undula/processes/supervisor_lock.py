"""One supervisor a beamline: a file lock that vanishes with its holder.

In: the beamline's paths. Out: the lock, or a `BusyError` that names the holder. Standard library
and `undula.core` only. A record lock, because the kernel tells its holder without taking it.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from undula.core.errors import BusyError
from undula.core.paths import BeamlinePaths
from undula.processes.supervisor_model import lock_file, start_lock_file

_FLOCK = "hhqqi"  # struct flock of 64-bit Linux: type, whence, start, length, pid


@contextmanager
def hold(paths: BeamlinePaths) -> Iterator[None]:
    """Hold the supervisor's lock. Raises: BusyError with the pid that holds it."""
    with lock_file(paths).open("a", encoding="utf-8") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            raise BusyError(
                f"beamline {paths.name} already has a supervisor, pid {holder(paths) or 'unknown'}",
                remedy=f"see undula status, or take it down: undula down --beamline {paths.name}",
            ) from exc
        yield


@contextmanager
def starting(paths: BeamlinePaths) -> Iterator[None]:
    """Hold while bringing a beamline up or taking it down. Raises: BusyError when another does."""
    with start_lock_file(paths).open("a", encoding="utf-8") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            raise BusyError(
                f"beamline {paths.name} is just being brought up or taken down by another command",
                remedy="wait until that is done, then see undula status",
            ) from exc
        yield


def holder(paths: BeamlinePaths) -> int | None:
    """The pid that holds the lock now, None when nobody does. Not for the holder itself."""
    try:
        with lock_file(paths).open("rb") as file:
            asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, asked))
    except OSError:
        return None
    return None if kind == fcntl.F_UNLCK else int(pid)
