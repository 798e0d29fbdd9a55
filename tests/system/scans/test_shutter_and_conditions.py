"""Shutters open when a scan wants beam; a scan waits, pauses or ends when a condition fails."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
import pytest

from undula.client import Client
from undula.core.errors import BusyError, DeviceError, InputError, UndulaError
from undula.testing.beamline import LocalBeamline, local_beamline
from undula.testing.law import until

AXIS = "undula.devices.sim.SimPositioner"
CONDITION = "undula.devices.condition.Condition"


def _entry(cls: str, config: dict[str, Any]) -> dict[str, Any]:
    keys = {"readoutPriority": "on_request", "enabled": True}
    return {"deviceClass": cls, "deviceConfig": config, **keys}


def _condition(ok: str = "gate > 0.5", **more: Any) -> dict[str, Any]:
    return _entry(CONDITION, {"ok": ok, "settle": 0.3, "every": 0.02, **more})


@pytest.fixture(scope="module")
def beamline() -> Iterator[LocalBeamline]:
    with local_beamline() as running:
        with running.connect() as client:
            client.config.update("shutter", {"shutter": {"open": "open", "close": "closed"}})
            client.config.add({"gate": _entry(AXIS, {"start": 1.0, "unit": "mA"})})
        yield running


@pytest.fixture
def client(beamline: LocalBeamline) -> Iterator[Client]:
    with beamline.connect() as client:
        client.mv(gate=1)
        before = client.config.status().revision
        yield client
        if client.queue.list().state != "idle":
            client.queue.abort("the test is over")
        until(lambda: client.queue.list().state == "idle", "the scan does not end")
        client.config.restore(before)


def _begun(client: Client, points: int = 5) -> None:
    until(lambda: client.queue.list().points_done >= points, "the scan does not begin")


def _state(client: Client, state: str) -> str:
    until(lambda: client.queue.list().state == state, f"it does not become {state}")
    return client.queue.list().message


def _open(client: Client) -> bool:
    return bool(client.devices.shutter.position)


LONG = {"time": 0.02, "detectors": ["diode"], "wait": False}


@pytest.mark.parametrize("axis", ["samx", "piezo"])
def test_a_scan_opens_the_shutter_and_closes_it_at_its_end(client: Client, axis: str) -> None:
    client.mv(shutter=0)
    run = client.scan(axis, -0.1, 0.1, 5, detectors=["diode", "shutter"]).run
    assert np.all(run.data["shutter"] == 1)
    assert np.min(run.data["diode"]) > 100
    assert not _open(client)


def test_the_shutter_opens_for_each_point_when_that_is_declared(client: Client) -> None:
    scan = client.submit(
        "scan", "samx", -1, 1, 8, time=0.02, detectors=["diode"], shutter="per_point"
    )
    run = scan.wait(60.0).run
    assert np.min(run.data["diode"]) > 10
    assert not _open(client)


def test_dark_points_are_taken_with_the_shutter_closed(client: Client) -> None:
    scan = client.submit("scan", "samx", -1, 1, 4, time=0.02, detectors=["diode"], darks=3)
    run = scan.wait(60.0).run
    with h5py.File(run.record.path) as file:
        found: list[Any] = []
        file.visititems(
            lambda name, item: (
                found.append(item[()])
                if isinstance(item, h5py.Dataset) and name.endswith("dark/diode")
                else None
            )
        )
        assert found, list(file["entry"])
    assert len(found[0]) == 3
    assert np.max(found[0]) < np.min(run.data["diode"])


def test_without_a_shutter_darks_are_refused_and_a_scan_may_leave_it_alone(client: Client) -> None:
    client.mv(shutter=0)
    run = client.submit("count", 2, detectors=["diode"], shutter="none").wait(60.0).run
    assert np.max(run.data["diode"]) < 100
    client.config.update("shutter", {"shutter": None})
    with pytest.raises(InputError, match="no device has the role of a shutter"):
        client.submit("count", 2, detectors=["diode"], darks=1)


def test_the_shutter_is_closed_in_a_pause_and_open_again_after_it(client: Client) -> None:
    scan = client.scan("samx", -1, 1, 200, **LONG)
    _begun(client)
    assert _open(client)
    client.queue.pause()
    _state(client, "paused")
    assert not _open(client)
    client.queue.resume()
    _begun(client, 20)
    assert _open(client)
    client.queue.abort("enough")
    scan.wait(60.0, check=False)
    assert not _open(client)


def test_stop_closes_the_shutter(client: Client) -> None:
    scan = client.scan("samx", -1, 1, 200, **LONG)
    _begun(client)
    client.stop()
    scan.wait(60.0, check=False)
    assert not _open(client)


@pytest.mark.parametrize("axis", ["samx", "piezo"])
def test_a_scan_pauses_while_a_condition_fails_and_no_point_is_spoiled(
    client: Client, axis: str
) -> None:
    client.config.add({"beam_ok": _condition()})
    count_time = 0.02 if axis == "samx" else None
    scan = client.submit(
        "scan", axis, -0.5, 0.5, 200 if axis == "samx" else 60_000,
        time=count_time, detectors=["diode"],
    )  # fmt: skip
    _begun(client)
    client.mv(gate=0.25)
    message = _state(client, "paused")
    assert "beam_ok: gate > 0.5 does not hold (gate is 0.25 mA)" in message
    assert not _open(client)
    with pytest.raises(BusyError, match="it cannot go on: beam_ok"):
        client.queue.resume()
    client.mv(gate=1)
    run = scan.wait(60.0).run
    assert len(run.data["diode"]) == (200 if axis == "samx" else 60_000)
    assert np.min(run.data["diode"]) > 10
    assert np.allclose(np.ravel(run.data[axis]), np.linspace(-0.5, 0.5, len(run.data[axis])))


def test_a_pause_by_a_person_outlasts_the_condition(client: Client) -> None:
    client.config.add({"beam_ok": _condition()})
    scan = client.scan("samx", -1, 1, 150, **LONG)
    _begun(client)
    client.mv(gate=0)
    _state(client, "paused")
    client.queue.pause()
    client.mv(gate=1)
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        assert client.queue.list().state == "paused"
    client.queue.resume()
    assert len(scan.wait(60.0).run.data["diode"]) == 150


def test_a_condition_that_cannot_be_read_does_not_hold(client: Client) -> None:
    client.config.add(
        {"line": _entry("undula.testing.faulty.Faulty", {}), "line_ok": _condition("line > 0")}
    )
    scan = client.scan("samx", -1, 1, 150, **LONG)
    _begun(client)
    with pytest.raises(DeviceError, match="the line is dead"):
        client.mv(line=-1)  # it raises from now on when it is read
    assert "line_ok" in _state(client, "paused")
    client.mv(line=1)
    assert len(scan.wait(60.0).run.data["diode"]) == 150


def test_a_scan_that_is_started_while_a_condition_fails_waits_and_says_why(client: Client) -> None:
    client.config.add({"beam_ok": _condition(message="no beam")})
    client.mv(gate=0)
    scan = client.scan("samx", -1, 1, 5, **LONG)
    until(lambda: "no beam" in client.queue.list().waiting_for, "it does not say what it waits for")
    client.mv(gate=1)
    assert len(scan.wait(60.0).run.data["diode"]) == 5


def test_a_condition_may_abort_refuse_or_warn(client: Client) -> None:
    client.config.add({"vacuum_ok": _condition(action="abort")})
    scan = client.scan("samx", -1, 1, 200, **LONG)
    _begun(client)
    client.mv(gate=0)
    scan.wait(60.0, check=False)
    assert scan.run.status == "abort"
    assert "aborted by itself: vacuum_ok" in scan.run.record.reason
    with pytest.raises(UndulaError, match="staff may disable the condition"):
        client.scan("samx", -1, 1, 3, detectors=["diode"])
    client.config.update("vacuum_ok", {"deviceConfig.action": "warn"})
    assert len(client.scan("samx", -1, 1, 3, detectors=["diode"]).run.data["diode"]) == 3


def test_a_condition_that_fails_is_an_alarm_until_somebody_has_seen_it(client: Client) -> None:
    client.alarms.acknowledge()
    client.config.add({"beam_ok": _condition(action="warn", message="no beam")})
    client.mv(gate=0)
    found: list[Any] = []

    def one() -> bool:  # those of a test before may end just now
        found[:] = client.alarms.list()
        return len(found) == 1

    until(one, "no alarm")
    (alarm,) = found
    assert (alarm.source, alarm.severity) == ("beam_ok", "minor")
    assert "no beam (gate is 0 mA)" in alarm.text
    client.mv(gate=1)
    until(lambda: client.alarms.list()[0].cleared is not None, "it is not over")
    client.alarms.acknowledge(alarm.number)
    assert client.alarms.list() == []
