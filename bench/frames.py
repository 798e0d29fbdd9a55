"""Benchmarks of pipes: frames through a graph, messages and values over a link, growth, deaths.

The peer of the graph is one process that does the same work in a loop: the same nodes, called one
after the other, the same file. The peers of the link are a copy in memory and a bare file.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from bench.report import Row, Spread
from undula.pipes.frame import Frame
from undula.pipes.graph import Graph, GraphBuilder, checked
from undula.pipes.link import Outlet
from undula.pipes.link.far_outlet import FarOutlet
from undula.pipes.link.keys import load_keys
from undula.pipes.nodes.registry import Shipped
from undula.pipes.policy import Policy
from undula.pipes.runner import Runner

MS, US, NS = 1e3, 1e6, 1e9
SIDE = 2048
FRAME_BYTES = 2 * SIDE * SIDE
PREVIEW_S = 0.1
MB = 1_000_000
TYPES = Shipped()


def pipes(rounds: int, quick: bool) -> list[Row]:
    """All of them."""
    with tempfile.TemporaryDirectory(prefix="undula-bench-") as folder:
        place = Path(folder)
        return [
            *_frames(place, rounds, quick),
            *_messages(place, rounds, quick),
            *_values(place, rounds, quick),
            *_growth(place, rounds, quick),
            *_hosts(place, rounds, quick),
            *_deaths(place, rounds),
        ]


# ---- frames through a graph --------------------------------------------------------------------


def _graph(frames: int, folder: Path) -> Graph:
    made = (
        GraphBuilder("bench")
        .node("det", "simulated", width=SIDE, height=SIDE, frames=frames, rate_hz=0, level=20.0)
        .node("roi", "roi", rois=_rois())
        .node("view", "preview")
        .node("file", "frame_file", folder=str(folder), threads=2)
        .edge("det -> roi")
        .edge("det -> view", "latest")
        .edge("det -> file")
    )
    return checked(made.graph(), TYPES)


def _rois() -> dict[str, Any]:
    return {"all": {"shape": "box", "x": 512, "y": 512, "width": 1024, "height": 1024}}


def _graph_s(frames: int, folder: Path) -> float:
    with Runner(_graph(frames, folder), TYPES) as runner:
        start = time.perf_counter()
        outcome = runner.run()
        took = time.perf_counter() - start
    if not outcome.ok:
        raise RuntimeError(outcome.failed or outcome.report.text)
    return took


def _loop_s(frames: int, folder: Path) -> float:
    det = TYPES["simulated"](width=SIDE, height=SIDE, frames=frames, rate_hz=0, level=20.0)
    roi, view = TYPES["roi"](rois=_rois()), TYPES["preview"]()
    file = TYPES["frame_file"](folder=str(folder), threads=2)
    start = viewed = time.perf_counter()
    while not det.ended:  # type: ignore[attr-defined]  # a source
        for frame in det.take(time.time()):  # type: ignore[attr-defined]
            roi.accumulate(frame)
            roi.result()
            now = time.perf_counter()
            if now - viewed > PREVIEW_S:
                viewed = now
                view.accumulate(frame)
                view.result()
            file.accumulate(frame)
            file.result()
            file.done()
    file.close()
    return time.perf_counter() - start


def _slope(seconds: Callable[[int, Path], float], folder: Path, few: int, many: int) -> float:
    """Seconds a frame, without what is done once."""
    found = []
    for frames in (few, many):
        found.append(seconds(frames, folder))
        for path in folder.glob("*.h5"):
            path.unlink()
    return (found[1] - found[0]) / (many - few)


def _frames(folder: Path, rounds: int, quick: bool) -> list[Row]:
    few, many = (8, 40) if quick else (20, 220)
    ours, loop, copy, bare = [], [], [], []
    for _ in range(rounds):
        ours.append(_slope(_graph_s, folder, few, many) * MS)
        loop.append(_slope(_loop_s, folder, few, many) * MS)
        copy.append(_copy_s(FRAME_BYTES, many) * MS)
        bare.append(_bare_write_s(folder, FRAME_BYTES, many) * MS)
    case = "8 MB: ROI, preview, compressed file"
    return [
        Row("pipes", case, "per frame", "ms", Spread.of(ours), Spread.of(loop)),
        Row("pipes", case, "copy in memory", "ms", Spread.of(copy)),
        Row("pipes", case, "write a bare file", "ms", Spread.of(bare)),
    ]


def _copy_s(size: int, times: int) -> float:
    source, ring = np.ones(size, "u1"), [np.zeros(size, "u1") for _ in range(4)]
    start = time.perf_counter()
    for number in range(times):
        np.copyto(ring[number % 4], source)
    return (time.perf_counter() - start) / times


def _bare_write_s(folder: Path, size: int, times: int) -> float:
    data = np.ones(size, "u1").data
    path = folder / "bare"
    with path.open("wb", buffering=0) as out:
        start = time.perf_counter()
        for _ in range(times):
            out.write(data)
        took = (time.perf_counter() - start) / times
    path.unlink()
    return took


# ---- over a link -------------------------------------------------------------------------------


@contextmanager
def _ends(
    path: Path | str, *words: tuple[str, str, str]
) -> Iterator[list[subprocess.Popen[bytes]]]:
    found = [
        subprocess.Popen([sys.executable, "-m", "bench.pipe_ends", what, str(path), name, last])
        for what, name, last in words
    ]
    try:
        yield found
    finally:
        for process in found:
            if process.poll() is None:
                process.kill()
            process.wait()


def _sent_s(
    folder: Path, data: np.ndarray[Any, Any], frames: int, *ends: tuple[str, str, str],
    in_place: bool = False, budget_bytes: int = 64 * MB,
) -> float:  # fmt: skip
    """Seconds until so many frames have been confirmed by all consumers."""
    expect = {name: Policy() for _, name, _ in ends}
    outlet = Outlet(
        folder / "link", frame_bytes=data.nbytes, budget_bytes=budget_bytes, expect=expect
    )
    with _ends(folder / "link", *ends):
        while len(outlet.present) < len(ends):
            outlet.pump(None)
        start = time.perf_counter()
        for number in range(1, frames + 1):
            if in_place:
                loan = outlet.loan(data.shape, data.dtype)
                if loan is not None:
                    np.add(data, number & 1, out=loan.data)  # as much to read and write as a copy
                    outlet.publish(loan, Frame(number, loan.data))
            else:
                outlet.send(Frame(number, data))
        outlet.finish()
        while outlet.in_flight:
            outlet.pump(None)
        took = time.perf_counter() - start
    outlet.close()
    return took


def _far_s(data: np.ndarray[Any, Any], frames: int) -> float:
    """Seconds until so many frames have been confirmed over TCP, encrypted."""
    with tempfile.TemporaryDirectory(prefix="undula-keys-") as keys:
        outlet = FarOutlet(
            "tcp://127.0.0.1:*", frame_bytes=data.nbytes, budget_bytes=64 * MB,
            expect={"c": Policy()}, keys=load_keys(Path(keys)),
        )  # fmt: skip
        with _ends(outlet.address, ("far", "c", keys)):
            while not outlet.present:
                outlet.pump(None)
            start = time.perf_counter()
            for number in range(1, frames + 1):
                outlet.send(Frame(number, data))
            outlet.finish()
            while outlet.in_flight:
                outlet.pump(None)
            took = time.perf_counter() - start
        outlet.close()
    return took


def _hosts(folder: Path, rounds: int, quick: bool) -> list[Row]:
    """The link between hosts, over loopback, beside the link on one host."""
    rows = []
    for size, case, many in ((1024, "1 KB", 20_000), (8 * MB, "8 MB", 60)):
        frames = many // 4 if quick else many
        data = np.ones(size, "u1")
        far = [_far_s(data, frames) / frames * US for _ in range(rounds)]
        near = [
            _sent_s(folder, data, frames, ("take", "c", "lossless")) / frames * US
            for _ in range(rounds)
        ]
        rows.append(
            Row(
                "pipes",
                f"{case} to another host (loopback, CURVE)",
                "per frame",
                "us",
                Spread.of(far),
                Spread.of(near),
            )
        )
    return rows


def _messages(folder: Path, rounds: int, quick: bool) -> list[Row]:
    number = 20_000 if quick else 200_000
    data = np.ones(1024, "u1")
    found = [
        _sent_s(folder, data, number, ("take", "c", "lossless"), budget_bytes=4 * MB) / number * US
        for _ in range(rounds)
    ]
    return [Row("pipes", "1 KB messages", "per message", "us", Spread.of(found))]


def _values(folder: Path, rounds: int, quick: bool) -> list[Row]:
    block, blocks = np.ones((1000, 16)), 500 if quick else 5000
    ours, bare = [], []
    for _ in range(rounds):
        took = _sent_s(folder, block, blocks, ("file", "values", str(folder)))
        (folder / "values.h5").unlink()
        ours.append(took / blocks / block.size * NS)
        bare.append(_bare_write_s(folder, block.nbytes, blocks) / block.size * NS)
    case = "scalars in blocks of 1000 x 16, source to file"
    return [Row("pipes", case, "per value", "ns", Spread.of(ours), Spread.of(bare))]


def _growth(folder: Path, rounds: int, quick: bool) -> list[Row]:
    rows = []
    total = 200 * MB if quick else 2000 * MB
    for size in (1 << 16, 1 << 20, 1 << 23, 1 << 25):
        data, frames = np.ones(size, "u1"), max(10, total // size // 2)
        copied, placed, memory = [], [], []
        for _ in range(rounds):
            budget = max(64 * MB, 6 * size)
            end = ("take", "c", "lossless")
            copied.append(_sent_s(folder, data, frames, end, budget_bytes=budget) / frames * US)
            placed.append(
                _sent_s(folder, data, frames, end, in_place=True, budget_bytes=budget)
                / frames * US
            )  # fmt: skip
            memory.append(_copy_s(size, frames) * US)
        case = f"frames of {size >> 10} kB"
        peer = Spread.of(memory)
        rows.append(Row("pipes", case, "copied in", "us", Spread.of(copied), peer))
        rows.append(Row("pipes", case, "written in place", "us", Spread.of(placed), peer))
    data = np.ones(1 << 20, "u1")
    frames = max(10, total // data.nbytes // 2)
    for consumers in (1, 2, 4, 6):
        ends = [("take", f"c{n}", "lossless") for n in range(consumers)]
        times = [_sent_s(folder, data, frames, *ends) / frames * US for _ in range(rounds)]
        rows.append(
            Row("pipes", f"{consumers} consumers of 1 MB", "copied in", "us", Spread.of(times))
        )
    return rows


def _deaths(folder: Path, rounds: int) -> list[Row]:
    """From kill -9 of a viewer that holds frames until the producer has its slots back."""
    found = []
    for _ in range(max(3, rounds)):
        outlet = Outlet(folder / "link", frame_bytes=MB, expect={"view": Policy("latest")})
        with _ends(folder / "link", ("take", "view", "latest")) as (viewer,):
            while not outlet.present:
                outlet.pump(None)
            os.kill(viewer.pid, 19)  # it sleeps, with what it is given
            for number in range(1, 4):
                outlet.send(Frame(number, np.ones(MB, "u1")))
            start = time.perf_counter()
            os.kill(viewer.pid, 9)
            while outlet.present:
                outlet.pump(None)
            sent = outlet.send(Frame(4, np.ones(MB, "u1")), timeout_s=0.0)
            found.append((time.perf_counter() - start) * MS)
        outlet.close()
        if not sent:
            raise RuntimeError("a dead viewer held the producer up")
    return [Row("pipes", "kill -9 of a consumer", "until the next frame", "ms", Spread.of(found))]
