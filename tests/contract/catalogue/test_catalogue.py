"""What every catalogue does: on a file and on its twin in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from undula.catalogue import Catalogue, QueueItemRecord, RunRecord, SqliteCatalogue
from undula.catalogue.numbers import MOST
from undula.core.errors import InputError, StorageError
from undula.messages import ItemFinished, RunNote
from undula.scans.continued import refuse_unfit


@pytest.fixture(params=["file", "memory"])
def catalogue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Catalogue]:
    place = tmp_path / "state" / "c.sqlite" if request.param == "file" else ":memory:"
    made = SqliteCatalogue(place)
    yield made
    made.close()


def run(number: int, **fields: object) -> RunRecord:
    values = {"uid": f"uid-{number:03d}", "number": number, "plan": "scan", "start_time": number}
    return RunRecord.model_validate(values | fields)


def close(catalogue: Catalogue, number: int, status: str = "success") -> None:
    catalogue.close_run(
        f"uid-{number:03d}",
        exit_status=status,  # type: ignore[arg-type]
        reason="beam lost" if status == "fail" else "",
        end_time=99.0,
        path="/d/a.nxs",
        num_events={"primary": 21, "baseline": 2},
        archive_path="/d/a.nxs.docs",
    )


def test_numbers_ascend_and_are_never_given_twice(catalogue: Catalogue, tmp_path: Path) -> None:
    given: list[int] = []
    lock = threading.Lock()

    def take() -> None:
        for _ in range(10):
            number = catalogue.allocate_number(tmp_path)
            with lock:
                given.append(number)

    threads = [threading.Thread(target=take) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(given) == list(range(1, 31))


def test_a_number_is_above_every_file_of_the_data_folder(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    folder = tmp_path / "data" / "p1" / "gold"
    folder.mkdir(parents=True)
    (folder / "00041_scan.nxs").touch()
    (folder / "00099_notes.txt").touch()
    assert catalogue.allocate_number(tmp_path / "data") == 42
    assert catalogue.allocate_number(tmp_path / "data") == 43


def test_a_number_is_not_given_again_after_a_restart(tmp_path: Path) -> None:
    first = SqliteCatalogue(tmp_path / "c.sqlite")
    assert first.allocate_number(tmp_path) == 1
    first.close()
    second = SqliteCatalogue(tmp_path / "c.sqlite")
    assert second.allocate_number(tmp_path) == 2
    second.close()


def test_a_run_is_open_until_it_is_closed(catalogue: Catalogue) -> None:
    catalogue.open_run(run(1, num_points=21))
    assert [r.number for r in catalogue.open_runs()] == [1]
    close(catalogue, 1)
    close(catalogue, 1)
    assert catalogue.open_runs() == []
    kept = catalogue.run(1)
    assert (kept.exit_status, kept.num_points, kept.path) == ("success", 21, "/d/a.nxs")
    assert kept.archive_path == "/d/a.nxs.docs"


def test_a_taken_number_or_uid_is_refused(catalogue: Catalogue) -> None:
    catalogue.open_run(run(1))
    with pytest.raises(StorageError):
        catalogue.open_run(run(1, uid="another"))
    with pytest.raises(InputError):
        close(catalogue, 7)


def test_runs_are_found_by_each_filter(catalogue: Catalogue) -> None:
    catalogue.open_run(run(1, command="scan samx -1 1 5", devices=["samx", "bpm4i"]))
    catalogue.open_run(run(2, plan="count", devices=["cam"], metadata={"note": "100%_good"}))
    catalogue.open_run(run(3, user="ada"))
    close(catalogue, 1, "fail")

    def numbers(**filters: object) -> list[int]:
        return [r.number for r in catalogue.runs(**filters)]  # type: ignore[arg-type]

    assert numbers() == [3, 2, 1]
    assert numbers(limit=2) == [3, 2]
    assert numbers(text="samx") == [1]
    assert numbers(text="100%_g") == [2]
    assert numbers(text="%") == [2]
    assert numbers(text="beam lost") == [1]
    assert numbers(device="cam") == [2]
    assert numbers(plan="count") == [2]
    assert numbers(since=2.0) == [3, 2]
    assert numbers(until=2.0, plan="scan") == [1]
    assert numbers(status="open") == [3, 2]


def test_a_run_is_found_by_number_uid_its_beginning_and_from_the_end(
    catalogue: Catalogue,
) -> None:
    for number in (1, 2, 12):
        catalogue.open_run(run(number))
    assert catalogue.run(12).uid == "uid-012"
    assert catalogue.run("uid-01").number == 12
    assert catalogue.nth_last(-1).number == 12
    assert catalogue.nth_last(-3).number == 1
    for missing in (7, "nothing", "uid-0"):
        with pytest.raises(InputError, match="Remedy"):
            catalogue.run(missing)
    for index in (0, -4):
        with pytest.raises(InputError):
            catalogue.nth_last(index)


def test_the_queue_keeps_its_order_and_how_items_ended(catalogue: Catalogue) -> None:
    for name in ("a", "b", "c"):
        catalogue.store_item(QueueItemRecord(item_id=name, payload={"plan": "scan", "args": [1]}))
    assert [i.item_id for i in catalogue.items()] == ["a", "b", "c"]
    assert catalogue.remove_item("b")
    assert not catalogue.remove_item("b")
    catalogue.finish_item(
        ItemFinished(item_id="a", exit_status="success", run_uids=["u"], run_numbers=[5], time=1.0)
    )
    assert [i.item_id for i in catalogue.items()] == ["c"]
    ended = catalogue.item("a")
    assert ended is not None
    assert (ended.exit_status, ended.run_numbers, ended.payload["args"]) == ("success", [5], [1])
    assert catalogue.item("nothing") is None


def test_two_processes_share_a_file(tmp_path: Path) -> None:
    engine, writer = SqliteCatalogue(tmp_path / "c.sqlite"), SqliteCatalogue(tmp_path / "c.sqlite")
    engine.open_run(run(engine.allocate_number(tmp_path)))
    close(writer, 1, "abort")
    assert engine.run(1).exit_status == "abort"
    engine.close()
    writer.close()


def test_a_file_that_is_no_catalogue_is_named(tmp_path: Path) -> None:
    (tmp_path / "c.sqlite").write_text("something else entirely, long enough to be looked at")
    with pytest.raises(StorageError, match=r"c\.sqlite"):
        SqliteCatalogue(tmp_path / "c.sqlite")


def test_a_run_completed_before_its_first_point_has_none_and_is_not_called_whole(
    catalogue: Catalogue,
) -> None:
    catalogue.open_run(run(1, num_points=11))
    catalogue.close_run(
        "uid-001",
        exit_status="success",
        reason="completed by ann after 0 of 11 points",
        end_time=2.0,
        path="/d/a.nxs",
        num_events={"baseline": 2, "steering": 1, "ring_monitor": 4},
        archive_path="",
    )
    found = catalogue.run("uid-001")
    assert found.points == 0
    with pytest.raises(InputError, match="after 0 of 11 points: it was ended early") as refused:
        refuse_unfit(found)
    assert refused.value.remedy == "measure all of it again: undula runs repeat 1"


@pytest.mark.parametrize("absurd", [2**63 - 1, 10**12])
def test_after_a_run_with_an_absurd_number_the_next_ones_go_on_from_before(
    tmp_path: Path, absurd: int
) -> None:
    place = tmp_path / "c.sqlite"
    earlier = SqliteCatalogue(place)
    earlier.open_run(run(earlier.allocate_number(tmp_path)))
    earlier.store_item(QueueItemRecord(item_id="i", run_numbers=[absurd]))
    earlier.open_run(run(absurd, start_time=2, item_id="i", metadata={"sample": "Fe"}))
    earlier.add_notes(f"uid-{absurd:03d}", [RunNote(kind="tag", text="good")])
    with earlier.writing() as db:
        db.execute("UPDATE counter SET number = ?", (absurd,))
    assert earlier.allocate_number(tmp_path) == 2
    earlier.close()

    with closing(SqliteCatalogue(place)) as reader:  # one that gives no numbers leaves it
        assert reader.run(f"uid-{absurd:03d}").number == absurd
    (tmp_path / "00041_scan.nxs").touch()
    with closing(SqliteCatalogue(place, tmp_path)) as mended:
        assert [each.number for each in mended.runs(limit=9)] == [42, 1]
        found = mended.run(42)
        assert (found.uid, found.tags) == (f"uid-{absurd:03d}", ["good"])
        assert [each.number for each in mended.runs(limit=9, tag="good")] == [42]
        kept = mended.item("i")
        assert kept is not None
        assert kept.run_numbers == [42]
        assert mended.allocate_number(tmp_path) == 43


def test_the_last_number_is_told_and_not_passed(catalogue: Catalogue, tmp_path: Path) -> None:
    catalogue.open_run(run(MOST))
    with pytest.raises(StorageError, match=f"run {MOST} is the last"):
        catalogue.allocate_number(tmp_path)
