"""Room: processes. One process of a graph of pipes, started by its runner with a socket.

`python -m undula.processes.pipe_worker DESCRIPTOR`: the first line on that socket says which graph,
and which of its processes this is. Ends when the runner says so, or dies. Exit: 0 as asked, 1 when
a node could not be made.
"""

from __future__ import annotations

import select
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from undula.core.errors import UndulaError
from undula.pipes.graph import checked, read_graph
from undula.pipes.nodes.user_nodes import NodeFolder
from undula.pipes.runner.control import Line
from undula.pipes.runner.worker import Worker


def serve(descriptor: int) -> int:
    """Run the nodes of one process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the runner, which ends us in order
    line = Line(socket.socket(fileno=descriptor))
    words = _first(line)
    if words is None:
        return 0
    try:
        types = NodeFolder(Path(words["nodes"]) if words["nodes"] else None)
        graph = checked(read_graph(words["graph"]), types)
        worker = Worker(graph, words["process"], Path(words["folder"]), types, line)
    except UndulaError as exc:
        line.say(trouble=str(exc))
        return 1
    except Exception as exc:  # a node's own code: whatever it raises, the runner must know
        line.say(trouble=f"{type(exc).__name__}: {exc}")
        return 1
    worker.run()
    return 0


def _first(line: Line) -> dict[str, Any] | None:
    while not line.ended:
        select.select([line], [], [])
        heard = line.heard()
        if heard:
            line.unread(heard[1:])
            return heard[0]
    return None


if __name__ == "__main__":
    sys.exit(serve(int(sys.argv[1])))
