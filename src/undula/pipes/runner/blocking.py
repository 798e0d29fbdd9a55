"""Room: pipes. How long a node waits for slots, and which edges leave it none.

In: a node's status, when it begins to wait and when it goes on. Out: the status, kept right.
"""

from __future__ import annotations

import time

from undula.pipes.runner.status import NodeStatus


class Blocking:
    """Of one node."""

    def __init__(self, status: NodeStatus) -> None:
        self._status = status
        self.since = 0.0
        """When it began to wait, monotonic, s; 0 while it does not."""

    def begin(self, edges: list[str]) -> None:
        """It waits, or still does, for these edges."""
        self.since = self.since or time.monotonic()
        self._status.blocked_by = edges

    def end(self) -> None:
        """It goes on."""
        self._status.blocked_s += time.monotonic() - self.since
        self.since = 0.0
        self._status.blocked_by = []
