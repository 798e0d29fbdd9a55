"""Nobody is told that motion has stopped when a device cannot be stopped."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from undula.client import Client
from undula.core.errors import DeviceError
from undula.testing.beamline import local_beamline
from undula.testing.law import until

COASTING = {
    "deviceClass": "undula.testing.coasting.Coasting",
    "deviceConfig": {"seconds": 4.0},
    "readoutPriority": "baseline",
    "enabled": True,
}


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with local_beamline() as beamline, beamline.connect() as client:
        client.config.add({"sledge": COASTING})
        yield client


def test_a_move_that_cannot_be_stopped_is_named_and_ends_as_failed(client: Client) -> None:
    move = client.start_move({"sledge": 10.0})
    until(lambda: client.devices.sledge.position > 0.1, "it does not move")
    report = client.stop()
    assert "cannot be stopped" in report.failed["sledge"]
    with pytest.raises(DeviceError, match="may still move"):
        move.result()


def test_a_scan_warns_of_an_axis_that_cannot_be_stopped(client: Client) -> None:
    warnings = client.check("scan", "sledge", 0, 1, 3, detectors=["diode"]).warnings
    assert any("sledge cannot be stopped on its way" in text for text in warnings)
    assert not client.check("scan", "samx", 0, 1, 3, detectors=["diode"]).warnings


def test_a_stop_in_its_scan_names_it(client: Client) -> None:
    scan = client.scan("sledge", 5, 9, 3, detectors=["diode"], wait=False)
    until(lambda: client.queue.list().run_number is not None, "the scan does not begin")
    report = client.stop()
    assert "sledge" in report.failed
    assert "samx" not in report.failed
    assert scan.wait(60.0, check=False).finished.exit_status == "abort"
