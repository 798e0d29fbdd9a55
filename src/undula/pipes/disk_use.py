"""Room: pipes. How much a graph will write at each point of a scan, for the check before it. Pure.

In: the graph as scans use it; how large the files of runs before became. Out: bytes a point. Called
by: `detector`, for `scans.involved`. Frames count as they are until a run has shown how small they
become; what nobody knows beforehand (the size of a camera's frames) counts from its first run on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from undula.pipes.for_scans import ScanGraph
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
                dtype = before.dtype if before is not None else _dtype_of(scan)
                total += _bytes(shape, dtype) * (before.part if before is not None else 1.0)
        return math.ceil(total)


def _bytes(shape: tuple[int, ...], dtype: str) -> int:
    return math.prod(shape) * np.dtype(dtype).itemsize


def _dtype_of(scan: ScanGraph) -> str:
    """That of the source, where it has a parameter for it."""
    source = scan.graph.nodes[scan.source]
    values = scan.types[source.kind].checked(**source.parameters)
    return str(getattr(values, "dtype", USUAL_DTYPE))
