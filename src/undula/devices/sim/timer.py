"""One thread for everything that takes time in the simulation."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable


class Timer:
    """Calls functions later, in order of time, all on one thread started at first use."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def after(self, duration_s: float, call: Callable[[], None]) -> None:
        """Call `call` once, `duration_s` seconds from now. It must not block."""
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="sim-timer", daemon=True)
                self._thread.start()
            heapq.heappush(self._heap, (time.monotonic() + duration_s, next(self._count), call))
            self._changed.notify()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._heap:
                    self._changed.wait()
                left = self._heap[0][0] - time.monotonic()
                if left > 0:
                    self._changed.wait(left)
                    continue
                _, _, call = heapq.heappop(self._heap)
            call()


TIMER = Timer()
