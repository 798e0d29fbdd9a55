"""Graphs of pipes as text: tables of nodes and edges, the flow in lines. Pure.

In: what a graph said of itself, or what the engine knows of its nodes. Out: lines for a terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from undula.messages import GraphTold, PipeNode

NODE_HEAD = ("node", "state", "pid", "frames", "Hz", "could do Hz", "latency ms", "failed",
             "restarts", "blocked by", "error")  # fmt: skip
EDGE_HEAD = ("edge", "policy", "Hz", "seen", "passed", "dropped", "lost", "failed", "waiting")
MOST_WAYS = 12
"""A graph with more ways through it is not drawn in lines."""


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns of text, each as wide as it must be."""
    words = [list(head), *([str(cell) for cell in row] for row in rows)]
    wide = [max(len(row[n]) for row in words) for n in range(len(head))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, wide, strict=True)) for row in words]
    return "\n".join(line.rstrip() for line in lines)


def told_text(told: GraphTold) -> str:
    """Tables of nodes and edges of a graph that has said how it does."""
    nodes = table(NODE_HEAD, [node_cells(node) for node in told.nodes])
    edges = table(EDGE_HEAD, [edge_cells(edge) for edge in told.edges])
    flow = flow_text([edge.name for edge in told.edges])
    return f"{told.name}: {told.state}\n{flow}\n\n{nodes}\n\n{edges}"


def node_cells(node: Any) -> list[object]:
    """What a table says of a node, a `PipeNode` or the like; empty where nothing is known.

    A channel has no process: what comes to it is with whoever runs the graph.
    """
    at_work = node.process and node.state in ("running", "blocked")
    return [
        node.name, node.state if node.process else "channel", node.pid or "", node.frames,
        f"{node.rate_hz:.4g}" if at_work else "",
        f"{node.could_hz:.4g}" if node.could_hz else "",
        f"{node.latency_s * 1e3:.3g}" if node.latency_s else "",
        node.failed, node.restarts, ", ".join(node.blocked_by), node.error,
    ]  # fmt: skip


def edge_cells(edge: Any) -> list[object]:
    """What a table says of an edge, a `PipeEdge` or the like."""
    rate = f"{edge.rate_hz:.4g}" if edge.rate_hz else ""
    return [edge.name, edge.policy, rate, edge.seen, edge.passed, edge.dropped, edge.lost,
            edge.failed, edge.depth]  # fmt: skip


def flow_text(edges: Iterable[str]) -> str:
    """Every way through a graph, from its sources on, each in a line; '' when there are too many.

    >>> print(flow_text(["det.frames -> roi.frames", "roi.sum -> out.values", "det -> file"]))
      det -> roi -> out
      det -> file
    """
    after: dict[str, list[str]] = {}
    heard: set[str] = set()
    for edge in edges:
        start, _, end = edge.partition(" -> ")
        source, target = start.partition(".")[0], end.partition(".")[0]
        if target not in after.setdefault(source, []):
            after[source].append(target)
        heard.add(target)
    ways: list[list[str]] = []
    waiting = [[name] for name in reversed(after) if name not in heard]
    while waiting and len(ways) <= MOST_WAYS:
        way = waiting.pop()
        on = [name for name in after.get(way[-1], ()) if name not in way]
        if not on:
            ways.append(way)
        waiting += [[*way, name] for name in reversed(on)]
    return "\n".join(f"  {' -> '.join(way)}" for way in ways) if len(ways) <= MOST_WAYS else ""


def read_edges(graph: Mapping[str, Any]) -> list[str]:
    """Names of the edges of a graph as it is written."""
    return [f"{edge['from']} -> {edge['to']}" for edge in graph["edges"]]


def listed_text(rows: Iterable[tuple[str, GraphTold | None]]) -> str:
    """One line for each graph: state, rate of its source, frames that wait, what is wrong."""
    found: list[tuple[object, ...]] = []
    for name, told in rows:
        if told is None:
            found.append((name, "not started", "", "", "", ""))
            continue
        wrong = next((f"{n.name}: {n.error}" for n in told.nodes if n.error), "")
        rate = f"{told.nodes[0].rate_hz:.4g}" if told.nodes else ""
        waiting = sum(edge.depth for edge in told.edges)
        found.append((name, told.state, len(told.nodes), rate, waiting, wrong))
    return table(("graph", "state", "nodes", "Hz", "waiting", "error"), found)


def node_text(graph: str, name: str, node: Mapping[str, Any], told: PipeNode | None) -> str:
    """A node: what it does, how it does, its parameters, its outputs."""
    lines = [f"{graph}: {name}, a {node['kind']}", "", str(node["help"]).partition("\n\n")[0]]
    if told is not None:
        frames = f"{told.frames} frame{'s' * (told.frames != 1)}"
        process = f", process {told.pid}" if told.pid else ""
        lines += ["", f"{told.state}{process}, {frames}, {told.rate_hz:.4g} Hz, "
                  f"latency {told.latency_s * 1e3:.3g} ms, {told.failed} failed"]  # fmt: skip
        if told.error:
            lines.append(f"error: {told.error}")
    rows = [
        (key, one["value"], one["unit"], " ".join(filter(None, (one["type"], one["bounds"]))),
         one["about"])
        for key, one in node["parameters"].items()
    ]  # fmt: skip
    if rows:
        lines += ["", table(("parameter", "value", "unit", "type", "means"), rows)]
    if node["outputs"]:
        lines += ["", table(("output", "means"), node["outputs"].items())]
    return "\n".join(lines)
