"""Room: pipes. A graph that runs as a message for the bus. Pure.

In: a runner's status, its graph, and the last frames of its ports. Out: `GraphTold`, bounded: the
parameters of a node as they are, pictures of at most `SIDE` pixels a side.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np

from undula.core.clock import now
from undula.core.text_keys import with_text_keys
from undula.messages import GraphTold, PipeEdge, PipeImage, PipeNode
from undula.pipes.frame import Array, Frame
from undula.pipes.graph.model import Graph
from undula.pipes.runner.status import GraphStatus

SIDE = 64
"""Pixels a side, or points of a curve, that a picture has at most."""


def thinned(data: Array) -> Array:
    """Every n-th row and column, at most `SIDE` of each; a copy. More dimensions: the first.

    >>> thinned(np.zeros((640, 128))).shape
    (64, 13)
    """
    while data.ndim > 2:
        data = data[0]
    step = max(1, -(-max(data.shape, default=1) // SIDE))
    return np.array(data[tuple(slice(None, None, step) for _ in data.shape)])


def plain_image(frame: Frame) -> dict[str, Any] | None:
    """A frame's picture as JSON takes it; None where it is compressed or empty."""
    if frame.compression != "none" or not frame.data.size:
        return None
    small = thinned(frame.data)
    return {
        "seq_num": frame.seq_num, "shape": list(frame.data.shape), "dtype": small.dtype.str,
        "thinned": list(small.shape), "bytes": base64.b64encode(small.tobytes()).decode(),
    }  # fmt: skip


def image_of(port: str, plain: Mapping[str, Any]) -> PipeImage:
    """What `plain_image` gave, as a message."""
    data = np.frombuffer(base64.b64decode(plain["bytes"]), plain["dtype"])
    return PipeImage(
        port=port, seq_num=plain["seq_num"], shape=plain["shape"],
        data=data.reshape(plain["thinned"]),
    )  # fmt: skip


def told(
    name: str, graph: Graph, status: GraphStatus, images: Mapping[str, Mapping[str, Any]]
) -> GraphTold:
    """The message of a graph, under the name of its device."""
    nodes = [
        PipeNode(
            name=n.name, kind=graph.nodes[n.name].kind, state=n.state, process=n.process,
            pid=n.pid, frames=n.frames, failed=n.failed,
            rate_hz=n.rate_hz, could_hz=n.could_hz, latency_s=n.latency_s, restarts=n.restarts,
            blocked_by=n.blocked_by, error=n.error,
            parameters=with_text_keys(graph.nodes[n.name].parameters),
        )
        for n in status.nodes.values()
    ]  # fmt: skip
    edges = [
        PipeEdge(
            name=e.name, policy=e.policy, seen=e.seen, passed=e.passed, dropped=e.dropped,
            lost=e.lost, failed=e.failed, depth=e.depth, rate_hz=e.rate_hz,
        )
        for e in status.edges.values()
    ]  # fmt: skip
    return GraphTold(
        name=name, state=status.state, nodes=nodes, edges=edges, time=now(),
        images=[image_of(port, plain) for port, plain in images.items()],
    )  # fmt: skip
