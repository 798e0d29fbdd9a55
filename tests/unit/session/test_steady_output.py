"""What the shared kernel's cells print: no faster than terminals can show it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from undula.session.kernel.out import Gauge


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0, 2)), max_size=40))
def test_who_waits_as_told_says_no_more_than_the_gauge_gives(said: list[tuple[int, float]]) -> None:
    gauge, now, total = Gauge(most=50, each_s=100), 10.0, 0
    for amount, idle_s in said:
        now += idle_s
        total += amount
        pause_s = gauge.pause_s(amount, now)
        assert 0 <= pause_s <= 0.5
        now += pause_s
        assert total <= 50 + 100 * (now - 10.0) + 1e-6


def test_who_says_little_never_waits() -> None:
    gauge = Gauge(most=50, each_s=100)
    assert all(gauge.pause_s(1, 1.0 + n / 100) == 0 for n in range(1000))
