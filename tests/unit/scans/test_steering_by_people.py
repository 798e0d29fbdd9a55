"""What people ask of a running scan, at awkward moments: between its runs, as it pauses or resumes,
in its hooks. Real devices, RunEngine and worker; the moment is made certain, never waited for."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from undula.core.errors import StorageError
from undula.messages import QueueRequest, QueueStatus
from undula.scans.leases import Leases
from undula.scans.own_code import OWN_CODE
from undula.scans.steering import COMPUTES_S
from undula.scans.stopped import Stops
from undula.testing.scan_house import ScanHouse

DEVICES = """
samx: {deviceClass: undula.devices.sim.SimPositioner, readoutPriority: on_request, enabled: true,
       deviceConfig: {limits: [-5, 5], delay: 0}}
samy: {deviceClass: undula.devices.sim.SimPositioner, readoutPriority: on_request, enabled: true,
       deviceConfig: {limits: [-5, 5], delay: 0}}
diode: {deviceClass: undula.devices.sim.SimMonitor, readoutPriority: monitored, enabled: true,
        softwareTrigger: true}
changer: {deviceClass: undula.devices.sim.SimSampleChanger, readoutPriority: on_request,
          enabled: true, deviceConfig: {samples: [S1, S2], mount_s: 0.01}}
"""
TWO_RUNS = """
def two():
    yield from bp.count([diode], 2)
    yield from bps.sleep(60)
    yield from bp.count([diode], 2)
"""
STAMPS = itertools.count(1)


class Contested(Leases):
    """Ada takes the `contested` device, once, just after somebody was told that it is free."""

    contested = ""

    def wait_free(self, devices: Iterable[str], *words: Any, **more: Any) -> str:
        names = list(devices)
        found = super().wait_free(names, *words, **more)
        if self.contested in names:
            self.take([self.contested], "the move of Ada")
            self.contested = ""
        return found


class Steered:
    """A house, and what people ask of it."""

    def __init__(self, house: ScanHouse, stops: Stops) -> None:
        self.house, self._stops = house, stops

    def do(self, action: str, **fields: Any) -> QueueStatus:
        """As somebody asks; the queue just after."""
        asked = QueueRequest.model_validate(
            {"request_id": "q", "deadline": 2e9, "user": "ann", "action": action, **fields}
        )
        answer = self.house.desk.answer(asked, self._stops.permit(asked.sent))
        return QueueStatus.model_validate(answer["status"])

    def hooks(self, text: str) -> None:
        """The hooks file of the beamline."""
        file = self.house.plans / "hooks.py"
        file.write_text(text)
        os.utime(file, (next(STAMPS),) * 2)

    def until(self, state: str) -> None:
        """Wait until the queue is in this state."""
        self.house.until(lambda: self.house.runner.status().state == state, f"not {state}")

    def taken(self, points: int = 3) -> None:
        """Wait until so many points were taken."""
        self.house.until(lambda: self.house.runner.status().points_done >= points, "no points")

    def paused(self) -> None:
        """Begin a scan and pause it at once."""
        self.house.ask("count", 400, delay=0.01)
        self.taken()
        self.do("pause")
        self.until("paused")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Steered]:
    folder = tmp_path_factory.mktemp("house")
    house = ScanHouse(folder, DEVICES, leases=Contested())
    yield Steered(house, Stops(folder / "stopped"))
    house.close()


@pytest.fixture
def scans(made: Steered) -> Iterator[Steered]:
    yield made
    made.hooks("")
    made.house.runner.steering.computes_s = COMPUTES_S


def test_an_abort_between_two_runs_of_a_scan_is_no_success(scans: Steered) -> None:
    house = scans.house
    (house.plans / "two.py").write_text(TWO_RUNS)
    first = house.ask("two", queue={"repeats": 3})
    scans.taken(2)
    house.until(lambda: house.runner.status().run_uid is None, "its first run is open")
    scans.do("abort", reason="the sample has moved")
    ended = {one.item_id: one for one in (house.wait(), house.wait())}
    assert ended[first].exit_status == "abort"
    assert ended[first].reason == "the sample has moved"
    assert [one.exit_status for key, one in ended.items() if key != first] == ["removed"]
    assert not house.runner.status().waiting


SWALLOWING = """
@instead("point")
def stubborn(scan, original):
    try:
        yield from original()
    except Exception:
        pass
