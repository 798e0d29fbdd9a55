"""Which runs a filter finds, against a naive look at each of them; notes; tables of before."""

from __future__ import annotations

import math
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from undula.catalogue import (
    Condition,
    RunFilter,
    RunRecord,
    SqliteCatalogue,
    keyword_conditions,
    parse_condition,
)
from undula.catalogue.filters import FEW
from undula.catalogue.scan_folder import read_notes, write_notes
from undula.client.runs import Runs
from undula.core.errors import InputError
from undula.messages import FitParameter, FitResult, RunNote

WORDS = st.sampled_from(["Fe", "fe2o3", "ärger", "100%_good", "a.b", "", "26"])
VALUES = st.one_of(
    WORDS, st.integers(-3, 3), st.sampled_from([0.5, 1e300, math.inf, math.nan]), st.booleans(),
    st.none(), st.lists(st.sampled_from(["Fe", "Cu", 1, 2.0]), max_size=3),
)  # fmt: skip
NAMED = st.one_of(WORDS, st.builds(lambda name: {"name": name, "mass": 2}, WORDS))
PLACES = (
    "sample", "sample.name", "sample.mass", "proposal", "proposal.name", "proposal.mass",
    "element", "scan.edge", "scan.deep", "scan_group.name", "scan_group.uid",
)  # fmt: skip
SAID = st.sampled_from(["tag:good", "tag:bad", "untag:good", "comment:Ärger"])
METADATA = st.fixed_dictionaries(
    {},
    optional={
        "sample": NAMED,
        "proposal": NAMED,
        "element": VALUES,
        "hints": NAMED,
        "scan": st.dictionaries(st.sampled_from(["edge", "deep"]), VALUES, max_size=2),
        "scan_group": st.builds(lambda n: {"name": n, "uid": "g-" + n}, WORDS),
    },
)
RUNS = st.lists(
    st.fixed_dictionaries(
        {
            "plan": st.sampled_from(["scan", "count"]),
            "command": st.sampled_from(["scan samx 0 1", "ct", "SCAN Fe"]),
            "user": st.sampled_from(["ada", "bo"]),
            "devices": st.lists(st.sampled_from(["samx", "diode"]), unique=True),
            "start_time": st.integers(0, 9).map(float),
            "exit_status": st.sampled_from(["open", "success", "fail"]),
            "metadata": METADATA,
            "said": st.lists(SAID, max_size=4),
        }
    ),
    max_size=8,
)
HOW = st.sampled_from(["eq", "ne", "gt", "ge", "lt", "le", "contains"])
WITH = st.one_of(st.sampled_from(["Fe", "Cu", "26", "ä"]), st.integers(-2, 3), st.booleans())
CONDITIONS = st.builds(
    Condition,
    key=st.sampled_from(["element", "scan.edge", "sample", "sample.name", "nowhere"]),
    comparison=HOW,
    value=WITH,
)
FILTERS = {
    "text": st.sampled_from(["fe", "Ärger", "%_", "samx", "edge", "nothing"]),
    "device": st.sampled_from(["samx", "cam"]),
    "plan": st.sampled_from(["scan", "count"]),
    "since": st.integers(0, 9),
    "until": st.integers(0, 9),
    "status": st.sampled_from(["open", "success", "abort"]),
    "group": st.sampled_from(["Fe", "g-Fe"]),
    "tag": st.sampled_from(["good", "bad"]),
    "sample": WORDS,
    "proposal": WORDS,
    "user": st.sampled_from(["ada", "eve"]),
    "where": st.lists(CONDITIONS, min_size=1, max_size=2).map(tuple),
}
SOME = st.lists(st.sampled_from(sorted(FILTERS)), max_size=5, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: FILTERS[name] for name in names})
)


def plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def values_at(metadata: dict[str, Any], key: str) -> list[Any]:
    found: Any = metadata
    for part in key.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    if isinstance(found, dict) or found is None:
        return []
    return found if isinstance(found, list) else [found]


def number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def holds(condition: Condition, value: Any) -> bool:
    wanted, how = condition.value, condition.comparison
    if how == "contains":
        return plain(wanted).lower() in plain(value).lower()
    if number(wanted):
        if how == "ne":
            return not number(value) or value != wanted
        if not number(value):
            return False
        left, right = value, wanted
    else:
        if how in ("gt", "ge", "lt", "le") and number(value):
            return False
        left, right = plain(value), plain(wanted)
    return {
        "eq": left == right, "ne": left != right, "gt": left > right, "ge": left >= right,
        "lt": left < right, "le": left <= right,
    }[how]  # fmt: skip


