"""Room: pipes. The folder of a running graph, for its sockets: gone when nobody has it any more.

In: nothing. Out: a folder. Who makes it holds a lock on it as long as it lives, which the kernel
takes back however it ends; whoever makes the next one removes those that nobody holds any more.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

PREFIX = "undula-graph-"
SPILL = Path("/var/tmp")  # noqa: S108  frames lie there in files without a name, mode 0600
"""What frames are spilled into when nobody says where: kept over a restart, so it is a disk."""


class OwnFolder:
    """A folder below the system's temporary one, for as long as this process lives."""

    def __init__(self) -> None:
        base = Path(tempfile.gettempdir())
        sweep(base)
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
            try:
                self._lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue  # another one that swept came between
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            if self.path.exists():
                return
            os.close(self._lock)  # the same, a moment later

    def close(self) -> None:
        """Remove it, with what is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def sweep(base: Path) -> list[Path]:
    """Remove folders of graphs whose runner was killed. Returns: those that were removed."""
    removed: list[Path] = []
    for path in base.glob(f"{PREFIX}*"):
        with suppress(OSError):  # another's, or one that somebody removes at this moment
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                if os.fstat(lock).st_uid == os.getuid():
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(path)
                    removed.append(path)
            finally:
                os.close(lock)
    return removed
