"""What people ask of the points of a scan, and how its runs end for that."""

from __future__ import annotations

import pytest

from undula.core.errors import BusyError
from undula.plans.steps import Steps
from undula.scans.course import Course


def taking(total: int, taken: int = 0) -> Course:
    course, steps = Course(), Steps(total)
    course.follows(steps)
    steps.open = True
    steps.took(taken) if taken else None
    return course


def test_points_are_steered_once_they_have_begun_and_are_known() -> None:
    course = Course()
    with pytest.raises(BusyError, match="its points have not begun"):
        course.steer("skipped", lambda steps: steps.skip())
    course.follows(None)
    with pytest.raises(BusyError, match="not known, none can be skipped"):
        course.steer("skipped", lambda steps: steps.skip())
    known = taking(3)
    assert known.steer("skipped", lambda steps: steps.skip()) == ("point 1 is left out", True)


def test_a_completion_before_the_plan_begins_is_not_forgotten() -> None:
    course = Course()
    assert course.complete("", now=False) == "it ends at its next checkpoint"
    assert not course.stops
    assert course.follows(None)
    assert course.stops
    assert course.ended_as(7) == ("success", "completed by somebody after 7 points")
    early = Course()
    early.complete("ann", now=False)
    steps = Steps(5)
    assert not early.follows(steps)
    steps.turn()
    assert early.ended_as(0) == ("success", "completed by ann after 0 of 5 points")


@pytest.mark.parametrize(("left_out", "said"), [(2, "no point was measured: 2 points left out")])
def test_only_where_all_points_were_left_out_a_run_is_empty(left_out: int, said: str) -> None:
    course = taking(left_out)
    assert course.emptied == ""
    assert course.steps is not None
    for _ in range(left_out):
        course.steps.skip()
        course.steps.turn()
    assert course.emptied == said
    assert course.ended_as(0) == (None, "")
    other = taking(3, taken=1)
    assert other.steps is not None
    other.steps.skip()
    other.steps.turn()
    assert other.emptied == ""
