"""What is said of the frame of a point: that it is through, late, or which node failed at it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from undula.pipes.book import Book
from undula.pipes.for_scans import ScanGraph, for_scans
from undula.pipes.graph import checked, read_graph
from undula.pipes.ledger import Edge, EdgeLedger
from undula.pipes.nodes.registry import Shipped
from undula.pipes.points import SAY_S, Awaited, Points
from undula.pipes.runner.status import GraphStatus, NodeStatus

BOX = {"shape": "box", "x": 0, "y": 0, "width": 4, "height": 4}
GRAPH: dict[str, Any] = {
    "nodes": {
        "det": {"node": "simulated", "parameters": {"width": 8, "height": 8}},
        "roi": {"node": "roi", "parameters": {"rois": {"beam": BOX}}},
        "side": "sum",
        "view": "preview",
        "out": "channel",
    },
    "edges": ["det -> roi", "det -> side", {"det -> view": "latest"}, "roi.sum -> out"],
}
ROI, SIDE, VIEW, OUT = (
    "det.frames -> roi.frames", "det.frames -> side.frames", "det.frames -> view.frames",
    "roi.sum -> out.values",
)  # fmt: skip
AWAITED = (ROI, SIDE, OUT)


def scan_graph() -> ScanGraph:
    types = Shipped()
    return for_scans(checked(read_graph({"name": "g", **GRAPH}), types), types, "cam")


@dataclass
class Known:
    """What a runner would know, of a real book."""

    scan: ScanGraph
    causes: dict[str, str] = field(default_factory=dict)
    asked: int = 0

    def answered(self, nodes: Iterable[str]) -> int:
        return self.asked

    def __post_init__(self) -> None:
        edges = [Edge(edge.start, edge.end) for edge in self.scan.graph.edges]
        self.book = Book(edges, ["det"], {})
        nodes = {name: NodeStatus(name, "running") for name in self.scan.graph.nodes}
        self.status = GraphStatus("g", "running", nodes)

    @property
    def ledgers(self) -> Mapping[str, EdgeLedger]:
        return {name: self.book.ledger(name) for name in self.book.edges}

    def is_safe(self, node: str, seq_num: int) -> bool:
        return self.book.is_safe(node, seq_num)

    def failed_on(self, seq_num: int) -> list[str]:
        return self.book.failed_on(seq_num, AWAITED)

    def failed_until(self, seq_num: int, after: int) -> int | None:
        return self.book.failed_until(seq_num, AWAITED, after)

    def waits_at(self, seq_num: int) -> list[str]:
        return self.book.waits_at(seq_num, AWAITED)

    def learn(self, edge: str, number: int, *fates: str) -> None:
        self.book.learn(edge, {fate: [[number, number + 1]] for fate in ("seen", *fates)})


def awaited(number: int) -> Awaited:
    return Awaited(number, since=100.0, slow_s=1.0, timeout_s=8.0)


def test_a_node_that_failed_is_named_in_its_own_words_and_no_other_edge() -> None:
    points, known = Points(scan_graph()), Known(scan_graph())
    known.status.nodes["view"].error = "OSError: no display"
    known.learn(ROI, 7, "failed")
    known.learn(SIDE, 7)
    roi = known.status.nodes["roi"]
    roi.error, roi.error_at = "ValueError: out of range (own.py, line 3) at frame 7", 7
    points.place_of = lambda number: number - 4
    error = points.judge(awaited(7), known, 100.1).error
    assert error is not None
    assert error.what == (
        "node roi failed at frame 3 of this run: ValueError: out of range (own.py, line 3)"
    )
    assert "side" not in str(error)
    assert "display" not in str(error)


def test_who_says_first_that_a_node_failed_waits_for_that_nodes_own_words() -> None:
    points, known, frame = Points(scan_graph()), Known(scan_graph()), awaited(1)
    known.learn(ROI, 1, "failed")  # told by the node before it
    verdict = points.judge(frame, known, 100.1)
    assert verdict.error is None
    assert verdict.ask
    known.causes["roi"] = "ZeroDivisionError: division by zero"
    error = points.judge(frame, known, 100.2).error
    assert error is not None
    assert "node roi failed at frame 1 of this run: ZeroDivisionError" in error.what


def test_a_node_that_never_says_why_it_failed_is_named_all_the_same() -> None:
    points, known, frame = Points(scan_graph()), Known(scan_graph()), awaited(1)
    known.learn(ROI, 1, "failed")
    assert points.judge(frame, known, 105.0).error is None
    error = points.judge(frame, known, 105.1 + SAY_S).error
    assert error is not None
    assert "roi.frames failed at frame 1 of this run: it did not say why" in error.what


def test_a_node_for_which_no_point_waits_ends_the_scan_and_names_the_frame_at_which_it_failed() -> (
    None
):
    points, known = Points(scan_graph()), Known(scan_graph())
    known.causes["side"] = "RuntimeError: full"
    known.learn(SIDE, 2, "failed")  # heard when the frame of the next point is through already
    known.learn(SIDE, 3, "passed")
    points._heard[OUT][3] = scan_graph().values[OUT].nothing(None)
    error = points.judge(awaited(3), known, 100.0).error
    assert error is not None
    assert error.what == "node side failed at frame 2 of this run: RuntimeError: full"


def test_a_frame_on_which_a_node_failed_ends_one_trigger_and_none_behind_it() -> None:
    points, known = Points(scan_graph()), Known(scan_graph())
    known.causes["side"] = "RuntimeError: full"
    for number, fates in enumerate([["failed"], ["passed"], ["failed"], ["passed"]], 1):
        known.learn(SIDE, number, *fates)
        points._heard[OUT][number] = scan_graph().values[OUT].nothing(None)
    assert points.judge(awaited(1), known, 100.0).error is not None
    assert points.judge(awaited(2), known, 100.0).through
    error = points.judge(awaited(4), known, 100.0).error
    assert error is not None
    assert "at frame 3 of" in error.what
    points.forget_frames()
    assert points.judge(awaited(1), known, 100.0).error is not None, "frames are counted anew"


def test_a_viewer_that_fails_ends_no_scan() -> None:
    points, known = Points(scan_graph()), Known(scan_graph())
    known.learn(VIEW, 1, "failed")
    points._heard[OUT][1] = scan_graph().values[OUT].nothing(None)
    assert points.judge(awaited(1), known, 100.0).through


def test_a_frame_that_is_late_tells_who_did_not_make_it_or_where_it_is() -> None:
    points, known = Points(scan_graph()), Known(scan_graph())
    error = points.judge(awaited(1), known, 109.0).error
    assert error is not None
    assert error.what == f"frame 1 did not come to {OUT}, not in 8 s: det did not make it"
    known.learn(ROI, 1)
    verdict = points.judge(awaited(1), known, 109.0)
    assert verdict.error is None
    assert verdict.held_up == f"edge {ROI} cannot keep up: frame 1 is on its way"
    assert not verdict.away


def test_a_source_that_is_away_holds_the_point_up_and_is_said_to_be_away() -> None:
    points, known = Points(scan_graph()), Known(scan_graph())
    det = known.status.nodes["det"]
    det.waits_for, det.away = "X:CAM, which is not connected since 03:12:40", True
    verdict = points.judge(awaited(1), known, 109.0)
    assert verdict.error is None
    assert verdict.held_up == f"det waits for {det.waits_for}"
    assert verdict.away


def test_a_source_that_is_away_is_not_blamed_for_a_frame_that_it_made() -> None:
    points, known = Points(scan_graph()), Known(scan_graph())
    det = known.status.nodes["det"]
    det.waits_for, det.away = "X:CAM, which is not connected since 03:12:40", True
    known.learn(ROI, 1)
    verdict = points.judge(awaited(1), known, 109.0)
    assert verdict.held_up == f"edge {ROI} cannot keep up: frame 1 is on its way"
    assert not verdict.away
