"""What a device tells of its own accord: preview images, progress, files it writes.

In: calls of a driver, on whatever thread, as often as it likes. Out: messages for the bus, bounded
in rate and size. A class that declares `tell: Telling = SILENT` gets its own when it is built;
beyond a beamline, in a script or a test, nothing is told.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from undula.core.clock import now
from undula.messages import DevicePreview, DeviceProgress, FileEvent, FileState, GraphTold

PREVIEW_EVERY_S = 0.2
PROGRESS_EVERY_S = 0.1
GRAPH_EVERY_S = 0.25
MAX_PIXELS = 1_000_000
"""A larger preview is told with every n-th row and column."""
Told = DevicePreview | DeviceProgress | FileEvent | GraphTold


class Telling:
    """The voice of one device. Cheap while too soon for another message."""

    def __init__(self, name: str, say: Callable[[Told], None]) -> None:
        self._name, self._say = name, say
        self._lock = threading.Lock()
        self._next: dict[str, float] = {}

    def _due(self, what: str, every_s: float) -> bool:
        with self._lock:
            if time.monotonic() < self._next.get(what, 0.0):
                return False
            self._next[what] = time.monotonic() + every_s
            return True

    def wanted(self, what: str) -> bool:
        """Whether it is time for another; so that nothing is fetched in vain."""
        return time.monotonic() >= self._next.get(what, 0.0)

    def preview(self, data: Any, signal: str = "preview") -> None:
        """Copied: an image (rows, columns) or a curve (points,) to look at; 5 a second at most."""
        if not self._due(signal, PREVIEW_EVERY_S):
            return
        array = np.asarray(data)
        step = max(1, int(np.ceil((array.size / MAX_PIXELS) ** (1 / max(1, array.ndim)))))
        shown = np.array(array[tuple(slice(None, None, step) for _ in array.shape)], order="C")
        self._say(
            DevicePreview(
                name=self._name, signal=signal, data=shown, shape=list(array.shape), time=now()
            )
        )

    def progress(self, done: float, total: float, unit: str = "") -> None:
        """How far it is; ten times a second at most, and always when `done` reaches `total`."""
        finished = done >= total
        if finished or self._due("progress", PROGRESS_EVERY_S):
            said = DeviceProgress(
                name=self._name, done=done, total=total, unit=unit, finished=finished, time=now()
            )
            self._say(said)

    def graph(self, look: Callable[[str], GraphTold]) -> None:
        """How its graph runs, by its name; four times a second at most, or it is not looked at."""
        if self._name and self._due("graph", GRAPH_EVERY_S):
            self._say(look(self._name))

    def file(
        self, path: Path | str, state: FileState, *, dataset: str = "", frames: int | None = None
    ) -> None:
        """It opened or closed a file of its own, or should have and did not."""
        self._say(
            FileEvent(
                name=self._name, path=str(path), state=state, dataset=dataset, frames=frames,
                time=now(),
            )
        )  # fmt: skip


SILENT = Telling("", lambda _: None)
"""Of a device outside of a beamline."""
