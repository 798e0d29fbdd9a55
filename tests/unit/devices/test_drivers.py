"""The driver base, with the electrometer and the ESP axis against fakes that speak over TCP."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import bluesky.plans as bp
import pytest
from bluesky.protocols import Locatable, Movable, Readable, Stoppable, Triggerable
from bluesky.run_engine import RunEngine

from undula.core.errors import DeviceError, LimitError, TimeoutUndulaError, UndulaError
from undula.devices.driver import Axis, Driver, SimLink, signal
from undula.devices.instruments import EspAxis, ScpiElectrometer
from undula.testing.fake_instruments import FakeElectrometer, FakeEsp


@pytest.fixture
def esp() -> Iterator[FakeEsp]:
    fake = FakeEsp()
    yield fake
    fake.end()


@pytest.fixture
def axis(esp: FakeEsp) -> Iterator[EspAxis]:
    device = EspAxis("tx", address=esp.address, timeout=0.5, tolerance=0.01, poll=0.02)
    device.wait_for_connection(5.0)
    yield device
    device.destroy()


@pytest.fixture
def fake() -> Iterator[FakeElectrometer]:
    it = FakeElectrometer()
    yield it
    it.end()


@pytest.fixture
def meter(fake: FakeElectrometer) -> Iterator[ScpiElectrometer]:
    device = ScpiElectrometer("ib", address=fake.address, timeout=0.5)
    device.wait_for_connection(5.0)
    yield device
    device.destroy()


def test_the_protocols_come_by_themselves(axis: EspAxis, meter: ScpiElectrometer) -> None:
    for protocol in (Readable, Movable, Locatable, Stoppable):
        assert isinstance(axis, protocol)
    assert isinstance(meter, Readable)
    assert isinstance(meter, Triggerable)
    assert not isinstance(meter, Movable)


def test_a_scan_with_both_gives_units_and_values(axis: EspAxis, meter: ScpiElectrometer) -> None:
    meter.bias.put(2.0)
    meter.set_count_time(0.02)
    documents: list[tuple[str, dict]] = []
    RunEngine(context_managers=[])(
        bp.scan([meter], axis, 0.0, 0.4, 3), lambda n, d: documents.append((n, d))
    )
    (descriptor,) = (d for n, d in documents if n == "descriptor")
    assert descriptor["data_keys"]["tx"]["units"] == "mm"
    assert descriptor["configuration"]["ib"]["data"]["ib_bias"] == 2.0
    assert descriptor["configuration"]["ib"]["data"]["ib_identity"].startswith("FAKE")
    rows = [d["data"] for n, d in documents if n == "event"]
    assert [row["tx"] for row in rows] == pytest.approx([0.0, 0.2, 0.4])
    assert [row["ib"] for row in rows] == pytest.approx([2.001e-9] * 3)


def test_limits_of_the_controller_hold_before_anything_moves(axis: EspAxis, esp: FakeEsp) -> None:
    with pytest.raises(LimitError, match=r"\[tx\] target 26 mm is outside -25..25 mm"):
        axis.set(26.0)
    assert not any("PA" in line for line in esp.heard)


def test_the_words_of_an_instrument_are_said(
    axis: EspAxis, esp: FakeEsp, meter: ScpiElectrometer
) -> None:
    esp.enabled = False
    with pytest.raises(DeviceError, match=r"\[tx\].*MOTOR NOT ENABLED"):
        axis.set(1.0).wait(60.0)
    with pytest.raises(DeviceError, match=r"\[ib\].*Data out of range"):
        meter.bias.put(20.0)


def test_a_second_target_ends_the_first_move_and_is_reached(axis: EspAxis) -> None:
    first = axis.set(20.0)
    second = axis.set(0.5)
    with pytest.raises(DeviceError, match="a new one was asked for"):
        first.wait(60.0)
    second.wait(60.0)
    assert axis.position == pytest.approx(0.5)


def test_a_stop_ends_the_move_and_what_waits_behind_it(axis: EspAxis) -> None:
    status = axis.set(20.0)
    axis.stop()
    with pytest.raises(DeviceError, match="stopped"):
        status.wait(60.0)
    assert axis.position < 19.0
    assert not axis.moving


def test_changes_are_told_by_polling(axis: EspAxis, esp: FakeEsp) -> None:
    heard, arrived = [], threading.Event()

    def hear(reading: dict) -> None:
        heard.append(reading["tx"]["value"])
        if heard[-1] == 3.0:
            arrived.set()

    axis.subscribe(hear)
    esp.answer("1PA3")  # moved by hand, at the controller
    assert arrived.wait(60.0), heard


def test_a_silent_instrument_is_named_within_its_deadline_and_answers_again(
    axis: EspAxis, esp: FakeEsp
) -> None:
    esp.hang()
    begin = time.monotonic()
    with pytest.raises(TimeoutUndulaError, match=r"\[tx\] no answer to '1TP'.*within 0.5 s"):
        axis.read()
    with pytest.raises(UndulaError, match="tx"):
        axis.set(1.0).wait(60.0)
    assert time.monotonic() - begin < 30.0
    assert not axis.connected
    esp.hang(False)
    end = time.monotonic() + 60.0
    while not axis.connected and time.monotonic() < end:
        threading.Event().wait(0.05)
    assert axis.connected
    axis.set(1.0).wait(60.0)


def test_an_instrument_that_was_switched_off_and_on_is_found_again(
    axis: EspAxis, esp: FakeEsp
) -> None:
    esp.end()
    with pytest.raises(UndulaError, match="tx"):
        axis.read()
    again = FakeEsp(esp.port)
    try:
        end = time.monotonic() + 60.0
        while not axis.connected and time.monotonic() < end:
            threading.Event().wait(0.05)
        assert axis.read()["tx"]["value"] == 0.0
    finally:
        again.end()


def test_a_count_that_is_stopped_ends_without_success(meter: ScpiElectrometer) -> None:
    meter.set_count_time(30.0)
    status = meter.trigger()
    meter.stop()
    with pytest.raises(DeviceError, match="stopped"):
        status.wait(60.0)


class Stuck(Axis):
    """Its library blocks for ever when it should move."""

    def __init__(self, name: str, **kwargs: object) -> None:
        super().__init__(name, **kwargs)
        self.free = threading.Event()

    @signal(unit="mm", kind="hinted")
    def readback(self) -> float:
        return 0.0

    def begin(self, target: float) -> None:
        self.free.wait()

    def halt(self) -> None:
        pass


def test_a_library_that_hangs_is_left_behind_and_named() -> None:
    stuck = Stuck("stuck", timeout=0.2)
    stuck.wait_for_connection(1.0)
    with pytest.raises(TimeoutUndulaError, match=r"\[stuck\] it hangs while moving"):
        stuck.set(1.0).wait(60.0)
    with pytest.raises(TimeoutUndulaError, match=r"\[stuck\] it still hangs in moving"):
        stuck.read()
    assert not stuck.connected
    stuck.free.set()
    stuck.destroy()


def test_no_thread_is_left_when_a_device_is_let_go(esp: FakeEsp) -> None:
    device = EspAxis("gone", address=esp.address)
    device.wait_for_connection(5.0)
    device.destroy()
    assert "driver gone" not in [t.name for t in threading.enumerate()]


class Thermometer(Driver):
    """A device whose link is simulated, as the test of a new driver would do it."""

    @signal(unit="K", kind="hinted")
    def temperature(self) -> float:
        return float(self.link.ask("T?"))


def test_a_simulated_link_stands_for_an_instrument() -> None:
    link = SimLink(lambda line: {"T?": "77.4"}[line])
    device = Thermometer("cryo", link=link)
    device.wait_for_connection(1.0)
    assert device.temperature.get() == 77.4
    assert device.describe()["cryo"]["units"] == "K"
    with pytest.raises(DeviceError, match="temperature cannot be set"):
        device.temperature.put(1.0)
    device.destroy()
