"""A beamline of EPICS devices, from the request to the file, through the real services.

Slow (about 20 s): three IOC processes and a beamline have to start.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from typing import Any

import h5py
import numpy as np
import pytest
from caproto.sync.client import read, write

from undula.cli.device_tree import tree
from undula.cli.main import main
from undula.client import Client
from undula.core.errors import UndulaError
from undula.messages import DeviceChanges, PlanSource
from undula.testing.beamline import local_beamline
from undula.testing.iocs import Ioc, client_environment
from undula.testing.tango_process import tango_server

PATIENCE_S = 60.0
DEVICES = """
mot:
  deviceClass: undula.devices.epics.EpicsMotor
  deviceConfig: {prefix: "MOT:m1"}
  readoutPriority: baseline
  enabled: true
lean:
  deviceClass: undula.devices.epics.Motor
  deviceConfig: {prefix: "MOT:m1"}
  readoutPriority: on_request
  enabled: true
card:
  deviceClass: undula.devices.epics.Scaler
  deviceConfig:
    prefix: "CNT:scaler1"
    protocol: pva
    separator: ":"
    channels: {i0: 2, it: 3}
  readoutPriority: monitored
  enabled: true
mca:
  deviceClass: undula.devices.epics.Mca
  deviceConfig: {prefix: "CNT:mca1", separator: ":", rois: {line: [190, 210]}}
  readoutPriority: on_request
  enabled: true
cam:
  deviceClass: undula.devices.epics.AreaDetector
  deviceConfig: {prefix: "CAM:", frame_timeout: 0.7, file_timeout: 0.5, preview: "image1:"}
  readoutPriority: on_request
  enabled: true
  onFailure: raise
tolerant:
  deviceClass: undula.devices.epics.AreaDetector
  deviceConfig: {prefix: "CAM:", frame_timeout: 0.7, file_timeout: 0.5}
  readoutPriority: on_request
  enabled: true
  onFailure: buffer
diode:
  deviceClass: undula.devices.sim.SimMonitor
  deviceConfig: {role: diode}
  readoutPriority: on_request
  enabled: true
blade:
  deviceClass: undula.devices.epics.EpicsMotor
  deviceConfig: {prefix: "MOT:m2"}
  readoutPriority: baseline
  enabled: true
gap:
  deviceClass: undula.devices.pseudo.SlitGap
  deviceConfig: {plus: mot, minus: blade}
  readoutPriority: baseline
  enabled: true
furnace:
  deviceClass: undula.devices.tango.TangoAttribute
  deviceConfig: {uri: "TANGO"}
  readoutPriority: on_request
  enabled: true
