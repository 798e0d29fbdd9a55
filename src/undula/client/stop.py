"""The way to stop motion: one line to the engine's stop socket, one line back.

Needs neither broker nor RunEngine. When the engine does not answer, the caller decides what stops
the hardware instead (`undula stop` starts a stopper process).
"""

from __future__ import annotations

import json
import socket
import time
from dataclasses import dataclass, field
from typing import Any

from undula.core.errors import ServiceError
from undula.core.paths import BeamlinePaths

REPLY_TIMEOUT_S = 1.0
MAX_REPLY_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class StopReport:
    """What was stopped, and what could not be: device to reason."""

    stopped: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        text = f"stopped {', '.join(self.stopped)}" if self.stopped else "nothing was moving"
        return text + "".join(f"; NOT stopped {name}: {why}" for name, why in self.failed.items())


def stop_motion(paths: BeamlinePaths, timeout_s: float = REPLY_TIMEOUT_S) -> StopReport:
    """Stop every device that moves or that a run touched.

    Raises: ServiceError when the engine does not confirm within `timeout_s` seconds.
    """
    try:
        line = _ask(str(paths.stop_socket), timeout_s)
        reply: dict[str, Any] = json.loads(line)
        return StopReport(
            stopped=[str(name) for name in reply.get("stopped", [])],
            failed={str(k): str(v) for k, v in dict(reply.get("failed", {})).items()},
        )
    except (OSError, ValueError) as exc:
        raise ServiceError(
            f"the engine did not confirm the stop ({exc or type(exc).__name__})",
            remedy="run undula stop, which also works without the engine, or use the hardware stop",
            where=str(paths.stop_socket),
        ) from exc


def _ask(path: str, timeout_s: float) -> bytes:
    end = time.monotonic() + timeout_s
    received = b""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(timeout_s)
        link.connect(path)
        link.sendall(b"stop\n")
        while b"\n" not in received and len(received) < MAX_REPLY_BYTES:
            link.settimeout(max(0.001, end - time.monotonic()))
            chunk = link.recv(65536)
            if not chunk:
                break
            received += chunk
    return received
