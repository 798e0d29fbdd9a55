"""Runs of a detector with a graph whose beginning fails, is aborted, or whose graph breaks."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from urllib.parse import urlparse

import h5py
import pytest

from undula.core.errors import DeviceError, TimeoutUndulaError, UndulaError
from undula.devices.sim.status import SimStatus
from undula.pipes.detector import GraphDetector
from undula.pipes.errors import PipeError
from undula.pipes.runner.runner import Runner

GRAPH: dict[str, Any] = {
    "nodes": {
        "det": {"node": "simulated", "parameters": {"width": 8, "height": 8, "rate_hz": 0}},
        "file": "frame_file",
        "moody": {"node": "moody", "parameters": {"folder": "FOLDER"}},
    },
    "edges": ["det -> file", "det -> moody"],
}
MOODY = '''
from pathlib import Path

from undula.pipes.nodes.base import Node, parameter


class Moody(Node):
    """Will not forget anything while there is a file `sulks`."""

    name = "moody"
    folder: str = parameter("", "where that file is")

    def clear(self):
        if Path(self.folder, "sulks").exists():
            raise RuntimeError("I am busy")

    def accumulate(self, frame):
        pass

    def result(self):
        return None
'''
JAMS = '''
from undula.pipes.nodes.base import Port, Source


class Jams(Source):
    """Cannot be fired."""

    name = "jams"
    outputs = (Port("frames", "frames"),)

    @property
    def ended(self):
        return False

    def take(self, time=0.0):
        return []

    def fire(self, number):
        raise RuntimeError("shutter interlock")
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the node that may sulk."""
    made = tmp_path_factory.mktemp("moody")
    (made / "moody.py").write_text(MOODY)
    return made


@pytest.fixture(scope="module")
def shared(folder: Path) -> Iterator[GraphDetector]:
    graph = json.loads(json.dumps(GRAPH).replace("FOLDER", str(folder)))
    made = GraphDetector("cam", graph=graph, nodes=str(folder), frame_timeout=30.0)
    yield made
    made.close()


@pytest.fixture
def detector(shared: GraphDetector, tmp_path: Path) -> GraphDetector:
    """One graph, warm from a run before."""
    begin(shared, tmp_path / "before.h5")
    assert take(shared) == [("before_cam_0001.h5", 0)]
    return shared


@contextmanager
def stopped(detector: GraphDetector, node: str) -> Iterator[None]:
    """The process of a node does nothing meanwhile, as one that hangs."""
    assert detector.status is not None
    pid = detector.status.nodes[node].pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def begin(detector: GraphDetector, path: Path) -> None:
    detector.set_run_path(path)
    detector.stage().wait(60)


def take(detector: GraphDetector) -> list[tuple[str, int]]:
    """Trigger it: in which files and rows the documents say that the frame is."""
    detector.trigger().wait(60)
    paths = getattr(detector, "paths_in_tests", {})
    found = []
    for name, doc in detector.collect_asset_docs():
        if name == "stream_resource":
            paths[doc["uid"]] = Path(urlparse(doc["uri"]).path).name
        else:
            found.append((paths[doc["stream_resource"]], doc["indices"]["start"]))
    vars(detector)["paths_in_tests"] = paths
    return found


