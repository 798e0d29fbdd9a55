"""The scan queue of a real engine, edited by two clients at once and over the engine's death."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from undula.cli.application import build
from undula.client import Client
from undula.core.errors import (
    AccessError,
    BusyError,
    InputError,
    LimitError,
    StaleError,
    UndulaError,
)
from undula.messages import EndedItem
from undula.testing.beamline import LocalBeamline, local_beamline
from undula.testing.law import until

PATIENCE_S = 60.0
ROUNDS = 8


@pytest.fixture(scope="module")
def beamline() -> Iterator[LocalBeamline]:
    """One beamline for all tests of this file: starting it takes some seconds."""
    with local_beamline() as made:
        yield made


@pytest.fixture(scope="module")
def clients(beamline: LocalBeamline) -> Iterator[tuple[Client, Client]]:
    """Ann's and Ben's."""
    with beamline.connect() as ann, beamline.connect() as ben:
        ann.link.user, ben.link.user = "ann", "ben"
        yield ann, ben


@pytest.fixture(autouse=True)
def empty(clients: tuple[Client, Client]) -> Iterator[None]:
    """Leave a queue behind in which nothing waits and nothing is locked."""
    yield
    for client in clients:
        queue = client.queue
        queue.list()
        if queue.list().running is not None:
            queue.abort()
        queue.clear()
        if any(lock.owner == client.link.user for lock in queue.list().locks):
            queue.unlock()


def test_of_two_edits_at_once_each_gets_one_outcome(clients: tuple[Client, Client]) -> None:
    ann, ben = clients
    ann.queue.lock("both edit")
    for n in range(ROUNDS):
        ann.queue.add("count", 1, detectors=["diode"])
        for client in clients:
            client.queue.list()
        outcomes = _at_once(
            {
                ann: lambda: ann.queue.hold(1, "ann was first"),
                ben: [lambda: ben.queue.remove(1), lambda: ben.queue.edit(1, 2)][n % 2],
            }
        )
        done = [user for user, outcome in outcomes.items() if outcome == "done"]
        assert len(outcomes) == 2
        assert len(done) == 1, outcomes
        assert f"{done[0]} " in next(text for text in outcomes.values() if text != "done")
        ann.queue.list()
        ann.queue.clear()
    ann.queue.unlock()


def _at_once(acts: dict[Client, Callable[[], object]]) -> dict[str, str]:
    """What came of it, by user."""
    both, outcomes = threading.Barrier(len(acts)), dict[str, str]()

    def edit(client: Client, act: Callable[[], object]) -> None:
        both.wait(PATIENCE_S)
        try:
            act()
            outcomes[client.link.user] = "done"
        except StaleError as error:
            outcomes[client.link.user] = error.what

    threads = [threading.Thread(target=edit, args=pair) for pair in acts.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    return outcomes


def test_a_locked_queue_accepts_but_starts_nothing(clients: tuple[Client, Client]) -> None:
    ann, ben = clients
    ann.queue.lock("beam studies")
    scan = ben.queue.add("count", 1, detectors=["diode"])
    status = ben.queue.list()
    assert (status.state, status.blocked) == ("idle", "locked by ann: beam studies")
    with pytest.raises(AccessError, match="ben has no lock on the queue; locked by ann"):
        ben.queue.unlock()
    ann.queue.unlock()
    assert scan.wait(PATIENCE_S).finished is not None


def test_an_edited_scan_is_checked_and_measures_what_it_says(
    clients: tuple[Client, Client],
) -> None:
    ann, ben = clients
    ann.queue.lock()
    scan = ann.queue.add("scan", "samx", -1, 1, 5, detectors=["diode"])
    with pytest.raises(LimitError):
        ben.queue.edit(1, "samx", -1, 1e6, 5)
    assert ben.queue.show(1).scan.args == ["samx", -1, 1, 5]
    status = ben.queue.edit(1, "samx", 0, 1, 3)
    assert status.waiting[0].command == "scan('samx', 0, 1, 3, detectors=['diode'])"
    assert (status.waiting[0].num_points, status.waiting[0].edited_by) == (3, "ben")
    ann.queue.unlock()
    assert np.allclose(scan.wait(PATIENCE_S).run.data["samx"], [0, 0.5, 1])


def test_a_repeated_scan_runs_so_often_and_the_history_has_its_runs(
    clients: tuple[Client, Client],
) -> None:
    ann, _ = clients
    first = ann.queue.add("count", 1, detectors=["diode"], repeats=3)
    first.wait(PATIENCE_S)

    def turns() -> list[EndedItem]:
        ended = ann.queue.history(10)
        return [one for one in ended if one.item.item_id.startswith(first.item_id)]

    until(lambda: len(turns()) == 3, "it does not run three times")
    assert [(found.item.turn, found.ended.exit_status) for found in turns()] == [
        (3, "success"), (2, "success"), (1, "success")
    ]  # fmt: skip
    assert len({number for found in turns() for number in found.ended.run_numbers}) == 3


def test_the_queue_stops_after_the_running_scan(clients: tuple[Client, Client]) -> None:
    ann, ben = clients
    running = ann.queue.add("scan", "samx", -1, 1, 60, time=0.05, detectors=["diode"])
    until(lambda: running.status == "running", "it does not start")
    waiting = ann.queue.add("count", 1, detectors=["diode"])
    left = ben.queue.list()
    assert (left.left_s > 0, left.left_unknown) == (True, 0)
    ben.queue.stop_after()
    running.wait(PATIENCE_S)
    assert ann.queue.list().blocked.startswith("stopped by ben after scan(")
    ann.queue.resume()
    waiting.wait(PATIENCE_S)


def test_what_a_running_scan_uses_is_refused_with_run_and_owner(
    clients: tuple[Client, Client],
) -> None:
    ann, ben = clients
    scan = ann.queue.add("scan", "samx", -1, 1, 200, time=0.05, detectors=["diode"])
    until(lambda: ben.queue.list().points_done >= 2, "it does not start")
    number = ben.queue.list().run_number
    with pytest.raises(BusyError, match=rf"in use by run {number}, scan .* of ann"):
        ben.mv(samx=0)
    assert ben.mv(samy=0.5)["samy"]["value"] == pytest.approx(0.5)
    assert set(ben.read("samx", "samy", "diode")) == {"samx", "samy", "diode"}
    assert ben.queue.list().state == "running"
    scan.cancel()
    scan.wait(PATIENCE_S, check=False)
    assert ben.mv(samx=0)["samx"]["value"] == pytest.approx(0.0)


def test_every_edit_outlives_the_engine(
    beamline: LocalBeamline, clients: tuple[Client, Client]
) -> None:
    ann, ben = clients
    ann.queue.lock("the engine dies")
    for num in (1, 2, 3, 4):
        ann.queue.add("count", num, detectors=["diode"])
    ben.queue.move(4, "front")
    ben.queue.hold(3, "not yet")
    ben.queue.edit(2, 7)
    ben.queue.repeat(4, 2)
    ben.queue.duplicate(1)
    before = ben.queue.list()
    died = beamline.pid("engine")
    os.kill(died, signal.SIGKILL)

    def back() -> bool:
        try:
            return beamline.pid("engine") not in (0, died) and bool(ben.queue.list().locks)
        except UndulaError:
            return False

    until(back, "the engine does not come back")
    after = ben.queue.list()
    assert (after.waiting, after.locks) == (before.waiting, before.locks)
    assert after.revision == before.revision
    with pytest.raises(StaleError, match="ben changed count"):
        ann.queue._do("remove", item_id=before.waiting[1].item_id, seen=before.revision - 3)
    counts = [int(item.num_points or 0) for item in after.waiting]
    assert counts == [4, 7, 2, 3, 4]
    ann.queue.unlock()
    until(lambda: len(ann.queue.list().waiting) == 1, "it does not go on")
    until(lambda: ann.queue.list().state == "idle", "it does not end")
    ran = [found.item.num_points for found in ann.queue.history(5)]
    assert ran == [4, 3, 3, 7, 4]
    assert ann.queue.list().blocked == "count(2, detectors=['diode']) is held by ben: not yet"


def test_the_catalogue_keeps_the_queue_of_an_older_engine(tmp_path: Path) -> None:
    from undula.catalogue import QueueItemRecord, SqliteCatalogue
    from undula.messages import QueueItem, ScanRequest

    catalogue = SqliteCatalogue(tmp_path / "c.sqlite")
    item = {"item_id": "a", "command": "count", "plan": "count", "user": "u", "submitted": 1.0}
    request = {"request_id": "a", "deadline": 2.0, "plan": "count"}
    payload = {"item": item, "request": request}
    catalogue.store_item(QueueItemRecord(item_id="a", submitted=1.0, payload=payload))
    (kept,) = catalogue.items()
    assert QueueItem.model_validate(kept.payload["item"]).ready
    assert ScanRequest.model_validate(kept.payload["request"]).queue.repeats == 1
    assert catalogue.queue_state() == {}
    catalogue.close()


def test_a_batch_is_queued_as_a_whole_or_not_at_all(
    clients: tuple[Client, Client], tmp_path: Path
) -> None:
    ann, _ = clients
    ann.queue.lock()
    file = tmp_path / "night.csv"
    file.write_text(
        "plan,args,time\nscan,samx 0 1 3,0.01\nscan,samx 0 1e6 3,\nscan,smx 0 1 3,\nct,a b\n"
    )
    with pytest.raises(InputError) as caught:
        ann.queue.load(file)
    told = caught.value.details
    assert [line.split(":")[0] for line in told[:3]] == ["line 3", "line 4", "line 5"]
    assert "above the high limit" in told[0]
    assert "did you mean samx" in told[1]
    assert ann.queue.list().waiting == []
    file.write_text("plan,args,time,repeats\nscan,samx 0 1 3,0.01,2\ncount,2,,\n")
    assert [item.num_points for item in ann.queue.load(file, dry_run=True)] == [3, 2]
    assert ann.queue.list().waiting == []
    ann.queue.load(file)
    assert [(i.plan, i.repeats) for i in ann.queue.list().waiting] == [("scan", 2), ("count", 1)]
    again = tmp_path / "again.yaml"
    assert ann.queue.save(again) == 2
    ann.queue.clear()
    ann.queue.load(again)
    assert [(i.plan, i.repeats) for i in ann.queue.list().waiting] == [("scan", 2), ("count", 1)]


def test_the_queue_is_checked_from_where_each_scan_leaves_the_axes(
    clients: tuple[Client, Client],
) -> None:
    ann, _ = clients
    ann.mv(samx=0)
    ann.queue.lock()
    ann.queue.add("scan", "samx", 0, 49, 5, detectors=["diode"])
    ann.queue.add("rel_scan", "samx", -1, 0.5, 5, detectors=["diode"])
    ann.queue.add("rel_scan", "samx", 0, 40, 5, detectors=["diode"])
    ann.queue.add("scan", "samx", 1, 2, 3, detectors=["diode"], hold="not now")
    first, second, third, held = ann.queue.check()
    assert (first.error, first.num_points) == (None, 5)
    assert second.starts_at == {"samx": 49.0}
    assert second.error is None
    assert third.error is not None
    assert "target 59 mm is above the high limit 50 mm" in third.error.what
    assert any("held" in warning for warning in held.warnings)
    assert ann.devices.samx.position == pytest.approx(0.0, abs=0.1)


def test_every_command_of_the_queue_does_what_its_help_says(
    clients: tuple[Client, Client], tmp_path: Path
) -> None:
    commands = build(("queue",))

    def undula(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(commands, ["queue", *words, "--beamline", "test"])
        assert done.exit_code == code, done.output
        return done.output

    assert "locked by" in undula("lock", "--reason", "commands")
    undula("add", "scan", "samx", "-1", "1", "5", "--time", "0.01", "--repeat", "2")
    undula("add", "count", "3", "--at", "front", "--hold", "not yet")
    told = json.loads(undula("list", "--json"))
    assert [item["plan"] for item in told["waiting"]] == ["count", "scan"]
    undula("move", "2", "up")
    undula("edit", "1", "samx", "-1", "1", "7")
    undula("duplicate", "2", "--at", "2")
    undula("repeat", "1", "3")
    assert undula("release", "3").startswith("released count(3)")
    assert "nothing was changed: item 3" in undula("release", "3")
    assert "needs no approval" in undula("approve", "1")
    assert "7 points" in undula("check")
    assert "args            ['samx', -1, 1, 7]" in undula("show", "1")
    undula("save", str(tmp_path / "n.yaml"))
    undula("clear")
    assert "nothing was queued" in undula("load", str(tmp_path / "n.yaml"), "--dry-run")
    undula("load", str(tmp_path / "n.yaml"))
    (tmp_path / "bad.csv").write_text("plan,args\nscan,samx 0 1e9 3\n")
    assert "line 2: [samx]" in undula("load", str(tmp_path / "bad.csv"), code=2)
    undula("remove", "9", code=2)
    undula("list")
    undula("stop-after")
    assert "lift" not in undula("unlock")
    assert "resume lets it go on" in undula("list")
    undula("clear")
    undula("resume")
    assert "removed" in undula("history", "--limit", "3")


def _terminal(user: str) -> Callable[..., str]:
    """The commands of a person at a terminal; nobody can be asked there."""
    commands = build(("queue",))

    def undula(*words: str, code: int = 0) -> str:
        line = ["queue", *words, "--beamline", "test"]
        done = CliRunner().invoke(commands, line, env={"LOGNAME": user})
        assert done.exit_code == code, done.output
        return done.output

    return undula


def test_a_place_means_what_this_person_was_shown_last(clients: tuple[Client, Client]) -> None:
    clients[0].queue.lock("two terminals")
    ann, ben = _terminal("ann"), _terminal("ben")
    for num in (1, 2, 3):
        clients[0].queue.add("count", num, detectors=["diode"])
    clients[1].queue.add("count", 5, detectors=["diode"])
    told = ben("remove", "3", code=4)
    assert "you have not seen what is at place 3 now: count(3" in told
    ben("list")
    ann("list")
    ann("move", "3", "front")
    told = ben("remove", "3", code=4)
    assert "ann moved count(3" in told
    assert [item.num_points for item in clients[0].queue.list().waiting] == [3, 1, 2, 5]
    assert ben("remove", "1").startswith("removed count(1, detectors=['diode']) of ann")
    assert "at place 4" in ben("add", "count", "7", "--detectors", "diode")
    assert ben("edit", "4", "8").startswith("changed count(7")
    told = ann("hold", "4")
    assert told.startswith("held count(5, detectors=['diode']) of ben")


def test_who_clears_is_told_of_others_and_all_of_it_can_be_put_back(
    clients: tuple[Client, Client],
) -> None:
    clients[0].queue.lock("clearing")
    ann, ben = _terminal("ann"), _terminal("ben")
    for client, num in ((clients[0], 1), (clients[1], 2)):
        client.queue.add("count", num, detectors=["diode"], repeats=num)
    told = ben("clear", code=2)
    assert "1 of the 2 scans that wait are not yours: count(1, detectors=['diode']) of ann" in told
    told = ben("clear", "--yes")
    assert told.startswith("removed 2 scans: count(1, detectors=['diode']) of ann; count(2")
    assert clients[0].queue.list().waiting == []
    assert ann("put-back").startswith("put back 2 scans: count(1")
    back = clients[0].queue.list().waiting
    assert [(i.num_points, i.user, i.repeats) for i in back] == [(1, "ann", 1), (2, "ben", 2)]
    ann("remove", "1")
    one = clients[0].queue.history(1)[0].item.item_id
    assert one[:8] in ann("history", "--limit", "1")
    assert ben("put-back", one[:8]).startswith("put back count(1, detectors=['diode']) of ann")
    assert "no scan that was taken out" in ben("put-back", "nonsense", code=2)
