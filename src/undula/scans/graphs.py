"""Requests about graphs: listed, shown, changed while they run.

In: `PipesRequest`s, on any thread. Out: what the detector says of its graph. A device has a graph
when it has `live_graph` (`undula.pipes.detector`); of other graphs the commands that run them are
asked (`graphs_of_commands`). Unlike other settings, parameters of nodes may
be changed while a scan uses the device: the run says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from undula.bus.ports import Connector
from undula.core.errors import InputError
from undula.core.suggest import near
from undula.devices.registry import Registry
from undula.messages import PipesRequest
from undula.scans.graphs_of_commands import ask_command, of_command
from undula.scans.limits import usable


def with_graphs(devices: Registry) -> list[str]:
    """Names of the devices that have a graph and can be used."""
    return [n for n in devices.names() if hasattr(devices[n].obj, "live_graph")]


def look_at_graphs(names: Iterable[str], devices: Registry) -> list[str]:
    """The graphs of these devices fit their nodes and frames, as far as is known before.

    Parameters and files may have been changed since the device file was checked; nodes that were
    saved are taken up. Returns: files of nodes that cannot be used. Raises: InputError.
    """
    graphs = [getattr(devices[name].obj, "live_graph", None) for name in names]
    return [fault for graph in graphs if graph is not None for fault in graph.look()]


def answer_pipes(request: PipesRequest, devices: Registry, connector: Connector) -> dict[str, Any]:
    """Carry out a request. Raises: InputError, PipeError, BusyError."""
    names = with_graphs(devices)
    if request.action == "list":
        return {"graphs": names}
    if request.graph in devices.names():
        usable(devices, request.graph, "a detector with a graph")
    if request.action == "set" and not request.parameters:
        raise InputError("no parameter is given", remedy="e.g. undula pipes set cam low.low 5")
    if request.graph not in names:
        told = of_command(connector, request.graph)
        if told is not None:
            return ask_command(connector, request, told)
        meant = near(request.graph, names)
        are = "is" if len(names) == 1 else "are"
        there = f"there {are} {', '.join(names)}" if names else "no device here has one"
        raise InputError(
            f"there is no graph {request.graph!r}",
            remedy=f"did you mean {meant}?" if meant else there,
        )
    graph = devices[request.graph].obj.live_graph
    if request.action == "show":
        return dict(graph.shown())
    user = request.user or "somebody"
    if request.action == "clear":
        return dict(graph.clear(request.node, user))
    if request.action == "result":
        return dict(graph.result(request.node, request.port))
    return dict(graph.change(request.node, request.parameters, user))
