"""What a wrong call is told: which word is too many, which axis is named twice."""

from __future__ import annotations

import pytest

from undula.catalogue.filters import parse_condition
from undula.core.errors import InputError
from undula.plans import parse_form


@pytest.mark.parametrize(
    ("plan", "args", "told"),
    [
        ("scan", ["samx", 0, 1, "samx", 0, 1, 5], "samx is named twice"),
        ("count", [1, 0.1, 7], "count got more than it takes: 7"),
        (
            "rel_grid_scan",
            ["samy", 0, 2, 5, "samx", -1, 1, 9, True],
            r"got more than it takes: True. Remedy: use: .*; for a grid that turns .* snake_axes",
        ),
    ],
)
def test_the_word_at_fault_is_named(plan: str, args: list[object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        parse_form(plan, args, {})


def test_a_guess_is_asked_as_a_question() -> None:
    assert str(InputError("no smx", remedy="did you mean samx")).endswith("did you mean samx?")


@pytest.mark.parametrize("said", ["temperature_K>", "temperature_K<= "])
def test_a_comparison_with_nothing_is_refused(said: str) -> None:
    with pytest.raises(InputError, match="compares with nothing"):
        parse_condition(said)
