"""What a simulated device needs to give data by itself: subscribers, told at a steady rate."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from undula.core.log import get_logger
from undula.devices.sim.timer import TIMER

Reading = dict[str, Any]
Subscriber = Callable[[Reading], None]


class Pushing:
    """Tells its subscribers a new reading `push_rate_hz` times a second, while it has any."""

    push_rate_hz = 10.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._subscribers: list[Subscriber] = []
        self._generation = 0
        self._push_lock = threading.Lock()

    def subscribe(self, callback: Subscriber) -> None:
        """Call `callback` now, and with each new reading, on a thread of the simulation."""
        callback(self.pushed())
        with self._push_lock:
            self._subscribers.append(callback)
            if len(self._subscribers) > 1:
                return
            self._generation += 1
            generation = self._generation
        TIMER.after(1.0 / self.push_rate_hz, lambda: self._push(generation))

    def clear_sub(self, callback: Subscriber) -> None:
        """Call it no more."""
        with self._push_lock:
            self._subscribers = [s for s in self._subscribers if s != callback]

    def pushed(self) -> Reading:
        """The reading that is given by itself."""
        raise NotImplementedError

    def _push(self, generation: int) -> None:
        with self._push_lock:
            subscribers = list(self._subscribers)
            if not subscribers or generation != self._generation:
                return
        for subscriber in subscribers:
            try:
                subscriber(self.pushed())
            except Exception:  # whoever listens may fail; the simulation's one thread must live
                get_logger().exception("push_failed", device=getattr(self, "name", ""))
        TIMER.after(1.0 / self.push_rate_hz, lambda: self._push(generation))
