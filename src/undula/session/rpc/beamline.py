"""A running beamline for the verbs: its devices and scans through a client, and what it tells.

In: a client's connector. Out: plain data; notifications `scan/...` and `doc/...`. Devices and scans
block, on the server's threads; `Told` has threads of its own and hands over to the loop. Called by:
`processes.session`. Twin for a plain IPython: `session.plain`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from undula.bus.endpoints import QUEUE_FINISHED, QUEUE_STATUS, RUN_DOCUMENTS, RUNS_OPENED
from undula.bus.ports import BEGIN, Connector, Subscription
from undula.client import Client
from undula.core.errors import InputError, UndulaError
from undula.core.log import get_logger
from undula.messages import DeviceChanges, DeviceInfo, QueueStatus, RunOpened
from undula.session.rpc.ports import Fields, Notify

POLL_S = 0.5
MAX_OPEN_RUNS = 100


_Watcher = tuple[str, str, Callable[[Fields], None]]
"""Name and unit of a device, and who is told."""


class ClientDevices:
    """The devices of a beamline, by path or name; see `ports.Devices`."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._watchers: list[_Watcher] = []
        self._listening: Subscription | None = None

    def keys(self, path: str) -> list[str]:
        """Paths of all devices below `path`, in the order of the device file."""
        return [i.path for i in self._client.devices.table() if not path or _below(i.path, path)]

    def describe(self, path: str) -> Fields:
        """Data key to its description."""
        return dict(self._info(path).data_keys)

    def read(self, path: str) -> Fields:
        """Data key to value, time stamp and unit, read now."""
        info = self._info(path)
        return self._client.read(info.name)[info.name]

    def describe_configuration(self, path: str) -> Fields:
        """Data key of each setting to its description."""
        return self._client.read_configuration(self._info(path).name)[1]

    def read_configuration(self, path: str) -> Fields:
        """Data key of each setting to value and time stamp."""
        return self._client.read_configuration(self._info(path).name)[0]

    def value(self, path: str) -> Fields:
        """The main value as last heard; null before the first."""
        info = self._info(path)
        heard = self._client.devices.heard()
        value = heard.values.get(info.name) if heard is not None else None
        stamp = heard.timestamps.get(info.name) if heard is not None else None
        return {"value": value, "timestamp": stamp, "unit": info.unit}

    def watch(self, path: str, changed: Callable[[Fields], None]) -> Callable[[], None]:
        """Each change of the main value; one subscription serves all."""
        info = self._info(path)
        watcher = (info.name, info.unit, changed)
        with self._lock:
            self._watchers.append(watcher)
            if self._listening is None:
                self._listening = self._client.devices.follow(self._changed)

        def end() -> None:
            with self._lock:
                if watcher in self._watchers:
                    self._watchers.remove(watcher)
                unused = None
                if not self._watchers:
                    unused, self._listening = self._listening, None
            if unused is not None:
                unused.close()

        return end

    def _changed(self, changes: DeviceChanges) -> None:
        with self._lock:
            watchers = list(self._watchers)
        for name, unit, changed in watchers:
            if name in changes.values:
                stamp = changes.timestamps.get(name)
                changed({"value": changes.values[name], "timestamp": stamp, "unit": unit})

    def _info(self, path: str) -> DeviceInfo:
        if not path:
            raise InputError("no device was named", remedy="give its path, e.g. M.samx")
        return self._client.devices.info(path)


def _below(path: str, group: str) -> bool:
    return path == group or path.startswith(f"{group}.")


class ClientScans:
    """The scan queue, steered for whom `acting_for` names; see `ports.Scans`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def pause(self, at_point: bool) -> Fields:
        """Pause now, or at the next point."""
        queue = self._client.queue
        return status_fields(queue.pause_at_point() if at_point else queue.pause())

    def resume(self) -> Fields:
        """Go on."""
        return status_fields(self._client.queue.resume())

    def abort(self, reason: str) -> Fields:
        """End it, with clean-up."""
        queue = self._client.queue
        return status_fields(queue.abort(reason or "aborted by a program"))

    def skip(self) -> Fields:
        """Leave out the point under way."""
        return status_fields(self._client.queue.skip())

    def retake(self, point: int | None) -> Fields:
        """Take a point again."""
        return status_fields(self._client.queue.retake(point))

    def complete(self) -> Fields:
        """End it early, as good."""
        return status_fields(self._client.queue.complete())

    def stop_all(self, reason: str) -> Fields:
        """End it and take out all that waits."""
        return status_fields(self._client.queue.stop_all(reason or "stopped by a program"))

    def stop(self) -> Fields:
        """Stop motion: what was stopped, and what could not be."""
        report = self._client.stop()
        return {"stopped": report.stopped, "failed": report.failed}

    def status(self) -> Fields:
        """What runs and what waits, as last published; asks the engine before the first."""
        queue = self._client.queue
        return status_fields(queue.last or queue.list())


def status_fields(status: QueueStatus) -> Fields:
    """The queue as the verbs tell it: `id` is the run's number, `left_s` what is known of all."""
    running = status.running
    return {
        "state": status.state,
        "id": status.run_number,
        "command": running.command if running else "",
        "user": running.user if running else "",
        "done": status.points_done,
        "total": running.num_points if running else None,
        "retaken": status.points_retaken,
        "skipped": status.points_skipped,
        "left_s": status.left_s,
        "left_unknown": status.left_unknown,
        "waiting_for": status.waiting_for,
        "overdue": status.overdue,
        "blocked": status.blocked,
        "message": status.message,
        "did": status.did,
        "waiting": [
            {"item": i.item_id, "command": i.command, "user": i.user} for i in status.waiting
        ],
    }


