"""The queue with its worker in one process: what a beamline's settings make of it; many items."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from undula.catalogue import QueueItemRecord, SqliteCatalogue
from undula.client.queue import QueueView
from undula.client.queue_edits import edited
from undula.core.errors import BusyError, InputError, StorageError
from undula.messages import (
    EndedItem,
    ItemFinished,
    Place,
    PlanSource,
    QueueItem,
    QueueRequest,
    QueueStatus,
    ScanRequest,
    SourcePart,
)
from undula.messages.queue import HISTORY_PAGE
from undula.scans.attendant import Attendant
from undula.scans.forecast import Forecast
from undula.scans.line import Line, _places, stored_items
from undula.scans.queue_events import (
    Duplicated,
    Ended,
    Held,
    Moved,
    QueueEvent,
    Removed,
    Repeated,
    Submitted,
)
from undula.scans.time_left import time_left
from undula.testing.scan_house import ScanHouse

DEVICES = """
samx: {deviceClass: undula.devices.sim.SimPositioner, readoutPriority: on_request, enabled: true}
samy: {deviceClass: undula.devices.sim.SimPositioner, readoutPriority: on_request, enabled: true}
top: {deviceClass: undula.devices.sim.SimPositioner, readoutPriority: on_request, enabled: true}
low: {deviceClass: undula.devices.sim.SimPositioner, readoutPriority: on_request, enabled: true}
gap:
  deviceClass: undula.devices.SlitGap
  deviceConfig: {plus: top, minus: low}
  readoutPriority: on_request
  enabled: true
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
    (ended,) = map(EndedItem.model_validate, scans.runner.line.history(5))
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


@pytest.mark.parametrize(
    ("plan", "args", "known"),
    [
        ("scan", ["samx", 0, 2, 5], True),
        ("rel_scan", ["samx", -1, 1, 5], True),
        ("list_scan", ["samx", [1, 3, 2]], True),
        ("grid_scan", ["samy", 0, 2, 3, "samx", 0, 1, 4], True),
        ("dscan", ["samx", -1, 1, 4, 0.01], True),
        ("count", [2], True),
        ("scan", ["gap", 0, 2, 3], True),
        ("adaptive_scan", ["diode", "samx", 0, 1, 0.1, 1, 100, True], False),
    ],
)
def test_the_axes_are_where_the_forecast_says(
    house: House, plan: str, args: list[Any], known: bool
) -> None:
    scans = house()
    for name, place in (("samx", 0.5), ("samy", 0.25)):
        scans.devices[name].obj.set(place)
    forecast = Forecast(scans.devices, scans.settings, Attendant())
    told, checked = forecast.check(
        scans.request(plan, *args, detectors=["diode"]), lambda scan: scan
    )
    assert told.error is None
    assert checked is not None
    assert scans.run(plan, *args, detectors=["diode"]).exit_status == "success"
    found = {n: p for n, p in forecast.places.items() if p is not None}
    assert bool(found) == (known and bool(checked.axes))
    assert {name: scans.devices[name].position() for name in found} == pytest.approx(found)


def test_a_long_queue_is_published_short_and_told_in_full(house: House) -> None:
    scans = house()
    _do(scans, "lock")
    rows = [scans.request("count", 1) for _ in range(130)]
    assert _do(scans, "load", scans=rows)["queued"]
    status = scans.runner.status()
    assert (len(status.waiting), status.more) == (130, 0)
    assert (len(status.short().waiting), status.short().more) == (100, 30)


_EDITS = st.lists(
    st.tuples(
        st.sampled_from(["add", "move", "hold", "repeat", "duplicate", "remove", "next", "end"]),
        st.integers(0, 5),
        st.sampled_from(["front", "end", "up", "down", "to"]),
        st.integers(0, 3),
    ),
    max_size=25,
)


def _event(kind: str, ids: list[str], place: Place, number: int, copy: str) -> QueueEvent:
    one = ids[number % len(ids)] if ids else "nobody"
    made: dict[str, QueueEvent] = {
        "move": Moved(item_id=one, place=place),
        "hold": Held(item_id=one, user="ann"),
        "repeat": Repeated(item_id=one, repeats=number),
        "duplicate": Duplicated(item_id=one, copy_id=copy, place=place),
        "remove": Removed(item_ids=(one,)),
    }
    return made[kind]


