"""What a new engine makes of the items and runs that a dead one left."""

from __future__ import annotations

from undula.bus.endpoints import QUEUE_FINISHED
from undula.bus.memory import MemoryBroker, MemoryConnector
from undula.catalogue import QueueItemRecord, RunRecord, SqliteCatalogue
from undula.scans.recovery import MAX_STARTS, count_start, end_started_items


def _catalogue(*items: str) -> SqliteCatalogue:
    catalogue = SqliteCatalogue(":memory:")
    for item in items:
        catalogue.store_item(QueueItemRecord(item_id=item))
    return catalogue


def _run(catalogue: SqliteCatalogue, item: str, exit_status: str) -> None:
    catalogue.open_run(RunRecord(uid=f"u-{item}", number=1, item_id=item))
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


def test_an_item_that_kills_the_engine_each_time_is_given_up() -> None:
    catalogue, connector = _catalogue("a", "b"), MemoryConnector(MemoryBroker())
    for _ in range(MAX_STARTS):
        end_started_items(catalogue, connector, set())
        assert len(catalogue.items()) == 2
        count_start(catalogue, "a")
    end_started_items(catalogue, connector, set())
    assert [i.item_id for i in catalogue.items()] == ["b"]
    assert f"{MAX_STARTS} times" in connector.read(QUEUE_FINISHED)[0][1].reason
