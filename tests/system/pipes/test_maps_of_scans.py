"""Maps that have the grid of each scan, in a graph that is kept warm, when their process dies."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from undula.pipes.detector import GraphDetector
from undula.testing.law import until

BOX = {"shape": "box", "x": 0, "y": 0, "width": 4, "height": 4}
GRAPH: dict[str, Any] = {
    "nodes": {
        "det": {"node": "simulated", "parameters": {"width": 8, "height": 6, "rate_hz": 0}},
        "roi": {"node": "roi", "parameters": {"rois": {"beam": BOX}}},
        "map": "grid_map",
        "out": "channel",
    },
    "edges": ["det -> roi", "roi.sum -> map", "map.map -> out"],
}


@pytest.fixture(scope="module")
def detector() -> Iterator[GraphDetector]:
    made = GraphDetector("cam", graph=GRAPH, frame_timeout=30.0)
    yield made
    made.close()


def killed(detector: GraphDetector, node: str) -> None:
    """Behind this its successor is there."""
    status = detector.status
    assert status is not None
    pid = status.nodes[node].pid
    os.kill(pid, signal.SIGKILL)
    until(lambda: status.nodes[node].pid not in (0, pid), f"{node} is not started anew")


def test_a_map_whose_process_was_started_anew_in_a_small_scan_has_room_for_a_large_one(
    detector: GraphDetector, tmp_path: Path
) -> None:
    for name, shape, kill in [("a", (20, 20), False), ("b", (2, 2), True), ("c", (20, 20), False)]:
        detector.set_run_path(tmp_path / f"{name}.nxs")
        detector.stage().wait(60)
        detector.set_grid(shape, (False, False))
        detector.trigger().wait(60)
        if kill:
            killed(detector, "map")
            detector.trigger().wait(60)
        assert detector.read()["cam_map_map"]["value"].shape == shape
        detector.unstage()
