"""A camera of another process by PV Access: frames, a map and a pattern in one file, live."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  # the frames are compressed
import numpy as np
import pytest

from undula.bus.endpoints import QUEUE_STATUS
from undula.cli.main import main
from undula.client import Client
from undula.messages import GraphTold, QueueStatus
from undula.pipes.graph import GraphBuilder, checked
from undula.pipes.nodes.user_nodes import NodeFolder
from undula.pipes.runner import Runner
from undula.testing.beamline import NAME, local_beamline
from undula.testing.flow import flow_until, run_out
from undula.testing.iocs import Ioc, start_pva_camera
from undula.testing.pva_camera_ioc import SIZE, frame

BINS = 300
DEADLINE_S = 12  # a loaded host takes some seconds for a frame; one test waits that long
PONI = f"""poni_version: 2.1
Detector: Detector
Detector_config: {{"pixel1": 1e-4, "pixel2": 1e-4, "max_shape": [{SIZE}, {SIZE}], "orientation": 3}}
Distance: 0.2
Poni1: {SIZE / 2 * 1e-4}
Poni2: {SIZE / 2 * 1e-4}
Rot1: 0
Rot2: 0
Rot3: 0
Wavelength: 1e-10
"""
PAGE = Path(__file__).parents[3] / "docs/how-to/detector-with-a-graph.md"
MOTORS = """
samx: {deviceClass: undula.devices.sim.SimPositioner, readoutPriority: baseline, enabled: true}
samy: {deviceClass: undula.devices.sim.SimPositioner, readoutPriority: baseline, enabled: true}
"""


def blocks(language: str) -> list[str]:
    """What the how-to page shows in this language."""
    text = PAGE.read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.fixture(scope="module")
def camera() -> Iterator[Ioc]:
    """The camera's process."""
    with start_pva_camera() as ioc:
        yield ioc


