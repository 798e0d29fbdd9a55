"""`undula pipes rehearse`: what a graph can do, before there is beam.

In: a graph file, and the size of its frames where the graph does not say it. Out: a verdict. What
was written is removed again.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from undula.cli.output import FAILED, BeamlineOption, JsonOption, kind, print_json
from undula.cli.pipes import GraphFile, Nodes, beamline_of, load, node_types, performed, status_text
from undula.core.errors import InputError, StorageError

if TYPE_CHECKING:
    from undula.pipes.graph import Graph
    from undula.pipes.nodes.user_nodes import NodeFolder
    from undula.pipes.runner import Runner
    from undula.pipes.runner.rehearse import Size

MADE_UP = ("simulated",)
ROOM = 0.8
"""A rehearsal may take so much of what is free at most."""
DTYPES = ("uint8", "uint16", "uint32")


def _size(text: str) -> Size:
    """`2048x4096` or `2048x4096:uint32`: height, width, dtype. Raises: InputError."""
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})(?::(\w+))?", text)
    dtype = (found and found[3]) or "uint16"
    if found is None or dtype not in DTYPES:
        raise InputError(
            f"{text!r} is no size of frames",
            remedy=f"write HEIGHTxWIDTH or HEIGHTxWIDTH:DTYPE, one of {', '.join(DTYPES)}",
        )
    return int(found[1]), int(found[2]), dtype


def _sizes(graph: Graph, types: NodeFolder, text: str | None) -> dict[str, Size]:
    """Of the sources that are no made-up detectors. Raises: InputError when nobody says it."""
    real = [n for n, s in graph.nodes.items() if not types[s.kind].inputs and s.kind not in MADE_UP]
    if real and text is None:
        raise InputError(
            f"nobody knows beforehand how large the frames of {', '.join(real)} are",
            remedy="say it: --size 2048x2048:uint16",
        )
    return {name: _size(text) for name in real} if text is not None else {}


def _bytes_of_frame(graph: Graph, types: NodeFolder) -> int:
    """Of the largest that a source makes."""
    import numpy as np

    largest = 0
    for node in graph.nodes.values():
        if node.kind in MADE_UP:
            detector: Any = types[node.kind](**node.parameters)
            size = detector.height * detector.width * np.dtype(detector.dtype).itemsize
            largest = max(largest, size)
    return largest


def _room(places: list[Path]) -> dict[Path, int]:
    """Folders that are there, and what is free for each of the places below them, bytes."""
    there = {next(p for p in place.absolute().parents if p.exists()) for place in places}
    return {folder: shutil.disk_usage(folder).free for folder in there}


def _check_room(free: Mapping[Path, int], needed: float) -> None:
    """Raises: StorageError when a folder has no room for so many bytes."""
    for folder, room in free.items():
        if needed > ROOM * room:
            raise StorageError(
                f"a rehearsal may write {needed / 1e9:.3g} GB to {folder}, where "
                f"{room / 1e9:.3g} GB are free",
                remedy="make room, or rehearse for a shorter time: --for",
            )


@kind
def rehearse(
    file: GraphFile,
    duration_s: Annotated[float, typer.Option("--for", help="Seconds.", min=0.5)] = 10.0,
    rate_hz: Annotated[
        float, typer.Option("--rate", help="Frames a second; 0: as fast as it goes.", min=0.0)
    ] = 0.0,
    size: Annotated[
        str | None, typer.Option("--size", help="Of real sources' frames: 2048x2048:uint16.")
    ] = None,
    nodes: Nodes = None,
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Push made-up frames of the real size through the real graph to the real disk.

    Frames are made before it begins and used in turn. Says the highest rate of each node, the
    bottleneck by name, and what to change. Files that it writes are removed again.

    Example: undula pipes rehearse live.yaml --for 20 --rate 100 --size 2048x2048:uint16
    """
    from undula.pipes.runner.rehearse import rehearsal, verdict

    types, folder = node_types(nodes, beamline)
    real = load(file, types)
    graph, made = rehearsal(real, rate_hz, f"rehearsal-{os.getpid()}", _sizes(real, types, size))
    free = _room(made)
    _check_room(free, _bytes_of_frame(graph, types) * max(rate_hz, 1.0) * duration_s)
    early = False

    def watch(runner: Runner) -> None:
        nonlocal early
        if any(shutil.disk_usage(p).free < (1 - ROOM) * room for p, room in free.items()):
            early = True
            runner.stop()

    begun = time.monotonic()
    try:
        outcome = performed(
            graph, types, folder, beamline_of(beamline), duration_s, quiet=True, watch=watch
        )
    finally:
        for place in made:
            shutil.rmtree(place, ignore_errors=True)
    if early:
        duration_s = min(duration_s, time.monotonic() - begun)
        print("the disk was getting full: the rehearsal ended early", file=sys.stderr)
    sources = [name for name, node in graph.nodes.items() if not types[node.kind].inputs]
    found = verdict(graph, outcome.status, duration_s, sources, rate_hz, cores=os.cpu_count() or 1)
    if as_json:
        print_json({
            "sustained_hz": found.sustained_hz, "could_hz": found.could_hz,
            "bottleneck": found.bottleneck, "advice": found.advice, "failed": outcome.failed,
        })  # fmt: skip
    else:
        print(status_text(outcome.status))
        print(f"\n{found.text}")
    if outcome.failed:
        print(f"failed: {outcome.failed}", file=sys.stderr)
        raise typer.Exit(FAILED)
