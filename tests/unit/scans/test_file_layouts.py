"""Which layout a run's file gets, from the shipped ones and a beamline's own."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from undula.core.described import parse_described
from undula.core.errors import ConfigError
from undula.messages.layouts import ChosenLayout, FileFields, FileLayout
from undula.scans.beamline_files import check_files
from undula.scans.file_layouts import FileLayouts, choose, shipped
from undula.scans.metadata_schema import MetadataSchema

ABOUT = {"mono": {"role": "energy"}, "theta": {"tags": ["rotation", "optics"]}, "cam": {}}


def test_shipped_layouts_name_their_definition_and_are_sound() -> None:
    found = {layout.name: layout for layout in shipped()}
    assert set(found) == {"NXscan", "NXxas", "NXtomo", "NXstxm"}
    for name, layout in found.items():
        assert layout.definition == name
        assert layout.description
        assert any(field.required for field in layout.fields)


@pytest.mark.parametrize(
    ("technique", "name"),
    [("XAS", "NXxas"), (["something", "nxtomo"], "NXtomo"), ({"name": "stxm"}, "NXstxm"),
     ("unheard-of", None), (None, None)],
)  # fmt: skip
def test_a_technique_chooses(technique: Any, name: str | None) -> None:
    layout = choose(shipped(), "scan", {"technique": technique})
    assert (layout.name if layout else None) == name


def test_a_rule_chooses_where_no_technique_is_said() -> None:
    text = "rule: {axes: [energy], detectors: [cam], dimensions: 1, plans: [scan]}\nfields: []\n"
    layout = parse_described(text, "l.yaml", FileLayout)
    start = {"devices": ABOUT, "motors": ["mono"], "detectors": ["cam"], "shape": [5]}
    assert choose([layout], "scan", start) is layout
    for wrong in ({"motors": ["theta"]}, {"detectors": []}, {"shape": [5, 5]},
                  {"technique": "other"}):  # fmt: skip
        assert choose([layout], "scan", start | wrong) is None
    assert choose([layout], "grid_scan", start) is None


def test_own_layouts_and_fields_are_taken_up_and_replace_shipped_ones(tmp_path: Path) -> None:
    layouts = FileLayouts(tmp_path)
    assert layouts.chosen("scan", {}) == {}
    (tmp_path / "file_layouts").mkdir()
    own = tmp_path / "file_layouts" / "NXxas.yaml"
    own.write_text("technique: [xas]\nfields:\n  - {path: note, value: ours}\n")
    (tmp_path / "file_fields.yaml").write_text("fields:\n  - {path: a/b, from: key x}\n")
    said = layouts.chosen("scan", {"technique": "xas"})["file_layout"]
    assert said == {
        "name": "NXxas", "definition": "",
        "fields": [{"path": "a/b", "from": ["key x"]}, {"path": "note", "value": "ours"}],
    }  # fmt: skip
    assert ChosenLayout.model_validate(said).fields[0].sources == ["key x"]
    assert layouts.chosen("scan", {})["file_layout"]["fields"] == said["fields"][:1]

    own.write_text(
        "fields:\n  - {path: /x, value: 1}\n  - {path: y}\n  - {path: z, from: axes 1}\n"
    )
    os.utime(own, ns=(1, 1))
    with pytest.raises(ConfigError) as wrong:
        layouts.check()
    assert [line.split(": ")[0] for line in wrong.value.details] == [
        "NXxas.yaml:2", "NXxas.yaml:3", "NXxas.yaml:4",
    ]  # fmt: skip
    assert layouts.chosen("scan", {"technique": "xas"})["file_layout"] == said


ROOT = Path(__file__).parents[3]


def test_the_examples_of_the_documentation_are_sound() -> None:
    blocks = {
        page: re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/how-to" / page).read_text(), re.DOTALL)
        for page in ("files-by-technique.md", "metadata-and-notes.md")
    }
    _, fields, layout = blocks["files-by-technique.md"]
    assert len(parse_described(fields, "f.yaml", FileFields).fields) == 6
    assert parse_described(layout, "l.yaml", FileLayout).rule
    (schema,) = blocks["metadata-and-notes.md"]
    assert parse_described(schema, "s.yaml", MetadataSchema).keys["dry"].type == "yes/no"


def test_a_technique_that_no_layout_is_for_is_told_with_what_was_meant(tmp_path: Path) -> None:
    layouts = FileLayouts(tmp_path)
    assert layouts.warnings({"technique": "xsa"}) == [
        "no file layout is for the technique 'xsa': did you mean xas?"
    ]
    for right in ("XAS", ["own word", "tomo"], None, ""):
        assert layouts.warnings({"technique": right}) == []


@pytest.mark.parametrize(
    ("field", "said"),
    [
        (
            "{path: a, class: NXfiltre}",
            "NXfiltre is no class of NeXus. Remedy: did you mean NXfilter",
        ),
        ("{path: a, class: NXfoo}", "NXfoo is no class of NeXus. Remedy: name a base class"),
        ("{path: a, from: class NXmonitr}", "did you mean NXmonitor"),
        (
            "{path: a, value: {b: 1}}",
            "{b: 1} is neither true or false, a number, a text nor a list",
        ),
        ("{path: a, from: axis 0, measures: angel}", "'angel' is none of angle, energy, length"),
        ("{path: a, class: [NXlog]}", "fields, item 1, class: ['NXlog'] is not a text"),
        ("{path: exit_status, value: great}", "each file says its exit_status itself"),
        ("{path: data/diode, value: 5}", "a constant among what is drawn"),
        ("3", "3 is not a table of keys"),
    ],
)
def test_a_field_that_would_be_ignored_is_a_fault(field: str, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)) as refused:
        parse_described(f"fields:\n  - {field}\n", "file_fields.yaml", FileFields)
    assert refused.value.where == "file_fields.yaml:2"
    assert "instance" not in str(refused.value)
    assert len(refused.value.details) == 1


def test_a_check_of_the_files_says_each_fault_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file_fields.yaml").write_text("fields: 3\n")
    with pytest.raises(ConfigError, match="3 is not a list"):
        check_files(tmp_path)
    assert "file_layouts_wrong" not in "".join(capfd.readouterr())
