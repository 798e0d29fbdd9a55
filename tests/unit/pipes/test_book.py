"""The book of a graph: told by what is new, page by page, it says what the whole ledger says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from undula.pipes.book import Book
from undula.pipes.intervals import IntervalSet
from undula.pipes.ledger import SETS, Edge, EdgeLedger, Report, merged

DET_LOW, LOW_SUM = Edge("det.frames", "low.frames"), Edge("low.frames", "sum.frames")
SUM_FILE, DET_VIEW = Edge("sum.sum", "file.frames"), Edge("det.frames", "view.frames")
EDGES = (DET_LOW, LOW_SUM, SUM_FILE, DET_VIEW)
FOLLOWS = {"low": [DET_LOW.name], "sum": [LOW_SUM.name]}
AHEAD = {DET_LOW: LOW_SUM, LOW_SUM: SUM_FILE}


def new_book(long: int = 2000) -> Book:
    return Book(EDGES, ["det"], FOLLOWS, long=long, late=0)


# ---- differences -------------------------------------------------------------------------------

ENDS = ("out", "in")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(ENDS), st.sampled_from(SETS), st.integers(1, 30)),
        st.tuples(st.sampled_from(ENDS), st.sampled_from(("tell", "kill")), st.just(0)),
    ),
    max_size=80,
)


@given(STEPS)
def test_what_is_told_by_differences_is_what_was_told_whoever_is_killed_in_between(
    steps: list[tuple[str, str, int]],
) -> None:
    book = new_book()
    ends = {end: EdgeLedger() for end in ENDS}
    told: list[EdgeLedger] = []  # all that was told of each, as a whole
    for end, what, number in steps:
        if what == "tell":
            told.append(copy_of(ends[end]))
            book.learn(DET_LOW.name, ends[end].changes())
        elif what == "kill":
            ends[end] = EdgeLedger()
        else:
            getattr(ends[end], what).add(number)
    whole = merged(told)
    found = book.ledger(DET_LOW.name)
    assert {n: getattr(found, n) for n in SETS} == {n: getattr(whole, n) for n in SETS}


def copy_of(ledger: EdgeLedger) -> EdgeLedger:
    made = EdgeLedger()
    for name in SETS:
        setattr(made, name, IntervalSet(getattr(ledger, name).intervals()))
    return made


def test_nothing_is_told_twice_and_a_scattered_edge_is_told_in_a_few_numbers() -> None:
    ledger = EdgeLedger()
    for number in range(1, 30_001):
        ledger.seen.add(number)
        (ledger.dropped if number % 3 else ledger.passed).add(number)
    assert ledger.changes() == {
        "seen": [[1, 30_001]], "passed": [[3, 4, 3, 10_000]], "dropped": [[1, 3, 3, 10_000]],
    }  # fmt: skip
    assert ledger.changes() == {}
    ledger.seen.add(30_001)
    assert ledger.changes() == {"seen": [[30_001, 30_002]]}


# ---- pages -------------------------------------------------------------------------------------


class Histories:
    """Frames that go through the graph, told to a book that is closed and to one that is not."""

    def __init__(self) -> None:
        self.short, self.whole = new_book(long=0), new_book()
        self.made = 0
        self.waiting: dict[Edge, list[int]] = {edge: [] for edge in EDGES}

    def tell(self, edge: Edge, kind: str, number: int) -> None:
        for book in (self.short, self.whole):
            book.learn(edge.name, {kind: [[number, number + 1]]})

    def make(self, lost: bool) -> None:
        self.made += 1
        for book in (self.short, self.whole):
            book.made("det", [] if lost else [[self.made, self.made + 1]])
        for edge in () if lost else (DET_LOW, DET_VIEW):
            self.come(edge, self.made)

    def come(self, edge: Edge, number: int) -> None:
        self.tell(edge, "seen", number)
        self.waiting[edge].append(number)

    def go(self, edge: Edge, at: int, fate: str) -> None:
        if not self.waiting[edge]:
            return
        number = self.waiting[edge].pop(at % len(self.waiting[edge]))
        if fate == "passed" and edge in AHEAD:
            self.come(AHEAD[edge], number)
        self.tell(edge, "passed" if fate == "absorbed" else fate, number)

    def close(self) -> None:
        self.short.close(self.short.settled())


HOW = ("passed",) * 6 + ("absorbed", "failed", "dropped")
MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("make"), st.sampled_from([False] * 5 + [True]), st.just(0)),
        st.tuples(st.sampled_from(EDGES), st.sampled_from(HOW), st.integers(0, 3)),
        st.tuples(st.just("close"), st.just(False), st.just(0)),
    ),
    max_size=150,
)  # fmt: skip


@given(MOVES)
def test_a_book_whose_pages_are_closed_says_what_the_whole_ledger_says(
    moves: list[tuple[Edge | str, str | bool, int]],
) -> None:
    history = Histories()
    for what, how, at in moves:
        if isinstance(what, Edge):
            history.go(what, at, str(how))
        elif what == "make":
            history.make(bool(how))
        else:
            history.close()
    history.close()
    short, whole = history.short.report(history.made), history.whole.report(history.made)
    assert {n: e.counts for n, e in short.edges.items()} == {
        n: e.counts for n, e in whole.edges.items()
    }
    assert named(short) == named(whole)
    assert short.complete == whole.complete


def named(report: Report) -> set[tuple[str, str, str]]:
    return {(m.edge, m.place, m.frames.text(10_000)) for m in report.missing}


def test_a_million_frames_of_a_sampled_edge_leave_a_short_book_and_right_sums() -> None:
    book = Book([DET_VIEW], ["det"], {})
    frames, step = 300_000, 1000
    longest = 0
    for first in range(1, frames + 1, step):
        ledger = EdgeLedger()
        for number in range(first, first + step):
            ledger.seen.add(number)
            (ledger.passed if number % 3 == 1 else ledger.dropped).add(number)
        book.made("det", [[first, first + step]])
        book.learn(DET_VIEW.name, ledger.changes())
        longest = max(longest, book.ledger(DET_VIEW.name).pieces)
        if book.is_long:
            book.close(book.settled())
    assert longest < 4000
    report = book.report(frames)
    assert report.complete
    assert report.edges[DET_VIEW.name].counts == {
        "seen": frames, "passed": frames // 3, "dropped": 2 * frames // 3, "lost": 0, "failed": 0,
        "on_the_way": 0,
    }  # fmt: skip


def test_a_source_that_has_ended_keeps_no_page_open_and_one_that_goes_on_does() -> None:
    other = Edge("aux.frames", "sum.frames")
    book = Book([DET_VIEW, other], ["det", "aux"], {})
    book.made("aux", [[1, 11]])
    book.learn(other.name, {"seen": [[1, 11]], "passed": [[1, 11]]})
    longest = 0
    for first in range(1, 30_001, 1000):
        book.made("det", [[first, first + 1000]])
        odd = [[number, number + 1] for number in range(first, first + 1000, 2)]
        even = [[number + 1, number + 2] for number in range(first, first + 1000, 2)]
        book.learn(DET_VIEW.name, {"seen": [[first, first + 1000]], "passed": odd, "dropped": even})
        if first == 5001:
            assert book.settled() == IntervalSet(), "aux may still make them"
            book.ended("aux")
        longest = max(longest, book.ledger(DET_VIEW.name).pieces)
        if book.is_long:
            book.close(book.settled())
    assert longest < 8000
    report = book.report(30_000)
    assert report.edges[DET_VIEW.name].counts["dropped"] == 15_000
    assert [m.text for m in report.missing] == [
        f"{other.name}: 29990 frames 11-30000 never made by aux"
    ]
    book.died(["aux"], [])
    assert book.settled() == IntervalSet(), "its successor may make some again"


def test_a_viewer_that_sleeps_on_a_frame_keeps_no_page_open() -> None:
    book = new_book()
    book.made("det", [[1, 101]])
    for edge in (DET_LOW, LOW_SUM, SUM_FILE):
        book.learn(edge.name, {"seen": [[1, 101]], "passed": [[1, 101]]})
    book.learn(DET_VIEW.name, {"seen": [[1, 101]], "dropped": [[1, 5], [6, 101]]})
    closed = book.close(book.settled())
    assert closed.text() == "1-4, 6-100"
    assert "1 frame 5 still on the way to view" in book.report().text
    book.learn(DET_VIEW.name, {"passed": [[5, 6]]})
    assert book.report().complete


def test_a_run_begins_a_new_book() -> None:
    book = new_book()
    book.made("det", [[1, 11]])
    book.learn(DET_LOW.name, {"seen": [[1, 11]], "failed": [[3, 4]]})
    book.begin_run(11)
    book.learn(DET_LOW.name, {"passed": [[10, 13]], "seen": [[11, 13]]})
    assert book.ledger(DET_LOW.name).counts["passed"] == 2
    assert book.resumed("det", [e.name for e in EDGES]) == 10


# ---- deaths ------------------------------------------------------------------------------------


def dead_middle() -> Book:
    """`low` and `sum` are in one process, which dies when it has told of 5 frames of 10."""
    book = new_book()
    book.made("det", [[1, 11]])
    book.learn(DET_VIEW.name, {"seen": [[1, 11]], "passed": [[1, 11]]})
    book.learn(DET_LOW.name, {"seen": [[1, 11]], "passed": [[1, 11]]})  # det itself says so
    book.learn(LOW_SUM.name, {"seen": [[1, 8]], "passed": [[1, 6]]})
    book.died(["low", "sum"], [LOW_SUM.name, SUM_FILE.name])
    return book


def test_what_came_to_a_later_edge_has_passed_the_one_that_died_with_its_process() -> None:
    book = dead_middle()
    book.learn(SUM_FILE.name, {"seen": [[1, 11]], "passed": [[1, 11]]})  # the file itself says so
    book.all_told()
    report = book.report()
    assert report.complete
    assert report.edges[LOW_SUM.name].counts == report.edges[SUM_FILE.name].counts


def test_what_nobody_can_know_is_called_unknown_and_not_missing() -> None:
    book = dead_middle()
    book.learn(SUM_FILE.name, {"seen": [[1, 9]], "passed": [[1, 9]]})
    book.all_told()
    report = book.report()
    assert not report.missing
    assert not report.complete
    assert {m.edge: m.frames.text() for m in report.unknown} == {
        LOW_SUM.name: "9-10", SUM_FILE.name: "9-10",
    }  # fmt: skip
    assert "low died untold" in report.text


def test_what_goes_missing_after_a_death_is_missing() -> None:
    book = dead_middle()
    book.learn(SUM_FILE.name, {"seen": [[1, 11]], "passed": [[1, 11]]})
    book.all_told()
    book.made("det", [[11, 13]])
    for edge in (DET_VIEW, DET_LOW, LOW_SUM):
        book.learn(edge.name, {"seen": [[11, 13]], "passed": [[11, 13]]})
    report = book.report()
    assert not report.unknown
    assert report.text.endswith("2 frames 11-12 passed to sum, which did not hand it on")


LOSSLESS = [DET_LOW.name, LOW_SUM.name, SUM_FILE.name]


def sleeping_viewer() -> Book:
    """A viewer sleeps on frame 10; everything else has all 1000 frames."""
    book = new_book()
    book.made("det", [[1, 1001]])
    for edge in (DET_LOW, LOW_SUM, SUM_FILE):
        book.learn(edge.name, {"seen": [[1, 1001]], "passed": [[1, 1001]]})
    book.learn(DET_VIEW.name, {"seen": [[1, 1001]], "passed": [[1, 10]], "dropped": [[11, 1001]]})
    return book


def test_a_source_that_dies_repeats_nothing_for_a_viewer_that_sleeps() -> None:
    book = sleeping_viewer()
    book.died(["det"], [DET_VIEW.name], LOSSLESS)
    book.all_told()
    assert book.resumed("det", LOSSLESS) == 1000
    (unknown,) = book.report().unknown
    assert unknown.text == f"{DET_VIEW.name}: 1 frame 10 on its way to view when det died"
    book.learn(DET_VIEW.name, {"passed": [[10, 11]]})  # it woke, and had it in hand
    assert book.report().complete


def test_a_source_makes_again_what_it_had_not_told_of_before_it_died() -> None:
    book = sleeping_viewer()
    book.made("det", [[1001, 1006]])
    for edge in (DET_LOW, LOW_SUM, SUM_FILE):
        book.learn(edge.name, {"seen": [[1001, 1006]], "passed": [[1001, 1006]]})
    book.died(["det"], [DET_VIEW.name], LOSSLESS)
    assert book.resumed("det", LOSSLESS) == 1000
    assert not book.ledger(DET_VIEW.name).on_the_way


def test_a_viewer_in_the_process_of_its_source_does_not_let_it_repeat_everything() -> None:
    book = sleeping_viewer()
    book.died(["det", "view"], [DET_VIEW.name], LOSSLESS)
    assert book.resumed("det", LOSSLESS) == 1000


def test_a_node_in_the_middle_that_dies_leaves_nothing_on_its_way_that_will_not_come_again() -> (
    None
):
    look = Edge("low.frames", "look.frames")
    book = Book([DET_LOW, look], ["det"], {"low": [DET_LOW.name]})
    book.made("det", [[1, 11]])
    book.learn(DET_LOW.name, {"seen": [[1, 11]], "passed": [[1, 9]]})
    book.learn(look.name, {"seen": [[1, 11]], "passed": [[1, 5]], "dropped": [[6, 9]]})
    book.died(["low"], [look.name], [DET_LOW.name])
    assert book.ledger(look.name).lost.text() == "5"
    assert book.ledger(look.name).on_the_way.text() == "9-10", "those come again"


def test_a_consumer_started_anew_is_spared_what_its_predecessor_and_those_below_are_done_with() -> (
    None
):
    book = new_book()
    book.made("det", [[1, 11]])
    book.learn(DET_LOW.name, {"seen": [[1, 11]], "passed": [[1, 9]]})
    book.learn(LOW_SUM.name, {"seen": [[1, 11]], "passed": [[1, 6]], "dropped": [[7, 8]]})
    book.learn(SUM_FILE.name, {"seen": [[1, 6]], "passed": [[1, 6]]})
    assert book.done_on(DET_LOW.name, LOSSLESS).text() == "1-5, 7", "6 and 8 went no further"
    book.kept("file", [6, 7])
    assert book.done_on(SUM_FILE.name, LOSSLESS).text() == "1-7", "the file has said so"
    book.begin_run(11)
    assert book.done_on(DET_LOW.name, LOSSLESS).text() == "0-10", "the run before is over"


def test_no_trigger_is_not_the_same_as_a_number_of_triggers_that_nobody_told() -> None:
    book = new_book()
    book.made("det", [[1, 4]])
    assert book.report(0).triggers == 0
    assert book.report().triggers == 3


def test_a_camera_that_cannot_make_frames_again_leaves_open_which_it_had_made() -> None:
    book = Book([DET_LOW], ["det"], {})
    book.made("det", [[1, 6]])
    book.learn(DET_LOW.name, {"seen": [[1, 6]], "passed": [[1, 6]]})
    book.died(["det"], [])
    book.made("det", [[9, 11]])
    book.learn(DET_LOW.name, {"seen": [[9, 11]], "passed": [[9, 11]]})
    book.all_told()
    report = book.report(10)
    assert not report.missing
    assert report.unknown[0].text.endswith(
        "3 frames 6-8 made or not by det: it died before it said so"
    )
