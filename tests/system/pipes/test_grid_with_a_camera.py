"""A step grid with a camera and its graph: frames, a map, a pattern at each point, in one file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from undula.client import Client
from undula.core.errors import StorageError
from undula.testing.beamline import local_beamline

MOTOR = """
  deviceClass: undula.devices.sim.SimPositioner
  readoutPriority: baseline
  enabled: true
"""
CAMERA = """
NAME:
  deviceClass: undula.pipes.detector.GraphDetector
  deviceConfig:
    frame_timeout: 30.0
    graph:
      nodes:
        det: {node: simulated, parameters: {width: SIZE, height: SIZE, rate_hz: 0}}
        roi:
          node: roi
          parameters: {rois: {all: {shape: box, x: 0, y: 0, width: SIZE, height: 9}}}
        rings: {node: RINGS}
        file: frame_file
        view: preview
        out: channel
      edges: [det -> roi, det -> rings, det -> file, det -> view: latest, roi.sum -> out, PROFILE]
  readoutPriority: on_request
  enabled: true
"""
PROFILE = "rings.intensity -> out"


PLAIN = "radial_profile, parameters: {bins: 50}"
PONI = """poni_version: 2.1
Detector: Detector
Detector_config: {"pixel1": 1e-4, "pixel2": 1e-4, "max_shape": [2048, 2048], "orientation": 3}
Distance: 0.2
Poni1: 0.1024
Poni2: 0.1024
Rot1: 0
Rot2: 0
Rot3: 0
Wavelength: 1e-10
"""


def camera(name: str, size: int, rings: str) -> str:
    text = CAMERA.replace("NAME", name).replace("SIZE", str(size)).replace("RINGS", rings)
    return text.replace("PROFILE", PROFILE)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One beamline for all tests of this file."""
    devices = tmp_path_factory.mktemp("grid") / "devices.yaml"
    poni = devices.with_name("large.poni")
    poni.write_text(PONI)
    motors = f"samx:{MOTOR}samy:{MOTOR}"
    large = f"azimuthal, parameters: {{bins: 50, poni: {poni}}}"
    devices.write_text(motors + camera("small", 512, PLAIN) + camera("large", 2048, large))
    with local_beamline(devices=devices) as beamline, beamline.connect() as client:
        yield client


def grid(client: Client, name: str, rows: int, columns: int) -> tuple[Any, Path, int]:
    """The run, its file, and how many points the file had when a reader looked in mid-scan."""
    line = ("samy", 0, 1, rows, "samx", 0, 2, columns)
    scan = client.run_plan("grid_scan", *line, detectors=[name], wait=False)
    seen = 0
    for event in scan.events():
        if event["seq_num"] == rows * columns // 2:
            with suppress(StorageError):  # the writer may not have begun
                seen = len(scan.data[f"{name}_roi_sum"])
    scan.wait(120)
    assert scan.run is not None
    return scan.run, scan.run.path, seen


@pytest.mark.parametrize(
    ("name", "size"), [("small", 512), pytest.param("large", 2048, marks=pytest.mark.interop)]
)
def test_frames_map_and_pattern_are_in_one_file_that_others_draw(
    client: Client, name: str, size: int
) -> None:
    rows, columns = 3, 4
    run, path, seen = grid(client, name, rows, columns)
    assert run.status == "success", run.record.reason
    frames = run.data[name]
    assert frames.shape == (rows * columns, size, size)
    wanted = [float(frames[n][:9].sum()) for n in range(rows * columns)]
    profile = np.asarray(run.data[f"{name}_rings_intensity"])
    assert profile.shape[0] == rows * columns
    assert np.isfinite(profile[:, 1:20]).all()
    with h5py.File(path) as file:
        entry = file["entry"]
        plot = entry[entry.attrs["default"]]
        drawn = plot[plot.attrs["signal"]][()]
        assert entry["ledger/results"][name]["complete"][()]
    assert np.array_equal(drawn, np.reshape(wanted, (rows, columns)))
    if name == "large":  # slow enough to be looked at in mid-scan
        assert seen >= 1, "the data are readable while the scan runs"
        drawn_by_others(path, drawn)


def drawn_by_others(path: Path, told: Any) -> None:
    """Viewers that others wrote draw the map."""
    from nexusformat.nexus import nxload
    from silx.io import nxdata
    from silx.io import open as silx_open

    assert np.array_equal(nxload(str(path)).plottable_data.nxsignal.nxdata, told)
    with silx_open(str(path)) as file:
        assert np.array_equal(nxdata.get_default(file).signal[()], told)
