"""Expressions of device files: right values, clear faults, and nothing that does harm."""

from __future__ import annotations

import contextlib
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from undula.core.errors import InputError
from undula.devices.expression import Expression, ExpressionError
from undula.devices.expression_functions import NoValueError

VALUES = {"a": 3.0, "b": -2.0, "n": 7, "samx.velocity": 0.5, "state": "open"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7),
        ("-a ** 2", -9.0),
        ("(a + b) / 2", 0.5),
        ("n // 2 + n % 4", 6),
        ("sind(30)", 0.5),
        ("degrees(asin(0.5))", 30.0),
        ("sin(radians(30))", 0.5),
        ("atan2d(1, 1)", 45.0),
        ("12398.4198 / (2 * 3.1356 * sind(14.3))", 8004.25),
        ("a if b < 0 else n", 3.0),
        ("0 < a <= 3 and not b > 0", True),
        ("state == 'open' or a > 100", True),
        ("state in ('closed', 'closing')", False),
        ("n in [6, 7]", True),
        ("samx.velocity * 2", 1.0),
        ("min(a, b, n) + max(a, b)", 1.0),
        ("clip(n, 0, 5)", 5),
        ("interp(1.5, [1, 2], [10, 20])", 15.0),
        ("hypot(a, 4) + abs(b) + round(2.4) + floor(-0.5)", 8.0),
        ("cosd(60) * pi", math.pi / 2),
    ],
)
def test_an_expression_has_the_value_that_a_person_expects(text: str, value: float) -> None:
    assert Expression(text)(VALUES) == pytest.approx(value, rel=1e-5)


def test_names_are_those_of_values_not_of_functions() -> None:
    assert Expression("sind(b) + a * samx.velocity - pi").names == {"b", "a", "samx.velocity"}


def test_arrays_are_computed_element_by_element_and_cut() -> None:
    mca = np.arange(10, dtype=np.int64)
    assert Expression("sum(mca[2:5]) / mean(mca)")({"mca": mca}) == 2.0
    assert Expression("mca[-1]")({"mca": mca}) == 9
    assert Expression("where(mca > 5, 1.0, 0.0)")({"mca": mca}).sum() == 4
    assert Expression("image[0:2, 1]")({"image": [[1, 2], [3, 4]]}).tolist() == [2, 4]
    assert np.allclose(Expression("sqrt(mca) * 2")({"mca": mca}), 2 * np.sqrt(mca))


@pytest.mark.parametrize("text", ["0 / zero", "1 % zero", "log(-1.0)", "sqrt(b)", "b ** 0.5"])
def test_what_is_not_defined_is_not_a_number(text: str) -> None:
    assert math.isnan(Expression(text)({"zero": 0, "b": -2.0}))


