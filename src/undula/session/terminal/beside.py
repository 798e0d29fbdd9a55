"""What a terminal learns from the bus: the queue, the run that is open. Threads of the client.

In: subscriptions. Out: the status bar and the live plot, never blocking.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from undula.analysis.view import RunView
from undula.bus.endpoints import DEVICE_VALUES, QUEUE_STATUS, RUN_DOCUMENTS, RUNS_OPENED
from undula.bus.ports import BEGIN
from undula.client import Client
from undula.core.clock import now
from undula.core.errors import UndulaError
from undula.messages import DeviceValues, QueueStatus
from undula.session.table import plot_lines
from undula.session.terminal.status import status_line

POLL_S = 0.2
PLOT_LINES = 14


class BusBeside:
    """Follows the bus for one terminal.

    Args:
        why_died: what the supervisor says of the kernel.
        typing: who is told that the line holds text.
        shown: devices whose values stand in the bar.
    """

    def __init__(
        self,
        client: Client,
        *,
        why_died: Callable[[], str] = str,
        typing: Callable[[bool], None] | None = None,
        colour: bool = True,
        shown: Sequence[str] = (),
    ) -> None:
        self._client, self._shown = client, shown
        self._values: DeviceValues | None = None
        self._why, self._typing, self._colour = why_died, typing, colour
        self._view: RunView | None = None
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._status: QueueStatus | None = client.queue.last
        connector = client.link.connector
        self._subscriptions = [connector.subscribe(QUEUE_STATUS, self._heard)]
        self._units: dict[str, str] = {}
        if shown:
            table = {info.name: info.unit for info in client.devices.table()}
            self._units = {name: table[name] for name in shown if name in table}
            self._subscriptions.append(connector.subscribe(DEVICE_VALUES, self._valued))
        self._thread = threading.Thread(target=self._follow, name="follow-runs", daemon=True)
        self._thread.start()

    def _heard(self, status: QueueStatus) -> None:
        self._status = status

    def _valued(self, values: DeviceValues) -> None:
        self._values = values

    def _beam(self) -> str:
        """The values that stand in the bar, e.g. `ring_current 399.2 mA`."""
        values = self._values.values if self._values is not None else {}
        return ", ".join(
            f"{name} {value:.5g} {unit}".rstrip()
            for name, unit in self._units.items()
            if isinstance(value := values.get(name), int | float)
        )

    def _follow(self) -> None:
        connector = self._client.link.connector
        while not self._closing.is_set():
            try:
                self._follow_runs(connector.last_id(RUNS_OPENED))
            except UndulaError:  # the broker is away: it comes back
                self._closing.wait(1.0)

    def _follow_runs(self, opened: str) -> None:
        connector = self._client.link.connector
        uid, cursor = "", BEGIN
        while not self._closing.is_set():
            for entry, run in connector.read(
                RUNS_OPENED, after=opened, count=100, block_s=None if uid else POLL_S
            ):
                opened = entry
                if run.imported:
                    continue
                uid, cursor = run.uid, BEGIN
                with self._lock:
                    self._view = RunView(run.number, run.path)
            if not uid:
                continue
            for entry, document in connector.read(
                RUN_DOCUMENTS, after=cursor, count=500, block_s=POLL_S, uid=uid
            ):
                cursor = entry
                with self._lock:
                    if self._view is not None:
                        self._view.feed(document.name, document.doc)
                if document.name == "stop":
                    uid = ""

    def bar(self, prompt: str, width: int) -> str:
        """The status bar's text."""
        with self._lock:
            return status_line(
                self._status,
                self._view,
                now=now(),
                prompt=prompt,
                beam=self._beam(),
                user=self._client.link.user,
                width=width,
            )

    def plot(self, width: int) -> list[str]:
        """The plot of the run that is open."""
        with self._lock:
            view = self._view
            if view is None or view.stop or len(view.rows) < 3:
                return []
            return plot_lines(view, min(width, 100), self._colour)[:PLOT_LINES]

    def why_died(self) -> str:
        """Why the kernel ended."""
        return self._why()

    def typing(self, has_text: bool) -> None:
        """The line holds text, or is empty again."""
        if self._typing is not None:
            self._typing(has_text)

    def close(self) -> None:
        """Follow nothing more."""
        self._closing.set()
        for subscription in self._subscriptions:
            subscription.close()
        self._thread.join(2.0)
