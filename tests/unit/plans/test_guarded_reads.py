"""A device that fails to be read ends the scan, is read again, or gives its last reading."""

from __future__ import annotations

import inspect
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
from bluesky.run_engine import RunEngine
from ophyd import Signal

from undula.plans import VERBS, StepRun, block_scan, step_scan
from undula.plans.guarded import Buffered


class Flaky:
    """A detector that fails at chosen readings."""

    parent = None
    hints: dict[str, Any] = {}  # noqa: RUF012  # part of the protocol

    def __init__(self, fails_at: set[int]) -> None:
        self.name, self.calls, self.triggers, self._fails_at = "flaky", 0, 0, fails_at

    def trigger(self) -> Any:
        self.triggers += 1
        from undula.devices.sim.status import DoneStatus

        return DoneStatus(self)

    def read(self) -> dict[str, Any]:
        self.calls += 1
        if self.calls in self._fails_at:
            raise OSError("the line is down")
        return {"flaky": {"value": self.calls, "timestamp": time.time()}}

    def describe(self) -> dict[str, Any]:
        return {"flaky": {"source": "test", "dtype": "number", "shape": []}}

    def read_configuration(self) -> dict[str, Any]:
        return {}

    def describe_configuration(self) -> dict[str, Any]:
        return {}


Scan = Callable[[StepRun], Any]


def _values(scan: Scan, run: StepRun) -> list[float]:
    engine = RunEngine({}, context_managers=[])
    for verb, function in VERBS.items():
        engine.register_command(verb, function)
    values: list[float] = []

    def take(name: str, doc: dict[str, Any]) -> None:
        if name == "event":
            values.append(doc["data"]["flaky"])
        elif name == "event_page":
            values.extend(doc["data"]["flaky"])

    engine.subscribe(take)
    engine(scan(run))
    return values


def _run(detector: Any, policy: Literal["raise", "retry", "buffer"], **more: Any) -> StepRun:
    return StepRun(detectors=[detector], num=4, on_failure={"flaky": policy}, **more)


@pytest.mark.parametrize("scan", [step_scan, block_scan])
def test_retry_reads_once_more_and_no_point_is_missing(scan: Scan) -> None:
    assert _values(scan, _run(Flaky({2}), "retry")) == [1, 3, 4, 5]


@pytest.mark.parametrize("scan", [step_scan, block_scan])
def test_retry_gives_up_after_the_second_failure(scan: Scan) -> None:
    with pytest.raises(OSError, match="the line is down"):
        _values(scan, _run(Flaky({2, 3}), "retry"))


@pytest.mark.parametrize("scan", [step_scan, block_scan])
def test_raise_ends_the_scan_at_once(scan: Scan) -> None:
    detector = Flaky({2})
    with pytest.raises(OSError, match="the line is down"):
        _values(scan, _run(detector, "raise"))
    assert detector.calls == 2


def test_buffer_takes_the_last_reading() -> None:
    assert _values(step_scan, _run(Buffered(Flaky({2, 3})), "buffer")) == [1, 1, 1, 4]


def test_a_stand_in_has_what_its_device_has_where_a_protocol_is_looked_for() -> None:
    device = Flaky(set())
    stand_in = Buffered(device)

    for name in [name for name in dir(device) if not name.startswith("_")]:
        inspect.getattr_static(stand_in, name)  # as Python 3.12 does
    assert (stand_in.name, stand_in.hints) == ("flaky", {})
    assert not hasattr(Buffered, "name")  # another device's stand-in has its own


def test_buffer_has_nothing_before_the_first_reading() -> None:
    with pytest.raises(OSError, match="the line is down"):
        _values(step_scan, _run(Buffered(Flaky({1, 2})), "buffer"))


@pytest.mark.parametrize("scan", [step_scan, block_scan])
def test_a_detector_may_be_left_untriggered(scan: Scan) -> None:
    detector = Flaky(set())
    _values(scan, _run(detector, "raise", untriggered=frozenset({"flaky"})))
    assert detector.triggers == 0


def test_each_change_of_a_monitored_device_is_an_event_of_its_own_stream() -> None:
    pressure = Signal(name="pressure", value=0.0)
    detector = Flaky(set())
    inner = detector.read

    def read() -> dict[str, Any]:
        pressure.put(pressure.get() + 1.0)
        return inner()

    detector.read = read  # type: ignore[method-assign]  # the change happens during the scan
    engine, streams = RunEngine({}, context_managers=[]), defaultdict[str, list[Any]](list)
    names: dict[str, str] = {}
    for verb, function in VERBS.items():
        engine.register_command(verb, function)

    def take(name: str, doc: dict[str, Any]) -> None:
        if name == "descriptor":
            names[doc["uid"]] = doc["name"]
        elif name == "event":
            streams[names[doc["descriptor"]]].append(doc["data"])

    engine.subscribe(take)
    engine(step_scan(_run(detector, "raise", monitored=[pressure])))
    assert len(streams["primary"]) == 4
    told = [data["pressure"] for data in streams["pressure_monitor"]]
    assert np.all(np.diff(told) >= 0)
    assert told[-1] == 4.0
