"""Monitors: changes of devices as notifications, the newest value a period and topic.

In: changes, from any thread. Out: `{"typ": "monitor/M.samx", "value": ..., "timestamp": ...}`. A
monitor ends when it is removed or when the process that asked for it has ended (pidfd). On the
server's loop.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field

from undula.session.rpc.errors import ZError
from undula.session.rpc.ports import Devices, Fields, Notify

MAX_MONITORS = 500


@dataclass(slots=True)
class _Topic:
    """One device that somebody watches; `waiting` is the value not told yet."""

    end: Callable[[], None] = lambda: None
    periods: dict[int, float] = field(default_factory=dict)
    waiting: Fields | None = None
    last: Fields | None = None
    timer: asyncio.TimerHandle | None = None


class Monitors:
    """All monitors of a server. Coroutines on its loop only."""

    def __init__(self, devices: Devices, notify: Notify) -> None:
        self._devices, self._notify = devices, notify
        self._topics: dict[str, _Topic] = {}
        self._processes: dict[int, int] = {}

    async def add(self, path: str, period_s: float, pid: int) -> Fields:
        """Begin, or change the period; the value as last heard.

        Raises: InputError for an unknown path; ZError `busy` when there are too many.
        """
        value = await asyncio.to_thread(self._devices.value, path)
        if path not in self._topics:
            await self._begin(path)
        self._topics[path].periods[pid] = period_s
        self._watch_process(pid)
        return value

    async def _begin(self, path: str) -> None:
        if len(self._topics) >= MAX_MONITORS:
            raise ZError("busy", f"{MAX_MONITORS} devices are watched already")
        loop = asyncio.get_running_loop()
        topic = self._topics[path] = _Topic()

        def changed(value: Fields) -> None:
            loop.call_soon_threadsafe(self._changed, path, value)

        try:
            topic.end = await asyncio.to_thread(self._devices.watch, path, changed)
        except BaseException:  # whatever it is, it goes on to the caller
            del self._topics[path]
            raise

    async def remove(self, path: str, pid: int) -> None:
        """End a process's monitor; nothing happens when there is none."""
        topic = self._topics.get(path)
        if topic is None:
            return
        topic.periods.pop(pid, None)
        if not topic.periods:
            del self._topics[path]
            if topic.timer is not None:
                topic.timer.cancel()
            await asyncio.to_thread(topic.end)

    def _changed(self, path: str, value: Fields) -> None:
        topic = self._topics.get(path)
        if topic is None or value == topic.last:
            return
        topic.waiting = value
        if topic.timer is None:
            self._tell(path)

    def _tell(self, path: str) -> None:
        """What waits, and nothing more before the period has passed."""
        topic = self._topics.get(path)
        if topic is None:
            return
        topic.timer = None
        if topic.waiting is None:
            return
        topic.last, topic.waiting = topic.waiting, None
        self._notify({"typ": f"monitor/{path}", **topic.last})
        period_s = min(topic.periods.values(), default=0.1)
        topic.timer = asyncio.get_running_loop().call_later(period_s, self._tell, path)

    # -- the processes that asked -----------------------------------------------------------

    def _watch_process(self, pid: int) -> None:
        if pid in self._processes:
            return
        loop = asyncio.get_running_loop()
        try:
            handle = os.pidfd_open(pid)
        except OSError:  # it has ended already, or lives in another pid namespace
            return
        self._processes[pid] = handle
        loop.add_reader(handle, lambda: loop.create_task(self._process_ended(pid)))

    async def _process_ended(self, pid: int) -> None:
        self._forget(pid)
        for path in [path for path, topic in self._topics.items() if pid in topic.periods]:
            await self.remove(path, pid)

    def _forget(self, pid: int) -> None:
        handle = self._processes.pop(pid, None)
        if handle is not None:
            asyncio.get_running_loop().remove_reader(handle)
            os.close(handle)

    def watched(self) -> list[str]:
        """Paths that somebody watches."""
        return sorted(self._topics)

    async def close(self) -> None:
        """End all of them."""
        for pid in list(self._processes):
            self._forget(pid)
        for path, topic in list(self._topics.items()):
            for pid in list(topic.periods):
                await self.remove(path, pid)
