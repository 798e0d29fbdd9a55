"""Tango devices by their plain names, through the database server `pytango-db` that PyPI has."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import tango

from undula.client import Client
from undula.core.errors import UndulaError
from undula.testing.beamline import local_beamline, short_folder
from undula.testing.tango_process import TangoServer
from undula.testing.tango_server import free_port

pytestmark = pytest.mark.interop
STARTED_WITHIN_S = 30.0
REGISTERED = {"test/undula/1": "Axis", "test/undula/2": "Sensor"}
DEVICES = """
theta:
  deviceClass: undula.devices.tango.TangoMotor
  deviceConfig: {uri: "test/undula/1"}
  readoutPriority: baseline
  enabled: true
temperature:
  deviceClass: undula.devices.tango.TangoAttribute
  deviceConfig: {uri: "test/undula/2/temperature"}
  readoutPriority: monitored
  enabled: true
nobody:
  deviceClass: undula.devices.tango.TangoAttribute
  deviceConfig: {uri: "test/undula/9/temperature"}
  readoutPriority: on_request
  enabled: true
"""


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the database server; PyTango is there already."""
    folder = tmp_path_factory.mktemp("pytango-db")
    uv = str(Path(sys.executable).with_name("uv"))
    command = [uv, "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
    subprocess.run([*command, "pytango-db==0.9.*"], check=True, timeout=300)
    return folder


@contextlib.contextmanager
def _database(packages: Path, folder: Path) -> Iterator[str]:
    """`HOST:PORT` of a database server with a file of its own; killed at the end."""
    port = free_port()
    host = f"127.0.0.1:{port}"
    environment = os.environ | {
        "PYTHONPATH": str(packages),
        "PYTANGO_DATABASE_NAME": str(folder / "tango.db"),
        "TANGO_HOST": host,
    }
    serve = "from databaseds.database import main; main()"
    with (folder / "database.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", serve, "2"],
            cwd=folder, env=environment, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            _register(port, process, folder / "database.log")
            yield host
        finally:
            process.kill()
            process.wait(10.0)


def _register(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Write the devices of our server into the database, as soon as it answers."""
    end, pause = time.monotonic() + STARTED_WITHIN_S, threading.Event()
    while True:
        try:
            database = tango.Database("127.0.0.1", port)
            break
        except tango.DevFailed:
            late = process.poll() is not None or time.monotonic() > end
            assert not late, log.read_text(errors="replace")
            pause.wait(0.1)
    for name, cls in REGISTERED.items():
        info = tango.DbDevInfo()
        info.name, info._class, info.server = name, cls, "undula/test"
        database.add_device(info)


@pytest.fixture(scope="module")
def database(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with _database(packages, tmp_path_factory.mktemp("database")) as host:
        yield host


@pytest.fixture
def server(database: str) -> Iterator[TangoServer]:
    server = TangoServer(database)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture
def client(database: str, server: TangoServer) -> Iterator[Client]:
    assert server.port
    with short_folder("ut-") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TANGO_HOST", database)
        (folder / "devices.yaml").write_text(DEVICES)
        with (
            local_beamline(folder / "devices.yaml", folder=folder) as beamline,
            beamline.connect() as client,
        ):
            yield client


def test_devices_of_the_database_are_read_moved_and_scanned(client: Client) -> None:
    problems = {d.name: d.problem for d in client.devices.table() if not d.connected}
    assert set(problems) == {"nobody"}
    assert "test/undula/9" in problems["nobody"]
    assert client.read("temperature")["temperature"]["temperature"]["value"] == 21.0
    assert client.mv(theta=2.5)["theta"]["value"] == pytest.approx(2.5)
    run = client.scan("theta", 0, 1, 5, detectors=["temperature"]).run
    assert run.status == "success"
    with h5py.File(run.path) as file:
        theta, temperature = (file["entry/data"][name] for name in ("theta", "temperature"))
        assert np.allclose(theta[()], np.linspace(0, 1, 5))
        assert (theta.attrs["units"], theta.attrs["source"]) == ("mm", "test/undula/1/Position")
        assert np.all(temperature[()] == 21.0)
        assert temperature.attrs["units"] == "degC"


def test_a_server_that_comes_back_on_another_port_is_found_by_its_name(
    client: Client, database: str, server: TangoServer
) -> None:
    server.kill()
    with pytest.raises(UndulaError, match="test/undula/2"):
        client.read("temperature")
    moved = TangoServer(database)
    assert moved.port != server.port
    moved.start()
    try:
        end, pause = time.monotonic() + STARTED_WITHIN_S, threading.Event()
        while True:
            try:
                found = client.read("temperature")["temperature"]["temperature"]["value"]
                break
            except UndulaError:
                assert time.monotonic() < end, "it does not answer again"
                pause.wait(0.2)
        assert found == 21.0
    finally:
        moved.kill()
