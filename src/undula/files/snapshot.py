"""Room: files. A small closed copy of a file that is being written, for readers without SWMR.

`<run>.live.nxs` holds all scalars and the last frame of each array; it is written under a hidden
name and renamed into place, so nobody ever sees half of it. Removed when the run's file is closed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py

from undula.core.errors import StorageError
from undula.files.places import storage_error

FULL_BYTES = 8 << 20
"""An array bigger than this is represented by its last frame."""
PERIOD_S = 1.0
MAX_SHARE = 0.05
"""At most this share of the writer's time goes into snapshots."""


def snapshot_path(path: Path) -> Path:
    """Where the snapshot of a file is.

    >>> snapshot_path(Path("a/00001_scan.nxs")).name
    '00001_scan.live.nxs'
    """
    return path.with_suffix(".live.nxs")


def _copy(source: Any, target: Any) -> None:
    for name, value in source.attrs.items():
        target.attrs[name] = value
    for name in source:
        link = source.get(name, getlink=True)
        if isinstance(link, h5py.SoftLink | h5py.ExternalLink):
            target[name] = link
            continue
        node = source[name]
        if isinstance(node, h5py.Group):
            _copy(node, target.create_group(name))
            continue
        big = node.ndim > 1 and node.nbytes > FULL_BYTES
        first = max(0, node.shape[0] - 1) if big else 0
        data = target.create_dataset(name, data=node[first:] if node.ndim else node[()],
                                     dtype=node.dtype)  # fmt: skip
        for key, value in node.attrs.items():
            data.attrs[key] = value


def write_snapshot(source: Any, path: Path) -> Path:
    """Copy the open file `source`, named `path`, into its snapshot. Raises: StorageError."""
    target = snapshot_path(path)
    hidden = target.with_name(f".{target.name}.part")
    try:
        hidden.unlink(missing_ok=True)
        with h5py.File(hidden, "w") as file:
            _copy(source, file)
            file.attrs["snapshot_of"] = path.name
        hidden.replace(target)
    except OSError as exc:
        raise storage_error(exc, path.parent) from exc
    return target


class Snapshots:
    """Snapshots of one run about once a second, seldomer when they get expensive."""

    def __init__(self) -> None:
        self._next = 0.0
        self._paths: list[Path] = []

    def update(self, files: Mapping[Path, Any]) -> bool:
        """Write those of open files, by their paths, if it is time.

        False: not yet, or the folder refused (the run matters more).
        """
        began = time.monotonic()
        if began < self._next:
            return False
        self._paths = list(files)
        done = True
        try:
            for path, source in files.items():
                write_snapshot(source, path)
        except StorageError:
            done = False
        ended = time.monotonic()
        self._next = ended + max(PERIOD_S, (ended - began) / MAX_SHARE)
        return done

    def remove(self, *paths: Path) -> None:
        """Take the snapshots away, those of `paths` too; a folder that refuses is left alone."""
        for path in (*self._paths, *paths):
            target = snapshot_path(path)
            for name in (target, target.with_name(f".{target.name}.part")):
                try:
                    name.unlink(missing_ok=True)
                except OSError:
                    continue
