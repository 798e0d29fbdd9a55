"""Room: pipes. Whether frames fit the nodes that they come to: sizes, as far as they are known.

In: a graph whose ports are filled in, the classes of its nodes. Out: faults with their place. What
a source makes is known from its parameters, what a node makes of it from the node's class
(`Node.shapes`), and what does not fit it says too (`Node.misfits`). A node may look at the shape of
a file that a parameter names; never at one of another host. What is not known is not judged: it is
looked at again with the first frame (`misfits_of_first`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from undula.pipes.graph.faults import Fault, Faults
from undula.pipes.graph.model import EdgeSpec, Graph

Shape = tuple[int, ...]
WORDS = {0: "numbers", 1: "rows of numbers", 2: "images"}


class _Inputs(dict[str, Shape]):
    """The shapes that come to a node, by input; notes whether it asks for one that is not known."""

    missed = False

    def __contains__(self, port: object) -> bool:
        known = super().__contains__(port)
        self.missed = self.missed or not known
        return known

    def get(self, port: str, default: Any = None) -> Any:
        """As of any mapping."""
        return self[port] if port in self else default  # noqa: SIM401  # this is what `get` does


class _Walk:
    """From the sources on, node by node: what is known of the shapes of each port.

    Args:
        graph: its edges without a fault of their own.
        edges: the same, by their number in the file.
        known: classes of nodes by the name of the node; those with wrong parameters are left out.
        faults: where is added what does not fit; None: nobody asks.
    """

    def __init__(
        self, graph: Graph, edges: Mapping[int, EdgeSpec], known: Mapping[str, Any],
        faults: Faults | None = None,
    ) -> None:  # fmt: skip
        self._graph, self._edges, self._known, self._faults = graph, edges, known, faults
        self.given: dict[str, Shape] = {}
        """Shapes by NODE.PORT."""
        self.waiting: list[str] = []
        """Nodes that would say more, if they knew what comes."""

    def go(self, seen: Mapping[str, Shape] | None = None) -> _Walk:
        """Once through the graph; `seen` has the shapes of frames that were seen, by NODE.PORT."""
        values = {name: _values(kind, self._graph, name) for name, kind in self._known.items()}
        frames = _frames(values, self._known)
        for name in self._graph.order():
            if values.get(name) is None:
                continue
            kind = self._known[name]
            inputs = _Inputs(_inputs(self._edges, name, self._known, self.given, self._faults))
            try:
                if self._faults is not None:
                    self._judge(name, values[name], inputs, frames, self._faults)
                shapes = dict(kind.shapes(values[name], inputs))
            except Exception as exc:  # a node's own code may raise anything: it is told
                if self._faults is not None:
                    what = f"it cannot say what fits it: {type(exc).__name__}: {exc}"
                    self._faults.add(f"nodes.{name}", what, f"correct the node {kind.name}")
                continue
            scalars: dict[str, Shape] = {port.name: () for port in kind.outputs if port.ndim == 0}
            self.given |= {f"{name}.{port}": shape for port, shape in (scalars | shapes).items()}
            self.given |= {p: shape for p, shape in (seen or {}).items() if _node(p) == name}
        return self

    def _judge(self, name: str, values: Any, inputs: _Inputs, frames: int, faults: Faults) -> None:
        kind = self._known[name]
        files = [found for one in kind.files if (found := getattr(values, one))]
        if self._graph.nodes[name].host and files:
            return
        for place, what, remedy in kind.misfits(values, inputs, frames):
            faults.add(f"nodes.{name}.parameters.{place}", what, remedy)
        if inputs.missed and (files or not kind.files):
            self.waiting.append(name)


def check_shapes(
    graph: Graph, edges: Mapping[int, EdgeSpec], known: Mapping[str, Any], faults: Faults
) -> None:
    """Add what does not fit.

    Args:
        graph: its edges without a fault of their own.
        edges: the same, by their number in the file.
        known: classes of nodes by the name of the node; those with wrong parameters are left out.
        faults: where they are added.
    """
    _Walk(graph, edges, known, faults).go()


def _node(port: str) -> str:
    return port.partition(".")[0]


def known_shapes(graph: Graph, types: Mapping[str, Any]) -> dict[str, Shape]:
    """The shapes that are known of a graph that was checked, before it runs, by NODE.PORT."""
    known = {name: types[spec.kind] for name, spec in graph.nodes.items()}
    return _Walk(graph, dict(enumerate(graph.edges)), known).go().given


def waiting_for_first(graph: Graph, types: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Sources whose frames are of a size that nobody knows, and the nodes that would compare it.

    Args:
        graph: that was checked.
        types: classes of nodes by name.
    """
    known = {name: types[spec.kind] for name, spec in graph.nodes.items()}
    walk = _Walk(graph, dict(enumerate(graph.edges)), known, Faults()).go()
    sources = {name: kind.outputs for name, kind in known.items() if not kind.inputs}
    unknown = [
        name for name, outputs in sources.items()
        if any(f"{name}.{port.name}" not in walk.given for port in outputs)
    ]  # fmt: skip
    return unknown, walk.waiting


