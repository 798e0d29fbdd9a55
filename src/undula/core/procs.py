"""Processes of this host as the kernel knows them: identity, life, memory, signals.

A pid alone may be reused; with its start time, and within one boot, it names one process for good.
Imports the standard library only: the supervisor uses it. Linux only.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_STATE_FIELD, _START_FIELD = 0, 19  # after "pid (comm) "


def _stat(pid: int) -> list[str] | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def start_ticks(pid: int) -> int | None:
    """When `pid` started, clock ticks since boot; None when it is gone or only a zombie."""
    fields = _stat(pid)
    if fields is None or fields[_STATE_FIELD] in "ZX":
        return None
    return int(fields[_START_FIELD])


def boot_id() -> str:
    """Random id of this boot: a pid and its start time mean nothing in another one."""
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


@dataclass(frozen=True, slots=True)
class ProcessId:
    """One process for good: pid and start time (clock ticks since boot)."""

    pid: int
    ticks: int

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """The living process that has this pid now, None without one."""
        ticks = start_ticks(pid)
        return None if ticks is None else cls(pid, ticks)

    @property
    def alive(self) -> bool:
        """Whether this very process still runs (a zombie does not)."""
        return start_ticks(self.pid) == self.ticks

    def open(self) -> int | None:
        """A pidfd of this very process, readable at its end; None when it is gone."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except OSError:
            return None
        if self.alive:
            return descriptor
        os.close(descriptor)
        return None

    def kill(self, number: signal.Signals = signal.SIGKILL) -> bool:
        """Signal this very process, never a successor of its pid. False when it is gone."""
        descriptor = self.open()
        if descriptor is None:
            return False
        try:
            signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(descriptor)
        return True

    def age_s(self) -> float:
        """Seconds since the process started."""
        uptime = float((_PROC / "uptime").read_text().split()[0])
        return uptime - self.ticks / os.sysconf("SC_CLK_TCK")


def pss_bytes(pid: int) -> int | None:
    """Proportional memory of a process in bytes (shared pages divided among their users).

    None when the process is gone or belongs to somebody else.
    """
    try:
        lines = (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), None)


def with_environment(variable: str, value: str) -> list[ProcessId]:
    """Own processes that lead a session and were started with `variable=value`."""
    wanted = f"{variable}={value}".encode()
    found: list[ProcessId] = []
    for folder in _PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            words = (folder / "environ").read_bytes().split(b"\0")
            leads = os.getsid(int(folder.name)) == int(folder.name)
        except OSError:
            continue
        if leads and wanted in words:
            process = ProcessId.of(int(folder.name))
            if process is not None:
                found.append(process)
    return found


def environment_of(pid: int, variable: str) -> str | None:
    """What `variable` was when `pid` started; None when unset or unreadable."""
    try:
        words = (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return None
    prefix = f"{variable}=".encode()
    return next((w[len(prefix) :].decode() for w in words if w.startswith(prefix)), None)
