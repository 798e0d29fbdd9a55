"""Declared plans of every kind through the real services, on one simulated beamline."""

from __future__ import annotations

import io
from collections.abc import Iterator

import h5py
import numpy as np
import pytest

from undula.cli.plans import VIEWS
from undula.client import Client, Run, ScanHandle
from undula.core.errors import InputError, LimitError
from undula.plans import FORMS
from undula.plans.paths.energy import wave_number
from undula.session.commands import Shell
from undula.session.display import TextDisplay
from undula.session.follow import follow
from undula.testing.beamline import local_beamline
from undula.testing.law import until

PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """One simulated beamline for all tests of this file: starting it takes some seconds."""
    with local_beamline() as beamline, beamline.connect() as client:
        yield client


def _runs(client: Client, scan: ScanHandle) -> list[Run]:
    """All runs of a scan that has ended, their files complete."""
    assert scan.run is not None
    return [client.runs[number] for number in scan.run_numbers]


def test_the_engine_publishes_the_catalogue(client: Client) -> None:
    until(lambda: bool(client.plans.catalogue()), "the engine publishes no plans")
    assert [plan.name for plan in client.plans.catalogue()] == list(FORMS)


def test_a_spiral_is_measured_where_it_was_declared(client: Client) -> None:
    declared = client.check("spiral_fermat", "samx", "samy", 0, 0, 1, 1, 0.3, 1)
    run = client.run_plan("spiral_fermat", "samx", "samy", 0, 0, 1, 1, 0.3, 1, time=0.01).run
    measured = np.column_stack([run.data["samx"], run.data["samy"]])
    assert np.allclose(measured, declared.points)
    assert run.record.metadata["plan_args"]["factor"] == 1


def test_a_form_of_bec_measures_in_bursts(client: Client) -> None:
    run = client.run_plan(
        "scans.line_scan", "samx", -1, 1, steps=3, relative=False, exp_time=0.01,
        burst_at_each_point=2, settling_time=0.001, settling_time_after_trigger=0.001,
    ).run  # fmt: skip
    assert np.allclose(run.data["samx"], [-1, -1, 0, 0, 1, 1])
    assert run.record.plan == "scans.line_scan"


def test_exafs_tells_the_detectors_a_count_time_that_grows(client: Client) -> None:
    edge = client.devices.energy.position
    steps = {"ends": [-10, 10], "steps": [10], "k_step": 0.5, "k_stop": 4.0}
    checked = client.check(
        "exafs_scan", "energy", edge, count_time=0.02, k_power=1, detectors=["diode"], **steps
    )
    run = client.run_plan(
        "exafs_scan", "energy", edge, count_time=0.02, k_power=1, detectors=["diode"], **steps
    ).run
    times = np.array(run.record.metadata["count_times_s"])
    k = wave_number(run.data["energy"][times > 0.02 + 1e-9] - edge)
    assert checked.estimate_s is not None
    assert checked.estimate_s >= times.sum()
    assert np.allclose(times[times > 0.02 + 1e-9] / 0.02, k / wave_number(np.array([10.0])), 0.02)


def test_an_adaptive_scan_is_dense_where_the_signal_changes(client: Client) -> None:
    words = ("adaptive_scan", "diode", "samx", -3, 3, 0.05, 1.0, 300, True)
    run = client.run_plan(*words, time=0.01, detectors=["diode"]).run
    places, steps = run.data["samx"], np.diff(np.sort(run.data["samx"]))
    assert places.min() >= -3 - 1e-6
    assert places.max() <= 3 + 1e-6
    assert steps.min() < 0.3 < steps.max()
    capped = client.run_plan(*words, max_points=4, time=0.01, detectors=["diode"]).run
    assert len(capped.data["samx"]) == 4


