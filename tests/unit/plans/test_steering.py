"""Points skipped, retaken, scans ended early: which rows there are, what is told of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from bluesky.run_engine import RunEngine
from bluesky.utils import RunEngineInterrupted
from hypothesis import given
from hypothesis import strategies as st

from undula.analysis import steered as seen
from undula.core.errors import BusyError, InputError
from undula.plans import VERBS, StepRun, block_scan, step_scan
from undula.plans.adaptive import Adaptive, adaptive_core
from undula.plans.step import measure
from undula.plans.steps import Done, Steps, Turn
from undula.plans.sweep import Sweep, sweep_core
from undula.plans.watch import Watch, watch_core
from undula.testing.instant import Axis, Collected, Counter

WAYS = {"message by message": step_scan, "in blocks": block_scan}

POINTS = np.linspace(0, 1, 250)[:, None]


class Told(Collected):
    """Also the turns, and the values of x by row."""

    @property
    def turns(self) -> list[Turn]:
        steering = {d["uid"] for d in self.docs["descriptor"] if d["name"] == "steering"}
        events = [e["data"] for e in self.docs["event"] if e["descriptor"] in steering]
        return [
            Turn(*(event[f"steering_{f}"] for f in ("action", "point", "row", "next")))
            for event in events
        ]


@pytest.fixture
def engine() -> RunEngine:
    engine = RunEngine({}, context_managers=[], call_returns_result=True)
    for verb, function in VERBS.items():
        engine.register_command(verb, function)
    return engine


def _paused_after(engine: RunEngine, way: str, visits: int, steps: Steps) -> Told:
    """A scan that pauses at the first checkpoint after so many moves."""
    axis, got = Axis("x"), Told()
    wanted = iter([True])

    def asked() -> bool:
        return len(axis.visited) >= visits and next(wanted, False)

    with pytest.raises(RunEngineInterrupted):
        engine(
            WAYS[way](StepRun([Counter("c")], [axis], POINTS, pause_requested=asked, steps=steps)),
            got,
        )
    return got


@pytest.mark.parametrize("way", WAYS)
def test_a_skipped_point_makes_no_row_and_is_told(engine: RunEngine, way: str) -> None:
    steps = Steps(len(POINTS))
    got = _paused_after(engine, way, 100, steps)
    at = steps.point
    assert steps.skip() == f"point {at + 1} is left out"
    engine.resume()
    expected = np.delete(POINTS.ravel(), at)
    assert list(got.rows.values()) == expected.tolist()
    assert list(got.rows) == list(range(1, 250))
    assert got.turns == [Turn("skipped", at + 1, at + 1, at + 2)]
    assert got.docs["stop"][0]["exit_status"] == "success"


@pytest.mark.parametrize("way", WAYS)
def test_a_retaken_point_makes_a_row_of_its_own_and_the_scan_goes_on(
    engine: RunEngine, way: str
) -> None:
    steps = Steps(len(POINTS))
    got = _paused_after(engine, way, 100, steps)
    at = steps.point
    steps.retake(3, now=True)
    engine.resume()
    values = POINTS.ravel().tolist()
    assert list(got.rows.values()) == [*values[:at], values[2], *values[at:]]
    assert got.turns == [Turn("retaken", 3, at + 1, 3), Turn("resumed", 3, at + 2, at + 1)]


@pytest.mark.parametrize("way", WAYS)
def test_a_completed_scan_is_a_success_with_fewer_rows(engine: RunEngine, way: str) -> None:
    steps = Steps(len(POINTS))
    got = _paused_after(engine, way, 100, steps)
    at = steps.point
    steps.complete(now=True)
    engine.resume()
    assert list(got.rows.values()) == POINTS.ravel().tolist()[:at]
    assert got.docs["stop"][0]["exit_status"] == "success"
    assert got.turns == [Turn("completed", at + 1, at + 1, at + 1)]


@pytest.mark.parametrize("way", WAYS)
def test_a_scan_may_begin_at_a_later_point(engine: RunEngine, way: str) -> None:
    got = Told()
    engine(WAYS[way](StepRun([Counter("c")], [Axis("x")], POINTS, steps=Steps(250, 240))), got)
    assert list(got.rows.values()) == POINTS.ravel().tolist()[240:]
    assert list(got.rows) == list(range(1, 11))


def _hooked(engine: RunEngine, steps: Steps, at: int, ask: Callable[[], object]) -> Told:
    """A scan that is asked for something while point `at` moves, not paused."""
    axis, got = Axis("x"), Told()
    hooks = iter([ask])
    axis.hook = lambda: next(hooks, lambda: None)() if len(axis.visited) == at else None
    engine(WAYS["message by message"](StepRun([Counter("c")], [axis], POINTS, steps=steps)), got)
    return got


def test_a_point_under_way_is_given_up(engine: RunEngine) -> None:
    steps = Steps(len(POINTS))
    got = _hooked(engine, steps, 20, steps.skip)
    assert list(got.rows.values()) == np.delete(POINTS.ravel(), 19).tolist()


def test_the_last_point_is_retaken_after_the_one_under_way(engine: RunEngine) -> None:
    steps = Steps(len(POINTS))
    got = _hooked(engine, steps, 20, lambda: steps.retake(None, now=False))
    values = POINTS.ravel().tolist()
    assert list(got.rows.values()) == [*values[:20], values[18], *values[20:]]


def test_a_point_is_left_out_although_another_one_is_taken_again_first(engine: RunEngine) -> None:
    steps = Steps(len(POINTS))

    def ask() -> None:
        assert steps.retake(2, now=False) == "point 2 is taken again"
        assert steps.skip() == "point 20 is left out"

    got = _hooked(engine, steps, 20, ask)
    values = POINTS.ravel().tolist()
    assert list(got.rows.values()) == [*values[:19], values[1], *values[20:]]
    assert got.turns == [
        Turn("skipped", 20, 20, 21), Turn("retaken", 2, 20, 2), Turn("resumed", 2, 21, 21),
    ]  # fmt: skip
    assert steps.done == Done(249, 1, 1)


def test_the_last_of_all_points_may_be_retaken_while_it_is_under_way(engine: RunEngine) -> None:
    steps = Steps(len(POINTS))
    got = _hooked(engine, steps, 250, lambda: steps.retake(249, now=False))
    assert list(got.rows.values())[-2:] == [POINTS[249, 0], POINTS[248, 0]]


def test_what_cannot_be_skipped_or_retaken_is_refused() -> None:
    steps = Steps(10)
    with pytest.raises(BusyError, match="no points are being taken"):
        steps.skip()
    steps.open = True
    with pytest.raises(BusyError, match="no point was taken yet"):
        steps.retake(None, now=False)
    steps.took(3)
    with pytest.raises(InputError, match=r"choose one of 1\.\.3"):
        steps.retake(4, now=False)


def test_a_point_that_is_complete_by_then_is_not_skipped() -> None:
    steps = Steps(10)
    steps.open = True
    steps.skip()
    steps.took()
    steps.turn()
    assert (steps.point, steps.turns) == (1, [])


ASKS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.integers(1, 4)),
        st.tuples(st.just("skip"), st.just(0)),
        st.tuples(st.just("retake"), st.integers(1, 12)),
    ),
    max_size=30,
)


@given(ASKS)
def test_the_turns_alone_tell_the_point_of_each_row(asks: list[tuple[str, int]]) -> None:
    steps, truth, turns = Steps(12), list[int](), list[Turn]()
    steps.open = True
    for action, number in asks:
        try:
            _ = steps.skip() if action == "skip" else None
            _ = steps.retake(number, now=True) if action == "retake" else None
        except (BusyError, InputError):
            continue
        steps.turn()
        if action == "take" and not steps.over:
            rows = 1 if steps.retaking else min(number, 12 - steps.point)
            truth += range(steps.point + 1, steps.point + 1 + rows)
            steps.took(rows)
        turns += steps.turns
        steps.turns.clear()
    told = []
    for row in range(1, len(truth) + 1):
        turn = next((t for t in reversed(turns) if t.row <= row), Turn("resumed", 1, 1, 1))
        told.append(turn.next + row - turn.row)
    assert told == truth
    shown = [seen.Turn(t.action, t.point, t.row, t.next) for t in turns]
    assert seen.points_of(shown, range(1, len(truth) + 1)) == truth
    kept = seen.last_rows(truth)
    assert [truth[row] for row in kept] == sorted(set(truth))
    assert all(truth[row] not in truth[row + 1 :] for row in kept)


ASKS = st.lists(
    st.tuples(st.sampled_from(["took", "skip", "retake", "next run"]), st.integers(1, 12)),
    max_size=40,
)


@given(ASKS)
def test_points_done_are_those_that_were_taken_and_never_more_than_there_are(
    asks: list[tuple[str, int]],
) -> None:
    steps, total = Steps(12), 12
    taken: set[int] = set()
    earlier = Done()
    for ask, number in asks:
        steps.open = True
        if ask == "took" and not steps.over:
            taken.add(steps.point)
            steps.took()
        elif ask == "skip":
            steps.skip()
        elif ask == "retake":
            with contextlib.suppress(InputError):
                steps.retake(number, now=True)
        elif ask == "next run":
            earlier, taken = steps.done, set()
            steps.begin(total)
        steps.turn()
        done = steps.done
        assert done.points == earlier.points + len(taken) <= earlier.points + total
        assert done.points + done.skipped <= earlier.points + earlier.skipped + total
        if earlier == Done():
            told = [seen.Turn(t.action, t.point, t.row, t.next) for t in steps.turns]
            assert seen.steered(told, steps.rows) == (done.retaken, done.skipped)


@pytest.mark.parametrize("kind", ["adaptive", "sweep", "watch"])
def test_a_plan_that_finds_its_points_is_completed_while_one_of_them_is_held(
    engine: RunEngine, kind: str
) -> None:
    steps, spoiled = Steps(None), iter([False, True])
    axis, counter, got = Axis("x"), Counter("c"), Told()
    run = StepRun([counter], [axis], num=None, steps=steps, spoiled=lambda: next(spoiled, False))
    counter.trigger()
    axis.set(0.0)
    cores = {
        "adaptive": lambda run: adaptive_core(run, Adaptive("c", 0, 1, 0.1, 0.2, 1.0)),
        "sweep": lambda run: sweep_core(run, Sweep(num=5, tolerance=10.0), (0.0, 1.0)),
        "watch": lambda run: watch_core(run, Watch("c"), counter),
    }
    with pytest.raises(RunEngineInterrupted):
        engine(measure(run, cores[kind]), got)
    steps.complete(now=True)
    engine.resume()
    assert got.docs["stop"][0]["exit_status"] == "success"
    assert len(got.rows) == steps.rows == 1


def test_the_duration_of_a_monitor_scan_stands_still_while_it_is_paused(engine: RunEngine) -> None:
    now, counter, axis, got = [0.0], Counter("c"), Axis("x"), Told()
    axis.set(0.0)
    counter.trigger()
    paused = iter([False, True])
    run = StepRun(
        [counter], [axis], num=None, pause_requested=lambda: next(paused, False),
        clock=lambda: now[0],
    )  # fmt: skip
    with pytest.raises(RunEngineInterrupted):
        engine(measure(run, lambda run: watch_core(run, Watch("c", 3, 10.0), counter)), got)
    engine.resume()  # in which the clock of the scan has not gone on
    assert len(got.rows) == 3
    late = iter([0.0, 5.0, 11.0])
    run = replace(run, clock=lambda: next(late, 11.0))
    engine(measure(run, lambda run: watch_core(run, Watch("c", None, 10.0), counter)), got)
    assert got.docs["stop"][-1]["exit_status"] == "success"


class Drifts(Counter):
    """It has drifted a quarter further whenever it is read."""

    def read(self) -> dict[str, dict[str, float]]:
        self.visited.append(len(self.visited) / 4)
        return super().read()


def test_a_monitor_scan_counts_no_change_smaller_than_wanted(engine: RunEngine) -> None:
    axis, got, drifts = Axis("x"), Told(), Drifts("c")
    axis.set(0.0)
    run = StepRun([drifts], [axis], num=None)
    engine(measure(run, lambda run: watch_core(run, Watch("c", 3, change=1.0), drifts)), got)
    values = [event["data"]["c"] for event in got.docs["event"]]
    assert len(values) == 3
    assert np.all(np.diff(values) >= 1.0)


def test_a_monitor_scan_takes_no_more_points_than_one_in_a_period(engine: RunEngine) -> None:
    axis, got, drifts = Axis("x"), Told(), Drifts("c")
    axis.set(0.0)
    run = StepRun([drifts], [axis], num=None)
    engine(measure(run, lambda run: watch_core(run, Watch("c", 3, period_s=0.1), drifts)), got)
    assert len(got.rows) == 3
    assert np.all(np.diff([event["time"] for event in got.docs["event"]]) > 0.05)
