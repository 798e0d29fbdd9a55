"""One thread for all blocking calls to one device: in turn, each with a deadline.

In: calls from any thread. Out: their results, or TimeoutUndulaError when one is late. A call that
hangs is left behind; further ones are refused at once and told so, until it returns.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from undula.core.errors import TimeoutUndulaError
from undula.core.log import get_logger

T = TypeVar("T")
SLOW_TICK_S = 1.0


class _Job:
    """A call that waits for its turn or runs."""

    def __init__(self, what: str, function: Callable[[], Any]) -> None:
        self.what, self.function = what, function
        self.over = threading.Event()
        self.given_up = False
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        """Do it; what it raises is kept for whoever waits."""
        try:
            self.result = self.function()
        except BaseException as exc:  # goes to the caller, whatever it is
            self.error = exc
        self.over.set()


class Lane:
    """Calls one after the other, on a thread that ends with `close`.

    Args:
        tick: called on the thread when nothing else is to be done; gives the seconds until it wants
            to be called again.
    """

    def __init__(self, name: str, tick: Callable[[], float]) -> None:
        self._name, self._tick = name, tick
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._running: _Job | None = None
        self._next_tick = 0.0

    @property
    def hanging(self) -> str:
        """What it hangs in; '' while all is well."""
        running = self._running
        return running.what if running is not None and running.given_up else ""

    def call(
        self, what: str, function: Callable[[], T], timeout_s: float, urgent: bool = False
    ) -> T:
        """Wait for its turn and its end. Raises: what it raises, TimeoutUndulaError.

        Args:
            urgent: before all that waits.
        """
        if threading.current_thread() is self._thread:
            return function()
        job = self._give(what, function, urgent)
        if not job.over.wait(timeout_s):
            with self._changed:
                job.given_up = True
                if job in self._jobs:
                    self._jobs.remove(job)
            raise TimeoutUndulaError(
                f"{what} did not end within {timeout_s:g} s",
                remedy="see whether it is on and nobody else talks to it",
            )
        if job.error is not None:
            raise job.error
        result: T = job.result
        return result

    def post(self, what: str, function: Callable[[], None]) -> None:
        """Do it in its turn, without waiting. It must not raise. Raises: TimeoutUndulaError."""
        self._give(what, function, urgent=False)

    def wake(self) -> None:
        """Let the tick come at once."""
        with self._changed:
            self._next_tick = 0.0
            self._changed.notify()

    def give_up(self) -> None:
        """Wait no more for what it does now: it hangs."""
        running = self._running
        if running is not None:
            running.given_up = True

    def close(self, timeout_s: float) -> None:
        """End the thread, after what it is doing. One that hangs is left behind."""
        with self._changed:
            self._closed = True
            self._changed.notify()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_s)

    def _give(self, what: str, function: Callable[[], Any], urgent: bool) -> _Job:
        job = _Job(what, function)
        with self._changed:
            if self.hanging or self._closed:
                why = f"it still hangs in {self.hanging}" if self.hanging else "it was let go"
                raise TimeoutUndulaError(why, remedy="switch it off and on, and enable it again")
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                self._thread.start()
            self._jobs.insert(0 if urgent else len(self._jobs), job)
            self._changed.notify()
        return job

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._jobs and not self._closed:
                    left = self._next_tick - time.monotonic()
                    if left <= 0:
                        break
                    self._changed.wait(left)
                if self._closed:
                    return
                job = self._jobs.popleft() if self._jobs else None
                self._running = job
            if job is not None:
                job.run()
                self._running = None
                if job.error is not None and not isinstance(job.error, Exception):
                    return  # the interpreter ends
            if time.monotonic() >= self._next_tick:
                self._running = look = _Job("looking how it is", self._tick)
                look.run()
                self._running = None
                if look.error is not None:
                    get_logger().error(
                        "driver_tick_failed", driver=self._name, error=repr(look.error)
                    )
                self._next_tick = time.monotonic() + (look.result or SLOW_TICK_S)
