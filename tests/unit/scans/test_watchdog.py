"""What takes longer than it should is told, with its name and what was expected."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undula.core.settings import WatchdogSettings
from undula.plans.verbs import Wait
from undula.scans.move_watch import MoveWatch
from undula.scans.watchdog import Expected, Pace, Watchdog, expected_of
from undula.testing.law import until
from undula.testing.scan_house import ScanHouse

SETTINGS = WatchdogSettings(factor=2.0, margin_s=1.0, scan_margin_s=10.0)
EXPECTED = Expected(
    paces={"samx": Pace(2.0, 0.5), "rot": None}, start={"samx": 1.0}, trigger_s=3.0, scan_s=50.0
)


class Clock:
    """A time that is set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def dog(clock: Clock) -> Watchdog:
    dog = Watchdog(SETTINGS, clock)
    dog.begin(EXPECTED)
    return dog


@given(st.floats(0.0, 1e4), st.none() | st.floats(1.0, 1e5), st.floats(0.0, 1e5))
def test_a_direct_move_is_told_before_its_deadline_and_never_in_its_time(
    expected_s: float, limit_s: float | None, took_s: float
) -> None:
    clock, changes = Clock(), list[int]()
    watch = MoveWatch(SETTINGS, lambda: changes.append(1), clock)
    watch.begin("a move by ann", ["samx", "samy"], expected_s, limit_s)
    watch.begin("a move by ben", ["rot"], None, None)
    watch.waits("a move by ann", ["samy"])
    clock.now += took_s
    late = watch.look()
    if late:
        assert [one.source for one in late] == ["move, samy"]
        assert "a move by ann" in late[0].text
        assert took_s > expected_s or (limit_s is not None and took_s > limit_s / 2)
    else:
        assert limit_s is None or took_s <= limit_s
        assert took_s <= SETTINGS.factor * expected_s + SETTINGS.margin_s + 1e-6
    watch.end("a move by ann")
    assert watch.look() == []
    assert len(changes) == 2 * len(late)


@pytest.mark.parametrize(
    ("wait", "expected_s"),
    [
        (Wait("move", ["samx"], {"samx": 3.0}), 4.5),
        (Wait("move", ["samx"], {"samx": 1.0}), 0.0),
        (Wait("trigger", ["diode"]), 3.0),
        (Wait("stage", ["cam to be ready"]), 30.0),
    ],
)
def test_a_wait_is_overdue_after_what_was_computed_and_a_margin(
    dog: Watchdog, clock: Clock, wait: Wait, expected_s: float
) -> None:
    dog.told(wait)
    clock.now += 2.0 * expected_s + 0.9
    assert dog.look(running=True) == []
    clock.now += 0.2
    (late,) = dog.look(running=True)
    assert wait.names[0] in late.text
    assert f"should take {expected_s:.1f} s" in late.text
    dog.told(None)
    assert dog.look(running=True) == []


@pytest.mark.parametrize(
    "wait",
    [
        Wait("move", ["rot"], {"rot": 3.0}),
        Wait("move", ["temperature"], {"temperature": 3.0}),
        Wait("other", ["somebody"]),
    ],
)
def test_what_nobody_can_compute_is_shown_and_never_overdue(
    dog: Watchdog, clock: Clock, wait: Wait
) -> None:
    dog.told(wait)
    clock.now += 45.0
    assert dog.look(running=True) == []
    assert dog.text == f"{wait.names[0]}, since 45 s"


def test_the_next_move_is_reckoned_from_the_last_target(dog: Watchdog) -> None:
    dog.told(Wait("move", ["samx"], {"samx": 11.0}))
    dog.told(None)
    dog.told(Wait("move", ["samx"], {"samx": 12.0}))
    assert dog.waiting is not None
    assert dog.waiting.expected_s == 2.5


