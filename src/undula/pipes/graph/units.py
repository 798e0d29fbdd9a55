"""Room: pipes. The unit of what a port of a graph gives. Pure.

In: a graph that was checked, the classes of its nodes, a port. Out: its unit; a node that hands on
what it got, or sums it up, has that of its input, and so on up to the source.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from undula.pipes.graph.model import AS_INPUT, Graph


def unit_of(graph: Graph, types: Mapping[str, Any], node: str, port: str) -> str:
    """The unit of the values that `node.port` gives; '' when it has none, or nobody knows."""
    spec = graph.nodes[node]
    kind = types[spec.kind]
    unit = str(kind.unit_of(port, spec.parameters))
    if unit != AS_INPUT:
        return unit
    into = [edge for edge in graph.into(node) if not edge.feedback]
    passed = kind.passes.get(port)
    above = [edge for edge in into if passed is None or edge.target_port == passed]
    return unit_of(graph, types, above[0].source, above[0].source_port) if above else ""
