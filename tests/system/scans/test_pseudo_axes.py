"""Pseudo axes and calculated counters in real scans: checked, moved, leased, in the file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from undula.client import Client
from undula.core.errors import BusyError, InputError, LimitError
from undula.testing.beamline import local_beamline


def _entry(cls: str, config: dict[str, Any], priority: str = "baseline") -> dict[str, Any]:
    return {
        "deviceClass": f"undula.devices.{cls}",
        "deviceConfig": config,
        "readoutPriority": priority,
        "enabled": True,
    }


def _blades(delay: int) -> dict[str, Any]:
    suffix = "" if delay else "_i"
    blade = {"limits": [-10, 10], "delay": delay, "velocity": 50}
    both = {"plus": f"top{suffix}", "minus": f"bottom{suffix}"}
    return {
        f"top{suffix}": _entry("sim.SimPositioner", blade),
        f"bottom{suffix}": _entry("sim.SimPositioner", blade),
        f"gap{suffix}": _entry("pseudo.SlitGap", both),
        f"offset{suffix}": _entry("pseudo.SlitOffset", both),
    }


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """One beamline for the file, with slits that take time and slits that do not."""
    ratio = _entry("computed.Calculated", {"expression": "diode / i0"})
    with local_beamline() as beamline, beamline.connect() as client:
        client.config.add({**_blades(1), **_blades(0), "ratio": ratio})
        yield client


@pytest.fixture(params=["", "_i"], ids=["step by step", "in blocks"])
def suffix(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 20.0
    while not condition():
        assert time.monotonic() < end, what


def test_a_gap_is_scanned_and_its_blades_are_in_the_file(client: Client, suffix: str) -> None:
    client.mv(f"offset{suffix}", 1.0)
    run = client.scan(f"gap{suffix}", 0, 4, 5, detectors=["diode"]).run
    assert np.allclose(run.data[f"gap{suffix}"], [0, 1, 2, 3, 4])
    assert np.allclose(run.data[f"top{suffix}"], [1, 1.5, 2, 2.5, 3])
    assert np.allclose(run.data[f"bottom{suffix}"], [1, 0.5, 0, -0.5, -1])


def test_gap_and_offset_make_a_map(client: Client, suffix: str) -> None:
    run = client.grid_scan(
        f"offset{suffix}", -1, 1, 3, f"gap{suffix}", 0, 2, 3, detectors=["diode"]
    ).run
    gap, offset = run.data[f"gap{suffix}"].ravel(), run.data[f"offset{suffix}"].ravel()
    assert np.allclose(gap, [0, 1, 2] * 3)
    assert np.allclose(offset, np.repeat([-1, 0, 1], 3))


def test_a_relative_scan_returns_to_where_it_began(client: Client, suffix: str) -> None:
    client.mv(f"gap{suffix}", 2.0, f"offset{suffix}", 0.5)
    client.rel_scan(f"gap{suffix}", -1, 1, 3, detectors=["diode"])
    assert client.devices[f"top{suffix}"].position == pytest.approx(1.5)
    assert client.devices[f"gap{suffix}"].position == pytest.approx(2.0)


def test_a_point_beyond_the_limit_of_a_blade_is_named_before_anything_moves(
    client: Client,
) -> None:
    client.mv(gap=0.0, offset=0.0)
    with pytest.raises(LimitError, match=r"point 12 of 21: target 11 mm") as caught:
        client.scan("gap", 0, 40, 21)
    assert caught.value.device == "top"
    with pytest.raises(LimitError, match="target 15 mm is above"):
        client.mv(gap=30)
    assert client.devices.top.position == 0.0


def test_the_blades_of_a_scanned_gap_are_leased(client: Client) -> None:
    scan = client.scan("gap", 0, 5, 300, time=0.02, detectors=["diode"], wait=False)
    _until(lambda: client.queue.list().points_done > 3, "the scan does not begin")
    with pytest.raises(BusyError, match="in use by scan"):
        client.mv(top=0)
    with pytest.raises(BusyError, match="in use by scan"):
        client.mv(offset=0)
    client.queue.abort("enough")
    scan.wait(20.0, check=False)


def test_a_blade_and_its_gap_are_not_moved_in_one_scan(client: Client) -> None:
    with pytest.raises(InputError, match="moved by a pseudo axis as well"):
        client.grid_scan("top", 0, 1, 3, "gap", 0, 1, 3)


def test_a_plan_of_bluesky_moves_a_pseudo_axis(client: Client) -> None:
    run = client.run_plan("x2x_scan", "samx", "gap", 0, 1, 3, detectors=["diode"]).run
    assert len(run.data["gap"]) == 3
    assert np.allclose(np.diff(run.data["gap"]), 0.25)
    assert client.devices.gap.position == pytest.approx(run.data["gap"][0])


def test_a_calculated_counter_has_the_values_of_its_own_point(client: Client) -> None:
    run = client.count(num=5, time=0.02, detectors=["ratio"]).run
    assert np.allclose(run.data["ratio"], run.data["diode"] / run.data["i0"])
    assert len(set(np.ravel(run.data["i0"]))) > 1