def test_an_adaptive_scan_is_refused_for_bounds_and_for_a_signal_that_is_not_read(
    client: Client,
) -> None:
    with pytest.raises(LimitError, match="samx"):
        client.run_plan("adaptive_scan", "diode", "samx", -3, 3000, 0.1, 1.0, 100, True)
    with pytest.raises(InputError, match=r"diod is not read by this scan.*did you mean diode"):
        client.run_plan(
            "adaptive_scan", "diod", "samx", -1, 1, 0.1, 1.0, 100, True, detectors=["diode"]
        )


def test_a_sweep_reads_on_the_way_and_goes_on_after_a_pause(client: Client) -> None:
    client.mv(samx=-45)
    client.devices.samx.velocity = 30  # long enough to be paused on the way
    scan = client.run_plan("sweep_scan", "samx", -45, 45, 0.02, detectors=["diode"], wait=False)
    until(lambda: client.queue.list().points_done >= 3, "the sweep does not begin")
    client.queue.pause()
    until(lambda: client.queue.list().state == "paused", "it does not pause")
    held = client.devices.samx.position
    client.queue.resume()
    places = scan.wait(PATIENCE_S).run.data["samx"]
    client.devices.samx.velocity = 100
    assert held < 45
    assert np.all(np.diff(places) >= -1e-6)
    assert places[-1] == pytest.approx(45, abs=0.01)
    assert np.count_nonzero((places > -44) & (places < 44)) >= 3


def test_a_continuous_line_of_bec_is_read_at_its_positions(client: Client) -> None:
    run = client.run_plan(
        "scans.cont_line_scan", "samx", -20, 20, 5, relative=False, offset=2, detectors=["diode"]
    ).run
    places = run.data["samx"]
    assert len(places) == 5
    assert np.allclose(places, np.linspace(-20, 20, 5), atol=5)


def test_a_monitor_scan_reads_each_change_and_ends_in_time(client: Client) -> None:
    run = client.run_plan("monitor_scan", "temperature", detectors=["diode"], num=3).run
    assert len(run.data["diode"]) == 3
    assert len(set(run.data["temperature"])) == 3
    run = client.run_plan("monitor_scan", "samy", detectors=["diode"], duration=0.2).run
    assert len(run.data["diode"]) == 1  # it stands still: the first point only


def test_a_sequence_is_one_item_of_several_runs(client: Client) -> None:
    client.mv(samx=0)
    scan = client.run_plan(
        "sequence", ["scan", "samx", 1, 2, 3], ["dscan", "samx", 0, 1, 2, 0.01], ["count", 2],
        detectors=["diode"],
    )  # fmt: skip
    runs = _runs(client, scan)
    assert [run.record.plan for run in runs] == ["scan", "dscan", "count"]
    assert np.allclose(runs[1].data["samx"], [2, 2.5, 3])  # from where the first one ended
    assert [run.record.metadata["part"] for run in runs] == [1, 2, 3]
    assert [run.record.num_points for run in runs] == [3, 3, 2]
    assert client.devices.samx.position == pytest.approx(2)


def test_nothing_moves_when_a_later_run_of_a_sequence_leaves_the_limits(client: Client) -> None:
    client.mv(samx=0)
    with pytest.raises(LimitError, match=r"run 2 of 2: point \d+ of 3"):
        client.run_plan("sequence", ["scan", "samx", 1, 2, 3], ["scan", "samx", 0, 3000, 3])
    with pytest.raises(LimitError, match="run 2 of 2"):
        client.run_plan("for_each", "samy", [0, 3000], "scan", "samx", 0, 1, 3)
    assert client.devices.samx.position == pytest.approx(0)


def test_a_scan_at_each_condition_reads_the_condition(client: Client) -> None:
    scan = client.run_plan(
        "for_each", "samy", [0.5, -0.5], "scan", "samx", 0, 1, 3, settle=0.01, detectors=["diode"]
    )
    runs = _runs(client, scan)
    assert [run.record.metadata["conditions"] for run in runs] == [{"samy": 0.5}, {"samy": -0.5}]
    assert np.allclose(runs[0].data["samy"], 0.5)
    assert np.allclose(runs[1].data["samy"], -0.5)
    with h5py.File(runs[1].record.path) as file:
        assert file["entry"].attrs["default"]


