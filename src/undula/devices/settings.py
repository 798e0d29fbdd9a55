"""Settings that nobody else owns: kept as lines of JSON with who, when, old and new; never pickled.

In: changes. Out: the value that holds for each device and parameter, and the history. One line a
change, flushed to the disk; a damaged line is skipped.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from undula.core.clock import now
from undula.core.errors import StorageError
from undula.core.log import get_logger

Value = float | int | str | bool | list[float] | None


@dataclass(frozen=True, slots=True)
class Setting:
    """One change of a setting."""

    time: float
    user: str
    device: str
    name: str
    old: Value
    new: Value
    kept: bool = True
    """The device forgets it: it is set again at the next start."""


class Settings:
    """The settings of a beamline, in one file. Only the engine writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    def add(
        self, user: str, device: str, name: str, old: Value, new: Value, *, kept: bool
    ) -> Setting:
        """Write a change down. Raises: StorageError."""
        setting = Setting(now(), user, device, name, old, new, kept)
        line = json.dumps(asdict(setting), ensure_ascii=False) + "\n"
        try:
            with self._lock, self.path.open("a", encoding="utf-8") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as exc:
            raise StorageError(
                f"{self.path} cannot be written: {exc.strerror}",
                remedy="make room; the device has the new value, the next start will not",
            ) from exc
        return setting

    def history(self, device: str | None = None) -> list[Setting]:
        """All changes, oldest first; of one device, or of all."""
        return [s for s in self._lines() if device in (None, s.device)]

    def holding(self) -> dict[str, dict[str, Value]]:
        """Device to what must be set again: parameter to value."""
        found: dict[str, dict[str, Value]] = {}
        for setting in self._lines():
            if setting.kept:
                found.setdefault(setting.device, {})[setting.name] = setting.new
        return found

    def _lines(self) -> Iterator[Setting]:
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return
        for number, line in enumerate(text.splitlines(), 1):
            try:
                yield Setting(**json.loads(line))
            except (ValueError, TypeError):
                get_logger().warning("setting_unreadable", file=str(self.path), line=number)
