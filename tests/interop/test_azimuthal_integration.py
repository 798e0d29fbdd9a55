"""pyFAI's integration as a node: known rings at the angles where geometry puts them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from undula.core.errors import InputError
from undula.pipes.frame import Frame
from undula.pipes.graph import GraphBuilder, checked
from undula.pipes.nodes.azimuthal import Azimuthal
from undula.pipes.nodes.replay import Replay
from undula.pipes.nodes.simulated import SimulatedDetector
from undula.pipes.nodes.user_nodes import NodeFolder
from undula.pipes.runner import Runner

pytestmark = pytest.mark.interop

PIXEL_M, DISTANCE_M, WAVELENGTH_M = 100e-6, 0.2, 1e-10
SIZE, CENTRE = 600, 299.5
RADII_PX = (80.0, 160.0, 240.0)

PONI = f"""poni_version: 2.1
Detector: Detector
Detector_config: {{"pixel1": {PIXEL_M}, "pixel2": {PIXEL_M}, "max_shape": [{SIZE}, {SIZE}], "orientation": 3}}
Distance: {DISTANCE_M}
Poni1: {(CENTRE + 0.5) * PIXEL_M}
Poni2: {(CENTRE + 0.5) * PIXEL_M}
Rot1: 0
Rot2: 0
Rot3: 0
Wavelength: {WAVELENGTH_M}
"""  # noqa: E501


def rings() -> Any:
    y, x = np.mgrid[:SIZE, :SIZE]
    radius = np.hypot(x - CENTRE, y - CENTRE)
    image = sum(2000 * np.exp(-0.5 * ((radius - at) / 2) ** 2) for at in RADII_PX)
    return np.rint(10 + image).astype("u2")


def peaks(found: Any) -> list[float]:
    curve, axis = found["intensity"], found["axis"]
    tops = [n for n in range(3, len(curve) - 3) if curve[n] == curve[n - 3 : n + 4].max() > 1000]
    return [float(axis[n]) for n in tops]


@pytest.fixture
def poni(tmp_path: Path) -> str:
    (tmp_path / "det.poni").write_text(PONI)
    return str(tmp_path / "det.poni")


@pytest.mark.parametrize("method", ["bbox", "full", "no"])
def test_rings_are_at_their_scattering_vectors(poni: str, method: str) -> None:
    node = Azimuthal(poni=poni, bins=1000, method=method)
    node.accumulate(Frame(1, rings()))
    found: Any = node.result()
    angles = [math.atan(at * PIXEL_M / DISTANCE_M) for at in RADII_PX]
    wanted = [4e-9 * math.pi / WAVELENGTH_M * math.sin(angle / 2) for angle in angles]
    assert peaks(found) == pytest.approx(wanted, abs=0.08)
    assert np.isfinite(found["sigma"]).all()
    node.change(unit="2th_deg")
    node.accumulate(Frame(2, rings()))
    degrees = [math.degrees(angle) for angle in angles]
    assert peaks(node.result()) == pytest.approx(degrees, abs=0.1)


def test_masked_pixels_do_not_count(poni: str, tmp_path: Path) -> None:
    image = rings()
    clean = Azimuthal(poni=poni, bins=300)
    clean.accumulate(Frame(1, image))
    wanted: Any = clean.result()
    image[100:200, 250:400] = 65535
    mask = image == 65535
    with h5py.File(tmp_path / "mask.h5", "w") as file:
        file["mask"] = mask.astype("u1")
    dirty = {
        "file": Azimuthal(poni=poni, bins=300, mask=f"{tmp_path}/mask.h5::/mask"),
        "highest": Azimuthal(poni=poni, bins=300, highest=True),
    }
    for node in dirty.values():
        node.accumulate(Frame(1, image))
        found: Any = node.result()
        same = found["intensity"] > 0
        assert found["intensity"][same] == pytest.approx(wanted["intensity"][same], rel=0.1, abs=20)
    with pytest.raises(InputError, match="its mask"):
        dirty["file"].accumulate(Frame(2, image[:50]))


def test_in_a_graph_it_gives_what_it_gives_alone(poni: str, tmp_path: Path) -> None:
    types = NodeFolder()
    detector: dict[str, Any] = {
        "width": SIZE, "height": SIZE, "frames": 3, "rate_hz": 0, "level": 1000, "noise": False,
    }  # fmt: skip
    made = (
        GraphBuilder("rings")
        .node("det", "simulated", **detector)
        .node("azimuthal", "azimuthal", process="two", poni=poni, bins=400)
        .node("file", "frame_file", process="two", folder=str(tmp_path / "data"))
        .edge("det -> azimuthal")
        .edge("azimuthal.intensity -> file")
    )
    with Runner(checked(made.graph(), types), types) as runner:
        outcome = runner.run()
    assert outcome.ok, outcome.report.text
    alone = Azimuthal(poni=poni, bins=400)
    source = Replay(file=str(tmp_path / "data" / "frames_0001.h5"), speed=0)
    for frame, found in zip(SimulatedDetector(**detector), source, strict=True):
        alone.accumulate(frame)
        wanted: Any = alone.result()
        assert np.array_equal(found.data, wanted["intensity"])
    source.close()
