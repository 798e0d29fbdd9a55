"""Room: pipes. Whether a graph can work: nodes, ports, types, inputs, cycles. Pure.

In: a graph, and the classes of nodes by name. Out: the same graph with every port filled in, or one
GraphError that lists all faults, each with its path and what to do. A fault is told once, where it
is: what only follows from it is not told. Nothing is started before this has passed.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from pydantic import BaseModel

from undula.core.errors import UndulaError
from undula.pipes.graph.faults import Faults, nearest
from undula.pipes.graph.load import Draft
from undula.pipes.graph.model import AS_INPUT, CHANNEL, EdgeSpec, Graph
from undula.pipes.graph.shapes import check_shapes


class PortType(Protocol):
    """What is known of a port."""

    @property
    def name(self) -> str:
        """As it is written in a graph."""

    @property
    def ndim(self) -> int | None:
        """Dimensions of its arrays; None: any."""

    @property
    def kinds(self) -> str:
        """Kinds of numbers, as numpy writes them."""

    @property
    def unit(self) -> str:
        """Of the values; empty: any, or none."""

    @property
    def compressed(self) -> bool:
        """An input takes, an output may give, compressed frames."""


class NodeType(Protocol):
    """What is known of a class of nodes."""

    @property
    def inputs(self) -> Sequence[Any]:
        """Ports, `PortType`."""

    @property
    def outputs(self) -> Sequence[Any]:
        """Ports, `PortType`."""

    @classmethod
    def model(cls) -> type[BaseModel]:
        """Its parameters."""


NodeTypes = Mapping[str, Any]
KINDS = {"b": "bool", "i": "integers", "u": "unsigned integers", "f": "floats", "c": "complex"}


def checked(graph: Graph, types: NodeTypes) -> Graph:
    """The graph with every port filled in. Raises: GraphError listing every fault."""
    faults = Faults()
    whole = judged(Draft.of(graph), types, faults)
    faults.finish(graph.name)
    return whole


def judged(draft: Draft, types: NodeTypes, faults: Faults) -> Graph:
    """What is right of a graph, with its ports filled in; `faults` has what is not."""
    graph = draft.graph
    known = _known(draft, types, faults)
    edges = [
        None if edge is None else _ports(edge, number, draft, known, faults)
        for number, edge in enumerate(draft.edges)
    ]
    whole = replace(graph, edges=tuple(edge for edge in edges if edge is not None))
    numbered = {n: edge for n, edge in enumerate(edges) if edge is not None}
    meant = _meant(draft, edges)
    _twice(numbered, faults)
    if draft.whole:
        _inputs(whole, known, draft, meant, faults)
    _cycles(whole, numbered, len(numbered) == len(draft.edges), faults)
    _hosts(whole, faults)
    _spills(whole, meant, faults)
    said = {name: kind for name, kind in known.items() if name not in draft.unsaid}
    check_shapes(whole, numbered, said, faults)
    return whole


def _known(draft: Draft, types: NodeTypes, faults: Faults) -> dict[str, NodeType]:
    found = {}
    for name, node in draft.graph.nodes.items():
        kind = types.get(node.kind)
        if kind is None:
            remedy = nearest(node.kind, types)
            faults.add(f"nodes.{name}.node", f"there is no node {node.kind!r}", remedy)
            continue
        found[name] = kind
        if name in draft.unsaid:
            continue
        for place, what, remedy in _wrong_parameters(kind, node.parameters):
            at = f".{place}" if place else ""
            faults.add(f"nodes.{name}.parameters{at}", what, remedy)
    return found


def _wrong_parameters(kind: Any, given: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Which parameter, what is wrong with it, what to do."""
    wrong: list[tuple[str, str, str]] = kind.wrong(given)
    if wrong:
        return wrong
    try:
        kind.checked(**given)  # a node of somebody's own may ask for more
    except UndulaError as exc:
        return [(exc.where.partition(".")[2] if exc.where else "", exc.what, exc.remedy)]
    except Exception as exc:  # a node's own code may raise anything: it is told
        return [("", f"{type(exc).__name__}: {exc}", f"correct these, or `checked` of {kind.name}")]
    return []


