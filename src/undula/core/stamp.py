"""When a file was last changed, for those who read it again when it is another one."""

from __future__ import annotations

from pathlib import Path

Stamp = tuple[int, int]


def stamp_of(path: Path) -> Stamp | None:
    """When it was last changed, ns, and its size, bytes; None when there is no such file.

    Raises: OSError when that cannot be told, as of a network disk that does not answer: then
    nobody knows that there is none.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_mtime_ns, status.st_size
