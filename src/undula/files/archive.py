"""Room: files. A run's journal kept beside its file: `<file>.docs`.

Layout: a magic line, then for each document a 4-byte big-endian length and that many bytes (the
message as it stood in the journal), then a zero length and the SHA-256 of everything before. A
damaged archive is refused, never half-read.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from undula.bus.codec import decode, encode
from undula.core.errors import StorageError
from undula.messages import RunDocument

MAGIC = b"UNDULA DOCUMENTS 1\n"
_LENGTH_BYTES = 4
_DIGEST_BYTES = 32


def archive_path(path: Path) -> Path:
    """Where the archive of a file is kept.

    >>> archive_path(Path("a/00001_scan.nxs")).name
    '00001_scan.nxs.docs'
    """
    return path.with_name(path.name + ".docs")


def write_archive(path: Path, documents: Iterable[RunDocument]) -> int:
    """Write the archive of `path` whole (temporary name, fsync, rename). Returns: documents kept.

    Raises: StorageError.
    """
    target = archive_path(path)
    temporary = target.with_name(f".{target.name}.part")
    count = 0
    try:
        with temporary.open("wb") as file:
            digest = hashlib.sha256(MAGIC)
            file.write(MAGIC)
            for document in documents:
                payload = encode(document)
                record = len(payload).to_bytes(_LENGTH_BYTES, "big") + payload
                digest.update(record)
                file.write(record)
                count += 1
            end = bytes(_LENGTH_BYTES)
            digest.update(end)
            file.write(end + digest.digest())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as exc:
        temporary.unlink(missing_ok=True)
        raise StorageError(
            f"the archive {target} cannot be written: {exc}",
            remedy="free space or give the right to write, it is tried again",
            where=str(target),
        ) from exc
    return count


def _damaged(path: Path, why: str) -> StorageError:
    return StorageError(
        f"the archive {path} is damaged: {why}",
        remedy="rebuild it from the broker's journal if that still exists",
        where=str(path),
    )


def _records(file: BinaryIO, path: Path) -> Iterator[bytes]:
    digest = hashlib.sha256(MAGIC)
    if file.read(len(MAGIC)) != MAGIC:
        raise _damaged(path, "it does not begin as an archive does")
    while True:
        head = file.read(_LENGTH_BYTES)
        if len(head) < _LENGTH_BYTES:
            raise _damaged(path, "it ends too early")
        digest.update(head)
        size = int.from_bytes(head, "big")
        if size == 0:
            break
        payload = file.read(size)
        if len(payload) < size:
            raise _damaged(path, "it ends too early")
        digest.update(payload)
        yield payload
    if file.read(_DIGEST_BYTES + 1) != digest.digest():
        raise _damaged(path, "its checksum is wrong")


def verify(path: Path) -> int:
    """Check an archive from end to end. Returns: documents in it. Raises: StorageError."""
    try:
        with path.open("rb") as file:
            return sum(1 for _ in _records(file, path))
    except OSError as exc:
        raise _damaged(path, str(exc)) from exc


def read_archive(path: Path) -> Iterator[RunDocument]:
    """The documents in order; the checksum is verified before the first one is given out.

    Raises: StorageError for a damaged archive, WireError for one of a newer version.
    """
    verify(path)
    with path.open("rb") as file:
        for payload in _records(file, path):
            yield decode(payload, RunDocument)
