"""BEC's own demo configuration, from the `bec_lib` wheel that PyPI has: loaded, and scanned."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from undula.client import Client
from undula.devices.description import load_device_file
from undula.testing.beamline import local_beamline

pytestmark = pytest.mark.interop
DEMO = "bec_lib/configs/demo_config.yaml"

CANNOT_LOAD: dict[str, str] = {}
"""Devices of the demo configuration that do not work here, with the reason: none."""

WITHOUT_MEANING = {
    ("eiger", "deviceConfig.device_access"),
    ("flyer_sim", "deviceConfig.device_access"),
}
"""Keys that are read and have no meaning here: our simulated devices need no access to others."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo configuration, out of the wheel."""
    folder = tmp_path_factory.mktemp("bec")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--disable-pip-version-check", "--dest", str(folder), "bec_lib==4.3.*"]
    subprocess.run(command, check=True, timeout=300)
    with zipfile.ZipFile(next(folder.glob("bec_lib-*.whl"))) as wheel:
        return Path(wheel.extract(DEMO, folder))


@pytest.fixture(scope="module")
def client(demo: Path) -> Iterator[Client]:
    with local_beamline(demo) as beamline, beamline.connect() as client:
        yield client


def test_every_key_of_every_device_is_read(demo: Path) -> None:
    file = load_device_file(demo)
    assert len(file.entries) > 200
    ignored = {(r.device, r.key) for r in file.report if r.outcome == "ignored"}
    assert ignored == WITHOUT_MEANING


def test_every_device_works_or_is_listed_with_the_reason(client: Client) -> None:
    found = {d.name: d.problem for d in client.devices.table() if not d.connected}
    assert found == CANNOT_LOAD
    assert client.devices["pseudo_signal1"].value > 0


def test_two_motors_are_scanned_against_two_monitors(client: Client) -> None:
    run = client.scan("samx", -1, 1, "samy", 0, 0.5, 5, detectors=["bpm4i", "bpm5i"]).run
    assert run.status == "success"
    assert list(run.data["samx"]) == [-1, -0.5, 0, 0.5, 1]
    assert list(run.data["samy"]) == pytest.approx([0, 0.125, 0.25, 0.375, 0.5])
    assert all(len(run.data[name]) == 5 for name in ("bpm4i", "bpm5i"))


def test_without_named_detectors_all_monitors_are_read(client: Client) -> None:
    run = client.scan("samx", 0, 1, 3).run
    assert run.status == "success"
    assert {"bpm3a", "bpm4i", "ring_current_sim"} <= set(run.data.keys())
    assert {"eiger", "waveform"} <= set(run.data.keys())  # async, but only when triggered
    assert {"monitor_async_monitor", "gauss_async_monitor"} <= set(run.data.streams())