@given(_EDITS)
@settings(max_examples=60)
def test_an_engine_that_starts_anew_finds_the_queue_that_it_left(edits: list[Any]) -> None:
    catalogue = SqliteCatalogue(":memory:")
    line = Line(catalogue, threading.Condition(), lambda _: None)
    for number, (kind, which, at, times) in enumerate(edits):
        ids = [item.item_id for item in line.queue.waiting]
        if kind == "add":
            request = ScanRequest(request_id=f"r{number}", deadline=2e9, plan="count", args=[times])
            item = QueueItem(
                item_id=f"r{number}", command="c", plan="count", user="u", submitted=0.0
            ).model_copy(update={"repeats": times})
            event = Submitted(items=(item,), place=Place(at=at, number=which + 1))
            line.apply(event, {item.item_id: request})
        elif kind == "next":
            line.start_next(lambda _: None)
        elif kind == "end" and line.queue.running is not None:
            ran = line.queue.running.item_id
            line.end_running(Ended(exit_status="success"), lambda: None)
            line.end(ItemFinished(item_id=ran, exit_status="success", time=0.0))
        elif kind != "end":
            with contextlib.suppress(InputError):  # nobody waits, or there is no such place
                place = Place(at=at, number=1)
                line.apply(_event(kind, ids, place, which, copy=f"copy {number}"))
    again = Line(catalogue, threading.Condition(), lambda _: None)
    again.begin(stored_items(catalogue))
    assert again.queue.waiting == line.queue.items()
    assert again.queue.revision == line.queue.revision
    requests = [again.request(item.item_id).args for item in again.queue.waiting]
    assert requests == [line.request(item.item_id).args for item in line.queue.items()]
    catalogue.close()


def test_an_edit_that_does_not_fit_names_the_plan_that_waits(house: House) -> None:
    scans = house()
    _do(scans, "lock")
    item = scans.ask("ct", 0.1)
    wrong = scans.request("ct", "samx", -2, 2, 41)
    with pytest.raises(InputError, match="as ct: the count time is 'samx'"):
        _do(scans, "edit", item_id=item, scans=[wrong.model_dump()])


ALIGN = """def align(
    axis: Movable, num: Annotated[int, Field(ge=2)] = 5, *, mode: Literal["fast", "slow"] = "fast"
):
    yield from bp.scan([D.diode], axis, 0, 1, num)
"""


def _typed(call: str, *more: SourcePart) -> PlanSource:
    """A plan of somebody's own, as the prompt sends it."""
    part = SourcePart(kind="function", name="align", code=ALIGN, origin="In[3]")
    return PlanSource(name="align", call=call, parts=[*more, part])


def _edit(scans: ScanHouse, item: str, *args: Any, **changes: Any) -> dict[str, Any]:
    after = edited(scans.runner.line.request(item), args, changes)
    return _do(scans, "edit", item_id=item, scans=[after.model_dump()])


def test_a_typed_plan_that_waits_takes_other_arguments_as_its_hints_say(house: House) -> None:
    scans = house()
    _do(scans, "lock")
    item = scans.ask("align", source=_typed("align(M.samx, 7, mode='slow')"))

    def call() -> str:
        source = scans.runner.line.request(item).source
        assert source is not None
        return source.call

    status = _edit(scans, item, num=9)["status"]
    assert status["waiting"][0]["command"] == "RE(align(M.samx, 9, mode='slow'))"
    _edit(scans, item, "samy", mode=None)
    assert call() == "align(dev['samy'])"
    assert scans.runner.line.request(item).args == []
    for args, changes, said in (
        ((), {"nmu": 3}, "did you mean num"),
        ((), {"num": 1}, "num is 1. Remedy: give 2 or more"),
        ((), {"mode": "slw"}, "one of 'fast', 'slow'"),
        (("diode",), {}, "diode, which cannot be moved"),
        (("samx", 3, 4), {}, "takes 2 arguments by position, and got 3"),
        ((), {"axis": None}, "wants 1 more: axis"),
    ):
        with pytest.raises(InputError, match=re.escape(said)):
            _edit(scans, item, *args, **changes)
    assert call() == "align(dev['samy'])"
    _edit(scans, item, "samx", 3)
    _do(scans, "unlock")
    ran = scans.wait()
    documents = scans.journal(ran.run_uids[0])
    assert documents[0][1]["plan_call"] == "align(dev['samx'], 3)"
    assert documents[-1][1]["num_events"]["primary"] == 3


