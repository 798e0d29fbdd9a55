"""A plan of Bluesky called with the wrong arguments is explained in people's words."""

from __future__ import annotations

import bluesky.plans as bp
import pytest

from undula.core.errors import InputError
from undula.plans.usage import check_call


def refusal(plan: str, *args: object, **kwargs: object) -> str:
    with pytest.raises(InputError) as caught:
        check_call(plan, getattr(bp, plan), [["diode"], *args], kwargs)
    return str(caught.value)


def test_missing_arguments_are_named_with_an_example() -> None:
    text = refusal("spiral", "samx", "samy")
    assert text.startswith("spiral wants 6 more: x_start, y_start, x_range, y_range, dr, nth. ")
    assert "use: spiral X_MOTOR Y_MOTOR X_START" in text
    assert "e.g. spiral samx samy -1 -1 2 2 0.2 8" in text
    assert "Annotated" not in text
    assert len(text) < 300


def test_the_example_is_a_call_that_fits() -> None:
    check_call("spiral", bp.spiral, [["diode"], "samx", "samy", -1, -1, 2, 2, 0.2, 8], {})


def test_a_wrong_keyword_gets_a_suggestion() -> None:
    text = refusal("spiral", "samx", "samy", -1, -1, 2, 2, 0.2, 8, tlt=0.1)
    assert text == "spiral has no option 'tlt'. Remedy: did you mean tilt?"


def test_too_many_arguments_show_the_usage() -> None:
    text = refusal("log_scan", "samx", 0, 1, 5, 6)
    assert "more arguments than it takes" in text
    assert "use: log_scan MOTOR START STOP NUM" in text
