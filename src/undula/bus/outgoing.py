"""A thread for everything that a service says on the bus besides documents.

Replies, statuses and readbacks are handed over as callables and sent in order, so that neither the
RunEngine's loop nor a scan ever waits for the broker. While the broker is away, replies and ends of
queue items are tried again until it is back; statuses are dropped, since they come again.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

from undula.bus.endpoints import LOG
from undula.bus.ports import Connector
from undula.core.errors import BusError
from undula.core.log import get_logger
from undula.messages import LogEvent
from undula.messages.services import log_event

MAX_WAITING = 10_000
MAX_OPTIONAL = 2_000
RETRY_AFTER_S = 0.2
CLOSE_TIMEOUT_S = 2.0
OF_THE_BUS = ("outgoing_full", "message_not_sent", "message_tried_again")
"""Events about what could not be said: they are for the log file, not for the bus."""


class Outgoing:
    """One thread, one bounded queue of things to say."""

    def __init__(self) -> None:
        self._queue: queue.Queue[tuple[Callable[[], None], bool] | None] = queue.Queue(MAX_WAITING)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="outgoing", daemon=True)
        self._thread.start()

    def say(self, send: Callable[[], None], *, must: bool = False) -> None:
        """Run `send` soon, in order; never blocks. `must`: again and again until it succeeds."""
        if not must and self._queue.qsize() >= MAX_OPTIONAL:
            return  # statuses come again; room is for what must be said
        try:
            self._queue.put_nowait((send, must))
        except queue.Full:
            get_logger().warning("outgoing_full", waiting=MAX_WAITING, must=must)

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            send, must = item
            while not self._sent(send) and must and not self._closing.wait(RETRY_AFTER_S):
                get_logger().info("message_tried_again")

    def _sent(self, send: Callable[[], None]) -> bool:
        """False when the broker was away: worth another try."""
        try:
            send()
        except BusError as error:
            get_logger().warning("message_not_sent", error=str(error))
            return "is not open here" in error.what  # answered already; all else may pass
        except Exception:  # one bad message must not end the thread that carries all others
            get_logger().exception("message_not_sent")
        return True

    def close(self) -> None:
        """Send what waits, then end; without more tries for what cannot be sent."""
        try:
            self._queue.put(None, timeout=CLOSE_TIMEOUT_S)
        except queue.Full:
            get_logger().warning("outgoing_full", waiting=MAX_WAITING, must=True)
        self._thread.join(CLOSE_TIMEOUT_S)
        self._closing.set()


class LogOnBus:
    """A sink of the log: puts each event on the bounded endpoint soon; never blocks."""

    def __init__(self, connector: Connector, outgoing: Outgoing) -> None:
        self._connector, self._outgoing = connector, outgoing

    def __call__(self, event: dict[str, Any]) -> None:
        """Say it, unless it is about saying."""
        if event.get("event") in OF_THE_BUS:
            return
        message = log_event(event)
        self._outgoing.say(lambda: self._append(message))

    def _append(self, message: LogEvent) -> None:
        self._connector.append(LOG, message)
