"""What people ask of a running scan, at awkward moments: between its runs, as it pauses or resumes,
in its hooks. Real devices, RunEngine and worker; the moment is made certain, never waited for."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from typing import Any

import pytest

from undula.messages import QueueRequest, QueueStatus
from undula.scans.stopped import Stops
from undula.testing.scan_house import ScanHouse

DEVICES = """
samx: {deviceClass: undula.devices.sim.SimPositioner, readoutPriority: on_request, enabled: true,
       deviceConfig: {limits: [-5, 5], delay: 0}}
samy: {deviceClass: undula.devices.sim.SimPositioner, readoutPriority: on_request, enabled: true,
       deviceConfig: {limits: [-5, 5], delay: 0}}
diode: {deviceClass: undula.devices.sim.SimMonitor, readoutPriority: monitored, enabled: true,
        softwareTrigger: true}
"""
TWO_RUNS = """
def two():
    yield from bp.count([diode], 2)
    yield from bps.sleep(60)
    yield from bp.count([diode], 2)
"""
STAMPS = itertools.count(1)


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
    house = ScanHouse(folder, DEVICES)
    yield Steered(house, Stops(folder / "stopped"))
    house.close()


@pytest.fixture
def scans(made: Steered) -> Iterator[Steered]:
    yield made
    made.hooks("")


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