"""


@pytest.fixture(scope="module")
def furnace() -> Iterator[str]:
    """Address of an attribute of a Tango server."""
    with tango_server() as server:
        yield server.uri("test/undula/sensor", "temperature")


@pytest.fixture(scope="module")
def client(
    faulty_motor_ioc: Ioc,
    camera_ioc: Ioc,
    counting_ioc: Ioc,
    furnace: str,
    tmp_path_factory: Any,
) -> Iterator[Client]:
    """One beamline for all tests of this file."""
    devices = tmp_path_factory.mktemp("epics") / "devices.yaml"
    devices.write_text(DEVICES.replace("TANGO", furnace))
    env = client_environment(faulty_motor_ioc, camera_ioc, counting_ioc)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in env.items():
            patch.setenv(name, value)
        with local_beamline(devices=devices) as beamline, beamline.connect() as client:
            yield client


def put(pv: str, value: Any) -> None:
    write(pv, value, repeater=False, notify=True, timeout=30)


@pytest.fixture
def fault(client: Client) -> Iterator[Callable[[str], None]]:
    """Switch a fault of the camera on; off again after the test."""
    yield lambda word: put("CAM:SIM:Fault", word)
    put("CAM:SIM:Fault", "none")


@pytest.fixture
def changes(client: Client) -> Iterator[Callable[[Callable[[DeviceChanges], bool]], DeviceChanges]]:
    """Waits for a change of which something is true."""
    found: queue.SimpleQueue[DeviceChanges] = queue.SimpleQueue()
    subscription = client.devices.follow(found.put)

    def until(true: Callable[[DeviceChanges], bool]) -> DeviceChanges:
        end = time.monotonic() + PATIENCE_S
        while not true(change := found.get(timeout=end - time.monotonic())):
            pass
        return change

    yield until
    subscription.close()


Until = Callable[[Callable[[DeviceChanges], bool]], DeviceChanges]


def refused(client: Client, *args: Any, **kwargs: Any) -> tuple[Any, str]:
    """A scan that must fail: its run and the reason that people see."""
    scan = client.scan(*args, **kwargs, wait=False)
    with pytest.raises(UndulaError) as failure:
        scan.wait(PATIENCE_S)
    assert scan.run.status == "fail", scan.run.record.reason
    return scan.run, str(failure.value)


def test_a_written_plan_moves_a_motor_whose_limits_are_asked_live(client: Client) -> None:
    low, high = client.devices.lean.limits
    for target, status in ((low + 0.25, "success"), (high + 1, "fail")):
        source = PlanSource(name="go", call=f"bps.mv(M.lean, {target})")
        ended = client.submit("go", source=source).wait(PATIENCE_S, check=False).finished
        assert ended.exit_status == status, ended.reason
    assert "is above the high limit" in ended.reason
    assert abs(client.devices.lean.position - low - 0.25) < 0.01


def test_one_scan_takes_motor_card_camera_and_simulation_into_one_file(client: Client) -> None:
    detectors = ["card", "cam", "diode"]
    run = client.scan("mot", 0, 2, 5, time=0.05, detectors=detectors).run
    assert run.status == "success", run.record.reason
    data = run.data
    assert np.allclose(data["mot"], [0, 0.5, 1, 1.5, 2])
    assert data["card_i0"].tolist() == [2500] * 5
    assert len(data["diode"]) == 5
    assert data.shapes["cam"] == (5, 24, 32)
    assert data["cam"][:, 0, 0].tolist() == [1, 2, 3, 4, 5]
    with h5py.File(run.path) as file:
        link = file["entry/instrument/cam"].get("cam", getlink=True)
        assert link.filename == f"{run.path.stem}_cam.h5"
        assert file["entry/data"].attrs["signal"] == "card_i0"
        assert list(file["entry/data"].attrs["axes"]) == ["mot"]
    assert read("CAM:cam1:AcquireTime_RBV", repeater=False, timeout=30).data[0] == 0.05


def test_one_scan_of_a_pseudo_axis_takes_every_kind_of_device_into_one_file(
    client: Client,
) -> None:
    """Motor records under a pseudo axis, a card over PVA, a camera, Tango and a simulation."""
    detectors = ["card", "cam", "furnace", "diode"]
    run = client.scan("gap", 0, 2, 5, time=0.05, detectors=detectors).run
    assert run.status == "success", run.record.reason
    data = run.data
    assert np.allclose(data["gap"], [0, 0.5, 1, 1.5, 2], atol=1e-3)
    assert np.allclose(data["mot"] - data["blade"], data["gap"])
    assert data["card_i0"].tolist() == [2500] * 5
    assert data["furnace"].tolist() == [21.0] * 5
    assert data.shapes["cam"] == (5, 24, 32)
    with h5py.File(run.path) as file:
        assert list(file["entry/data"].attrs["axes"]) == ["gap"]
        units = {n: file[f"entry/data/{n}"].attrs["units"] for n in ("gap", "furnace")}
        assert units == {"gap": "mm", "furnace": "degC"}
        assert file["entry/instrument/cam/cam"].shape == (5, 24, 32)


def test_the_mca_is_one_detector_among_others(client: Client) -> None:
    data = client.scan("mot", 0, 1, 3, time=0.05, detectors=["mca"]).run.data
    assert data.shapes["mca_spectrum"] == (3, 512)
    assert np.allclose(data["mca_line_corrected"], data["mca_line"] / 0.8)


def test_a_frame_that_does_not_come_ends_the_scan_with_the_numbers(
    client: Client, fault: Callable[[str], None]
) -> None:
    fault("lost")
    run, text = refused(client, "mot", 0, 1, 5, time=0.02, detectors=["cam"])
    for word in ("[cam]", "expected 3 frames", "counted 2", run.path.stem, "Remedy:"):
        assert word in text, (word, text)
    assert "[cam]" in run.record.reason
    assert len(run.data["mot"]) == 2


@pytest.mark.parametrize(("word", "found"), [("short", "found 4"), ("no file", "found no file")])
def test_a_file_with_less_than_the_points_ends_the_scan_as_failed(
    client: Client, fault: Callable[[str], None], word: str, found: str
) -> None:
    fault(word)
    run, text = refused(client, "mot", 0, 1, 5, time=0.02, detectors=["cam"])
    for part in ("[cam]", "expected 5 frames", found, f"{run.path.stem}_cam.h5", "Remedy:"):
        assert part in text, (part, text)
    assert len(run.data["mot"]) == 5


def test_a_tolerant_camera_leaves_a_point_without_its_frame(
    client: Client, fault: Callable[[str], None]
) -> None:
    fault("lost")
    run = client.scan("mot", 0, 1, 5, time=0.02, detectors=["tolerant"]).run
    assert run.status == "success"
    numbers = run.data["tolerant"][:, 0, 0].tolist()
    assert numbers == [1, 2, np.iinfo("<u2").max, 4, 5]


def test_a_limit_switch_ends_the_scan_with_the_hardwares_word(client: Client) -> None:
    put("MOT:m1:SIM:HighSwitch", 1.2)
    try:
        run, text = refused(client, "mot", 0, 2, 5, detectors=["diode"])
    finally:
        put("MOT:m1:SIM:HighSwitch", 1000.0)
    for word in ("[mot]", "high limit switch (HLS) at 1.2 mm", "PLUS_LS", "Remedy:"):
        assert word in text, (word, text)
    assert len(run.data["mot"]) == 3
    client.mv("mot", 0)


def test_shapes_are_shown_without_loading(
    client: Client, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = client.scan("mot", 0, 1, 3, time=0.02, detectors=["cam", "diode"]).run
    words = ["undula", "runs", "data", str(run.number), "--shapes", "--beamline", "test"]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    shown = capsys.readouterr().out
    assert "(3, 24, 32)" in shown, shown
    assert f"{run.path.stem}_cam.h5" in shown, shown


@pytest.mark.parametrize("name", ["mot", "lean"])
def test_limits_and_motion_of_a_record_are_told_as_they_change(
    client: Client, changes: Until, name: str
) -> None:
    put("MOT:m1.HLM", 15.0)
    try:
        told = changes(lambda change: name in change.limits)
        assert told.limits[name] == (-20.0, 15.0)
        end = time.monotonic() + PATIENCE_S
        while client.devices.info(name).limits != (-20.0, 15.0):
            assert time.monotonic() < end
    finally:
        put("MOT:m1.HLM", 20.0)
    # long enough that its begin and its end are not within one report
    client.mv("mot", 18.0 if client.devices["mot"].position < 1 else -18.0)
    changes(lambda change: change.moving.get(name) is True)
    changes(lambda change: change.moving.get(name) is False)


@pytest.mark.parametrize("name", ["mot", "lean"])
def test_an_alarm_is_told_listed_and_read_until_it_is_gone(
    client: Client, changes: Until, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    put("MOT:m1:SIM:Fault", 0x200)
    try:
        with pytest.raises(UndulaError, match="reports a problem"):
            client.mv("mot", 3.0 if client.devices["mot"].position < 1 else 0.0)
        changes(lambda change: change.severities.get(name) == "major")
        _, flags = client.read_flagged(name)
        assert f"{name}: in major alarm" in flags
        end = time.monotonic() + PATIENCE_S
        while (heard := client.devices.heard()) is None or name not in heard.severities:
            assert time.monotonic() < end
        print(tree(client.devices.table(), heard, colour=True))
        line = next(line for line in capsys.readouterr().out.splitlines() if f"  {name} " in line)
        assert line.startswith("\x1b[31m")
        assert "major alarm" in line
    finally:
        put("MOT:m1:SIM:Fault", 0)
    client.mv("mot", 0.5)
    changes(lambda change: name in change.values and name not in change.severities)


def test_a_camera_shows_its_frames_and_says_which_files_it_wrote(
    client: Client, fault: Callable[[str], None]
) -> None:
    before = len(client.devices.files())
    run = client.scan("mot", 0, 1, 3, detectors=["cam"]).run
    frames = run.path.parent / f"{run.path.stem}_cam.h5"
    preview = client.devices.preview("cam")
    assert preview is not None
    assert preview.data.shape == (24, 32)
    assert preview.data.max() == 1000
    told = [(e.path, e.state, e.frames) for e in client.devices.files()[before:]]
    assert told == [(str(frames), "open", None), (str(frames), "closed", 3)]

    fault("short")
    refused(client, "mot", 0, 1, 3, detectors=["cam"])
    assert (client.devices.files()[-1].state, client.devices.files()[-1].frames) == ("missing", 2)
