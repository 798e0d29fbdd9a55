"""Scans in blocks are steered as those that go message by message, through the queue's worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from undula.testing.law import until
from undula.testing.scan_house import ScanHouse

POINTS = 30_000
DEVICES = """
samx: {deviceClass: undula.devices.sim.SimPositioner, readoutPriority: on_request, enabled: true}
diode:
  deviceClass: undula.devices.sim.SimMonitor
  deviceConfig: {role: diode}
  readoutPriority: monitored
  enabled: true
"""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[ScanHouse]:
    made = ScanHouse(tmp_path, DEVICES)
    yield made
    made.close()


def _paused(house: ScanHouse, points: int) -> int:
    """Points that are done when it is paused."""
    until(lambda: house.runner.status().points_done >= points, "it does not get on")
    house.runner.steering.pause(at_point=False)
    until(lambda: house.runner.status().state == "paused", "it does not pause")
    return house.runner.status().points_done


def _rows(house: ScanHouse, uid: str) -> list[float]:
    pages = (doc for name, doc in house.journal(uid) if name == "event_page")
    return [value for page in pages for value in page["data"]["samx"]]


def test_points_of_blocks_are_skipped_and_retaken_and_the_scan_completed(house: ScanHouse) -> None:
    steering, points = house.runner.steering, np.linspace(-2, 2, POINTS).tolist()
    house.ask("scan", "samx", -2, 2, POINTS, detectors=["diode"])
    skipped = _paused(house, 200)
    assert steering.skip() == f"point {skipped + 1} is left out, then it goes on"
    again = _paused(house, skipped + 400)
    steering.retake(7)
    ended = _paused(house, again + 400)
    status = house.runner.status()
    assert (status.points_retaken, status.points_skipped) == (1, 1)
    steering.complete("ida")
    finished = house.wait()
    assert finished.exit_status == "success"
    assert finished.reason == f"completed by ida after {ended} of {POINTS} points"
    expected = [
        *points[:skipped],
        *points[skipped + 1 : again + 1],
        points[6],
        *points[again + 1 :],
    ]
    assert _rows(house, finished.run_uids[0]) == expected[: ended + 1]


def test_the_points_of_a_scan_of_several_runs_are_counted_together(house: ScanHouse) -> None:
    one = ["scan", "samx", -2, 2, POINTS]
    house.ask("sequence", *one, "then", *one, detectors=["diode"])
    _paused(house, 100)
    house.runner.steering.retake(3)
    done = _paused(house, POINTS + 100)
    status = house.runner.status()
    assert status.running is not None
    assert POINTS + 100 <= done < 2 * POINTS == status.running.num_points
    assert status.points_retaken == 1
    assert 0 < status.left_s < (status.running.estimate_s or 0.0) / 2
    house.runner.steering.resume()
    assert house.wait().exit_status == "success"
