"""Room: pipes. Where the nodes of a graph write, before it starts and when it has ended.

In: a graph, the classes of its nodes. Out: an error that names the node whose folder takes nothing,
before a frame is made; and, behind the end, files that every program can open, also those of a
process that was killed. Of nodes on this host alone. Called by: `runner`, the commands; a scan's
folder is looked at by `scans.frames`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from undula.core.errors import StorageError
from undula.files.places import RESERVE_BYTES
from undula.pipes.graph.model import Graph
from undula.pipes.runner.placement import HERE


def check_places(graph: Graph, types: Mapping[str, Any]) -> None:
    """Raises: StorageError that names the node, when it could not write where it is to write."""
    for name, kind, values in _here(graph, types):
        try:
            kind.check_places(values)
        except StorageError as exc:
            raise StorageError(exc.what, remedy=exc.remedy, where=f"nodes.{name}") from exc


def too_much(graph: Graph, sizes: Mapping[str, int]) -> list[str]:
    """A warning for each writer whose frames may not fit on its disk.

    Args:
        sizes: of its frames without compression, bytes, by the name of the node.
    Raises: StorageError that names the node, when it does not compress them, and they do not fit.
    """
    found = []
    for name, size in sizes.items():
        parameters = graph.nodes[name].parameters
        folder = Path(str(parameters.get("folder", "."))).expanduser().absolute()
        there = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(there).free
        if graph.nodes[name].host != HERE or size <= free - RESERVE_BYTES:
            continue
        what = f"{size / 1e9:.3g} GB of frames for {folder}, where {free / 1e9:.3g} GB are free"
        if parameters.get("compression") == "none":
            raise StorageError(
                what, remedy="make room, take fewer frames, or compress them: compression: bslz4",
                where=f"nodes.{name}",
            )  # fmt: skip
        found.append(f"{name} will get {what}: that is enough only if they become so much smaller")
    return found


def put_in_order(graph: Graph, types: Mapping[str, Any]) -> None:
    """Open to every reader what processes that were killed have left."""
    for _, kind, values in _here(graph, types):
        kind.put_in_order(values)


def _here(graph: Graph, types: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Name, class and parameters of each node on this host."""
    for name, node in graph.nodes.items():
        if node.host == HERE:
            kind = types[node.kind]
            yield name, kind, kind.checked(**node.parameters)
