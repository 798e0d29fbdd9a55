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
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from undula.cli.output import FAILED, BeamlineOption, JsonOption, kind, print_json, table
from undula.cli.pipes import GraphFile, Nodes, beamline_of, load, node_types, performed
from undula.core.errors import InputError, StorageError

if TYPE_CHECKING:
    from undula.pipes.graph import Graph
    from undula.pipes.nodes.user_nodes import NodeFolder
    from undula.pipes.runner import Runner
    from undula.pipes.runner.rehearse import Size
    from undula.pipes.runner.status import GraphStatus
    from undula.pipes.runner.verdict import Verdict

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
    if text is not None and not real:
        raise InputError(
            "every source of this graph says itself how large its frames are",
            remedy="leave --size out, or change width and height in the graph",
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


def _remove(place: Path, absent: list[Path]) -> None:
    """A folder with what was written into it, and those above it that were not there before."""
    shutil.rmtree(place, ignore_errors=True)
    with suppress(OSError):  # somebody else has put something there meanwhile
        for folder in absent:
            folder.rmdir()


def _idle_s() -> float:
    """Seconds for which cores of this host had nothing to do, all together, since it started."""
    numbers = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()
    return (int(numbers[4]) + int(numbers[5])) / os.sysconf("SC_CLK_TCK")


def _found_text(found: Verdict, status: GraphStatus, duration_s: float) -> str:
    """Each node with its rate and its time, then the verdict."""
    from undula.pipes.runner.verdict import span_s

    duration_s = span_s(status, duration_s)
    rows = []
    for name, node in status.nodes.items():
        own = {key.removesuffix("_s"): value / duration_s for key, value in node.measured.items()
               if key.endswith("_s")}  # fmt: skip
        rows.append([
            name, node.frames, f"{node.frames / duration_s:.4g}",
            f"{found.could_hz[name]:.4g}" if name in found.could_hz else "",
            f"{node.at_work_s / duration_s:.0%}", f"{node.cpu_s / duration_s:.2f}",
            f"{node.blocked_s / duration_s:.0%}",
            node.failed or "", ", ".join(f"{key} {part:.0%}" for key, part in own.items()),
        ])  # fmt: skip
    head = ["node", "frames", "Hz", "could do", "at work", "cores", "held up", "failed", "its time"]
    return f"{table(head, rows)}\n\n{found.text}"


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
    bottleneck by name, and what to change, by what was measured. What it writes is removed again.

    Example: undula pipes rehearse live.yaml --for 20 --rate 100 --size 2048x2048:uint16
    """
    from undula.pipes.runner.rehearse import rehearsal
    from undula.pipes.runner.verdict import verdict

    types = node_types(nodes, beamline)
    real = load(file, types)
    graph, made = rehearsal(real, rate_hz, f"rehearsal-{os.getpid()}", _sizes(real, types, size))
    free = _room(made)
    _check_room(free, _bytes_of_frame(graph, types) * max(rate_hz, 1.0) * duration_s)
    absent = {place: [p for p in place.absolute().parents if not p.exists()] for place in made}
    early = False

    def watch(runner: Runner) -> None:
        nonlocal early
        if any(node.frames for node in runner.status.nodes.values()):
            idle.append((time.monotonic(), _idle_s()))
        if any(shutil.disk_usage(p).free < (1 - ROOM) * room for p, room in free.items()):
            early = True
            runner.stop()

    begun = time.monotonic()
    idle = [(begun, _idle_s())]
    try:
        outcome = performed(
            graph, types, beamline_of(beamline), duration_s, quiet=True, watch=watch
        )
    finally:
        for place in made:
            _remove(place, absent[place])
    if early:
        duration_s = min(duration_s, time.monotonic() - begun)
        print("the disk was getting full: the rehearsal ended early", file=sys.stderr)
    sources = [name for name, node in graph.nodes.items() if not types[node.kind].inputs]
    first, last = idle[1 if len(idle) > 2 else 0], idle[-1]
    idle_cores = (last[1] - first[1]) / max(0.01, last[0] - first[0])
    found = verdict(real, outcome.status, duration_s, sources, rate_hz, idle_cores=idle_cores)
    if as_json:
        print_json({
            "sustained_hz": found.sustained_hz, "could_hz": found.could_hz,
            "bottleneck": found.bottleneck, "advice": found.advice, "failed": outcome.failed,
            "idle_cores": idle_cores, "nodes": outcome.status.plain()["nodes"],
        })  # fmt: skip
    elif not outcome.failed:
        print(_found_text(found, outcome.status, duration_s))
    for node in outcome.status.nodes.values():
        if node.failed and not outcome.failed:
            print(f"{node.name} failed on {node.failed} frames: {node.error}", file=sys.stderr)
    if outcome.failed:
        print(f"failed: {outcome.failed}", file=sys.stderr)
        raise typer.Exit(FAILED)