@pytest.fixture(scope="module")
def poni(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The geometry of the camera."""
    path = tmp_path_factory.mktemp("poni") / "cam.poni"
    path.write_text(PONI)
    return path


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, camera: Ioc, poni: Path) -> Iterator[Client]:
    """One beamline for all tests of this file."""
    devices = tmp_path_factory.mktemp("pva") / "devices.yaml"
    text = MOTORS + "".join(blocks("yaml"))
    text = text.replace("X:CAM:", "PVA:").replace("cam.poni", str(poni))
    text = text.replace("frame_timeout: 5 ", f"slow_after: 5\n    frame_timeout: {DEADLINE_S} ")
    devices.write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in camera.env.items():
            patch.setenv(name, value)
        patch.setenv("UNDULA_BEAMLINE", NAME)
        with local_beamline(devices=devices) as beamline, beamline.connect() as client:
            yield client


def put(camera: Ioc, pv: str, value: Any) -> None:
    from p4p.client.thread import Context

    with Context("pva", conf=camera.env, useenv=False) as context:
        context.put(pv, value, timeout=20)


def typed(line: str, patch: pytest.MonkeyPatch) -> None:
    """A command of the page."""
    patch.setattr(sys, "argv", line.split())
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code


def test_the_how_to_page_is_true(
    client: Client, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    scans, shapes = blocks("text")
    of_camera, of_made_up = scans.strip().splitlines()
    typed(of_made_up, monkeypatch)
    typed(of_camera, monkeypatch)
    last = client.scan("samx", 0, 1, 5, time=0.02, detectors=["cam"]).run  # its file is closed
    assert client.runs[last.number - 2].data["made_up"].shape == (5, 1024, 1024)
    capsys.readouterr()
    typed(shapes, monkeypatch)
    assert "cam_rings_intensity" in capsys.readouterr().out
    told: SimpleQueue[GraphTold] = SimpleQueue()
    with closing(client.pipes["cam"].follow(told.put)):
        while "view.image" not in client.pipes["cam"].images:
            told.get(timeout=30)
    names: dict[str, Any] = {"runs": client.runs, "pipes": client.pipes, "h5py": h5py}
    for block in blocks("python"):
        exec(block, names)
    assert names["picture"].shape == (64, 64)
    assert names["frames"].shape == (5, SIZE, SIZE)
    assert np.array_equal(names["last"], names["frames"][-1])
    assert names["sums"].shape == (5,)
    assert names["means"].shape == (5, 2)
    assert np.array_equal(names["patterns"][-1], names["pattern"])
    assert names["axis"].shape == (300,)
    assert names["complete"]


def numbers(run: Any) -> list[int]:
    """Which frame of the camera each point has."""
    return [int(image[0, 0]) for image in run.data["cam"]]


def ledger(path: Path, key: str) -> Any:
    with h5py.File(path) as file:
        found = file[f"entry/ledger/results/cam/{key}"]
        return found.asstr()[()] if h5py.check_string_dtype(found.dtype) else found[()].tolist()


def test_frames_map_and_pattern_of_a_grid_are_in_one_file(client: Client, poni: Path) -> None:
    import pyFAI

    line = ("samy", 0, 1, 2, "samx", 0, 2, 3)
    scan = client.run_plan("grid_scan", *line, detectors=["cam"], time=0.02, wait=False)
    live = {e["seq_num"]: np.asarray(e["cam_rings_intensity"]) for e in scan.events()}
    scan.wait(60)
    run = scan.run
    assert run.status == "success", run.record.reason
    first = numbers(run)[0]
    assert numbers(run) == [*range(first, first + 6)]
    images = [frame(n) for n in numbers(run)]
    assert all(np.array_equal(*pair) for pair in zip(run.data["cam"], images, strict=True))
    y, x = np.mgrid[:SIZE, :SIZE] - 512
    wanted = [float(image[np.hypot(x, y) <= 60].sum()) for image in images]
    integrator = pyFAI.load(str(poni))
    patterns = [
        integrator.integrate1d(
            image, BINS, unit="q_nm^-1", error_model="poisson", method=("bbox", "csr", "cython")
        )
        for image in images
    ]
    with h5py.File(run.path) as file:
        entry = file["entry"]
        plot = entry[entry.attrs["default"]]
        assert np.array_equal(plot[plot.attrs["signal"]][()], np.reshape(wanted, (2, 3)))
        stored = entry["instrument/cam/cam_rings_intensity"][()]
        axis = entry["instrument/cam/cam_rings_axis"][()]
        assert entry["instrument/cam/cam"].shape == (6, SIZE, SIZE)
    for n, pattern in enumerate(patterns):
        assert np.allclose(stored[n], pattern.intensity, rtol=1e-6)
        assert np.allclose(live[n + 1], stored[n])
        assert np.allclose(axis[n], pattern.radial)
    assert ledger(run.path, "complete")


def test_a_frame_that_nobody_asked_for_is_in_no_point(client: Client, camera: Ioc) -> None:
    before = numbers(client.scan("samx", 0, 1, 2, detectors=["cam"]).run)[-1]
    put(camera, "PVA:cam1:Acquire", 1)  # somebody at the camera's own panel
    put(camera, "PVA:SIM:Fault", "doubled")
    run = client.scan("samx", 0, 1, 3, detectors=["cam"]).run
    assert run.status == "success", run.record.reason
    assert numbers(run) == [before + 2, before + 3, before + 4]


def test_a_lost_frame_is_named_and_the_next_scan_has_its_own(client: Client, camera: Ioc) -> None:
    before = numbers(client.scan("samx", 0, 1, 2, detectors=["cam"]).run)[-1]
    put(camera, "PVA:SIM:Fault", "lost")
    scan = client.scan("samx", 0, 1, 3, time=0.02, detectors=["cam"], wait=False)
    scan.wait(60, check=False)
    assert scan.run is not None
    assert scan.run.status == "fail"
    assert f"not in {DEADLINE_S}.02 s" in scan.run.record.reason, "the count time is added"
    assert "never made by det" in ledger(scan.run.path, "text")
    run = client.scan("samx", 0, 1, 3, detectors=["cam"]).run
    assert run.status == "success", run.record.reason
    assert numbers(run) == [before + 2, before + 3, before + 4]


def test_a_camera_that_goes_away_in_mid_scan_pauses_it_until_it_is_back(
    client: Client, camera: Ioc
) -> None:
    told: SimpleQueue[QueueStatus] = SimpleQueue()
    with closing(client.link.connector.subscribe(QUEUE_STATUS, told.put)):
        scan = client.scan("samx", 0, 1, 30, detectors=["cam"], time=0.1, wait=False)
        for event in scan.events():  # heard late on a loaded host, but not at its end
            if event["seq_num"] == 4:
                camera.kill()
                break
        wanted = "[cam] det waits for PVA:Pva1:Image, which is not connected since"
        while not told.get(timeout=60).message.startswith(f"paused by itself: {wanted}"):
            pass
    camera.start()
    scan.wait(100)
    assert scan.run.status == "success", scan.run.record.reason
    found = numbers(scan.run)
    assert len(found) == 30
    again = next(n for n in range(1, 30) if found[n] < found[n - 1])  # it counts from 1 again
    assert found[again] <= 2, "it took none that nobody asked for, before it had its settings"
    for part in (found[:again], found[again:]):
        assert part == sorted(set(part)), "each point has a frame of its own"
    assert ledger(scan.run.path, "complete")


def test_updates_that_the_server_left_out_are_named_by_their_numbers(
    camera: Ioc, tmp_path: Path
) -> None:
    from p4p.client.thread import Context

    with Context("pva", conf=camera.env, useenv=False) as context:
        context.put("PVA:cam1:ImageMode", "Single")
        context.put("PVA:cam1:Acquire", 1, wait=True)
        first = int(context.get("PVA:cam1:ArrayCounter_RBV")) + 1
        for pv, value in (("ImageMode", "Multiple"), ("NumImages", 30), ("AcquireTime", 0.0)):
            context.put(f"PVA:cam1:{pv}", value)
        made = (
            GraphBuilder("overrun")
            .node("det", "pva_images", pv="PVA:Pva1:Image", provider=dict(camera.env),
                  first=first, frames=30, queue=2, shape=[SIZE, SIZE])
            .node("file", "frame_file", folder=str(tmp_path))
            .edge("det -> file")
        )  # fmt: skip
        types = NodeFolder()
        with Runner(checked(made.graph(), types), types) as runner:
            runner.begin()
            # the image from before: it listens
            flow_until(runner, lambda: runner.status.nodes["det"].left_out, "it does not listen")
            os.kill(runner.pids()["det"], signal.SIGSTOP)
            context.put("PVA:cam1:Acquire", 1, wait=True, timeout=60)
            os.kill(runner.pids()["det"], signal.SIGCONT)
            run_out(runner)
            report = runner.outcome().report
    (missing,) = report.missing
    assert missing.place == "never made by det"
    with h5py.File(tmp_path / "frames_0001.h5") as file:
        group = file["entry/data"]
        there = group["seq_num"][()].tolist()
        stamped = group["data"][:, 0, 0].tolist()
    assert stamped == [first - 1 + number for number in there]
    assert sorted([*there, *missing.frames]) == list(range(1, 31))
    assert len(missing.frames) > 10
