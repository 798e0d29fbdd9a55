"""Our files before a validator that others wrote, against the definitions that it ships."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import pytest
from nexusformat.nexus import validate

from undula.client import Client
from undula.devices.sim import SIMULATED_FILE
from undula.testing.beamline import local_beamline, short_folder

pytestmark = pytest.mark.interop

XAS = ("scan", ("energy", 7100, 7200, 11), ["i0", "diode"])
TOMO = ("scan", ("turn", 0, 10, 5), ["camera", "i0"])
MAP = ("grid_scan", ("samy", 0, 1, 4, "samx", 0, 2, 5), ["i0", "diode"])
TECHNIQUES: dict[str, tuple[Any, dict[str, Any]]] = {
    "NXxas": (XAS, {"technique": "xas", "xas_mode": "Fluorescence Yield", "facility": "Sim"}),
    "NXtomo": (TOMO, {"technique": "tomo", "pixel_size_um": 1.1}),
    "NXstxm": (MAP, {"technique": "stxm"}),
    "NXscan": (TOMO, {"technique": "rocking curve"}),
}
OWN = re.compile(
    r"/entry/(exit_status|plan_name|reason|scan_command)"  # what NXentry has no field for
    r"|/entry/(instrument/)?(?P<device>[^/]+)/(?P=device)(_timestamp)?"  # readings by their keys
)
"""What our files have beside the fields of the definitions, which allow more."""
KNOWN = (
    "/entry/duration",  # seconds with a fraction: the definition has whole ones
    "/entry/control/data",  # counts are integers: NXmonitor may have them, NXtomo wants a float
)


PUSHING = """
heater:
  deviceClass: undula.devices.sim.bec.SimMonitorAsync
  readoutPriority: continuous
  enabled: true
turn:
  deviceClass: undula.devices.sim.SimPositioner
  readoutPriority: on_request
  enabled: true
  deviceConfig: {limits: [-180, 180], unit: deg}
eye:
  deviceClass: undula.devices.sim.bec.SimAsyncGauss2D
  readoutPriority: async
  enabled: true
"""


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with short_folder("uv-") as folder:
        devices = folder / "devices.yaml"
        devices.write_text(SIMULATED_FILE.read_text() + PUSHING)
        with local_beamline(devices) as beamline, beamline.connect() as client:
            yield client


Said = list[tuple[str, str]]


def _told(monkeypatch: pytest.MonkeyPatch, call: Any, path: Path) -> tuple[Said, Said]:
    """Errors and warnings, each with the place in the file."""
    said: dict[str, Said] = {"error": [], "warning": []}
    place = ""

    def log(message: str, level: str = "info", indent: int = 0) -> None:
        nonlocal place
        if level in said:
            said[level].append((place, message))
        elif ": /" in message:
            place = message.partition(": ")[2]

    monkeypatch.setattr(validate, "log", log)
    assert call(str(path)) is not None, "the validator could not read the file"
    return said["error"], said["warning"]


def _taken(client: Client, tmp_path: Path, plan: str, args: Any, detectors: Any, md: Any) -> Path:
    run = client.run_plan(plan, *args, detectors=detectors, metadata=md).run
    assert run is not None
    path = Path(shutil.copy(run.path, tmp_path / run.path.name))
    path.chmod(0o644)  # it opens the file to write
    return path


@pytest.mark.parametrize("definition", sorted(TECHNIQUES))
def test_a_file_by_technique_meets_its_definition(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, definition: str
) -> None:
    asked, metadata = TECHNIQUES[definition]
    path = _taken(client, tmp_path, *asked, metadata)
    with h5py.File(path, "r") as file:
        assert file["entry/definition"].asstr()[()] == definition
    errors, warnings = _told(monkeypatch, validate.validate_application, path)
    assert errors == []
    assert [one for one in warnings if one[0] not in KNOWN] == []


@pytest.mark.parametrize("detectors", [["diode"], ["spectrum", "camera"], ["i0", "diode"]])
def test_any_file_breaks_no_rule_of_the_base_classes(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, detectors: list[str]
) -> None:
    path = _taken(client, tmp_path, "scan", ("samx", 0, 1, 3), detectors, {"sample": "Fe2O3"})
    with h5py.File(path, "r") as file:  # the logs are looked at too
        assert file["entry/instrument/heater/value_log/value"].shape[0] > 0
    errors, warnings = _told(monkeypatch, validate.validate_file, path)
    assert errors == []
    wrong = [one for one in warnings if one[0] not in KNOWN and not OWN.fullmatch(one[0])]
    assert wrong == []


def test_the_validator_sees_what_an_incomplete_file_lacks(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _taken(client, tmp_path, *XAS, {"technique": "xas"})
    with h5py.File(path, "r+") as file:
        assert "definition" not in file["entry"]
        missing = file["entry/collection/file_layout/missing"].asstr()[()].tolist()
        assert missing == ["data/mode: the metadata has no xas_mode"]
        file["entry/definition"] = "NXxas"
    errors, _ = _told(monkeypatch, validate.validate_application, path)
    assert errors == [("/entry/data/mode", "This required field is not in the NeXus file")]
