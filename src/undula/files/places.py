"""Room: files. Where a file may be put: never over a foreign one, never half-written.

A file grows under a hidden name of its own (`.NAME.UID.part`) until it can be read, and then gets
its name by a hard link, which fails when the name is taken. Only a file of the same run (same
`entry_identifier_uuid`) is ever replaced, by rename.
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import h5py

from undula.core.errors import StorageError
from undula.files.repair import truncated

NO_SWMR = ("nfs", "cifs", "smb", "9p", "fuse.sshfs")
MAX_SUFFIX = 1000
RESERVE_BYTES = 32 << 20
"""Room that is left on the disk, so that open files can still be closed in order."""


def filesystem(path: Path, mounts: Path = Path("/proc/mounts")) -> str:
    """Type of the file system that holds `path`, e.g. `ext4` or `nfs4`; empty when unknown."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    place = os.path.realpath(path)
    best, kind = "", ""
    for line in lines:
        fields = line.split()
        if len(fields) < 3:
            continue
        mount = fields[1].replace("\\040", " ")
        inside = place == mount or place.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best):
            best, kind = mount, fields[2]
    return kind


def can_follow_live(folder: Path, mounts: Path = Path("/proc/mounts")) -> bool:
    """False on network file systems, where HDF5 promises no reading during writing."""
    return not filesystem(folder, mounts).startswith(NO_SWMR)


def check_space(folder: Path) -> None:
    """Raises: StorageError when the disk is all but full.

    Asked before HDF5 writes, because a write that fails inside HDF5 leaves the library unsound (the
    process may crash when it opens the next file).
    """
    try:
        info = os.statvfs(folder)
    except OSError as exc:
        raise storage_error(exc, folder) from exc
    if info.f_bavail * info.f_frsize < RESERVE_BYTES:
        raise storage_error(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), folder)


def run_uid_of(path: Path) -> str | None:
    """The run that a file belongs to; None when it does not say."""
    if truncated(path):
        return None
    for swmr in (False, True):
        try:
            with h5py.File(path, "r", swmr=swmr, locking=False) as file:
                return str(file["entry/entry_identifier_uuid"].asstr()[()])
        except (OSError, KeyError, TypeError, ValueError, RuntimeError):
            continue
    return None


def find_place(wanted: Path, uid: str) -> Path:
    """`wanted`, or `NAME_1`, `NAME_2` ... : the first that is free or belongs to this run."""
    for number in range(MAX_SUFFIX):
        path = wanted if number == 0 else wanted.with_stem(f"{wanted.stem}_{number}")
        if not os.path.lexists(path) or run_uid_of(path) == uid:
            return path
    raise StorageError(
        f"{wanted} and {MAX_SUFFIX} names after it are taken",
        remedy="choose another dataset name, or move old files away",
    )


class Place:
    """The name of a file that is being made: hidden until `publish`."""

    def __init__(self, wanted: Path, uid: str) -> None:
        self._wanted = wanted
        self._uid = uid
        self.published = False
        self._copy: Path | None = None
        try:
            wanted.parent.mkdir(parents=True, exist_ok=True)
            self.path = find_place(wanted, uid)
            self.hidden = wanted.with_name(f".{wanted.name}.{uid}.part")
            self.hidden.unlink(missing_ok=True)
        except OSError as exc:
            raise storage_error(exc, wanted.parent) from exc

    def publish(self) -> Path:
        """Give the file its name. Raises: StorageError when the folder refuses."""
        if self.published:
            return self.path
        try:
            while not self._try_link():
                self.path = find_place(self._wanted, self._uid)
        except OSError as exc:
            raise storage_error(exc, self.path.parent) from exc
        self.published = True
        return self.path

    def _try_link(self) -> bool:
        if os.path.lexists(self.path):
            if run_uid_of(self.path) != self._uid:
                return False
            self.hidden.replace(self.path)
            return True
        try:
            os.link(self.hidden, self.path)
        except FileExistsError:
            return False
        except OSError as exc:
            if exc.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS):
                raise
            return self._reserve_and_rename()
        self.hidden.unlink(missing_ok=True)
        return True

    def _reserve_and_rename(self) -> bool:
        """Without hard links: take the name exclusively, then rename over our own empty file."""
        try:
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o640))
        except FileExistsError:
            return False
        self.hidden.replace(self.path)
        return True

    def edit(self) -> Any:
        """A copy of the closed file, open for changes; `edited` puts it in the file's place."""
        current = self.path if self.published else self.hidden
        self._copy = self.hidden.with_suffix(".edit")
        shutil.copyfile(current, self._copy)
        return h5py.File(self._copy, "r+", libver=("v110", "v110"))

    def edited(self) -> None:
        """Put the changed copy, now closed, in the file's place; nothing if there is none."""
        if self._copy is not None:
            self._copy.replace(self.path if self.published else self.hidden)
            self._copy = None

    def forget(self) -> None:
        """Remove the hidden file of a writing that was given up."""
        if not self.published:
            self.hidden.unlink(missing_ok=True)
        if self._copy is not None:
            self._copy.unlink(missing_ok=True)


def storage_error(exc: OSError, folder: Path) -> StorageError:
    """An operating system's refusal as what it means for the folder."""
    remedies = {
        errno.ENOSPC: "free space there, the data are kept and written then",
        errno.EDQUOT: "raise the quota or free space, the data are kept and written then",
        errno.EACCES: "give this service's user the right to write there",
        errno.EROFS: "mount the file system for writing",
        errno.ENOTDIR: "a file stands where a folder should be: move it away",
    }
    remedy = remedies.get(exc.errno or 0, "check the folder, the data are kept and written then")
    return StorageError(f"{folder} cannot be written: {exc}", remedy=remedy, where=str(folder))
