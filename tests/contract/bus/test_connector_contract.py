"""One contract for the real connector and its twin."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from undula.bus.codec import encode
from undula.bus.endpoints import (
    ENGINE_DEVICE_SET,
    ENGINE_MOVE,
    ENGINE_READ,
    LOG,
    QUEUE_FINISHED,
    QUEUE_STATUS,
    RUN_DOCUMENTS,
    RUN_PROGRESS,
    RUNS_CLOSED,
    Endpoint,
)
from undula.bus.journal import JournalReader, read_all, tail
from undula.bus.memory import MemoryBroker, MemoryConnector
from undula.bus.ports import BEGIN, Connector
from undula.core.errors import (
    BusError,
    DeviceError,
    OutcomeUnknownError,
    TimeoutUndulaError,
    UndulaError,
    WireError,
)
from undula.core.ids import new_id
from undula.messages import (
    ErrorReport,
    ItemFinished,
    JournalProgress,
    LogEvent,
    MoveRequest,
    QueueStatus,
    ReadRequest,
    Reply,
    RunDocument,
    RunFileClosed,
)
from undula.testing.hostile import INSANE, hostile
from undula.testing.local_broker import LocalBroker


@dataclass
class Bus:
    """Connectors of one kind, and a way to put raw bytes on the wire."""

    connect: Callable[[], Connector]
    entry: Callable[[str, bytes, str], None]
    publish: Callable[[str, bytes], None]
    request: Callable[[str, str, bytes], None]
    opened: list[Connector] = field(default_factory=list)

    def open(self) -> Connector:
        connector = self.connect()
        self.opened.append(connector)
        return connector


def _memory() -> Bus:
    broker = MemoryBroker()
    return Bus(
        connect=lambda: MemoryConnector(broker),
        entry=lambda key, payload, entry_id: (broker.add_entry(key, payload, entry_id), None)[1],
        publish=lambda key, payload: broker.publish(key, payload, keep=True),
        request=broker.add_request,
    )


def _real(broker: LocalBroker) -> Bus:
    raw = broker.connect()

    def run(*command: Any) -> None:
        raw.run([command], again=False)

    def publish(key: str, payload: bytes) -> None:
        run("SET", key, payload)
        run("PUBLISH", key, payload)

    return Bus(
        connect=broker.connect,
        entry=lambda key, payload, entry_id: run("XADD", key, entry_id or "*", "m", payload),
        publish=publish,
        request=lambda key, uid, payload: run("XADD", key, "*", "id", uid, "m", payload),
    )


@pytest.fixture(params=["twin", "server"])
def bus(request: pytest.FixtureRequest) -> Iterator[Bus]:
    made = _memory() if request.param == "twin" else _real(request.getfixturevalue("broker"))
    server = made.open()
    server.answer_abandoned()
    while server.take_requests([ENGINE_READ, ENGINE_MOVE, ENGINE_DEVICE_SET], block_s=0.0):
        pass
    yield made
    for connector in made.opened:
        connector.close()


def _read(timeout_s: float = 5.0, request_id: str = "") -> ReadRequest:
    return ReadRequest(
        request_id=request_id or new_id(), devices=["samx"], deadline=time.time() + timeout_s
    )


def _document(index: int) -> RunDocument:
    return RunDocument(index=index, name="event", doc={"seq_num": index})


def _in_thread(work: Callable[[], Any]) -> Callable[[], Any]:
    """Run it aside; the answer waits for its end, gives the result or raises its error."""
    box: list[Any] = []

    def run() -> None:
        try:
            box.append(work())
        except UndulaError as exc:
            box.append(exc)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def result() -> Any:
        thread.join(60.0)
        if isinstance(box[0], Exception):
            raise box[0]
        return box[0]

    return result


def _take_one(server: Connector, endpoint: Endpoint[Any] = ENGINE_READ) -> Any:
    taken = server.take_requests([endpoint], block_s=60.0)
    assert len(taken) == 1
    return taken[0][1]


def test_latest_gives_none_before_and_the_newest_after(bus: Bus) -> None:
    a, b, uid = bus.open(), bus.open(), new_id()
    assert b.get(RUN_PROGRESS, uid=uid) is None
    for n in (1, 2):
        a.put(RUN_PROGRESS, JournalProgress(uid=uid, appended=n, acknowledged=0), uid=uid)
    kept = b.get(RUN_PROGRESS, uid=uid)
    assert kept is not None
    assert kept.appended == 2


def test_a_subscriber_gets_the_kept_value_first_then_each_new_one(bus: Bus) -> None:
    a, b, uid = bus.open(), bus.open(), new_id()
    got: queue.Queue[JournalProgress] = queue.Queue()
    a.put(RUN_PROGRESS, JournalProgress(uid=uid, appended=1, acknowledged=0), uid=uid)
    subscription = b.subscribe(RUN_PROGRESS, got.put, uid=uid)
    assert got.get(timeout=60.0).appended == 1
    for n in (2, 3):
        a.put(RUN_PROGRESS, JournalProgress(uid=uid, appended=n, acknowledged=0), uid=uid)
    assert [got.get(timeout=60.0).appended for _ in range(2)] == [2, 3]
    subscription.close()
    a.put(RUN_PROGRESS, JournalProgress(uid=uid, appended=4, acknowledged=0), uid=uid)
    assert got.empty()


def test_a_subscription_may_be_closed_from_its_callback(bus: Bus) -> None:
    a, b, uid, done = bus.open(), bus.open(), new_id(), threading.Event()
    made: list[Any] = []

    def once(_: JournalProgress) -> None:
        made[0].close()
        done.set()

    made.append(b.subscribe(RUN_PROGRESS, once, uid=uid))
    a.put(RUN_PROGRESS, JournalProgress(uid=uid, appended=1, acknowledged=0), uid=uid)
    assert done.wait(60.0)


def test_a_subscriber_survives_its_callbacks_fault_and_hostile_payloads(bus: Bus) -> None:
    a, b, uid = bus.open(), bus.open(), new_id()
    got: queue.Queue[int] = queue.Queue()

    def callback(message: JournalProgress) -> None:
        if message.appended == 1:
            raise RuntimeError("a fault of the callback")
        got.put(message.appended)

    b.subscribe(RUN_PROGRESS, callback, uid=uid)
    a.put(RUN_PROGRESS, JournalProgress(uid=uid, appended=1, acknowledged=0), uid=uid)
    for payload in hostile(JournalProgress).values():
        bus.publish(RUN_PROGRESS.key(uid=uid), payload)
    a.put(RUN_PROGRESS, JournalProgress(uid=uid, appended=2, acknowledged=0), uid=uid)
    assert got.get(timeout=60.0) == 2


def test_a_stream_keeps_order_and_gives_what_follows_the_cursor(bus: Bus) -> None:
    a = bus.open()
    start = a.last_id(QUEUE_FINISHED)
    ids = [
        a.append(QUEUE_FINISHED, ItemFinished(item_id=str(n), exit_status="success", time=0.0))
        for n in range(5)
    ]
    entries = a.read(QUEUE_FINISHED, after=start)
    assert [entry_id for entry_id, _ in entries] == ids
    assert [message.item_id for _, message in entries] == list("01234")
    assert [i for i, _ in a.read(QUEUE_FINISHED, after=ids[2])] == ids[3:]
    assert [i for i, _ in a.read(QUEUE_FINISHED, after=start, count=2)] == ids[:2]
    assert a.last_id(QUEUE_FINISHED) == ids[-1]
    assert a.read(QUEUE_FINISHED, after=ids[-1]) == []


def test_a_stream_is_trimmed_to_its_bound(bus: Bus) -> None:
    a = bus.open()
    small = Endpoint("log/events", LogEvent, "stream", "a small bound", maxlen=10)
    for n in range(25):
        a.append(small, LogEvent(service="s", level="info", event=str(n), time=0.0))
    assert [message.event for _, message in a.read(LOG)] == [str(n) for n in range(15, 25)]


def test_a_blocking_read_wakes_when_an_entry_comes(bus: Bus) -> None:
    a, b = bus.open(), bus.open()
    start = a.last_id(RUNS_CLOSED)
    result = _in_thread(lambda: b.read(RUNS_CLOSED, after=start, block_s=60.0))
    a.append(RUNS_CLOSED, RunFileClosed(uid="u", number=1, path="p", exit_status="success"))
    assert [message.uid for _, message in result()] == ["u"]


def test_a_blocking_read_ends_empty_after_its_time(bus: Bus) -> None:
    a = bus.open()
    started = time.monotonic()
    assert a.read(RUN_DOCUMENTS, block_s=0.2, uid=new_id()) == []
    assert 0.15 < time.monotonic() - started < 60.0


def test_a_stream_reader_survives_hostile_entries(bus: Bus) -> None:
    a, uid = bus.open(), new_id()
    key = RUN_DOCUMENTS.key(uid=uid)
    corpus = hostile(RunDocument)
    for n, payload in enumerate(corpus.values(), 1):
        bus.entry(key, payload, f"{n}-0")
    last = len(corpus) + 1
    bus.entry(key, encode(_document(1)), f"{last}-0")
    assert [entry_id for entry_id, _ in a.read(RUN_DOCUMENTS, uid=uid)] == [f"{last}-0"]


def test_a_read_passes_hostile_entries_even_when_a_whole_page_is_hostile(bus: Bus) -> None:
    a, uid = bus.open(), new_id()
    for n in range(1, 8):
        bus.entry(RUN_DOCUMENTS.key(uid=uid), b"\xc1", f"{n}-0")
    bus.entry(RUN_DOCUMENTS.key(uid=uid), encode(_document(1)), "8-0")
    found = a.read(RUN_DOCUMENTS, uid=uid, count=2)
    assert [entry_id for entry_id, _ in found] == ["8-0"]


@pytest.mark.parametrize("name", sorted(INSANE))
def test_insane_documents_do_not_kill_a_reader(bus: Bus, name: str) -> None:
    a, uid = bus.open(), new_id()
    bus.entry(RUN_DOCUMENTS.key(uid=uid), INSANE[name], "1-0")
    assert len(a.read(RUN_DOCUMENTS, uid=uid)) <= 1


def test_a_journal_is_read_in_order_to_its_stop_document(bus: Bus) -> None:
    a, uid = bus.open(), new_id()
    key = RUN_DOCUMENTS.key(uid=uid)
    for n in range(1, 2500):
        bus.entry(key, encode(_document(n)), f"{n}-0")
    documents = _in_thread(lambda: list(JournalReader(a, uid, after=10, timeout_s=60.0)))
    bus.entry(key, encode(RunDocument(index=2500, name="stop", doc={})), "2500-0")
    assert [d.index for d in documents()] == list(range(11, 2501))
    assert len(read_all(a, uid)) == 2500
    last = tail(a, uid)
    assert last is not None
    assert last.name == "stop"
    assert tail(a, new_id()) is None


def test_a_journal_with_a_gap_is_refused_after_what_is_whole(bus: Bus) -> None:
    a, uid = bus.open(), new_id()
    for n in (1, 2, 4):
        bus.entry(RUN_DOCUMENTS.key(uid=uid), encode(_document(n)), f"{n}-0")
    reader = JournalReader(a, uid)
    assert [d.index for d in reader.take()] == [1, 2]
    with pytest.raises(BusError, match="document 3 is missing"):
        reader.take()


def test_a_journal_reader_ends_when_it_is_stopped(bus: Bus) -> None:
    a, stop = bus.open(), threading.Event()
    result = _in_thread(lambda: list(JournalReader(a, new_id(), stop=stop)))
    stop.set()
    assert result() == []


def test_an_expired_key_is_gone(bus: Bus) -> None:
    a, uid = bus.open(), new_id()
    bus.entry(RUN_DOCUMENTS.key(uid=uid), encode(_document(1)), "1-0")
    a.expire(RUN_DOCUMENTS, 0.01, uid=uid)
    end = time.monotonic() + 60.0
    while a.last_id(RUN_DOCUMENTS, uid=uid) != BEGIN:
        assert time.monotonic() < end


def test_a_request_gets_its_one_reply(bus: Bus) -> None:
    client, server = bus.open(), bus.open()
    request = _read()
    answer = _in_thread(lambda: client.request(ENGINE_READ, request))
    taken = _take_one(server)
    assert taken == request
    server.reply(taken, Reply(request_id=taken.request_id, result={"samx": 1.5}))
    assert answer().result == {"samx": 1.5}
    with pytest.raises(BusError, match="not open"):
        server.reply(taken, Reply(request_id=taken.request_id, result={}))


def test_an_error_reply_is_raised_as_what_it_was(bus: Bus) -> None:
    client, server = bus.open(), bus.open()
    answer = _in_thread(lambda: client.request(ENGINE_READ, _read()))
    taken = _take_one(server)
    error = DeviceError("it did not arrive", remedy="look at it", device="samx")
    server.reply(taken, Reply(request_id=taken.request_id, error=ErrorReport.of(error)))
    with pytest.raises(DeviceError, match="did not arrive") as caught:
        answer()
    assert caught.value.device == "samx"


def test_a_repeated_request_gets_the_first_outcome(bus: Bus) -> None:
    client, server = bus.open(), bus.open()
    request = _read()
    first = _in_thread(lambda: client.request(ENGINE_READ, request))
    taken = _take_one(server)
    server.reply(taken, Reply(request_id=taken.request_id, result={"n": 1}))
    assert first().result == {"n": 1}
    again = _in_thread(lambda: client.request(ENGINE_READ, request))
    assert server.take_requests([ENGINE_READ], block_s=0.3) == []
    assert again().result == {"n": 1}


def test_a_request_repeated_while_it_runs_joins_it(bus: Bus) -> None:
    client, other, server = bus.open(), bus.open(), bus.open()
    request = _read()
    answers = [_in_thread(lambda: client.request(ENGINE_READ, request))]
    taken = _take_one(server)
    answers.append(_in_thread(lambda: other.request(ENGINE_READ, request)))
    assert server.take_requests([ENGINE_READ], block_s=0.3) == []
    server.reply(taken, Reply(request_id=taken.request_id, result={"n": 1}))
    assert [answer().result for answer in answers] == [{"n": 1}] * 2


def test_no_reply_before_the_deadline_is_an_unknown_outcome(bus: Bus) -> None:
    client, server = bus.open(), bus.open()
    answer = _in_thread(lambda: client.request(ENGINE_READ, _read(0.3)))
    _take_one(server)
    with pytest.raises(OutcomeUnknownError, match="no reply to request"):
        answer()


def test_a_request_taken_after_its_deadline_is_answered_and_not_carried_out(bus: Bus) -> None:
    client, server = bus.open(), bus.open()
    request = _read(0.1)
    with pytest.raises(OutcomeUnknownError):
        client.request(ENGINE_READ, request)
    assert server.take_requests([ENGINE_READ], block_s=0.0) == []
    repeated = request.model_copy(update={"deadline": time.time() + 5})
    answer = _in_thread(lambda: client.request(ENGINE_READ, repeated))
    assert server.take_requests([ENGINE_READ], block_s=0.3) == []
    with pytest.raises(TimeoutUndulaError, match="not carried out"):
        answer()


def test_a_request_without_time_left_is_not_sent(bus: Bus) -> None:
    client, server = bus.open(), bus.open()
    with pytest.raises(TimeoutUndulaError, match="not sent"):
        client.request(ENGINE_READ, _read(-1.0))
    assert server.take_requests([ENGINE_READ], block_s=0.0) == []


def test_a_request_sent_while_no_server_runs_is_served_by_the_next(bus: Bus) -> None:
    client = bus.open()
    answer = _in_thread(lambda: client.request(ENGINE_READ, _read()))
    taken = _take_one(bus.open())
    assert taken.devices == ["samx"]
    server = bus.open()
    assert server.answer_abandoned([ENGINE_READ]) == 1
    with pytest.raises(OutcomeUnknownError, match="the engine ended"):
        answer()


def test_a_new_server_may_know_the_outcome_of_an_abandoned_request(bus: Bus) -> None:
    client = bus.open()
    answer = _in_thread(lambda: client.request(ENGINE_READ, _read()))
    _take_one(bus.open())
    count = bus.open().answer_abandoned(
        [ENGINE_READ], lambda request: Reply(request_id=request.request_id, result={"known": True})
    )
    assert count == 1
    assert answer().result == {"known": True}
    assert bus.open().answer_abandoned([ENGINE_READ]) == 0


def test_malformed_requests_are_answered_and_the_server_lives_on(bus: Bus) -> None:
    client, server = bus.open(), bus.open()
    for payload in hostile(MoveRequest).values():
        bus.request(ENGINE_MOVE.key(), new_id(), payload)
    bus.request(ENGINE_MOVE.key(), "", b"no id")
    bus.request(ENGINE_MOVE.key(), "../../x y\n", b"no id")
    request_id = new_id()
    bus.request(ENGINE_MOVE.key(), request_id, b"nonsense")
    answer = _in_thread(lambda: client.request(ENGINE_READ, _read()))
    answers = 0
    while not answers:
        for _, request in server.take_requests([ENGINE_MOVE, ENGINE_READ], block_s=60.0):
            server.reply(request, Reply(request_id=request.request_id, result={}))
            answers += 1
    assert answer().result == {}
    request = MoveRequest(request_id=request_id, targets={"samx": 1.0}, deadline=time.time() + 5)
    again = _in_thread(lambda: client.request(ENGINE_MOVE, request))
    assert server.take_requests([ENGINE_MOVE], block_s=0.3) == []
    with pytest.raises(WireError):
        again()


def test_requests_keep_their_order_within_an_endpoint(bus: Bus) -> None:
    client, server = bus.open(), bus.open()
    sent: list[str] = []
    for _ in range(20):
        request = _read()
        sent.append(request.request_id)
        bus.request(ENGINE_READ.key(), request.request_id, encode(request))
    taken: list[str] = []
    while len(taken) < 20:
        taken += [r.request_id for _, r in server.take_requests([ENGINE_READ], block_s=60.0)]
    assert taken == sent
    del client


def test_many_threads_share_a_connector(bus: Bus) -> None:
    client, server = bus.open(), bus.open()
    answers = [_in_thread(lambda: client.request(ENGINE_READ, _read())) for _ in range(8)]
    served = 0
    while served < 8:
        for _, request in server.take_requests([ENGINE_READ], block_s=60.0):
            server.reply(request, Reply(request_id=request.request_id, result={}))
            served += 1
    assert all(answer().result == {} for answer in answers)


def test_wrong_verbs_are_refused_before_the_wire(bus: Bus) -> None:
    a = bus.open()
    status = QueueStatus(state="idle")
    for wrong in (
        lambda: a.append(QUEUE_STATUS, status),
        lambda: a.put(LOG, LogEvent(service="s", level="info", event="e", time=0.0)),
        lambda: a.get(LOG),
        lambda: a.read(QUEUE_STATUS),
        lambda: a.subscribe(LOG, print),
        lambda: a.last_id(QUEUE_STATUS),
        lambda: a.append(RUN_DOCUMENTS, _document(1), uid="u"),
        lambda: a.take_requests([QUEUE_STATUS], block_s=0.0),  # type: ignore[type-var]
        lambda: a.request(QUEUE_STATUS, _read()),  # type: ignore[type-var]
    ):
        with pytest.raises(BusError, match="does not fit"):
            wrong()


def test_wrong_messages_and_names_are_refused_before_the_wire(bus: Bus) -> None:
    a = bus.open()
    with pytest.raises(WireError, match="carries QueueStatus"):
        a.put(QUEUE_STATUS, _document(1))  # type: ignore[type-var]
    with pytest.raises(WireError, match="carries MoveRequest"):
        a.request(ENGINE_MOVE, _read())  # type: ignore[arg-type]
    with pytest.raises(WireError, match="request id"):
        a.request(ENGINE_READ, _read(request_id="a b"))
    with pytest.raises(BusError, match="unfit"):
        a.get(RUN_PROGRESS, uid="../x")
    with pytest.raises(BusError, match="needs"):
        a.get(RUN_PROGRESS)


def test_not_a_number_is_refused_in_a_request_and_passes_in_a_value(bus: Bus) -> None:
    a = bus.open()
    nan = MoveRequest.model_construct(
        request_id=new_id(), targets={"samx": float("nan")}, deadline=time.time() + 5
    )
    with pytest.raises(WireError, match="NaN"):
        a.request(ENGINE_MOVE, nan)


def test_a_closed_connector_refuses_and_wakes_who_waits(bus: Bus) -> None:
    a = bus.open()
    waiting = _in_thread(lambda: a.read(RUN_DOCUMENTS, block_s=200.0, uid=new_id()))
    started = time.monotonic()
    a.close()
    with pytest.raises(BusError, match="closed"):
        waiting()
    assert time.monotonic() - started < 100.0
    with pytest.raises(BusError, match="closed"):
        a.get(QUEUE_STATUS)
    a.close()
