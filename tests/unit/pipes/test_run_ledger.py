"""The ledger of one scan, of a graph that was warm before it; pure."""

from __future__ import annotations

from undula.cli.run_shown import edges_of
from undula.pipes.book import Book
from undula.pipes.intervals import IntervalSet
from undula.pipes.ledger import SETS, Edge, EdgeLedger, Missing
from undula.pipes.run_ledger import RunLedger, run_ledger, together

FILE, VIEW = "det.frames -> file.frames", "det.frames -> view.frames"
EDGES = [Edge("det.frames", "file.frames"), Edge("det.frames", "view.frames")]


def of(first: int, last: int, **views: EdgeLedger) -> RunLedger:
    book = Book(EDGES, ["det"], {})
    book.made("det", [(1, 21)])
    for edge, view in ((FILE, views["file"]), (VIEW, views["view"])):
        book.learn(edge, {kind: getattr(view, kind).intervals() for kind in SETS})
    return run_ledger(book.report(20), {FILE: "lossless", VIEW: "latest"}, first, last)


def ledger(**fates: tuple[int, int]) -> EdgeLedger:
    found = EdgeLedger()
    found.seen.add_range(1, 21)
    for fate, (first, last) in fates.items():
        getattr(found, fate).add_range(first, last + 1)
    return found


def test_only_the_frames_of_the_scan_count() -> None:
    found = of(11, 20, file=ledger(passed=(5, 20)), view=ledger(passed=(11, 14), dropped=(15, 20)))
    assert found.complete
    assert found.text == "complete: 10 frames, each accounted for on 2 edges"
    plain = found.plain()
    assert plain["edge"] == [FILE, VIEW]
    assert (plain["seen"], plain["passed"]) == ([10, 10], [10, 4])


def test_a_frame_on_its_way_to_a_viewer_is_not_missing_and_one_to_a_file_is() -> None:
    found = of(1, 20, file=ledger(passed=(1, 18)), view=ledger(passed=(1, 9)))
    assert not found.left
    assert found.text == f"{FILE}: 2 frames 19-20 still on the way to file"


def test_a_complete_ledger_says_what_a_viewer_had_not_come_to() -> None:
    found = of(1, 20, file=ledger(passed=(1, 20)), view=ledger(passed=(1, 14), dropped=(15, 18)))
    assert found.complete
    assert found.text == (
        "complete: 20 frames, each accounted for on 2 edges; "
        "2 of them were still on the way to view at the end"
    )
    names, rows = edges_of(found.plain())
    assert names[-1] == "on the way"
    assert [row[2] - sum(row[3:]) for row in rows] == [0, 0], "each frame is in one column"


def test_a_frame_of_which_nobody_knows_is_in_no_other_column() -> None:
    book = Book([EDGES[1]], ["det"], {})
    book.made("det", [(1, 11)])
    book.learn(VIEW, {"seen": [(1, 11)], "passed": [(1, 8)], "dropped": [(9, 10)]})
    report = book.report(10)
    report.edges[VIEW].lost.add(8)
    report.unknown.append(Missing(VIEW, IntervalSet([(8, 9)]), "on its way when det died", False))
    plain = run_ledger(report, {VIEW: "latest"}, 1, 10).plain()
    fates = (*SETS[1:], "on_the_way", "unknown")
    assert {name: plain[name] for name in fates} == {
        "passed": [7], "dropped": [1], "lost": [0], "failed": [0], "on_the_way": [1],
        "unknown": [1],
    }  # fmt: skip


def test_what_a_viewer_took_along_is_named_and_breaks_nothing() -> None:
    found = of(1, 20, file=ledger(passed=(1, 20)), view=ledger(passed=(1, 19), lost=(20, 20)))
    assert not found.broken
    assert not found.complete
    assert found.text == f"{VIEW}: 1 frame 20 went with view when it died"


def test_what_fails_in_a_viewer_breaks_nothing_also_where_its_edge_may_lose_nothing() -> None:
    below = "view.image -> odd.frames"
    book = Book([Edge("view.image", "odd.frames")], ["view"], {})
    book.made("view", [(1, 21)])
    book.learn(below, {"seen": [(1, 21)], "passed": [(1, 18)], "failed": [(18, 19)]})
    found = run_ledger(book.report(20), {below: "lossless"}, 1, 20, {"view", "odd"})
    assert not found.broken
    assert found.text == f"{below}: 1 frame 18 failed in odd", "one on its way is not missing"


def test_parts_of_a_run_whose_graph_broke_are_one_ledger() -> None:
    before = of(1, 20, file=ledger(passed=(1, 19)), view=ledger(passed=(1, 20)))
    after = of(1, 10, file=ledger(passed=(1, 20)), view=ledger(passed=(1, 20)))
    found = together([before, after])
    assert found is not None
    assert found.triggers == 30
    assert found.plain()["passed"] == [29, 30]
    assert not found.broken, "its point was taken again"
    assert found.text == (
        f"{FILE}: 1 frame 20 still on the way to file, before the graph was started anew"
    )
    assert together([after]) == after
    assert together([]) is None
