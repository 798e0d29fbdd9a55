"""A device that hangs is named and left alone; reads, moves and scans of the others go on.

It takes some 15 s: what hangs is believed to hang only after its deadline.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from undula.client import Client
from undula.core.errors import BusyError, DeviceError
from undula.scans.attendant import READ_TIMEOUT_S
from undula.testing.beamline import LocalBeamline, local_beamline
from undula.testing.law import until

SILENT = r"\[stuck\] it does not answer since"


@pytest.fixture(scope="module")
def beamline() -> Iterator[LocalBeamline]:
    with local_beamline() as running:
        yield running


@pytest.fixture
def client(beamline: LocalBeamline) -> Iterator[Client]:
    with beamline.connect() as client:
        yield client


@pytest.fixture
def flag(client: Client, tmp_path: Path) -> Iterator[Path]:
    """While it exists, the device `stuck` hangs."""
    flag = tmp_path / "hangs"
    config = {"flag": str(flag)}
    keys = {"readoutPriority": "on_request", "enabled": True}
    stuck = {"deviceClass": "undula.testing.faulty.HangingMotor", "deviceConfig": config, **keys}
    client.config.add({"stuck": stuck})
    yield flag
    flag.unlink(missing_ok=True)
    client.config.remove("stuck")


def _answers(client: Client) -> bool:
    try:
        client.devices.stuck.read()
    except DeviceError:
        return False
    return True


def test_reads_of_a_hanging_device_do_not_keep_others_from_being_read(
    beamline: LocalBeamline, client: Client, flag: Path
) -> None:
    flag.touch()
    clients = [beamline.connect() for _ in range(10)]
    with ThreadPoolExecutor(10) as pool:
        reads = [pool.submit(c.devices.stuck.read) for c in clients]
        client.devices.diode.read()
        assert not all(read.done() for read in reads)  # the first one still has time
        for read in reads:
            with pytest.raises(DeviceError, match=SILENT):
                read.result(60.0)
    for one in clients:
        one.close()
    begin = time.monotonic()
    with pytest.raises(DeviceError, match=SILENT):
        client.devices.stuck.read()
    assert time.monotonic() - begin < READ_TIMEOUT_S  # it is not waited for again
    flag.unlink()
    until(lambda: _answers(client), "it does not answer again")


def test_a_hanging_motor_keeps_no_other_motor_from_being_shown(
    beamline: LocalBeamline, client: Client, flag: Path
) -> None:
    flag.touch()
    clients = [beamline.connect() for _ in range(10)]
    with ThreadPoolExecutor(10) as pool:
        asked = [pool.submit(c.motors.parameters, "stuck") for c in clients]
        for one in asked:
            with pytest.raises(DeviceError, match=SILENT):
                one.result(60.0)
    assert client.motors.parameters("samx")["position"]["unit"] == "mm"
    found = client.motors.all()
    assert "samx" in found
    assert "stuck" not in found
    for one in clients:
        one.close()
    flag.unlink()
    until(lambda: _answers(client), "it does not answer again")


def test_a_check_that_hangs_names_the_device_and_other_scans_go_on(
    client: Client, flag: Path
) -> None:
    flag.touch()
    with ThreadPoolExecutor(2) as pool:
        refused = pool.submit(client.scan, "stuck", 1, 3, 3, detectors=["diode"])
        moved = pool.submit(client.mv, stuck=1)
        scan = client.scan("samx", -0.1, 0.1, 3, detectors=["diode"])
        assert not refused.done()
        assert len(scan.run.data["samx"]) == 3
        for silent in (refused, moved):
            with pytest.raises(DeviceError, match=SILENT):
                silent.result(60.0)
    begin = time.monotonic()
    with pytest.raises(DeviceError, match=SILENT):
        client.scan("stuck", 1, 3, 3, detectors=["diode"])
    assert time.monotonic() - begin < READ_TIMEOUT_S  # it is not waited for again
    flag.unlink()
    until(lambda: _answers(client), "it does not answer again")
    assert len(client.scan("stuck", 1, 3, 3, detectors=["diode"]).run.data["stuck"]) == 3


def test_a_baseline_device_may_be_moved_but_not_exchanged_while_a_scan_reads_it(
    client: Client,
) -> None:
    keys = {"readoutPriority": "baseline", "enabled": True}
    client.config.add({"filter": {"deviceClass": "undula.testing.faulty.Faulty", **keys}})
    scan = client.scan("samx", -1, 1, 200, time=0.02, detectors=["diode"], wait=False)
    until(lambda: client.queue.list().points_done > 3, "the scan does not begin")
    client.mv(filter=2)
    with pytest.raises(BusyError, match=r"in use by run \d+, scan"):
        client.config.update("filter", {"enabled": False})
    client.queue.abort("enough")
    scan.wait(60.0, check=False)
    client.config.remove("filter")
