"""Documents from an outbox through a publisher process to the broker, and what may be killed."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from undula.bus import broker as embedded
from undula.bus.codec import encode_document
from undula.bus.endpoints import BROKER_STATUS, RUN_DOCUMENTS, RUN_PROGRESS, RUNS_OPENED
from undula.bus.journal import read_all
from undula.bus.outbox import Outbox, OutboxFullError
from undula.core.errors import BusError
from undula.core.ids import new_id
from undula.messages import RunOpened
from undula.testing.local_broker import LocalBroker

Until = Callable[[Callable[[], bool]], None]


def _opened(uid: str) -> RunOpened:
    return RunOpened(uid=uid, number=1, plan_name="scan", command="scan", path="p", time=1.0)


def _document(index: int, size: int = 0) -> bytes:
    return encode_document(index, "event", {"seq_num": index, "pad": "x" * size}, time.time())


class Writer:
    """Puts documents, and an announcement for each 20, in a thread, until it is stopped."""

    def __init__(self, outbox: Outbox, uid: str, pause_s: float = 0.0003) -> None:
        self.key, self.uid, self.sent, self._outbox = RUN_DOCUMENTS.key(uid=uid), uid, 0, outbox
        self.announced: list[str] = []
        self._pause_s = pause_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            if self._outbox.fill < 0.5:
                if self.sent % 20 == 0:
                    self.announced.append(f"{self.uid}-{self.sent}")
                    self._outbox.announce(RUNS_OPENED, _opened(self.announced[-1]))
                self._outbox.put(self.key, self.sent + 1, _document(self.sent + 1))
                self.sent += 1
                self._stop.wait(self._pause_s)
            else:
                self._stop.wait(0.001)

    def end(self) -> int:
        """Stop; how many documents were put."""
        self._stop.set()
        self._thread.join()
        return self.sent


@pytest.fixture
def outbox(own_broker: LocalBroker) -> Iterator[Outbox]:
    made = Outbox(own_broker.paths.publisher_socket)
    yield made
    made.close()


def _indices(connector: Any, uid: str) -> list[int]:
    return [document.index for document in read_all(connector, uid)]


def test_documents_and_announcements_arrive_in_order_and_are_acknowledged(
    processes: Any, own_broker: LocalBroker, outbox: Outbox, until: Until
) -> None:
    processes.publisher()
    outbox.start()
    uid = new_id()
    key = RUN_DOCUMENTS.key(uid=uid)
    outbox.announce(RUNS_OPENED, _opened(uid))
    for n in range(1, 3001):
        outbox.put(key, n, _document(n))
    assert outbox.wait_acknowledged(key, 3000, 60.0)
    assert outbox.drained(60.0)
    assert (outbox.appended(key), outbox.acknowledged(key), outbox.fill) == (3000, 3000, 0.0)
    observer = own_broker.connect("observer")
    assert _indices(observer, uid) == list(range(1, 3001))
    assert [m.uid for _, m in observer.read(RUNS_OPENED)] == [uid]

    def told() -> bool:
        progress = observer.get(RUN_PROGRESS, uid=uid)
        return progress is not None and progress.acknowledged == progress.appended == 3000

    until(told)
    until(lambda: observer.get(BROKER_STATUS) is not None)
    status = observer.get(BROKER_STATUS)
    assert status is not None
    assert status.fsync in ("always", "everysec")
    assert 0 < status.used_bytes < status.limit_bytes


@pytest.mark.parametrize("fsync", ["always", "everysec"])
def test_what_is_acknowledged_survives_a_killed_broker(
    processes: Any, own_broker: LocalBroker, outbox: Outbox, fsync: str, until: Until
) -> None:
    own_broker.kill()
    own_broker._fsync = fsync
    own_broker.start()
    processes.publisher()
    outbox.start()
    uid = new_id()
    writer = Writer(outbox, uid)
    for kill in range(1, 4):
        until(lambda n=kill: outbox.acknowledged(writer.key) > 300 * n)  # type: ignore[misc]
        own_broker.kill()
        acknowledged = outbox.acknowledged(writer.key)
        own_broker.start()
        survived = own_broker.connect().last_id(RUN_DOCUMENTS, uid=uid)
        assert int(survived.partition("-")[0]) >= acknowledged
    sent = writer.end()
    assert outbox.wait_acknowledged(writer.key, sent, 60.0)
    reader = own_broker.connect()
    assert _indices(reader, uid) == list(range(1, sent + 1))
    assert [m.uid for _, m in reader.read(RUNS_OPENED, count=10_000)] == writer.announced


@pytest.mark.parametrize("point", ["received", "appended", "acknowledged"])
def test_a_killed_publisher_costs_nothing_and_doubles_nothing(
    processes: Any, own_broker: LocalBroker, outbox: Outbox, point: str
) -> None:
    first = processes.publisher(fault=f"publisher.{point}:150")
    outbox.start()
    uid = new_id()
    writer = Writer(outbox, uid)
    assert first.wait(60.0) == -signal.SIGKILL
    processes.publisher()
    sent = writer.end()
    assert outbox.wait_acknowledged(writer.key, sent, 60.0)
    observer = own_broker.connect("observer")
    assert _indices(observer, uid) == list(range(1, sent + 1))
    assert [m.uid for _, m in observer.read(RUNS_OPENED, count=10_000)] == writer.announced


ENGINE = """
import sys, time, os
from pathlib import Path
from undula.bus.codec import encode_document
from undula.bus.outbox import Outbox
outbox = Outbox(Path({socket!r}))
outbox.start()
for n in range(1, {count} + 1):
    outbox.put({key!r}, n, encode_document(n, "event", {{"seq_num": n}}, 0.0))
