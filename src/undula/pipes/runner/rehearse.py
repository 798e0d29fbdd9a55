"""Room: pipes. Rehearsal: what a graph can do, before there is beam. Pure.

In: a graph; and, after it has run for a while as fast as it could, its status. Out: the graph to
rehearse (made-up frames of the real size, files in a folder of their own on the same disk), and a
verdict: the highest rate of each node, the bottleneck by name, what to change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from undula.pipes.graph.model import Graph
from undula.pipes.runner.status import GraphStatus, NodeStatus

BLOCKED = 0.05
"""A source that is held up for a greater part of the time is not the bottleneck itself."""
HELD = 0.95
"""A rate is held when so much of it is reached."""
SHARED, IDLE = 0.2, 0.5
"""Others of a process are worth parting from beyond this part of a node's own time; a writer that
works for less than this part of the time waits for something else: the disk."""
DEFAULT_THREADS = 2
VIEWERS = frozenset({"preview", "rate", "histogram"})
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
    graph: Graph, status: GraphStatus, duration_s: float, sources: Sequence[str], rate_hz: float,
    *, cores: int,
) -> Verdict:  # fmt: skip
    """Judge a rehearsal of `duration_s`, s, on so many cores.

    Args:
        rate_hz: asked for; 0: as fast as possible.
    """
    nodes = status.nodes
    could = {name: node.could_hz for name, node in nodes.items() if node.could_hz}
    sustained = min((nodes[name].frames / duration_s for name in sources), default=0.0)
    held = [name for name in sources if nodes[name].blocked_s > BLOCKED * duration_s]
    if held and rate_hz and sustained >= HELD * rate_hz:
        advice = (
            f"{rate_hz:g} Hz are held, and {held[0]} waited for "
            f"{nodes[held[0]].blocked_s / duration_s:.0%} of the time: a larger budget of "
            f"{held[0]} takes up such bursts"
        )
        return Verdict(sustained, could, _slowest_below(graph, nodes, held[0]), advice)
    if held:
        name = _slowest_below(graph, nodes, held[0])
        advice = _advice(graph, status, name, (duration_s, rate_hz, cores))
        return Verdict(sustained, could, name, advice)
    name = min(sources, key=lambda n: could.get(n, 0.0))
    if rate_hz and sustained >= HELD * rate_hz:
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


def _advice(graph: Graph, status: GraphStatus, name: str, asked: tuple[float, float, int]) -> str:
    """What to change at the bottleneck, by the shares of time that were measured."""
    duration_s, rate_hz, cores = asked
    node, nodes = graph.nodes[name], status.nodes
    measured = nodes[name]
    could = measured.could_hz
    share = measured.busy_s / duration_s
    wanted = f" for {rate_hz:g} Hz" if rate_hz else ""
    busy_cores = sum(n.busy_s for n in nodes.values()) / duration_s
    said = []
    others = [
        other for n, other in nodes.items()
        if n != name and (graph.nodes[n].process or n) == (node.process or name) and other.busy_s
    ]  # fmt: skip
    if others:
        beside = sum(other.busy_s for other in others) / duration_s
        if beside > SHARED * share:
            names = ", ".join(other.name for other in others)
            said.append(
                f"give {name} a process of its own: {names} take {beside:.0%} of it, "
                f"alone {name} could do {could:.4g} Hz"
            )
    if not graph.out_of(name) and node.kind in VIEWERS:
        said.append(f"make the edge to {name} latest: a viewer needs not every frame")
    if node.kind == "frame_file":
        threads = int(node.parameters.get("threads", DEFAULT_THREADS))
        packs = node.parameters.get("compression", "bslz4") != "none"
        free = int(cores - busy_cores - threads)
        if share < IDLE:
            said.append(f"{name} works {share:.0%} of the time: a faster disk{wanted}")
        elif packs and free >= 1:
            said.append(f"threads: {threads + free} for {name}, {free} of {cores} cores are idle")
        elif packs:
            said.append(
                f"compression: none for {name}, all {cores} cores are busy; or a faster disk"
            )
        else:
            said.append(f"{name} does {could:.4g} Hz without compression: a faster disk{wanted}")
    if not said:
        less = f" {rate_hz / could:.2g} times" if could and rate_hz > could else ""
        said.append(
            f"{name} can do {could:.4g} Hz and is at work {share:.0%} of the time: let it do"
            f"{less} less (a smaller region, binning before it), or make its edge sample(1/n)"
        )
    text = "; ".join(said)
    return text[0].upper() + text[1:]
