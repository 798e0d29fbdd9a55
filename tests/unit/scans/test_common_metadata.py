"""Metadata that every further run has, kept in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from undula.core.errors import InputError, StorageError
from undula.core.settings import BeamlineSettings
from undula.messages import BeamlineMetadata, MetadataRequest, ScanRequest
from undula.scans.common_metadata import CommonMetadata

HEAD: dict[str, Any] = {"request_id": "r", "deadline": 2e9}


class Kept:
    """Metadata in a folder, and what was said of it."""

    def __init__(self, folder: Path) -> None:
        self.said: list[BeamlineMetadata] = []
        settings = BeamlineSettings(name="t", data=folder / "data")
        self.path = folder / "metadata.json"
        self.common = CommonMetadata(self.path, settings, self.said.append)

    def change(self, values: dict[str, Any], *remove: str) -> dict[str, Any]:
        return self.common.answer(
            MetadataRequest(**HEAD, action="change", values=values, remove=list(remove))
        )


def test_it_is_kept_and_says_where_the_next_file_goes(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    answer = kept.change({"sample": "Fe2O3", "temperature": 12.5})
    assert answer["next_file"].endswith("/data/no_proposal/Fe2O3/dataset/NNNNN_scan.nxs")
    assert [said.values for said in kept.said] == [{"sample": "Fe2O3", "temperature": 12.5}]

    again = Kept(tmp_path)
    assert again.common.shown().values == {"sample": "Fe2O3", "temperature": 12.5}
    assert again.change({"sample": "air"}, "temperature", "nothing")["values"] == {"sample": "air"}


def test_what_a_scan_says_itself_goes_first(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    asked = ScanRequest(**HEAD, plan="scan", metadata={"sample": "air", "mine": 1})
    assert kept.common.added(asked) is asked
    kept.change({"sample": "Fe2O3", "temperature": 12.5})
    assert kept.common.added(asked).metadata == {"sample": "air", "mine": 1, "temperature": 12.5}


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"uid": "x"}, "says its uid itself"),
        ({"hints": {}}, "says its hints itself"),
        ({"a.b": 1}, "is no key of metadata"),
        ({"sample": {"a/b": 1}}, "is no key of sample"),
        ({"": 1}, "is no key of metadata"),
        ({"owner": 3}, "owner: 3 is not of type"),
        ({"long": "x" * 70_000}, "64000 are allowed"),
    ],
)
def test_what_no_start_document_can_have_is_refused(
    tmp_path: Path, values: dict[str, Any], why: str
) -> None:
    kept = Kept(tmp_path)
    kept.change({"sample": "air"})
    with pytest.raises(InputError, match=why):
        kept.change(values, "sample")
    assert kept.common.shown().values == {"sample": "air"}
    assert len(kept.said) == 1


def test_a_damaged_file_is_left_out_and_a_full_disk_is_told(tmp_path: Path) -> None:
    (tmp_path / "metadata.json").write_text("{")
    kept = Kept(tmp_path)
    assert kept.common.shown().values == {}
    kept.path.with_suffix(".tmp").mkdir()
    with pytest.raises(StorageError, match="cannot be kept"):
        kept.change({"a": 1})
    assert kept.common.shown().values == {}


def test_what_an_earlier_program_let_in_takes_nothing_else_away(tmp_path: Path) -> None:
    (tmp_path / "metadata.json").write_text('{"sample": "air", "scan_id": 7, "parts": 2}')
    assert Kept(tmp_path).common.shown().values == {"sample": "air"}
