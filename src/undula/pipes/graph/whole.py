"""Room: pipes. A graph from its file to the one that can run, with all faults at once. Pure.

In: a file or plain values, the classes of nodes, where nodes are to run. Out: the graph, or one
GraphError with every fault of its text, its form, its nodes and edges, and of whatever else the one
who asks has to say. Called by: the command line, `graph_of_device`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from undula.pipes.graph.check import judged
from undula.pipes.graph.faults import Faults
from undula.pipes.graph.load import read_draft, read_file
from undula.pipes.graph.model import Graph
from undula.pipes.graph.place import place_all

Also = Callable[[Graph, Faults], object]
"""Further faults of what is right of a graph."""


def whole_graph(
    source: Path | Mapping[str, Any], types: Mapping[str, Any], *, name: str = "graph",
    place: Mapping[str, str] | None = None, also: Also = lambda *_: None,
) -> Graph:  # fmt: skip
    """The graph, checked, with every port filled in.

    Args:
        source: a YAML or JSON file, or what stands in one.
        types: classes of nodes by name.
        name: of a graph that says none, and is in no file.
        place: hosts by node, in place of what the graph says.
        also: adds what more is wrong, when all nodes and edges could be read.
    Raises: GraphError listing every fault.
    """
    if isinstance(source, Path):
        text = read_file(source)
        faults, content, name = text.faults(source.name), text.content, source.stem
    else:
        faults, content = Faults(), source
    draft = place_all(read_draft(content, name, faults), place or {}, faults)
    graph = judged(draft, types, faults)
    every = draft.whole and not draft.broken and len(graph.edges) == len(draft.edges)
    if every and all(spec.kind in types for spec in graph.nodes.values()):
        also(graph, faults)
    faults.finish(graph.name)
    return graph
