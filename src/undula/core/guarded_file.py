"""A small JSON file that only one account may read: written by rename, one writer at a time.

In: a path and a change of its content. Out: the content, read anew when the file is another one.
What is damaged, or open to others, is refused: better nobody than anybody. Standard library only.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from undula.core.errors import AccessError

T = TypeVar("T")
PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700
_Seen = tuple[int, int, int]


class GuardedFile:
    """A dict in a file of mode 0600, in a folder of mode 0700. Thread-safe and process-safe."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._seen: _Seen | None = None
        self._content: dict[str, Any] = {}

    def exists(self) -> bool:
        """Whether there is one. Raises: AccessError when we may not even look."""
        return self._look() is not None

    def read(self) -> dict[str, Any]:
        """The content, {} when there is no file; not to be changed. Raises: AccessError."""
        with self._lock:
            seen = self._look()
            if seen is None:
                self._seen, self._content = None, {}
            elif seen != self._seen:
                self._content, self._seen = self._load(), seen
            return self._content

    def change(self, work: Callable[[dict[str, Any]], T]) -> T:
        """Let `work` change a copy of the content, and keep it. Raises: AccessError."""
        with self._lock, self._alone():
            content = json.loads(json.dumps(self.read()))
            result = work(content)
            if content != self._content or not self.exists():
                write_private(self.path, json.dumps(content, indent=1).encode())
            return result

    def remove(self) -> None:
        """Take the file away. Raises: AccessError."""
        with self._lock, self._alone():
            self.path.unlink(missing_ok=True)

    def _look(self) -> _Seen | None:
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise refused(self.path, exc) from None
        if stat.st_uid != os.geteuid() or stat.st_mode & 0o077:
            raise AccessError(
                f"{self.path} may be read or was written by others: nobody is let in by it",
                remedy=f"look at it; then make it private: chmod 600 {self.path}",
            )
        return stat.st_ino, stat.st_mtime_ns, stat.st_size

    def _load(self) -> dict[str, Any]:
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            if not isinstance(content, dict):
                raise ValueError("no table")  # one way out for all damage
        except (OSError, ValueError):
            raise AccessError(
                f"{self.path} is damaged: nobody is let in by it",
                remedy="restore it from a copy, or remove it and begin anew",
            ) from None
        return content

    @contextmanager
    def _alone(self) -> Iterator[None]:
        private_folder(self.path.parent)
        lock = self.path.with_name(f".{self.path.name}.lock")
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
        except OSError as exc:
            raise refused(lock, exc) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def read_private(path: Path) -> bytes | None:
    """The content of a file that is ours alone; None when there is none. Raises: AccessError."""
    try:
        with path.open("rb") as file:
            stat = os.fstat(file.fileno())
            content = file.read()
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise refused(path, exc) from None
    if stat.st_uid != os.geteuid() or stat.st_mode & 0o077:
        raise AccessError(
            f"{path} may be read or was written by others",
            remedy="remove it, then log in again",
        )
    return content


def private_folder(folder: Path) -> None:
    """Make sure that `folder` is there and ours alone. Raises: AccessError."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
        stat = folder.lstat()
    except OSError as exc:
        raise refused(folder, exc) from None
    if stat.st_uid != os.geteuid() or folder.is_symlink():
        raise refused(folder, PermissionError("it belongs to another account"))
    if stat.st_mode & 0o077:
        folder.chmod(PRIVATE_FOLDER)


def write_private(path: Path, content: bytes) -> None:
    """Write by rename; the file has mode 0600 from the first byte. Raises: AccessError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, flags, PRIVATE_FILE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as exc:
        raise refused(path, exc) from None


def refused(path: Path, exc: OSError) -> AccessError:
    """Why we may not use `path`, for people."""
    return AccessError(
        f"{path} cannot be used: {exc.strerror or exc}",
        remedy="do this as the account that runs the services of the beamline",
    )