class Told:
    """Scans and runs as notifications, from `start` to `close`.

    `scan/start` and `scan/stop` bear the run's number as `id`; `doc/start` and `doc/stop` the
    documents; `scan/pause`, `scan/resume` and `scan/progress` follow the queue's status.
    """

    def __init__(
        self, connector: Connector, notify: Notify, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._connector, self._notify, self._loop = connector, notify, loop
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._open: dict[str, int] = {}
        self._state = "idle"
        self._point: tuple[int | None, int] = (None, 0)
        self._listening: list[Subscription] = []
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin, from now on. Blocks a moment."""
        opened = self._connector.last_id(RUNS_OPENED)
        finished = self._connector.last_id(QUEUE_FINISHED)
        status = self._connector.get(QUEUE_STATUS)
        if status is not None and status.run_uid and status.run_number is not None:
            self._open[status.run_uid] = status.run_number  # its end is told, too
        self._listening.append(self._connector.subscribe(QUEUE_STATUS, self._status))
        for work, cursor in ((self._follow_runs, opened), (self._follow_ends, finished)):
            thread = threading.Thread(target=work, args=(cursor,), name="rpc-told", daemon=True)
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        """Tell no more."""
        self._ended.set()
        while self._listening:
            self._listening.pop().close()
        for thread in self._threads:
            thread.join()

    def _say(self, **message: Any) -> None:
        if not self._ended.is_set():
            self._loop.call_soon_threadsafe(self._notify, message)

    def _status(self, status: QueueStatus) -> None:
        before, self._state = self._state, status.state
        number = status.run_number
        if status.state == "paused" and before != "paused":
            self._say(typ="scan/pause", id=number, desc=status.message)
        elif status.state == "running" and before in ("paused", "pausing"):
            self._say(typ="scan/resume", id=number)
        point = (number, status.points_done)
        if number is not None and point != self._point:
            total = status.running.num_points if status.running else None
            self._say(typ="scan/progress", id=number, done=status.points_done, total=total)
        self._point = point
        self._tell_ends()

    def _follow_runs(self, cursor: str) -> None:
        while not self._ended.is_set():
            try:
                for entry, opened in self._connector.read(
                    RUNS_OPENED, after=cursor, block_s=POLL_S
                ):
                    cursor = entry
                    if not opened.imported:
                        self._opened(opened)
            except UndulaError as error:
                self._wait_after(error)

    def _opened(self, opened: RunOpened) -> None:
        first = self._connector.read(
            RUN_DOCUMENTS, after=BEGIN, count=1, block_s=2.0, uid=opened.uid
        )
        self._say(typ="scan/start", id=opened.number)
        if first:
            self._say(typ="doc/start", id=opened.number, doc=first[0][1].doc)
        with self._lock:
            while len(self._open) >= MAX_OPEN_RUNS:
                self._open.pop(next(iter(self._open)))
            self._open[opened.uid] = opened.number
        self._tell_ends()

    def _follow_ends(self, cursor: str) -> None:
        while not self._ended.is_set():
            try:
                found = self._connector.read(QUEUE_FINISHED, after=cursor, block_s=POLL_S)
                for entry, _ in found:
                    cursor = entry
                self._tell_ends()
            except UndulaError as error:
                self._wait_after(error)

    def _wait_after(self, error: UndulaError) -> None:
        get_logger().info("rpc_runs_not_followed", why=str(error))
        self._ended.wait(1.0)

    def _tell_ends(self) -> None:
        """Tell of each open run whose stop document is there; any thread."""
        with self._lock:
            for uid, number in list(self._open.items()):
                last = self._connector.last_id(RUN_DOCUMENTS, uid=uid)
                stop = self._stop_document(uid, last)
                if stop is not None:
                    del self._open[uid]
                    self._say(typ="doc/stop", id=number, doc=stop)
                    self._say(
                        typ="scan/stop", id=number, status=stop.get("exit_status", ""),
                        desc=stop.get("reason", ""),
                    )  # fmt: skip

    def _stop_document(self, uid: str, last: str) -> Fields | None:
        number = int(last.partition("-")[0])
        if number < 2:
            return None
        found = self._connector.read(RUN_DOCUMENTS, after=f"{number - 1}-0", count=1, uid=uid)
        return found[0][1].doc if found and found[0][1].name == "stop" else None
