"""A computed device takes the readings of its own point, and of no other."""

from __future__ import annotations

from typing import Any

import pytest
from bluesky.run_engine import RunEngine

from undula.devices.computed import Calculated
from undula.devices.description import DeviceEntry
from undula.devices.loaded import LoadedDevice
from undula.devices.sim.base import SimDevice
from undula.plans import VERBS, StepRun, block_scan, step_scan


class Rising(SimDevice):
    """Counts how often it was read."""

    reads = 0

    def value(self) -> int:
        self.reads += 1
        return self.reads


class Broken(SimDevice):
    """Cannot be read."""

    def value(self) -> Any:
        raise RuntimeError("no answer")


def _devices() -> tuple[Rising, Calculated]:
    entry = DeviceEntry(name="i0", deviceClass="x", readoutPriority="baseline", enabled=True)
    loaded = LoadedDevice(entry)
    loaded.obj, loaded.connected = Rising("i0"), True
    twice = Calculated("twice", expression="i0 * 2")
    twice.bind({"i0": loaded})
    return loaded.obj, twice


@pytest.fixture
def engine() -> RunEngine:
    found = RunEngine({}, context_managers=[])
    for verb, function in VERBS.items():
        found.register_command(verb, function)
    return found


@pytest.mark.parametrize("scan", [step_scan, block_scan])
def test_an_input_is_read_once_a_point(engine: RunEngine, scan: Any) -> None:
    i0, twice = _devices()
    pages: list[dict[str, Any]] = []
    engine(scan(StepRun([i0, twice], num=5)), lambda name, doc: pages.append({"name": name, **doc}))
    data = [p["data"] for p in pages if p["name"] in ("event", "event_page")]
    rows = [(d["i0"], d["twice"]) for d in data]
    flat = rows if scan is step_scan else list(zip(*rows[0], strict=True))
    assert flat == [(n, 2 * n) for n in range(1, 6)]
    assert i0.reads == 5


@pytest.mark.parametrize("scan", [step_scan, block_scan])
def test_a_reading_of_a_broken_point_is_not_used_later(engine: RunEngine, scan: Any) -> None:
    i0, twice = _devices()
    with pytest.raises(RuntimeError, match="no answer"):
        engine(scan(StepRun([i0, Broken("between"), twice], num=1)))
    assert i0.reads == 1
    assert twice.read()["twice"]["value"] == 4
