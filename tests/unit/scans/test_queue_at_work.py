"""The queue with its worker in one process: what a beamline's settings make of it; many items."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from undula.core.errors import StorageError
from undula.messages import QueueRequest
from undula.scans.line import _places
from undula.scans.time_left import time_left
from undula.testing.scan_house import ScanHouse

DEVICES = """
samx: {deviceClass: undula.devices.sim.SimPositioner, readoutPriority: on_request, enabled: true}
diode: {deviceClass: undula.devices.sim.SimMonitor, readoutPriority: monitored, enabled: true}
"""

House = Callable[..., ScanHouse]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made: list[ScanHouse] = []

    def make(**settings: Any) -> ScanHouse:
        made.append(ScanHouse(tmp_path, DEVICES, **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


def _do(house: ScanHouse, action: Any, **fields: Any) -> dict[str, Any]:
    request = QueueRequest(request_id="q", deadline=2e9, user="ann", action=action, **fields)
    return house.desk.answer(request, house._stops.permit(request.sent))


def _fails(house: ScanHouse) -> str:
    """A scan that is accepted and then fails."""
    _do(house, "lock")
    item = house.ask("scan", "samx", 0, 1, 3)
    house.devices["samx"].obj.set = _raise
    return item


def _raise(_: float) -> None:
    raise RuntimeError("the motor is on fire")


def test_every_scan_waits_for_approval_where_the_beamline_wants_it(house: House) -> None:
    scans = house(queue={"approval": True})
    item = scans.ask("count", 1)
    assert scans.runner.status().blocked == "count waits for approval"
    _do(scans, "approve", item_id=item)
    assert scans.wait().exit_status == "success"
    (ended,) = scans.runner.line.history(5)
    assert (ended.item.approved_by, ended.item.approved is not None) == ("ann", True)


@pytest.mark.parametrize("waits", ["next", "wait"])
def test_after_a_failed_scan_the_next_one_starts_or_waits_as_set(house: House, waits: str) -> None:
    scans = house(queue={"after_fail": waits})
    first = _fails(scans)
    second = scans.ask("count", 1)
    _do(scans, "unlock")
    ended = scans.wait()
    assert (ended.item_id, ended.exit_status) == (first, "fail")
    if waits == "wait":
        assert "ended as fail: " in scans.runner.status().blocked
        assert "on fire" in scans.runner.status().halted
        _do(scans, "resume")
    assert (scans.wait().item_id, scans.runner.status().halted) == (second, "")


def test_a_failed_scan_alone_leaves_a_queue_that_takes_the_next_one(house: House) -> None:
    scans = house(queue={"after_fail": "wait"})
    _fails(scans)
    _do(scans, "unlock")
    assert scans.wait().exit_status == "fail"
    assert scans.run("count", 1).exit_status == "success"


def test_an_edit_that_cannot_be_kept_changes_nothing(house: House) -> None:
    scans = house()
    _do(scans, "lock")
    item = scans.ask("count", 1)
    before = scans.runner.line.queue
    scans.catalogue._db.execute("PRAGMA query_only = 1")  # a disk that takes nothing more
    with pytest.raises(StorageError):
        _do(scans, "hold", item_id=item)
    assert scans.runner.line.queue is before
    scans.catalogue._db.execute("PRAGMA query_only = 0")
    _do(scans, "hold", item_id=item)
    assert scans.runner.line.queue.waiting[0].held_by == "ann"


def test_what_is_on_the_disk_is_what_is_in_the_queue(house: House) -> None:
    scans = house()
    _do(scans, "lock")
    items = [scans.ask("count", n + 1) for n in range(6)]
    for n, item in enumerate(items):
        _do(scans, "move", item_id=item, place={"at": "to", "number": 1 + n % 3})
    _do(scans, "remove", item_id=items[2])
    _do(scans, "repeat", item_id=items[3], repeats=4)
    waiting = scans.runner.line.queue.waiting
    stored = scans.catalogue.items()
    assert [record.payload["item"] for record in stored] == [item.model_dump() for item in waiting]
    assert scans.catalogue.queue_state()["revision"] == scans.runner.line.queue.revision


def test_items_are_put_where_their_options_say(house: House) -> None:
    scans = house()
    _do(scans, "lock")
    first = scans.ask("count", 1)
    front = scans.ask("count", 2, queue={"place": {"at": "front"}, "hold": "why", "repeats": 0})
    before = scans.ask("count", 3, queue={"place": {"at": "before", "item_id": first}})
    waiting = scans.runner.line.queue.waiting
    assert [item.item_id for item in waiting] == [front, before, first]
    assert (waiting[0].hold_reason, waiting[0].repeats) == ("why", 0)
    assert time_left(None, 0, waiting)[1] == 1


def test_places_on_the_disk_never_run_out() -> None:
    places: list[float] = [1.0, 2.0]
    for _ in range(200):
        places = _places([None, *places])
        assert places == sorted(set(places))


def test_a_long_queue_is_published_short_and_told_in_full(house: House) -> None:
    scans = house()
    _do(scans, "lock")
    rows = [scans.request("count", 1) for _ in range(130)]
    assert _do(scans, "load", scans=rows)["queued"]
    status = scans.runner.status()
    assert (len(status.waiting), status.more) == (130, 0)
    assert (len(status.short().waiting), status.short().more) == (100, 30)
