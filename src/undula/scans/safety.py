"""What the running scan or move has touched, on disk, so that a successor can stop it.

Written before anything moves, by rename; read by the next engine and by the stopper process.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from undula.core.log import get_logger
from undula.devices.epics import stop_pvs
from undula.devices.registry import Registry


class Touched:
    """The file `touched.json`: holder to devices, and how to stop each without this process."""

    def __init__(self, path: Path, devices: Registry) -> None:
        self._path = path
        self._devices = devices
        self._holders: dict[str, list[str]] = {}
        self._lock = threading.Lock()

    def add(self, holder: str, names: Iterable[str]) -> None:
        """`holder` may move, trigger or stage these from now on."""
        with self._lock:
            self._holders[holder] = list(names)
            self._write()

    def of(self, holder: str) -> list[str]:
        """What `holder` may move, trigger or stage."""
        with self._lock:
            return list(self._holders.get(holder, ()))

    def drop(self, holder: str) -> None:
        """`holder` has let go of its devices."""
        with self._lock:
            if self._holders.pop(holder, None) is not None:
                self._write()

    def names(self) -> list[str]:
        """All devices touched now."""
        with self._lock:
            return list(dict.fromkeys(n for names in self._holders.values() for n in names))

    def _write(self) -> None:
        names = dict.fromkeys(n for names in self._holders.values() for n in names)
        content = {
            "devices": {
                n: {"stop": [list(pair) for pair in stop_pvs(self._devices[n].entry)]}
                for n in names
            }
        }
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text(json.dumps(content), encoding="utf-8")
        temporary.replace(self._path)


def left_behind(path: Path) -> list[str]:
    """Devices that a dead engine had touched; empty when there is nothing to do."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return list(content.get("devices", {}))
    except FileNotFoundError:
        return []
    except (ValueError, AttributeError) as exc:
        get_logger().error("touched_file_unreadable", path=str(path), error=str(exc))
        return []
