"""Room: files. Make a file readable whose writer was killed: clear the mark "being written".

In: a file. Out: the same file, which any program opens. For files of frames, whose writers hold a
lock as long as they live (`held_while_written`), that is safe at any time on the host of the writer
(`let_readers_in`); for all others, and where a file system has the locks of one host alone (BeeGFS,
Lustre with `localflock`, FUSE), somebody must know that nobody writes them. Of the file of a run,
rebuilding it from the journal is preferred (`undula.writer.rebuild`).

The mark is the status byte of an HDF5 superblock of version 2 or 3, guarded by a checksum.
Source: HDF5 file format specification 3.0, section II.A; Bob Jenkins, lookup3 (public domain).
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from undula.core.errors import StorageError

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_FLAGS_AT = 11
_FOLLOWED = 4
_EOF_AT = 28
_CHECKSUM_AT = 44
_MASK = 0xFFFFFFFF


def _rotate(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (32 - bits))) & _MASK


def lookup3(data: bytes) -> int:
    """Bob Jenkins' lookup3 hash of `data` with initial value 0.

    >>> hex(lookup3(b"Four score and seven years ago"))
    '0x17770551'
    """
    a = b = c = (0xDEADBEEF + len(data)) & _MASK
    blocks = max(0, (len(data) - 1) // 12)
    for at in range(blocks):
        part = data[12 * at : 12 * at + 12]
        a = (a + int.from_bytes(part[0:4], "little")) & _MASK
        b = (b + int.from_bytes(part[4:8], "little")) & _MASK
        c = (c + int.from_bytes(part[8:12], "little")) & _MASK
        a = ((a - c) & _MASK) ^ _rotate(c, 4)
        c = (c + b) & _MASK
        b = ((b - a) & _MASK) ^ _rotate(a, 6)
        a = (a + c) & _MASK
        c = ((c - b) & _MASK) ^ _rotate(b, 8)
        b = (b + a) & _MASK
        a = ((a - c) & _MASK) ^ _rotate(c, 16)
        c = (c + b) & _MASK
        b = ((b - a) & _MASK) ^ _rotate(a, 19)
        a = (a + c) & _MASK
        c = ((c - b) & _MASK) ^ _rotate(b, 4)
        b = (b + a) & _MASK
    tail = data[12 * blocks :]
    if not tail:
        return c
    tail = tail.ljust(12, b"\0")
    a = (a + int.from_bytes(tail[0:4], "little")) & _MASK
    b = (b + int.from_bytes(tail[4:8], "little")) & _MASK
    c = (c + int.from_bytes(tail[8:12], "little")) & _MASK
    for target, source, bits in (
        ("c", "b", 14), ("a", "c", 11), ("b", "a", 25), ("c", "b", 16),
        ("a", "c", 4), ("b", "a", 14), ("c", "b", 24),
    ):  # fmt: skip
        values = {"a": a, "b": b, "c": c}
        mixed = ((values[target] ^ values[source]) - _rotate(values[source], bits)) & _MASK
        a, b, c = (mixed if n == target else values[n] for n in "abc")
    return c


def clear_writing_mark(path: Path) -> bool:
    """Let every reader open a file whose writer is dead. False: there was no mark.

    What was written behind the end that the superblock tells belongs to the file too: a writer
    that lets others follow notes the end only now and then.

    Call only when no process writes the file. Raises: StorageError when it is no such file, or when
    its end is missing.
    """
    try:
        with path.open("r+b") as file:
            head = bytearray(file.read(_CHECKSUM_AT + 4))
            _check(path, head)
            if head[_FLAGS_AT] == 0:
                return False
            head[_FLAGS_AT] = 0
            end = max(
                int.from_bytes(head[_EOF_AT : _CHECKSUM_AT - 8], "little"), path.stat().st_size
            )
            head[_EOF_AT : _CHECKSUM_AT - 8] = end.to_bytes(8, "little")
            head[_CHECKSUM_AT:] = lookup3(bytes(head[:_CHECKSUM_AT])).to_bytes(4, "little")
            file.seek(0)
            file.write(head)
            file.flush()
            os.fsync(file.fileno())
    except OSError as exc:
        raise _not_repaired(path, exc) from exc
    return True


def _not_repaired(path: Path, exc: OSError) -> StorageError:
    return StorageError(
        f"{path} cannot be repaired: {exc.strerror or exc}", remedy="check its owner and mode"
    )


def held_while_written(path: Path) -> int:
    """Say by a lock that this process writes a file. Returns: a descriptor; closed, it says so.

    The kernel lets go of the lock when the process dies, however it does. It hinders no reader:
    what HDF5 itself asks for is a shared lock too. Where HDF5 has locked the file against all, that
    says the same.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with suppress(OSError):  # a file system without locks: then nobody can know
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return descriptor


def let_readers_in(path: Path) -> bool:
    """Clear the mark of a file of frames, unless somebody still writes it.

    Returns: whether it was marked, and is not any more. Raises: StorageError when it is no such
    file, cannot be changed, or its end is missing.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as exc:
        raise _not_repaired(path, exc) from exc
    try:
        if not _head(path):
            raise StorageError(f"{path} is no HDF5 file", remedy="name a file of frames")
        if not marked(path):
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False  # its writer lives, or nobody can know
        return clear_writing_mark(path)
    finally:
        os.close(descriptor)


def marked(path: Path) -> bool:
    """Whether an HDF5 file says that it is being written, or was when its writer was killed."""
    return _flags(path) != 0


def followed(path: Path) -> bool:
    """Whether the mark is that of a writer whom readers may follow: HDF5 locks it no more."""
    return bool(_flags(path) & _FOLLOWED)


def _flags(path: Path) -> int:
    head = _head(path)
    return head[_FLAGS_AT] if len(head) > _FLAGS_AT and head[8] in (2, 3) else 0


def _head(path: Path) -> bytes:
    """The begin of an HDF5 file; empty when it is none, or cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(_CHECKSUM_AT + 4)
    except OSError:
        return b""
    return head if head[:8] == _SIGNATURE else b""


def truncated(path: Path) -> bool:
    """The end of the file is missing: HDF5 would read it as one that is followed, for ever.

    False for what is no such file, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_CHECKSUM_AT + 4)
            size = os.fstat(file.fileno()).st_size
    except OSError:
        return False
    if head[:8] != _SIGNATURE or len(head) < _EOF_AT + 8 or head[8] not in (2, 3) or head[9] != 8:
        return False
    return size < int.from_bytes(head[_EOF_AT : _EOF_AT + 8], "little")


def _check(path: Path, head: bytearray) -> None:
    remedy = "rebuild the file from its journal: undula runs rebuild NUMBER"
    if len(head) < _CHECKSUM_AT + 4 or head[:8] != _SIGNATURE or head[8] not in (2, 3):
        raise StorageError(f"{path} is no HDF5 file with superblock 2 or 3", remedy=remedy)
    if head[9] != 8 or head[10] != 8:
        raise StorageError(f"{path} has unusual offset sizes", remedy=remedy)
    end = int.from_bytes(head[_EOF_AT : _EOF_AT + 8], "little")
    if path.stat().st_size < end:
        raise StorageError(f"{path} is truncated", remedy=remedy)
