"""Tango attributes, commands and axes against a real device server in a process of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from undula.core.errors import DeviceError
from undula.devices.description import load_device_file
from undula.devices.errors import DeviceFileError
from undula.devices.registry import Registry
from undula.testing.beamline import local_beamline
from undula.testing.law import until
from undula.testing.tango_process import TangoServer, tango_server

AXIS, SENSOR = "test/undula/axis", "test/undula/sensor"


@pytest.fixture(scope="module")
def server() -> Iterator[TangoServer]:
    with tango_server() as running:
        yield running


def _entry(name: str, cls: str, uri: str, priority: str = "monitored", more: str = "") -> str:
    return f"""{name}:
  deviceClass: undula.devices.tango.{cls}
  deviceConfig: {{uri: "{uri}"{more}}}
  readoutPriority: {priority}
  enabled: true
"""


def _text(server: TangoServer) -> str:
    return (
        _entry("tx", "TangoMotor", server.uri(AXIS), "baseline")
        + _entry("impatient", "TangoMotor", server.uri(AXIS), "on_request", ", move_timeout: 2.0")
        + _entry(
            "unstoppable",
            "TangoMotor",
            server.uri(AXIS),
            "on_request",
            ", move_timeout: 0.3, stop_command: Halt",
        )
        + _entry("silent", "TangoMotor", server.uri(AXIS), "on_request", ", velocity: ''")
        + _entry("temperature", "TangoAttribute", server.uri(SENSOR, "temperature"))
        + _entry("spectrum", "TangoAttribute", server.uri(SENSOR, "spectrum"), "on_request")
        + _entry("label", "TangoAttribute", server.uri(SENSOR, "label"), "baseline")
        + _entry("setpoint", "TangoAttribute", server.uri(SENSOR, "setpoint"), "baseline")
        + _entry("reset", "TangoCommand", server.uri(SENSOR, "Reset"), "on_request")
    )


@pytest.fixture
def devices(server: TangoServer, tmp_path: Path) -> Registry:
    path = tmp_path / "tango.yaml"
    path.write_text(_text(server))
    registry = Registry(load_device_file(path))
    registry.connect()
    problems = {n: registry[n].problem for n in registry.names() if registry[n].problem}
    assert not problems
    return registry


def test_attributes_are_read_with_unit_shape_and_limits(devices: Registry) -> None:
    assert devices["temperature"].read()["temperature"]["value"] == 21.0
    assert devices["temperature"].unit == "degC"
    assert devices["spectrum"].describe()["spectrum"]["shape"] == [8]
    assert np.array_equal(devices["spectrum"].read()["spectrum"]["value"], np.arange(8.0))
    assert devices["label"].read()["label"]["value"] == "sample 7"
    assert devices["setpoint"].limits() == (0.0, 100.0)
    assert devices["setpoint"].movable
    assert not devices["temperature"].movable


def test_an_axis_moves_waits_for_its_state_and_is_stopped(devices: Registry) -> None:
    axis = devices["tx"]
    assert (axis.unit, axis.limits(), axis.group) == ("mm", (-20.0, 20.0), "M")
    axis.obj.set(1.0).wait(60.0)
    assert axis.position() == 1.0
    assert axis.move_duration_s(0.0, 5.0) == pytest.approx(0.5)
    status = axis.obj.set(-15.0)
    until(lambda: axis.obj.moving, "it does not move")
    axis.obj.stop()
    with pytest.raises(DeviceError, match="it was stopped"):
        status.wait(60.0)
    assert -15.0 < axis.position() < 1.0


def test_a_fault_ends_a_move_with_the_words_of_the_server(devices: Registry) -> None:
    import tango

    proxy = tango.DeviceProxy(devices["tx"].obj._proxy.address)
    status = devices["tx"].obj.set(18.0)
    until(lambda: devices["tx"].obj.moving, "it does not move")
    proxy.Fail("following error")
    with pytest.raises(DeviceError, match="FAULT: following error"):
        status.wait(60.0)
    proxy.Fail("")


def test_a_stop_before_the_target_was_sent_keeps_it_from_being_sent(devices: Registry) -> None:
    import tango

    axis, here = devices["tx"].obj, devices["tx"].position()
    proxy = tango.DeviceProxy(axis._proxy.address)
    proxy.Think(1.0)  # the velocity is asked for first: the target waits for that
    try:
        status = axis.set(here + 5.0)
        axis.stop()
        with pytest.raises(DeviceError, match="it was stopped"):
            status.wait(60.0)
        assert axis.position == pytest.approx(here)
        assert not axis.moving
    finally:
        proxy.Think(0.0)


def test_of_two_moves_at_once_the_second_holds(devices: Registry) -> None:
    axis = devices["tx"].obj
    for target in (0.5, 0.2, 0.4, 0.1):
        first, second = axis.set(target + 5.0), axis.set(target)
        with pytest.raises(DeviceError, match="sent elsewhere"):
            first.wait(60.0)
        second.wait(60.0)
        assert axis.position == pytest.approx(target)


def test_a_blocked_axis_is_stopped_at_its_deadline(devices: Registry) -> None:
    import tango

    axis = devices["impatient"].obj
    proxy = tango.DeviceProxy(axis._proxy.address)
    devices["tx"].obj.set(0.0).wait(60.0)
    proxy.Block(True)
    try:
        with pytest.raises(DeviceError, match=r"2 s after .* to 5 mm, and was at 0 mm") as late:
            axis.set(5.0).wait(60.0)
        assert "move_timeout" in late.value.remedy
        assert not axis.moving
    finally:
        proxy.Block(False)
    axis.set(1.0).wait(60.0)
    assert axis.position == 1.0


def test_an_axis_that_cannot_be_stopped_at_its_deadline_says_so(devices: Registry) -> None:
    import tango

    axis = devices["unstoppable"].obj
    proxy = tango.DeviceProxy(axis._proxy.address)
    proxy.Block(True)
    try:
        with pytest.raises(DeviceError, match=r"could not be stopped \(.*Halt"):
            axis.set(5.0).wait(60.0)
        assert axis.moving
    finally:
        proxy.Block(False)


def test_a_deadline_comes_from_the_way_and_the_velocity(devices: Registry) -> None:
    devices["tx"].obj.set(0.0).wait(60.0)
    assert devices["tx"].obj.limit_s(-15.0) == pytest.approx(13.0)
    assert devices["silent"].obj.limit_s(-15.0) == 600.0
    assert devices["impatient"].obj.limit_s(-15.0) == 2.0


def test_a_timeout_that_is_no_time_is_a_fault_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "tango.yaml"
    path.write_text(_entry("x", "TangoMotor", "a/b/c", more=", move_timeout: -1"))
    with pytest.raises(DeviceFileError, match="move_timeout: -1 is no time"):
        load_device_file(path)


def test_the_quality_is_in_the_reading_as_its_severity(devices: Registry) -> None:
    import tango

    device = devices["temperature"]

    def severity() -> tuple[int, str | None]:
        reading = device.read()
        found = reading["temperature"]["alarm_severity"]
        return found, device.severities(reading).get("temperature")

    assert severity() == (0, None)
    devices["setpoint"].obj.set(70.0).wait(60.0)
    assert severity() == (1, "minor")
    devices["setpoint"].obj.set(90.0).wait(60.0)
    assert severity() == (2, "major")
    assert devices.reading("temperature").flags == ["temperature: in major alarm"]
    tango.DeviceProxy(device.obj._proxy.address).Unplug()
    assert severity() == (-1, "invalid")
    assert np.isnan(device.read()["temperature"]["value"])
    spectrum = devices["spectrum"].read()["spectrum"]["value"]
    assert spectrum.shape == (8,)
    assert np.isnan(spectrum).all()
    devices["reset"].obj.trigger().wait(60.0)
    assert severity() == (0, None)
    assert device.read()["temperature"]["value"] == 21.0
    assert devices["reset"].read()["reset"]["value"] == 1


def test_a_value_that_changes_is_no_alarm(devices: Registry) -> None:
    axis = devices["tx"].obj
    status = axis.set(-15.0)
    until(lambda: axis.moving, "it does not move")
    raw = axis._proxy.raw.read_attribute("Position")
    reading = axis.read()["tx"]
    assert axis.moving
    assert (str(raw.quality), reading["alarm_severity"]) == ("ATTR_CHANGING", 0)
    axis.stop()
    with pytest.raises(DeviceError, match="it was stopped"):
        status.wait(60.0)


def test_what_the_server_refuses_is_said(devices: Registry) -> None:
    with pytest.raises(DeviceError, match="setpoint"):
        devices["setpoint"].obj.set(500.0).wait(60.0)


def test_changes_are_told(devices: Registry) -> None:
    heard, arrived = [], threading.Event()

    def hear(reading: dict[str, Any]) -> None:
        heard.append(reading["temperature"]["value"])
        if heard[-1] == 33.0:
            arrived.set()

    devices["temperature"].obj.subscribe(hear)
    devices["setpoint"].obj.set(33.0).wait(60.0)
    assert arrived.wait(60.0), heard
    devices["temperature"].obj.clear_sub(hear)
    devices["reset"].obj.trigger().wait(60.0)


def test_a_value_that_becomes_invalid_is_told(devices: Registry) -> None:
    import tango

    heard, arrived = [], threading.Event()

    def hear(reading: dict[str, Any]) -> None:
        heard.append(reading["temperature"]["alarm_severity"])
        if len(heard) > 1 and heard[-1] == 0:
            arrived.set()

    device = devices["temperature"].obj
    device.subscribe(hear)
    until(lambda: heard == [0], "it is not told at first")
    tango.DeviceProxy(device._proxy.address).Unplug()
    until(lambda: -1 in heard, "it is not told as invalid")
    devices["reset"].obj.trigger().wait(60.0)
    assert arrived.wait(60.0)
    device.clear_sub(hear)
    assert heard == [0, -1, 0]


def test_a_server_that_was_killed_is_named_and_answers_again(tmp_path: Path) -> None:
    with tango_server() as server:
        path = tmp_path / "tango.yaml"
        path.write_text(_text(server))
        devices = Registry(load_device_file(path))
        devices.connect()
        server.kill()
        with pytest.raises(DeviceError, match=f"127.0.0.1:{server.port}"):
            devices["temperature"].read()
        assert not devices["temperature"].connected
        server.start()

        def answers() -> bool:
            try:
                return bool(devices["temperature"].read()["temperature"]["value"] == 21.0)
            except DeviceError:
                return False

        until(answers, "it does not answer again")
        assert devices["temperature"].connected


@pytest.mark.parametrize(
    ("cls", "uri"),
    [("TangoAttribute", "a/b/c"), ("TangoMotor", "a/b/c/d"), ("TangoAttribute", "nonsense")],
)
def test_a_wrong_address_is_a_fault_of_the_file(tmp_path: Path, cls: str, uri: str) -> None:
    path = tmp_path / "tango.yaml"
    path.write_text(_entry("x", cls, uri))
    with pytest.raises(DeviceFileError, match=r"tango\.yaml:3: x: .* is no Tango address"):
        load_device_file(path)


def test_a_tango_axis_is_scanned_against_an_attribute(server: TangoServer, tmp_path: Path) -> None:
    path = tmp_path / "tango.yaml"
    path.write_text(_text(server))
    with local_beamline(devices=path) as beamline, beamline.connect() as client:
        began = time.time()
        run = client.scan("tx", 0, 1, 5, detectors=["temperature", "spectrum"]).run
        assert np.allclose(run.data["tx"], np.linspace(0, 1, 5))
        assert np.shape(run.data["spectrum"]) == (5, 8)
        assert np.all(run.data["temperature"] == 21.0)
        with h5py.File(run.path) as file:
            _file_is_told_by_the_server(file, server, began)


def _file_is_told_by_the_server(file: h5py.File, server: TangoServer, began: float) -> None:
    """Values, units, sources and the server's own times stand in the NeXus file."""
    expected = {
        "tx": (np.linspace(0, 1, 5), "mm", server.uri(AXIS, "Position"), "NXpositioner"),
        "temperature": (
            np.full(5, 21.0), "degC", server.uri(SENSOR, "temperature"), "NXdetector"),
        "spectrum": (
            np.tile(np.arange(8.0), (5, 1)), "counts", server.uri(SENSOR, "spectrum"),
            "NXdetector"),
    }  # fmt: skip
    for name, (values, unit, source, group) in expected.items():
        home = file["entry/instrument"][name]
        assert home.attrs["NX_class"] == group
        assert np.allclose(home[name][()], values, atol=1e-9)
        assert (home[name].attrs["units"], home[name].attrs["source"]) == (unit, source)
        times = home[f"{name}_timestamp"][()]
        assert np.all(np.diff(times) > 0)
        assert began - 1 < times[0] < times[-1] < time.time() + 1
    drawn = file["entry/data"]
    assert (drawn.attrs["NX_class"], drawn.attrs["signal"]) == ("NXdata", "temperature")
    assert list(drawn.attrs["axes"]) == ["tx"]
    assert drawn["tx"] == file["entry/instrument/tx/tx"]
    assert drawn["temperature"].attrs["units"] == "degC"
    baseline = file["entry/collection/baseline"]
    assert baseline["label"][()].tolist() == [b"sample 7"] * 2
    assert baseline["setpoint"].attrs["units"] == "degC"
    assert file["entry/exit_status"][()] == b"success"
