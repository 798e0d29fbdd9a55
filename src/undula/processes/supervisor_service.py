"""What the supervisor remembers of one service, and how it tells it: no process is touched here.

In: facts (it ended, it spoke, time passed). Out: the row of `undula status`, the record of the
state file. Called by: `supervisor` only. Standard library and `undula.core` only.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from typing import Any

from undula.core import clock, procs
from undula.core.procs import ProcessId
from undula.processes.supervisor_child import Child
from undula.processes.supervisor_model import Backoff, Phase, ServiceSpec

FIRST_ATTEMPTS = 3
QUIET_S = 10.0


@dataclass(slots=True)
class Service:
    """One service: its spec, its phase, its process while it has one.

    `moment` is monotonic: in `starting` when it must be ready, in `backoff` when it starts again,
    in `stopping` when it is killed.
    """

    spec: ServiceSpec
    phase: Phase = "waiting"
    child: Child | None = None
    moment: float | None = None
    restarts: int = 0
    attempts: int = 0
    again: bool = False
    reason: str = ""
    text: str = ""
    heard: float | None = None
    quiet: bool = False
    backoff: Backoff = field(default_factory=Backoff)

    @property
    def name(self) -> str:
        """The service's name."""
        return self.spec.name

    def hear(self, kind: str, text: str) -> bool:
        """Take a word of the service; True when it has just become ready.

        A heartbeat counts for an adopted service: its READY may have gone to a dead supervisor.
        """
        if text or kind == "ready":
            self.text = text  # an empty heartbeat keeps the last text
        self.heard = clock.now()
        self.quiet = False
        adopted = self.child is not None and self.child.adopted
        return self.phase == "starting" and (kind == "ready" or (kind == "heartbeat" and adopted))

    def falls_quiet(self) -> bool:
        """True once when heartbeats have stopped: worth a warning, never a restart."""
        late = self.heard is not None and clock.now() - self.heard > QUIET_S
        if self.phase != "ready" or self.quiet or not late:
            return False
        self.quiet = True
        return True

    def dies_for_good(self, code: int | None) -> bool:
        """While the beamline first starts: whether this end is final. A signal may be bad luck."""
        by_itself = code is not None and code >= 0
        return by_itself or self.attempts >= FIRST_ATTEMPTS

    def record(self) -> dict[str, Any]:
        """What a successor of the supervisor needs to adopt the service."""
        process = None if self.child is None else self.child.process
        return {
            "pid": process and process.pid,
            "ticks": process and process.ticks,
            "ready": self.phase == "ready",
            "restarts": self.restarts,
            "argv": list(self.spec.argv),
        }

    def row(self, *, memory: bool = True) -> dict[str, Any]:
        """One row of `undula status`: times in s, memory in bytes or, when not wanted, None."""
        process = None if self.child is None else self.child.process
        return {
            "name": self.name,
            "state": self.phase,
            "pid": process and process.pid,
            "uptime_s": round(process.age_s(), 2) if process else None,
            "pss_bytes": procs.pss_bytes(process.pid) if process and memory else None,
            "heartbeat_age_s": None if self.heard is None else round(clock.now() - self.heard, 2),
            "quiet": self.quiet,
            "text": self.text,
            "restarts": self.restarts,
            "essential": self.spec.essential,
            "adopted": self.child is not None and self.child.adopted,
            "reason": self.reason,
        }


def identity(record: dict[str, Any]) -> ProcessId | None:
    """The process that a record names."""
    pid, ticks = record.get("pid"), record.get("ticks")
    return ProcessId(pid, ticks) if isinstance(pid, int) and isinstance(ticks, int) else None


def how_it_ended(code: int | None) -> str:
    """An exit code in words.

    >>> how_it_ended(-9), how_it_ended(2), how_it_ended(None)
    ('was ended by SIGKILL', 'ended with code 2', 'ended')
    """
    if code is None:
        return "ended"
    if code >= 0:
        return f"ended with code {code}"
    return f"was ended by {signal.Signals(-code).name}"