while outbox._unsent or outbox._partial is not None:
    time.sleep(0.001)
os.kill(os.getpid(), 9)
"""


def test_the_publisher_outlives_the_engine_and_greets_the_next_one_when_all_is_appended(
    processes: Any, own_broker: LocalBroker, outbox: Outbox, until: Until
) -> None:
    processes.publisher()
    until(own_broker.paths.publisher_socket.exists)
    uid = new_id()
    key = RUN_DOCUMENTS.key(uid=uid)
    socket = str(own_broker.paths.publisher_socket)
    engine = processes.engine(ENGINE.format(socket=socket, key=key, count=2000))
    assert engine.wait(60.0) == -signal.SIGKILL
    outbox.start()
    assert _indices(own_broker.connect(), uid) == list(range(1, 2001))


def test_a_new_engine_waits_while_the_broker_is_away(
    processes: Any, own_broker: LocalBroker, outbox: Outbox, until: Until
) -> None:
    processes.publisher()
    until(own_broker.paths.publisher_socket.exists)
    outbox.start()
    own_broker.kill()
    uid = new_id()
    key = RUN_DOCUMENTS.key(uid=uid)
    for n in range(1, 101):
        outbox.put(key, n, _document(n))
    outbox.close()
    following = Outbox(own_broker.paths.publisher_socket)
    with pytest.raises(BusError, match="does not answer"):
        following.start(0.5)
    own_broker.start()
    last = Outbox(own_broker.paths.publisher_socket)
    last.start()
    assert _indices(own_broker.connect(), uid) == list(range(1, 101))
    last.close()


def test_the_bound_is_kept_while_the_publisher_is_away(own_broker: LocalBroker) -> None:
    own_broker.start()
    outbox = Outbox(own_broker.paths.publisher_socket, max_documents=100)
    key = RUN_DOCUMENTS.key(uid=new_id())
    for n in range(1, 101):
        outbox.put(key, n, _document(n))
        assert outbox.fill == n / 100
    with pytest.raises(OutboxFullError, match="100 documents"):
        outbox.put(key, 101, _document(101))
    outbox.close()


def test_put_does_not_wait_for_a_publisher_that_hangs(
    processes: Any, own_broker: LocalBroker, outbox: Outbox
) -> None:
    publisher = processes.publisher()
    outbox.start()
    uid = new_id()
    key = RUN_DOCUMENTS.key(uid=uid)
    publisher.send_signal(signal.SIGSTOP)
    for n in range(1, 1001):  # more than a socket holds
        outbox.put(key, n, _document(n, 10_000))
    assert outbox.acknowledged(key) < 1000
    publisher.send_signal(signal.SIGCONT)
    assert outbox.wait_acknowledged(key, 1000, 60.0)
    assert _indices(own_broker.connect(), uid) == list(range(1, 1001))


def test_a_publisher_that_is_asked_to_end_flushes_first(
    processes: Any, own_broker: LocalBroker, outbox: Outbox
) -> None:
    publisher = processes.publisher()
    outbox.start()
    uid = new_id()
    key = RUN_DOCUMENTS.key(uid=uid)
    for n in range(1, 501):
        outbox.put(key, n, _document(n))
    publisher.terminate()
    assert publisher.wait(60.0) == 0
    received = int(own_broker.connect().last_id(RUN_DOCUMENTS, uid=uid).partition("-")[0])
    assert received >= outbox.acknowledged(key)


def test_a_full_broker_delays_and_loses_nothing(own_broker: LocalBroker, processes: Any) -> None:
    processes.publisher()
    outbox = Outbox(own_broker.paths.publisher_socket)
    outbox.start()
    admin = own_broker.connect()
    uid = new_id()
    key = RUN_DOCUMENTS.key(uid=uid)
    big = new_id()
    for n in range(1, 41):
        outbox.put(RUN_DOCUMENTS.key(uid=big), n, _document(n, 1_000_000))
    assert outbox.drained(60.0)
    restart = own_broker.settings.model_copy(update={"broker_limit_bytes": 30_000_000})
    own_broker.kill()
    own_broker.settings = restart
    own_broker.start()
    for n in range(1, 101):
        outbox.put(key, n, _document(n))
    assert not outbox.wait_acknowledged(key, 1, 0.5)
    admin.expire(RUN_DOCUMENTS, 0.001, uid=big)
    assert outbox.wait_acknowledged(key, 100, 60.0)
    assert _indices(admin, uid) == list(range(1, 101))
    outbox.close()


def test_strangers_on_the_publishers_socket_do_no_harm(
    processes: Any, own_broker: LocalBroker, outbox: Outbox, until: Until
) -> None:
    import socket

    processes.publisher()
    until(own_broker.paths.publisher_socket.exists)
    for noise in (b"GET / HTTP/1.1\r\n\r\n" * 10, b"\xff" * 100, b"\x00" * 100, b""):
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.connect(str(own_broker.paths.publisher_socket))
            stranger.sendall(noise)
            stranger.shutdown(socket.SHUT_WR)
            while stranger.recv(100):
                pass
    outbox.start()
    key = RUN_DOCUMENTS.key(uid=new_id())
    outbox.put(key, 1, _document(1))
    assert outbox.wait_acknowledged(key, 1, 60.0)


@pytest.fixture
def plain_server(own_broker: LocalBroker) -> Iterator[str]:
    """An existing server without append-only file, over TCP, without users."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    binary = embedded._binary()
    process = subprocess.Popen(
        [str(binary), "--port", str(port), "--bind", "127.0.0.1", "--save", "",
         "--dir", str(own_broker.folder)],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    yield f"redis://127.0.0.1:{port}"
    process.kill()
    process.wait()


def test_a_server_without_a_file_is_used_and_its_status_says_what_that_costs(
    own_broker: LocalBroker, plain_server: str, processes: Any, outbox: Outbox, until: Until
) -> None:
    from undula.core.settings import save_settings

    own_broker.settings = own_broker.settings.model_copy(update={"broker_url": plain_server})
    save_settings(own_broker.settings, own_broker.paths.config)
    connector = own_broker.connect()
    processes.publisher()
    outbox.start()
    uid = new_id()
    key = RUN_DOCUMENTS.key(uid=uid)
    for n in range(1, 101):
        outbox.put(key, n, _document(n))
    assert outbox.wait_acknowledged(key, 100, 60.0)
    assert _indices(connector, uid) == list(range(1, 101))
    until(lambda: connector.get(BROKER_STATUS) is not None)
    status = connector.get(BROKER_STATUS)
    assert status is not None
    assert status.fsync == "off"
    assert status.power_cut_costs.startswith("everything")


SLOW_FSYNC = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static int late(int fd, const char *name) {
    static int (*real)(int);
    const char *log = getenv("FSYNC_LOG");
    if (!real) real = dlsym(RTLD_NEXT, name);
    usleep(FSYNC_US);
    int result = real(fd);
    if (log) { FILE *f = fopen(log, "a"); if (f) { fputs("x", f); fclose(f); } }
    return result;
}
int fdatasync(int fd) { return late(fd, "fdatasync"); }
int fsync(int fd) { return late(fd, "fsync"); }
"""


@pytest.fixture
def slow_fsync(own_broker: LocalBroker) -> Path:
    """A preload that makes each fsync take 300 ms more."""
    import shutil

    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler for the slowed fsync")
    source, library = own_broker.folder / "slow.c", own_broker.folder / "slow.so"
    source.write_text(SLOW_FSYNC)
    command = [compiler, "-shared", "-fPIC", "-DFSYNC_US=300000", "-o", library, source, "-ldl"]
    subprocess.run(command, check=True)
    return library


def test_with_a_slow_disk_nothing_is_acknowledged_early_and_a_kill_costs_nothing(
    own_broker: LocalBroker, slow_fsync: Path, outbox: Outbox, until: Until,
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    own_broker._fsync = "everysec"
    own_broker._env = {"LD_PRELOAD": str(slow_fsync)}
    own_broker.start()
    processes: Any = request.getfixturevalue("processes")
    processes.publisher()
    outbox.start()
    uid = new_id()
    writer = Writer(outbox, uid)
    until(lambda: outbox.acknowledged(writer.key) > 1000)
    own_broker.kill()
    acknowledged = outbox.acknowledged(writer.key)
    own_broker.start()
    survived = int(own_broker.connect().last_id(RUN_DOCUMENTS, uid=uid).partition("-")[0])
    assert survived >= acknowledged
    sent = writer.end()
    assert outbox.wait_acknowledged(writer.key, sent, 60.0)
    assert _indices(own_broker.connect(), uid) == list(range(1, sent + 1))


def test_with_fsync_always_nothing_is_acknowledged_before_the_disk_has_it(
    own_broker: LocalBroker, slow_fsync: Path, outbox: Outbox, request: pytest.FixtureRequest
) -> None:
    own_broker._fsync = "always"
    own_broker._env = {"LD_PRELOAD": str(slow_fsync)}
    own_broker.start()
    processes: Any = request.getfixturevalue("processes")
    processes.publisher()
    outbox.start()
    key = RUN_DOCUMENTS.key(uid=new_id())
    started = time.monotonic()
    outbox.put(key, 1, _document(1))
    assert outbox.wait_acknowledged(key, 1, 60.0)
    assert time.monotonic() - started >= 0.3


def test_a_refused_document_is_told_and_never_counts_as_acknowledged(
    processes: Any, own_broker: LocalBroker, outbox: Outbox
) -> None:
    from undula.bus.link import Link

    processes.publisher()
    outbox.start()
    spoilt, whole = (RUN_DOCUMENTS.key(uid=new_id()) for _ in range(2))
    outbox.put(spoilt, 1, _document(1))
    assert outbox.wait_acknowledged(spoilt, 1, 60.0)
    link = Link(embedded.address(own_broker.paths, own_broker.settings, "service", "meddler"))
    link.pipe([("DEL", spoilt), ("SET", spoilt, "x")])
    for n in range(2, 302):
        outbox.put(spoilt, n, _document(n))
    outbox.put(whole, 1, _document(1))
    assert not outbox.wait_acknowledged(spoilt, 301, 60.0)
    assert outbox.wait_acknowledged(whole, 1, 60.0)
    assert outbox.drained(60.0)
    assert outbox.acknowledged(spoilt) == 1
    assert "document 2 " in outbox.refusal(spoilt)
    assert outbox.refusal(whole) == ""
    link.close()


def test_a_refused_announcement_is_the_refusal_of_its_journal(
    processes: Any, own_broker: LocalBroker, outbox: Outbox, until: Until
) -> None:
    from undula.bus.link import Link

    processes.publisher()
    outbox.start()
    uid = new_id()
    link = Link(embedded.address(own_broker.paths, own_broker.settings, "service", "meddler"))
    link.pipe([("SET", RUNS_OPENED.key(), "x")])
    key = RUN_DOCUMENTS.key(uid=uid)
    outbox.announce(RUNS_OPENED, _opened(uid), journal=key)
    until(lambda: bool(outbox.refusal(key)))
    assert RUNS_OPENED.key() in outbox.refusal(key)
    link.close()


def test_a_silent_stranger_does_not_keep_an_engine_from_being_greeted(
    processes: Any, own_broker: LocalBroker, outbox: Outbox, until: Until
) -> None:
    import socket

    processes.publisher()
    until(own_broker.paths.publisher_socket.exists)
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.connect(str(own_broker.paths.publisher_socket))
        outbox.start(10.0)
