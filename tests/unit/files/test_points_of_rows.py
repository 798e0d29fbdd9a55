"""Whatever was steered and wherever it was interrupted: joined, each point is there once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from undula.core.errors import BusyError, InputError
from undula.files.points import Part, Turns, join
from undula.plans.steps import Steps, Turn

TOTAL = 15


@dataclass
class Measured:
    """What one run leaves behind: the truth, and what is kept of it."""

    points: list[int] = field(default_factory=list)
    values: list[int] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    first: int = 1

    def part(self, rows: int) -> Part:
        """As it is known when only its first rows were kept, and the turns before them."""
        kept = [t for t in self.turns if t.row <= rows]
        columns = zip(*((t.action, t.point, t.row, t.next) for t in kept), strict=True)
        return Part(list(range(1, rows + 1)), Turns(*columns), self.first)


def _measure(steps: Steps, acts: Iterator[tuple[str, int]], values: Iterator[int]) -> Measured:
    """A run until it is over, or until an act interrupts it."""
    run = Measured(first=steps.first + 1)
    steps.open = True
    while not steps.over:
        act, number = next(acts, ("take", 1))
        if act == "interrupt":
            break
        try:
            _ = steps.skip() if act == "skip" else None
            _ = steps.retake(number, now=True) if act == "retake" else None
        except (BusyError, InputError):
            continue
        steps.turn()
        if act == "take" and not steps.over:
            rows = 1 if steps.retaking else min(number, TOTAL - steps.point)
            run.points += range(steps.point + 1, steps.point + 1 + rows)
            run.values += [next(values) for _ in range(rows)]
            steps.took(rows)
        run.turns += steps.turns
        steps.turns.clear()
    return run


ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.integers(1, 5)),
        st.tuples(st.just("skip"), st.just(0)),
        st.tuples(st.just("retake"), st.integers(1, TOTAL)),
        st.tuples(st.just("interrupt"), st.just(0)),
    ),
    max_size=40,
)


@given(ACTS, st.lists(st.integers(0, 3), max_size=40))
def test_no_point_is_missing_or_doubled_after_continuing_to_the_end(
    acts: list[tuple[str, int]], lost: list[int]
) -> None:
    asked, values, losses = iter(acts), iter(range(10**6)), iter(lost)
    runs: list[Measured] = []
    parts: list[Part] = []
    while missing := join(parts, TOTAL).missing:
        run = _measure(Steps(TOTAL, missing[0] - 1), asked, values)
        kept = max(0, len(run.points) - next(losses, 0)) if run.points else 0
        runs.append(run)
        parts.append(run.part(kept))
    joined = join(parts, TOTAL)
    assert sorted({*joined.point.tolist(), *joined.skipped}) == list(range(1, TOTAL + 1))
    assert joined.point.tolist() == sorted(set(joined.point.tolist()))
    newest: dict[int, int] = {}
    times: dict[int, int] = {}
    for run, part in zip(runs, parts, strict=True):
        for point, value in zip(run.points[: len(part.seq_num)], run.values, strict=False):
            newest[point] = value
            times[point] = times.get(point, 0) + 1
    found = [runs[p].values[r] for p, r in zip(joined.part, joined.row, strict=True)]
    assert found == [newest[p] for p in joined.point.tolist()]
    assert joined.retaken.tolist() == [times[p] > 1 for p in joined.point.tolist()]


def test_a_completed_run_misses_nothing() -> None:
    steps = Steps(5)
    steps.open = True
    steps.took(2)
    steps.complete(now=False)
    steps.turn()
    assert steps.over
    turn = steps.turns[0]
    part = Part([1, 2], Turns([turn.action], [turn.point], [turn.row], [turn.next]))
    assert join([part], 5).missing == ()


def test_what_nobody_measures_any_more_is_not_missing() -> None:
    completed = Turns(["completed"], [2], [3], [3])
    joined = join([Part([1, 2], completed)], 5)
    assert (joined.missing, joined.given_up, joined.skipped) == ((), (3, 4, 5), ())
    skipped = join([Part([1], Turns(["skipped"], [1], [1], [2]))], 3)
    assert (skipped.missing, skipped.given_up) == ((3,), (1,))
