"""Room: pipes. How a process of a graph uses its time: at work, or waiting for something to do.

In: each wait. Out: the times since it was made, for the status of its nodes. Called by: `worker`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Use:
    """Of this very process, from now on."""

    def __init__(self) -> None:
        self._since, self._waited_s = time.monotonic(), 0.0
        self._cpu_s = time.process_time()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """As long as it waits for frames, confirmations, words."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._waited_s += time.monotonic() - began

    def times(self) -> dict[str, float]:
        """All the time, that in which it did not wait, and that of the processor, s."""
        span_s = time.monotonic() - self._since
        return {
            "since_s": span_s, "at_work_s": max(0.0, span_s - self._waited_s),
            "cpu_s": time.process_time() - self._cpu_s,
        }  # fmt: skip
