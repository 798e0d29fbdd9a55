"""Expressions of device files compute, and can do nothing else."""

from __future__ import annotations

import contextlib
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from undula.core.errors import InputError
from undula.devices.expression import Expression


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a + 2 * b", 7.0),
        ("-a ** 2", -1.0),
        ("(b - a) / (b + a)", 0.5),
        ("a / 0", math.inf),
        ("sind(30)", 0.5),
        ("asind(0.5)", 30.0),
        ("max(a, b, 2)", 3.0),
        ("b if a > 2 else a", 1.0),
        ("a < b and not b < a", True),
        ("state == 'open'", True),
        ("slits.gap * 2", 4.0),
        ("12.39842 / (2 * 3.1356 * sind(14.31))", 7.999),
        ("pi", math.pi),
        ("7 // 2 + 7 % 2", 4.0),
    ],
)
def test_what_is_written_is_computed(text: str, value: float) -> None:
    values = {"a": 1, "b": 3, "state": "open", "slits.gap": 2.0}
    assert Expression(text)(values) == pytest.approx(value, rel=1e-3)


def test_arrays_are_computed_whole() -> None:
    ratio = Expression("i1 / i0 if 1 else 0")
    found = ratio({"i1": np.array([1.0, 2.0]), "i0": np.array([2.0, 0.0])})
    assert np.array_equal(found, [0.5, np.inf])
    assert Expression("sum(roi)")({"roi": np.ones((3, 4))}) == 12.0


HOSTILE = [
    "__import__('os').system('true')", "().__class__", "a.__class__", "a._private",
    "[x for x in a]",
    "lambda: 1", "open('x')", "eval('1')", "f'{a}'", "a[0]", "a; b", "a = 1", "{1: 2}", "{1, 2}",
    "[1]", "(1, 2)", "*a", "a := 1", "yield", "await a", "sin.__self__", "sin(x=1)", "print(a)",
    "'a' * 10", "'text'", "b'x'", "1j", "None", "...", "a if b", "", "   ", "(" * 300 + "a",
    "-" * 500 + "a", "a" * 5000, "10" * 400, "1 < a < 2", "a @ b", "a << 2", "a | b", "~a",
    "a is b", "a in b", "getattr(a, 'x')", "sin", "a.b.__c", "\x00", "a\nb", "import os",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_nothing_else_can_be_written(text: str) -> None:
    with pytest.raises(InputError) as caught:
        Expression(text)
    assert caught.value.remedy


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(InputError):
        Expression(text)({})


def test_powers_do_not_grow_without_end() -> None:
    assert Expression("9 ** 9 ** 9 ** 9")({}) == math.inf


def test_an_unknown_name_is_answered_with_the_one_meant_and_its_column() -> None:
    with pytest.raises(InputError, match=r"column 6: there is no dioed") as caught:
        Expression("i0 / dioed", known={"i0", "diode"})
    assert caught.value.remedy == "did you mean diode"
    with pytest.raises(InputError, match="no function sine") as caught:
        Expression("sine(a)")
    assert caught.value.remedy.startswith("did you mean sin")


def test_a_missing_value_is_named() -> None:
    with pytest.raises(InputError, match="needs b, which has no value"):
        Expression("a + b")({"a": 1})
