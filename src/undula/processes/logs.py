"""The log files of all services as one: merged by time, filtered, followed.

In: `logs/*.jsonl`. Out: events as dicts, oldest first. Called by: `cli`. Not here: printing.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from undula.core.log import LEVELS

Event = dict[str, Any]
POLL_S = 0.1
TAIL_BYTES = 2_000_000


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events are wanted: at least `level`, of `service` (None: of all)."""

    level: str = "debug"
    service: str | None = None

    def __call__(self, event: Event) -> bool:
        """Whether the event is wanted; the supervisor's events `of` a service are the service's."""
        grave = LEVELS.get(str(event.get("level")), 0) >= LEVELS[self.level]
        return grave and self.service in (None, event.get("service"), event.get("of"))


@dataclass(slots=True)
class _Tail:
    """Reads a growing file by whole lines; begins again when the file was rotated."""

    path: Path
    offset: int = 0
    inode: int = 0
    rest: bytes = field(default=b"")

    def read(self) -> list[Event]:
        try:
            found = self.path.stat()
            if found.st_ino != self.inode or found.st_size < self.offset:
                self.inode, self.rest = found.st_ino, b""
                self.offset = 0
            with self.path.open("rb") as file:
                file.seek(self.offset)
                data = file.read()
        except OSError:
            return []
        self.offset += len(data)
        *lines, self.rest = (self.rest + data).split(b"\n")
        return [event for event in map(_event, lines) if event]


def _event(line: bytes) -> Event:
    try:
        event = json.loads(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}


def _time(event: Event) -> float:
    stamp = event.get("time")
    return float(stamp) if isinstance(stamp, int | float) else 0.0


class LogBook:
    """All log files of one beamline, read once and then followed without a gap.

    Args:
        folder: where the services' `*.jsonl` files are.
        wanted: which events are given out.
    """

    def __init__(self, folder: Path, wanted: Filter) -> None:
        self._folder = folder
        self._wanted = wanted
        self._tails: dict[Path, _Tail] = {}

    def last(self, lines: int) -> list[Event]:
        """The last `lines` events wanted, of all services, oldest first."""
        return list(deque(self._read(), maxlen=lines))

    def follow(self) -> Iterator[Event]:
        """Events written since the last look, without end; also of services that start later."""
        while True:
            events = self._read()
            yield from events
            if not events:
                time.sleep(POLL_S)

    def _read(self) -> list[Event]:
        for path in sorted(self._folder.glob("*.jsonl")):
            if path not in self._tails:
                self._tails[path] = _near_end(path)
        events = [e for tail in self._tails.values() for e in tail.read() if self._wanted(e)]
        return sorted(events, key=_time)


def _near_end(path: Path) -> _Tail:
    try:
        found = path.stat()
    except OSError:
        return _Tail(path)
    return _Tail(path, max(0, found.st_size - TAIL_BYTES), found.st_ino)
