"""What a new engine makes of the items and runs that a dead one left."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from undula.bus.endpoints import QUEUE_FINISHED, Endpoint
from undula.bus.memory import MemoryBroker, MemoryConnector
from undula.catalogue import QueueItemRecord, RunRecord, SqliteCatalogue
from undula.core.errors import BusError
from undula.messages import ItemFinished, Message, QueueItem, ScanRequest
from undula.scans.line import Line
from undula.scans.recovery import MAX_STARTS, count_start, end_started_items, tell_ended_items


def _catalogue(*items: str) -> SqliteCatalogue:
    catalogue = SqliteCatalogue(":memory:")
    for item in items:
        catalogue.store_item(QueueItemRecord(item_id=item))
    return catalogue


def _run(
    catalogue: SqliteCatalogue, item: str, exit_status: str, metadata: dict[str, Any] | None = None
) -> None:
    run = RunRecord(uid=f"u-{item}", number=1, item_id=item, metadata=metadata or {})
    catalogue.open_run(run)
    if exit_status != "open":
        catalogue.close_run(
            f"u-{item}",
            exit_status=exit_status,  # type: ignore[arg-type]  # one of the words, by the test
            reason="",
            end_time=1.0,
            path="",
            num_events={},
            archive_path="",
        )


def test_an_item_that_had_not_begun_stays_in_the_queue() -> None:
    catalogue, connector = _catalogue("a"), MemoryConnector(MemoryBroker())
    end_started_items(catalogue, connector, set())
    assert [i.item_id for i in catalogue.items()] == ["a"]
    assert connector.read(QUEUE_FINISHED) == []


def test_an_item_whose_run_was_open_ends_as_failed() -> None:
    catalogue, connector = _catalogue("a"), MemoryConnector(MemoryBroker())
    _run(catalogue, "a", "open")
    end_started_items(catalogue, connector, {"u-a"})
    assert catalogue.items() == []
    assert [m.exit_status for _, m in connector.read(QUEUE_FINISHED)] == ["fail"]


def test_an_item_whose_run_had_ended_is_not_run_again() -> None:
    catalogue, connector = _catalogue("a"), MemoryConnector(MemoryBroker())
    _run(catalogue, "a", "success")
    end_started_items(catalogue, connector, set())
    assert catalogue.items() == []
    assert [m.exit_status for _, m in connector.read(QUEUE_FINISHED)] == ["success"]


@pytest.mark.parametrize(("part", "ended"), [(1, "fail"), (10, "success")])
def test_an_engine_that_died_between_two_runs_of_an_item_leaves_it_as_failed(
    part: int, ended: str
) -> None:
    catalogue, connector = SqliteCatalogue(":memory:"), MemoryConnector(MemoryBroker())
    catalogue.store_item(QueueItemRecord(item_id="a", payload={"item": _item("a").model_dump()}))
    _run(catalogue, "a", "success", {"part": part, "parts": 10})
    assert [how for _, how in end_started_items(catalogue, connector, set())] == [ended]
    finished = connector.read(QUEUE_FINISHED)[0][1]
    assert finished.exit_status == ended
    assert ("engine died" in finished.reason) == (ended == "fail")


def test_a_plan_that_may_make_more_runs_was_not_finished_when_its_engine_died() -> None:
    catalogue, connector = SqliteCatalogue(":memory:"), MemoryConnector(MemoryBroker())
    source = {"source": {"name": "two", "call": "two()", "parts": []}}
    catalogue.store_item(QueueItemRecord(item_id="a", payload={"request": source}))
    _run(catalogue, "a", "success")
    end_started_items(catalogue, connector, set())
    assert connector.read(QUEUE_FINISHED)[0][1].exit_status == "fail"


@pytest.mark.parametrize("how", ["fail", "abort"])
def test_further_turns_of_a_scan_do_not_follow_the_one_in_which_the_engine_died(how: str) -> None:
    catalogue = _catalogue("a.2", "b")
    dead, left = _item("a"), [_item("a.2", origin="a", turn=2), _item("b")]
    request = ScanRequest(request_id="x", deadline=2e9, plan="count")
    line = Line(catalogue, threading.Condition(), lambda _: None)
    line.begin([(item, request) for item in left], ended=[(dead, how)])  # type: ignore[list-item]
    queue = line.queue
    assert queue.running is None
    assert queue.next_item is not None
    assert queue.next_item.item_id == "b"
    ids = [item.item_id for item in queue.waiting]
    assert ids == (["a.2", "b"] if how == "fail" else ["b"])
    assert how == "abort" or queue.waiting[0].held_by


def test_an_item_that_kills_the_engine_each_time_is_given_up() -> None:
    catalogue, connector = _catalogue("a", "b"), MemoryConnector(MemoryBroker())
    for _ in range(MAX_STARTS):
        end_started_items(catalogue, connector, set())
        assert len(catalogue.items()) == 2
        count_start(catalogue, "a")
    end_started_items(catalogue, connector, set())
    assert [i.item_id for i in catalogue.items()] == ["b"]
    assert f"{MAX_STARTS} times" in connector.read(QUEUE_FINISHED)[0][1].reason


def _item(item_id: str, **fields: Any) -> QueueItem:
    known = {"command": "c", "plan": "count", "user": "u", "submitted": 1.0}
    return QueueItem.model_validate({"item_id": item_id, **known, **fields})


class Away(MemoryConnector):
    """A connector whose broker goes away before the first append."""

    gone = True

    def append(self, endpoint: Endpoint[Any], message: Message, **names: str) -> str:
        if self.gone:
            raise BusError("the broker cannot be reached", remedy="wait")
        return super().append(endpoint, message, **names)


def test_the_end_of_an_item_is_told_by_the_next_start_when_it_could_not_be_told() -> None:
    catalogue, connector = _catalogue("a"), Away(MemoryBroker())
    _run(catalogue, "a", "open")
    with pytest.raises(BusError):
        end_started_items(catalogue, connector, {"u-a"})
    connector.gone = False
    end_started_items(catalogue, connector, {"u-a"})
    end_started_items(catalogue, connector, {"u-a"})
    assert [m.item_id for _, m in connector.read(QUEUE_FINISHED)] == ["a"]
    assert catalogue.items() == []


def test_an_end_that_was_told_before_the_engine_died_is_not_told_twice() -> None:
    catalogue, connector = _catalogue("a"), MemoryConnector(MemoryBroker())
    _run(catalogue, "a", "success")
    connector.append(QUEUE_FINISHED, ItemFinished(item_id="a", exit_status="success", time=1.0))
    end_started_items(catalogue, connector, set())
    assert len(connector.read(QUEUE_FINISHED)) == 1
    assert catalogue.items() == []


def test_an_end_that_the_dead_engine_could_not_tell_is_told_once() -> None:
    catalogue, connector = _catalogue("a", "b", "c"), MemoryConnector(MemoryBroker())
    for moment, item in ((100.0, "a"), (5000.0, "b"), (5001.0, "c")):
        catalogue.finish_item(ItemFinished(item_id=item, exit_status="abort", time=moment))
    connector.append(QUEUE_FINISHED, ItemFinished(item_id="x", exit_status="success", time=5000.5))
    assert tell_ended_items(catalogue, connector) == ["b", "c"]
    assert tell_ended_items(catalogue, connector) == []
    told = [finished.item_id for _, finished in connector.read(QUEUE_FINISHED)]
    assert told == ["x", "b", "c"], "what ended long ago is not told again"