def test_a_call_whose_arguments_cannot_be_told_apart_is_not_edited(house: House) -> None:
    scans = house()
    _do(scans, "lock")
    words = SourcePart(kind="data", name="dev", code="[1]")
    for source, said in (
        (_typed("bp.count([D.diode], 2)"), "cannot be told apart"),
        (_typed("align(*[M.samx])"), "cannot be told apart"),
        (_typed("align(M.samx)", words), "a name 'dev' of its own"),
    ):
        item = scans.ask("align", source=source)
        with pytest.raises(InputError, match=said):
            _edit(scans, item, "samy")


def test_a_plan_of_a_file_is_edited_by_its_name_and_read_as_it_is_then(house: House) -> None:
    scans = house()
    (scans.plans / "look.py").write_text("def look(n: int):\n    yield from bp.count([], n)\n")
    _do(scans, "lock")
    item = scans.ask("look", 2)
    _edit(scans, item, 4)
    request = scans.runner.line.request(item)
    assert request.source is not None
    assert (request.args, request.source.call, request.command) == ([4], "look(4)", "look(4)")
    with pytest.raises(InputError, match=r"n is 'x'\. Remedy: give a whole number"):
        _edit(scans, item, "x")
    (scans.plans / "look.py").unlink()
    with pytest.raises(InputError, match="there is no plan 'look'"):
        _edit(scans, item, 5)


def test_an_argument_of_a_plan_file_that_was_given_by_place_is_changed_by_its_name(
    house: House,
) -> None:
    scans = house()
    (scans.plans / "align.py").write_text(f"from typing import Literal\n{ALIGN}")
    _do(scans, "lock")
    item = scans.ask("align", "samx", 7, mode="slow")

    def now() -> tuple[Any, ...]:
        request = scans.runner.line.request(item)
        assert request.source is not None
        return request.source.call, request.command

    _edit(scans, item, axis="samy")
    assert now() == ("align(dev['samy'], 7, mode='slow')", "align('samy', 7, mode='slow')")
    _edit(scans, item, num=None, mode="fast")
    assert now() == ("align(dev['samy'], mode='fast')", "align('samy', mode='fast')")
    _edit(scans, item, num=9, mode=None)
    assert now() == ("align(dev['samy'], num=9)", "align('samy', num=9)")
    with pytest.raises(InputError, match="axis is given twice"):
        _edit(scans, item, "samx", axis="samx")
    with pytest.raises(InputError, match="wants 1 more: axis"):
        _edit(scans, item, axis=None)
    assert now()[0] == "align(dev['samy'], num=9)"


@pytest.mark.parametrize(
    ("plan", "args", "changes", "command"),
    [
        ("scan", ["samx", -1, 1, 21], {"num": 9}, "scan('samx', -1, 1, 9)"),
        ("scan", ["samx", -1, 1, 21], {"axis": "samy", "stop": 2}, "scan('samy', -1, 2, 21)"),
        ("ascan", ["samx", 0, 1, 4, 0.1], {"intervals": 5}, "ascan('samx', 0, 1, 5, 0.1)"),
        ("scan", ["samx", 0, 1, "samy", 0, 1, 5], {"num": 3},
         "scan('samx', 0, 1, 'samy', 0, 1, 3)"),
    ],
)  # fmt: skip
def test_an_argument_of_a_plan_of_the_catalogue_is_changed_by_its_name(
    house: House, plan: str, args: list[Any], changes: dict[str, Any], command: str
) -> None:
    scans = house()
    _do(scans, "lock")
    item = scans.ask(plan, *args)
    _edit(scans, item, **changes)
    assert scans.runner.line.request(item).command == command


def test_of_several_axes_none_is_changed_by_the_name_of_its_argument(house: House) -> None:
    scans = house()
    _do(scans, "lock")
    item = scans.ask("scan", "samx", 0, 1, "samy", 0, 1, 5)
    with pytest.raises(InputError, match="scan has no option 'stop'"):
        _edit(scans, item, stop=2)


def test_a_mistyped_technique_is_warned_of_in_the_whole_queue_and_in_a_batch(
    house: House,
) -> None:
    scans = house()
    _do(scans, "lock")
    scans.ask("count", 2, metadata={"technique": "xsa"})
    batch = [scans.request("count", 3, metadata={"technique": "xsa"}).model_dump()]
    for answer in (_do(scans, "check"), _do(scans, "load", scans=batch, dry_run=True)):
        assert any("xsa" in warning for warning in answer["checked"][0]["warnings"])


