"""The page of the catalogue and its pictures follow from the code."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from undula.devices.sim import SIMULATED_FILE
from undula.plans import FORMS, parse_form, reference
from undula.plans.picture import svg
from undula.plans.reference import words_of
from undula.testing.scan_house import ScanHouse

PROJECT = Path(__file__).parents[3]


def test_the_committed_page_and_pictures_are_what_the_code_says() -> None:
    pages = reference.pages()
    folder = PROJECT / reference.FOLDER / reference.PICTURES
    assert {p.name for p in folder.iterdir()} == {p.name for p in pages if p.suffix == ".svg"}
    for page, text in pages.items():
        committed = (PROJECT / page).read_text(encoding="utf-8")
        assert committed == text, f"{page}: run python -m undula.plans.reference --write"


def test_the_page_has_every_plan() -> None:
    page = reference.pages()[reference.FOLDER / "plan_catalogue.md"]
    assert all(f"### `{name}`" in page for name in FORMS)


def test_a_picture_is_an_svg_with_a_dot_for_each_point() -> None:
    form = parse_form("grid_scan", ["y", 0, 1, 3, "x", 0, 1, 4], {"snake_axes": True})
    root = ET.fromstring(svg(form))
    dots = next(e for e in root.iter() if e.tag.endswith("path")).attrib["d"]
    line = next(e for e in root.iter() if e.tag.endswith("polyline")).attrib["points"]
    assert dots.count("M") == 12
    assert len(line.split()) == 12


def test_the_pages_are_written_and_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert reference.main([]) == 1
    assert reference.main(["--write"]) == 0
    assert reference.main([]) == 0


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScanHouse]:
    """What `undula up` gives without a device file of one's own."""
    made = ScanHouse(tmp_path_factory.mktemp("house"), SIMULATED_FILE.read_text())
    yield made
    made.close()


@pytest.mark.parametrize("name", sorted(FORMS))
def test_the_simulated_beamline_takes_every_example(simulated: ScanHouse, name: str) -> None:
    words, named = words_of(FORMS[name])
    seconds = named.pop("time", None)
    checked = simulated.check(name, *words, kwargs=named, count_time_s=seconds)
    assert checked.axes or checked.detectors or checked.parts
