"""Room: pipes. Whether a graph can work: nodes, ports, types, inputs, cycles. Pure.

In: a graph, and the classes of nodes by name. Out: the same graph with every port filled in, or one
GraphError that lists all faults, each with its path and what to do. Nothing is started before this
has passed.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from undula.core.errors import UndulaError
from undula.pipes.graph.load import Faults, nearest
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
    known = _known(graph, types, faults)
    edges = [_ports(edge, number, graph, known, faults) for number, edge in enumerate(graph.edges)]
    whole = replace(graph, edges=tuple(edge for edge in edges if edge is not None))
    _twice(whole, faults)
    _inputs(whole, known, _meant(graph, edges), faults)
    _cycles(whole, faults)
    _hosts(whole, faults)
    _spills(whole, faults)
    check_shapes(whole, known, faults)
    faults.finish(graph.name)
    return whole


def _known(graph: Graph, types: NodeTypes, faults: Faults) -> dict[str, NodeType]:
    found = {}
    for name, node in graph.nodes.items():
        kind = types.get(node.kind)
        if kind is None:
            remedy = nearest(node.kind, types)
            faults.add(f"nodes.{name}.node", f"there is no node {node.kind!r}", remedy)
            continue
        found[name] = kind
        for place, what, remedy in _wrong_parameters(kind, node.parameters):
            faults.add(f"nodes.{name}.parameters{place}", what, remedy)
    return found


def _wrong_parameters(kind: Any, given: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    try:
        kind.model().model_validate(dict(given))
    except ValidationError as exc:
        known = list(kind.model().model_fields)
        return [
            (
                "".join(f".{part}" for part in error["loc"]),
                f"{error['msg']}, not {error.get('input')!r}"
                if error["type"] != "extra_forbidden"
                else "there is no such parameter",
                nearest(str(error["loc"][0]), known)
                if error["type"] == "extra_forbidden"
                else f"see undula pipes show {kind.name}",
            )
            for error in exc.errors()
        ]
    try:
        kind.checked(**given)
    except UndulaError as exc:  # parameters that do not fit each other
        place = exc.where.partition(".")[2] if exc.where else ""
        return [(f".{place}" if place else "", exc.what, exc.remedy)]
    return []


def _ports(
    edge: EdgeSpec, number: int, graph: Graph, known: Mapping[str, NodeType], faults: Faults
) -> EdgeSpec | None:
    """The edge with both ports named, None when it has a fault."""
    path = f"edges.{number}"
    for key, name in (("from", edge.source), ("to", edge.target)):
        if name not in graph.nodes:
            remedy = nearest(name, graph.nodes)
            faults.add(f"{path}.{key}", f"there is no node {name!r} in this graph", remedy)
    if edge.source not in known or edge.target not in known:
        return None
    outputs, inputs = known[edge.source].outputs, known[edge.target].inputs
    start = _port(edge.start, outputs, "output", f"{path}.from", faults)
    end = _port(edge.end, inputs, "input", f"{path}.to", faults)
    if start is None or end is None:
        return None
    edge = replace(edge, source_port=start.name, target_port=end.name)
    _types(edge, start, end, path, faults)
    word = getattr(known[edge.source], "packing", "")
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
    if None not in (start.ndim, end.ndim) and start.ndim != end.ndim:
        faults.add(
            path, f"{edge.start} gives {_dimensions(start.ndim)}, {edge.end} takes "
            f"{_dimensions(end.ndim)}", "put a node between them that makes one of the other",
        )  # fmt: skip
    if not set(start.kinds) & set(end.kinds):
        gives, takes = _words(start.kinds), _words(end.kinds)
        faults.add(
            path, f"{edge.start} gives {gives}, {edge.end} takes {takes}",
            "connect a port of that type",
        )  # fmt: skip
    if end.unit and start.unit not in ("", AS_INPUT, end.unit):
        faults.add(
            path, f"{edge.start} is in {start.unit}, {edge.end} wants {end.unit}",
            "connect the port that means that, or convert between",
        )  # fmt: skip
    if getattr(start, "compressed", False) and not getattr(end, "compressed", False):
        faults.add(
            path, f"{edge.start} gives compressed frames, which {edge.end} cannot read",
            "put a node that decompresses between them",
        )  # fmt: skip


def _spills(graph: Graph, faults: Faults) -> None:
    """A folder on disk is for edges that spill."""
    for name, node in graph.nodes.items():
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


def _twice(graph: Graph, faults: Faults) -> None:
    seen: set[str] = set()
    for number, edge in enumerate(graph.edges):
        if edge.name in seen:
            faults.add(f"edges.{number}", f"{edge.name} is there twice", "remove one of them")
        seen.add(edge.name)


def _meant(graph: Graph, edges: Sequence[EdgeSpec | None]) -> set[str]:
    """Nodes that edges with a fault were probably meant for: they miss nothing of their own."""
    wrong = [edge for edge, right in zip(graph.edges, edges, strict=True) if right is None]
    found = {name for edge in wrong for name in (edge.source, edge.target)}
    return found | {n for w in found for n in difflib.get_close_matches(w, graph.nodes, 1, 0.5)}


def _inputs(graph: Graph, known: Mapping[str, NodeType], meant: set[str], faults: Faults) -> None:
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
    if len(known) == len(graph.nodes) and all(kind.inputs for kind in known.values()):
        faults.add("nodes", "no node makes frames", "add a source, e.g. det: {node: simulated}")


def _cycles(graph: Graph, faults: Faults) -> None:
    """Every cycle without a feedback edge, and every feedback edge without a cycle."""
    forward: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for edge in graph.edges:
        if not edge.feedback:
            forward[edge.source].append(edge.target)
    cycle = _cycle(forward)
    if cycle:
        faults.add(
            "edges", f"there is a cycle: {' -> '.join(cycle)}",
            "mark the edge that goes back with feedback: true, or remove it",
        )  # fmt: skip
    for number, edge in enumerate(graph.edges):
        if edge.feedback and not _reaches(forward, edge.target, edge.source):
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
