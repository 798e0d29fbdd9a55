"""The log files of all services as one: merged by time, filtered, followed.

In: `logs/*.jsonl`. Out: events as dicts, oldest first. Called by: `cli`. Not here: printing.
"""

from __future__ import annotations

import heapq
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


def last_events(folder: Path, lines: int, wanted: Filter) -> list[Event]:
    """The last `lines` events wanted, of all services, oldest first."""
    streams: list[deque[Event]] = []
    for path in sorted(folder.glob("*.jsonl")):
        try:
            offset = max(0, path.stat().st_size - TAIL_BYTES)
        except OSError:
            continue
        tail = _Tail(path, offset, path.stat().st_ino)
        streams.append(deque((e for e in tail.read() if wanted(e)), maxlen=lines))
    merged = heapq.merge(*(sorted(stream, key=_time) for stream in streams), key=_time)
    return list(deque(merged, maxlen=lines))


def follow(folder: Path, wanted: Filter) -> Iterator[Event]:
    """Events as they are written from now on, without end; also of services that start later."""
    tails = {path: _at_end(path) for path in folder.glob("*.jsonl")}
    while True:
        for path in folder.glob("*.jsonl"):
            tails.setdefault(path, _Tail(path))
        events = [event for tail in tails.values() for event in tail.read() if wanted(event)]
        yield from sorted(events, key=_time)
        if not events:
            time.sleep(POLL_S)


def _at_end(path: Path) -> _Tail:
    found = path.stat()
    return _Tail(path, found.st_size, found.st_ino)
