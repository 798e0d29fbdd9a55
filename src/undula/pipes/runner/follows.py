"""Room: pipes. What follows from the edges of a graph: who passes frames on, who may sleep. Pure.

In: a graph, the classes of its nodes. Out: which frames a node passes on one by one, what its
process alone knows; which nodes are viewers, for whom nobody waits. Called by: `runner`,
`alive`, `worker`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from undula.pipes.graph.model import Graph


class Follows:
    """What follows from the kinds of the nodes.

    Args:
        graph: that was checked.
        types: classes of nodes by name.
    """

    def __init__(self, graph: Graph, types: Mapping[str, Any]) -> None:
        self._graph, self._types = graph, types
        self._lossless = {e.name for e in graph.edges if e.policy.kind == "lossless"}

    def inputs(self, node: str) -> Sequence[Any]:
        """The input ports of a node; none of a source."""
        found: Sequence[Any] = self._types[self._graph.nodes[node].kind].inputs
        return found

    def all(self) -> dict[str, list[str]]:
        """For nodes, and for outputs of nodes with several inputs, whose frames they pass on."""
        found = {name: self._of(name) for name in self._graph.nodes}
        for name, node in self._graph.nodes.items():
            for port, source in self._types[node.kind].passes.items():
                into = [e.name for e in self._graph.into(name) if e.target_port == source]
                found[f"{name}.{port}"] = into
        return found

    def _of(self, node: str) -> list[str]:
        kind = self._types[self._graph.nodes[node].kind]
        into = [edge.name for edge in self._graph.into(node) if not edge.feedback]
        one_by_one = kind.covers == "frame" and not kind.queued and len(kind.inputs) == 1
        return into if one_by_one and len(into) == 1 else []

    def untold(self, nodes: Iterable[str]) -> list[str]:
        """Edges of which a process with these nodes alone knows what becomes of some frames.

        Of a source's edge without loss to another process the consumer knows it all.
        """
        there = list(nodes)
        return [
            edge.name for node in there for edge in self._graph.out_of(node)
            if self.inputs(node) or edge.name not in self._lossless or edge.target in there
        ]  # fmt: skip


def viewers(graph: Graph) -> frozenset[str]:
    """Nodes that nobody waits for: on each way to them frames may be left out.

    Each of their inputs is `latest` or `sample`, or comes from such a node.
    """
    awake: set[str] = set()
    for name in graph.order():
        into = [edge for edge in graph.into(name) if not edge.feedback]
        must = [e for e in into if e.policy.kind not in ("latest", "sample") and e.source in awake]
        if must or not into:
            awake.add(name)
    return frozenset(graph.nodes) - awake
