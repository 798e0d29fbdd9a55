"""The line that names a model is read, never executed."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undula.analysis.expression import parse
from undula.core.errors import InputError


def test_models_of_one_kind_are_numbered() -> None:
    terms = parse("gaussian + (gaussian + linear)").terms
    assert [t.prefix for t in terms] == ["gaussian1_", "gaussian2_", "linear_"]
    assert parse("voigt").terms[0].prefix == ""


def test_bounds_and_start_values() -> None:
    settings = (
        parse("gaussian(center=(0, 0.5, 1), sigma=(None, 2), amplitude=-3)").terms[0].settings
    )
    assert (settings["center"].low, settings["center"].value, settings["center"].high) == (
        0,
        0.5,
        1,
    )
    assert settings["sigma"].high == 2
    assert settings["amplitude"].fixed


@pytest.mark.parametrize(
    "line",
    [
        "", "1", "gaussian +", "gaussian * linear", "__import__('os').system('true')", "a.b",
        "gaussian(1)", "gaussian(center=x)", "gaussian(center=(1, 0))", "gaussian(**{})",
        "gaussian(center=1e999)", "gaussian(center=True)", "gaussian(center=(0, 1, 2, 3))",
        "[g for g in x]", "lambda: 0", " + ".join(["gaussian"] * 9), "gaussian" * 99,
        "a if b else c",
    ],
)  # fmt: skip
def test_everything_else_is_refused_with_an_example(line: str) -> None:
    with pytest.raises(InputError) as refused:
        parse(line)
    assert refused.value.remedy


@given(st.text(max_size=60))
def test_any_text_is_a_model_or_an_input_error(line: str) -> None:
    with suppress(InputError):
        assert parse(line).terms
