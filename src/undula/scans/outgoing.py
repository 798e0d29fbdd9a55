"""A thread for everything that the engine says on the bus besides documents.

Replies, statuses and readbacks are handed over as callables and sent in order, so that neither the
RunEngine's loop nor a scan ever waits for the broker. While the broker is away, they are dropped
with a log line: statuses come again, and a lost reply is an unknown outcome for its client.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from undula.core.errors import UndulaError
from undula.core.log import get_logger

MAX_WAITING = 10_000


class Outgoing:
    """One thread, one bounded queue of things to say."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Callable[[], None] | None] = queue.Queue(MAX_WAITING)
        self._thread = threading.Thread(target=self._work, name="outgoing", daemon=True)
        self._thread.start()

    def say(self, send: Callable[[], None]) -> None:
        """Run `send` soon, in order; never blocks."""
        try:
            self._queue.put_nowait(send)
        except queue.Full:
            get_logger().warning("outgoing_full", waiting=MAX_WAITING)

    def _work(self) -> None:
        while (send := self._queue.get()) is not None:
            try:
                send()
            except UndulaError as error:
                get_logger().warning("message_not_sent", error=str(error))
            except Exception:  # one bad message must not end the thread that carries all others
                get_logger().exception("message_not_sent")

    def close(self) -> None:
        """Send what waits, then end."""
        self._queue.put(None)
        self._thread.join(2.0)
