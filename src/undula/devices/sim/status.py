"""A light status: done, failed or waiting, with callbacks. Fulfils Bluesky's `Status` protocol."""

from __future__ import annotations

import threading
from collections.abc import Callable

StatusCallback = Callable[["SimStatus"], None]


class SimStatus:
    """Outcome of a set or trigger. Callbacks added after the end are called at once."""

    __slots__ = ("_callbacks", "_error", "_event", "_lock", "device", "done", "success")

    def __init__(self, device: object) -> None:
        self.device = device
        self.done = False
        self.success = False
        self._error: BaseException | None = None
        self._callbacks: list[StatusCallback] = []
        self._lock = threading.Lock()
        self._event: threading.Event | None = None

    def finish(self, error: BaseException | None = None) -> None:
        """End it, with success when there is no error; a second call changes nothing."""
        with self._lock:
            if self.done:
                return
            self._error, self.success, self.done = error, error is None, True
            callbacks, self._callbacks = self._callbacks, []
            if self._event is not None:
                self._event.set()
        for callback in callbacks:
            callback(self)

    def add_callback(self, callback: StatusCallback) -> None:
        """Call back at the end, or now when it is over."""
        with self._lock:
            if not self.done:
                self._callbacks.append(callback)
                return
        callback(self)

    def exception(self, timeout: float | None = 0.0) -> BaseException | None:
        """What went wrong; None on success. Raises: TimeoutError when it is not done in time."""
        self._await(timeout)
        return self._error

    def wait(self, timeout: float | None = None) -> None:
        """Block until the end. Raises: what went wrong, or TimeoutError."""
        self._await(timeout)
        if self._error is not None:
            raise self._error

    def _await(self, timeout: float | None) -> None:
        with self._lock:
            if self.done:
                return
            if self._event is None:
                self._event = threading.Event()
            event = self._event
        if not event.wait(timeout):
            raise TimeoutError("the status is not done")


class DoneStatus(SimStatus):
    """A status that is done from the beginning, for devices that need no time."""

    __slots__ = ()

    def __init__(self, device: object) -> None:  # one object serves every call: it has no state
        super().__init__(device)
        self.done = self.success = True
