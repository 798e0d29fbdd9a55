"""The simulated beamline behaves like one: shapes, noise, time, stop."""

from __future__ import annotations

import threading
import time
from typing import Any

import bluesky.plans as bp
import numpy as np
import pytest
from bluesky.protocols import Movable, Readable, Status, Stoppable, Triggerable
from bluesky.run_engine import RunEngine
from event_model import DocumentNames, schema_validators
from hypothesis import given
from hypothesis import strategies as st

from undula.core.errors import DeviceError, InputError, LimitError
from undula.devices.description import load_device_file
from undula.devices.registry import Registry
from undula.devices.sim import (
    SIMULATED_FILE,
    SimCamera,
    SimMonitor,
    SimPositioner,
    SimShutter,
    SimWaveform,
    SimWorld,
)


@pytest.fixture
def world() -> SimWorld:
    return SimWorld(seed=1)


def _scan(axis: SimPositioner, monitor: SimMonitor, points: np.ndarray) -> np.ndarray:
    counts = []
    for point in points:
        assert axis.set(float(point)).success
        monitor.trigger()
        counts.append(monitor.read()[monitor.name]["value"])
    return np.array(counts)


def test_a_scan_over_the_sample_peaks_at_its_grain(world: SimWorld) -> None:
    axis = SimPositioner("samx", world=world)
    points = np.linspace(-3, 3, 61)
    counts = _scan(axis, SimMonitor("diode", world=world), points)
    assert abs(points[np.argmax(counts)]) < 0.3
    assert counts.max() > 5 * counts.min()


def test_transmission_falls_at_the_absorption_edge(world: SimWorld) -> None:
    axis = SimPositioner("energy", unit="eV", world=world)
    counts = _scan(axis, SimMonitor("i1", world=world), np.array([7080.0, 7140.0]))
    assert counts[1] < 0.5 * counts[0]


def test_counts_grow_with_the_count_time_and_their_noise_is_poissonian(world: SimWorld) -> None:
    monitor = SimMonitor("i0", world=world)
    short = np.array([monitor.counted(0.001) for _ in range(300)])
    long = np.array([monitor.counted(0.01) for _ in range(300)])
    assert long.mean() == pytest.approx(10 * short.mean(), rel=0.05)
    assert long.var() == pytest.approx(long.mean(), rel=0.4)


def test_a_closed_shutter_leaves_no_beam(world: SimWorld) -> None:
    shutter = SimShutter("shutter", world=world)
    shutter.set(0)
    assert SimMonitor("i0", world=world).counted(1.0) == 0


def test_a_shutter_takes_words_and_closes_in_an_emergency(world: SimWorld) -> None:
    shutter = SimShutter("shutter", world=world)
    assert shutter.set("closed").success
    assert shutter.position == 0
    shutter.set("open")
    shutter.stop(success=True)
    assert shutter.position == 1
    shutter.stop()
    assert shutter.position == 0
    with pytest.raises(InputError, match="give open or closed"):
        shutter.set("ajar")


def test_a_reading_between_scans_is_live_and_in_a_scan_what_was_triggered(world: SimWorld) -> None:
    gap = SimPositioner("slit_gap", start=2.0, world=world)
    monitor = SimMonitor("i0", world=world)
    monitor.trigger()
    gap.set(0.0)
    assert monitor.read()["i0"]["value"] == 0
    gap.set(2.0)
    monitor.stage()
    monitor.trigger()
    gap.set(0.0)
    assert monitor.read() == monitor.read()
    assert monitor.read()["i0"]["value"] > 0


def test_a_stopped_count_ends_at_once_and_without_success(world: SimWorld) -> None:
    monitor = SimMonitor("i0", world=world)
    monitor.set_count_time(60.0)
    assert not monitor.instant
    status = monitor.trigger()
    assert not status.done
    monitor.stop()
    assert status.done
    assert isinstance(status.exception(), DeviceError)


def test_a_count_takes_its_time_and_a_new_one_ends_the_old(world: SimWorld) -> None:
    monitor = SimMonitor("i0", world=world)
    monitor.set_count_time(0.05)
    begin = time.monotonic()
    first = monitor.trigger()
    second = monitor.trigger()
    assert first.done
    assert not first.success
    second.wait(60.0)
    assert time.monotonic() - begin >= 0.05


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf")])
def test_a_count_time_must_be_a_time(world: SimWorld, bad: float) -> None:
    with pytest.raises(InputError, match="give 0 s or more"):
        SimMonitor("i0", world=world).set_count_time(bad)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), "far"])
