"""The leases and the places of files: pure decisions."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from undula.core.errors import BusyError, ConfigError, InputError, StorageError
from undula.core.settings import BeamlineSettings
from undula.devices.description import load_device_file
from undula.devices.registry import Registry
from undula.messages import ScanRequest
from undula.scans.leases import Holding, Leases
from undula.scans.places import check_room, run_path, with_place
from undula.scans.safety import Touched


def test_a_lease_names_its_holder_and_is_all_or_nothing() -> None:
    leases = Leases()
    leases.take(["samx"], "run 7 of ann")
    with pytest.raises(BusyError, match="in use by run 7 of ann"):
        leases.take(["samy", "samx"], "bob")
    assert leases.holder("samy") == ""
    leases.release("run 7 of ann")
    leases.take(["samy", "samx"], "bob")
    assert leases.wait_free(["samx"], 0.0) == "bob"


def _settings(folder: Path, **more: object) -> BeamlineSettings:
    return BeamlineSettings.model_validate({"name": "b", "data": folder, **more})


def test_each_change_of_a_lease_is_told_when_it_holds() -> None:
    seen: list[dict[str, str]] = []
    leases = Leases(lambda: seen.append(leases.held()))
    leases.take(["samx"], "scan of ann")
    leases.call("scan of ann", "run 7, scan of ann")
    with pytest.raises(BusyError):
        leases.take(["samx"], "bob")
    leases.release("scan of ann")
    assert seen == [{"samx": "scan of ann"}, {"samx": "run 7, scan of ann"}, {}]


def test_a_file_name_cannot_leave_its_folder(tmp_path: Path) -> None:
    metadata = {"proposal": "../../etc", "sample": {"name": "a b/c"}}
    path = run_path(_settings(tmp_path), metadata, "scan", 7)
    assert path == tmp_path / "etc-74ccf3" / "a_b_c-539138" / "dataset" / "00007_scan.nxs"
    other = run_path(_settings(tmp_path), {**metadata, "sample": "a/b c"}, "scan", 7)
    assert other.parent != path.parent, "another sample has another folder"


def test_folders_and_files_keep_the_letters_of_any_script(tmp_path: Path) -> None:
    path = run_path(_settings(tmp_path), {"sample": "Öl-试样"}, "unicode_plän", 7)
    assert path.parts[-3:] == ("Öl-试样", "dataset", "00007_unicode_plän.nxs")
    path = run_path(_settings(tmp_path), {"file_directory": "nächtlich/spät"}, "scan", 7)
    assert path.parent == tmp_path / "nächtlich" / "spät"


def test_a_scan_may_name_the_folder_and_the_end_of_its_file(tmp_path: Path) -> None:
    asked = {"file_directory": "night/late", "file_suffix": "run-a_1"}
    path = run_path(_settings(tmp_path), asked, "scan", 7)
    assert path == tmp_path / "night" / "late" / "00007_scan_run-a_1.nxs"
    request = ScanRequest(request_id="r", deadline=0.0, plan="scans.acquire", kwargs=asked)
    assert with_place(request).metadata == asked
    assert with_place(request.model_copy(update={"plan": "count"})).metadata == {}


@pytest.mark.parametrize(
    "asked",
    [
        {"file_suffix": "../a"},
        {"file_suffix": "a b"},
        {"file_directory": "../elsewhere"},
        {"file_directory": "/etc"},
        {"file_directory": "a/../../b"},
        {"file_directory": ".hidden"},
    ],
)
def test_an_asked_folder_or_ending_cannot_leave_the_data_folder(
    tmp_path: Path, asked: dict[str, str]
) -> None:
    with pytest.raises(InputError, match=next(iter(asked))):
        run_path(_settings(tmp_path), asked, "scan", 1)


def test_a_wrong_template_names_the_fields(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="proposal, sample"):
        run_path(_settings(tmp_path, template="{visit}.nxs"), {}, "scan", 1)


def test_a_full_disk_is_said_before_the_scan(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="must stay free"):
        check_room(_settings(tmp_path, min_free_bytes=10**18), 0)


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be made"):
        check_room(_settings(tmp_path / "file" / "data"), 0)


TELL = """
import os, sys
from pathlib import Path
from undula.core.errors import StorageError
from undula.devices.description import load_device_file
from undula.devices.registry import Registry
from undula.scans.frames import tell_path

devices = Registry(load_device_file(Path(sys.argv[1])))
devices.connect()
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(12345); os.setuid(12345)
try:
    tell_path(Path(sys.argv[2]), devices)
except StorageError as error:
    print(error)
"""


def test_a_folder_that_takes_no_frames_is_named_before_the_first_point(tmp_path: Path) -> None:
    file = tmp_path / "devices.yaml"
    keys = "deviceClass: undula.devices.sim.SimRecorder, readoutPriority: monitored, enabled: true"
    file.write_text(f"rec: {{{keys}}}\n")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o555)
        told = [
            subprocess.run(
                [sys.executable, "-c", TELL, str(file), f"{folder}/{name}"],
                capture_output=True, text=True, timeout=60, check=True,
            ).stdout
            for name in ("run.nxs", "not_yet_made/run.nxs")
        ]  # fmt: skip
    assert told == [
        f"[rec] the folder {folder} cannot be written. Remedy: correct its owner and mode: the "
        "frames of this run belong there.\n",
        "",
    ]


def test_a_device_that_is_read_may_be_moved_but_not_exchanged() -> None:
    leases = Leases()
    leases.share(["slit"], "run 7 of ann")
    leases.take(["slit"], "a move by bob")
    leases.release("a move by bob")
    with pytest.raises(BusyError, match="in use by run 7 of ann"):
        leases.take(["slit"], "a change by bob", alone=True)
    assert leases.wait_free(["slit"], 0.0, alone=True) == "run 7 of ann"
    leases.release("run 7 of ann")
    leases.take(["slit"], "a change by bob", alone=True)
    assert leases.wait_free(["samx"], 0.0, shared=["slit"]) == "a change by bob"
    with pytest.raises(BusyError, match="in use by a change by bob"):
        leases.share(["slit"], "run 8 of ann")


def test_a_scan_that_is_over_takes_nothing_any_more(tmp_path: Path) -> None:
    file = tmp_path / "devices.yaml"
    keys = "deviceClass: undula.devices.sim.SimPositioner, readoutPriority: baseline, enabled: true"
    file.write_text(f"samx: {{{keys}}}\n")
    touched, leases = Touched(tmp_path / "touched", Registry(load_device_file(file))), Leases()
    holding = Holding(leases, "scan 7", touched, "item")
    holding.take(["samx"])
    assert (leases.holder("samx"), touched.names()) == ("scan 7", ["samx"])
    holding.release()
    with pytest.raises(BusyError, match="the scan is over"):
        holding.take(["samx"])
    assert (leases.holder("samx"), touched.names()) == ("", [])