def fits(run: RunRecord, said: list[str], wanted: RunFilter) -> bool:
    tags = set[str]()
    for word in said:
        kind, _, text = word.partition(":")
        if kind != "comment":
            (tags.add if kind == "tag" else tags.discard)(text)
    comments = [word.partition(":")[2] for word in said if word.startswith("comment")]
    named = {}
    for key in ("sample", "proposal"):
        given = run.metadata.get(key)
        named[key] = given["name"] if isinstance(given, dict) else given
    group = run.metadata.get("scan_group") or {}
    metadata = {k: v for k, v in run.metadata.items() if k != "hints"}
    words = [run.command, run.plan, run.user, run.path, *tags, *comments]
    for key in PLACES:
        for value in values_at(metadata, key):
            words += [key, plain(value)]
    equal = {"plan": run.plan, "status": run.exit_status, "user": run.user, **named}
    return (
        (wanted.text is None or any(wanted.text.casefold() in w.casefold() for w in words))
        and all(getattr(wanted, k) in (None, v) for k, v in equal.items())
        and (wanted.device is None or wanted.device in run.devices)
        and (wanted.tag is None or wanted.tag in tags)
        and (wanted.group is None or wanted.group in group.values())
        and (wanted.since is None or run.start_time >= wanted.since)
        and (wanted.until is None or run.start_time <= wanted.until)
        and all(any(holds(c, value) for value in values_at(metadata, c.key)) for c in wanted.where)
    )


@settings(max_examples=200, deadline=None)
@given(runs=RUNS, wanted=st.lists(SOME, min_size=1, max_size=12), few=st.sampled_from([0, 2, FEW]))
def test_a_filter_finds_what_a_look_at_each_run_finds(
    runs: list[dict[str, Any]], wanted: list[dict[str, Any]], few: int
) -> None:
    catalogue = SqliteCatalogue(":memory:")
    catalogue.few = few  # both ways of looking
    known = []
    for at, fields in enumerate(runs, start=1):
        said = fields.pop("said")
        run = RunRecord(uid=f"u{at}", number=at, **fields)
        catalogue.open_run(run)
        notes = [RunNote(kind=w.partition(":")[0], text=w.partition(":")[2]) for w in said]  # type: ignore[arg-type]
        if notes:
            catalogue.add_notes(run.uid, notes)
        known.append((run, said))
    for given_filter in wanted:
        expected = [r.number for r, said in known if fits(r, said, RunFilter(**given_filter))]
        found = [r.number for r in catalogue.runs(**given_filter)]
        assert found == expected[::-1]
        assert [r.number for r in catalogue.runs(limit=2, **given_filter)] == found[:2]
    catalogue.close()


@settings(max_examples=100, deadline=None)
@given(
    values=st.lists(VALUES, min_size=1, max_size=6),
    wanted=st.lists(st.builds(Condition, key=st.just("x"), comparison=HOW, value=WITH), min_size=9),
)
def test_a_condition_compares_numbers_with_numbers_and_texts_with_texts(
    values: list[Any], wanted: list[Condition]
) -> None:
    catalogue = SqliteCatalogue(":memory:")
    runs = [
        RunRecord(uid=f"u{i}", number=i + 1, metadata={"x": v}, plan="scan")
        for i, v in enumerate(values)
    ]
    for run in runs:
        catalogue.open_run(run)
    for one in wanted:
        expected = [r.number for r in runs if fits(r, [], RunFilter(where=(one,)))]
        assert [r.number for r in catalogue.runs(where=(one,))] == expected[::-1], one
        among_few = catalogue.runs(where=(one,), plan="scan")
        assert [r.number for r in among_few] == expected[::-1], one
    catalogue.close()


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "catalogue.sqlite"
    db = sqlite3.connect(path)
    db.executescript(Path(__file__).with_name("tables_before_filters.sql").read_text())
    db.close()
    return path


def test_many_equalities_at_once_find_the_one_run(old: Path) -> None:
    catalogue = SqliteCatalogue(old)
    asked: dict[str, Any] = {"plan": "scan", "device": "samx", "status": "success", "user": "ada",
                             "sample": "Fe2O3", "proposal": "p1", "group": "g1"}  # fmt: skip
    assert [r.number for r in catalogue.runs(**asked)] == [1]
    for key in asked:
        assert catalogue.runs(**{**asked, key: "abort" if key == "status" else "other"}) == []
    catalogue.close()


def test_comments_and_kept_fits_of_before_are_found_after_the_tables_have_changed(
    old: Path,
) -> None:
    before = SqliteCatalogue(old)
    width = FitParameter(name="fwhm", value=0.1, error=0.01)
    fit = FitResult(model="gaussian", signal="diode", axis="samx", parameters=[width])
    notes = [
        RunNote(kind="comment", text="beam lost", author="ada", time=1.0),
        RunNote(kind="fit", text="gaussian", author="ada", time=2.0, fit=fit),
    ]
    before.add_notes("a1", notes)
    before.close()
    for version in (2, 3):  # tables whose keys did not hold what stands in notes
        db = sqlite3.connect(old)
        db.execute("DELETE FROM run_keys WHERE key LIKE 'md.fit%' OR key = 'md.comment'")
        if version == 2:
            db.execute("DROP INDEX items_finished")
        db.execute(f"PRAGMA user_version={version}")
        db.commit()
        db.close()
        catalogue = SqliteCatalogue(old)
        for asked in ("fit.fwhm<0.2", "comment~beam"):
            found = catalogue.runs(where=(parse_condition(asked),))
            assert [run.number for run in found] == [1], (version, asked)
        assert {"comment", "fit.fwhm", "fit.model"} <= set(catalogue.metadata_keys())
        assert catalogue.notes("a1") == notes
        catalogue.close()


