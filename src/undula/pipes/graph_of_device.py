"""Room: pipes. The graph that a device file gives, checked in every way that is known beforehand.

In: a graph or the path of one, the folder of nodes, where its nodes run. Out: the graph as scans
use it, or every fault with its place. Called by: `detector`, when it is made and when its device
file is checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from undula.core.served import own_nodes
from undula.pipes.for_scans import ScanGraph, for_scans
from undula.pipes.graph import checked, load_graph, read_graph
from undula.pipes.graph.place import placed
from undula.pipes.nodes.user_nodes import NodeFolder
from undula.pipes.runner.placement import LocalPlacement, placeable


def nodes_folder(given: str | None) -> Path | None:
    """The folder of nodes that a device file names, or else the beamline's own."""
    return own_nodes() if given is None else Path(given)


def usable_graph(
    name: str, graph: str | Mapping[str, Any], nodes: Path | None,
    place: Mapping[str, str] | None = None,
) -> ScanGraph:  # fmt: skip
    """The graph of a device file, as scans use it, on hosts that the engine reaches.

    Raises: GraphError with every fault.
    """
    types = NodeFolder(nodes)
    plain = load_graph(Path(graph)) if isinstance(graph, str) else read_graph(graph, name)
    made = checked(placed(plain, place or {}), types)
    placeable(made, LocalPlacement().sites())
    return for_scans(made, types, name)


def nodes_changed(scan: ScanGraph) -> bool:
    """Whether another version of a node that the graph uses was saved since this was asked last."""
    if not isinstance(scan.types, NodeFolder):
        return False
    changed = scan.types.refresh()
    return any(spec.kind in changed for spec in scan.graph.nodes.values())
