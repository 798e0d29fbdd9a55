"""What a beamline wants runs to say, and files that describe it: every fault at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from undula.core.described import parse_described
from undula.core.errors import ConfigError, InputError
from undula.scans.metadata_schema import MetadataCheck, MetadataSchema, faults_of

SCHEMA = """
other_keys: false
keys:
  proposal: {pattern: 'p\\d{4,6}', required: true, example: p12345, description: your proposal}
  sample.name: {required_for: ["*scan", count]}
  element: {choices: [Fe, Cu]}
  temperature_K: {type: number, minimum: 0, maximum: 400, unit: K}
  frames: {type: integer}
  dry: {type: yes/no}
"""


def schema() -> MetadataSchema:
    return parse_described(SCHEMA, "metadata_schema.yaml", MetadataSchema)


def test_metadata_that_says_all_is_let_through() -> None:
    said = {"proposal": "p12345", "sample": {"name": "Fe2O3", "mass": 3}, "element": "Cu",
            "temperature_K": 4, "frames": 2, "dry": True, "scan_group": {}}  # fmt: skip
    assert faults_of(schema(), said, "grid_scan") == []
    assert faults_of(schema(), {"proposal": "p1234"}, "ct") == []
    assert faults_of(schema(), {"proposal": "p1234", "sample": "Fe2O3"}, "scan") == []


def test_every_fault_is_told_at_once_with_what_to_do() -> None:
    said = {"proposal": "x", "element": "Ni", "temperature_K": float("nan"), "frames": 2.5,
            "dry": 1, "elemnt": "Fe"}  # fmt: skip
    found = faults_of(schema(), said, "scan")
    assert [fault.split()[0] for fault in found] == [
        "proposal", "sample.name", "element", "temperature_K", "frames", "dry", "there",
    ]  # fmt: skip
    assert found[0].endswith("Remedy: give a text of the form p\\d{4,6}, e.g. 'p12345'.")
    assert "0..400 in K" in found[3]
    assert "did you mean element" in found[-1]


def test_a_change_for_further_runs_needs_not_be_whole() -> None:
    assert faults_of(schema(), {"element": "Fe"}, None) == []
    assert len(faults_of(schema(), {"element": 3}, None)) == 1


def test_the_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "metadata_schema.yaml"
    check = MetadataCheck(path)
    check.check({}, "scan")
    path.write_text(SCHEMA)
    with pytest.raises(InputError) as refused:
        check.check({"element": "Ni"}, "scan")
    assert len(refused.value.details) == 4
    assert "metadata: proposal is missing (your proposal)" in str(refused.value)
    path.write_text("keys:\n  sample: {typ: text, minimum: 3}\n")
    os.utime(path, ns=(1, 1))
    with pytest.raises(ConfigError) as wrong:
        check.check({}, "scan")
    assert str(wrong.value).startswith("metadata_schema.yaml:2: there is no key typ")
    path.unlink()
    check.check({}, "scan")


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("keys: {a: {type: number}}\nkeys: {}\n", 2, "keys stands twice"),
        ("other_keys: true\n", 1, "the file lacks keys"),
        ("keys:\n  a:\n    type: nmber\n", 3, "keys.a.type: 'nmber' is none of text, number"),
        ("keys:\n  a: {pattern: '('}\n", 2, "is no pattern"),
        ("keys:\n  a: {minimum: 1}\n", 2, "only a number has"),
        ("keys:\n\tb: 1\n", 2, "YAML"),
        ("- 1\n", 1, "1] is not a table of keys"),
    ],
)
def test_a_fault_of_a_file_is_told_with_its_line(text: str, line: int, what: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        parse_described(text, "s.yaml", MetadataSchema)
    assert any(d.startswith(f"s.yaml:{line}: ") and what in d for d in wrong.value.details), (
        wrong.value.details
    )
    assert all("Remedy: " in d for d in wrong.value.details)
