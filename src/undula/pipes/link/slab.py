"""Room: pipes. The memory that slots lie in: a `memfd`, or a file without a name for what spills.

In: sizes. Out: a mapping, and a descriptor that another process maps for reading only. Neither has
a name: when the last process that has it ends, in whatever way, the kernel takes it back.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from undula.core.errors import StorageError, WireError
from undula.pipes.errors import PipeError

PAGE = mmap.PAGESIZE
SMALL = 64
_ADD_SEALS = 1033
_SEAL_SHRINK, _SEAL_GROW, _SEAL_FUTURE_WRITE = 2, 4, 16


def slot_size(frame_bytes: int) -> int:
    """Bytes of a slot for frames up to that size: whole pages, or 64 bytes for small ones.

    >>> slot_size(1000), slot_size(5000)
    (1024, 8192)
    """
    unit = PAGE if frame_bytes > PAGE else SMALL
    return max(unit, -(-frame_bytes // unit) * unit)


class Slab:
    """Slots of one producer, mapped for writing.

    Nobody else can map them for writing, and their size is sealed: a consumer can neither harm a
    frame nor be harmed by the size that changes.
    """

    def __init__(self, slots: int, slot_bytes: int) -> None:
        size = slots * slot_bytes
        self.descriptor = os.memfd_create("undula-pipes", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(self.descriptor, size)
            self.memory = mmap.mmap(self.descriptor, size)
        except OSError as exc:
            os.close(self.descriptor)
            raise PipeError(
                f"there is no memory for {slots} slots of {slot_bytes} bytes: {exc.strerror}",
                remedy="give this producer a smaller budget",
            ) from exc
        with suppress(OSError):  # large pages where the system has them
            self.memory.madvise(mmap.MADV_HUGEPAGE)
        seals = _SEAL_SHRINK | _SEAL_GROW
        fcntl.fcntl(self.descriptor, _ADD_SEALS, seals)
        with suppress(OSError):  # a kernel before 5.1 has no such seal
            fcntl.fcntl(self.descriptor, _ADD_SEALS, _SEAL_FUTURE_WRITE)

    def close(self) -> None:
        """Give the descriptor back; the mapping goes with the last array in it."""
        os.close(self.descriptor)


RESERVE_BYTES = 1 << 30
"""Spilling leaves so much of a disk to others: the files of the scan may lie on it."""


class SpillSlab:
    """Slots in a file without a name, in `folder`. It grows with what is written.

    Writing takes a copy into the kernel's page cache; the disk is waited for when the kernel has
    more than it wants to keep. Raises: StorageError when there can be no such file.
    """

    def __init__(
        self, folder: Path, slots: int, slot_bytes: int, *, reserve_bytes: int = RESERVE_BYTES
    ) -> None:
        self.folder, self._reserve_bytes = folder, reserve_bytes
        try:
            self.descriptor = _nameless(folder)
            try:
                os.ftruncate(self.descriptor, slots * slot_bytes)
                self.memory = mmap.mmap(self.descriptor, slots * slot_bytes)
            except BaseException:  # whatever it is, it goes on to the caller
                os.close(self.descriptor)
                raise
        except OSError as exc:
            raise StorageError(
                f"frames cannot be spilled into {folder}: {exc.strerror}",
                remedy="give a folder on a local disk that you may write, or a smaller spill(...)",
                where=str(folder),
            ) from exc

    def write(self, place: int, data: memoryview) -> bool:
        """Put a frame at an offset, bytes; False when the disk is full, or nearly."""
        try:
            disk = os.fstatvfs(self.descriptor)
            if disk.f_bavail * disk.f_frsize < self._reserve_bytes + len(data):
                return False
            while data:
                written = os.pwrite(self.descriptor, data, place)
                data, place = data[written:], place + written
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Give the file back to the disk."""
        os.close(self.descriptor)


def _nameless(folder: Path) -> int:
    """A file that goes with its last descriptor. Raises: OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    with suppress(OSError):  # not every file system of a network has such files
        return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    descriptor, path = tempfile.mkstemp(prefix=".undula-spill-", dir=folder)
    os.unlink(path)
    return descriptor


def map_for_reading(descriptor: int, size: int) -> mmap.mmap:
    """Map what another process gave. Raises: WireError when it is less than it says."""
    if os.fstat(descriptor).st_size < size:
        raise WireError(
            f"a producer gave less memory than the {size} bytes that it speaks of",
            remedy="let both ends run the same version of Undula",
        )
    return mmap.mmap(descriptor, size, prot=mmap.PROT_READ)
