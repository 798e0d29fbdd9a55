"""The verbs `dev/...`, `scan/...`, `mon/...`, `state/...`: what programs ask a beamline.

In: fields. Out: plain data. Plain methods run on the server's threads, coroutines on its loop.
Not here: commands (`commands`), log in (`login`), what the data come from (`beamline`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from undula.core.errors import InputError
from undula.core.roles import Role
from undula.session.rpc.monitors import Monitors
from undula.session.rpc.ports import Devices, Fields, Scans
from undula.session.rpc.verbs import Ask, verb


class Dev:
    """`dev/...`: devices by their paths."""

    def __init__(self, devices: Devices) -> None:
        self._devices = devices

    @verb()
    def keys(self, ask: Ask, path: str = "") -> list[str]:
        """Paths of the devices below `path`, e.g. of `M`; all without it."""
        del ask
        return self._devices.keys(path)

    @verb()
    def describe(self, ask: Ask, path: str) -> Fields:
        """Data keys of a device: shape, type, unit, source."""
        del ask
        return self._devices.describe(path)

    @verb()
    def read(self, ask: Ask, path: str) -> Fields:
        """Read a device now: data key to value and time stamp."""
        del ask
        return self._devices.read(path)

    @verb()
    def describe_configuration(self, ask: Ask, path: str) -> Fields:
        """Data keys of a device's settings."""
        del ask
        return self._devices.describe_configuration(path)

    @verb()
    def read_configuration(self, ask: Ask, path: str) -> Fields:
        """A device's settings now."""
        del ask
        return self._devices.read_configuration(path)

    @verb()
    def value(self, ask: Ask, path: str) -> Fields:
        """The main value as it was last heard; asks no hardware."""
        del ask
        return self._devices.value(path)


class Scan:
    """`scan/...`: the running scan."""

    def __init__(self, scans: Scans) -> None:
        self._scans = scans

    @verb(needs=Role.USER)
    def pause(self, ask: Ask, at_point: bool = False) -> Fields:
        """Pause now, or with `at_point` at the next point; the status afterwards."""
        del ask
        return self._scans.pause(at_point)

    @verb(needs=Role.USER)
    def resume(self, ask: Ask) -> Fields:
        """Go on with the paused scan."""
        del ask
        return self._scans.resume()

    @verb(needs=Role.USER)
    def abort(self, ask: Ask, reason: str = "") -> Fields:
        """End the scan, with clean-up; `reason` is kept in the run."""
        del ask
        return self._scans.abort(reason)

    @verb(needs=Role.USER)
    def skip(self, ask: Ask) -> Fields:
        """Leave out the point under way and go on; `did` says which."""
        del ask
        return self._scans.skip()

    @verb(needs=Role.USER)
    def retake(self, ask: Ask, point: int | None = None) -> Fields:
        """Take a point again, by its number from 1 (else the last one); both are kept."""
        del ask
        if point is not None and point < 1:
            raise InputError(f"point is {point}", remedy="points count from 1")
        return self._scans.retake(point)

    @verb(needs=Role.USER)
    def complete(self, ask: Ask) -> Fields:
        """End the scan early and count it as good, at the end of its point."""
        del ask
        return self._scans.complete()

    @verb(needs=Role.USER)
    def stop_all(self, ask: Ask, reason: str = "") -> Fields:
        """End the scan, with clean-up, and take out all that waits."""
        del ask
        return self._scans.stop_all(reason)

    @verb()
    def stop(self, ask: Ask) -> Fields:
        """Stop motion, whatever is queued or busy; anybody may."""
        del ask
        return self._scans.stop()

    @verb()
    def status(self, ask: Ask) -> Fields:
        """What runs, what waits and for what, and how long it all takes."""
        del ask
        return self._scans.status()

    @verb()
    def progress(self, ask: Ask) -> Fields:
        """How far the running scan is: points done of all (`total` is null when unknown)."""
        del ask
        status = self._scans.status()
        return {name: status.get(name) for name in ("id", "state", "done", "total", "retaken")}


class Mon:
    """`mon/...`: notifications `monitor/PATH` while a device changes."""

    def __init__(self, monitors: Monitors) -> None:
        self._monitors = monitors

    @verb()
    async def add(self, ask: Ask, path: str, period_s: float = 0.1) -> Fields:
        """Tell of each change of a device, the newest value at most once in `period_s` seconds.

        It ends with `mon/remove`, or with the process that asked for it.
        """
        if not 0.02 <= period_s <= 60.0:
            raise InputError(f"period_s is {period_s:g}", remedy="give 0.02 to 60 seconds")
        return await self._monitors.add(path, period_s, ask.peer.pid)

    @verb()
    async def remove(self, ask: Ask, path: str) -> None:
        """End the monitor that this process asked for; others' stay."""
        await self._monitors.remove(path, ask.peer.pid)


class State:
    """`state/...`: all that a late joiner needs."""

    def __init__(self, scans: Scans, devices: Devices, session: Callable[[], Fields]) -> None:
        self._scans, self._devices, self._session = scans, devices, session

    @verb()
    async def snapshot(self, ask: Ask) -> dict[str, Any]:
        """Session, commands, scan and queue, devices; `sent` counts the notifications before."""
        del ask
        session = self._session()
        scan = await asyncio.to_thread(self._scans.status)
        devices = await asyncio.to_thread(self._devices.keys, "")
        return {**session, "scan": scan, "devices": devices}
