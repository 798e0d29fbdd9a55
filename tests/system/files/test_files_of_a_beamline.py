"""Files, metadata and notes as a beamline sets them, through the real services."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bluesky.plans as bp
import h5py
import pytest
from bluesky import RunEngine
from bluesky.callbacks.json_writer import JSONLinesWriter
from ophyd.sim import hw

from undula.bus.endpoints import RUNS_CLOSED, RUNS_NOTED, RUNS_OPENED
from undula.catalogue import SqliteCatalogue
from undula.catalogue.scan_folder import read_notes
from undula.client import Client
from undula.client.importing import import_file
from undula.core.errors import ConfigError, InputError, UndulaError
from undula.devices.sim import SIMULATED_FILE
from undula.processes.doctor import examine
from undula.testing.beamline import LocalBeamline, local_beamline, short_folder
from undula.testing.law import until
from undula.writer.rebuild import rebuild

PUSHING = """
heater:
  deviceClass: undula.devices.sim.bec.SimMonitorAsync
  readoutPriority: continuous
  enabled: true
  deviceTags: [environment]

recorder:
  deviceClass: undula.devices.sim.SimRecorder
  deviceConfig: {role: diode, samples: 4}
  readoutPriority: on_request
  enabled: true
  softwareTrigger: true

lossy: &lossy
  deviceClass: undula.devices.sim.SimRecorder
  deviceConfig: {role: diode, folder: /proc/nowhere}
  readoutPriority: on_request
  enabled: true
  softwareTrigger: true
  onFailure: buffer

strict: {<<: *lossy, onFailure: raise}

eye:
  deviceClass: undula.devices.sim.bec.SimAsyncGauss2D
  readoutPriority: async
  enabled: true
