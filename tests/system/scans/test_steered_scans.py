"""Points skipped and retaken, scans completed: through the services, and right in the file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from undula.analysis.measured import measured_of
from undula.analysis.view import RunView
from undula.client import Client
from undula.client.runs import Run
from undula.core.errors import BusyError, InputError, UndulaError
from undula.session.commands import Shell
from undula.session.follow import wait_for_move
from undula.testing.beamline import LocalBeamline, local_beamline
from undula.testing.law import until

PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def beamline() -> Iterator[LocalBeamline]:
    """One simulated beamline for all tests of this file: starting it takes some seconds."""
    with local_beamline(settings={"watchdog": {"margin_s": 0.3}}) as beamline:
        yield beamline


@pytest.fixture(scope="module")
def client(beamline: LocalBeamline) -> Iterator[Client]:
    with beamline.connect() as client:
        yield client


def _paused_at(client: Client, points: int, at_point: bool = True) -> int:
    """Points that are done when it is paused."""
    until(lambda: client.queue.list().points_done >= points, "the scan does not begin")
    _ = client.queue.pause_at_point() if at_point else client.queue.pause()
    until(lambda: client.queue.list().state == "paused", "it does not pause")
    return client.queue.list().points_done


def _seen(run: Run) -> RunView:
    """What a live table, plot and fit have of a run."""
    view = RunView()
    for name, doc in run.documents():
        view.feed(name, doc)
    return view


@pytest.mark.parametrize("at_point", [True, False], ids=["at a point", "at once"])
def test_a_skipped_and_a_retaken_point_are_in_the_file_as_such(
    client: Client, at_point: bool
) -> None:
    scan = client.scan("samx", -2, 2, 40, time=0.06, detectors=["diode"], wait=False)
    done = _paused_at(client, 4, at_point)
    assert client.queue.skip().did == f"point {done + 1} is left out, then it goes on"
    again = _paused_at(client, done + 4, at_point)
    assert client.queue.retake(2).did == "point 2 is taken again, then it goes on"
    run = scan.wait(PATIENCE_S).run
    until(lambda: client.runs[run.number].record.points == 39, "a point counts twice")
    data = run.data
    points = np.linspace(-2, 2, 40)
    rows = np.insert(np.delete(points, done), again, points[1])
    assert np.allclose(data["samx"], rows)
    assert data["point"].tolist() == np.insert(np.delete(np.arange(1, 41), done), again, 2).tolist()
    assert np.flatnonzero(data["replaced"]).tolist() == [1]
    told = data.stream("steering")
    assert told["steering_action"].tolist() == ["skipped", "retaken", "resumed"]
    assert told["steering_point"].tolist() == [done + 1, 2, 2]
    assert told["steering_row"].tolist() == [done + 1, again + 1, again + 2]
    assert told["steering_next"].tolist() == [done + 2, 2, again + 2]
    curve = measured_of(_seen(run), "diode")  # what a live fit has: the last row of each point
    assert curve.x.values == pytest.approx(np.delete(points, done))
    assert curve.signal.values == run.joined()["diode"].tolist()


def test_a_map_has_each_reading_in_the_cell_of_its_point(client: Client) -> None:
    scan = client.grid_scan(
        "samy", 0, 1, 3, "samx", -1, 1, 8, snake_axes=True, time=0.1, detectors=["diode"],
        wait=False,
    )  # fmt: skip
    done = _paused_at(client, 3)
    client.queue.skip()
    _paused_at(client, done + 4)
    opened = client.runs[-1]
    until(
        lambda: np.isfinite(opened.data.to_xarray().diode.values).sum() >= done + 2,
        "the rows do not come into the file",
    )
    live = opened.data.to_xarray().diode.values
    assert opened.data.stream("steering")["steering_action"][0] == "skipped"
    assert client.runs[-1].status == "running"
    client.queue.retake(2)
    run = scan.wait(PATIENCE_S).run
    cells, joined = run.data.plot()["values"]["diode"], run.joined()
    places = [(p // 8, p % 8 if p // 8 != 1 else 7 - p % 8) for p in (joined["point"] - 1).tolist()]
    assert [cells[place] for place in places] == joined["diode"].tolist()
    shown = np.array(_seen(run).grid("diode"))
    assert [shown[place] for place in places] == joined["diode"].tolist()
    assert np.count_nonzero(np.isnan(shown)) == 1
    skipped = (done // 8, done % 8 if done // 8 != 1 else 7 - done % 8)
    assert skipped not in places
    known = np.isfinite(live)
    known[0, 1] = False  # taken again since then
    assert not known[skipped]
    assert live[known].tolist() == cells[known].tolist()


def test_both_axes_of_a_map_go_to_its_highest_point(client: Client) -> None:
    shell = Shell(client, plot=False)
    shell.run("grid_scan", "samy", 0, 1, 4, "samx", -1, 1, 5, detectors=["diode"])
    shell.goto_peak()
    slow, fast = shell.peak()  # type: ignore[misc]  # of a map
    until(lambda: client.runs[-1].status == "success", "its file is not closed")
    values = client.runs[-1].data.plot()["values"]["diode"]
    line, place = np.unravel_index(int(np.argmax(values)), values.shape)
    assert (slow, fast) == pytest.approx((line / 3, -1 + place / 2))
    read = client.read("samy", "samx")
    assert read["samy"]["samy"]["value"] == pytest.approx(slow)
    assert read["samx"]["samx"]["value"] == pytest.approx(fast)
    com = shell.com()
    assert isinstance(com, tuple)
    assert 0 < com[0] < 1


def test_a_count_time_of_0_means_the_same_in_every_form(client: Client) -> None:
    client.count(num=1, time=0.3, detectors=["diode"])  # must not stick
    asked = [
        client.count(num=1, time=0, detectors=["diode"]),
        client.submit("ct", 0, detectors=["diode"]).wait(PATIENCE_S),
        client.submit("scans.acquire", exp_time=0, detectors=["diode"]).wait(PATIENCE_S),
        client.count(num=1, detectors=["diode"]),
    ]
    assert len({scan.accepted.estimate_s for scan in asked}) == 1
    assert not any(scan.run.record.metadata.get("count_time_s") for scan in asked)


def _at(client: Client) -> tuple[float, float]:
    read = client.read("samx", "samy")
    return read["samx"]["samx"]["value"], read["samy"]["samy"]["value"]


@pytest.mark.parametrize(
    "scan",
    [
        ("grid_scan", "samy", -0.1, 1.3, 11, "samx", 0.5, 1.9, 12),
        ("spiral_fermat", "samx", "samy", 1.2, 0.6, 1.5, 1.5, 0.09, 1),
    ],
    ids=["snaked", "spiral"],
)
def test_a_map_is_fitted_live_and_both_axes_go_where_the_fit_says(
    client: Client, scan: tuple[object, ...]
) -> None:
    shell = Shell(client, plot=False)
    plan, *args = scan
    more = {"snake_axes": True} if plan == "grid_scan" else {}
    shell.run(str(plan), *args, detectors=["diode"], fit="gaussian + linear", **more)
    view = shell.view
    assert view is not None
    live = view.fits[0]
    assert (live.axis, live.axis_y, live.problem) == ("samx", "samy", "")
    center = live.parameter("center_x").value, live.parameter("center_y").value
    assert center == pytest.approx((1.2, 0.6), abs=0.03)  # a grain of the sample
    shell.goto_cen()
    assert _at(client) == pytest.approx(center, abs=0.05)
    shell.fitting.goto_fit()
    assert _at(client) == pytest.approx(center, abs=1e-6)
    made = shell.fitting.fit()
    assert (made["center_x"], made["center_y"]) == pytest.approx(center, abs=1e-6)
    again = client.runs[-1].fit()
    assert again["fwhm_major"] == pytest.approx(made["fwhm_major"], rel=1e-6)
    assert again["angle"] == pytest.approx(made["angle"], abs=1e-3)
    with pytest.raises(InputError, match="center_x is the place of one axis of two"):
        shell.fitting.goto_fit("center_x")
    with pytest.raises(InputError, match="fwhm_x is no place"):
        shell.fitting.goto_fit("fwhm")
    with pytest.raises(InputError, match="a map has no edge"):
        shell.fitting.edge()


def test_a_point_that_takes_too_long_is_skipped_while_it_is_taken(client: Client) -> None:
    scan = client.list_scan("energy", [8000, 19000, 8000.5], detectors=["diode"], wait=False)
    until(lambda: client.queue.list().points_done == 1, "the first point is not taken")
    until(lambda: client.devices.energy.position > 8010, "it does not move")
    client.queue.skip()
    data = scan.wait(PATIENCE_S).run.data
    assert data["energy"].tolist() == [8000, 8000.5]


def test_a_completed_scan_is_a_success_and_says_who_ended_it(client: Client) -> None:
    place = client.devices.samx.position
    scan = client.rel_scan("samx", -1, 1, 400, time=0.02, detectors=["diode"], wait=False)
    until(lambda: client.queue.list().points_done >= 3, "the scan does not begin")
    assert client.queue.complete().did == "it ends after this point"
    run = scan.wait(PATIENCE_S).run
    rows = len(run.data["samx"])
    assert run.status == "success"
    assert run.record.reason.startswith("completed by ")
    assert run.record.reason.endswith(f"after {rows} of 400 points")
    assert client.devices.samx.position == pytest.approx(place)


def test_a_plan_of_bluesky_can_be_completed_but_no_point_of_it_skipped(client: Client) -> None:
    places = [i / 300 for i in range(300)]
    words = ("relative_list_scan", ["diode"], "samx", places)
    scan = client.run_plan(*words, time=0.02, wait=False)
    until(lambda: client.queue.list().points_done >= 3, "the scan does not begin")
    with pytest.raises(BusyError, match="points of this plan are not known"):
        client.queue.skip()
    client.queue.complete()
    scan.wait(PATIENCE_S)
    assert scan.run.status == "success"
    assert "completed by" in scan.run.record.reason


def test_a_point_that_was_not_taken_yet_is_not_retaken(client: Client) -> None:
    scan = client.scan("samx", -2, 2, 400, time=0.02, detectors=["diode"], wait=False)
    until(lambda: client.queue.list().points_done >= 3, "the scan does not begin")
    with pytest.raises(InputError, match="point 399 was not taken yet"):
        client.queue.retake(399)
    waiting = client.scan("samy", -2, 2, 5, detectors=["diode"], wait=False)
    did = client.queue.stop_all().did
    assert did == "the running scan ends, 1 that waited was taken out"
    assert scan.wait(PATIENCE_S, check=False).finished.exit_status == "abort"
    assert waiting.wait(PATIENCE_S, check=False).finished.exit_status == "removed"
    with pytest.raises(BusyError, match="nothing runs"):
        client.queue.complete()


def test_what_is_overdue_is_named_in_the_queue_and_among_the_alarms(
    client: Client, tmp_path: Path
) -> None:
    flag = tmp_path / "stuck"
    flag.touch()
    stuck = {
        "deviceClass": "undula.testing.faulty.StuckPositioner",
        "deviceConfig": {"flag": str(flag), "velocity": 100},
        "readoutPriority": "on_request",
        "enabled": True,
    }
    client.config.add({"stuck": stuck})
    scan = client.list_scan("stuck", [1, 2], detectors=["diode"], wait=False)
    until(lambda: bool(client.queue.list().overdue), "nothing is overdue")
    assert "waiting for stuck" in client.queue.list().overdue[0]
    until(lambda: any("stuck" in a.text for a in client.alarms.list()), "there is no alarm")
    flag.unlink()
    client.queue.pause()
    until(lambda: client.queue.list().state == "paused", "it does not pause")
    client.queue.resume()
    assert scan.wait(PATIENCE_S).run.data["stuck"].tolist() == [1, 2]
    flag.touch()
    told: list[str] = []
    move = client.start_move({"stuck": 3})

    def tell(text: str) -> None:
        told.append(text)
        assert any("waiting for stuck" in line for line in client.queue.list().overdue)
        until(lambda: any(a.source == "move, stuck" for a in client.alarms.list()), "no alarm")
        client.stop()

    with pytest.raises(UndulaError, match="stopped"):
        wait_for_move(client, move, tell)
    assert told[0].startswith("overdue: waiting for stuck: ")
    assert len(told) == 1
    until(lambda: not client.queue.list().overdue, "it is overdue for ever")
    client.config.remove("stuck")


MANY = 20_000
"""Scans that have ended: as many as a beamline has in some weeks."""
COPIES = """
WITH RECURSIVE copies(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM copies WHERE n < ?)
INSERT INTO items SELECT item_id || n, position, submitted, payload, exit_status, run_uids,
run_numbers, reason, finished - n FROM (SELECT * FROM items ORDER BY finished DESC LIMIT 1), copies
"""


def test_a_pause_overtakes_a_long_history_that_somebody_asked_for(
    beamline: LocalBeamline, client: Client
) -> None:
    client.scan("samx", 0, 1, 2, time=0.01, detectors=["diode"])
    with closing(sqlite3.connect(beamline.paths.catalogue)) as catalogue, catalogue:
        catalogue.execute(COPIES, (MANY,))
    scan = client.scan("samx", -2, 2, 2000, time=0.05, detectors=["diode"], wait=False)
    until(lambda: client.queue.list().points_done > 2, "the scan does not begin")
    with beamline.connect() as other, ThreadPoolExecutor(1) as somebody:
        history = somebody.submit(other.queue.history, 10_000)
        client.queue.pause()
        until(lambda: client.queue.list().state == "paused", "it does not pause")
        assert not history.done(), "the history was not long enough to be overtaken"
        client.queue.resume()
        assert len(history.result(PATIENCE_S)) == 10_000
    client.queue.abort()
    assert scan.wait(PATIENCE_S, check=False).status == "abort"
