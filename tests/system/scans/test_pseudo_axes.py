"""Pseudo axes, calculated counters and measurement groups in real scans."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from undula.bus.endpoints import DEVICE_READBACK
from undula.client import Client
from undula.core.errors import BusyError, InputError, LimitError
from undula.testing.beamline import local_beamline
from undula.testing.law import until


def _entry(cls: str, config: dict[str, Any], priority: str = "baseline") -> dict[str, Any]:
    return {
        "deviceClass": f"undula.devices.{cls}",
        "deviceConfig": config,
        "readoutPriority": priority,
        "enabled": True,
    }


def _blades(delay: int) -> dict[str, Any]:
    suffix = "" if delay else "_i"
    blade = {"limits": [-10, 10], "delay": delay, "velocity": 20}
    both = {"plus": f"top{suffix}", "minus": f"bottom{suffix}"}
    return {
        f"top{suffix}": _entry("sim.SimPositioner", blade),
        f"bottom{suffix}": _entry("sim.SimPositioner", blade),
        f"gap{suffix}": _entry("SlitGap", both),
        f"offset{suffix}": _entry("SlitOffset", both),
    }


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """One beamline for the file, with slits that take time and slits that do not."""
    group = {"members": ["i0", "ratio"], "states": {"quick": ["i0"]}}
    xas = _entry("MeasurementGroup", group, "on_request")
    modern = {"deviceClass": "ophyd_async.sim.SimMotor", "enabled": True}
    modern |= {"deviceConfig": {"units": "mm"}, "readoutPriority": "baseline"}
    gap_m = _entry("SlitGap", {"plus": "top_m", "minus": "bottom_m"})
    ratio = _entry("Calculated", {"expression": "diode / i0"})
    with local_beamline() as beamline, beamline.connect() as client:
        client.config.add({**_blades(1), **_blades(0), "ratio": ratio, "xas": xas})
        client.config.add({"top_m": modern, "bottom_m": modern, "gap_m": gap_m})
        yield client


@pytest.fixture(params=["", "_i"], ids=["step by step", "in blocks"])
def suffix(request: pytest.FixtureRequest) -> str:
    return str(request.param)


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
    with pytest.raises(
        LimitError, match=r"point 12 of 21: target 11 mm \(moved by gap\)"
    ) as caught:
        client.scan("gap", 0, 40, 21)
    assert caught.value.device == "top"
    with pytest.raises(LimitError, match=r"target 15 mm \(moved by gap\) is above"):
        client.mv(gap=30)
    assert client.devices.top.position == 0.0


def test_the_blades_of_a_scanned_gap_are_leased(client: Client) -> None:
    scan = client.scan("gap", 0, 5, 300, time=0.02, detectors=["diode"], wait=False)
    until(lambda: client.queue.list().points_done > 3, "the scan does not begin")
    with pytest.raises(BusyError, match=r"in use by run \d+, scan"):
        client.mv(top=0)
    with pytest.raises(BusyError, match=r"in use by run \d+, scan"):
        client.mv(offset=0)
    client.queue.abort("enough")
    scan.wait(60.0, check=False)


def test_the_gap_is_shown_on_its_way_also_when_a_blade_moves(client: Client) -> None:
    client.mv(gap=0.0, offset=0.0)
    seen: list[tuple[str, float]] = []
    client.mv("gap", 19, progress=lambda r: seen.append((r.name, r.values[r.name])))
    assert seen, "no readback on the way"
    assert all(name == "gap" and 0 <= value <= 19 for name, value in seen)
    client.mv(top=0.0)

    def shown() -> float:
        latest = client.link.connector.get(DEVICE_READBACK, name="gap")
        assert latest is not None
        return float(latest.values["gap"])

    until(lambda: shown() == pytest.approx(9.5), "the gap is not shown where it is")


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


def test_the_blades_of_a_gap_may_be_asynchronous_devices(client: Client) -> None:
    client.mv(gap_m=1.0)
    run = client.scan("gap_m", 1.0, 1.2, 3, detectors=["diode"]).run
    assert np.allclose(run.data["gap_m"], [1.0, 1.1, 1.2], atol=1e-6)
    assert np.allclose(run.data["top_m"] - run.data["bottom_m"], run.data["gap_m"])
    run = client.run_plan("x2x_scan", "samx", "gap_m", 0, 0.2, 3, detectors=["diode"]).run
    assert np.allclose(np.diff(run.data["gap_m"]), 0.05, atol=1e-6)


def test_a_read_only_blade_is_not_moved_through_its_gap(client: Client) -> None:
    client.config.update("bottom", {"readOnly": True})
    try:
        for move in (lambda: client.scan("gap", 0, 1, 3), lambda: client.mv(gap=1.0)):
            with pytest.raises(InputError, match="read-only") as caught:
                move()
            assert caught.value.device == "bottom"
    finally:
        client.config.update("bottom", {"readOnly": None})


def test_a_group_that_is_named_reads_its_members(client: Client) -> None:
    run = client.count(num=2, detectors=["xas"]).run
    assert {"i0", "diode", "ratio"} <= set(run.data.keys())  # ratio is read with its inputs
    assert "xas" not in run.data.keys()  # noqa: SIM118  # keys of the file, not of a mapping
    client.config.update("xas", {"deviceConfig.state": "quick"})
    run = client.count(num=2, detectors=["xas"]).run
    assert "ratio" not in run.data.keys()  # noqa: SIM118
    assert "i0" in run.data.keys()  # noqa: SIM118


def test_the_active_group_is_read_where_no_detectors_are_named(client: Client) -> None:
    client.config.update("xas", {"deviceConfig.state": "quick", "readoutPriority": "monitored"})
    try:
        run = client.scan("samx", 0, 1, 3).run
        assert "i0" in run.data.keys()  # noqa: SIM118
        assert "diode" not in run.data.keys()  # noqa: SIM118
    finally:
        client.config.update("xas", {"readoutPriority": "on_request"})
    assert "diode" in client.scan("samx", 0, 1, 3).run.data.keys()  # noqa: SIM118
