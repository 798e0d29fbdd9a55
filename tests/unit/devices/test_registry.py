"""The registry sees devices of every library in one way, and a broken one harms no other."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ophyd import Component, Device, Signal
from ophyd_async.core import StandardReadable, soft_signal_rw

from undula.core.errors import DeviceError, InputError
from undula.devices.description import load_device_file
from undula.devices.readings import flags
from undula.devices.registry import Registry

BASE = "  readoutPriority: monitored\n  enabled: true\n"
AXIS = "  deviceClass: undula.devices.sim.SimPositioner\n" + BASE


class Scaler(Device):
    """An ophyd device that takes its count time as scalers do."""

    preset_time = Component(Signal, value=1.0)
    counts = Component(Signal, value=3)


class Gate(Device):
    """An ophyd device with a signal under another name."""

    exposure = Component(Signal, value=1.0)


class SlowSensor(StandardReadable):
    """An ophyd-async device."""

    def __init__(self, name: str = "") -> None:
        with self.add_children_as_readables():
            self.value = soft_signal_rw(float, 21.5, units="degC")
        self.exposure = soft_signal_rw(float, 0.0)
        super().__init__(name=name)


class Stuck(Device):
    """An ophyd device that never answers."""

    def wait_for_connection(self, timeout: float = 2.0) -> None:
        threading.Event().wait(timeout)
        raise TimeoutError("no answer")


class Hanging(Device):
    """An ophyd device whose driver ignores the deadline it is given."""

    def wait_for_connection(self, timeout: float = 2.0) -> None:
        threading.Event().wait(60)


class Moody(Device):
    """An ophyd device whose limits cannot be read after it connected."""

    value = Component(Signal, value=1.0)

    @property
    def limits(self) -> tuple[float, float]:
        raise ConnectionError("gone")

    def set(self, value: float) -> Any:
        return self.value.set(value)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def connect(
    tmp_path: Path, loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> Any:
    import sys
    import types

    module = types.ModuleType("devices_of_a_test")
    for cls in (Scaler, Gate, SlowSensor, Stuck, Hanging, Moody):
        setattr(module, cls.__name__, cls)
    monkeypatch.setitem(sys.modules, "devices_of_a_test", module)

    def connect(text: str) -> Registry:
        path = tmp_path / "devices.yaml"
        path.write_text(text)
        registry = Registry(load_device_file(path))
        registry.connect(loop=loop)
        return registry

    return connect


def _device(name: str, cls: str, more: str = "") -> str:
    return f"{name}:\n  deviceClass: devices_of_a_test.{cls}\n{BASE}{more}"


def test_ophyd_scalers_take_the_count_time_by_their_usual_signal(connect: Any) -> None:
    device = connect(_device("scaler", "Scaler"))["scaler"]
    assert device.takes_count_time
    device.set_count_time(0.25)
    assert device.obj.preset_time.get() == 0.25


@pytest.mark.parametrize(
    "more",
    ["  countTime: {signal: exposure}\n", "  userParameter: {count_time_signal: exposure}\n"],
)
@pytest.mark.parametrize("cls", ["Gate", "SlowSensor"])
def test_the_device_file_may_name_the_signal_of_the_count_time(
    connect: Any, cls: str, more: str, loop: asyncio.AbstractEventLoop
) -> None:
    device = connect(_device("gate", cls, more))["gate"]
    assert device.takes_count_time
    device.set_count_time(0.5)
    signal = device.obj.exposure
    value = signal.get() if cls == "Gate" else device.call(signal.get_value())
    assert value == 0.5


def test_a_count_time_signal_that_is_not_there_disables_the_device_with_the_reason(
    connect: Any,
) -> None:
    registry = connect(_device("gate", "Gate", "  countTime: {signal: exposur}\n"))
    info = registry["gate"].info()
    assert not info.connected
    assert "exposur" in info.problem
    assert "countTime" in info.problem


def test_asynchronous_devices_are_read_from_any_thread(connect: Any) -> None:
    registry = connect(_device("room", "SlowSensor"))
    reading = registry.reading("room")
    assert reading.values == {"room-value": 21.5}
    assert reading.units == {"room-value": "degC"}
    assert registry["room"].info().path == "D.room"


def test_stuck_devices_take_their_own_deadlines_side_by_side(connect: Any) -> None:
    begin = time.monotonic()
    text = "".join(_device(f"s{i}", "Stuck", "  connectionTimeout: 0.3\n") for i in range(100))
    registry = connect(text + "samx:\n" + AXIS)
    assert time.monotonic() - begin < 20.0  # one after the other, it would be half a minute
    assert registry["samx"].connected
    assert all("no answer" in registry[f"s{i}"].problem for i in range(100))
    with pytest.raises(DeviceError, match="no answer"):
        registry.enable("s0")


def test_a_driver_that_hangs_is_left_and_named(
    connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("undula.devices.registry.GRACE_S", 0.2)
    text = _device("hanging", "Hanging", "  connectionTimeout: 0.2\n") + "samx:\n" + AXIS
    registry = connect(text)
    assert "hangs: no answer within 0.4 s" in registry["hanging"].info().problem
    assert registry["samx"].connected


def test_a_device_that_fails_when_asked_is_shown_with_that_and_the_table_lives(
    connect: Any,
) -> None:
    registry = connect(_device("moody", "Moody") + "samx:\n" + AXIS)
    infos = {name: registry[name].info() for name in registry.names()}
    assert "gone" in infos["moody"].problem
    assert infos["samx"].problem == ""


def test_a_disabled_device_can_be_enabled_and_the_reverse(connect: Any) -> None:
    registry = connect("samx:\n" + AXIS.replace("true", "false"))
    assert not registry["samx"].connected
    registry.enable("samx")
    assert registry["samx"].info().enabled
    assert registry.reading("samx").values == {"samx": 0.0}
    registry.disable("samx")
    with pytest.raises(DeviceError, match="undula devices enable samx"):
        registry.reading("samx")


def test_an_unknown_device_is_answered_with_the_one_probably_meant(connect: Any) -> None:
    with pytest.raises(InputError, match="did you mean samx"):
        connect("samx:\n" + AXIS)["sanx"]


def test_odd_readings_are_flagged_and_good_ones_are_not() -> None:
    now = 1.8e9
    assert flags({"a": 1.0}, {"a": now - 5}, now) == []
    assert flags({"a": float("inf")}, {"a": now}, now) == ["a: not a number"]
    assert flags({"a": 1.0}, {"a": 0.0}, now) == ["a: never updated"]
    assert flags({"a": 1.0}, {"a": now + 3600}, now) == ["a: its clock is 3600 s ahead"]
    assert flags({"a": 1.0}, {"a": now - 30 * 86400}, now) == ["a: 30 days old"]


class Sleeper(Device):
    """An ophyd device that is switched on later."""

    awake = False

    @property
    def connected(self) -> bool:
        return self.awake

    def wait_for_connection(self, timeout: float = 2.0) -> None:
        if not self.awake:
            raise TimeoutError("no answer")


def test_a_device_that_is_switched_on_later_is_taken_in(tmp_path: Path) -> None:
    path = tmp_path / "devices.yaml"
    path.write_text(f"late:\n  deviceClass: {__name__}.Sleeper\n" + BASE)
    registry = Registry(load_device_file(path))
    registry.connect()
    assert registry["late"].problem == "TimeoutError: no answer"
    assert registry.look_for_absent() == []
    registry["late"].obj.awake = True
    assert registry.look_for_absent() == ["late"]
    assert (registry["late"].enabled, registry["late"].problem) == (True, "")
    registry.disable("late")
    assert registry.look_for_absent() == []
