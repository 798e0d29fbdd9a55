"""Room: scans. Which threads of the engine answer which request, so that none waits for another.

In: a request. Out: the pool that answers it. Called by: `scans.service`. Checks take long, reads
and the start of moves as long as a device; who steers a scan, or looks, waits for nobody; edits of
the queue are answered one after the other, as they come.
"""

from __future__ import annotations

from collections.abc import Container
from concurrent.futures import ThreadPoolExecutor

from undula.messages import (
    ConfigRequest,
    DeviceSetRequest,
    PipesRequest,
    PlansRequest,
    QueueRequest,
    Request,
    ScanRequest,
)

CHECKED = ("edit", "load", "check")
"""Requests about the queue that take as long as the check of a scan."""
STEERS = ("pause", "pause_at_point", "abort", "stop_all", "skip", "retake", "complete")
"""Those that must not wait behind any other."""
LOOKS = ("list", "show", "history")
"""Those that change nothing, however long they take."""


class Pools:
    """The threads that answer requests."""

    def __init__(self) -> None:
        self.checks = ThreadPoolExecutor(4, "check")
        self.requests = ThreadPoolExecutor(8, "request")
        self.steering = ThreadPoolExecutor(1, "steer")
        self.edits = ThreadPoolExecutor(1, "edit")
        self.piping = ThreadPoolExecutor(2, "pipes")  # who waits there holds up no move or read
        self.configuring = ThreadPoolExecutor(1, "config")

    def of(self, request: Request, devices: Container[str] = ()) -> ThreadPoolExecutor:
        """The pool of a request.

        Args:
            devices: names of devices; a graph that is one of them is looked at without waiting.
        """
        match request:
            case ScanRequest() | PlansRequest():
                return self.checks
            case DeviceSetRequest() | ConfigRequest():
                return self.configuring
            case QueueRequest(action=action):
                return self._of_queue(action)
            case PipesRequest():
                shows = request.action == "show" and request.graph in devices
                return self.requests if shows or request.action == "list" else self.piping
        return self.requests

    def _of_queue(self, action: str) -> ThreadPoolExecutor:
        if action in STEERS:
            return self.steering
        if action in LOOKS:
            return self.requests
        return self.checks if action in CHECKED else self.edits

    def close(self) -> None:
        """Take no more; what waits is dropped."""
        every = (self.checks, self.requests, self.steering, self.edits, self.piping)
        for pool in (*every, self.configuring):
            pool.shutdown(wait=False, cancel_futures=True)
