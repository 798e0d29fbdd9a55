"""How long a point's detectors may take, before the scan gives them up."""

from __future__ import annotations

import pytest

from undula.devices.sim import SimPositioner
from undula.pipes.detector import GraphDetector
from undula.scans.build import trigger_timeout_s

GRAPH = {"nodes": {"det": "simulated", "file": "frame_file"}, "edges": ["det -> file"]}


@pytest.mark.parametrize("frame_timeout", [1.0, 8.0, 30.0, 600.0])
@pytest.mark.parametrize("count_time_s", [0.0, 0.1, 100.0])
def test_a_graph_says_itself_that_its_frame_did_not_come(
    frame_timeout: float, count_time_s: float
) -> None:
    cam = GraphDetector("cam", graph=GRAPH, frame_timeout=frame_timeout)
    found = trigger_timeout_s(count_time_s, [SimPositioner("samx"), cam])
    assert found >= count_time_s + frame_timeout + 10.0
    assert found >= trigger_timeout_s(count_time_s, [])
