"""Which runs a key in brackets means, and when the archive of a run is there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from undula.catalogue import QueueItemRecord, RunRecord, SqliteCatalogue
from undula.client.chosen import archived
from undula.client.runs import Runs
from undula.core.errors import InputError
from undula.messages import ItemFinished


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[SqliteCatalogue]:
    """Runs 1, 2, 3, 5, 6; none is archived."""
    made = SqliteCatalogue(tmp_path / "c.sqlite")
    for number in (1, 2, 3, 5, 6):
        made.open_run(RunRecord(uid=f"u{number}", number=number, item_id=f"i{number}"))
    yield made
    made.close()


@pytest.fixture
def runs(tmp_path: Path, catalogue: SqliteCatalogue) -> Runs:
    assert catalogue.runs()
    return Runs(tmp_path / "c.sqlite")


@pytest.mark.parametrize(
    ("part", "numbers"),
    [
        (slice(2, 6), [2, 3, 5]),
        (slice(5, None), [5, 6]),
        (slice(None, 3), [1, 2]),
        (slice(None), [1, 2, 3, 5, 6]),
        (slice(-2, None), [5, 6]),
        (slice(-4, -1), [2, 3, 5]),
        (slice(None, -3), [1, 2]),
        (slice(1, 7, 2), [1, 3, 6]),
        (slice(None, None, -1), [6, 5, 3, 2, 1]),
        (slice(40, 50), []),
        (slice(-100, None), [1, 2, 3, 5, 6]),
    ],
)
def test_a_slice_is_a_list_of_runs_by_number_or_by_place_from_the_newest(
    runs: Runs, part: slice, numbers: list[int]
) -> None:
    assert [run.number for run in runs[part]] == numbers


@pytest.mark.parametrize("part", [slice(2, 4), slice(-4, -3), slice(None, -4)])
def test_a_slice_reads_only_the_runs_that_it_gives(
    runs: Runs, catalogue: SqliteCatalogue, part: slice
) -> None:
    given = [run.number for run in runs[part]]
    with catalogue.writing() as db:  # whoever reads another one fails
        others = ",".join(str(n) for n in (1, 2, 3, 5, 6) if n not in given)
        db.execute(f"UPDATE runs SET metadata = 'no JSON' WHERE number IN ({others})")
    with pytest.raises(ValueError, match="Expecting value"):
        _ = runs[:]
    assert [run.number for run in runs[part]] == given != []


@pytest.mark.parametrize("key", [2.5, None, True, slice(1.5, None), slice(1, -1), slice(1, 5, 0)])
def test_what_is_no_whole_number_is_refused_with_a_way_to_ask(runs: Runs, key: Any) -> None:
    with pytest.raises(InputError, match=r"Remedy: .*runs\["):
        runs[key]


def test_a_number_of_numpy_and_a_uid_are_keys_too(runs: Runs) -> None:
    assert (runs[np.int64(5)].number, runs[-1].number, runs["u3"].number) == (5, 6, 3)


def test_the_archive_of_a_scan_that_has_ended_is_waited_for(
    catalogue: SqliteCatalogue, tmp_path: Path
) -> None:
    run = catalogue.run(6)
    payload: dict[str, Any] = {"item": {}, "request": {}}
    catalogue.store_item(QueueItemRecord(item_id="i6", submitted=1.0, payload=payload))
    waited: list[float] = []
    with pytest.raises(InputError, match="run 6 has no archive yet"):
        archived(run, catalogue, waited.append)
    assert not waited, "it still runs: nothing is waited for"
    catalogue.finish_item(ItemFinished(item_id="i6", exit_status="success", time=2.0))
    path = str(tmp_path / "6.docs")

    def written(_: float) -> None:
        waited.append(1.0)
        if len(waited) == 3:
            catalogue.close_run(
                "u6", exit_status="success", reason="", end_time=2.0, path="", num_events={},
                archive_path=path,
            )  # fmt: skip

    assert archived(run, catalogue, written).archive_path == path
    assert len(waited) == 3