"""


def test_a_point_that_a_hook_would_not_give_up_is_skipped_all_the_same(scans: Steered) -> None:
    scans.hooks(SWALLOWING)
    scans.house.ask("count", 8, delay=0.0, count_time_s=0.3)
    scans.taken(2)
    said = scans.do("skip").did
    ended = scans.house.wait()
    left_out = int(said.split()[1])
    turns = [
        doc["data"]
        for name, doc in scans.house.journal(ended.run_uids[0])
        if name == "event" and "steering_action" in doc["data"]
    ]
    assert [(turn["steering_action"], turn["steering_point"]) for turn in turns] == [
        ("skipped", left_out)
    ]
    assert len(scans.house.points(ended.run_uids[0])) == 7


def test_a_skip_behind_a_saved_point_leaves_the_next_one_out_and_its_hook_whole(
    scans: Steered,
) -> None:
    scans.hooks(
        '@after("point")\ndef out(scan):\n    yield from bps.mv(samy, scan.point)\n'
        "    if scan.point == 2:\n        yield from bps.sleep(1.0)\n"
        "    yield from bps.mv(samy, -scan.point)\n"
    )
    house = scans.house
    house.ask("scan", "samx", 0, 4, 5)
    house.until(lambda: house.devices["samy"].position() == 2, "not behind point 2")
    assert scans.do("skip").did.startswith("point 3 is left out")
    ended = house.wait()
    assert [row["samx"] for row in house.points(ended.run_uids[0])] == [0, 1, 3, 4]


def test_a_pause_while_the_hooks_of_resume_run_is_taken(scans: Steered) -> None:
    scans.hooks('@on("resume")\ndef slow(scan):\n    yield from bps.sleep(1.0)\n')
    scans.paused()
    scans.do("resume")
    scans.house.until(lambda: scans.house.runner.steering._wanted.phase == "resuming", "no resume")
    assert scans.do("pause").state == "pausing"
    scans.until("paused")
    scans.do("complete")
    assert scans.house.wait().exit_status == "success"


def test_a_retake_behind_a_skip_leaves_the_scan_running(scans: Steered) -> None:
    house = scans.house
    house.ask("count", 8, count_time_s=0.2)
    scans.taken(2)
    steering = house.runner.steering
    with steering.lock:  # the RunEngine is interrupted, and cannot go on before both were asked
        scans.do("skip")
        scans.do("retake", point=1)
    ended = house.wait()
    assert ended.exit_status == "success"
    assert len(house.points(ended.run_uids[0])) == 8


@pytest.mark.parametrize("then", ["skip", "complete"])
def test_a_pause_at_the_next_point_survives_a_skip_and_not_a_completion(
    scans: Steered, then: str
) -> None:
    house = scans.house
    house.ask("count", 8, count_time_s=0.3)
    scans.taken(1)
    with house.runner.steering.lock:
        scans.do("pause_at_point")
        scans.do(then)
    if then == "skip":
        scans.until("paused")
        scans.do("resume")
    ended = house.wait()
    assert ended.exit_status == "success"
    assert (len(house.points(ended.run_uids[0])) < 7) == (then == "complete")


def test_a_pause_of_a_person_outlasts_the_pause_for_room(scans: Steered) -> None:
    steering = scans.house.runner.steering
    scans.house.ask("count", 400, delay=0.01)
    scans.taken()
    with steering.lock:
        scans.house.runner.watching.room(0.6, False)
        scans.do("pause")
    scans.until("paused")
    scans.house.runner.watching.room(0.1, False)
    assert not steering._wanted.moves_on
    scans.do("abort")
    assert scans.house.wait().exit_status == "abort"


def test_hooks_of_a_pause_that_were_ended_spoil_no_further_pause(scans: Steered) -> None:
    scans.hooks(
        '@on("pause")\ndef shut(scan):\n    yield from bps.checkpoint()\n'
        "    yield from bps.mv(samy, 3)\n    yield from bps.sleep(60)\n"
    )
    house = scans.house
    for _ in range(2):
        house.devices["samy"].obj.set(0.0)
        scans.paused()
        house.until(lambda: house.devices["samy"].position() == 3, "the hook does not run")
        scans.do("abort", reason="enough")
        ended = house.wait()
        assert (ended.exit_status, ended.reason) == ("abort", "enough")


def test_an_abort_just_before_the_hooks_of_a_pause_begin_ends_them_at_once(
    scans: Steered,
) -> None:
    scans.hooks('@on("pause")\ndef shut(scan):\n    yield from bps.sleep(60)\n')
    house, aside = scans.house, scans.house.runner.steering.aside
    house.ask("count", 400, delay=0.01)
    scans.taken()
    steering = house.runner.steering
    aside = steering.aside

    def late(place: str) -> str:
        if place == "on pause":
            scans.do("abort", reason="now")  # behind the look at the flag
        return aside(place)

    steering.aside = late
    scans.do("pause")
    assert house.wait().reason == "now"


def test_a_disk_that_takes_nothing_does_not_keep_the_scan_running_when_all_is_to_stop(
    scans: Steered,
) -> None:
    house = scans.house
    first = house.ask("count", 400, delay=0.01)
    house.ask("count", 1)
    scans.taken()

    with house.catalogue.writing() as db:
        pass
    db.execute("PRAGMA query_only=1")
    try:
        with pytest.raises(StorageError, match=r"all ends.*readonly"):
            scans.do("stop_all")
        ended = {one.item_id: one.exit_status for one in (house.wait(), house.wait())}
    finally:
        db.execute("PRAGMA query_only=0")
    assert ended.pop(first) == "abort"
    assert list(ended.values()) == ["removed"]
    assert not house.runner.status().waiting


@pytest.mark.parametrize("device", ["diode", "changer"])
def test_a_scan_waits_again_for_a_device_that_somebody_else_was_quicker_to_take(
    scans: Steered, device: str
) -> None:
    house, leases = scans.house, scans.house.runner.leases
    assert isinstance(leases, Contested)
    leases.contested = device
    house.ask("count", 2, queue={"sample": "S1" if device == "changer" else ""})
    house.until(lambda: "Ada" in house.runner.status().waiting_for, "it does not wait")
    leases.release("the move of Ada")
    assert house.wait().exit_status == "success"


def test_the_time_that_a_scan_has_run_stands_still_in_a_pause(scans: Steered) -> None:
    clock = scans.house.runner.steering.clock
    stood_s = time.monotonic() - clock()
    scans.paused()
    scans.do("complete")
    scans.house.wait()
    assert time.monotonic() - clock() > stood_s


def test_a_plan_that_computes_for_ever_is_ended_by_an_abort_and_the_next_scan_runs(
    scans: Steered,
) -> None:
    house = scans.house
    house.runner.steering.computes_s = 0.2
    (house.plans / "endless.py").write_text(
        "def endless():\n    yield from bps.open_run()\n    try:\n        while True:\n"
        "            pass\n    finally:\n        yield from bps.mv(samy, 2)\n"
    )
    house.ask("endless")
    house.until(lambda: house.runner.status().run_uid is not None, "no run")
    house.until(lambda: bool(OWN_CODE.piece), "it does not compute")
    scans.do("abort", reason="it hangs")
    ended = house.wait()
    assert (ended.exit_status, ended.reason) == ("abort", "it hangs")
    assert house.journal(ended.run_uids[0])[-1][1]["exit_status"] == "abort"
    assert house.devices["samy"].position() == 2
    assert house.run("scan", "samx", 0, 1, 3).exit_status == "success"


BLOCKING = """
@{place}
def blocks(scan):
    while not os.path.exists({flag!r}):
        time.sleep(0.01)
    yield Msg("null")
