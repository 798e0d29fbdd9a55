"""Which point of a scan a frame is of: paused anywhere, left out, taken again, on a grid.

Real devices, RunEngine, queue and processes of a graph; the moment of a pause is made certain.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest
from bluesky.utils import Msg

from undula.core.errors import InputError
from undula.messages import ItemFinished, QueueRequest
from undula.pipes.detector import GraphDetector
from undula.pipes.replaying import chosen
from undula.testing.scan_house import ScanHouse

DEVICES = """
samx: {deviceClass: undula.devices.sim.SimPositioner, readoutPriority: on_request, enabled: true}
samy: {deviceClass: undula.devices.sim.SimPositioner, readoutPriority: on_request, enabled: true}
cam:
  deviceClass: undula.pipes.detector.GraphDetector
  deviceConfig:
    frame_timeout: 30.0
    graph:
      nodes:
        det: {node: simulated, parameters: {width: 32, height: 16, rate_hz: 0}}
        roi: {node: roi, parameters: {rois: {all: {shape: box, x: 0, y: 0, width: 32, height: 16}}}}
        map: grid_map
        file: frame_file
        out: channel
      edges: [det -> roi, det -> file, roi.sum -> map, roi.sum -> out, map.map -> out]
  readoutPriority: monitored
  enabled: true
"""
MINE = """
def mine():
    yield from bp.scan([cam], samx, 0, 1, 5)
