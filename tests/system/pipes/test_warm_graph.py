"""A graph that is kept warm from run to run: each run has its own triggers, map and ledger."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest

from undula.core.errors import InputError
from undula.pipes.detector import GraphDetector

SHAPE = (2, 3)
POINTS = 6
BOX = {"shape": "box", "x": 0, "y": 0, "width": 32, "height": 16}
GRAPH: dict[str, Any] = {
    "nodes": {
        "det": {"node": "simulated", "parameters": {"width": 32, "height": 16, "rate_hz": 0}},
        "roi": {"node": "roi", "parameters": {"rois": {"all": BOX}}},
        "map": {"node": "grid_map", "parameters": {"shape": SHAPE}},
        "join": "join",
        "file": "frame_file",
        "view": "preview",
        "out": "channel",
    },
    "edges": [
        "det -> roi", "det -> file", {"det -> view": "latest"}, "roi.sum -> map", "roi.sum -> out",
        "map.map -> out", "det -> join.frames", "roi.sum -> join.positions", "join.quality -> out",
    ],
}  # fmt: skip
assert hdf5plugin.FILTERS, "imported so that h5py can read the frames"


@dataclass
class Run:
    """What a run read at each point, the rows of its files, its ledger."""

    sums: list[float] = field(default_factory=list)
    qualities: list[int] = field(default_factory=list)
    map: Any = None
    triggers: list[int] = field(default_factory=list)
    ledger: dict[str, Any] = field(default_factory=dict)

    def checked(self, points: int, missing: int = 0) -> None:
        """It has so many points, in their places; the map lacks the first `missing` ones."""
        assert self.triggers == list(range(points))
        assert self.qualities == [0] * points, (
            "each frame was joined to the position of its trigger"
        )
        wanted = np.full(SHAPE, np.nan)
        wanted.flat[missing:points] = self.sums[missing:]
        np.testing.assert_array_equal(np.squeeze(self.map), wanted)
        assert self.ledger["complete"], self.ledger["text"]
        assert self.ledger["triggers"] == points
        assert self.ledger["text"].startswith(f"complete: {points} frames")


@pytest.fixture(scope="module")
def detector() -> Iterator[GraphDetector]:
    """One graph, kept warm for all runs."""
    made = GraphDetector("cam", graph=GRAPH, frame_timeout=30.0)
    yield made
    made.close()


def run(
    detector: GraphDetector, path: Path, points: int, at: Callable[[int], object] = lambda _: None
) -> Run:
    """So many points, each read; `at` is called before each."""
    detector.set_run_path(path)
    detector.stage().wait(60)
    found = Run()
    for point in range(points):
        at(point)
        detector.trigger().wait(60)
        list(detector.collect_asset_docs())
        values = {key: reading["value"] for key, reading in detector.read().items()}
        found.sums.append(values["cam_roi_sum"])
        found.qualities.append(values["cam_join_quality"])
        found.map = values["cam_map_map"]
    asyncio.run(detector.finish_data())
    for file in sorted(path.parent.glob(f"{path.stem}_cam_*.h5")):
        with h5py.File(file) as opened:
            found.triggers += opened["entry/data/trigger"][()].tolist()
    found.ledger = detector.run_ledger() or {}
    detector.unstage()
    return found


def kill(detector: GraphDetector, node: str) -> None:
    assert detector.status is not None
    os.kill(detector.status.nodes[node].pid, signal.SIGKILL)


def test_each_run_of_a_warm_graph_has_its_own_triggers_whoever_died_and_whatever_was_aborted(
    detector: GraphDetector, tmp_path: Path
) -> None:
    run(detector, tmp_path / "first.nxs", POINTS).checked(POINTS)

    detector.set_run_path(tmp_path / "aborted.nxs")
    detector.stage().wait(60)
    for _ in range(2):
        detector.trigger().wait(60)
        list(detector.collect_asset_docs())
    detector.trigger()  # its frame is on its way
    detector.stop()
    aborted = detector.run_ledger()
    assert aborted is not None
    assert aborted["triggers"] in (2, 3), "it may have been stopped before it was given"
    detector.unstage()

    run(detector, tmp_path / "after.nxs", POINTS).checked(POINTS)
    kill(detector, "map")  # between two runs
    kill(detector, "join")
    run(detector, tmp_path / "killed.nxs", 4).checked(4)
    run(detector, tmp_path / "last.nxs", POINTS).checked(POINTS)


@pytest.mark.parametrize("node", ["det", "roi", "map", "join"])
def test_a_worker_that_is_killed_in_a_later_run_shifts_no_trigger(
    detector: GraphDetector, tmp_path: Path, node: str
) -> None:
    run(detector, tmp_path / "before.nxs", 2).checked(2)

    def at(point: int) -> None:
        if point == 3:
            kill(detector, node)

    found = run(detector, tmp_path / "run.nxs", POINTS, at)
    found.checked(POINTS, missing=3 if node == "map" else 0)


def test_a_point_that_is_taken_again_has_the_same_trigger_and_place(
    detector: GraphDetector, tmp_path: Path
) -> None:
    def again(point: int) -> None:
        if point == 2:
            detector.trigger().wait(60)  # nobody reads it: the scan was paused

    found = run(detector, tmp_path / "again.nxs", POINTS, again)
    assert found.triggers == [0, 1, 2, 2, 3, 4, 5]
    assert found.ledger["triggers"] == POINTS + 1
    np.testing.assert_array_equal(np.squeeze(found.map), np.reshape(found.sums, SHAPE))


def test_a_graph_that_nobody_needs_ends_and_the_next_run_starts_it_anew(tmp_path: Path) -> None:
    detector = GraphDetector("cam", graph=GRAPH, frame_timeout=30.0, idle_after=0.0)
    try:
        for name in ("first", "second"):
            detector.set_run_path(tmp_path / f"{name}.nxs")
            detector.stage().wait(60)
            assert detector.status is not None, "it runs while it is staged"
            run(detector, tmp_path / f"{name}.nxs", POINTS).checked(POINTS)
            wait_for_end(detector)
    finally:
        detector.close()


def test_a_trigger_that_comes_just_when_the_graph_ends_has_its_frame(tmp_path: Path) -> None:
    nodes = {name: GRAPH["nodes"][name] for name in ("det", "roi", "out")}
    graph = {"nodes": nodes, "edges": ["det -> roi", "roi.sum -> out"]}
    detector = GraphDetector("cam", graph=graph, frame_timeout=30.0, idle_after=0.0)
    try:
        detector.set_run_path(tmp_path / "run.nxs")
        for number in range(5):  # each begins a graph, or finds the one that is just ending
            detector.trigger().wait(60)
            assert detector.read()["cam_roi_sum"]["value"] > 0, number
    finally:
        detector.close()


LEVEL = """from undula.pipes.nodes.base import Node, Port


