"""Room: pipes. A graph as values: nodes, edges, where each node runs. Pure.

Made by `load` from YAML, JSON or Python; judged by `check`; drawn by `draw`; run by the runner. It
names nodes by the names of their classes, and knows nothing of these classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from undula.pipes.policy import Policy

OnFailure = Literal["skip", "stop"]
DEFAULT_BUDGET_BYTES = 256_000_000
AS_INPUT = "unit of its input"
"""The unit of an output whose values are those of the input, or sums and means of them."""
CHANNEL = "channel"
"""The kind of node that is where the graph is run from, whatever process it names."""


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """One node of a graph.

    Args:
        name: in the graph.
        kind: name of its class.
        parameters: as they are given.
        process: nodes of one process hand frames on by reference; its own one by default.
        on_failure: what an exception does: `skip` leaves the frame out and counts it as failed,
            `stop` ends the graph.
        budget_bytes: memory for the frames that it hands on, for each of its outputs.
        frame_bytes: of the largest frame that it hands on; None: that of the first.
        host: where its process runs; empty: here.
        spill: folder on disk for its frames that wait for a consumer which spills; empty: the one
            that the graph is run with.
    """

    name: str
    kind: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    process: str = ""
    on_failure: OnFailure = "skip"
    budget_bytes: int = DEFAULT_BUDGET_BYTES
    frame_bytes: int | None = None
    host: str = ""
    spill: str = ""


@dataclass(frozen=True, slots=True)
class EdgeSpec:
    """One edge of a graph: `source.source_port -> target.target_port`.

    A feedback edge goes back to a node further up; the graph may have a cycle through it.
    """

    source: str
    source_port: str
    target: str
    target_port: str
    policy: Policy = field(default_factory=Policy)
    feedback: bool = False

    @property
    def name(self) -> str:
        """`det.frames -> roi.frames`."""
        return f"{self.start} -> {self.end}"

    @property
    def start(self) -> str:
        """`det.frames`."""
        return f"{self.source}.{self.source_port}"

    @property
    def end(self) -> str:
        """`roi.frames`."""
        return f"{self.target}.{self.target_port}"


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes by name, and edges. What `check` made has no fault."""

    name: str
    nodes: Mapping[str, NodeSpec]
    edges: tuple[EdgeSpec, ...]

    def into(self, node: str) -> list[EdgeSpec]:
        """Edges that end in a node."""
        return [edge for edge in self.edges if edge.target == node]

    def out_of(self, node: str, port: str | None = None) -> list[EdgeSpec]:
        """Edges that begin in a node, or at one of its ports."""
        return [e for e in self.edges if e.source == node and port in (None, e.source_port)]

    def processes(self) -> dict[str, list[str]]:
        """Names of nodes by process, each process's in the order of the flow.

        Channels are in none: whoever runs the graph takes what comes to them.
        """
        found: dict[str, list[str]] = {}
        for name in self.order():
            if self.nodes[name].kind != CHANNEL:
                found.setdefault(self.nodes[name].process or name, []).append(name)
        return found

    def order(self) -> list[str]:
        """All nodes, each behind those that it hears (feedback apart)."""
        waiting = {
            name: {e.source for e in self.into(name) if not e.feedback} for name in self.nodes
        }
        found: list[str] = []
        while waiting:
            free = [name for name, above in waiting.items() if not above] or [next(iter(waiting))]
            for name in free:
                del waiting[name]
            found += free
            for above in waiting.values():
                above.difference_update(free)
        return found

    def plain(self) -> dict[str, Any]:
        """As it is written in a file."""
        return {
            "name": self.name,
            "nodes": {name: _plain_node(node) for name, node in self.nodes.items()},
            "edges": [_plain_edge(edge) for edge in self.edges],
        }


def _plain_node(node: NodeSpec) -> dict[str, Any]:
    found: dict[str, Any] = {"node": node.kind}
    if node.parameters:
        found["parameters"] = dict(node.parameters)
    if node.process:
        found["process"] = node.process
    if node.host:
        found["host"] = node.host
    if node.spill:
        found["spill"] = node.spill
    if node.on_failure != "skip":
        found["on_failure"] = node.on_failure
    if node.budget_bytes != DEFAULT_BUDGET_BYTES:
        found["budget"] = node.budget_bytes
    if node.frame_bytes is not None:
        found["frame"] = node.frame_bytes
    return found


def _plain_edge(edge: EdgeSpec) -> dict[str, Any]:
    found: dict[str, Any] = {"from": edge.start, "to": edge.end, "policy": edge.policy.text}
    if edge.policy.budget_bytes is not None:
        found["budget"] = edge.policy.budget_bytes
    if edge.feedback:
        found["feedback"] = True
    return found