"""
TWO_BY_THREE = ("samy", 0, 1, 2, "samx", 0, 2, 3)
assert hdf5plugin.FILTERS, "imported so that h5py can read the frames"


class Scans:
    """A house, and what came of its last scan."""

    def __init__(self, house: ScanHouse) -> None:
        self.house = house

    @property
    def cam(self) -> GraphDetector:
        found = self.house.devices["cam"].obj
        assert isinstance(found, GraphDetector)
        return found

    def run(self, plan: str, *args: Any, **fields: Any) -> Points:
        return self.points(self.house.run(plan, *args, **fields))

    def points(self, ended: ItemFinished) -> Points:
        assert ended.exit_status == "success", ended.reason
        (uid,) = ended.run_uids
        return Points(self.house, uid)

    def do(self, action: Any, **fields: Any) -> None:
        request = QueueRequest(request_id="q", deadline=2e9, user="ann", action=action, **fields)
        self.house.desk.answer(request, self.house._stops.permit(request.sent))

    def paused_behind(self, *rows: int, at_point: bool = False) -> None:
        """Pause as soon as the RunEngine has made this row, before it asks the plan for more.

        Args:
            at_point: at the checkpoint before the next point instead.
        """
        waiting, steering = set(rows), self.house.runner.steering

        def see(name: str, doc: dict[str, Any]) -> None:
            if name == "event" and doc["seq_num"] in waiting:
                waiting.remove(doc["seq_num"])
                steering._wanted = steering.wanted.paused_by(person=True)
                if not at_point:
                    pause = self.house.engine._request_pause_coro()
                    asyncio.ensure_future(pause)  # noqa: RUF006  # it runs at once

        self.house.engine.subscribe(see)

    def until_paused(self, points: int) -> None:
        def paused() -> bool:
            status = self.house.runner.status()
            return status.state == "paused" and self.house.runner._gate.rows() == points

        self.house.until(paused, "it does not pause")


class Points:
    """The rows of a run as its file has them, and the frames of its frame files."""

    def __init__(self, house: ScanHouse, uid: str) -> None:
        self.rows = {row["seq_num"]: row for row in house.points(uid)}  # the last one counts
        self.events = len(house.points(uid))
        journal = house.journal(uid)
        self.ledger = journal[-1][1]["ledger"]["cam"]
        self.start = house.start(uid)
        self.configuration = next(
            doc for name, doc in journal if name == "descriptor" and doc["name"] == "primary"
        )["configuration"]["cam"]["data"]
        path = Path(house.catalogue.run(uid).path)
        self.triggers: list[int] = []
        self.sums: list[float] = []
        self.shapes: list[Any] = []
        for file in sorted(path.parent.glob(f"{path.stem}_cam_*.h5")):
            graph = chosen(file, None).graph
            assert graph is not None
            self.shapes.append(graph.nodes["map"].parameters["shape"])
            with h5py.File(file) as opened:
                self.triggers += opened["entry/data/trigger"][()].tolist()
                self.sums += opened["entry/data/data"][()].sum(axis=(1, 2), dtype=float).tolist()
        self.datums = {
            doc["seq_nums"]["start"]: doc["indices"]["start"]
            for name, doc in journal if name == "stream_datum"
        }  # fmt: skip

    @property
    def map(self) -> Any:
        return np.asarray(self.rows[max(self.rows)]["cam_map_map"])

    def of(self, rows: list[int]) -> list[float]:
        """Sums of the rows, by number."""
        return [float(np.squeeze(self.rows[row]["cam_roi_sum"])) for row in rows]


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scans]:
    house = ScanHouse(tmp_path_factory.mktemp("points"), DEVICES)
    made = Scans(house)
    yield made
    house.close()
    made.cam.close()


def test_a_map_has_the_grid_of_each_scan_by_itself(scans: Scans) -> None:
    found = scans.run("grid_scan", *TWO_BY_THREE, snake_axes=True)
    wanted = found.of([1, 2, 3, 6, 5, 4])
    assert found.map.tolist() == np.reshape(wanted, (2, 3)).tolist()
    assert found.configuration["cam_map_shape"] == [2, 3]
    larger = scans.run("grid_scan", "samy", 0, 1, 3, "samx", 0, 2, 4)
    assert larger.map.tolist() == np.reshape(larger.of(list(range(1, 13))), (3, 4)).tolist()
    line = scans.run("scan", "samx", 0, 1, 3)
    assert line.map.tolist() == line.of([1, 2, 3])
    assert (found.shapes, larger.shapes) == ([[2, 3]], [[3, 4]]), "for a replay"
    assert [found.triggers, larger.triggers, line.triggers] == [
        list(range(6)), list(range(12)), list(range(3))
    ]  # fmt: skip


def test_a_graph_that_does_not_fit_its_frames_is_refused_before_anything_moves(
    scans: Scans,
) -> None:
    graph = scans.cam.live_graph
    fits = graph.scan
    beyond = {"all": {"shape": "box", "x": 400, "y": 0, "width": 4, "height": 4}}
    graph.scan = fits.changed("roi", {"rois": beyond})  # as when its frames become smaller
    with pytest.raises(InputError, match=r"nodes.roi.*all.*x 0 to 31"):
        scans.house.check("scan", "samx", 0, 1, 3)
    graph.scan = fits
    scans.house.check("scan", "samx", 0, 1, 3)


def test_a_pause_behind_a_reading_takes_the_point_again_and_shifts_nothing(scans: Scans) -> None:
    scans.paused_behind(3)
    scans.house.ask("grid_scan", *TWO_BY_THREE)
    scans.until_paused(3)
    scans.do("resume")
    found = scans.points(scans.house.wait())
    assert found.events == 7, "its row was made twice"
    assert found.triggers == [0, 1, 2, 2, 3, 4, 5]
    assert found.map.tolist() == np.reshape(found.of([1, 2, 3, 4, 5, 6]), (2, 3)).tolist()
    assert found.of([3]) == [found.sums[3]], "the second one counts"
    assert found.datums[3] == 3, "and the row names its frame"
    assert found.ledger["triggers"] == 7
    assert found.ledger["complete"]


def test_a_pause_in_the_delay_between_two_points_takes_neither_again(scans: Scans) -> None:
    engine, steering = scans.house.engine, scans.house.runner.steering

    def see(message: Msg) -> None:
        if message.command == "sleep":
            engine.msg_hook = None
            steering._wanted = steering.wanted.paused_by(person=True)
            pause = engine._request_pause_coro()
            asyncio.ensure_future(pause)  # noqa: RUF006  # it runs as soon as the delay does

    engine.msg_hook = see
    scans.house.ask("count", 3, delay=0.01)
    scans.until_paused(1)
    scans.do("resume")
    found = scans.points(scans.house.wait())
    assert (found.events, found.triggers) == (3, [0, 1, 2])
    assert found.map.tolist() == found.of([1, 2, 3])


def test_a_point_that_was_left_out_or_taken_again_is_in_its_place_on_the_map(scans: Scans) -> None:
    scans.paused_behind(2, 4, at_point=True)
    scans.house.ask("grid_scan", *TWO_BY_THREE)
    scans.until_paused(2)
    scans.do("skip")
    scans.until_paused(4)
    scans.do("retake", point=1)
    found = scans.points(scans.house.wait())
    assert found.triggers == [0, 1, 3, 4, 0, 5]
    first, second, fourth, fifth, again, sixth = found.of([1, 2, 3, 4, 5, 6])
    assert first != again
    wanted = [[again, second, float("nan")], [fourth, fifth, sixth]]
    np.testing.assert_array_equal(found.map, wanted)


def test_a_plan_whose_points_nobody_knows_is_paused_behind_a_reading_and_shifts_nothing(
    scans: Scans,
) -> None:
    scans.paused_behind(3)
    (scans.house.plans / "mine.py").write_text(MINE)
    scans.house.ask("mine")
    scans.until_paused(3)
    scans.do("resume")
    found = scans.points(scans.house.wait())
    assert found.triggers == [0, 1, 2, 2, 3, 4]
    assert found.map.tolist() == found.of([1, 2, 3, 4, 5])


def test_a_map_that_was_killed_in_mid_scan_has_the_grid_of_the_scan_again(scans: Scans) -> None:
    scans.paused_behind(2)
    scans.house.ask("grid_scan", *TWO_BY_THREE)
    scans.until_paused(2)
    assert scans.cam.status is not None
    os.kill(scans.cam.status.nodes["map"].pid, signal.SIGKILL)
    scans.do("resume")
    found = scans.points(scans.house.wait())
    assert found.map.shape == (2, 3)
    assert found.map[1].tolist() == found.of([4, 5, 6])
