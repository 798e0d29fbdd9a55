"""Room: pipes. Whether frames fit the nodes that they come to: sizes, as far as they are known.

In: a graph whose ports are filled in, the classes of its nodes. Out: faults with their place. What
a source makes is known from its parameters, what a node makes of it from the node's class
(`Node.shapes`), and what does not fit it says too (`Node.misfits`). A node may look at the shape of
a file that a parameter names; never at one of another host. What is not known is not judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from undula.core.errors import UndulaError
from undula.pipes.graph.load import Faults
from undula.pipes.graph.model import Graph

Shape = tuple[int, ...]
WORDS = {0: "numbers", 1: "rows of numbers", 2: "images"}


def known_shapes(graph: Graph, types: Mapping[str, Any]) -> dict[str, Shape]:
    """The shapes of a checked graph's frames, as far as they are known beforehand, by NODE.PORT.

    Args:
        types: classes of nodes by the name of their kind.
    """
    kinds = {name: types[node.kind] for name, node in graph.nodes.items()}
    return check_shapes(graph, kinds, Faults())


def check_shapes(graph: Graph, known: Mapping[str, Any], faults: Faults) -> dict[str, Shape]:
    """Add what does not fit. Returns: the shapes that are known, by NODE.PORT.

    Args:
        graph: its edges without a fault of their own.
        known: classes of nodes by the name of the node; those with wrong parameters are left out.
        faults: where they are added.
    """
    given: dict[str, Shape] = {}
    values = {name: _values(kind, graph, name) for name, kind in known.items()}
    frames = _frames(values, known)
    for name in graph.order():
        if values.get(name) is None:
            continue
        kind = known[name]
        inputs = _inputs(graph, name, known, given, faults)
        if graph.nodes[name].host and any(getattr(values[name], one) for one in kind.files):
            continue
        for place, what, remedy in kind.misfits(values[name], inputs, frames):
            faults.add(f"nodes.{name}.parameters.{place}", what, remedy)
        scalars: dict[str, Shape] = {port.name: () for port in kind.outputs if port.ndim == 0}
        for port, shape in (scalars | dict(kind.shapes(values[name], inputs))).items():
            given[f"{name}.{port}"] = shape
    return given


def _values(kind: Any, graph: Graph, name: str) -> Any:
    try:
        return kind.checked(**graph.nodes[name].parameters)
    except UndulaError:
        return None  # it has been told


def _frames(values: Mapping[str, Any], known: Mapping[str, Any]) -> int:
    """How many frames the one source makes; 0: nobody knows."""
    sources = [name for name, kind in known.items() if not kind.inputs]
    if len(sources) != 1 or values[sources[0]] is None:
        return 0
    return int(getattr(values[sources[0]], "frames", 0) or 0)


def _inputs(
    graph: Graph, name: str, known: Mapping[str, Any], given: Mapping[str, Shape], faults: Faults
) -> dict[str, Shape]:
    """The shapes that are known to come to a node, by input; those of one shape only."""
    kind = known[name]
    ports = {port.name: port for port in kind.inputs}
    found: dict[str, set[Shape]] = {}
    for number, edge in enumerate(graph.edges):
        if edge.target != name or edge.start not in given:
            continue
        shape, port = given[edge.start], ports[edge.target_port]
        if port.ndim is not None and len(shape) != port.ndim:
            start = next(p for p in known[edge.source].outputs if p.name == edge.source_port)
            if start.ndim is not None:
                continue  # it has been told
            faults.add(
                f"edges.{number}", f"{edge.start} gives frames of {shape}, {edge.end} takes "
                f"{WORDS.get(port.ndim, f'arrays of {port.ndim} dimensions')}",
                "put a node between them that makes one of the other",
            )  # fmt: skip
            continue
        before = found.setdefault(edge.target_port, set())
        if kind.one_shape and before and shape not in before:
            faults.add(
                f"edges.{number}", f"{edge.start} gives frames of {shape}, and others that come to "
                f"{edge.end} are of {next(iter(before))}", "give each of them a node of its own",
            )  # fmt: skip
        before.add(shape)
    return {port: next(iter(shapes)) for port, shapes in found.items() if len(shapes) == 1}
