"""Room: pipes. Frames onto disk, on a thread of their own: a slow disk holds no producer up.

In: a frame's memory and its place on disk, in order. Out: what was written, and what found no room,
for the caller to fetch when the descriptor is readable. What is under way is bounded by whoever
hands it in (`holding`). The thread starts with the first frame.
"""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Generic, TypeVar

from undula.pipes.link.slab import SpillSlab

What = TypeVar("What")


class Spilling(Generic[What]):
    """A file for frames, and the thread that writes it.

    Args:
        folder: that the file is in.
        slots: frames that it has room for.
        slot_bytes: of each.
    Raises: StorageError when there can be no such file.
    """

    def __init__(self, folder: Path, slots: int, slot_bytes: int) -> None:
        self.slab = SpillSlab(folder, slots, slot_bytes)
        self._asked: queue.SimpleQueue[tuple[What, int, memoryview] | None] = queue.SimpleQueue()
        self._done: deque[tuple[What, bool]] = deque()
        self._flag = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread: threading.Thread | None = None

    def fileno(self) -> int:
        """Readable when `written` has something."""
        return self._flag

    def write(self, what: What, place: int, data: memoryview) -> None:
        """Copy `data` to an offset, bytes; they must stay as they are until `written` says so."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="pipes-spill", daemon=True)
            self._thread.start()
        self._asked.put((what, place, data))

    def _run(self) -> None:
        while (asked := self._asked.get()) is not None:
            what, place, data = asked
            self._done.append((what, self.slab.write(place, data)))
            os.eventfd_write(self._flag, 1)

    def written(self) -> list[tuple[What, bool]]:
        """What was handled since the last call, and whether there was room for it."""
        with suppress(BlockingIOError):
            os.eventfd_read(self._flag)
        return [self._done.popleft() for _ in range(len(self._done))]

    def close(self) -> None:
        """Finish what was handed in; give the file back to the disk."""
        if self._thread is not None:
            self._asked.put(None)
            self._thread.join()
        os.close(self._flag)
        self.slab.close()
