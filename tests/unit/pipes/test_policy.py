"""Policies are read from words."""

from __future__ import annotations

import pytest

from undula.core.errors import InputError
from undula.pipes.policy import Policy, parse_policy, parse_size


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("lossless", Policy()),
        (" latest ", Policy("latest")),
        ("sample(1/10)", Policy("sample", every=10)),
        ("spill(2 GB)", Policy("spill", disk_bytes=2_000_000_000)),
        ("spill", Policy("spill", disk_bytes=2_000_000_000)),
    ],
)
def test_words_become_a_policy(text: str, policy: Policy) -> None:
    assert parse_policy(text) == policy
    assert parse_policy(policy.text) == policy


@pytest.mark.parametrize(
    "text", ["", "Lossless", "sample", "sample(1/0)", "sample(2/3)", "spill(x)"]
)
def test_other_words_are_refused_with_the_forms_there_are(text: str) -> None:
    with pytest.raises(InputError, match=r"lossless, latest|no size"):
        parse_policy(text)


def test_a_budget_is_a_number_of_slots() -> None:
    assert parse_policy("lossless", "64 MB").slots(8_000_000, 100) == 8
    assert parse_policy("lossless").slots(8_000_000, 100) == 100
    assert parse_policy("latest", "1 B").slots(8_000_000, 100) == 2
    assert parse_size("4k") == 4000
