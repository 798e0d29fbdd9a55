"""Values on the bus as they change: bounded in rate, of every library, without disturbing scans."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator

import pytest

from undula.client import Client
from undula.messages import DeviceChanges, DevicePreview, DeviceProgress
from undula.testing.beamline import local_beamline
from undula.testing.law import until

KEYS = {"readoutPriority": "on_request", "enabled": True}
DRIFT = {
    "deviceClass": "ophyd.sim.SynPeriodicSignal",
    "deviceConfig": {"period": 0.01, "period_jitter": 0},
    **KEYS,
}


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with local_beamline() as beamline, beamline.connect() as client:
        client.config.add({"drift": DRIFT})
        yield client


@pytest.fixture
def changes(client: Client) -> Iterator[queue.SimpleQueue[DeviceChanges]]:
    found: queue.SimpleQueue[DeviceChanges] = queue.SimpleQueue()
    subscription = client.devices.follow(found.put)
    yield found
    subscription.close()


def _heard_until(changes: queue.SimpleQueue[DeviceChanges], name: str, value: float) -> None:
    end = time.monotonic() + 60.0
    while changes.get(timeout=end - time.monotonic()).values.get(name) != value:
        pass


def test_a_moved_axis_is_told_without_being_asked_for(
    client: Client, changes: queue.SimpleQueue[DeviceChanges]
) -> None:
    client.mv(samx=1.5)
    _heard_until(changes, "samx", 1.5)


def test_a_signal_that_changes_often_is_told_ten_times_a_second_at_most(
    client: Client, changes: queue.SimpleQueue[DeviceChanges]
) -> None:
    times: list[float] = []
    while len(times) < 12:
        change = changes.get(timeout=60.0)
        if "drift" in change.values:
            times.append(change.time)
    assert times[-1] - times[0] > 0.9


def test_a_device_that_was_taken_away_is_told_no_more(
    client: Client, changes: queue.SimpleQueue[DeviceChanges]
) -> None:
    client.config.add({"other": DRIFT})
    while "other" not in changes.get(timeout=60.0).values:
        pass
    client.config.remove("other")
    client.mv(samx=0.125)
    _heard_until(changes, "samx", 0.125)  # what was on its way has arrived
    client.mv(samx=0.25)
    end = time.monotonic() + 60.0
    while True:
        change = changes.get(timeout=end - time.monotonic())
        assert "other" not in change.values
        if change.values.get("samx") == 0.25:
            return


def test_a_value_that_nobody_subscribes_to_is_heard_as_well(client: Client) -> None:
    def told() -> bool:
        heard = client.devices.heard()
        return heard is not None and "ring_current" in heard.values

    until(told, "the ring current is not told")
    heard = client.devices.heard()
    assert heard is not None
    assert 300 < heard.values["ring_current"] < 500


def test_watch_prints_values_once(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    from undula.cli.watch import watch

    watch(client, ["samx", "diode"], as_json=False, once=True)
    out = capsys.readouterr().out
    assert "M.samx" in out
    assert "D.diode" in out


def test_a_motion_and_new_limits_are_told_and_the_listing_knows_them(
    client: Client, changes: queue.SimpleQueue[DeviceChanges]
) -> None:
    slow = {
        "deviceClass": "undula.devices.sim.SimPositioner",
        "deviceConfig": {"delay": 1, "velocity": 3, "limits": [-5, 5]},
        **KEYS,
    }
    client.config.add({"slow": slow})
    client.mv(slow=4)
    moving: list[bool] = []
    end = time.monotonic() + 60.0
    while moving != [True, False]:
        change = changes.get(timeout=end - time.monotonic())
        moving += [change.moving["slow"]] if "slow" in change.moving else []
    client.motors.set_limits("slow", -5, 4.5)
    while "slow" not in (change := changes.get(timeout=end - time.monotonic())).limits:
        pass
    assert change.limits["slow"] == (-5.0, 4.5)

    def heard() -> float | None:
        found = client.devices.heard()
        return None if found is None else found.values.get("slow")

    until(lambda: heard() == 4, "its place is not told")
    client.config.remove("slow")


def test_previews_and_progress_reach_a_client_as_they_are_made(client: Client) -> None:
    shown: queue.SimpleQueue[DevicePreview] = queue.SimpleQueue()
    steps: queue.SimpleQueue[DeviceProgress] = queue.SimpleQueue()
    camera = {"deviceClass": "undula.devices.sim.SimCamera", **KEYS}
    ramp = {"deviceClass": "undula.devices.sim.bec.SimRamp", **KEYS}
    client.config.add({"screen": camera, "ramp": ramp})
    first = client.devices.follow_preview("screen", shown.put)
    second = client.devices.follow_progress("ramp", steps.put)
    try:
        client.count(num=3, delay=0.25, detectors=["screen"])
        pictures = [shown.get(timeout=60.0) for _ in range(2)]
        assert pictures[0].data.shape == (48, 64)
        assert pictures[1].time - pictures[0].time >= 0.2
        latest = client.devices.preview("screen")
        assert latest is not None
        assert latest.time >= pictures[1].time
        client.mv(ramp=6)
        told = [steps.get(timeout=60.0)]
        while not told[-1].finished:
            told.append(steps.get(timeout=60.0))
        assert [step.done for step in told] == sorted(step.done for step in told)
        assert told[-1].done == told[-1].total == 6
        assert len(told) > 2
    finally:
        first.close()
        second.close()
