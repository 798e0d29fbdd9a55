"""The ledger names the place where a frame went missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undula.core.errors import WireError
from undula.pipes.book import Book
from undula.pipes.intervals import IntervalSet
from undula.pipes.judging import Known
from undula.pipes.judging import judged as judge
from undula.pipes.ledger import FATES, SETS, Edge, EdgeLedger, Report, merged

DET_ROI = Edge("det.frames", "roi.frames")
ROI_FILE = Edge("roi.sums", "file.frames")
DET_VIEW = Edge("det.frames", "view.frames")
EDGES = (DET_ROI, ROI_FILE, DET_VIEW)
FOLLOWS = {"roi": [DET_ROI.name]}
ALL = IntervalSet([(1, 101)])


def reconciled(
    triggers: int, edges: Sequence[Edge], views: Mapping[str, Sequence[EdgeLedger]],
    produced: Mapping[str, IntervalSet], follows: Mapping[str, Sequence[str]],
) -> Report:  # fmt: skip
    """The report of a book that was told all this."""
    book = Book(edges, produced, follows)
    for source, numbers in produced.items():
        book.made(source, numbers.intervals())
    for edge, ends in views.items():
        for end in ends:
            book.learn(edge, {kind: getattr(end, kind).intervals() for kind in SETS})
    return book.report(triggers)


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


def place_of(number: int, name: str, known: Known) -> str:
    """Where one frame went missing, told for itself; '' when a policy left it out."""
    edge, ledger = known.edges[name], known.ledgers[name]
    source, target = edge.source.split(".")[0], edge.target.split(".")[0]
    if number in ledger.failed:
        return f"failed in {target}"
    if number in ledger.lost and number in known.cut_off.get(name, ()):
        return f"on its way to {target} when {source} died"
    if number in ledger.lost:
        return f"went with {target} when it died"
    if number in ledger.seen:
        return f"still on the way to {target}"
    untold = f"known neither as passed to {target} nor as left out: {source} died untold"
    unheard = number in known.unheard.get(name, ())
    if source in known.produced:
        made, unsaid = number in known.produced[source], number in known.unsaid.get(source, ())
        if (made or unsaid) and unheard:
            return untold
        died = f"made by {source}, and died with it"
        said = f"made or not by {source}: it died before it said so" if unsaid else ""
        return died if made else said or f"never made by {source}"
    above = known.above(name)
    if any(number in known.ledgers[one].dropped for one in above):
        return ""
    for one in above:
        if number not in known.ledgers[one].passed:
            return place_of(number, one, known)
    return untold if unheard else f"passed to {source}, which did not hand it on"


NUMBERS = st.builds(
    IntervalSet, st.lists(st.tuples(st.integers(1, 12), st.integers(2, 14)), max_size=3)
)
LEDGERS = st.fixed_dictionaries(dict.fromkeys(("seen", *FATES), NUMBERS))


@given(st.lists(LEDGERS, min_size=3, max_size=3), st.lists(NUMBERS, min_size=8, max_size=8))
def test_many_frames_are_judged_as_each_for_itself(
    fates: list[dict[str, IntervalSet]], sets: list[IntervalSet]
) -> None:
    edges = (DET_ROI, Edge("roi.sums", "fit.sums"), Edge("fit.curve", "file.frames"))
    ledgers = {}
    for edge, some in zip(edges, fates, strict=True):
        ledgers[edge.name] = EdgeLedger()
        for fate, numbers in some.items():
            setattr(ledgers[edge.name], fate, numbers)
    known = Known(
        {edge.name: edge for edge in edges},
        ledgers,
        {"det": sets[0]},
        {"roi": [DET_ROI.name], "fit": [edges[1].name]},
        {edge.name: numbers for edge, numbers in zip(edges, sets[1:4], strict=True)},
        {"det": sets[4]},
        cut_off={edge.name: numbers for edge, numbers in zip(edges, sets[5:], strict=True)},
    )
    wanted = IntervalSet([(1, 12)])
    found = {(m.edge, n): m.place for m in judge(known, wanted) for n in m.frames}
    expected = {
        (name, n): place_of(n, name, known)
        for name, ledger in ledgers.items()
        for n in (wanted | ledger.seen) - ledger.passed - ledger.dropped
    }
    assert found == {key: place for key, place in expected.items() if place}


def test_a_million_frames_that_a_file_lacks_are_judged_by_intervals() -> None:
    million = IntervalSet([(1, 1_000_001)])
    edges = (DET_ROI, ROI_FILE)
    seen = ledger(seen=million.intervals(), passed=million.intervals())
    report = reconciled(1_000_000, edges, {DET_ROI.name: [seen]}, {"det": million}, FOLLOWS)
    (missing,) = report.missing
    assert (missing.frames.pieces, missing.count) == (1, 1_000_000)
