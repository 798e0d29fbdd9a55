"""Graphs that commands run at a beamline are seen by everybody there, and known for gone."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from undula.cli.main import main
from undula.client import Client
from undula.core.errors import InputError, UndulaError
from undula.messages import GraphTold
from undula.session.completing import complete_graphs
from undula.testing.beamline import local_beamline

UNDULA = str(Path(sys.executable).with_name("undula"))
GRAPH = """
nodes:
  det: {node: simulated, parameters: {width: 16, height: 16, rate_hz: 20}}
  low: {node: threshold, parameters: {low: 5}}
  out: channel
edges: [det -> low, low.count -> out]
"""
DEVICES = """
cam:
  deviceClass: undula.pipes.detector.GraphDetector
  deviceConfig:
    graph:
      nodes:
        det: {node: simulated, parameters: {width: 256, height: 8, rate_hz: 0}}
        low: threshold
        roi: {node: roi, parameters: {rois: {beam: {shape: box, x: 9, y: 0, width: 9, height: 8}}}}
        total: sum
        out: channel
      edges: [det -> low, low.count -> out, low.frames -> roi, det -> total]
  readoutPriority: monitored
  enabled: true
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One beamline for all tests of this file."""
    devices = tmp_path_factory.mktemp("bus") / "devices.yaml"
    devices.write_text(DEVICES)
    with local_beamline(devices=devices) as beamline, beamline.connect() as client:
        yield client


def said(client: Client, *words: str, code: int = 0) -> str:
    """What `undula pipes ...` says of this beamline."""
    assert client.paths is not None
    line = ["undula", "pipes", *words, "--beamline", client.paths.name]
    printed = StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed), redirect_stderr(printed):
        patch.setattr(sys, "argv", line)
        with pytest.raises(SystemExit) as ended:
            main()
    assert (ended.value.code or 0) == code, printed.getvalue()
    return printed.getvalue()


@contextmanager
def running(client: Client, graph: Path, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """`undula pipes run`, until it is heard of with a value of its channel, and to its end."""
    assert client.paths is not None
    process = subprocess.Popen(
        [UNDULA, "pipes", "run", str(graph), "--quiet", "--beamline", client.paths.name],
        stdout=subprocess.DEVNULL,
    )
    try:
        came: SimpleQueue[GraphTold] = SimpleQueue()
        with closing(client.pipes.graph(name).follow(came.put)):
            while "low.count" not in {image.port for image in came.get(timeout=90).images}:
                pass
        yield process
    finally:
        process.kill()
        process.wait(60)


def test_a_graph_of_a_command_is_seen_by_all_until_it_ends(client: Client, tmp_path: Path) -> None:
    graph = tmp_path / "live.yaml"
    graph.write_text(GRAPH)
    with running(client, graph, "live") as process:
        assert list(client.pipes) == ["cam", "live"]
        live = client.pipes["live"]
        assert 0 <= live["low"].result("count") <= 256
        assert live["low"].low == 5
        live["low"].low = 6
        assert live["low"].parameters["low"] == 6
        assert "pixels inside the window" in repr(live["low"]), "it says what its parameters mean"
        assert "live: low.low is 7.0, was 6.0" in said(client, "set", "live", "low.low", "7")
        assert "did you mean low" in said(client, "set", "live", "low.lwo", "1", code=2)
        assert "has nothing to forget" in said(client, "clear", "live", "det", code=2)
        live["low"].clear()
        whole = live["det"].result(full=True)
        assert (whole.shape, whole.dtype.kind) == ((16, 16), "u")
        assert live["low"].result("count", full=True).shape == ()
        with pytest.raises(UndulaError, match=r"no edge takes low.frames, so it is not made"):
            live["low"].result("frames", full=True)
        with pytest.raises(InputError, match="low has 2 outputs"):
            live["low"].result(full=True)
        (top,) = json.loads(said(client, "top", "--json"))
        assert top["name"] == "live"
        assert top["by"].startswith("a command of")
        assert top["nodes"]["det"]["frames"] > 0
        assert top["edges"]["det.frames -> low.frames"]["rate_hz"] > 0
        assert 0 <= top["values"]["low.count"] <= 256
        assert "low.count" in said(client, "top", "--once")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert list(client.pipes) == ["cam"]
    assert client.paths is not None
    assert not list(client.paths.pipes.glob("*.npy"))
    with pytest.raises(InputError, match="there is no graph 'live'"):
        live["low"].low = 8


def test_a_command_that_was_killed_is_known_for_gone(client: Client, tmp_path: Path) -> None:
    graph = tmp_path / "gone.yaml"
    graph.write_text(GRAPH)
    with running(client, graph, "gone"):
        told = client.pipes["gone"].told
    assert told.every_s is not None
    assert not told.gone(told.time + told.every_s)
    assert told.gone(told.time + 10.0)


def test_a_parameter_is_set_from_the_command_line(client: Client) -> None:
    assert "cam: not started, the next scan of it does that" in said(client, "show", "cam")
    assert "did you mean cam?" in said(client, "show", "cma", code=2)
    with pytest.raises(InputError, match="its graph does not run"):
        client.pipes["cam"]["det"].result(full=True)
    assert "it holds from its start on" in said(client, "set", "cam", "low.low", "1000")
    run = client.run_plan("count", num=2, detectors=["cam"]).run
    assert run is not None
    assert not np.asarray(run.data["cam_low_count"]).any()
    assert "cam: low.low is 1.0, was 1000.0" in said(client, "set", "cam", "low.low", "1")
    run = client.run_plan("count", num=2, detectors=["cam"]).run
    assert run is not None
    whole = client.pipes["cam"]["det"].result(full=True)
    count = client.pipes["cam"]["low"].result("count", full=True)
    assert int(count) == (whole >= 1).sum() == run.data["cam_low_count"][-1]
    refused = said(client, "set", "cam", "low.lwo", "1", code=2)
    assert "did you mean low" in refused
    assert "nothing to forget" in said(client, "clear", "cam", "det", code=2)
    assert "begins anew" in said(client, "clear", "cam", "low")


def test_a_made_up_camera_obeys_the_count_time_of_a_scan(client: Client) -> None:
    counts_s = []
    for given in ({"time": 0.05}, {}):
        scan = client.run_plan("count", num=1, detectors=["cam"], **given)
        assert scan.run is not None
        (start,) = [one for name, one in scan.run.documents() if name == "descriptor"]
        counts_s.append(start["configuration"]["cam"]["data"]["cam_det_exposure_s"])
    assert counts_s == [0.05, 0.0]


def test_the_examples_of_set_and_clear_work_as_they_are_typed(client: Client) -> None:
    for name in ("set", "clear"):
        lines = [line.strip() for line in said(client, name, "--help").splitlines()]
        examples = [line.split()[3:] for line in lines if line.startswith("Example")]
        assert examples
        for words in examples:
            assert "cam: " in said(client, *words)
    client.pipes["cam"].set("low", {"low": 1.0})


def test_a_graph_that_runs_is_shown_with_its_processes(client: Client) -> None:
    assert client.run_plan("count", num=1, detectors=["cam"]).run is not None
    told = client.pipes["cam"].told
    pids = {node.name: node.pid for node in told.nodes}
    assert pids.pop("out") == 0
    assert len(set(pids.values())) == 4
    for pid in pids.values():
        assert Path(f"/proc/{pid}").exists()
        assert str(pid) in said(client, "show", "cam")
        assert str(pid) in said(client, "top", "--once")
    assert f"process {pids['low']}" in repr(client.pipes["cam"]["low"])


def test_tab_completes_graphs_nodes_and_parameters_at_each_step(client: Client) -> None:
    shell = InteractiveShell(config=Config({"IPCompleter": {"use_jedi": False}}))
    shell.user_ns["pipes"] = client.pipes
    complete_graphs(shell)

    def completed(line: str) -> set[str]:
        with provisionalcompleter():
            found = shell.Completer.completions(line, len(line))
            return {one.text.rpartition(".")[2].strip('[]"') for one in found}

    assert "cam" in completed('pipes["')
    assert completed('pipes["cam"]["') == {"det", "low", "roi", "total", "out"}
    assert "low" in completed('pipes["cam"]["low"].lo')
    assert "rois" in completed('pipes["cam"]["roi"].r')
    assert completed('pipes["cam"]["roi"].rois.b') == {"beam"}
    assert completed('pipes["cam"]["roi"].rois["beam"].w') == {"width"}
    assert "det" not in completed('pipes["nobody"]["')
