"""RunView on the documents of a real RunEngine."""

from __future__ import annotations

from typing import Any

import bluesky.plans as bp
import pytest
from bluesky import RunEngine
from ophyd.sim import SynAxis, SynGauss

from undula.analysis.view import RunView


@pytest.fixture(scope="module")
def run_engine() -> RunEngine:
    return RunEngine({}, context_managers=[])


def documents(run_engine: RunEngine, plan: Any) -> list[tuple[str, dict[str, Any]]]:
    found: list[tuple[str, dict[str, Any]]] = []
    run_engine(plan, lambda name, doc: found.append((name, doc)))
    return found


def folded(found: list[tuple[str, dict[str, Any]]], until: int | None = None) -> RunView:
    view = RunView(7, "toy.nxs")
    for name, doc in found[:until]:
        view.feed(name, doc)
    return view


def devices() -> tuple[SynAxis, SynAxis, SynGauss]:
    samx, samy = SynAxis(name="samx"), SynAxis(name="samy")
    return samx, samy, SynGauss("diode", samx, "samx", center=0.5, Imax=100, sigma=0.3)


def test_a_scan_becomes_rows_with_the_axis_first(run_engine: RunEngine) -> None:
    samx, _, diode = devices()

    view = folded(documents(run_engine, bp.scan([diode], samx, -1, 2, 31)))

    assert [column.key for column in view.columns] == ["samx", "diode"]
    assert len(view.rows) == 31
    assert view.progress == 1.0
    assert view.status == "success"
    stats = view.stats()
    assert stats is not None
    assert stats.cen == pytest.approx(0.5, abs=0.01)
    assert stats.fwhm == pytest.approx(0.706, rel=0.02)


def test_a_run_that_is_under_way_has_progress_and_time_left(run_engine: RunEngine) -> None:
    samx, _, diode = devices()
    found = documents(run_engine, bp.scan([diode], samx, 0, 1, 10))

    view = folded(found, until=2 + 4)

    assert view.status == "running"
    assert view.progress == pytest.approx(0.4)
    left = view.left_s(view.times[-1])
    assert left is not None
    assert left >= 0
    assert folded(found, until=3).left_s(0.0) is None


def test_event_pages_give_the_same_rows_as_events(run_engine: RunEngine) -> None:
    samx, _, diode = devices()
    found = documents(run_engine, bp.scan([diode], samx, 0, 1, 5))
    events = [doc for name, doc in found if name == "event"]
    page = {
        "descriptor": events[0]["descriptor"],
        "seq_num": [e["seq_num"] for e in events],
        "time": [e["time"] for e in events],
        "data": {key: [e["data"][key] for e in events] for key in events[0]["data"]},
    }
    paged = [f for f in found if f[0] != "event"]
    paged.insert(-1, ("event_page", page))

    assert folded(paged).rows == folded(found).rows


def test_a_count_is_shown_over_time(run_engine: RunEngine) -> None:
    _, _, diode = devices()

    view = folded(documents(run_engine, bp.count([diode], num=3)))

    assert view.x[:2] == ("time", "s")
    assert view.axis_keys == []
    assert view.stats() is None


def test_a_snaked_grid_is_a_map_with_each_value_in_its_place(run_engine: RunEngine) -> None:
    samx, samy, diode = devices()
    plan = bp.grid_scan([diode], samy, 0, 1, 3, samx, 0, 1, 5, snake_axes=True)

    view = folded(documents(run_engine, plan))

    assert view.is_map
    grid = view.grid("diode")
    assert grid[0] == pytest.approx(grid[1])
    assert grid[0].index(max(grid[0])) == 2
    assert view.x[0] == "samx"


def test_a_reading_that_is_no_number_is_a_gap() -> None:
    view = RunView()
    view.feed("start", {"uid": "r", "time": 0.0, "motors": ["x"], "num_points": 2})
    keys = {"x": {"dtype": "number", "shape": []}, "d": {"dtype": "number", "shape": []}}
    view.feed("descriptor", {"uid": "p", "name": "primary", "data_keys": keys})
    data = {"x": 1.0, "d": None}
    view.feed("event", {"descriptor": "p", "seq_num": 1, "time": 1.0, "data": data})

    assert view.rows[0][0] == 1.0
    assert view.rows[0][1] != view.rows[0][1]
    assert view.stats() is None


def test_the_counter_is_the_signal_not_the_blades_under_a_gap() -> None:
    view = RunView()
    devices = {
        "gap": {"kind": "positioner", "keys": ["gap"]},
        "top": {"kind": "positioner", "keys": ["top"]},
        "i0": {"kind": "detector", "keys": ["i0"], "nx_class": "NXmonitor"},
    }
    start = {"uid": "r", "time": 0.0, "motors": ["gap"], "detectors": ["i0"], "devices": devices}
    view.feed("start", start)
    keys = {key: {"dtype": "number", "shape": []} for key in ("top", "gap", "i0")}
    view.feed("descriptor", {"uid": "p", "name": "primary", "data_keys": keys})

    assert view.signals == ["i0", "top"]