def test_what_was_taken_out_comes_back_once_however_often_that_is_asked(house: House) -> None:
    one = house()
    _do(one, "lock")
    for num in (1, 2):
        one.ask("count", num=num)
    _do(one, "clear")
    first, again = (QueueStatus(**_do(one, "put_back")["status"]) for _ in range(2))
    assert ([i.num_points for i in first.waiting], first.changed) == ([1, 2], True)
    assert (again.waiting, again.changed) == (first.waiting, False)
    assert again.did.startswith("put back already: 2 scans")
    _do(one, "remove", item_id=first.waiting[0].item_id)
    third = QueueStatus(**_do(one, "put_back")["status"])
    assert [i.num_points for i in third.waiting] == [2, 1]


def test_resume_of_a_locked_queue_names_the_lock(house: House) -> None:
    scans = house()
    _do(scans, "lock", reason="beam studies")
    scans.ask("count", 1)
    with pytest.raises(BusyError, match="the queue is locked by ann: beam studies"):
        _do(scans, "resume")
    _do(scans, "unlock")
    assert scans.wait().exit_status == "success"


def test_the_history_comes_in_pages_newest_first_and_none_twice(house: House) -> None:
    scans = house()
    _do(scans, "lock")
    ids = [scans.ask("count", n + 1) for n in range(5)]
    _do(scans, "clear")  # all at one time

    def page(**fields: Any) -> list[str]:
        found = _do(scans, "history", **fields)["ended"]
        return [EndedItem.model_validate(one).item.item_id for one in found]

    every = page()
    assert sorted(every) == sorted(ids)
    assert [page(limit=2), page(limit=2, before=every[1]), page(before=every[3])] == [
        every[:2],
        every[2:4],
        every[4:],
    ]
    assert page(until=0.0) == []
    with pytest.raises(InputError, match="no scan that has ended has an id that begins with 'zz'"):
        page(before="zz")
    with pytest.raises(InputError, match="the ids of several scans that have ended"):
        page(before="r")


def test_a_long_history_is_answered_page_by_page_without_what_was_asked_for(house: House) -> None:
    scans = house()
    request = {"plan": "count", "args": ["x" * 1000]}
    for n in range(HISTORY_PAGE + 3):
        item = QueueItem(item_id=f"i{n:04d}", command="c", plan="count", user="u", submitted=0.0)
        payload = {"item": item.model_dump(), "request": request}
        scans.catalogue.store_item(QueueItemRecord(item_id=item.item_id, payload=payload))
    ends = [
        ItemFinished(item_id=f"i{n:04d}", exit_status="success", time=float(n))
        for n in range(HISTORY_PAGE + 3)
    ]
    scans.catalogue.finish_items(ends)
    reply = _do(scans, "history", limit=10_000)
    assert len(reply["ended"]) == HISTORY_PAGE
    assert "x" * 1000 not in str(reply)

    class Asked:
        def ask(self, _: object, __: float, **fields: Any) -> dict[str, Any]:
            return _do(scans, **fields)

    view = QueueView(Asked(), lambda: None)  # type: ignore[arg-type]
    found = view.history(10_000)
    assert [one.item.item_id for one in found] == [one.item_id for one in reversed(ends)]
    assert [one.ended.time for one in view.history(2, before=found[1])] == [
        found[2].ended.time,
        found[3].ended.time,
    ]
    assert [one.ended.time for one in view.history(1, before=7)] == [7.0]


def test_a_scan_that_waits_since_a_key_was_free_runs_without_it_and_says_so(
    house: House,
) -> None:
    scans = house()
    _do(scans, "lock")
    item = scans.ask("count", 1)
    gone = scans.ask("count", 2)
    for one in (item, gone):
        record = scans.catalogue.item(one)
        assert record is not None
        record.payload["request"]["metadata"] = {"scan_id": 7, "a.b": 1, "sample": "Fe"}
        scans.catalogue.store_item(record)
    _do(scans, "remove", item_id=gone)
    stored = scans.catalogue.item(gone)
    assert stored is not None
    stored.payload["request"]["metadata"] = {"scan_id": 7}
    scans.catalogue.store_item(stored)
    back = _do(scans, "put_back")["status"]["waiting"][-1]
    assert back["notice"].startswith("scan_id is taken out of its metadata: each run says its")
    scans.runner.line.begin(stored_items(scans.catalogue))  # as the next engine does
    (read, _) = scans.runner.line.queue.waiting
    assert "a.b is taken out of its metadata" in read.notice
    assert scans.wait().item_id == gone
    _do(scans, "unlock")
    ended = scans.wait()
    assert (ended.item_id, ended.exit_status, ended.warnings) == (item, "success", [read.notice])
    assert scans.start(ended.run_uids[0])["sample"] == "Fe"
