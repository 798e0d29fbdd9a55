"""A detector with a graph, each process of which is killed at each of its fault points."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import h5py
import hdf5plugin
import numpy as np
import pytest

from undula.pipes.detector import GraphDetector

BOX = {"shape": "box", "x": 0, "y": 0, "width": 64, "height": 48}
GRAPH: dict[str, Any] = {
    "nodes": {
        "det": {"node": "simulated", "parameters": {"width": 64, "height": 48, "rate_hz": 0}},
        "roi": {"node": "roi", "parameters": {"rois": {"all": BOX}}},
        "file": "frame_file",
        "view": "preview",
        "out": "channel",
    },
    "edges": ["det -> roi", "det -> file", {"det -> view": "latest"}, "roi.sum -> out"],
}
LOSSLESS = ("det.frames -> roi.frames", "det.frames -> file.frames", "roi.sum -> out.values")
OFTEN = [
    ("det", "pipes.published"), ("det", "pipes.sent"), ("roi", "pipes.received"),
    ("roi", "pipes.sent"), ("roi", "pipes.confirmed"), ("view", "pipes.received"),
    ("file", "pipes.received"), ("file", "pipes.confirmed"), ("file", "frames.chunk_written"),
    ("file", "frames.flushed"),
]  # fmt: skip
SELDOM = [
    ("det", "pipes.loaned"), ("det", "pipes.welcomed"), ("roi", "pipes.loaned"),
    ("roi", "pipes.published"), ("view", "pipes.confirmed"), ("file", "frames.created"),
    ("file", "frames.data_flushed"),
]  # fmt: skip
CASES = [*OFTEN, *(pytest.param(*case, marks=pytest.mark.soak) for case in SELDOM)]
MOST = 60
assert hdf5plugin.FILTERS, "imported so that h5py can read the frames"


@pytest.fixture(scope="module")
def detector() -> Iterator[GraphDetector]:
    """One graph, kept warm for all tests; nothing of it is left behind."""
    made = GraphDetector("cam", graph=GRAPH, frame_timeout=30.0)
    yield made
    status = made.status
    made.close()
    for node in status.nodes.values() if status else ():
        assert not node.pid or not Path(f"/proc/{node.pid}").exists(), f"{node.name} is left"


def one_run(detector: GraphDetector, path: Path, points: int, *, until: Path) -> list[Any]:
    """A run of so many points, and then on until the file `until` is gone: its documents."""
    detector.set_run_path(path)
    detector.stage().wait(60)
    found, taken = [], 0
    while taken < points or (until.exists() and taken < MOST):
        detector.trigger().wait(60)
        taken += 1
        found += [(*one, detector.read()) for one in detector.collect_asset_docs()]
    asyncio.run(detector.finish_data())
    return found


def checked_frames(documents: list[Any]) -> int:
    """The frames that the documents name are those of the triggers, and agree with the sums."""
    paths, numbers = {}, []
    for name, doc, reading in documents:
        if name == "stream_resource":
            paths[doc["uid"]] = urlparse(doc["uri"]).path
            continue
        with h5py.File(paths[doc["stream_resource"]], swmr=True, locking=False) as file:
            row = doc["indices"]["start"]
            numbers.append(int(file["entry/data/seq_num"][row]))
            assert reading["cam_roi_sum"]["value"] == file["entry/data/data"][row].sum()
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    return len(numbers)


@pytest.mark.parametrize(("node", "point"), CASES)
def test_a_process_is_killed_at_a_fault_point_and_every_trigger_has_its_frame(
    detector: GraphDetector, node: str, point: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = tmp_path / "once"
    one_run(detector, tmp_path / "warm.nxs", 1, until=once)
    assert detector.status is not None
    before = detector.status.nodes[node]
    once.touch()
    monkeypatch.setenv("UNDULA_TEST", "1")
    monkeypatch.setenv("UNDULA_FAULT", f"{point}:1")
    monkeypatch.setenv("UNDULA_FAULT_ONCE", str(once))
    os.kill(before.pid, signal.SIGKILL)  # its successor is armed, and dies at the point
    documents = one_run(detector, tmp_path / "run.nxs", 3, until=once)
    assert not once.exists(), "nobody was killed at this point"
    triggers = checked_frames(documents)
    for name, doc, _ in documents:
        if name == "stream_resource":
            h5py.File(urlparse(doc["uri"]).path).close()  # plainly, as any program does
    ledger = detector.run_ledger()
    assert ledger is not None
    assert ledger["triggers"] == triggers
    passed = dict(zip(ledger["edge"], ledger["passed"], strict=True))
    assert {edge: passed[edge] for edge in LOSSLESS} == dict.fromkeys(LOSSLESS, triggers)


def test_a_graph_that_ends_tells_who_waits_and_starts_anew(
    detector: GraphDetector, tmp_path: Path
) -> None:
    once = tmp_path / "once"
    one_run(detector, tmp_path / "first.nxs", 1, until=once)
    detector.close()
    assert detector.status is None
    documents = one_run(detector, tmp_path / "second.nxs", 2, until=once)
    assert checked_frames(documents) == 2
    assert np.isfinite(detector.read()["cam_roi_sum"]["value"])
