"""Room: pipes. Rehearsal: what a graph can do, before there is beam. Pure.

In: a graph; and, after it has run for a while as fast as it could, its status. Out: the graph to
rehearse (made-up frames of the real size, files in a folder of their own on the same disk), and a
verdict: the highest rate of each node, the bottleneck by name, what to change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from undula.pipes.graph.model import Graph
from undula.pipes.runner.status import GraphStatus, NodeStatus

BLOCKED = 0.05
"""A source that is held up for a greater part of the time is not the bottleneck itself."""


def rehearsal(graph: Graph, rate_hz: float, folder: str) -> tuple[Graph, list[Path]]:
    """The graph to rehearse, and the folders that it makes, to be removed behind it.

    Args:
        rate_hz: of its sources; 0: as fast as the frames are taken.
        folder: name of the folders for files, below the graph's own.
    """
    nodes, made = dict(graph.nodes), []
    for name, node in graph.nodes.items():
        given: dict[str, Any] = dict(node.parameters)
        if node.kind == "simulated":
            given |= {"rate_hz": rate_hz, "frames": 0, "faults": {}}
        elif "folder" in given or node.kind == "frame_file":
            place = Path(str(given.get("folder", "."))).expanduser() / folder
            made.append(place)
            given["folder"] = str(place)
        nodes[name] = replace(node, parameters=given)
    return replace(graph, nodes=nodes), made


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rehearsal found.

    Args:
        sustained_hz: frames a second of the slowest source.
        could_hz: by node, what its own code could do alone.
        bottleneck: name of the node that holds the others up; the source itself, when none does.
        advice: what to change.
    """

    sustained_hz: float
    could_hz: dict[str, float]
    bottleneck: str
    advice: str

    @property
    def text(self) -> str:
        """One line for people."""
        return f"{self.sustained_hz:.4g} frames/s; bottleneck: {self.bottleneck}. {self.advice}"


def verdict(
    graph: Graph, status: GraphStatus, duration_s: float, sources: Sequence[str], rate_hz: float
) -> Verdict:
    """Judge a rehearsal of `duration_s`, s. `rate_hz`: asked for; 0: as fast as possible."""
    nodes = status.nodes
    could = {name: node.could_hz for name, node in nodes.items() if node.could_hz}
    sustained = min((nodes[name].frames / duration_s for name in sources), default=0.0)
    held = [name for name in sources if nodes[name].blocked_s > BLOCKED * duration_s]
    if held:
        name = _slowest_below(graph, nodes, held[0])
        return Verdict(sustained, could, name, _advice(graph, name, rate_hz, could.get(name, 0.0)))
    name = min(sources, key=lambda n: could.get(n, 0.0))
    if rate_hz and sustained >= 0.95 * rate_hz:
        advice = f"The rate of {rate_hz:g} Hz is held; nothing is to be changed"
    else:
        advice = "Every node waits for its source: the graph could do more"
    return Verdict(sustained, could, name, advice)


def _slowest_below(graph: Graph, nodes: dict[str, NodeStatus], start: str) -> str:
    """Down the lossless edges that hold a node up, to the node that nobody holds up."""
    name, walked = start, {start}
    while True:
        edges = [e for e in graph.out_of(name) if e.policy.kind == "lossless"]
        below = [e.target for e in edges if e.target not in walked]
        if not below:
            return name
        slow = min(below, key=lambda n: nodes[n].could_hz or float("inf"))
        if name != start and (nodes[slow].could_hz or float("inf")) > nodes[name].could_hz:
            return name
        name = slow
        walked.add(name)


def _advice(graph: Graph, name: str, rate_hz: float, could_hz: float) -> str:
    node = graph.nodes[name]
    together = [n for n, other in graph.nodes.items()
                if n != name and (other.process or n) == (node.process or name)]  # fmt: skip
    wanted = f" for {rate_hz:g} Hz" if rate_hz else ""
    if together:
        return f"Give {name} a process of its own{wanted}: it shares one with {', '.join(together)}"
    if "threads" in node.parameters or node.kind == "frame_file":
        return f"Give {name} more threads, or a faster disk{wanted}"
    return (
        f"{name} can do {could_hz:.4g} Hz: let it do less (a smaller region, binning before it), or"
        f" make its edge sample(1/n){wanted}"
    )