@pytest.mark.parametrize("how", ["paused", "failed"])
def test_a_move_that_did_not_end_well_says_nothing_of_the_next_one(
    dog: Watchdog, clock: Clock, how: str
) -> None:
    whole = Wait("move", ["samx"], {"samx": 101.0})
    dog.told(whole)
    clock.now += 5.0
    if how == "failed":
        dog.told(Wait("given up", ["samx"]))
    dog.told(None)
    if how == "paused":
        dog.stood()
    dog.told(whole)
    clock.now += 190.0
    assert dog.look(running=True) == []
    dog.told(None)
    dog.told(Wait("move", ["samx"], {"samx": 102.0}))
    assert dog.waiting is not None
    assert dog.waiting.expected_s == 2.5


def test_a_wait_of_a_plan_of_ones_own_takes_what_its_slowest_part_takes(dog: Watchdog) -> None:
    dog.sends("samx", "set", 3.0)
    dog.sends("diode", "trigger", None)
    dog.told(Wait("other", ["samx", "diode"]))
    assert dog.waiting is not None
    assert dog.waiting.expected_s == 4.5
    dog.told(None)
    assert dog.text == ""
    dog.sends("rot", "set", 3.0)
    dog.told(Wait("other", ["rot"]))
    assert dog.waiting.expected_s is None


@given(st.lists(st.tuples(st.booleans(), st.floats(0.01, 5.0)), max_size=60))
def test_only_the_time_in_which_it_runs_counts_for_the_whole_scan(
    stretches: list[tuple[bool, float]],
) -> None:
    clock, ran = Clock(), 0.0
    dog = Watchdog(SETTINGS, clock)
    dog.begin(EXPECTED)
    dog.look(running=True)
    before = True
    for running, duration in stretches:
        clock.now += duration
        ran += duration if before and running else 0.0
        late = dog.look(running=running)
        before = running
        if running and abs(ran - 111.0) > 1e-6:
            assert bool(late) == (ran > 111.0)


@pytest.fixture
def flag(tmp_path: Path) -> Path:
    """While it exists, a move never ends."""
    return tmp_path / "stuck"


def _house(folder: Path, flag: Path, action: str) -> ScanHouse:
    devices = f"""
rot:
  deviceClass: undula.testing.faulty.StuckPositioner
  deviceConfig: {{flag: {flag}, velocity: 1000}}
  readoutPriority: on_request
  enabled: true
"""
    watchdog = {"action": action, "margin_s": 0.2}
    return ScanHouse(folder, devices, watchdog=watchdog)


@pytest.fixture(params=["warn", "stop", "abort"])
def house(request: pytest.FixtureRequest, tmp_path: Path, flag: Path) -> Iterator[ScanHouse]:
    made = _house(tmp_path, flag, request.param)
    yield made
    made.close()


@pytest.mark.parametrize("place", ["before('point')", "after('stage')", "on('close')"])
def test_the_length_of_a_scan_with_hooks_in_it_is_not_judged(tmp_path: Path, place: str) -> None:
    made = ScanHouse(tmp_path, "diode: {deviceClass: undula.devices.sim.SimMonitor, enabled: true,"
                     " readoutPriority: monitored, softwareTrigger: true}")  # fmt: skip
    try:
        (made.plans / "hooks.py").write_text(f"@{place}\ndef own(scan):\n    yield\n")
        scan = made.check("count", 5)
        expected = expected_of(scan, made.devices, made.additions.for_scan(scan))
        assert (expected.scan_s is None) == ("close" not in place)
    finally:
        made.close()


def test_a_stuck_axis_is_named_and_done_about_what_the_beamline_chose(
    house: ScanHouse, flag: Path
) -> None:
    action, steering = house.settings.watchdog.action, house.runner.steering
    flag.touch()
    house.ask("list_scan", "rot", [5.0, 6.0])
    until(lambda: bool(house.runner.watching.overdue()), "nothing is overdue")
    assert "waiting for rot" in house.runner.status().overdue[0]
    flag.unlink()
    if action == "abort":
        ended = house.wait()
        assert ended.exit_status == "fail"
        assert "ended by the watchdog: waiting for rot" in ended.reason
        return
    if action == "stop":
        until(lambda: house.runner.status().state == "paused", "it does not pause")
        assert "paused by the watchdog: waiting for rot" in house.runner.status().message
        steering.resume()
    else:
        assert house.runner.status().state == "running"
        house.devices["rot"].obj.arrive()
    assert house.wait().exit_status == "success"