def test_a_sequence_pauses_aborts_and_ends_early_as_a_whole(client: Client) -> None:
    words = ["scan", "samx", -1, 1, 40]
    scan = client.run_plan(
        "sequence", words, ["count", 3], time=0.1, detectors=["diode"], wait=False
    )
    until(lambda: client.queue.list().points_done >= 3, "it does not begin")
    client.queue.pause()
    until(lambda: client.queue.list().state == "paused", "it does not pause")
    client.queue.resume()
    until(lambda: client.queue.list().points_done >= 6, "it does not go on")
    client.queue.complete()
    ended = scan.wait(PATIENCE_S).finished
    assert ended is not None
    assert ended.exit_status == "success"
    assert len(ended.run_numbers) == 1
    scan = client.run_plan(
        "sequence", words, ["count", 3], time=0.1, detectors=["diode"], wait=False
    )
    until(lambda: client.queue.list().points_done >= 3, "it does not begin")
    client.queue.abort("enough")
    ended = scan.wait(PATIENCE_S, check=False).finished
    assert ended is not None
    assert ended.exit_status == "abort"
    assert len(ended.run_numbers) == 1


def test_a_scan_is_shown_in_the_limits_before_it_moves(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    place = client.devices.samx.position
    shell = Shell(client, plot=False)
    names = shell.namespace()
    names["show"](names["scan"], "samx", -20, 20, 5, time=0.1)
    names["show"](names["scans"].fermat_scan, "samx", -1, 1, "samy", -1, 1, 0.3, relative=False)
    names["show"](names["for_each"], "samy", [0, 1], names["scan"], "samx", -1, 1, 5)
    shown = capsys.readouterr().out
    assert "samx  -50 ├" in shown
    assert "┤ 50 mm   scan -20 to 20" in shown
    assert "run 2: scan at samy 1" in shown
    assert shown.count("nothing was moved") == 3
    assert client.devices.samx.position == pytest.approx(place)


def test_a_continued_energy_scan_keeps_the_count_times_of_its_points(client: Client) -> None:
    words = ("xanes_scan", "energy", [-50, 0, 50], [5, 5])
    scan = client.run_plan(
        *words, edge=7200, count_times=[0.1, 0.15], detectors=["diode"], wait=False
    )
    until(lambda: client.queue.list().points_done >= 3, "it does not begin")
    client.queue.abort("enough")
    scan.wait(PATIENCE_S, check=False)
    first = scan.run
    assert first is not None
    rest = first.continued().wait(PATIENCE_S).run
    assert rest is not None
    times = [0.1] * 11 + [0.15] * 10
    taken = len(first.data["energy"])
    assert rest.record.metadata["count_times_s"] == times[taken:]
    whole = np.concatenate([first.data["energy"], rest.data["energy"]])
    assert np.allclose(whole, np.arange(7150, 7251, 5))


def test_a_hook_that_only_warns_is_told_with_the_scan_and_among_the_hooks(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    assert client.paths is not None
    hooks = client.paths.plans / "hooks.py"
    hooks.parent.mkdir(exist_ok=True)
    hooks.write_text("@after('point', on_error='warn')\ndef reference():\n    1 / 0\n")
    said = "the hook reference (after point): ZeroDivisionError: division by zero, at hooks.py"
    try:
        shown = io.StringIO()
        handle = client.submit("scan", "samx", 0, 1, 3)
        follow(client, handle, TextDisplay(shown, plot=False))
        VIEWS["hooks"](client.plans.list())
    finally:
        hooks.unlink()
    assert handle.status == "success"
    assert f"warning: 3 times: {said}" in shown.getvalue()
    assert f"reference failed last with: {said}" in capsys.readouterr().out
