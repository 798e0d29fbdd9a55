"""Interval sets are sets."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from undula.pipes.intervals import IntervalSet

RANGES = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=12)


def both(ranges: list[tuple[int, int]]) -> tuple[IntervalSet, set[int]]:
    plain: set[int] = set()
    for start, stop in ranges:
        plain |= set(range(start, stop))
    return IntervalSet(ranges), plain


@given(RANGES, RANGES)
def test_they_do_what_sets_do(left: list[tuple[int, int]], right: list[tuple[int, int]]) -> None:
    (a, plain_a), (b, plain_b) = both(left), both(right)
    assert set(a) == plain_a
    assert len(a) == len(plain_a)
    assert set(a | b) == plain_a | plain_b
    assert set(a - b) == plain_a - plain_b
    assert set(a & b) == plain_a & plain_b
    assert all((n in a) == (n in plain_a) for n in range(32))


@given(RANGES)
def test_no_two_intervals_touch(ranges: list[tuple[int, int]]) -> None:
    found = IntervalSet(ranges).intervals()
    assert all(a[1] < b[0] for a, b in itertools.pairwise(found))
    assert all(start < stop for start, stop in found)


@given(st.lists(st.integers(0, 40)))
def test_numbers_may_come_in_any_order(numbers: list[int]) -> None:
    found = IntervalSet()
    for number in numbers:
        found.add(number)
    assert set(found) == set(numbers)


def test_many_intervals_are_shown_in_short() -> None:
    found = IntervalSet((n, n + 1) for n in range(0, 20, 2))
    assert found.text(2) == "0, 2, and 8 more intervals"
    assert IntervalSet().text() == "none"
