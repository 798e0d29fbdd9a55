"""The ledger names the place where a frame went missing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undula.core.errors import WireError
from undula.pipes.intervals import IntervalSet
from undula.pipes.judging import reconciled
from undula.pipes.ledger import FATES, Edge, EdgeLedger, Report, merged

DET_ROI = Edge("det.frames", "roi.frames")
ROI_FILE = Edge("roi.sums", "file.frames")
DET_VIEW = Edge("det.frames", "view.frames")
EDGES = (DET_ROI, ROI_FILE, DET_VIEW)
FOLLOWS = {"roi": [DET_ROI.name]}
ALL = IntervalSet([(1, 101)])


def ledger(**fates: list[tuple[int, int]]) -> EdgeLedger:
    found = EdgeLedger()
    for name, intervals in fates.items():
        setattr(found, name, IntervalSet(intervals))
    return found


def judged(**changed: EdgeLedger) -> Report:
    complete = ledger(seen=[(1, 101)], passed=[(1, 101)])
    views = {
        DET_ROI.name: [changed.get("det_roi", complete)],
        ROI_FILE.name: [changed.get("roi_file", complete)],
        DET_VIEW.name: [
            changed.get("view", ledger(seen=[(1, 101)], passed=[(1, 5)], dropped=[(5, 101)]))
        ],
    }
    return reconciled(100, EDGES, views, {"det": ALL}, FOLLOWS)


def test_frames_that_passed_or_were_left_out_by_a_policy_are_complete() -> None:
    report = judged()
    assert report.complete
    assert report.text == "complete: 100 frames, each accounted for on 3 edges"


def test_a_frame_that_failed_is_named_with_its_node_on_each_edge_that_misses_it() -> None:
    failed = ledger(seen=[(1, 101)], passed=[(1, 40), (41, 101)], failed=[(40, 41)])
    report = judged(
        det_roi=failed, roi_file=ledger(seen=[(1, 40), (41, 101)], passed=[(1, 40), (41, 101)])
    )
    assert not report.complete
    assert [(m.edge, m.frames.text(), m.place) for m in report.missing] == [
        (DET_ROI.name, "40", "failed in roi"),
        (ROI_FILE.name, "40", "failed in roi"),
    ]


def test_frames_that_went_with_a_node_that_died_are_named() -> None:
    report = judged(roi_file=ledger(seen=[(1, 91)], passed=[(1, 91)]))
    (missing,) = report.missing
    assert missing.place == "passed to roi, which did not hand it on"
    assert missing.frames.text() == "91-100"


def test_frames_that_the_source_never_made_are_its_fault() -> None:
    gap = ledger(seen=[(1, 50), (53, 101)], passed=[(1, 50), (53, 101)])
    views = {DET_ROI.name: [gap], ROI_FILE.name: [gap], DET_VIEW.name: [gap]}
    report = reconciled(100, EDGES, views, {"det": IntervalSet([(1, 50), (53, 101)])}, FOLLOWS)
    assert {m.place for m in report.missing} == {"never made by det"}
    assert {m.frames.text() for m in report.missing} == {"50-52"}


def test_frames_that_died_in_their_source_are_told_from_those_never_made() -> None:
    gap = ledger(seen=[(1, 50)], passed=[(1, 50)])
    views = {DET_ROI.name: [gap], ROI_FILE.name: [gap], DET_VIEW.name: [gap]}
    report = reconciled(100, EDGES, views, {"det": IntervalSet([(1, 60)])}, FOLLOWS)
    places = {m.frames.text(): m.place for m in report.missing if m.edge == DET_ROI.name}
    assert places == {"50-59": "made by det, and died with it", "60-100": "never made by det"}


def test_what_a_policy_left_out_further_up_is_not_missing_below() -> None:
    sampled = ledger(seen=[(1, 101)], passed=[(1, 2)], dropped=[(2, 101)])
    report = judged(det_roi=sampled, roi_file=ledger(seen=[(1, 2)], passed=[(1, 2)]))
    assert report.complete


def test_a_frame_still_on_its_way_at_the_end_is_missing() -> None:
    report = judged(det_roi=ledger(seen=[(1, 101)], passed=[(1, 100)]))
    assert report.missing[0].place == "still on the way to roi"
    assert "1 frame 100 still on the way to roi" in report.text


def test_both_ends_make_one_ledger_and_what_passed_at_last_is_not_lost() -> None:
    died = ledger(seen=[(1, 10)], passed=[(1, 5)], lost=[(5, 8)])
    successor = ledger(seen=[(5, 20)], passed=[(5, 20)])
    found = merged([died, successor])
    assert found.counts == {
        "seen": 19, "passed": 19, "dropped": 0, "lost": 0, "failed": 0, "on_the_way": 0,
    }  # fmt: skip


PARTS = st.lists(st.tuples(st.sampled_from(FATES), st.integers(1, 12)), max_size=30)


@given(st.lists(PARTS, max_size=3))
def test_however_ends_disagree_a_frame_has_one_fate(views: list[list[tuple[str, int]]]) -> None:
    found = []
    for view in views:
        made = EdgeLedger()
        for name, number in view:
            getattr(made, name).add(number)
        found.append(made)
    one = merged(found)
    counts = one.counts
    assert sum(counts[name] for name in (*FATES, "on_the_way")) == counts["seen"]
    for made in found:
        assert not made.passed - one.passed
    told = EdgeLedger()
    told.learn(one.changes())
    assert told.counts == counts
    assert one.changes() == {}, "it was told"


def test_a_ledger_that_is_none_is_refused() -> None:
    with pytest.raises(WireError, match="ledger makes no sense"):
        EdgeLedger().learn({"seen": [["a", 3]]})
