"""Runs of a detector with a graph in which a node sleeps, fails, or is to be given another form."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from undula.core.errors import BusyError, UndulaError
from undula.devices.telling import Telling, Told
from undula.messages import GraphTold
from undula.pipes.detector import GraphDetector
from undula.pipes.errors import PipeError
from undula.testing.law import until

MOODS = '''
import signal
from pathlib import Path
from undula.pipes.nodes.base import Node, Port


class Moods(Node):
    """Counts frames; sleeps while a file `sleep` is there, raises while one `rage` is."""

    name = "moods"
    outputs = (Port("n", "frames", ndim=0),)
    covers = "start"
    fresh = True

    def clear(self):
        self.n = 0

    def accumulate(self, frame):
        here = Path(__file__).parent
        while (here / "sleep").exists():
            (here / "slept").touch()
            signal.sigtimedwait([], 0.01)
        if (here / "rage").exists():
            raise ValueError("I will not\\nsay more")
        self.n += 1

    def result(self):
        return {"n": self.n}
'''
DET = {"node": "simulated", "parameters": {"width": 8, "height": 6, "rate_hz": 0}}
BOX = {"shape": "box", "x": 0, "y": 0, "width": 8, "height": 6}
ROI = {"node": "roi", "parameters": {"rois": {"all": BOX}}}


class Voice(Telling):
    """Keeps what the graph told last."""

    def __init__(self) -> None:
        super().__init__("cam", self._hear)
        self.heard: GraphTold | None = None

    def _hear(self, told: Told) -> None:
        if isinstance(told, GraphTold):
            self.heard = told

    def value(self, port: str) -> tuple[int, float] | None:
        """Frame and value that a port gave last."""
        images = [] if self.heard is None else self.heard.images
        return next(
            ((i.seq_num, float(np.ravel(i.data)[0])) for i in images if i.port == port), None
        )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("moods")
    (made / "moods.py").write_text(MOODS)
    return made


@pytest.fixture(scope="module")
def shared(folder: Path) -> Iterator[dict[str, GraphDetector]]:
    """Graphs with the node as a viewer, below a viewer, on a side way, in the way of a value."""
    found = {}
    for name, edges in {
        "viewer": ["det -> roi", {"det -> moods": "latest"}, "roi.sum -> out"],
        "below": ["det -> roi", {"det -> bin": "latest"}, "bin -> moods", "roi.sum -> out"],
        "side": ["det -> roi", "det -> moods", "roi.sum -> out"],
        "way": ["det -> roi", "det -> moods", "roi.sum -> out", "moods.n -> out"],
    }.items():
        nodes = {"det": DET, "roi": ROI, "moods": "moods", "out": "channel"}
        nodes |= {"bin": "binning"} if name == "below" else {}
        graph = {"nodes": nodes, "edges": edges}
        found[name] = GraphDetector("cam", graph=graph, nodes=str(folder), frame_timeout=30.0)
        found[name].tell = Voice()
    yield found
    for detector in found.values():
        detector.close()


@pytest.fixture(autouse=True)
def calm(folder: Path) -> Iterator[None]:
    yield
    for mood in ("sleep", "rage", "slept"):
        (folder / mood).unlink(missing_ok=True)


def begin(detector: GraphDetector, path: Path) -> None:
    detector.set_run_path(path)
    detector.stage().wait(60)


def take(detector: GraphDetector, points: int = 1) -> dict[str, Any]:
    for _ in range(points):
        detector.trigger().wait(60)
        list(detector.collect_asset_docs())
    return {key: reading["value"] for key, reading in detector.read().items()}


def wait_for(path: Path) -> None:
    while not path.exists():
        select.select([], [], [], 0.02)


def pid_of(detector: GraphDetector, node: str) -> int:
    assert detector.status is not None
    return detector.status.nodes[node].pid


def voice(detector: GraphDetector) -> Voice:
    assert isinstance(detector.tell, Voice)
    return detector.tell


def test_a_viewer_that_sleeps_delays_no_run_is_named_and_begins_when_it_wakes(
    shared: dict[str, GraphDetector], folder: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    detector = shared["viewer"]
    begin(detector, tmp_path / "before.h5")
    take(detector)
    (folder / "sleep").touch()
    take(detector)
    wait_for(folder / "slept")
    detector._finish()
    detector.unstage()
    begin(detector, tmp_path / "run.h5")
    take(detector, 3)
    detector._finish()
    ledger = detector.run_ledger()
    assert ledger is not None
    assert (ledger["triggers"], ledger["complete"]) == (3, True)
    status = detector.status
    assert status is not None
    until(lambda: "it sleeps" in status.nodes["moods"].error, "nobody says that it sleeps")
    assert str(pid_of(detector, "moods")) in status.nodes["moods"].error
    (folder / "sleep").unlink()
    until(lambda: not status.nodes["moods"].error, "it did not wake")
    take(detector)
    detector._finish()
    until(lambda: (voice(detector).value("moods.n") or (0, 0))[0] >= 6, "it saw no frame")
    seen, counted = voice(detector).value("moods.n") or (0, 0)
    assert counted <= seen - 2, "the frames of the run before do not count"
    said = capsys.readouterr()
    assert "viewer_asleep" in said.out + said.err
    detector.unstage()


def test_a_node_that_must_answer_and_does_not_is_named_with_its_process_and_what_to_do(
    shared: dict[str, GraphDetector], folder: Path, tmp_path: Path
) -> None:
    detector = shared["side"]
    begin(detector, tmp_path / "before.h5")
    take(detector)
    (folder / "sleep").touch()
    detector.trigger()
    wait_for(folder / "slept")
    detector.stop()
    begin(detector, tmp_path / "run.h5")
    patient_s, detector._run.begin_s = detector._run.begin_s, 0.2
    pid = pid_of(detector, "moods")
    with pytest.raises(
        PipeError, match=f"moods did not answer within 0.2 s: its process {pid}"
    ) as e:
        take(detector)
    assert f"kill {pid}" in e.value.remedy
    detector._run.begin_s = patient_s
    os.kill(pid, signal.SIGKILL)
    (folder / "sleep").unlink()
    take(detector)
    detector.unstage()


@pytest.mark.parametrize("which", ["way", "side"])
def test_a_node_that_fails_ends_its_point_in_its_own_words_and_no_later_run_speaks_of_it(
    shared: dict[str, GraphDetector], folder: Path, tmp_path: Path, which: str
) -> None:
    detector = shared[which]
    begin(detector, tmp_path / "killed.h5")
    take(detector)
    os.kill(pid_of(detector, "roi"), signal.SIGKILL)
    take(detector)
    detector._finish()
    detector.unstage()
    begin(detector, tmp_path / "run.h5")
    (folder / "rage").touch()
    with pytest.raises(UndulaError) as found:
        take(detector, 200)
    assert "node moods failed at frame 1 of this run: ValueError: I will not" in str(found.value)
    assert "moods.py, line" in str(found.value)
    assert "killed" not in str(found.value)
    (folder / "rage").unlink()
    take(detector, 2)  # whoever takes the point again has it
    begin(detector, tmp_path / "after.h5")
    take(detector, 2)
    detector._finish()
    detector.unstage()


def test_a_node_below_a_viewer_that_fails_ends_no_run(
    shared: dict[str, GraphDetector], folder: Path, tmp_path: Path
) -> None:
    detector = shared["below"]
    begin(detector, tmp_path / "run.h5")
    (folder / "rage").touch()
    take(detector)
    status = detector.status
    assert status is not None
    until(lambda: "I will not" in status.nodes["moods"].error, "it did not fail")
    take(detector)
    detector._finish()
    ledger = detector.run_ledger()
    assert ledger is not None
    assert "failed in moods" in ledger["text"]
    detector.unstage()


def test_a_frame_on_which_a_node_failed_behind_the_last_point_is_told_with_its_words(
    shared: dict[str, GraphDetector], folder: Path, tmp_path: Path
) -> None:
    detector = shared["side"]
    begin(detector, tmp_path / "run.h5")
    take(detector)
    (folder / "sleep").touch()
    take(detector)
    wait_for(folder / "slept")
    (folder / "rage").touch()
    (folder / "sleep").unlink()
    with pytest.raises(
        UndulaError, match=r"frames are missing: .*failed in moods; moods: ValueErr"
    ):
        detector._finish()
    detector.unstage()


def test_the_last_values_of_a_run_are_told_at_its_end_however_short_it_was(
    shared: dict[str, GraphDetector], tmp_path: Path
) -> None:
    detector = shared["viewer"]
    begin(detector, tmp_path / "run.h5")
    sums = [take(detector)["cam_roi_sum"] for _ in range(7)]
    detector._finish()
    assert detector._books.last

    def told() -> tuple[int, float] | None:
        return voice(detector).value("roi.sum")

    until(lambda: told() == (detector._books.last, sums[-1]), f"told {told()}")
    detector.unstage()


@pytest.mark.parametrize(("name", "value"), [("width", 12), ("dtype", "uint32")])
def test_the_form_of_frames_is_not_changed_while_a_run_is_on_that_of_values_is(
    shared: dict[str, GraphDetector], tmp_path: Path, name: str, value: Any
) -> None:
    detector = shared["way"]
    before = detector.live_graph.shown()["nodes"]["det"]["parameters"]
    begin(detector, tmp_path / "run.h5")
    take(detector)
    with pytest.raises(BusyError, match="a run is on") as found:
        detector.live_graph.change("det", {name: value}, "ann")
    assert "after this run" in found.value.remedy
    assert detector.live_graph.shown()["nodes"]["det"]["parameters"] == before
    detector.live_graph.change("roi", {"rois": {"a": BOX, "b": BOX}}, "ann")
    assert take(detector)["cam_roi_sum"].shape == (2,)
    detector.live_graph.change("roi", {"rois": {"all": BOX}}, "ann")
    detector._finish()
    detector.unstage()
    for another in (value, before[name]["value"]):  # its graph is begun anew, with other slots
        assert not detector.live_graph.change("det", {name: another}, "ann")["runs"]
        begin(detector, tmp_path / "next.h5")
        take(detector, 2)
        detector._finish()
        detector.unstage()