def _ports(
    edge: EdgeSpec, number: int, draft: Draft, known: Mapping[str, NodeType], faults: Faults
) -> EdgeSpec | None:
    """The edge with both ports named, None when it has a fault."""
    path, graph = f"edges.{number}", draft.graph
    for key, name in (("from", edge.source), ("to", edge.target)):
        if name not in graph.nodes and name not in draft.broken and draft.whole:
            remedy = nearest(name, graph.nodes)
            faults.add(f"{path}.{key}", f"there is no node {name!r} in this graph", remedy)
    source, target = known.get(edge.source), known.get(edge.target)
    start = source and _port(edge.start, source.outputs, "output", f"{path}.from", faults)
    end = target and _port(edge.end, target.inputs, "input", f"{path}.to", faults)
    if not start or not end:
        return None
    edge = replace(edge, source_port=start.name, target_port=end.name)
    _types(edge, start, end, path, faults)
    word = getattr(source, "packing", "")
    if word and graph.nodes[edge.source].parameters.get(word) and not end.compressed:
        remedy = f"put decompress between them, or write {word}: false"
        what = f"{edge.start} gives compressed frames, which {edge.end} cannot read"
        faults.add(path, what, remedy)
    if edge.feedback and edge.policy.kind not in ("latest", "sample"):
        faults.add(
            f"{path}.policy", f"a feedback edge that is {edge.policy.kind} could hold itself up",
            "write latest or sample(1/n)",
        )  # fmt: skip
    return edge


def _port(end: str, ports: Sequence[Any], side: str, path: str, faults: Faults) -> PortType | None:
    node, _, name = end.partition(".")
    by_name: dict[str, PortType] = {port.name: port for port in ports}
    if not by_name:
        faults.add(path, f"{node} has no {side}", f"let another node have this edge's {side} end")
    elif name and name not in by_name:
        faults.add(path, f"{node} has no {side} {name!r}", nearest(name, by_name))
    elif not name and len(by_name) > 1:
        names = ", ".join(f"{node}.{port}" for port in by_name)
        faults.add(path, f"{node} has {len(by_name)} {side}s", f"write one of {names}")
    else:
        return by_name[name] if name else next(iter(by_name.values()))
    return None


def _types(edge: EdgeSpec, start: PortType, end: PortType, path: str, faults: Faults) -> None:
    """The first thing in which two ports differ: the others follow from their being others."""
    if None not in (start.ndim, end.ndim) and start.ndim != end.ndim:
        faults.add(
            path, f"{edge.start} gives {_dimensions(start.ndim)}, {edge.end} takes "
            f"{_dimensions(end.ndim)}", "put a node between them that makes one of the other",
        )  # fmt: skip
    elif not set(start.kinds) & set(end.kinds):
        gives, takes = _words(start.kinds), _words(end.kinds)
        faults.add(
            path, f"{edge.start} gives {gives}, {edge.end} takes {takes}",
            "connect a port of that type",
        )  # fmt: skip
    elif end.unit and start.unit not in ("", AS_INPUT, end.unit):
        faults.add(
            path, f"{edge.start} is in {start.unit}, {edge.end} wants {end.unit}",
            "connect the port that means that, or convert between",
        )  # fmt: skip
    elif getattr(start, "compressed", False) and not getattr(end, "compressed", False):
        faults.add(
            path, f"{edge.start} gives compressed frames, which {edge.end} cannot read",
            "put a node that decompresses between them",
        )  # fmt: skip


def _spills(graph: Graph, meant: set[str], faults: Faults) -> None:
    """A folder on disk is for edges that spill."""
    for name, node in graph.nodes.items():
        if name in meant:
            continue
        if node.spill and not any(e.policy.kind == "spill" for e in graph.out_of(name)):
            faults.add(
                f"nodes.{name}.spill", f"no edge from {name} spills",
                "leave it out, or give an edge the policy spill(SIZE)",
            )  # fmt: skip


def _hosts(graph: Graph, faults: Faults) -> None:
    """Nodes of one process are on one host, and a channel is where the graph is run from."""
    first: dict[str, str] = {}
    for name, node in graph.nodes.items():
        if node.kind == CHANNEL:
            if node.host:
                faults.add(
                    f"nodes.{name}.host", "a channel ends where the graph is run from",
                    "leave host out",
                )  # fmt: skip
            continue
        beside = graph.nodes[first.setdefault(node.process or name, name)]
        if node.host != beside.host:
            faults.add(
                f"nodes.{name}.host", f"it shares process {node.process} with {beside.name}, which "
                f"is on {beside.host or 'the host that runs the graph'}",
                "give both the same host, or each a process of its own",
            )  # fmt: skip


