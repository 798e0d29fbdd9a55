"""Room: pipes. Rehearsal: the graph to be tried before there is beam. Pure.

In: a graph. Out: the same with made-up frames of the real size, which writes its files into a
folder of its own on the same disk. What is found in it is judged by `verdict`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from undula.pipes.graph.model import Graph

Size = tuple[int, int, str]
"""Height and width, px, and dtype."""


def rehearsal(
    graph: Graph, rate_hz: float, folder: str, sizes: Mapping[str, Size]
) -> tuple[Graph, list[Path]]:
    """The graph to rehearse, and the folders that it makes, to be removed behind it.

    Args:
        rate_hz: of its sources; 0: as fast as the frames are taken.
        folder: name of the folders for files, below the graph's own.
        sizes: of the frames that other sources than made-up detectors bring, by node.
    """
    nodes, made = dict(graph.nodes), []
    for name, node in graph.nodes.items():
        given: dict[str, Any] = dict(node.parameters)
        kind = node.kind
        if name in sizes:
            height, width, dtype = sizes[name]
            kind, given = "simulated", {"height": height, "width": width, "dtype": dtype}
        if kind == "simulated":
            given |= {"rate_hz": rate_hz, "frames": 0, "faults": {}}
            if given.get("pattern") == "spot":
                given["pattern"] = "spots"  # drawn beforehand: a spot that moves is drawn anew
        elif "folder" in given or kind == "frame_file":
            place = Path(str(given.get("folder", "."))).expanduser() / folder
            made.append(place)
            given["folder"] = str(place)
        nodes[name] = replace(node, kind=kind, parameters=given)
    edges = tuple(
        replace(edge, source_port="frames") if edge.source in sizes else edge
        for edge in graph.edges
    )  # fmt: skip
    return replace(graph, nodes=nodes, edges=edges), made
