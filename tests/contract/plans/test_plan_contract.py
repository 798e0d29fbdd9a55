"""What every plan promises, whoever wrote it: one suite over all that can be asked for by name.

Documents, limits, pause, resume, retake, abort, conditions, hooks, early end, continue. The killed
engine stands beside, on a real beamline.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import bluesky.plans as bp
import event_model
import pytest

from undula.core.errors import LimitError, UndulaError
from undula.messages import Continues, ItemFinished
from undula.plans import FORMS
from undula.testing.plan_examples import BLUESKY, DECLARED, EXAMPLES, UNNAMEABLE

ALL = sorted(EXAMPLES)
CHOSEN = {
    "scan", "rel_scan", "grid_scan", "count", "spiral", "exafs_scan", "adaptive_scan", "sequence",
    "for_each", "sweep_scan", "mesh", "scans.cont_line_scan", "monitor_scan", "timescan",
    "relative_scan", "tune_centroid",
}  # fmt: skip
"""One of each kind; the others are interrupted by `make soak`."""


def some(plans: list[str]) -> list[Any]:
    """The plans, those of a kind that another one stands for under the mark `soak`."""
    return [p if p in CHOSEN else pytest.param(p, marks=pytest.mark.soak) for p in plans]


LONG = [plan for plan in ALL if EXAMPLES[plan].points != 1]
"""Those with a place between two points."""
MOVING = [plan for plan in ALL if not EXAMPLES[plan].still]
KNOWN = [
    p for p in LONG
    if p in DECLARED and EXAMPLES[p].points and EXAMPLES[p].runs == 1 and EXAMPLES[p].exact
]  # fmt: skip
"""Those whose points are numbered beforehand."""


def test_every_plan_has_an_example() -> None:
    bluesky = {
        name
        for name, plan in vars(bp).items()
        if inspect.isgeneratorfunction(plan) and not name.startswith("_")
        and plan.__module__ == bp.__name__
    }  # fmt: skip
    assert set(DECLARED) == set(FORMS), "give new forms a line in undula.testing.plan_examples"
    assert (bluesky | set(FORMS)) - set(UNNAMEABLE) == set(EXAMPLES)


def journals(course: Any, ended: ItemFinished) -> list[list[tuple[str, dict[str, Any]]]]:
    return [course.house.journal(uid) for uid in ended.run_uids]


def check_documents(journal: list[tuple[str, dict[str, Any]]]) -> None:
    """Valid, in order, each with its parent."""
    known: dict[str, set[str]] = {"run": set(), "descriptor": set()}
    for name, doc in journal:
        event_model.schema_validators[event_model.DocumentNames[name]].validate(doc)
        if name == "start":
            known["run"].add(doc["uid"])
        elif name in ("descriptor", "stop"):
            assert doc["run_start"] in known["run"]
            known["descriptor"] |= {doc["uid"]} if name == "descriptor" else set()
        else:
            assert doc["descriptor"] in known["descriptor"]
    assert [name for name, _ in journal][:: len(journal) - 1] == ["start", "stop"]


@pytest.mark.parametrize("plan", ALL)
def test_its_documents_are_valid_and_whole(course: Any, plan: str) -> None:
    course.place()
    course.ask(plan)
    ended = course.house.wait()
    assert ended.exit_status == "success", ended.reason
    assert len(ended.run_uids) == EXAMPLES[plan].runs or plan in BLUESKY
    for journal in journals(course, ended):
        check_documents(journal)
        assert journal[0][1]["plan_name"]
        assert journal[-1][1]["exit_status"] == "success"
    rows = course.rows(ended)
    assert rows
    assert EXAMPLES[plan].points in (None, len(rows))
    for uid in ended.run_uids:
        numbers = [row["seq_num"] for row in course.house.points(uid)]
        assert numbers == list(range(1, len(numbers) + 1))
    course.compare(plan, ended)


@pytest.mark.parametrize("plan", MOVING)
def test_nothing_moves_beyond_a_limit(course: Any, plan: str) -> None:
    course.place()
    axes = [course.house.devices[name].obj for name in course.at]
    for axis, at in zip(axes, course.at.values(), strict=True):
        axis.limits = (at - 0.05, at + 0.05)
    try:
        if plan in DECLARED:
            with pytest.raises(LimitError, match=r"(above the high|below the low) limit"):
                course.ask(plan)
            assert [axis.position for axis in axes] == list(course.at.values())
        else:
            course.ask(plan)
            ended = course.house.wait()
            assert ended.exit_status == "fail"
            assert "limit" in ended.reason
            assert all(axis.limits[0] <= axis.position <= axis.limits[1] for axis in axes)
    finally:
        course.place()


@pytest.mark.parametrize("how", ["now", "at point"])
@pytest.mark.parametrize("plan", some(LONG))
def test_a_pause_loses_no_point_and_repeats_none(course: Any, plan: str, how: str) -> None:
    course.whole(plan)
    steering = course.steering
    course.interrupt(
        plan,
        lambda: steering.pause(at_point=how == "at point"),
        lambda: steering.state == "pausing",
    )
    course.paused()
    steering.resume()
    ended = course.house.wait()
    assert ended.exit_status == "success", ended.reason
    course.compare(plan, ended)
    for journal in journals(course, ended):
        check_documents(journal)


@pytest.mark.parametrize("plan", some(LONG))
def test_an_abort_cleans_up_and_says_why(course: Any, plan: str) -> None:
    steering, diode = course.steering, course.house.devices["diode"].obj
    course.interrupt(plan, lambda: steering.abort("enough"), lambda: steering.aborted)
    ended = course.house.wait()
    assert (ended.exit_status, ended.reason) == ("abort", "enough")
    for journal in journals(course, ended):
        check_documents(journal)
    stop = course.house.journal(ended.run_uids[-1])[-1][1]
    assert (stop["exit_status"], stop["reason"]) == ("abort", "enough")
    assert not diode._staged
    assert course.house.engine.state == "idle"
    assert course.house.runner.leases.held() == {}


@pytest.mark.parametrize("plan", some(LONG))
def test_it_waits_while_a_condition_does_not_hold(course: Any, plan: str) -> None:
    course.whole(plan)
    steering = course.steering
    beam = course.house.devices["beam"].obj

    def lost() -> None:
        beam.set(0)
        while steering.state == "running":
            course.house.runner.watching.conditions()

    course.interrupt(plan, lost, lambda: steering.state == "pausing")
    course.paused()
    assert "beam" in steering.shown
    with pytest.raises(UndulaError, match="cannot go on"):
        steering.resume()
    beam.set(1)

    def over() -> bool:
        course.house.runner.watching.conditions()
        return not course.house.ended.empty()

    course.house.until(over, "it does not go on by itself")
    ended = course.house.wait()
    assert ended.exit_status == "success", ended.reason
    course.compare(plan, ended)


@pytest.mark.parametrize("plan", some(LONG))
def test_an_early_end_counts_as_good(course: Any, plan: str) -> None:
    expected, steering = course.whole(plan), course.steering
    course.interrupt(
        plan, lambda: steering.complete("Ada"), lambda: bool(steering.course.completed_by)
    )
    ended = course.house.wait()
    assert ended.exit_status == "success", ended.reason
    rows = course.rows(ended)
    assert rows == expected[: len(rows)] or not EXAMPLES[plan].exact
    stop = course.house.journal(ended.run_uids[-1])[-1][1]
    assert stop["exit_status"] == "success"
    if len(rows) < len(expected):
        assert "completed by Ada" in stop["reason"]


@pytest.mark.parametrize("plan", some(KNOWN))
def test_points_are_skipped_and_taken_again(course: Any, plan: str) -> None:
    expected, steering = course.whole(plan), course.steering
    course.interrupt(
        plan, lambda: steering.pause(at_point=True), lambda: steering.state == "pausing"
    )
    course.paused()
    steering.retake(1)
    ended = course.house.wait()
    assert ended.exit_status == "success", ended.reason
    assert course.rows(ended) == [expected[0], *expected]
    course.interrupt(
        plan, lambda: steering.pause(at_point=True), lambda: steering.state == "pausing"
    )
    course.paused()
    steering.skip()
    ended = course.house.wait()
    assert course.rows(ended) == [expected[0], *expected[2:]]


@pytest.mark.parametrize("plan", some(KNOWN))
def test_it_goes_on_where_another_run_ended(course: Any, plan: str) -> None:
    expected, steering = course.whole(plan), course.steering
    course.interrupt(plan, lambda: steering.abort("enough"), lambda: steering.aborted)
    first = course.house.wait()
    taken = course.rows(first)
    assert 0 < len(taken) < len(expected)
    start = course.house.start(first.run_uids[0])
    origin = start.get("origin")
    continues = Continues(
        uid=start["uid"],
        number=start["scan_id"],
        first_point=len(taken) + 1,
        total=len(expected),
        origin=None if origin is None else list(origin.values()),
    )
    course.house.close_run(first.run_uids[0])
    course.ask(plan, continues=continues)
    rest = course.house.wait()
    assert rest.exit_status == "success", rest.reason
    assert [*taken, *course.rows(rest)] == expected


@pytest.mark.parametrize("plan", some(ALL))
def test_hooks_are_run_in_their_places(
    course: Any, noted: Callable[[], list[str]], plan: str
) -> None:
    course.place()
    course.ask(plan)
    ended = course.house.wait()
    assert ended.exit_status == "success", ended.reason
    rows = course.rows(ended)
    notes = [note for note in noted() if "point" not in note]
    assert notes[:1] + notes[-2:] == ["before scan", "after scan", "on close"]
    assert notes[1:3] == ["before stage", "after stage"]
    around = [note.rpartition(" ")[0] for note in noted() if "point" in note]
    assert around == ["before point", "after point"] * len(rows)
    assert all("before scan: hook" in j[0][1]["hooks"] for j in journals(course, ended))


def test_a_scan_that_triggers_nothing_and_stages_nothing_ends(course: Any) -> None:
    course.place()
    course.house.ask("count", 3, detectors=["peak"])
    ended = course.house.wait()
    assert ended.exit_status == "success", ended.reason
    assert [row["peak"] for row in course.rows(ended)] == [100, 100, 100]


def test_hooks_of_pause_resume_and_abort(course: Any, noted: Callable[[], list[str]]) -> None:
    steering = course.steering
    course.interrupt(
        "scan", lambda: steering.pause(at_point=False), lambda: steering.state == "pausing"
    )
    course.house.until(lambda: "on pause" in noted(), "no hook")
    steering.resume()
    assert course.house.wait().exit_status == "success"
    places = [note for note in noted() if note.startswith("on ")]
    assert places == ["on pause", "on resume", "on close"]
    course.interrupt("scan", lambda: steering.abort("enough"), lambda: steering.aborted)
    assert course.house.wait().exit_status == "abort"
    places = [note for note in noted() if note.startswith("on ")]
    assert places[3:] == ["on abort", "on close"]


def test_a_hook_of_a_pause_that_waits_for_ever_is_ended_by_an_abort(course: Any) -> None:
    steering, began = course.steering, course.house.plans / "began"
    hooks = course.house.plans / "hooks.py"
    hooks.write_text(
        f"@on('pause')\ndef wait():\n    open({str(began)!r}, 'w').close()\n"
        "    yield from bps.sleep(1000)\n"
    )
    try:
        course.interrupt(
            "scan", lambda: steering.pause(at_point=True), lambda: steering.state == "pausing"
        )
        course.house.until(began.exists, "the hook does not begin")
        steering.abort("enough")
        assert course.house.wait().exit_status == "abort"
    finally:
        hooks.unlink()
    course.place()
    course.ask("scan")
    assert course.house.wait().exit_status == "success"
