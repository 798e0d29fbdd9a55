"""A node's file that is saved while its graph is warm: when it is used, and what is kept then."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from undula.pipes.detector import GraphDetector
from undula.testing.law import until

ODD = '''
def odd(image, times: float = 2.0{more}):
    """Twice the number of pixels."""
    return float(image.size) * times{use}
{tail}
'''
GAIN = ", gain: float = 1.0"
READ = """
from pathlib import Path
Path({path!r}).touch()
"""
WAITS = """
import time
from pathlib import Path
while not Path({path!r}).exists():
    time.sleep(0.02)
"""
GRAPH: dict[str, Any] = {
    "nodes": {
        "det": {"node": "simulated", "parameters": {"width": 4, "height": 4, "rate_hz": 0}},
        "odd": "odd",
        "out": "channel",
    },
    "edges": ["det -> odd", "odd.result -> out"],
}
Save = Callable[..., None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nodes")


@pytest.fixture(scope="module")
def save(folder: Path) -> Save:
    stamps = count(1)

    def write(more: str = "", use: str = "", tail: str = "") -> None:
        (folder / "odd.py").write_text(ODD.format(more=more, use=use, tail=tail))
        os.utime(folder / "odd.py", (next(stamps), 0))

    write()
    return write


@pytest.fixture(scope="module")
def cam(folder: Path, save: Save) -> Iterator[GraphDetector]:
    del save
    made = GraphDetector("cam", graph=GRAPH, nodes=str(folder), frame_timeout=30.0)
    yield made
    made.close()


def value(cam: GraphDetector) -> float:
    """Of one more frame."""
    cam.trigger().wait(60)
    return float(cam.read()["cam_odd_result"]["value"])


def test_a_plan_that_stages_nothing_has_one_version_of_its_nodes_in_a_run(
    cam: GraphDetector, save: Save, tmp_path: Path
) -> None:
    cam.set_run_path(tmp_path / "run.nxs")
    cam.trigger().wait(60)
    save(use=" + 1.0")
    cam.live_graph.look()  # somebody else's scan is checked
    assert cam.read()["cam_odd_result"]["value"] == 32.0
    assert "cam_odd_result" in cam.describe()
    assert value(cam) == 32.0
    cam.run_changes()
    cam.live_graph.look()
    cam.set_run_path(tmp_path / "next.nxs")
    assert value(cam) == 33.0
    cam.run_changes()


def test_what_is_changed_while_nodes_are_taken_up_stays_changed(
    cam: GraphDetector, save: Save, folder: Path
) -> None:
    value(cam)
    save(tail=READ.format(path=str(folder / "read")) + WAITS.format(path=str(folder / "changed")))
    with ThreadPoolExecutor() as beside:
        looks = beside.submit(cam.live_graph.look)
        until((folder / "read").exists, "its file is not read")
        cam.live_graph.change("odd", {"times": 7.0}, "ann")
        (folder / "changed").touch()
        assert looks.result(60) == []
    assert cam.live_graph.shown()["nodes"]["odd"]["parameters"]["times"]["value"] == 7.0
    assert value(cam) == 16 * 7.0
    cam.live_graph.change("odd", {"times": 2.0}, "ann")


def test_a_new_parameter_of_a_saved_node_is_set_while_the_graph_is_warm(
    cam: GraphDetector, save: Save
) -> None:
    value(cam)
    save(more=GAIN, use=" * gain")
    cam.live_graph.look()
    assert "gain" in cam.live_graph.shown()["nodes"]["odd"]["parameters"]
    assert not cam.live_graph.change("odd", {"gain": 3.0}, "ann")["runs"]
    assert value(cam) == 16 * 2.0 * 3.0


def test_who_waits_for_a_frame_has_it_before_the_graph_is_begun_anew(cam: GraphDetector) -> None:
    value(cam)
    cam.live_graph.change("det", {"rate_hz": 1.0}, "ann")
    value(cam)
    runner = cam._thread.runner
    status = cam.trigger()
    until(lambda: cam._run.awaited is not None, "its frame is not asked for")
    assert not status.done
    cam._thread.renew()
    status.wait(30)
    assert value(cam) > 0.0
    assert cam._thread.runner is not runner


def test_a_file_that_runs_on_when_it_is_read_holds_no_scan_and_its_former_nodes_are_used(
    cam: GraphDetector, save: Save, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = value(cam)
    monkeypatch.setattr(cam.live_graph.saved, "within_s", 0.5)
    save(more=GAIN, tail=WAITS.format(path=str(folder / "go")))
    status = cam.stage()
    assert not status.done, "whoever stages it waits for the status, not for the file"
    assert value(cam) == before, "triggered behind it"
    status.wait(60)
    (fault,) = cam.live_graph.look()
    assert "odd.py" in fault
    assert "former nodes are used" in fault
    cam.unstage()
    save(more=GAIN, use=" + 5.0")
    cam.stage().wait(60)
    assert value(cam) == 16 * 2.0 + 5.0, "what was saved since is read"
    cam.unstage()
    (folder / "go").touch()


def test_files_of_nodes_that_the_graph_does_not_use_are_not_run_for_a_scan(
    cam: GraphDetector, folder: Path
) -> None:
    (folder / "other.py").write_text(
        f"from pathlib import Path\nPath({str(folder / 'ran')!r}).touch()\n"
    )
    assert cam.live_graph.look() == []
    assert not (folder / "ran").exists()
