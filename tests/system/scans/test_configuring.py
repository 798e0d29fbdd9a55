"""The configuration changes in a running beamline, beside scans, and is there after a restart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import pytest

from undula.cli.services import restart_one
from undula.client import Client
from undula.core.errors import BusyError, ConfigError, InputError, UndulaError
from undula.devices.description import load_device_file
from undula.devices.sim import SIMULATED_FILE
from undula.testing.beamline import LocalBeamline, local_beamline
from undula.testing.law import until

AXIS = {"deviceClass": "undula.devices.sim.SimPositioner", "readoutPriority": "baseline"}


@pytest.fixture(scope="module")
def device_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "devices.yaml"
    path.write_text(SIMULATED_FILE.read_text())
    return path


@pytest.fixture(scope="module")
def beamline(device_file: Path) -> Iterator[LocalBeamline]:
    with local_beamline(devices=device_file) as running:
        yield running


@pytest.fixture
def client(beamline: LocalBeamline) -> Iterator[Client]:
    with beamline.connect() as client:
        yield client


def test_a_device_added_at_run_time_is_scanned_and_undone(client: Client) -> None:
    changed = client.config.add({"extra": {**AXIS, "enabled": True}})
    assert changed.changes == ["+ extra"]
    handle = client.scan("extra", 0, 1, 3, detectors=["diode"])
    assert list(handle.run.data["extra"]) == [0.0, 0.5, 1.0]
    assert client.config.undo().changes == ["- extra"]
    assert "extra" not in [info.name for info in client.devices.table()]


def test_a_device_that_a_scan_uses_is_refused_or_changed_at_its_end(client: Client) -> None:
    scan = client.scan("samx", -2, 2, 500, time=0.02, detectors=["diode"], wait=False)
    until(lambda: client.queue.list().points_done > 3, "the scan does not begin")
    with pytest.raises(BusyError, match=r"in use by run \d+, scan"):
        client.config.remove("samx")
    assert "samx is in use" in client.config.remove("samx", when_free=True).pending
    assert client.devices.samx.info.connected
    client.queue.abort("enough")
    scan.wait(60.0, check=False)
    until(lambda: not client.config.status().pending, "the change does not come")
    with pytest.raises(InputError, match="no device 'samx'"):
        client.scan("samx", 0, 1, 3)
    client.config.undo()
    assert len(client.scan("samx", 0, 1, 3, detectors=["diode"]).run.data["samx"]) == 3


def test_a_wrong_file_names_every_fault_over_the_bus(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text("samx: 3\nsamy: {enabled: perhaps}\n")
    before = client.config.status().revision
    with pytest.raises(ConfigError) as caught:
        client.config.load(path)
    assert len(caught.value.details) == 4
    assert "wrong.yaml:1: samx is not a mapping" in str(caught.value)
    assert client.config.status().revision == before


def test_what_was_changed_holds_after_the_engine_was_restarted(
    beamline: LocalBeamline, client: Client, device_file: Path
) -> None:
    client.config.update("samx", {"deviceConfig.limits": [-1, 1]})
    number = client.config.status().revision
    restart_one(beamline.paths, "engine")
    status = client.config.status()
    assert (status.revision, status.edited) == (number, True)
    assert client.devices.samx.limits == (-1.0, 1.0)
    device_file.write_text(device_file.read_text() + "\nbroken: 3\n")
    restart_one(beamline.paths, "engine")
    status = client.config.status()
    assert status.revision == number
    assert "broken is not a mapping" in status.problem
    assert client.devices.samx.limits == (-1.0, 1.0)


def test_the_saved_configuration_is_a_device_file(client: Client, tmp_path: Path) -> None:
    written = client.config.save(tmp_path / "saved", split_by_tag=True)
    names = {e.name for e in load_device_file(written[0]).entries}
    assert names == {info.name for info in client.devices.table()}


def test_an_async_device_gives_every_change_with_its_own_time(client: Client) -> None:
    client.config.add(
        {
            "drift": {
                "deviceClass": "ophyd.sim.SynPeriodicSignal",
                "deviceConfig": {"period": 0.05, "period_jitter": 0},
                "readoutPriority": "async",
                "enabled": True,
            }
        }
    )
    run = client.count(num=20, time=0.05, detectors=["diode"]).run
    with h5py.File(run.record.path) as file:
        found: list[h5py.Dataset] = []
        file.visititems(
            lambda name, item: (
                found.append(item)
                if name.endswith("drift")
                and isinstance(item, h5py.Dataset)
                and "monitor" in item.parent.name
                else None
            )
        )
        assert found, list(file["entry"])
        assert len(found[0]) > 5
    client.config.undo()


def test_a_read_only_device_is_moved_by_no_way(client: Client) -> None:
    place = client.devices.samy.position
    client.config.update("samy", readOnly=True)
    for move in (
        lambda: client.mv(samy=place + 1),
        lambda: client.scan("samy", 0, 1, 3),
        lambda: client.run_plan("rel_adaptive_scan", "diode", "samy", -1, 1, 0.1, 0.5, 1, True),
        lambda: client.run_plan("grid_scan", "samx", 0, 1, 3, "samy", 0, 1, 3),
    ):
        with pytest.raises(UndulaError, match="read-only"):
            move()
    assert client.devices.samy.position == place
    client.config.undo()
