"""The page of `beamline.yaml` follows from the settings, and its examples load."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from undula.core import settings_reference as reference
from undula.core.errors import ConfigError
from undula.core.settings import BeamlineSettings, load_settings

PROJECT = Path(__file__).parents[3]


def fields(model: type[BaseModel] = BeamlineSettings) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        group = reference.group_of(field)
        yield from fields(group) if group is not None else [(f"{model.__name__}.{name}", field)]


@pytest.mark.parametrize("path", sorted(reference.PAGES))
def test_the_committed_file_is_what_the_settings_say(path: Path) -> None:
    text = (PROJECT / path).read_text(encoding="utf-8")
    assert text == reference.PAGES[path](), "run: python -m undula.core.settings_reference --write"


def test_the_files_are_written_and_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert reference.main([]) == 1
    assert reference.main(["--write"]) == 0
    assert reference.main([]) == 0


@pytest.mark.parametrize(("name", "field"), fields(), ids=lambda v: v if isinstance(v, str) else "")
def test_every_setting_is_described_and_has_an_example(name: str, field: FieldInfo) -> None:
    assert field.description, name
    assert field.examples, name


def test_all_examples_together_are_settings_that_load(tmp_path: Path) -> None:
    example = reference.examples()
    (tmp_path / "beamline.yaml").write_text(yaml.safe_dump(example))
    loaded = load_settings(tmp_path / "beamline.yaml").model_dump(mode="json")
    assert loaded == example
    jsonschema.validate(example, json.loads(reference.schema_text()))
    (tmp_path / "beamline.yaml").write_text(yaml.safe_dump({**example, "nonsense": 1}))
    with pytest.raises(ConfigError, match="nonsense"):
        load_settings(tmp_path / "beamline.yaml")
