"""An IOC that dies in mid-scan: the scan waits, says for whom, and goes on, or ends in time.

Slow (about 30 s): IOC processes and a beamline have to start, and Channel Access searches a server
that is away ever less often.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from undula.client import Client
from undula.core.errors import UndulaError
from undula.testing.beamline import local_beamline
from undula.testing.iocs import Ioc, client_environment, start_camera, start_counting, start_motor
from undula.testing.law import until

PATIENCE_S = 60.0
DEVICES = """
mot:
  deviceClass: undula.devices.epics.EpicsMotor
  deviceConfig: {prefix: "LM:m1"}
  readoutPriority: baseline
  enabled: true
card:
  deviceClass: undula.devices.epics.Scaler
  deviceConfig: {prefix: "LS:scaler1", protocol: pva, separator: ":", channels: {i0: 2}}
  readoutPriority: on_request
  enabled: true
cam:
  deviceClass: undula.devices.epics.AreaDetector
  deviceConfig: {prefix: "LC:"}
  readoutPriority: on_request
  enabled: true
diode:
  deviceClass: undula.devices.sim.SimMonitor
  deviceConfig: {role: diode}
  readoutPriority: on_request
  enabled: true
"""


@pytest.fixture(scope="module")
def iocs() -> Iterator[dict[str, Ioc]]:
    """IOCs of their own: they are killed."""
    with start_motor("LM:") as mot, start_counting("LS:") as card, start_camera("LC:") as cam:
        yield {"mot": mot, "card": card, "cam": cam}


@pytest.fixture(autouse=True)
def alive(iocs: dict[str, Ioc]) -> None:
    """What a failed test has left dead is started again."""
    for ioc in iocs.values():
        if not ioc.pid:
            ioc.start()


@pytest.fixture(scope="module")
def devices(iocs: dict[str, Ioc], tmp_path_factory: Any) -> Iterator[Path]:
    """The device file, in an environment in which its devices are found."""
    path = tmp_path_factory.mktemp("lost") / "devices.yaml"
    path.write_text(DEVICES)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in client_environment(*iocs.values()).items():
            patch.setenv(name, value)
        yield path


@pytest.fixture(scope="module")
def client(devices: Path) -> Iterator[Client]:
    with local_beamline(devices=devices) as beamline, beamline.connect() as client:
        yield client


@pytest.mark.parametrize("lost", ["mot", "card", "cam"])
def test_a_scan_waits_for_a_device_whose_ioc_is_started_again(
    client: Client, iocs: dict[str, Ioc], lost: str
) -> None:
    detectors = {"mot": ["diode"], "card": ["card"], "cam": ["cam"]}[lost]
    scan = client.scan("mot", 0, 3, 13, time=0.15, detectors=detectors, wait=False)
    until(lambda: client.queue.list().points_done >= 3, "the scan does not begin")
    iocs[lost].kill()
    until(lambda: client.queue.list().state == "paused", "it does not pause")
    status = client.queue.list()
    assert f"[{lost}] its connection is lost since" in status.message, status
    iocs[lost].start()
    run = scan.wait(PATIENCE_S).run
    assert run.status == "success", run.record.reason
    data = run.data
    assert np.allclose(data["mot"], np.linspace(0, 3, 13), atol=1e-3)
    if lost == "card":
        assert data["card_i0"].tolist() == [7500] * 13
    if lost == "cam":
        assert data.shapes["cam"] == (13, 24, 32)
        frames = data["cam"][:, 0, 0].tolist()
        # the new IOC counts its frames anew; one that was spoiled belongs to no point
        at = next(i for i in range(1, 13) if frames[i] <= frames[i - 1])
        assert frames[:at] == list(range(1, at + 1)), frames
        assert frames[at:] == list(range(frames[at], frames[at] + 13 - at)), frames


def test_a_device_that_stays_away_ends_the_scan_as_failed(
    devices: Path, iocs: dict[str, Ioc]
) -> None:
    wait = {"lost_deadline_s": 1.0}
    with local_beamline(devices=devices, settings=wait) as beamline, beamline.connect() as client:
        scan = client.scan("mot", 0, 3, 13, time=0.15, detectors=["card"], wait=False)
        until(lambda: client.queue.list().points_done >= 3, "the scan does not begin")
        iocs["card"].kill()
        with pytest.raises(UndulaError) as failure:
            scan.wait(PATIENCE_S)
        iocs["card"].start()
        text = str(failure.value)
        for word in ("[card]", "lost since", "did not come back within 1 s", "Remedy:"):
            assert word in text, (word, text)
        run = scan.run
        assert run.status == "fail"
        assert "[card]" in run.record.reason
        assert 3 <= len(run.data["mot"]) < 13
        with h5py.File(run.path) as file:
            assert file["entry/exit_status"].asstr()[()] == "fail"
        taken = len(run.data["mot"])
        until(lambda: client.devices.info("card").connected, "the card does not answer again")
        go_on = run.continued().wait(PATIENCE_S).run
        joined = go_on.joined()
        assert joined["point"].tolist() == list(range(1, 14))
        assert joined["run"].tolist() == [run.number] * taken + [go_on.number] * (13 - taken)
        assert np.allclose(joined["mot"], np.linspace(0, 3, 13), atol=1e-3)
        assert joined["card_i0"].tolist() == [joined["card_i0"][0]] * 13
