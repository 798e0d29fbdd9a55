"""The alarms of a beamline: raised, cleared, acknowledged, and kept.

In: what is wrong now, again and again. Out: `Alarm`s with a beginning and an end. Kept as lines of
JSON, one a change, so that a restarted engine knows what nobody has seen yet.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from pydantic import ValidationError

from undula.core.clock import now
from undula.core.errors import InputError
from undula.core.log import get_logger
from undula.devices.registry import Registry
from undula.messages import Alarm, AlarmTable
from undula.messages.alarms import Severity
from undula.scans.conditions import Trip
from undula.scans.watchdog import Late

KEPT = 1000
Wrong = Mapping[str, tuple[Severity, str]]
"""Source to how bad it is and what it is."""


def wrong_now(
    trips: Iterable[Trip], devices: Registry, late: Iterable[Late] = ()
) -> dict[str, tuple[Severity, str]]:
    """Conditions that do not hold, enabled devices that do not answer, what is overdue."""
    found: dict[str, tuple[Severity, str]] = {one.source: ("minor", one.text) for one in late}
    for name in devices.names():
        device = devices[name]
        if device.entry.enabled and not device.connected:
            found[name] = ("minor", f"{name} does not answer: {device.problem}")
    for trip in trips:
        grave = trip.action in ("pause", "abort")
        found[trip.name] = ("major" if grave else "minor", str(trip))
    return found


class Alarms:
    """All alarms that are kept. `see` is called often, by one thread."""

    def __init__(self, path: Path, changed: Callable[[], None]) -> None:
        self._path = path
        self._changed = changed
        self._lock = threading.Lock()
        self._alarms: dict[int, Alarm] = self._read()
        if len(self._alarms) > KEPT:
            self._alarms = dict(sorted(self._alarms.items())[-KEPT:])
            self._rewrite()

    def see(self, wrong: Wrong) -> None:
        """What is wrong now: new things are raised, what is over is cleared."""
        with self._lock:
            lasting = {a.source: a for a in self._alarms.values() if a.cleared is None}
            changes = [
                alarm.model_copy(update={"cleared": now()})
                for source, alarm in lasting.items()
                if source not in wrong
            ]
            number = max(self._alarms, default=0)
            for source in wrong.keys() - lasting.keys():
                number += 1
                severity, text = wrong[source]
                changes.append(
                    Alarm(number=number, source=source, severity=severity, text=text, raised=now())
                )
            self._keep(changes)
        for alarm in changes:
            log = get_logger().warning if alarm.cleared is None else get_logger().info
            log("alarm", number=alarm.number, text=alarm.text, over=alarm.cleared is not None)
        if changes:
            self._changed()

    def acknowledge(self, numbers: Iterable[int], user: str) -> list[Alarm]:
        """Enter who has seen them; all without numbers. Raises: InputError for an unknown one."""
        with self._lock:
            wanted = list(numbers) or [a.number for a in self._open()]
            unknown = [n for n in wanted if n not in self._alarms]
            if unknown:
                raise InputError(f"there is no alarm {unknown[0]}", remedy="see undula alarms")
            seen = [
                self._alarms[n].model_copy(update={"seen_by": user or "somebody", "seen": now()})
                for n in wanted
                if not self._alarms[n].seen_by
            ]
            self._keep(seen)
        self._changed()
        return seen

    def table(self) -> AlarmTable:
        """Alarms that last, or that nobody has seen."""
        with self._lock:
            return AlarmTable(alarms=self._open())

    def history(self) -> list[Alarm]:
        """All that are kept, the oldest first."""
        with self._lock:
            return [self._alarms[n] for n in sorted(self._alarms)]

    def _open(self) -> list[Alarm]:
        found = (self._alarms[n] for n in sorted(self._alarms))
        return [a for a in found if a.cleared is None or not a.seen_by]

    def _keep(self, changes: Iterable[Alarm]) -> None:
        lines = ""
        for alarm in changes:
            self._alarms[alarm.number] = alarm
            lines += alarm.model_dump_json() + "\n"
        if not lines:
            return
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(lines)
        except OSError as exc:  # e.g. a full disk: people still see it
            get_logger().error("alarm_not_kept", error=str(exc))

    def _read(self) -> dict[int, Alarm]:
        found: dict[int, Alarm] = {}
        try:
            text = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return found
        for line in text.splitlines():
            try:
                alarm = Alarm.model_validate_json(line)
            except ValidationError:  # a line that a power cut left half
                continue
            found[alarm.number] = alarm
        return found

    def _rewrite(self) -> None:
        temporary = self._path.with_suffix(".new")
        lines = (self._alarms[n].model_dump_json() + "\n" for n in sorted(self._alarms))
        temporary.write_text("".join(lines), encoding="utf-8")
        temporary.replace(self._path)