def test_an_axis_refuses_what_is_no_place(world: SimWorld, bad: float) -> None:
    with pytest.raises(InputError, match="give a number"):
        SimPositioner("x", world=world).set(bad)


def test_a_step_of_an_instant_axis_and_a_counter_costs_microseconds(world: SimWorld) -> None:
    axis, monitor = SimPositioner("samx", world=world), SimMonitor("diode", world=world)

    def hundred_us() -> float:
        begin = time.thread_time()
        for i in range(100):
            axis.set(i / 100)
            monitor.trigger()
            axis.read()
            monitor.read()
        return (time.thread_time() - begin) * 1e6

    monitor.stage()
    assert min(hundred_us() for _ in range(20)) / 100 < 100.0


def test_closing_the_slits_takes_flux_away(world: SimWorld) -> None:
    gap = SimPositioner("slit_gap", start=2.0, world=world)
    counts = _scan(gap, SimMonitor("bpm4i", world=world), np.array([0.2, 2.0]))
    assert counts[0] < 0.5 * counts[1]


def test_camera_and_spectrum_have_the_shapes_that_they_describe(world: SimWorld) -> None:
    for device in (SimCamera("camera", world=world), SimWaveform("spectrum", world=world)):
        device.trigger()
        value = device.read()[device.name]["value"]
        key = device.describe()[device.name]
        assert list(value.shape) == key["shape"]
        assert value.dtype.str == key["dtype_numpy"]


def test_a_move_with_delay_takes_time_and_can_be_stopped_on_the_way() -> None:
    axis = SimPositioner("x", delay=1, velocity=10.0, limits=[-50, 50])
    assert not axis.instant
    status = axis.set(40.0)
    assert not status.done
    axis.stop()
    assert status.done
    assert not status.success
    assert 0.0 <= axis.position < 40.0


def test_a_move_with_delay_arrives() -> None:
    axis = SimPositioner("x", delay=1, velocity=1000.0)
    arrived = threading.Event()
    status = axis.set(5.0)
    status.add_callback(lambda _: arrived.set())
    assert arrived.wait(60.0)
    assert axis.position == 5.0


def test_limits_are_kept() -> None:
    with pytest.raises(LimitError, match=r"outside -1\.\.1 mm"):
        SimPositioner("x", limits=[-1, 1]).set(2.0)


@given(st.floats(-50, 50))
def test_an_instant_axis_is_where_it_was_sent(target: float) -> None:
    axis = SimPositioner("x", limits=[-50, 50])
    assert axis.set(target).done
    assert axis.position == target


@pytest.fixture(scope="module")
def registry() -> Registry:
    registry = Registry(load_device_file(SIMULATED_FILE))
    registry.connect()
    return registry


@pytest.mark.parametrize("name", [e.name for e in load_device_file(SIMULATED_FILE).entries])
def test_each_device_keeps_the_protocols_and_runs_in_a_stock_plan(
    registry: Registry, name: str
) -> None:
    obj = registry[name].obj
    assert isinstance(obj, Readable)
    documents: list[str] = []

    def check(kind: str, doc: dict[str, Any]) -> None:
        schema_validators[DocumentNames[kind]].validate(doc)
        documents.append(kind)

    if registry[name].movable:
        assert isinstance(obj, Movable)
        assert isinstance(obj, Stoppable)
        place = next(iter(registry[name].read().values()))["value"]  # a sample is no number
        assert isinstance(obj.set(place), Status)
    if registry[name].info().kind == "detector":
        assert isinstance(obj, Triggerable)
    engine = RunEngine({}, context_managers=[])
    engine(bp.count([obj], 2), check)
    assert documents == ["start", "descriptor", "event", "event", "stop"]


def test_the_groups_are_m_for_what_moves_and_d_for_the_rest(registry: Registry) -> None:
    assert registry["samx"].info().path == "M.samx"
    assert registry["diode"].info().path == "D.diode"
    assert registry["ring_current"].info().path == "D.ring_current"


def test_a_device_that_cannot_be_built_is_disabled_and_the_others_work(tmp_path: Any) -> None:
    path = tmp_path / "d.yaml"
    entry = "  readoutPriority: baseline\n  enabled: true\n"
    path.write_text(
        "bad:\n  deviceClass: undula.devices.sim.SimCamera\n"
        "  deviceConfig: {shape: [a, b]}\n"
        + entry
        + "good:\n  deviceClass: undula.devices.sim.SimPositioner\n"
        + entry
    )
    registry = Registry(load_device_file(path))
    registry.connect()
    assert "ValueError" in registry["bad"].info().problem
    assert registry["good"].connected