def _dimensions(number: int | None) -> str:
    words = {0: "numbers", 1: "rows of numbers", 2: "images"}
    return words.get(-1 if number is None else number, f"arrays of {number} dimensions")


def _words(kinds: str) -> str:
    return " or ".join(KINDS.get(kind, kind) for kind in kinds)


def _twice(edges: Mapping[int, EdgeSpec], faults: Faults) -> None:
    seen: set[str] = set()
    for number, edge in edges.items():
        if edge.name in seen:
            faults.add(f"edges.{number}", f"{edge.name} is there twice", "remove one of them")
        seen.add(edge.name)


def _meant(draft: Draft, edges: Sequence[EdgeSpec | None]) -> set[str]:
    """Nodes that edges with a fault were probably meant for: they miss nothing of their own."""
    nodes = draft.graph.nodes
    wrong = [edge for edge, right in zip(draft.edges, edges, strict=True) if edge and not right]
    found = {name for edge in wrong for name in (edge.source, edge.target)}
    found |= {word for text in draft.unread for word in re.findall(r"\w+", text)}
    return found | {n for w in found for n in difflib.get_close_matches(w, nodes, 1, 0.5)}


def _inputs(
    graph: Graph, known: Mapping[str, NodeType], draft: Draft, meant: set[str], faults: Faults
) -> None:
    if not draft.edges and len(graph.nodes) > 1:
        faults.add("edges", "there is none: frames go nowhere", "write a list: - SOURCE -> TARGET")
        return
    for name, kind in known.items():
        if name in meant:
            continue
        fed = {edge.target_port for edge in graph.into(name)}
        for port in kind.inputs:
            if port.name not in fed and not getattr(port, "optional", False):
                faults.add(
                    f"nodes.{name}", f"nothing comes to its input {port.name}",
                    f"add an edge: SOURCE -> {name}.{port.name}",
                )  # fmt: skip
        if not kind.inputs and not graph.out_of(name):
            faults.add(f"nodes.{name}", "its frames go nowhere", f"add an edge: {name} -> TARGET")
    every = len(known) == len(graph.nodes) and not draft.broken
    if every and all(kind.inputs for kind in known.values()):
        faults.add("nodes", "no node makes frames", "add a source, e.g. det: {node: simulated}")


def _cycles(graph: Graph, edges: Mapping[int, EdgeSpec], every: bool, faults: Faults) -> None:
    """A cycle without a feedback edge, and feedback edges without a cycle, if all are known."""
    forward: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for edge in edges.values():
        if not edge.feedback:
            forward[edge.source].append(edge.target)
    cycle = _cycle(forward)
    if cycle:
        faults.add(
            "edges", f"there is a cycle: {' -> '.join(cycle)}",
            "mark the edge that goes back with feedback: true, or remove it",
        )  # fmt: skip
    for number, edge in edges.items():
        if every and edge.feedback and not _reaches(forward, edge.target, edge.source):
            faults.add(
                f"edges.{number}.feedback", f"{edge.name} goes back to nothing",
                "remove feedback: true, it is an ordinary edge",
            )  # fmt: skip


def _cycle(forward: Mapping[str, list[str]]) -> list[str]:
    """One cycle as a path whose last node is its first; empty when there is none."""
    done: set[str] = set()
    for root in forward:
        path: list[str] = []
        stack: list[tuple[str, bool]] = [(root, False)]
        while stack:
            node, leaving = stack.pop()
            if leaving:
                path.pop()
                done.add(node)
            elif node in path:
                return [*path[path.index(node) :], node]
            elif node not in done:
                path.append(node)
                stack.append((node, True))
                stack += [(below, False) for below in forward[node]]
    return []


def _reaches(forward: Mapping[str, list[str]], start: str, end: str) -> bool:
    seen, waiting = {start}, [start]
    while waiting:
        node = waiting.pop()
        if node == end:
            return True
        waiting += [below for below in forward[node] if below not in seen]
        seen.update(forward[node])
    return False