"""


@pytest.fixture(scope="module")
def beamline() -> Iterator[LocalBeamline]:
    with short_folder("uf-") as folder:
        devices = folder / "devices.yaml"
        devices.write_text(SIMULATED_FILE.read_text() + PUSHING)
        with local_beamline(devices) as beamline:
            yield beamline


@pytest.fixture(scope="module")
def client(beamline: LocalBeamline) -> Iterator[Client]:
    with beamline.connect() as client:
        yield client


def test_comments_and_tags_are_kept_beside_the_file_and_found(
    beamline: LocalBeamline, client: Client
) -> None:
    client.scan("samx", 0, 1, 3, detectors=["diode"])
    run = client.scan("samx", 0, 1, 3, detectors=["diode"], metadata={"edge": "Fe K"}).run
    before = run.path.read_bytes()
    run.comment("Beam was unstable from point 2")
    assert run.tag("good", "+alignment") == ["good", "alignment"]
    assert run.tag("-good") == ["alignment"]
    assert run.path.read_bytes() == before
    assert [n.number for n in client.runs.search(tag="alignment")] == [run.number]
    assert [n.number for n in client.runs.search(text="unstable")] == [run.number]
    assert [n.number for n in client.runs.search(edge="Fe K")] == [run.number]
    assert client.runs.search(tag="good") == []
    assert next((n.kind, n.author) for n in client.runs[-1].notes) == ("comment", client.link.user)
    assert read_notes(run.path) == client.runs[-1].notes
    for wrong in (
        lambda: run.tag("no blanks"),
        lambda: run.tag("-unknown"),
        lambda: run.comment(" "),
    ):
        with pytest.raises(InputError):
            wrong()
    said = [noted for _, noted in client.link.connector.read(RUNS_NOTED) if noted.uid == run.uid]
    assert [[n.text for n in noted.notes] for noted in said] == [
        ["Beam was unstable from point 2"], ["good", "alignment"], ["good"]
    ]  # fmt: skip
    assert said[-1].tags == ["alignment"]
    again = SqliteCatalogue(":memory:")
    assert again.rebuild_from_files(beamline.settings.data) >= 2
    assert again.run(run.number).tags == ["alignment"]
    assert again.notes(run.uid) == client.runs[-1].notes
    again.close()


def test_a_fit_that_is_kept_stays_with_its_run(beamline: LocalBeamline, client: Client) -> None:
    run = client.scan("samx", -2, 2, 15, detectors=["diode"]).run
    before = run.path.read_bytes()
    fit = run.fit("gaussian + constant", keep=True)
    assert [found.result for found in client.runs[run.uid].kept_fits] == [fit.result]
    assert client.runs.search(text="gaussian + constant of diode")[0].uid == run.uid
    assert run.path.read_bytes() == before
    again = SqliteCatalogue(":memory:")
    again.rebuild_from_files(beamline.settings.data)
    assert [note.fit for note in again.notes(run.uid)] == [fit.result]
    again.close()


def test_the_file_that_a_device_writes_itself_is_linked_and_leads_to_its_samples(
    client: Client,
) -> None:
    run = client.scan("samx", 0, 1, 3, detectors=["recorder"]).run
    with h5py.File(run.path) as file:
        home = file["entry/instrument/recorder"]
        (name,) = (n for n in home if isinstance(home.get(n, getlink=True), h5py.ExternalLink))
        assert home.get(name, getlink=True).filename == f"{run.path.stem}_recorder.h5"
        assert home[name].shape == (3, 4)
        assert home[name][()].sum(axis=1).tolist() == run.data["recorder"].tolist()
        assert f"{name}_problem" not in home


def test_a_file_that_a_device_does_not_write_is_named_or_fails_the_run_as_the_device_says(
    client: Client,
) -> None:
    run = client.scan("samx", 0, 1, 3, detectors=["lossy"]).run
    assert run.status == "success"
    with h5py.File(run.path) as file:
        (problem,) = (v for k, v in file["entry/instrument/lossy"].items() if "_problem" in k)
        assert "/proc/nowhere" in problem.asstr()[()]
    with pytest.raises(UndulaError, match="cannot be written"):
        client.scan("samx", 0, 1, 3, detectors=["strict"])
    until(lambda: client.runs[-1].status == "fail", "the run is not closed")
    assert "cannot be written" in client.runs[-1].record.reason


def test_an_import_is_announced_like_any_run(
    beamline: LocalBeamline, client: Client, tmp_path: Path
) -> None:
    engine = RunEngine({}, context_managers=[])
    engine.subscribe(JSONLinesWriter(str(tmp_path), "old.jsonl"))
    engine(bp.count([hw().det], 3))
    connector = client.link.connector
    begin, end = connector.last_id(RUNS_OPENED), connector.last_id(RUNS_CLOSED)
    (found,) = import_file(tmp_path / "old.jsonl", "test")
    ((_, opened),) = connector.read(RUNS_OPENED, after=begin, block_s=60.0)
    assert (opened.uid, opened.number, opened.imported) == (found.uid, found.number, True)
    ((_, closed),) = connector.read(RUNS_CLOSED, after=end, block_s=60.0)
    assert (closed.path, closed.num_events) == (str(found.path), {"primary": 3})
    assert client.scan("samx", 0, 1, 3, detectors=["diode"]).run.number == found.number + 1


def test_a_run_that_goes_on_may_be_commented(client: Client) -> None:
    scan = client.scan("samx", -1, 1, 400, time=0.02, detectors=["diode"], wait=False)
    number = next(int(doc["scan_id"]) for name, doc in scan.documents() if name == "start")
    client.runs.note(number, "looks good so far")
    client.queue.abort("enough")
    until(lambda: client.runs[number].status == "abort", "the run is not closed")
    run = client.runs[number]
    until(lambda: bool(read_notes(run.path)), "the notes do not come beside the file")
    assert [n.text for n in read_notes(client.runs[number].path)] == ["looks good so far"]
    assert run.notes[0].text == "looks good so far"


def test_the_command_line_lists_layouts_and_tells_every_fault(beamline: LocalBeamline) -> None:
    def say(*words: str) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).with_name("undula")), "files", *words]
        return subprocess.run(
            [*command, "--beamline", "test"], capture_output=True, text=True, check=False
        )

    assert "NXtomo" in say("list").stdout
    assert say("check").returncode == 0
    wrong = [beamline.paths.state / name for name in ("file_fields.yaml", "metadata_schema.yaml")]
    try:
        for path in wrong:
            path.write_text("fields: 3\n")
        told = say("check")
        assert told.returncode == 2
        assert "file_fields.yaml:1: " in told.stderr
        assert "metadata_schema.yaml:1: " in told.stderr
        found = {f.name: f for f in examine(beamline.paths)}["file layouts"]
        assert found.verdict == "wrong"
        assert "file_fields.yaml:1" in found.text
    finally:
        for path in wrong:
            path.unlink()


def test_the_command_line_tags_and_finds(beamline: LocalBeamline, client: Client) -> None:
    number = client.scan("samx", 0, 1, 3, detectors=["diode"]).run.number

    def say(*words: str) -> str:
        command = [
            str(Path(sys.executable).with_name("undula")),
            "runs",
            *words,
            "--beamline",
            "test",
        ]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=120, env=os.environ
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "good" in say("tag", "-1", "+good", "+keep")
    assert "keep" in say("tag", str(number), "-good")
    say("comment", str(number), "a", "fine", "one")
    listed = say("list", "--tag", "keep", "--text", "fine one", "--where", "num_points=3")
    assert [line.split()[0] for line in listed.splitlines()[1:]] == [str(number)], listed
    assert listed.splitlines()[1].endswith("keep")
    assert "a fine one" in say(str(number))


def test_a_beamlines_own_fields_and_a_technique_are_in_the_file(
    beamline: LocalBeamline, client: Client
) -> None:
    fields = beamline.paths.state / "file_fields.yaml"
    fields.write_text(
        "fields:\n"
        "  - {path: instrument/source/name, value: Simulated Ring}\n"
        "  - {path: instrument/source/current, from: device ring_current}\n"
        "  - {path: sample/holder, from: metadata holder, value: pin}\n"
    )
    try:
        said = {"technique": "xas", "xas_mode": "Transmission"}
        run = client.scan("energy", 7100, 7110, 4, detectors=["i0", "diode"], metadata=said).run
        with h5py.File(run.path) as file:
            entry = file["entry"]
            assert entry["definition"].asstr()[()] == "NXxas"
            assert entry["instrument/source/name"].asstr()[()] == "Simulated Ring"
            assert entry["instrument/source/current"].attrs["units"] == "mA"
            assert entry["sample/holder"].asstr()[()] == "pin"
            assert entry["instrument/incoming_beam/data"] == entry["i0/i0"]
        fields.write_text("fields:\n  - {pth: a, value: 1}\n  - {path: b}\n")
        with pytest.raises(ConfigError) as wrong:
            client.scan("samx", 0, 1, 3, detectors=["diode"])
        assert [d.partition(":")[0] for d in wrong.value.details] == ["file_fields.yaml"] * 3
    finally:
        fields.unlink()
    client.scan("samx", 0, 1, 3, detectors=["diode"])


def test_a_scan_without_the_metadata_that_the_beamline_wants_is_refused(
    beamline: LocalBeamline, client: Client
) -> None:
    schema = beamline.paths.state / "metadata_schema.yaml"
    schema.write_text(
        "keys:\n"
        "  proposal: {required_for: ['*scan'], pattern: 'p\\d+', example: p1234}\n"
        "  element: {choices: [Fe, Cu]}\n"
    )
    try:
        with pytest.raises(InputError) as refused:
            client.scan("samx", 0, 1, 3, detectors=["diode"], metadata={"element": "Ni"})
        assert len(refused.value.details) == 3
        with pytest.raises(InputError, match="element is 'Ni'"):
            client.metadata["element"] = "Ni"
        keys = {key.key: key for key in client.metadata.schema.keys}
        assert keys["element"].choices == ["Fe", "Cu"]
        assert keys["proposal"].required_for == ["*scan"]
        assert "proposal  for *scan  a text of the form" in str(client.metadata.schema)
        client.metadata["proposal"] = "p1234"
        assert client.scan("samx", 0, 1, 3, detectors=["diode"]).run.status == "success"
        assert client.runs.search(proposal="p1234")
    finally:
        schema.unlink()
        client.metadata.clear()
    assert client.metadata.schema.other_keys
    assert "asks for no key" in str(client.metadata.schema)


def test_each_device_of_a_scan_in_blocks_has_its_own_group(client: Client) -> None:
    run = client.count(3, detectors=["diode", "i0"]).run
    with h5py.File(run.path) as file:
        assert file["entry/instrument/diode/diode"].shape == (3,)
        assert file["entry/i0/i0"].shape == (3,)
        assert file["entry/data"].attrs["signal"] == "diode"


def test_what_devices_give_by_themselves_is_a_log_with_its_own_times(client: Client) -> None:
    scan = client.scan("samx", 0, 1, 6, time=0.1, detectors=["diode", "spectrum", "camera"])
    with h5py.File(scan.run.path) as file:
        log = file["entry/sample/heater/value_log"]
        assert log.attrs["NX_class"] == "NXlog"
        rows = file["entry/collection/heater_monitor/seq_num"].shape[0]
        assert log["value"].shape == log["time"].shape == (rows,)
        assert log["time"][-1] > 0.3
        assert log["minimum_value"][()] <= log["average_value"][()] <= log["maximum_value"][()]
        series = file["entry/instrument/eye/value_series"]
        signal = series[series.attrs["signal"]]
        assert signal.ndim == 3
        assert signal.shape[0] == series["time"].shape[0] > 2
        assert file["entry/instrument/spectrum/spectrum"].shape == (6, 1024)
        assert file["entry/instrument/camera/data"].shape == (6, 48, 64)
        assert file["entry/data"].attrs["signal"] == "diode"


def _tree(path: Path) -> dict[str, str]:
    """Every link, attribute and value of a file, but not what names the file itself."""
    found: dict[str, str] = {}

    def look(group: Any) -> None:
        for name in group:
            link = group.get(name, getlink=True)
            place = f"{group.name}/{name}"
            if isinstance(link, h5py.SoftLink | h5py.ExternalLink):
                found[place] = link.path
                continue
            node = group[name]
            found[place] = str({k: str(v) for k, v in sorted(node.attrs.items())})
            if isinstance(node, h5py.Group):
                look(node)
            else:
                found[place] += str(node[()])

    with h5py.File(path) as file:
        look(file)
    return found


def test_a_file_made_anew_from_its_archive_has_the_same_tree(
    client: Client, tmp_path: Path
) -> None:
    said = {"technique": "stxm", "facility": "Sim"}
    asked = ("samy", 0, 1, 2, "samx", 0, 2, 3)
    run = client.run_plan("grid_scan", *asked, detectors=["i0", "diode"], metadata=said).run
    assert run is not None
    made = rebuild(Path(run.record.archive_path), tmp_path / run.path.name)
    before, after = _tree(run.path), _tree(made)
    assert "/entry/definition" in before
    assert "/entry/sample/heater/value_log/time" in before
    assert {k: (before.get(k), v) for k, v in after.items() if before.get(k) != v} == {}
    assert set(before) - set(after) == set()
