"""What a graph that runs says of itself, in words; pure."""

from __future__ import annotations

from undula.cli.pipes import one_line
from undula.pipes.runner.status import EdgeStatus, GraphStatus, NodeStatus

FILE, VIEW = "det.frames -> file.frames", "det.frames -> view.frames"


def status(state: str) -> GraphStatus:
    return GraphStatus(
        "live",
        "running",
        {
            "det": NodeStatus("det", state, process="det", frames=6),  # type: ignore[arg-type]
            "file": NodeStatus("file", "running", process="file", frames=6),
            "view": NodeStatus("view", "running", process="view"),
        },
        {
            FILE: EdgeStatus(FILE, seen=6, passed=6),
            VIEW: EdgeStatus(VIEW, "latest", seen=6, dropped=4),
        },
    )


def test_a_graph_that_only_a_viewer_keeps_from_ending_names_it() -> None:
    assert status("ended").waits_for() == ["view"]
    assert one_line(status("ended")).endswith("all frames are made; waiting for view")
    assert not status("running").waits_for()
    assert "waiting" not in one_line(status("running"))
