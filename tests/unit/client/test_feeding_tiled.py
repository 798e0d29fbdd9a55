"""Imported runs on their way to Tiled: one without archive holds up none behind it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from undula.bus.endpoints import RUNS_OPENED
from undula.bus.memory import MemoryBroker, MemoryConnector
from undula.catalogue import RunRecord, SqliteCatalogue
from undula.client.runs import Runs
from undula.client.tiled_feed import TiledFeed
from undula.messages import RunOpened


class Container(dict[str, Any]):
    """What Tiled holds, and what it was asked for."""

    def __init__(self, held: dict[str, Any]) -> None:
        super().__init__(held)
        self.asked: list[object] = []

    def __contains__(self, uid: object) -> bool:
        self.asked.append(uid)
        return super().__contains__(uid)


def test_an_imported_run_without_archive_is_told_of_once_and_the_next_one_is_fed(
    tmp_path: Path,
) -> None:
    catalogue = SqliteCatalogue(tmp_path / "c.sqlite")
    bus = MemoryConnector(MemoryBroker())
    for number, uid in enumerate(("bare", "lost", "whole"), 1):
        catalogue.open_run(RunRecord(uid=uid, number=number))
        if uid != "bare":  # that one was never closed
            catalogue.close_run(
                uid, exit_status="success", reason="", end_time=1.0, path="", num_events={},
                archive_path=str(tmp_path / uid),
            )  # fmt: skip
        bus.append(
            RUNS_OPENED,
            RunOpened(
                uid=uid, number=number, plan_name="", command="", path="", time=0.0, imported=True
            ),
        )
    catalogue.close()
    tiled = Container({"whole": SimpleNamespace(metadata={"stop": {}})})
    runs, told = Runs(tmp_path / "c.sqlite"), list[str]()
    feed = TiledFeed(tiled, bus, told.append, run_of=lambda uid: runs[uid])
    feed.step()
    feed.step()
    assert [text.partition(":")[0] for text in told] == [
        "run 1 is not in Tiled",
        "run 2 is not in Tiled",
    ]
    assert tiled.asked == ["lost", "whole"]
