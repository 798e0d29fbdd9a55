"""Velocities that a move has changed, on disk, so that a successor of the engine puts them back.

In: a device and the velocity it had. Out: what is to be put back. Written before the velocity is
changed, by rename.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path

from undula.core.log import get_logger


class Velocities:
    """The file `velocities.json`: device to velocity, in its unit per second. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._used: dict[str, float] = {}
        self._left = _read(path)

    def note(self, name: str, velocity: float) -> float:
        """A move changes it now; what is to be put back. Raises: OSError."""
        with self._lock:
            self._used[name] = self._left.pop(name, velocity)
            self._write()
            return self._used[name]

    def drop(self, name: str) -> None:
        """It is put back, or somebody has chosen another one; a full disk is logged."""
        with self._lock:
            known = [held.pop(name, None) for held in (self._used, self._left)]
            if known == [None, None]:
                return
            try:
                self._write()
            except OSError as exc:
                get_logger().error("velocities_not_kept", path=str(self._path), error=str(exc))

    def leave(self, name: str) -> None:
        """It could not be put back: later."""
        with self._lock:
            if name in self._used:
                self._left[name] = self._used.pop(name)

    def left(self) -> dict[str, float]:
        """What waits to be put back and no move uses: of a dead engine, or of a lost device."""
        with self._lock:
            return dict(self._left)

    def _write(self) -> None:
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text(json.dumps({**self._left, **self._used}), encoding="utf-8")
        temporary.replace(self._path)


def _read(path: Path) -> dict[str, float]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): float(velocity) for name, velocity in found.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as exc:
        get_logger().error("velocities_unreadable", path=str(path), error=str(exc))
        return {}
