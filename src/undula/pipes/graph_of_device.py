"""Room: pipes. The graph that a device file gives, checked in every way that is known beforehand.

In: a graph or the path of one, the nodes there are, where its nodes run. Out: the graph as scans
use it, or every fault with its place; later the same graph with the nodes as their files are then.
Called by: `detector`, when it is made and when its device file is checked; `live_graph`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from undula.core.errors import InputError
from undula.core.served import own_nodes
from undula.pipes.errors import GraphError
from undula.pipes.for_scans import ScanGraph, for_scans, judge_for_scans
from undula.pipes.graph import Graph, checked, whole_graph
from undula.pipes.graph.faults import Fault, Faults
from undula.pipes.nodes.user_nodes import NodeFolder
from undula.pipes.runner.placement import LocalPlacement, judge_places


def nodes_there(given: str | None) -> NodeFolder:
    """The shipped nodes, and those of the folder of a device file or else the beamline's own."""
    return NodeFolder(own_nodes() if given is None else Path(given))


def usable_graph(
    name: str, graph: str | Mapping[str, Any], nodes: NodeFolder,
    place: Mapping[str, str] | None = None,
) -> ScanGraph:  # fmt: skip
    """The graph of a device file, as scans use it, on hosts that the engine reaches.

    Raises: GraphError with every fault, those of the files of its own nodes among them.
    """
    types = nodes.as_read()

    def also(made: Graph, faults: Faults) -> None:
        judge_places(made, LocalPlacement().sites(), faults)
        judge_for_scans(made, types, name, faults)

    source = Path(graph) if isinstance(graph, str) else graph
    try:
        made = whole_graph(source, types, name=name, place=place, also=also)
    except GraphError as error:
        raise _with_faults_of_files(error, types) from error
    return for_scans(made, types, name)


def _with_faults_of_files(error: GraphError, types: NodeFolder) -> GraphError:
    """A node that is not there may be in a file that cannot be used."""
    if not any(fault.path.endswith(".node") for fault in error.faults):
        return error
    files = [Fault(str(f.where), f.what, "correct the file") for f in types.faults.values()]
    error.faults = [*error.faults, *files]
    error.details = [str(fault) for fault in error.faults]
    return error


def fault_of_config(error: GraphError) -> InputError:
    """The faults of a graph as those of `graph:` in a device file, each with its place in that."""
    found = InputError(" ".join(error.details) or f"{error}", remedy=error.remedy)
    found.parts = [
        (f"graph.{f.path}", f"{f.place}{': ' if f.place else ''}[{f.path}] {f.what}", f.remedy)
        for f in error.faults
    ]
    return found


def as_saved(scan: ScanGraph, types: NodeFolder) -> ScanGraph:
    """The same graph with its nodes as they were read now; `scan` itself when none was changed.

    Raises: InputError when the graph does not fit its nodes any more, naming the file and what to
    change.
    """
    kinds = {spec.kind for spec in scan.graph.nodes.values()}
    new = sorted(kind for kind in kinds if types.get(kind) is not scan.types.get(kind))
    if not new:
        return scan
    try:
        return for_scans(checked(scan.graph, types), types, scan.device)
    except GraphError as error:
        what, remedy = f"[{error.faults[0].path}] {error.faults[0].what}", error.faults[0].remedy
        files = sorted({types.place(kind) for kind in new if kind in types})
        gone = f"the file of {', '.join(kind for kind in new if kind not in types)} is gone"
        saved = f"{', '.join(files)} was saved" if files else gone
        faults = "".join(f"; since then [{f.where}] {f.what}" for f in types.faults_of(new))
        raise InputError(
            f"{saved}, and its graph does not fit any more: {what}{faults}",
            remedy=f"{remedy.rstrip('.')}; or correct the graph in the device file, then undula "
            "config reload",
            device=scan.device,
        ) from error


def with_parameters_of(scan: ScanGraph, other: ScanGraph) -> ScanGraph:
    """The same graph with its nodes as in `scan`, their parameters as in `other`.

    Raises: InputError when a node does not take one of them.
    """
    nodes = {
        name: replace(spec, parameters=other.graph.nodes[name].parameters)
        for name, spec in scan.graph.nodes.items()
    }
    for name, spec in nodes.items():
        kind = scan.types[spec.kind]
        for place, what, remedy in kind.wrong(spec.parameters):
            raise InputError(f"{name}.{place}: {what}", remedy=remedy, device=scan.device)
    return replace(scan, graph=replace(scan.graph, nodes=nodes))
