"""Room: pipes. How much a graph will write, for the check before it does. Pure.

In: the graph; how large the files of runs before became. Out: bytes a point of a scan, or of all
frames of a command. Called by: `graph_run`, for `scans.involved`; commands. Frames count as they
are until a run has shown how small they become; what nobody knows beforehand (the size of a
camera's frames) counts from its first run on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from undula.pipes.for_scans import WRITER, ScanGraph
from undula.pipes.graph.model import Graph
from undula.pipes.graph.shapes import known_shapes
from undula.pipes.run_files import RunFile

USUAL_DTYPE = "uint16"


@dataclass(frozen=True, slots=True)
class _Written:
    """What a writer wrote last: frames of one shape and dtype, in so many bytes of file each."""

    shape: tuple[int, ...]
    dtype: str
    part: float
    """Bytes in the file for each byte of a frame."""


class DiskUse:
    """Of the writers of one graph."""

    def __init__(self) -> None:
        self._written: dict[str, _Written] = {}

    def learn(self, writer: str, files: Iterable[RunFile]) -> None:
        """The files of a run that has ended."""
        made = [file for file in files if file.frames and file.path.exists()]
        if not made:
            return
        last = made[-1]
        whole = sum(file.frames for file in made) * _bytes(last.shape, last.dtype)
        on_disk = sum(file.path.stat().st_size for file in made)
        self._written[writer] = _Written(last.shape, last.dtype, on_disk / whole)

    def bytes_per_point(self, scan: ScanGraph) -> int:
        """Of all writers together."""
        shapes = known_shapes(scan.graph, scan.types)
        total = 0.0
        for writer in scan.writers:
            before = self._written.get(writer)
            shape = shapes.get(scan.graph.into(writer)[0].start)
            if shape is None and before is not None:
                shape = before.shape
            if shape is not None:
                dtype = before.dtype if before else _dtype_of(scan.graph, scan.types, scan.source)
                total += _bytes(shape, dtype) * (before.part if before is not None else 1.0)
        return math.ceil(total)


def _bytes(shape: tuple[int, ...], dtype: str) -> int:
    return math.prod(shape) * np.dtype(dtype).itemsize


def _dtype_of(graph: Graph, types: Mapping[str, Any], source: str) -> str:
    """That of the source, where it has a parameter for it."""
    spec = graph.nodes[source]
    return str(getattr(types[spec.kind].checked(**spec.parameters), "dtype", USUAL_DTYPE))


def bytes_of_frames(
    graph: Graph, types: Mapping[str, Any], duration_s: float | None = None
) -> dict[str, int]:
    """What each writer of a graph with one source would write without compression, by its name.

    Writers of which nobody knows it beforehand are left out.

    Args:
        duration_s: the source is stopped after so long, s; None: it ends by itself.
    """
    sources = [name for name, node in graph.nodes.items() if not types[node.kind].inputs]
    if len(sources) != 1:
        return {}
    spec = graph.nodes[sources[0]]
    values = types[spec.kind].checked(**spec.parameters)
    counts = [float(getattr(values, "frames", 0) or math.inf)]
    if duration_s is not None:
        counts.append(duration_s * (float(getattr(values, "rate_hz", 0)) or math.inf))
    if not math.isfinite(min(counts)):
        return {}
    dtype, shapes = _dtype_of(graph, types, sources[0]), known_shapes(graph, types)
    return {
        name: math.ceil(min(counts)) * _bytes(shapes[edge.start], dtype)
        for name, node in graph.nodes.items() if node.kind == WRITER
        for edge in graph.into(name) if edge.start in shapes
    }  # fmt: skip
