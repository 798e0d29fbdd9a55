"""The line to the engine's stop socket: `stop NAME` in, one line of JSON out.

In: the socket's path. Out: what was stopped and what could not be. Standard library only, so that a
stop command reaches the engine before anything else is even imported.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from undula.core.clock import Deadline
from undula.core.errors import ServiceError
from undula.core.stop_mark import who

CONFIRM_S = 1.0
MAX_REPLY_BYTES = 1_000_000


def ask_stop(path: Path, timeout_s: float = CONFIRM_S) -> dict[str, Any]:
    """Tell the engine to stop all motion: `{"stopped": [names], "failed": {name: text}}`.

    Raises: ServiceError when it does not confirm within `timeout_s` seconds.
    """
    deadline = Deadline(timeout_s)
    received = b""
    try:
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(timeout_s)
            link.connect(str(path))
            link.sendall(f"stop {who()}\n".encode())
            while b"\n" not in received and len(received) < MAX_REPLY_BYTES:
                link.settimeout(max(0.001, deadline.left_s() or 0.0))
                chunk = link.recv(65_536)
                if not chunk:
                    break
                received += chunk
        reply = json.loads(received)
        stopped = [str(name) for name in reply["stopped"]]
        failed = {str(name): str(why) for name, why in reply.get("failed", {}).items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise ServiceError(
            f"the engine did not confirm the stop ({exc or type(exc).__name__})",
            remedy="run undula stop, which also works without the engine",
            where=str(path),
        ) from exc
    return {"stopped": stopped, "failed": failed}
