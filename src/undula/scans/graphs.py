"""Requests about the graphs of detectors: listed, shown, changed while they run.

In: `PipesRequest`s, on any thread. Out: what the detector says of its graph. A device has a graph
when it has `live_graph` (`undula.pipes.detector`). Unlike other settings, parameters of nodes may
be changed while a scan uses the device: the run says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from undula.core.errors import InputError
from undula.core.suggest import near
from undula.devices.registry import Registry
from undula.messages import PipesRequest
from undula.scans.limits import usable


def with_graphs(devices: Registry) -> list[str]:
    """Names of the devices that have a graph and can be used."""
    return [n for n in devices.names() if hasattr(devices[n].obj, "live_graph")]


def refuse_misfits(names: Iterable[str], devices: Registry) -> None:
    """The graphs of these devices fit their frames, as far as is known before. Raises: InputError.

    Parameters and files may have been changed since the device file was checked.
    """
    for name in names:
        graph = getattr(devices[name].obj, "live_graph", None)
        if graph is not None:
            graph.refuse_misfits()


def answer_pipes(request: PipesRequest, devices: Registry) -> dict[str, Any]:
    """Carry out a request. Raises: InputError, PipeError, BusyError."""
    names = with_graphs(devices)
    if request.action == "list":
        return {"graphs": names}
    if request.graph in devices.names():
        usable(devices, request.graph, "a detector with a graph")
    if request.graph not in names:
        meant = near(request.graph, names)
        there = f"there are {', '.join(names)}" if names else "no device here has one"
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
    if not request.parameters:
        raise InputError("no parameter is given", remedy="e.g. undula pipes set cam low.low 5")
    return dict(graph.change(request.node, request.parameters, user))