def misfits_of_first(
    graph: Graph, types: Mapping[str, Any], port: str, shape: Shape
) -> list[Fault]:
    """What does not fit the first frame of NODE.PORT, whose shape was not known before.

    Nodes further down are judged too, as far as the shape goes through the nodes between.
    """
    below, waiting = {_node(port)}, [_node(port)]
    while waiting:
        new = {e.target for e in graph.out_of(waiting.pop()) if not e.feedback} - below
        below |= new
        waiting += new
    known = {name: types[spec.kind] for name, spec in graph.nodes.items() if name in below}
    edges = {n: e for n, e in enumerate(graph.edges) if {e.source, e.target} <= below}
    faults = Faults()
    _Walk(graph, edges, known, faults).go({port: shape})
    return faults.all


def _values(kind: Any, graph: Graph, name: str) -> Any:
    try:
        return kind.checked(**graph.nodes[name].parameters)
    except Exception:  # a node's own code may raise anything; it has been told
        return None


def _frames(values: Mapping[str, Any], known: Mapping[str, Any]) -> int:
    """How many frames the one source makes; 0: nobody knows."""
    sources = [name for name, kind in known.items() if not kind.inputs]
    if len(sources) != 1 or values[sources[0]] is None:
        return 0
    return int(getattr(values[sources[0]], "frames", 0) or 0)


def _inputs(
    edges: Mapping[int, EdgeSpec], name: str, known: Mapping[str, Any],
    given: Mapping[str, Shape], faults: Faults | None,
) -> dict[str, Shape]:  # fmt: skip
    """The shapes that are known to come to a node, by input; those of one shape only."""
    kind = known[name]
    ports = {port.name: port for port in kind.inputs}
    found: dict[str, set[Shape]] = {}
    for number, edge in edges.items():
        if edge.target != name or edge.start not in given:
            continue
        shape, port = given[edge.start], ports[edge.target_port]
        if port.ndim is not None and len(shape) != port.ndim:
            start = next(p for p in known[edge.source].outputs if p.name == edge.source_port)
            if start.ndim is not None or faults is None:
                continue  # it has been told
            faults.add(
                f"edges.{number}", f"{edge.start} gives frames of {shape}, {edge.end} takes "
                f"{WORDS.get(port.ndim, f'arrays of {port.ndim} dimensions')}",
                "put a node between them that makes one of the other",
            )  # fmt: skip
            continue
        before = found.setdefault(edge.target_port, set())
        if faults is not None and kind.one_shape and before and shape not in before:
            faults.add(
                f"edges.{number}", f"{edge.start} gives frames of {shape}, and others that come to "
                f"{edge.end} are of {next(iter(before))}", "give each of them a node of its own",
            )  # fmt: skip
        before.add(shape)
    return {port: next(iter(shapes)) for port, shapes in found.items() if len(shapes) == 1}
