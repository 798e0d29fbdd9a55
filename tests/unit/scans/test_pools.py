"""Which threads answer which request: who steers a scan waits for nobody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pytest

from undula.messages import PipesRequest, QueueRequest
from undula.scans.pools import CHECKED, LOOKS, STEERS, Pools


@pytest.fixture(scope="module")
def pools() -> Iterator[Pools]:
    made = Pools()
    yield made
    made.close()


@pytest.mark.parametrize("action", get_args(QueueRequest.model_fields["action"].annotation))
def test_each_request_about_the_queue_has_its_threads(pools: Pools, action: Any) -> None:
    found = pools.of(QueueRequest(request_id="q", deadline=0.0, action=action))
    expected = {STEERS: pools.steering, LOOKS: pools.requests, CHECKED: pools.checks}
    assert found is next((p for names, p in expected.items() if action in names), pools.edits)


def test_words_of_the_table_are_actions() -> None:
    actions = set(get_args(QueueRequest.model_fields["action"].annotation))
    assert {*STEERS, *LOOKS, *CHECKED} <= actions


def test_who_waits_for_a_graph_holds_up_nobody_who_looks_at_one(pools: Pools) -> None:
    def of(action: Any, graph: str) -> Any:
        return pools.of(
            PipesRequest(request_id="p", deadline=0.0, action=action, graph=graph), {"cam"}
        )

    assert of("show", "cam") is of("list", "") is pools.requests
    assert of("show", "other") is of("clear", "cam") is pools.piping
