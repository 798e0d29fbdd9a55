"""The ledger of a run whose engine died before it could add it up."""

from __future__ import annotations

from typing import Any

from undula.messages import RunDocument
from undula.pipes.run_ledger import RunLedger
from undula.scans.ledger_unknown import unknown_ledgers

TOLD = {
    "cam_graph_edges": [
        "det.frames -> roi.frames: lossless", "det.frames -> file.frames: spill(2 GB)",
        "det.frames -> view.frames: sample(1/3)",
    ],
    "cam_file": "frame_file",
    "cam_roi": "roi",
}  # fmt: skip


def journal(*documents: tuple[str, dict[str, Any]]) -> list[RunDocument]:
    return [
        RunDocument(index=number, name=name, doc=doc)
        for number, (name, doc) in enumerate(documents, 1)
    ]


def test_what_a_point_has_in_a_file_has_passed_and_the_rest_is_unknown() -> None:
    descriptor = {
        "uid": "d", "configuration": {"cam": {"data": TOLD}, "samx": {"data": {"samx_v": 1.0}}},
    }  # fmt: skip
    found = unknown_ledgers(journal(
        ("start", {"uid": "r"}), ("descriptor", descriptor),
        ("event", {"descriptor": "d", "seq_num": 1}),
        ("event_page", {"descriptor": "d", "seq_num": [2, 3]}),
    ))  # fmt: skip
    assert list(found) == ["cam"]
    ledger = found["cam"]
    assert ledger["edge"] == [
        "det.frames -> roi.frames", "det.frames -> file.frames", "det.frames -> view.frames",
    ]  # fmt: skip
    assert ledger["policy"] == ["lossless", "spill(2 GB)", "sample(1/3)"]
    assert (ledger["passed"], ledger["unknown"]) == ([0, 3, 0], [3, 0, 3])
    assert (ledger["triggers"], ledger["missing"], ledger["complete"]) == (3, 0, False)
    assert "of 3 frames" in ledger["text"]
    told = RunLedger(1, 3, edges={}).plain()
    assert told.keys() - ledger.keys() == {"first_frame"}, "which number it had nobody knows"


def test_a_run_without_points_or_without_a_graph_has_none() -> None:
    graph = {"uid": "d", "configuration": {"cam": {"data": TOLD}}}
    assert unknown_ledgers(journal(("start", {"uid": "r"}), ("descriptor", graph))) == {}
    other = {"uid": "d", "configuration": {"diode": {"data": {}}}}
    event = ("event", {"descriptor": "d", "seq_num": 1})
    assert unknown_ledgers(journal(("start", {"uid": "r"}), ("descriptor", other), event)) == {}
