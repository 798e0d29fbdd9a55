"""Runs that were interrupted and continued: joined, they are as one that nobody interrupted."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from undula.client import Client
from undula.client.runs import Run
from undula.core.errors import InputError, UndulaError
from undula.files import RunData
from undula.testing.beamline import LocalBeamline, local_beamline
from undula.testing.law import until

PATIENCE_S = 60.0
DEVICES = """
samx: {deviceClass: undula.devices.sim.SimPositioner, readoutPriority: on_request, enabled: true}
samy: {deviceClass: undula.devices.sim.SimPositioner, readoutPriority: baseline, enabled: true}
diode:
  deviceClass: undula.devices.sim.SimMonitor
  deviceConfig: {role: diode}
  readoutPriority: monitored
  enabled: true
"""


@pytest.fixture(scope="module")
def beamline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBeamline]:
    """One simulated beamline for all tests of this file: starting it takes some seconds."""
    path = tmp_path_factory.mktemp("continued") / "devices.yaml"
    path.write_text(DEVICES)
    with local_beamline(devices=path) as beamline:
        yield beamline


@pytest.fixture(scope="module")
def client(beamline: LocalBeamline) -> Iterator[Client]:
    with beamline.connect() as client:
        yield client


@pytest.fixture(scope="module")
def uninterrupted() -> dict[float | None, RunData]:
    """By count time: the data of a run that nobody interrupted."""
    return {}


def _interrupted(client: Client, points: int, how: Callable[[], object]) -> Run:
    """The newest run, interrupted after so many points; its file is closed."""
    until(lambda: client.queue.list().points_done >= points, "the scan does not begin")
    number = client.queue.list().run_number
    assert number is not None
    how()
    until(lambda: client.runs[number].status != "running", "its file is not closed")
    return client.runs[number]


def _paused_and_aborted(client: Client) -> None:
    client.queue.pause()
    until(lambda: client.queue.list().state == "paused", "it does not pause")
    client.queue.abort("enough")


def _killed(beamline: LocalBeamline) -> None:
    os.kill(beamline.pid("engine"), signal.SIGKILL)


def _ways(client: Client, beamline: LocalBeamline) -> dict[str, Callable[[], object]]:
    return {
        "aborted": lambda: _paused_and_aborted(client),
        "killed": lambda: _killed(beamline),
    }


@pytest.mark.parametrize("way", ["aborted", "killed"])
@pytest.mark.parametrize("count_time_s", [0.05, None], ids=["by message", "in blocks"])
def test_joined_it_is_as_a_run_that_nobody_interrupted(
    client: Client,
    beamline: LocalBeamline,
    uninterrupted: dict[float | None, RunData],
    way: str,
    count_time_s: float | None,
) -> None:
    points = 60 if count_time_s else 20_000
    client.mv(samx=0)
    if count_time_s not in uninterrupted:
        run = client.rel_scan("samx", -2, 2, points, time=count_time_s).run
        uninterrupted[count_time_s] = run.data
    whole = uninterrupted[count_time_s]
    client.rel_scan("samx", -2, 2, points, time=count_time_s, wait=False)
    run = _interrupted(client, points // 6, _ways(client, beamline)[way])
    taken = len(run.data["samx"])
    assert 0 < taken < points
    client.mv(samx=1.5)  # it is relative to where the axis was at first
    go_on = run.continued().wait(PATIENCE_S).run
    assert len(go_on.data["samx"]) == points - taken
    said = go_on.record.metadata["continues"]
    assert (said["uid"], said["number"], said["first_point"]) == (run.uid, run.number, taken + 1)
    assert client.devices.samx.position == 0
    for joined in (run.joined(), go_on.joined()):
        assert joined["point"].tolist() == list(range(1, points + 1))
        assert joined["samx"].tolist() == whole["samx"].tolist()
        assert joined["run"].tolist() == [run.number] * taken + [go_on.number] * (points - taken)
        assert not joined["retaken"].any()
        assert (joined.missing, joined.skipped) == ([], [])
        fit = joined.fit("gaussian + linear", "diode")
        assert fit.result.points == points
        assert abs(fit["center"]) < 0.1
        noise = 5 * np.sqrt(joined["diode"] + whole["diode"] + 1.0)
        assert np.mean(np.abs(joined["diode"] - whole["diode"]) <= noise) > 0.999
    with pytest.raises(InputError, match=f"was continued by run {go_on.number}"):
        run.continued()
    with pytest.raises(InputError, match="ended as success"):
        go_on.continued()


def test_a_continued_run_is_continued_itself_and_its_steering_is_kept(client: Client) -> None:
    client.grid_scan("samy", 0, 2, 4, "samx", -1, 1, 15, snake_axes=True, time=0.05, wait=False)
    first = _interrupted(client, 8, lambda: client.queue.abort("a"))
    taken = len(first.data["samx"])
    second_scan = first.continued()
    until(lambda: client.queue.list().points_done >= 4, "it does not go on")
    client.queue.pause_at_point()
    until(lambda: client.queue.list().state == "paused", "it does not pause")
    client.queue.skip()
    until(lambda: client.queue.list().points_done >= 8, "it does not go on")
    client.queue.retake(2)  # a point of the first run
    rows = client.queue.list().points_done
    second = _interrupted(client, rows + 4, lambda: client.queue.abort("b"))
    second_scan.wait(PATIENCE_S, check=False)
    assert second.joined().missing[0] == len(second.data["samx"]) + taken + 1
    third = second.continued().wait(PATIENCE_S).run
    assert third.record.command.endswith(f"# continues run {second.number}")
    assert third.record.command.count("# continues") == 1
    joined = third.joined()
    skipped = joined.skipped
    assert len(skipped) == 1
    assert joined.missing == []
    assert joined["point"].tolist() == [p for p in range(1, 61) if p != skipped[0]]
    x = np.concatenate([np.linspace(-1, 1, 15), np.linspace(1, -1, 15)] * 2)
    assert np.allclose(joined["samx"], np.delete(x, skipped[0] - 1))
    assert np.allclose(
        joined["samy"], np.delete(np.repeat(np.linspace(0, 2, 4), 15), skipped[0] - 1)
    )
    assert joined["point"][joined["retaken"]].tolist() == [2]
    assert joined["run"][1] == second.number
    assert [p.number for p in first.joined().parts] == [first.number, second.number, third.number]


def test_what_cannot_be_continued_is_refused_with_the_reason(
    client: Client, tmp_path: Path
) -> None:
    words = ("tune_centroid", ["diode"], "diode", "samx", -1, 1, 0.001)
    scan = client.run_plan(*words, num=300, time=0.02, wait=False)
    run = _interrupted(client, 3, lambda: client.queue.abort("a"))
    scan.wait(PATIENCE_S, check=False)
    with pytest.raises(InputError, match="points of tune_centroid are not known"):
        run.continued()
    client.timescan(0.02, wait=False)
    endless = _interrupted(client, 3, lambda: client.queue.abort("a"))
    with pytest.raises(InputError, match="are not known"):
        endless.continued()
    scan = client.scan("samx", -1, 1, 300, time=0.02, wait=False)
    until(lambda: client.queue.list().points_done >= 3, "it does not begin")
    with pytest.raises(UndulaError, match="is still open"):
        client.runs[-1].continued()
    run = _interrupted(client, 3, lambda: client.queue.abort("a"))
    scan.wait(PATIENCE_S, check=False)
    client.enable("samx", False)
    try:
        with pytest.raises(UndulaError, match="it is disabled"):
            run.continued()
    finally:
        client.enable("samx", True)


def test_a_run_is_repeated_as_it_was(client: Client) -> None:
    metadata = {"sample": "Fe2O3"}
    first = client.scan("samx", -1, 1, 5, time=0.01, metadata=metadata).run
    again = first.repeat().wait(PATIENCE_S).run
    assert again.record.command == first.record.command
    assert again.data["samx"].tolist() == first.data["samx"].tolist()
    for key in ("sample", "count_time_s", "detectors"):
        assert again.record.metadata[key] == first.record.metadata[key]
    assert first.diff(again) == []


def test_the_difference_of_two_runs_is_told_with_its_reason(client: Client) -> None:
    first = client.scan("samx", -1, 1, 5, time=0.01, metadata={"sample": "Fe"}).run
    client.mvr(samy=0.5)
    second = client.scan("samx", -1, 2, 5, time=0.02, metadata={"sample": "Cu"}).run
    kinds = {d.kind: d for d in first.diff(second)}
    assert set(kinds) == {"command", "count time", "metadata", "configuration", "baseline"}
    assert (kinds["metadata"].a, kinds["metadata"].b) == ("Fe", "Cu")
    moved = kinds["baseline"]
    assert (moved.name, moved.unit) == ("samy", "mm")
    assert moved.b - moved.a == pytest.approx(0.5)
