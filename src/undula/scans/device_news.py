"""What devices say of their own accord, on its way to the bus: readbacks, values, previews, files.

In: calls from drivers and from who follows them, on any thread. Out: messages that leave by
`Outgoing`. Never blocks whoever calls; of what comes too fast the newest counts.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from undula.bus.endpoints import (
    DEVICE_CHANGES,
    DEVICE_PREVIEW,
    DEVICE_PROGRESS,
    DEVICE_READBACK,
    DEVICE_VALUES,
    FILE_EVENTS,
    PIPES_STATUS,
)
from undula.bus.outgoing import Outgoing
from undula.bus.ports import Connector
from undula.core.errors import BusError, UndulaError
from undula.core.log import get_logger
from undula.devices.telling import Told
from undula.messages import (
    DeviceChanges,
    DevicePreview,
    DeviceValues,
    FileEvent,
    GraphTold,
    Readback,
)

Reads = Callable[[str, float], Readback]
SHOWN_WITHIN_S = 1.0


class DeviceNews:
    """Publishes what devices say.

    Args:
        reads: the reading of a device, within so many seconds.
        told_file: given each file that a device tells of, before it is published.
    """

    def __init__(
        self,
        connector: Connector,
        outgoing: Outgoing,
        reads: Reads,
        told_file: Callable[[FileEvent], None],
    ) -> None:
        self._connector, self._outgoing = connector, outgoing
        self._reads, self._told_file = reads, told_file
        self._readbacks = ThreadPoolExecutor(1, "readback")
        self._shown: dict[str, bool] = {}
        self._previews: dict[str, DevicePreview] = {}
        self._lock = threading.Lock()
        self._closed = False

    def close(self) -> None:
        """Read no device any more."""
        self._closed = True
        self._readbacks.shutdown(wait=False, cancel_futures=True)

    def show_readback(self, name: str, moving: bool) -> None:
        """Publish the reading of one device soon; the latest word counts."""
        with self._lock:
            waits = name in self._shown
            self._shown[name] = moving
        if not waits and not self._closed:
            self._readbacks.submit(self._show, name)

    def _show(self, name: str) -> None:
        with self._lock:
            moving = self._shown.pop(name)
        try:
            reading = self._reads(name, SHOWN_WITHIN_S).model_copy(update={"moving": moving})
        except UndulaError as error:
            get_logger().warning("readback_not_shown", device=name, error=str(error))
            return
        self._outgoing.say(lambda: self._connector.put(DEVICE_READBACK, reading, name=name))

    def values_changed(self, changes: DeviceChanges) -> None:
        """Publish values that changed; called on a thread of its own."""
        try:
            self._connector.put(DEVICE_CHANGES, changes)
        except BusError as error:  # the broker is away: the next values will do
            get_logger().info("changes_not_sent", error=str(error))

    def values_heard(self, values: DeviceValues) -> None:
        """Keep what was last heard of all devices; called on a thread of its own."""
        try:
            self._connector.put(DEVICE_VALUES, values)
        except BusError as error:  # in a second there is more
            get_logger().info("values_not_kept", error=str(error))

    def told(self, told: Told) -> None:
        """Publish what a device tells of its own accord soon."""
        put = self._connector.put
        if isinstance(told, FileEvent):
            self._told_file(told)
            self._outgoing.say(lambda: self._append_file(told))
        elif isinstance(told, DevicePreview):
            with self._lock:  # large: of each device only the newest waits
                waits = told.name in self._previews
                self._previews[told.name] = told
            if not waits:
                self._outgoing.say(lambda: self._put_preview(told.name), must=True)
        elif isinstance(told, GraphTold):
            self._outgoing.say(lambda: put(PIPES_STATUS, told, name=told.name))
        else:
            self._outgoing.say(lambda: put(DEVICE_PROGRESS, told, name=told.name))

    def _append_file(self, told: FileEvent) -> None:
        self._connector.append(FILE_EVENTS, told)

    def _put_preview(self, name: str) -> None:
        with self._lock:
            preview = self._previews.pop(name, None)
        if preview is not None:
            self._connector.put(DEVICE_PREVIEW, preview, name=name)
