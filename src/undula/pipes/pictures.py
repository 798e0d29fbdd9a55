"""Room: pipes. Files of what ports gave, for who wants to look at it in full.

In: the name of a graph, of a node and its port. Out: a path in the beamline's own folder, one for
each port: the next question replaces what is there. They go with the graph.
"""

from __future__ import annotations

from pathlib import Path

from undula.core.served import own_pictures


def picture_path(graph: str, node: str, port: str, folder: Path | None = None) -> Path | None:
    """Where it is written; None in a process of no beamline: then with the graph's sockets."""
    folder = folder or own_pictures()
    if folder is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{graph}.{node}.{port}.npy"


def forget_pictures(graph: str, folder: Path | None = None) -> None:
    """The graph has ended: nobody looks at what it gave any more."""
    folder = folder or own_pictures()
    if folder is not None:
        for path in folder.glob("*.*.*.npy"):
            if path.name.rsplit(".", 3)[0] == graph:  # the name of a graph may have dots itself
                path.unlink(missing_ok=True)
