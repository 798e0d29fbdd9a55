"""Devices can be written back, compared and kept: nothing is lost on the way."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from undula.core.errors import InputError, StorageError
from undula.devices.changes import compare, updated
from undula.devices.description import (
    DeviceEntry,
    check_devices,
    json_schema,
    load_device_file,
)
from undula.devices.export import device_keys, devices_text, save_by_tag, save_devices
from undula.devices.opening import open_configuration
from undula.devices.revisions import Revisions
from undula.devices.sim import SIMULATED_FILE

EXAMPLES = Path(__file__).parents[3] / "examples"
AXIS = "undula.devices.sim.SimPositioner"
NAMES = st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True).filter(str.isidentifier)
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)


def _entry(name: str, **keys: object) -> DeviceEntry:
    given = {"deviceClass": AXIS, "readoutPriority": "baseline", "enabled": True, **keys}
    return DeviceEntry.model_validate({"name": name, **given})


entries = st.builds(
    _entry,
    st.just("samx"),
    readoutPriority=st.sampled_from(["monitored", "baseline", "async", "on_request"]),
    enabled=st.booleans(),
    description=TEXT,
    deviceTags=st.lists(TEXT, unique=True, max_size=3),
    readOnly=st.booleans(),
    onFailure=st.sampled_from(["buffer", "retry", "raise"]),
    connectionTimeout=st.floats(0.1, 100),
    userParameter=st.dictionaries(TEXT, st.one_of(st.integers(), TEXT, st.none(), st.booleans())),
    deviceConfig=st.fixed_dictionaries(
        {}, optional={"delay": st.floats(0, 9), "limits": st.just([-5, 5])}
    ),
)


@given(entries)
def test_what_is_written_is_read_back_equal(entry: DeviceEntry) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "devices.yaml"
        path.write_text(devices_text([entry]), encoding="utf-8")
        assert load_device_file(path).entries == (entry,)
        assert not compare([entry], load_device_file(path).entries)


@pytest.mark.parametrize(
    "path", [SIMULATED_FILE, *sorted(EXAMPLES.glob("*devices*.yaml"))], ids=lambda p: p.name
)
def test_real_device_files_survive_saving_whole_and_by_tag(path: Path, tmp_path: Path) -> None:
    file = load_device_file(path)
    save_devices(file.entries, tmp_path / "one.yaml")
    assert not compare(file.entries, load_device_file(tmp_path / "one.yaml").entries)
    written = save_by_tag(file.entries, tmp_path / "split")
    assert written[0].name == "main.yaml"
    assert not compare(file.entries, load_device_file(written[0]).entries)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "misc.yaml").write_text("mine")
    with pytest.raises(StorageError, match="is there already"):
        save_by_tag([_entry("samx")], tmp_path)
    assert not (tmp_path / "main.yaml").exists()


def test_a_change_names_each_difference_and_what_is_built_again() -> None:
    before = [_entry("samx"), _entry("samy"), _entry("gone"), _entry("gap", needs=["samy"])]
    after = [
        _entry("samx", readOnly=True),
        _entry("samy", deviceConfig={"delay": 1.0}),
        _entry("gap", needs=["samy"]),
        _entry("new"),
    ]
    change = compare(before, after)
    assert change.lines() == [
        "+ new",
        "- gone",
        "~ samx readOnly: False -> True",
        "~ samy deviceConfig.delay: None -> 1.0",
    ]
    assert set(change.rebuilt) == {"samy", "gap"}
    assert set(change.concerns) == {"gone", "samx", "samy", "gap"}
    assert not compare(after, after)


def test_an_update_reaches_inside_a_mapping_and_takes_keys_away() -> None:
    entry = _entry("samx", deviceConfig={"delay": 1.0, "limits": [0, 1]}, description="stage")
    keys = updated(entry, {"deviceConfig.limits": [-5, 5], "description": None, "readOnly": True})
    changed = check_devices({"samx": keys}, "update").entries[0]
    assert changed.device_config == {"delay": 1.0, "limits": [-5, 5]}
    assert (changed.description, changed.read_only) == ("", True)


def test_the_schema_takes_what_the_check_takes() -> None:
    schema = json_schema()
    devices = {e.name: device_keys(e) for e in load_device_file(SIMULATED_FILE).entries}
    jsonschema.validate(devices, schema)
    jsonschema.validate({"optics": "optics.yaml"}, schema)
    for wrong in (
        {"samx": {"enabled": True}},
        {"sam-x": {}},
        {"samx": {**devices["samx"], "x": 1}},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


def test_revisions_are_device_files_with_who_and_when(tmp_path: Path) -> None:
    kept = Revisions(tmp_path / "r")
    assert kept.last() is None
    first = kept.add([_entry("samx")], user="anna", action="load", source="a.yaml", digest="1")
    second = kept.add([_entry("samy")], user="ben", action="undo", source="a.yaml", digest="1")
    assert (second.number, second.base) == (2, 1)
    assert kept.last() == second
    assert kept.all() == [first, second]
    assert kept.load(1).entries == (_entry("samx"),)
    kept.path(2).write_text("half a fi")
    assert kept.last() == first
    with pytest.raises(InputError, match="there are 1 to 2"):
        kept.get(7)
    assert kept.add([], user="", action="x", source="", digest="").number == 3


def _opened(path: Path, kept: Revisions) -> tuple[list[str], int, str]:
    opening = open_configuration(path, kept)
    return [e.name for e in opening.file.entries], opening.revision.number, opening.problem


def test_changes_made_at_run_time_hold_until_the_file_is_edited(tmp_path: Path) -> None:
    path, kept = tmp_path / "devices.yaml", Revisions(tmp_path / "r")
    path.write_text(devices_text([_entry("samx")]))
    assert _opened(path, kept) == (["samx"], 1, "")
    assert _opened(path, kept) == (["samx"], 1, "")
    both = [_entry("samx"), _entry("samy")]
    digest = load_device_file(path).digest
    kept.add(both, user="anna", action="add samy", source=str(path), digest=digest, edited=True)
    assert _opened(path, kept) == (["samx", "samy"], 2, "")
    path.write_text(devices_text([_entry("samz")]))
    names, number, problem = _opened(path, kept)
    assert (names, number) == (["samz"], 3)
    assert "no longer hold" in problem
    path.write_text("samz: 3\n")
    names, number, problem = _opened(path, kept)
    assert (names, number) == (["samz"], 3)
    assert "devices.yaml:1: samz is not a mapping" in problem