"""


def test_a_pause_while_a_hook_holds_up_the_engine_is_answered_at_once_and_taken_later(
    scans: Steered, tmp_path: Path
) -> None:
    flag, house = tmp_path / "go on", scans.house
    scans.hooks("import os\nimport time\n" + BLOCKING.format(
        place='before("point")', flag=str(flag)))  # fmt: skip
    house.ask("scan", "samx", 0, 1, 5)
    house.until(lambda: bool(OWN_CODE.piece), "the hook does not run")
    told = scans.do("pause")
    assert told.did == "it pauses when the hook blocks returns, which holds it up now"
    assert told.state == "pausing"
    house.until(lambda: "the hook blocks" in house.runner.status().waiting_for, "not told")
    flag.touch()
    scans.until("paused")
    flag.unlink()
    scans.do("resume")
    house.until(lambda: bool(OWN_CODE.piece), "the hook does not run again")
    told = scans.do("abort")
    assert told.did.startswith("it ends, with its clean-up, when the hook blocks returns")
    flag.touch()
    assert house.wait().exit_status == "abort"


@pytest.mark.parametrize("place", ['before("scan")', 'instead("point")', 'on("pause")'])
@pytest.mark.parametrize("gives", ["", "\n    yield Msg('null')"], ids=["function", "generator"])
def test_a_hook_that_computes_for_ever_is_ended_by_an_abort_and_the_next_scan_runs(
    scans: Steered, place: str, gives: str
) -> None:
    house = scans.house
    house.runner.steering.computes_s = 0.2
    scans.hooks(f"@{place}\ndef endless(scan):\n    while True:\n        pass{gives}\n")
    house.ask("count", 400, delay=0.01)
    if "pause" in place:
        scans.taken()
        scans.do("pause")
    house.until(lambda: bool(OWN_CODE.piece), "it does not compute")
    scans.do("abort", reason="it hangs")
    ended = house.wait()
    assert (ended.exit_status, ended.reason) == ("abort", "it hangs")
    scans.hooks("")
    assert house.run("scan", "samx", 0, 1, 3).exit_status == "success"


def test_a_preprocessor_that_computes_for_ever_is_ended_by_an_abort(scans: Steered) -> None:
    house = scans.house
    house.runner.steering.computes_s = 0.2
    scans.hooks(
        "@preprocessor\ndef endless(plan):\n    yield from bps.null()\n"
        "    while True:\n        pass\n"
    )
    house.ask("count", 4)
    house.until(lambda: bool(OWN_CODE.piece), "it does not compute")
    scans.do("abort", reason="it hangs")
    assert house.wait().exit_status == "abort"
    scans.hooks("")
    assert house.run("scan", "samx", 0, 1, 3).exit_status == "success"


def _skip_when_it_counts(scans: Steered) -> None:
    steering = scans.house.runner.steering
    scans.house.until(
        lambda: steering.course.steps is not None and steering.course.steps.open, "no point begins"
    )
    scans.do("skip")


def test_a_run_all_of_whose_points_were_left_out_is_no_success(scans: Steered) -> None:
    house = scans.house
    house.ask("count", 1, count_time_s=60)
    _skip_when_it_counts(scans)
    ended = house.wait()
    assert (ended.exit_status, ended.reason) == (
        "abort",
        "no point was measured: 1 point left out",
    )
    stop = house.journal(ended.run_uids[0])[-1][1]
    assert (stop["exit_status"], stop["reason"]) == (ended.exit_status, ended.reason)


def test_a_scan_of_several_runs_is_good_although_one_of_them_has_no_point(scans: Steered) -> None:
    house = scans.house
    house.ask("for_each", "samy", [0, 1], "count", 1, count_time_s=1)
    _skip_when_it_counts(scans)
    ended = house.wait()
    words = [house.journal(uid)[-1][1]["exit_status"] for uid in ended.run_uids]
    assert (words, ended.exit_status) == (["abort", "success"], "success")