def test_a_history_of_before_is_found_by_all_filters(old: Path) -> None:
    catalogue = SqliteCatalogue(old)
    for filters in (
        {"sample": "Fe2O3"}, {"group": "knife"}, {"device": "samx"}, {"text": "FE2o3"},
        {"where": (parse_condition("temperature_K>4"),)}, {"status": "success", "user": "ada"},
    ):  # fmt: skip
        assert [r.number for r in catalogue.runs(**filters)] == [1], filters  # type: ignore[arg-type]
    assert [r.number for r in catalogue.runs(text="größe")] == [2]
    assert catalogue.run(1).tags == []
    catalogue.close()
    again = SqliteCatalogue(old)
    assert len(again.runs()) == 2
    assert again.allocate_number(old.parent) == 3
    again.close()


def test_a_run_closed_later_is_found_by_its_new_words(old: Path) -> None:
    catalogue = SqliteCatalogue(old)
    catalogue.add_notes("b2", [RunNote(kind="comment", text="beam was lost"),
                               RunNote(kind="tag", text="again")])  # fmt: skip
    catalogue.close_run(
        "b2", exit_status="fail", reason="no beam", end_time=9.0, path="/d/2.nxs", num_events={},
        archive_path="",
    )  # fmt: skip
    for filters in (
        {"status": "fail"},
        {"text": "no beam"},
        {"text": "was lost"},
        {"tag": "again"},
    ):
        assert [r.number for r in catalogue.runs(**filters)] == [2], filters  # type: ignore[arg-type]
    assert catalogue.runs(status="open") == []
    catalogue.close()


def test_conditions_are_read_as_people_write_them() -> None:
    assert parse_condition("scan.edge = Fe K") == Condition(key="scan.edge", value="Fe K")
    assert parse_condition("n>=2").comparison == "ge"
    assert keyword_conditions({"a__b__gt": 1, "c": True}) == (
        Condition(key="a.b", comparison="gt", value=1),
        Condition(key="c", value=True),
    )
    with pytest.raises(InputError, match="no condition"):
        parse_condition("temperature")
    with pytest.raises(InputError, match="cannot be compared"):
        keyword_conditions({"roi": [1, 2]})


def test_notes_beside_a_file_come_back_without_a_damaged_line(tmp_path: Path) -> None:
    path = tmp_path / "00001_scan.nxs"
    notes = [RunNote(kind="comment", text="Größe\nzwei", author="ada", time=1.5),
             RunNote(kind="tag", text="good", author="bo", time=2.0)]  # fmt: skip
    place = write_notes(path, notes)
    assert read_notes(path) == notes
    place.write_text(place.read_text() + '{"kind": "tag", "te')
    assert read_notes(path) == notes
    assert read_notes(tmp_path / "00002_scan.nxs") == []


def test_kept_fits_and_comments_are_found_by_key_and_a_key_that_no_run_has_is_told() -> None:
    catalogue = SqliteCatalogue(":memory:")
    runs = Runs(Path("unused"))
    runs._open = catalogue
    for number in (1, 2):
        metadata = {"temperature_K": number, "scan": {"edge": "Fe"}}
        catalogue.open_run(RunRecord(uid=f"u{number}", number=number, metadata=metadata))
    parameters = [FitParameter(name="gaussian_fwhm", value=0.1)]
    fit = FitResult(model="gaussian(sigma=(0, 1)) + linear", parameters=parameters)
    note = RunNote(kind="fit", text="a fit", fit=fit)
    catalogue.add_notes("u2", [note, RunNote(kind="comment", text="no beam")])

    assert [run.number for run in runs.search(fit__fwhm__lt=0.2)] == [2]
    assert [run.number for run in runs.search(where="fit.gaussian_fwhm<0.2")] == [2]
    assert [run.number for run in runs.search(comment__contains="beam")] == [2]
    assert runs.search(fit__fwhm__gt=0.2).hint == ""
    assert {"scan.edge", "temperature_K", "fit.fwhm"} <= set(catalogue.metadata_keys())
    found = runs.search(tempreature_K=1)
    assert repr(found) == "no run has the key tempreature_K; did you mean temperature_K?"
    assert runs.search(nonsense=1).hint == "no run has the key nonsense"
