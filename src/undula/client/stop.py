"""The way to stop motion: one line to the engine's stop socket, one line back.

Needs neither broker nor RunEngine. When the engine does not answer, the caller decides what stops
the hardware instead (`undula stop` starts a stopper process).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from undula.core.errors import ServiceError
from undula.core.paths import BeamlinePaths
from undula.core.stop_line import CONFIRM_S, ask_stop
from undula.core.stop_mark import stopped_now, who, write_mark


@dataclass(frozen=True, slots=True, repr=False)
class StopReport:
    """What was stopped, and what could not be: device to reason."""

    stopped: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        nothing = "nothing could be stopped" if self.failed else "nothing was moving"
        text = f"stopped {', '.join(self.stopped)}" if self.stopped else nothing
        return text + "".join(f"; NOT stopped {name}: {why}" for name, why in self.failed.items())

    __repr__ = __str__  # what a prompt shows


def stop_motion(paths: BeamlinePaths, timeout_s: float = CONFIRM_S) -> StopReport:
    """Stop every device that moves or that a run touched.

    Raises: ServiceError when the engine does not confirm within `timeout_s` seconds.
    """
    try:
        reply = ask_stop(paths.stop_socket, timeout_s)
    except ServiceError:
        with suppress(OSError):
            write_mark(paths.stopped, stopped_now(who()))  # an engine that comes back knows it
        raise
    return StopReport(stopped=reply["stopped"], failed=reply["failed"])
