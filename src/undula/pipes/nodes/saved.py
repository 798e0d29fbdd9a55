"""Room: pipes. The nodes of a beamline's files as they are saved now, read aside with a deadline.

In: nodes as they were read before, and which of them a graph uses. Out: the same as their files are
now; those that were read before where a file does not come to its end, e.g. one that waits for
something. Called by: `live_graph`, before each scan.
"""

from __future__ import annotations

import threading
from collections.abc import Collection

from undula.core.errors import ConfigError
from undula.pipes.nodes.user_nodes import NodeFolder

READ_S = 10.0


class SavedNodes:
    """Reads the files of a folder again and again. One thread at a time calls it."""

    def __init__(self, nodes: NodeFolder) -> None:
        self.within_s = READ_S
        """So long files may run while they are read, s."""
        self._nodes = nodes
        self._hung: dict[str, tuple[int, int]] | None = None

    def read(self, kinds: Collection[str]) -> tuple[NodeFolder, list[str]]:
        """The nodes that are used from now on; and which files ran on for too long."""
        stamps = self._nodes.stamps(kinds)
        if stamps != self._hung:  # the same would hang again
            made, done = self._nodes.to_read(), threading.Event()

            def read() -> None:
                try:
                    made.refresh(kinds)
                finally:
                    done.set()

            threading.Thread(target=read, name="nodes-read", daemon=True).start()
            if done.wait(self.within_s):
                self._nodes, self._hung = made, None
                return made, []
            self._hung = stamps
        fault = ConfigError(
            f"they do not come to their end within {self.within_s:g} s when they are read",
            remedy="let a node wait or load in its `clear`, not in its file; until then its former "
            "nodes are used",
            where=", ".join(stamps),
        )
        return self._nodes, [str(fault)]
