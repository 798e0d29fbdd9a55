"""Scans through the real services: steered, refused, and right in the file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from queue import SimpleQueue

import h5py
import numpy as np
import pytest

from undula.bus.endpoints import DEVICE_TABLE, LOG
from undula.client import Client
from undula.core.errors import BusyError, DeviceError, InputError, LimitError, UndulaError
from undula.messages import DeviceTable
from undula.testing.beamline import local_beamline
from undula.testing.law import until

PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """One simulated beamline for all tests of this file: starting it takes some seconds."""
    with local_beamline() as beamline, beamline.connect() as client:
        yield client


def _begun(client: Client, points: int = 5) -> None:
    until(lambda: client.queue.list().points_done >= points, "the scan does not begin")


def _paused(client: Client) -> None:
    until(lambda: client.queue.list().state == "paused", "it does not pause")


def test_ascan_with_ten_intervals_has_eleven_points_in_the_file(client: Client) -> None:
    run = client.ascan("samx", 0, 1, 10, 0.01, detectors=["diode"]).run
    assert np.allclose(run.data["samx"], np.linspace(0, 1, 11))


def test_a_paused_scan_takes_each_point_once(client: Client) -> None:
    scan = client.scan("samx", -2, 2, 60, time=0.05, detectors=["diode"], wait=False)
    _begun(client)
    client.queue.pause()
    _paused(client)
    client.queue.resume()
    _begun(client, 25)
    client.queue.pause_at_point()
    _paused(client)
    client.queue.resume()
    assert np.allclose(scan.wait(PATIENCE_S).run.data["samx"], np.linspace(-2, 2, 60))


def test_the_device_table_says_who_uses_which_device_while_it_is_so(client: Client) -> None:
    tables: SimpleQueue[DeviceTable] = SimpleQueue()

    def until_samx(used_by: str) -> None:
        while True:
            found = {i.name: i.leased_by for i in tables.get(timeout=PATIENCE_S).devices}
            if re.fullmatch(used_by, found["samx"]):
                assert bool(found["diode"]) == bool(used_by)
                return

    with closing(client.link.connector.subscribe(DEVICE_TABLE, tables.put)):
        scan = client.scan("samx", -2, 2, 500, time=0.02, detectors=["diode"], wait=False)
        until_samx(r"run \d+, scan .* of \S+")
        assert client.devices.info("samx").leased_by.startswith("run")
        client.queue.abort()
        until_samx("")
        scan.wait(PATIENCE_S, check=False)


def test_an_aborted_scan_keeps_its_points_and_says_why(client: Client) -> None:
    scan = client.scan("samx", -2, 2, 500, time=0.02, detectors=["diode"], wait=False)
    _begun(client)
    client.queue.abort("the sample fell off")
    scan.wait(PATIENCE_S, check=False)
    run = scan.run
    assert (run.status, run.record.reason) == ("abort", "the sample fell off")
    assert 5 <= len(run.data["diode"]) < 500
    assert len(run.data["diode"]) == len(run.data["samx"])


def test_stop_ends_a_scan_as_aborted_and_nothing_moves_on(client: Client) -> None:
    scan = client.scan("samx", -2, 2, 500, time=0.02, detectors=["diode"], wait=False)
    _begun(client)
    report = client.stop()
    assert "samx" in report.stopped
    assert scan.wait(PATIENCE_S, check=False).finished.exit_status == "abort"
    assert "undula stop" in scan.run.record.reason
    place = client.devices.samx.position
    assert client.devices.samx.position == place


def test_stop_also_drops_what_waits(client: Client) -> None:
    running = client.scan("samx", -2, 2, 500, time=0.02, detectors=["diode"], wait=False)
    waiting = client.scan("samy", -2, 2, 5, detectors=["diode"], wait=False)
    _begun(client)
    client.stop()
    assert running.wait(PATIENCE_S, check=False).finished.exit_status == "abort"
    assert waiting.wait(PATIENCE_S, check=False).finished.exit_status == "removed"
    assert client.count(num=1, detectors=["diode"]).finished.exit_status == "success"


def test_an_abort_at_any_moment_is_never_lost(client: Client) -> None:
    for _ in range(8):
        scan = client.scan("samx", -2, 2, 200, time=0.02, detectors=["diode"], wait=False)
        until(lambda scan=scan: scan.status != "waiting", "it does not start")
        client.queue.abort("at once")
        assert scan.wait(PATIENCE_S, check=False).finished.exit_status == "abort"


def test_a_scanned_axis_is_leased_and_others_move(client: Client) -> None:
    scan = client.scan("samx", -2, 2, 500, time=0.02, detectors=["diode"], wait=False)
    _begun(client)
    with pytest.raises(BusyError, match=r"in use by run \d+, scan"):
        client.mv(samx=1)
    assert client.mv(samy=2)["samy"]["value"] == 2
    scan.cancel()
    scan.wait(PATIENCE_S, check=False)
    assert client.mv(samx=1)["samx"]["value"] == 1


def test_a_move_is_stopped_on_its_way(client: Client) -> None:
    client.mv(energy=5000)
    move = client.start_move({"energy": 19000})
    until(lambda: client.devices.energy.position > 5001, "it does not move")
    assert "energy" in client.stop().stopped
    with pytest.raises(UndulaError, match="stopped at"):
        move.result()
    assert client.devices.energy.position < 19000


def test_a_waiting_scan_can_be_removed(client: Client) -> None:
    first = client.scan("samx", -2, 2, 500, time=0.02, detectors=["diode"], wait=False)
    second = client.count(num=1, wait=False)
    client.queue.remove(second.item_id)
    client.queue.abort("")
    first.wait(PATIENCE_S, check=False)
    assert second.wait(PATIENCE_S, check=False).finished.exit_status == "removed"


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda c: c.scan("samz", 0, 1, 5), InputError, "no device 'samz'"),
        (lambda c: c.scan("samx", 0, "b", 5), InputError, "stop of samx is 'b'"),
        (lambda c: c.scan("samx", 0, 60, 67), LimitError, "point 57 of 67"),
        (lambda c: c.scan("diode", 0, 1, 5), InputError, "cannot be moved"),
        (lambda c: c.scan("samx", 0, 1, 0), InputError, "number of points is 0"),
        (lambda c: c.mv(samx=float("nan")), UndulaError, "finite"),
        (lambda c: c.mv(samx="abc"), InputError, "'abc' is no place"),
        (lambda c: c.mv(samx=99), LimitError, "above the high limit 50 mm"),
        (lambda c: c.run_plan("no_such_plan"), InputError, "no plan 'no_such_plan'"),
        (lambda c: c.count(detectors=["dioed"]), InputError, "did you mean diode"),
        (lambda c: c.read("nothing"), InputError, "no device 'nothing'"),
    ],
)
def test_wrong_input_is_refused_before_anything_moves(
    client: Client, call: Callable[[Client], object], error: type[UndulaError], text: str
) -> None:
    before, runs = client.devices.samx.position, len(client.runs.search())
    with pytest.raises(error) as caught:
        call(client)
    assert text in str(caught.value)
    assert "Remedy:" in str(caught.value)
    assert client.devices.samx.position == before
    assert len(client.runs.search()) == runs


def test_a_disabled_device_is_refused_with_how_to_enable_it(client: Client) -> None:
    client.enable("bpm4i", False)
    with pytest.raises(DeviceError, match="enable it"):
        client.count(detectors=["bpm4i"])
    client.enable("bpm4i", True)
    assert client.count(detectors=["bpm4i"]).finished.exit_status == "success"


def test_a_dry_run_queues_nothing(client: Client) -> None:
    runs = len(client.runs.search())
    checked = client.check("scan", "samx", 0, 1, 5, time=0.1)
    assert checked.num_points == 5
    assert checked.points is not None
    assert np.allclose(np.ravel(checked.points), np.linspace(0, 1, 5))
    assert checked.estimate_s is not None
    assert checked.estimate_s > 0.5
    assert len(client.runs.search()) == runs


def test_each_service_puts_its_log_on_the_bus(client: Client) -> None:
    client.count(num=1, detectors=["diode"])
    wanted = {"engine", "writer", "publisher"}
    until(
        lambda: wanted <= {event.service for _, event in client.link.connector.read(LOG)},
        "a service tells nothing",
    )


def test_the_answer_to_resume_and_abort_shows_what_they_did(client: Client) -> None:
    handle = client.count(num=None, delay=0.01, detectors=["diode"], wait=False)
    next(handle.events())
    client.queue.pause()
    until(lambda: client.queue.status.state == "paused", "it does not pause")

    assert client.queue.resume().state == "running"
    aborted = client.queue.abort("enough")

    assert aborted.running is None
    assert handle.wait(60.0, check=False).status == "abort"


def test_a_relative_scan_returns_to_where_it_began(client: Client) -> None:
    client.mv(samx=1.5)
    run = client.dscan("samx", -1, 1, 4, 0.01, detectors=["diode"]).run
    assert np.allclose(run.data["samx"], [0.5, 1.0, 1.5, 2.0, 2.5])
    assert client.devices.samx.position == 1.5


def test_a_snaked_grid_is_a_map_with_the_right_axes(client: Client) -> None:
    run = client.grid_scan(
        "samy", 0, 1, 3, "samx", 0, 2, 4, detectors=["diode"], snake_axes=True
    ).run
    with h5py.File(run.path) as file:
        data = file["entry/data"]
        assert data.attrs["signal"] == "diode"
        assert list(data.attrs["axes"]) == ["samy", "samx"]
        assert data["diode"].shape == (3, 4)
        rows = run.data["diode"]
        assert data["diode"][0].tolist() == rows[:4].tolist()
        assert data["diode"][1].tolist() == rows[4:8][::-1].tolist()


def test_a_plan_of_bluesky_runs_by_its_name(client: Client) -> None:
    run = client.run_plan("log_scan", "samx", 0, 1, 3, detectors=["diode"])
    assert run.finished.exit_status == "success"


def test_baseline_devices_are_read_before_and_after(client: Client) -> None:
    run = client.count(num=2, detectors=["diode"]).run
    with h5py.File(run.path) as file:
        assert file["entry/collection/baseline/ring_current"].shape == (2,)


def test_every_reading_keeps_its_count_time(client: Client) -> None:
    run = client.timescan(0.05, 4, detectors=["diode"]).run
    stamps = run.data.timestamps["diode"]
    assert np.all(np.diff(stamps) >= 0.05)
