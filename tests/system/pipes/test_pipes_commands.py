"""`undula pipes ...`, as a person types it: check, run, rehearse; a node of one's own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import pytest

GRAPH = """
name: live
nodes:
  det: {node: simulated, parameters: {width: 64, height: 48, frames: 40, rate_hz: 0}}
  bright: {node: brightest, parameters: {above: 0}, process: work}
  view: {node: preview, process: work}
  file: {node: frame_file, parameters: {folder: FOLDER}}
edges:
  - det -> bright
  - det -> view: latest
  - det -> file
"""
NODE = '''
def brightest(image, above: float = 10.0):
    """Brightest pixel, if it is above a level."""
    return image.max() if image.max() > above else None
'''


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a graph, and a beamline whose state is there."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("UNDULA_BEAMLINE", raising=False)
    (tmp_path / "live.yaml").write_text(GRAPH.replace("FOLDER", str(tmp_path / "frames")))
    return tmp_path


def pipes(*words: object, code: int = 0) -> str:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("undula")), "pipes", *map(str, words)],
        capture_output=True, text=True, timeout=120, env=os.environ, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_newest_run_is_asked_for_by_minus_one(place: Path) -> None:
    assert "beamline 'default' has no history" in pipes("replay", "-1", code=3)


def test_a_node_of_ones_own_is_in_graph_command_and_ledger_at_once(place: Path) -> None:
    graph = place / "live.yaml"
    assert "[nodes.bright.node] there is no node 'brightest'" in pipes("check", graph, code=2)
    nodes = place / "state/undula/default/nodes"
    nodes.mkdir(parents=True)
    (nodes / "mine.py").write_text(NODE)
    assert "4 nodes in 3 processes, 3 edges, no fault" in pipes("check", graph)
    assert str(nodes / "mine.py") in pipes("list")
    assert "argument of brightest" in pipes("show", "brightest")
    found: dict[str, Any] = json.loads(pipes("run", graph, "--json"))
    assert found["complete"]
    assert found["edges"]["det.frames -> bright.frames"]["passed"] == 40
    assert found["status"]["nodes"]["bright"]["frames"] == 40
    (file,) = (place / "frames").iterdir()
    with h5py.File(file) as content:
        assert content["entry/data/seq_num"][()].tolist() == list(range(1, 41))
        assert content["entry/data/data"].shape == (40, 48, 64)


def test_a_rehearsal_names_the_bottleneck_and_leaves_no_file(place: Path) -> None:
    graph = place / "live.yaml"
    graph.write_text(graph.read_text().replace("brightest, parameters: {above: 0}", "sum"))
    found = json.loads(pipes("rehearse", graph, "--for", 0.5, "--json"))
    assert found["sustained_hz"] > 0
    assert found["bottleneck"] in ("det", "bright", "file")
    assert found["advice"]
    assert not (place / "frames").exists(), "no folder is left that was not there"
    assert "no graph runs" in pipes("top", "--once")
    assert "leave --size out" in pipes("rehearse", graph, "--size", "48x64", code=2)
    full = pipes("rehearse", graph, "--for", 1e9, "--rate", 1e6, code=1)
    assert "GB are free" in full
    graph.write_text(
        graph.read_text().replace(
            "simulated, parameters: {width: 64, height: 48, frames: 40, rate_hz: 0}",
            'zmq_images, parameters: {address: "tcp://x:1"}',
        )
    )
    assert "--size 2048x2048:uint16" in pipes("rehearse", graph, code=2)
    stood_in = json.loads(pipes("rehearse", graph, "--for", 0.5, "--size", "48x64", "--json"))
    assert stood_in["sustained_hz"] > 0


SLOW = '''
import time

def slow(image):
    """The sum of a frame, late."""
    time.sleep(0.02)
    return float(image.sum())
'''


def test_a_rehearsal_names_the_node_that_is_slow_and_its_highest_rate(place: Path) -> None:
    (place / "nodes").mkdir()
    (place / "nodes/slow.py").write_text(SLOW)
    graph = place / "live.yaml"
    graph.write_text(
        "nodes:\n"
        "  det: {node: simulated, parameters: {width: 64, height: 48}, budget: 100 kB}\n"
        "  late: slow\n"
        "  sum: sum\n"
        "edges: [det -> late, det -> sum]\n"
    )
    text = pipes("rehearse", graph, "--for", 1, "--nodes", place / "nodes")
    found = re.search(r"bottleneck: late. Late can do ([0-9.]+) Hz and is at work", text)
    assert found, text
    assert 5 < float(found[1]) < 51
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line}
    assert float(rows["sum"][3]) > float(rows["late"][3]), "its highest rate is in the table"


def test_a_rehearsal_measures_what_a_writer_does_and_leaves_no_file(place: Path) -> None:
    graph = place / "live.yaml"
    graph.write_text(
        "nodes:\n"
        "  det: {node: simulated, budget: 20 MB,\n"
        "        parameters: {width: 1024, height: 1024, level: 1, background: 0.1}}\n"
        f"  file: {{node: frame_file, parameters: {{folder: {place}/new/frames, threads: 0}}}}\n"
        "edges: [det -> file]\n"
    )
    found = json.loads(pipes("rehearse", graph, "--for", 1, "--json"))
    assert found["bottleneck"] in found["nodes"], "which one is a matter of what else runs here"
    measured = found["nodes"]["file"]["measured"]
    assert measured["compressing_s"] > 0
    assert measured["writing_s"] > 0
    assert found["advice"]
    assert not (place / "new").exists()


def test_a_folder_that_takes_no_file_is_refused_before_the_graph_starts(place: Path) -> None:
    (place / "frames").write_text("mine")
    graph = place / "live.yaml"
    graph.write_text(graph.read_text().replace("brightest, parameters: {above: 0}", "sum"))
    checked = pipes("check", graph)
    assert "it could not run on this host: [nodes.file] frames cannot be written" in checked
    said = pipes("run", graph, code=1)
    assert f"[nodes.file] frames cannot be written into {place}/frames" in said
    assert "frames is no folder. Remedy: give another folder" in said


def test_a_graph_is_drawn_and_a_wrong_name_is_corrected(place: Path) -> None:
    graph = place / "live.yaml"
    graph.write_text(graph.read_text().replace("brightest, parameters: {above: 0}", "sum"))
    text = pipes("show", graph, "--svg", place / "live.svg")
    assert "det.frames -> view.frames" in text
    assert (place / "live.svg").read_text().startswith("<svg ")
    assert "did you mean preview?" in pipes("show", "preveiw", code=2)


def said(*words: object, code: int = 0) -> str:
    """As `pipes`, in this process."""
    from typer.testing import CliRunner

    from undula.cli.application import build

    done = CliRunner().invoke(build(("pipes",)), ["pipes", *map(str, words)])
    assert done.exit_code == code, done.output
    return done.output


def test_a_size_that_nobody_knows_yet_is_said_once(place: Path) -> None:
    graph = place / "live.yaml"
    graph.write_text(
        "nodes:\n"
        "  cam: zmq_images\n"
        "  roi: {node: roi, parameters: {rois: {a: {shape: circle, x: 9, y: 9, radius: 3}}}}\n"
        "  less: binning\n"
        "edges: [cam -> roi, cam -> less]\n"
    )
    text = said("check", graph)
    assert text.count("not known before the first frame") == 1
    assert "roi, less are compared with it then; give shape: [y, x] to cam" in text
    shaped = "cam: {node: zmq_images, parameters: {shape: [64, 64]}}"
    graph.write_text(graph.read_text().replace("cam: zmq_images", shaped))
    assert "not known" not in said("check", graph)


def test_the_examples_of_the_help_work_as_they_are_typed(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    (place / "live.yaml").unlink()
    for name in ("new", "list", "show", "check", "run", "top"):
        lines = [line.strip() for line in said(name, "--help").splitlines()]
        examples = [line.split()[3:] for line in lines if line.startswith("Example: undula pipes")]
        assert examples, name
        for words in examples:
            more = {"run": ["--for", "0.1", "--quiet"], "top": ["--once"]}.get(name, [])
            assert said(*words, *more), words
    text = (place / "live.yaml").read_text()
    assert "nothing is overwritten" in said("new", "live.yaml", code=2)
    assert "there is no folder nowhere" in said("check", "live.yaml", "--nodes", "nowhere", code=2)
    assert (place / "live.yaml").read_text() == text


def test_hosts_are_known_by_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    from typer.testing import CliRunner

    from undula.cli.application import build

    def run(*words: str) -> str:
        done = CliRunner().invoke(build(("pipes",)), ["pipes", *words, "--beamline", "keys"])
        assert done.exit_code == 0, done.output
        return done.output

    made = json.loads(run("keys", "--json"))
    assert made["known"] == {}
    run("trust", "farm", made["key"])
    assert json.loads(run("keys", "--json")) == {"key": made["key"], "known": {"farm": made["key"]}}
    assert "farm" in run("keys")


def test_a_graph_is_placed_by_the_command_and_what_cannot_be_reached_is_refused(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = place / ("d" * 60) / ("e" * 60)  # beyond what the address of a socket holds
    deep.mkdir(parents=True)
    monkeypatch.setenv("TMPDIR", str(deep))
    graph = place / "farm.yaml"
    graph.write_text(
        "nodes:\n"
        "  det: {node: simulated, parameters: {width: 64, height: 48, frames: 40, rate_hz: 0}}\n"
        "  total: {node: sum, host: farm}\n"
        "edges: [det -> total: spill(1 MB)]\n"
    )
    assert "it needs a placement that reaches farm" in pipes("check", graph)
    refused = pipes("run", graph, "--quiet", code=2)
    assert "[nodes.total.host] nothing here can start a process on 'farm'" in refused
    done = pipes("run", graph, "--quiet", "--place", "total=here", "--spill", place, "--json")
    assert json.loads(done)["complete"]
    assert list(deep.iterdir()) == []
    refused = pipes("run", graph, "--place", "total=here", "--spill", graph / "in", code=1)
    assert "frames cannot be spilled into" in refused
