"""Access rules and reference pages follow from the endpoints."""

from __future__ import annotations

from pathlib import Path

import pytest

from undula.bus import reference
from undula.bus.endpoints import (
    ENGINE_READ,
    LOG,
    PIPES_OPENED,
    PIPES_STATUS,
    QUEUE_STATUS,
    RUN_DOCUMENTS,
)
from undula.bus.memory import MemoryConnector
from undula.core.errors import BusError
from undula.core.ids import new_id
from undula.messages import GraphOpened, GraphTold, LogEvent, QueueStatus, ReadRequest
from undula.testing.local_broker import LocalBroker

PROJECT = Path(__file__).parents[3]


@pytest.mark.parametrize("page", sorted(reference.PAGES))
def test_the_committed_page_is_what_the_code_says(page: Path) -> None:
    text = (PROJECT / page).read_text(encoding="utf-8")
    assert text == reference.PAGES[page](), "run: python -m undula.bus.reference --write"


def test_the_pages_are_written_and_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert reference.main([]) == 1
    assert reference.main(["--write"]) == 0
    assert reference.main([]) == 0


def test_an_observer_reads_and_writes_nothing(broker: LocalBroker) -> None:
    observer = broker.connect("observer")
    assert observer.read(RUN_DOCUMENTS, uid=new_id()) == []
    for forbidden in (
        lambda: observer.put(QUEUE_STATUS, QueueStatus(state="idle")),
        lambda: observer.append(LOG, LogEvent(service="s", level="info", event="e", time=0.0)),
        lambda: observer.run([("FLUSHALL",)], again=False),
        lambda: observer.run([("CONFIG", "GET", "*")], again=False),
        lambda: observer.run([("GET", "outcomes/x")], again=False),
        lambda: observer.run([("XREAD", "STREAMS", ENGINE_READ.key(), "0")], again=False),
    ):
        with pytest.raises(BusError, match="does not allow this to user observer"):
            forbidden()


def test_a_client_asks_and_writes_nothing_else(broker: LocalBroker) -> None:
    client = broker.connect("client")
    for forbidden in (
        lambda: client.put(QUEUE_STATUS, QueueStatus(state="idle")),
        lambda: client.append(LOG, LogEvent(service="s", level="info", event="e", time=0.0)),
        lambda: client.run([("XADD", RUN_DOCUMENTS.key(uid="u"), "*", "m", "x")], again=False),
        lambda: client.run([("DEL", "queue/status")], again=False),
        lambda: client.take_requests([ENGINE_READ], block_s=0.0),
    ):
        with pytest.raises(BusError, match="does not allow this to user client"):
            forbidden()


def test_a_client_that_runs_a_graph_tells_of_it_and_of_nothing_else(broker: LocalBroker) -> None:
    client = broker.connect("client")
    told = GraphTold(name="live", state="running", nodes=[], edges=[], time=1.0)
    client.put(PIPES_STATUS, told, name="live")
    assert broker.connect("observer").get(PIPES_STATUS, name="live") == told
    client.append(PIPES_OPENED, GraphOpened(name="live", by="me", time=1.0))
    for forbidden in (
        [("PUBLISH", QUEUE_STATUS.key(), "x")],
        [("SET", QUEUE_STATUS.key(), "x")],
        [("MULTI",), ("SET", "queue/status", "x"), ("EXEC",)],
        [("SET", "pipes/opened", "x")],
        [("DEL", PIPES_STATUS.key(name="live"))],
    ):
        with pytest.raises(BusError, match="does not allow this to user client"):
            client.run(forbidden, again=False)
    with pytest.raises(BusError, match="does not allow this to user observer"):
        broker.connect("observer").put(PIPES_STATUS, told, name="live")


def test_nobody_enters_without_a_password(broker: LocalBroker) -> None:
    from undula.bus.connector import BrokerConnector

    for user, password in ((None, None), ("service", "guess"), ("default", "")):
        stranger = BrokerConnector(broker.paths.broker_socket, user=user, password=password)
        with pytest.raises(BusError, match="refuses user"):
            stranger.get(QUEUE_STATUS)
        stranger.close()


def test_the_twin_answers_a_server_without_requests_at_once() -> None:
    twin = MemoryConnector()
    assert twin.take_requests([ENGINE_READ], block_s=0.0) == []
    assert ReadRequest.tag == "read_request"
