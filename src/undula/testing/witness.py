"""Devices that tell a witness: each reading stands in a file before anybody else has it.

The file survives the kill of any process, so a test can say what was really measured. Used in a
device file as `undula.testing.witness.WitnessCounter` with `deviceConfig: {log: PATH}`.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from undula.devices.sim.base import SimCounter, SimDevice
from undula.devices.sim.status import SimStatus


def _note(path: str, line: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o660)
    try:
        os.write(handle, line.encode() + b"\n")
    finally:
        os.close(handle)


class WitnessCounter(SimCounter):
    """A counter whose every value is unique and noted in `log` before it is returned."""

    dtype = "integer"
    dtype_numpy = "<i8"

    def __init__(self, name: str, log: str) -> None:
        super().__init__(name)
        self._log = log

    @property
    def instant(self) -> bool:
        """Never: each point is to be a message of its own."""
        return False

    def counted(self, count_time_s: float) -> int:  # noqa: ARG002  # part of the counter's contract
        """A number that never comes again: nanoseconds since the epoch."""
        value = time.time_ns()
        _note(self._log, f"count {value}")
        return value


class WitnessAxis(SimDevice):
    """An instant axis that notes each move, and each stop."""

    def __init__(self, name: str, log: str) -> None:
        super().__init__(name, "mm")
        self._log = log
        self._at = 0.0

    def value(self) -> float:
        """Where it is, mm."""
        return self._at

    @property
    def position(self) -> float:
        """Where it is, mm."""
        return self._at

    def set(self, target: float) -> SimStatus:
        """Be there at once."""
        _note(self._log, f"set {target}")
        self._at = float(target)
        return self._done

    def stop(self, *, success: bool = False) -> None:  # noqa: ARG002  # part of the protocol
        """Note that it was stopped."""
        _note(self._log, "stop")


def noted(log: Path, word: str) -> list[str]:
    """What follows `word` in the lines of a witness file, in order."""
    if not log.exists():
        return []
    lines = (line.split(" ", 1) for line in log.read_text(encoding="utf-8").splitlines())
    return [parts[1] if len(parts) > 1 else "" for parts in lines if parts[0] == word]


def device_file(folder: Path, log: Path) -> Path:
    """A device file with two witness axes `wx` and `wy`, and one witness counter `wc`."""
    entries: dict[str, Any] = {"wx": "WitnessAxis", "wy": "WitnessAxis", "wc": "WitnessCounter"}
    text = "".join(
        f"{name}:\n  deviceClass: undula.testing.witness.{cls}\n"
        f"  deviceConfig: {{log: {log}}}\n  enabled: true\n"
        f"  readoutPriority: {'monitored' if name == 'wc' else 'on_request'}\n"
        for name, cls in entries.items()
    )
    path = folder / "devices.yaml"
    path.write_text(text, encoding="utf-8")
    return path
