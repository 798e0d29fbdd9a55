"""Room: pipes. Parameters of the nodes of a detector's graph: shown and changed. Pure.

In: a graph as scans use it, the name of a node, values by the names of its parameters;
`rois.beam.x` is a part of a parameter that has parts. Out: the graph with these values, what they
were before; or an error that says what there is, which type and which bounds. Called by:
`live_graph`, `asked_graph` and `graph_of_device`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from undula.core.errors import InputError
from undula.core.text_keys import with_text_keys
from undula.pipes.errors import GraphError
from undula.pipes.for_scans import SET_BY_DETECTOR, WRITER, ScanGraph
from undula.pipes.graph.check import checked
from undula.pipes.graph.faults import nearest
from undula.pipes.graph.model import CHANNEL
from undula.pipes.graph.shapes import known_shapes

Changed = tuple[ScanGraph, dict[str, tuple[Any, Any]]]
"""The graph with other parameters; and each that was given: before, and now."""


def values_of(scan: ScanGraph, node: str) -> dict[str, Any]:
    """All parameters of a node, defaults included, plain."""
    spec = scan.graph.nodes[node]
    found: dict[str, Any] = scan.types[spec.kind].checked(**spec.parameters).model_dump(mode="json")
    return with_text_keys(found)  # type: ignore[no-any-return]  # a mapping gives a mapping


def shown(scan: ScanGraph) -> dict[str, Any]:
    """The graph, and for each node its kind, what it does, its ports and its parameters."""
    nodes = {}
    for name, spec in scan.graph.nodes.items():
        kind = scan.types[spec.kind]
        schema = kind.model().model_json_schema()
        values = values_of(scan, name)
        nodes[name] = {
            "kind": spec.kind,
            "help": kind.help(),
            "outputs": {port.name: port.help for port in kind.outputs},
            "parameters": {
                key: {"value": values[key], **_about(field)}
                for key, field in schema.get("properties", {}).items()
            },
        }
    return {"graph": with_text_keys(scan.graph.plain()), "nodes": nodes}


def _about(field: Mapping[str, Any]) -> dict[str, Any]:
    """Type, bounds, unit and meaning of a parameter, as far as they are told."""
    words = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to",
             "exclusiveMaximum": "below"}  # fmt: skip
    ways = field.get("anyOf") or [field]
    bounds = [f"{word} {way[key]:g}" for way in ways for key, word in words.items() if key in way]
    choices = field.get("enum") or [way["const"] for way in ways if "const" in way]
    types = ["none" if way.get("type") == "null" else str(way.get("type", "")) for way in ways]
    return {
        "type": " or ".join(map(str, choices or filter(None, types))),
        "bounds": " ".join(bounds),
        "unit": str(field.get("unit", "")),
        "about": str(field.get("description", "")),
    }


def node_of(scan: ScanGraph, node: str) -> str:
    """The name, when there is such a node. Raises: InputError."""
    if node not in scan.graph.nodes:
        raise InputError(
            f"its graph has no node {node!r}", remedy=nearest(node, scan.graph.nodes),
            device=scan.device,
        )  # fmt: skip
    return node


def changed(scan: ScanGraph, node: str, given: Mapping[str, Any]) -> Changed:
    """The graph with other parameters of a node; and each that was given: before, and now.

    Raises: InputError naming the parameter; nothing is changed then.
    """
    spec = scan.graph.nodes[node_of(scan, node)]
    kind, before = scan.types[spec.kind], values_of(scan, node)
    if not before:
        raise InputError(
            f"{node} has no parameters", remedy="see what it does: undula pipes show "
            f"{spec.kind}", device=scan.device,
        )  # fmt: skip
    now: dict[str, Any] = {}
    for path, value in given.items():
        name, *parts = str(path).split(".")
        if name not in before:
            raise InputError(
                f"{node} has no parameter {name!r}", remedy=nearest(name, before),
                device=scan.device,
            )  # fmt: skip
        if spec.kind == WRITER and name in SET_BY_DETECTOR:
            raise InputError(
                f"{node}.{name} is set by who runs the graph: each run, or the file of a command",
                remedy="see the data folder: undula status",
                device=scan.device,
            )
        now[name] = _with_part(now.get(name, before[name]), parts, value, f"{node}.{name}", scan)
    whole = {**spec.parameters, **now}
    for place, what, remedy in kind.wrong(whole):
        raise InputError(f"{node}.{place}: {what}", remedy=remedy, device=scan.device)
    kind.checked(**whole)  # a node of somebody's own may ask for more
    refuse_misfits(scan.changed(node, now))
    after = values_of(scan.changed(node, now), node)
    pairs = {path: (_part(before, path), _part(after, path)) for path in map(str, given)}
    return scan.changed(node, {name: after[name] for name in now}), pairs


def refuse_misfits(scan: ScanGraph) -> None:
    """Nodes, and the files that they name, fit the frames that come to them, as far as is known.

    Raises: InputError with the first place where they do not.
    """
    try:
        checked(scan.graph, scan.types)
    except GraphError as error:
        first = error.faults[0]
        raise InputError(
            f"its graph does not fit: [{first.path}] {first.what}",
            remedy=first.remedy,
            device=scan.device,
        ) from error


def reshaped(before: ScanGraph, after: ScanGraph) -> str:
    """What a source makes, or what comes to files, that has another shape or dtype; '' if none.

    Values may become longer or shorter.
    """
    kinds = {node: spec.kind for node, spec in before.graph.nodes.items()}
    sources = {node for node, kind in kinds.items() if not before.types[kind].inputs}
    writers = {node for node, kind in kinds.items() if kind == WRITER}
    known_before, known_after = (_forms(scan) for scan in (before, after))
    for edge in before.graph.edges:
        form, now = known_before.get(edge.start), known_after.get(edge.start)
        if form != now and (edge.source in sources or edge.target in writers):
            return f"{edge.start} would be {now} in place of {form}"
    return ""


def _forms(scan: ScanGraph) -> dict[str, str]:
    """Shape, and dtype where a parameter says it, of what each port gives, as far as is known."""
    found = {}
    for port, shape in known_shapes(scan.graph, scan.types).items():
        dtype = values_of(scan, port.partition(".")[0]).get("dtype", "")
        found[port] = f"{shape} {dtype}".strip()
    return found


def _part(values: Any, path: str) -> Any:
    for part in path.split("."):
        values = values.get(part) if isinstance(values, Mapping) else None
    return values


def _with_part(whole: Any, parts: list[str], value: Any, place: str, scan: ScanGraph) -> Any:
    """A parameter with one of its parts as given; itself when no part is named."""
    if not parts:
        return value
    if not isinstance(whole, Mapping):
        raise InputError(f"{place} has no parts", remedy=f"set {place}", device=scan.device)
    head, *rest = parts
    if rest and head not in whole:
        raise InputError(
            f"{place} has no {head!r}", remedy=nearest(head, whole), device=scan.device
        )
    return {**whole, head: _with_part(whole.get(head), rest, value, f"{place}.{head}", scan)}


def output_of(scan: ScanGraph, node: str, port: str) -> str:
    """The name of an output of a node; the only one where none is named. Raises: InputError."""
    kind = scan.graph.nodes[node_of(scan, node)].kind
    outputs = [one.name for one in scan.types[kind].outputs]
    if port in outputs or (not port and len(outputs) == 1):
        return port or outputs[0]
    what = f"{node} has no output {port!r}" if port else f"{node} has {len(outputs)} outputs"
    raise InputError(what, remedy=nearest(port, outputs), device=scan.device)


def can_clear(scan: ScanGraph, node: str) -> bool:
    """Whether a node may be told to forget: not a source, a file, or a channel."""
    kind = scan.graph.nodes[node_of(scan, node)].kind
    return kind not in (WRITER, CHANNEL) and bool(scan.types[kind].inputs)