class Level(Node):
    outputs = (Port("value", "a number", ndim={ndim}, kinds="f"),)

    def clear(self):
        self.found = None

    def accumulate(self, frame):
        self.found = {value}

    def result(self):
        return {{"value": self.found}}
"""


def test_a_node_that_was_saved_is_taken_up_by_the_next_run_whoever_is_killed_meanwhile(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "nodes"
    folder.mkdir()
    stamps = count(1)

    def save(text: str) -> None:
        (folder / "level.py").write_text(text)
        os.utime(folder / "level.py", (next(stamps), 0))

    save(LEVEL.format(ndim=0, value="1.0"))
    nodes = {"det": GRAPH["nodes"]["det"], "level": "level", "out": "channel"}
    graph = {"nodes": nodes, "edges": ["det -> level", "level.value -> out"]}
    detector = GraphDetector("cam", graph=graph, nodes=str(folder), frame_timeout=30.0)
    runs = count(1)

    def taken(points: int, at: Callable[[int], object] = lambda _: None) -> list[Any]:
        detector.set_run_path(tmp_path / f"run{next(runs)}.nxs")
        detector.stage().wait(60)
        found = []
        for point in range(points):
            at(point)
            detector.trigger().wait(60)
            found.append(np.asarray(detector.read()["cam_level_value"]["value"]).tolist())
        asyncio.run(detector.finish_data())
        detector.unstage()
        return found

    def saved_and_killed(point: int) -> None:
        if point == 1:
            save(LEVEL.format(ndim=1, value="[2.0, 3.0]"))
            kill(detector, "level")

    try:
        before = detector.read_configuration()["cam_level_code"]["value"]
        assert taken(3, saved_and_killed) == [1.0, 1.0, 1.0], "a run has one version of a node"
        kill(detector, "level")  # between what was saved and the next run
        assert taken(2) == [[2.0, 3.0], [2.0, 3.0]]
        assert detector.describe()["cam_level_value"]["shape"] == [2]
        assert detector.read_configuration()["cam_level_code"]["value"] != before
        save("def level(:\n")
        kill(detector, "level")
        assert taken(2) == [[2.0, 3.0], [2.0, 3.0]], "the former one goes on"
        (fault,) = detector.live_graph.look()
        assert f"{folder / 'level.py'}:1" in fault
        save(LEVEL.format(ndim=0, value="1.0").replace('"value"', '"other"'))
        with pytest.raises(InputError, match=r"level.py was saved.*level has no output 'value'"):
            detector.stage().wait(60)
        save("def level(:")
        with pytest.raises(InputError, match=r"no output 'value'; since then .*level.py:1"):
            detector.live_graph.look()
        (folder / "level.py").unlink()
        with pytest.raises(InputError, match="the file of level is gone"):
            detector.live_graph.look()
        save(LEVEL.format(ndim=0, value="4.0"))
        assert taken(1) == [4.0]
    finally:
        detector.close()


def wait_for_end(detector: GraphDetector) -> None:
    """It ends by itself; fails when it does not within a minute."""
    thread = detector._thread._thread
    if thread is not None:
        thread.join(60)
        assert not thread.is_alive(), "it does not end"
    assert detector.status is None