@pytest.mark.parametrize(
    "text",
    ["t > 1", "not t < 1", "1 if t == 2 else 3", "t and 1", "isnan(t) and t > 2", "w[0] < 3"],
)
def test_a_condition_never_rests_on_what_is_not_a_number(text: str) -> None:
    with pytest.raises(NoValueError):
        Expression(text)({"t": math.nan, "w": [math.nan]})


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({}, "needs a, which has no value"),
        ({"a": "moving"}, "'moving' is no number"),
        ({"a": None}, "None"),
    ],
)
def test_readings_that_cannot_be_used_are_named(values: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Expression("a * 1000")(values)


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        ("i0 + * i1", 6, "cannot be read"),
        ("i0 + smax", 6, "did you mean samx"),
        ("i0 / sind(samx) + sqr(2)", 19, "did you mean sqrt"),
        ("i0 & 3", 1, "write and, or"),
        ("i0 if samx", 1, "cannot be read"),
        ("atan2(1)", 1, "atan2(y, x)"),
        ("", 1, "it is empty"),
        ("i0 = 3", 4, "write =="),
        ("samx is 3", 1, "write == or !="),
        ("sind", 1, "write sind(x), x in degrees"),
        ("i0 + 'open'", 6, "a text cannot be computed with"),
    ],
)
def test_a_fault_names_the_column_and_what_to_write(text: str, column: int, says: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        Expression(text, known=["samx", "i0", "i1"])
    assert caught.value.column == column
    assert says in str(caught.value)


HOSTILE = [
    "__import__('os').system('id')",
    "().__class__.__bases__[0].__subclasses__()",
    "a.__class__",
    "a._private",
    "(a + 1).real",
    "'x'.join(['a'])",
    "'{0.__class__}'.format(a)",
    "f'{a.__class__}'",
    "[x for x in (1, 2)]",
    "[[[x for x in y] for y in z] for z in w]",
    "sum(x for x in a)",
    "{x: x for x in a}",
    "lambda: 1",
    "(x := 5)",
    "print(1)",
    "open('/etc/passwd')",
    "eval('1')",
    "exec('1')",
    "getattr(a, 'b')",
    "np.load('x')",
    "numpy.f2py",
    "sqrt.__globals__",
    "sqrt(x=1)",
    "max(*a)",
    "max(**a)",
    "a()",
    "a[b]",
    "a['x']",
    "a[lambda: 1]",
    "await a",
    "(yield 1)",
    "...",
    "b'abc'",
    "1j",
    "None",
    "1 << 100000",
    "1 @ 2",
    "~a",
    "'a' * 1000000000",
    "'" + "x" * 5000 + "'",
    "1" * 4001,
    "1e400",
    "(" * 300 + "1" + ")" * 300,
    "-" * 3000 + "1",
    "not " * 900 + "a",
    "+".join("1" for _ in range(700)),
    "a" + ".b" * 1500 + "()",
    "\x00",
    "a; b",
    "import os",
    "a\nb",
    "[1, 2]",
    "{1: 2}",
    "{1}",
    "(1, 2)",
    "*a",
    "𝕖val('1')",
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda t: t[:30])
def test_hostile_text_is_refused_at_once(text: str) -> None:
    begin = time.thread_time()
    with pytest.raises(ExpressionError) as caught:
        Expression(text, known=["a", "b", "w"])
    assert time.thread_time() - begin < 1.0
    assert caught.value.remedy


@pytest.mark.parametrize("text", ["9**9**9", "9.0**9**9**9**9", "10**400", "2**(a**a**a)"])
def test_a_power_tower_costs_neither_time_nor_memory(text: str) -> None:
    begin = time.thread_time()
    assert Expression(text)({"a": 99.0}) == math.inf
    assert time.thread_time() - begin < 0.1


def test_readings_cannot_smuggle_a_bomb() -> None:
    for value in ("x" * 10, b"x", object(), {"a": 1}, [object()]):
        with pytest.raises(InputError):
            Expression("a * 1000000000")({"a": value})


NUMBER = st.floats(-1e6, 1e6).map(lambda x: f"({x!r})") | st.integers(-1000, 1000).map(
    lambda x: f"({x})"
)
TEXTS = st.recursive(
    NUMBER | st.sampled_from(["a", "b"]),
    lambda inner: (
        st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda t: f"({' '.join(t)})")
        | inner.map(lambda x: f"abs({x})")
        | st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} if {t[1]} > 0 else {t[2]})")
    ),
    max_leaves=12,
)


@given(TEXTS, st.floats(-1e3, 1e3), st.floats(-1e3, 1e3))
@settings(max_examples=150, deadline=None)
def test_the_value_is_that_of_python(text: str, a: float, b: float) -> None:
    values = {"a": a, "b": b}
    expected = eval(text, {"__builtins__": {}, "abs": abs}, values)
    assert Expression(text)(values) == pytest.approx(expected, rel=1e-9, nan_ok=True)


@given(st.text(max_size=60) | st.text("ab_.()[]{}+-*/<>='\"01 :,lmdifx", max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_is_an_expression_or_a_fault_that_is_reported(text: str) -> None:
    with contextlib.suppress(InputError):
        Expression(text)({"a": 1.0, "b": 2.0})