def once(before: Callable[..., Any], patch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    """The next call of a method does something else before it, as another thread might."""
    real = getattr(owner, name)

    def called(*args: Any, **kwargs: Any) -> Any:
        patch.setattr(owner, name, real)
        before()
        return real(*args, **kwargs)

    patch.setattr(owner, name, called)


def test_a_run_whose_preparation_failed_is_prepared_by_the_next_trigger(
    detector: GraphDetector, tmp_path: Path, folder: Path
) -> None:
    begin(detector, tmp_path / "run.h5")
    (folder / "sulks").touch()
    try:
        with pytest.raises(PipeError, match="I am busy"):
            take(detector)
    finally:
        (folder / "sulks").unlink()
    assert take(detector) == [("run_cam_0001.h5", 0)]
    with h5py.File(tmp_path / "before_cam_0001.h5", swmr=True, locking=False) as file:
        assert len(file["entry/data/seq_num"]) == 1, "no frame of this run is in that of another"


def test_a_frame_that_no_file_of_the_run_has_is_no_success(
    detector: GraphDetector, tmp_path: Path
) -> None:
    begin(detector, tmp_path / "run.h5")
    take(detector)
    detector._run.files.clear()
    with pytest.raises(DeviceError, match="in no file of this run"):
        take(detector)


@pytest.mark.parametrize("step", ["give_up", "_prepare"])
def test_a_trigger_of_a_run_that_is_aborted_in_its_midst_leaves_the_next_run_alone(
    detector: GraphDetector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    staged: SimpleQueue[SimStatus] = SimpleQueue()

    def abort() -> None:
        detector.stop()
        detector.set_run_path(tmp_path / "next.h5")
        staged.put(detector.stage())

    begin(detector, tmp_path / "aborted.h5")
    once(abort, monkeypatch, detector._run, step)
    with pytest.raises(UndulaError, match="it was stopped"):
        take(detector)
    staged.get(timeout=60).wait(60)
    assert take(detector) == [("next_cam_0001.h5", 0)]
    assert take(detector) == [("next_cam_0001.h5", 1)]
    detector._finish()
    ledger = detector.run_ledger()
    assert ledger is not None
    assert ledger["triggers"] == 2
    assert ledger["complete"]


def test_the_file_of_a_run_that_is_broken_off_opens_in_every_program(
    detector: GraphDetector, tmp_path: Path
) -> None:
    begin(detector, tmp_path / "short.nxs")
    for _ in range(2):
        take(detector)
    detector.stop()
    detector.run_ledger()  # asked for the stop document; the next run is far away
    with h5py.File(tmp_path / "short_cam_0001.h5") as file:
        assert file["entry/data/trigger"][()].tolist() == [0, 1]


def test_a_source_whose_code_raises_when_it_is_fired_fails_the_trigger_in_its_words(
    tmp_path: Path,
) -> None:
    (tmp_path / "jams.py").write_text(JAMS)
    graph = {"nodes": {"det": "jams", "file": "frame_file"}, "edges": ["det -> file"]}
    detector = GraphDetector("cam", graph=graph, nodes=str(tmp_path), frame_timeout=5.0)
    begin(detector, tmp_path / "run.h5")
    with pytest.raises(UndulaError, match=r"shutter interlock .* at frame 1"):
        take(detector)
    detector.close()


def test_a_run_whose_graph_broke_and_was_started_anew_has_one_ledger_and_all_its_files(
    detector: GraphDetector, tmp_path: Path
) -> None:
    begin(detector, tmp_path / "run.h5")
    rows = [row for _ in range(5) for row in take(detector)]
    thread = detector._thread._thread
    assert thread is not None

    def break_it(runner: Runner) -> None:
        assert runner.tell(60.0)
        runner.kill("it broke")

    detector._thread.ask(break_it)
    thread.join(60)
    assert detector.status is None
    rows += [row for _ in range(2) for row in take(detector)]
    assert rows == [("run_cam_0001.h5", i) for i in range(5)] + [
        ("run_cam_0002.h5", i) for i in range(2)
    ]
    detector._finish()
    assert [len(files.files) for files in detector._run.files.values()] == [2]
    ledger = detector.run_ledger()
    assert ledger is not None
    assert (ledger["triggers"], ledger["passed"], ledger["complete"]) == (7, [7, 7], True)


def test_a_writer_that_hangs_at_the_end_of_a_run_leaves_a_ledger_that_names_it(
    detector: GraphDetector, tmp_path: Path
) -> None:
    begin(detector, tmp_path / "run.h5")
    for row in range(3):
        assert take(detector) == [("run_cam_0001.h5", row)]
    detector.frame_timeout_s, detector._books.ledger_s = 0.1, 0.3
    with stopped(detector, "file"):
        detector._finish()
        ledger = detector.run_ledger()
    assert ledger is not None
    assert ledger["triggers"] == 3
    assert dict(zip(ledger["edge"], ledger["seen"], strict=True)) == dict.fromkeys(
        ledger["edge"], 3
    )
    assert "not added up: file did not answer within 0.1 s: its process" in ledger["text"]
    begin(detector, tmp_path / "next.h5")
    assert take(detector) == [("next_cam_0001.h5", 0)]
    detector._finish()
    ledger = detector.run_ledger()
    assert ledger is not None
    assert ledger["text"].startswith("complete: 1 frame,")
    assert "not added up" not in ledger["text"]


def test_a_graph_that_does_not_listen_at_the_end_of_a_run_makes_no_success_of_it(
    detector: GraphDetector, tmp_path: Path
) -> None:
    begin(detector, tmp_path / "run.h5")
    take(detector)
    detector.frame_timeout_s, detector._books.ledger_s = 0.1, 0.1
    held, goes_on = threading.Event(), threading.Event()

    def holds(_: Runner) -> None:
        held.set()
        goes_on.wait(60)

    detector._thread.ask(holds)
    assert held.wait(60)
    try:
        with pytest.raises(TimeoutUndulaError, match="a node hangs"):
            detector._finish()
    finally:
        goes_on.set()
