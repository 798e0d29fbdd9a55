"""Fits and data of real scans: from the request to the file, the prompt and the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from undula.client import Client
from undula.core.errors import InputError
from undula.core.settings import BeamlineSettings
from undula.files.process import read_processes
from undula.messages import ScanRequest
from undula.scans.common_metadata import CommonMetadata
from undula.testing.beamline import LocalBeamline, local_beamline

UNDULA = str(Path(sys.executable).with_name("undula"))


@pytest.fixture(scope="module")
def beamline() -> Iterator[LocalBeamline]:
    with local_beamline() as running:
        yield running


@pytest.fixture
def client(beamline: LocalBeamline) -> Iterator[Client]:
    with beamline.connect() as client:
        yield client


def _undula(beamline: LocalBeamline, *words: str) -> str:
    done = subprocess.run(
        [UNDULA, *words, "--beamline", beamline.paths.name],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def test_services_that_fit_nothing_load_no_fitting_library(beamline: LocalBeamline) -> None:
    for service in ("writer", "engine", "publisher"):
        maps = Path(f"/proc/{beamline.pid(service)}/maps").read_text()
        assert "/scipy/" not in maps
        assert "/pandas/" not in maps


def test_a_plan_may_have_a_fit_by_default(tmp_path: Path) -> None:
    settings = BeamlineSettings(name="b", data=tmp_path, fits={"scan": "gaussian"})
    common = CommonMetadata(tmp_path / "metadata.json", settings, lambda _: None)
    scan = ScanRequest(request_id="a", deadline=0, plan="scan")
    assert common.added(scan).metadata == {"fit": "gaussian"}
    assert common.added(scan.model_copy(update={"plan": "count"})).metadata == {}
    declined = scan.model_copy(update={"metadata": {"fit": "none"}})
    assert common.added(declined).metadata == {"fit": "none"}


def test_a_scan_that_asks_for_a_fit_has_it_under_the_table_and_in_its_file(
    beamline: LocalBeamline, client: Client
) -> None:
    said = _undula(
        beamline, "scan", "samx", "-2", "2", "41", "--detectors", "diode",
        "--fit", "gaussian + linear", "--json",
    )  # fmt: skip
    (run,) = json.loads(said.splitlines()[-1])["runs"]
    (fit,) = run["fits"]
    assert (fit["model"], fit["signal"], fit["axis"]) == ("gaussian + linear", "diode", "samx")
    assert fit["points"] == 41
    client_run = client.runs[run["number"]]
    (kept,) = read_processes(client_run.path)
    assert kept.results["model"] == "gaussian + linear"
    assert kept.units["parameters/gaussian_center"] == "mm"


def test_a_run_is_fitted_afterwards_and_given_as_xarray(
    beamline: LocalBeamline, client: Client
) -> None:
    handle = client.scan("samx", -2, 2, 31, detectors=["diode"])
    run = handle.run
    assert run is not None
    fit = run.fit("gaussian + linear", "diode")
    shown = json.loads(
        _undula(beamline, "runs", "fit", str(run.number), "gaussian + linear", "--json")
    )
    assert shown["parameters"][0]["value"] == pytest.approx(fit.result.parameters[0].value)
    assert handle.data.to_xarray().samx.attrs["units"] == "mm"
    with pytest.raises(InputError, match="there is no model 'gausian'"):
        client.scan("samx", -2, 2, 31, fit="gausian")


def test_proposal_sample_and_data_set_are_said_at_the_command_line(
    beamline: LocalBeamline, client: Client
) -> None:
    _undula(beamline, "newproposal", "p12345")
    said = _undula(beamline, "newsample", "Fe2O3")
    assert said.startswith("sample Fe2O3\n  next file  ")
    assert "p12345/Fe2O3" in said
    now = json.loads(_undula(beamline, "newdataset", "map1", "--json"))
    assert now.pop("next_file").endswith("p12345/Fe2O3/map1/NNNNN_scan.nxs")
    assert now == {"proposal": "p12345", "sample": "Fe2O3", "dataset": "map1"}
    assert client.count(num=1, detectors=["diode"]).run.path.parent.name == "map1"
    assert _undula(beamline, "endproposal").startswith("ended proposal p12345")
    assert "proposal" not in client.metadata
