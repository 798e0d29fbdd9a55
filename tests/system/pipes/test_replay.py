"""A recorded run goes through its graph again: the same results, number by number."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  # the files are compressed
import numpy as np
import pytest

from undula.cli.pipes_top import value_text
from undula.core.errors import InputError
from undula.pipes.frame import Frame
from undula.pipes.graph import Graph, GraphBuilder, checked
from undula.pipes.intervals import IntervalSet
from undula.pipes.nodes.frame_file import FrameFileWriter
from undula.pipes.nodes.registry import Shipped
from undula.pipes.replaying import as_replay, chosen, first_number, of_no_point, without
from undula.pipes.runner import GraphStatus, Outcome, Runner

TYPES = Shipped()
FRAMES = 30
Heard = dict[tuple[str, int], tuple[Any, ...]]
ROIS = {
    "a": {"shape": "box", "x": 3, "y": 4, "width": 20, "height": 10},
    "b": {"shape": "circle", "x": 30, "y": 20, "radius": 9.5},
}


def graph(folder: Path) -> Graph:
    """Frames, some of them missing or late, to file, sums, a map of their places, and curves."""
    made = (
        GraphBuilder("recorded")
        .node("det", "simulated", width=60, height=40, frames=FRAMES, rate_hz=400, pattern="spot",
              faults={7: "missing", 8: "missing", 11: "late", 15: "doubled"})
        .node("pack", "compress", process="work")
        .node("raw", "frame_file", process="work", folder=str(folder))
        .node("low", "threshold", process="work", low=3)
        .node("roi", "roi", process="work", rois=ROIS)
        .node("com", "centre_of_mass", process="work", above=20)
        .node("total", "sum", process="work")
        .node("sums", "frame_file", process="work", folder=str(folder / "sums"))
        .node("out", "channel")
        .edge("det -> pack").edge("pack -> raw")
        .edge("det -> low").edge("low.frames -> roi").edge("low.frames -> com")
        .edge("low.frames -> total").edge("total.sum -> sums")
        .edge("roi.sum -> out").edge("com.x -> out")
    )  # fmt: skip
    return checked(made.graph(), TYPES)


def performed(made: Graph) -> tuple[Outcome, Heard]:
    """Outcome; port and number: trigger, both times, value; of what came to the channels."""
    heard: Heard = {}

    def hear(edge: str, frame: Frame) -> None:
        heard[edge, frame.seq_num] = (
            frame.trigger, frame.time, frame.hardware_time, frame.data.tolist()
        )  # fmt: skip

    with Runner(made, TYPES) as runner:
        runner.heard = hear
        return runner.run(), heard


def contents(path: Path) -> dict[str, Any]:
    with h5py.File(path) as file:
        return {name: file["entry/data"][name][()] for name in file["entry/data"]}


def test_a_recorded_run_replayed_through_its_own_graph_gives_identical_results(
    tmp_path: Path,
) -> None:
    first, heard = performed(graph(tmp_path / "first"))
    assert not first.failed
    assert len(heard) == 2 * (FRAMES - 2)
    found = chosen(tmp_path / "first/frames_0001.h5", None)
    assert found.graph is not None
    recorded = json.loads(json.dumps(graph(tmp_path / "first").plain()))
    assert found.graph.plain() == recorded
    assert found.node == "raw"
    again = as_replay(found.graph, found, TYPES, speed=10, folder=tmp_path / "again")
    second, replayed = performed(again)
    assert not second.failed
    assert replayed == heard
    one, two = (contents(tmp_path / place) for place in
                ("first/sums/frames_0001.h5", "again/sums/frames_0001.h5"))  # fmt: skip
    assert one["data"].shape[0] == FRAMES - 2
    assert set(one) == set(two)
    for name, values in one.items():
        assert np.array_equal(values, two[name], equal_nan=values.dtype.kind == "f"), name
    raw = contents(tmp_path / "first/frames_0001.h5")
    assert np.array_equal(raw["data"], contents(tmp_path / "again/raw/frames_0001.h5")["data"])
    missing = {(m.edge, m.frames.text()) for m in first.report.missing}
    assert missing == {(m.edge, m.frames.text()) for m in second.report.missing}
    for name, ledger in first.report.edges.items():
        if "det." not in name:  # a frame that the detector gave twice lies in the file once
            assert second.report.edges[name].counts == ledger.counts, name


def test_frames_go_one_by_one_as_a_person_steps_and_the_record_stays_as_it_was(
    tmp_path: Path,
) -> None:
    first, heard = performed(graph(tmp_path / "first"))
    assert not first.failed
    file = tmp_path / "first/frames_0001.h5"
    before = file.read_bytes()
    undula = str(Path(sys.executable).with_name("undula"))
    words = [undula, "pipes", "replay", str(file), "--step", "--folder", str(tmp_path / "steps")]
    done = subprocess.run(
        words, input="\n" * 9, capture_output=True, text=True, timeout=120, check=False,
        env=os.environ | {"XDG_STATE_HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)},
    )  # fmt: skip
    lines = [line for line in done.stderr.splitlines() if line.startswith("frame ")]
    assert len(lines) == 9, done.stdout + done.stderr
    assert lines[0].startswith("frame 1, trigger 0: ")
    assert lines[6].startswith("frame 9, trigger 8: "), "two were missing"
    assert f"roi.sum={value_text(heard['roi.sum -> out.values', 1][3])}" in lines[0]
    with h5py.File(tmp_path / "steps/values.h5") as values:
        numbers = values["roi.sum/seq_num"][()].tolist()
        assert numbers == [1, 2, 3, 4, 5, 6, 9, 10, 12], "two were missing, one came late"
        for number, data in zip(numbers, values["roi.sum/data"][()].tolist(), strict=True):
            assert data == heard["roi.sum -> out.values", number][3]
    assert file.read_bytes() == before
    refused = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert refused.returncode == 2
    assert "choose a new folder by --folder" in refused.stderr


def test_what_cannot_be_replayed_is_said_with_what_to_do(tmp_path: Path) -> None:
    first, _ = performed(graph(tmp_path))
    assert not first.failed
    sums = chosen(tmp_path / "sums/frames_0001.h5", None)
    assert sums.graph is not None
    with pytest.raises(InputError, match="sums wrote what total made"):
        as_replay(sums.graph, sums, TYPES)
    with pytest.raises(InputError, match=r"there is no file .*none\.h5.*number of a run"):
        chosen(tmp_path / "none.h5", None)
    with pytest.raises(InputError, match="is a folder"):
        chosen(tmp_path, None)
    (tmp_path / "text").write_text("mine")
    with pytest.raises(InputError, match="is no HDF5 file"):
        chosen(tmp_path / "text", None)
    with h5py.File(tmp_path / "stack.h5", "w") as file:
        file["a"] = np.zeros((3, 40, 60), "u2")
        file["empty"] = np.zeros((0, 40, 60), "u2")
        file["entry/instrument/cam/cam"] = h5py.ExternalLink("cam_0001.h5", "/entry/data/data")
    with pytest.raises(InputError, match=r"links frames in cam_0001\.h5, which is not there"):
        chosen(tmp_path / "stack.h5", None)
    with h5py.File(tmp_path / "stack.h5", "r+") as file:
        del file["entry"]
    with pytest.raises(InputError, match="name one: --dataset /a, /empty"):
        chosen(tmp_path / "stack.h5", None)
    with pytest.raises(InputError, match=r"has no frames at /b.*there is /a"):
        chosen(tmp_path / "stack.h5", "/b")
    with pytest.raises(InputError, match="no frame at /empty"):
        first_number(chosen(tmp_path / "stack.h5", "/empty"))
    stack = chosen(tmp_path / "stack.h5", "/a")
    assert stack.graph is None
    outcome, heard = performed(as_replay(graph(tmp_path), stack, TYPES, folder=tmp_path / "b"))
    assert outcome.ok
    assert [key[1] for key in heard if key[0].startswith("roi")] == [1, 2, 3]


def replay(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """The command, as a person types it in a folder of his own."""
    folder.mkdir()
    undula = str(Path(sys.executable).with_name("undula"))
    return subprocess.run(
        [undula, "pipes", "replay", *map(str, words)],
        capture_output=True, text=True, timeout=120, check=False, cwd=folder,
        env=os.environ | {"XDG_STATE_HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)},
    )  # fmt: skip


def test_a_replay_that_fails_ends_with_the_error_and_claims_nothing(tmp_path: Path) -> None:
    first, _ = performed(graph(tmp_path / "first"))
    assert not first.failed
    path = tmp_path / "first/frames_0001.h5"
    with h5py.File(path) as file:
        chunk = file["entry/data/data"].id.get_chunk_info(0)
    with path.open("r+b") as damaged:
        damaged.seek(chunk.byte_offset)
        damaged.write(b"\xff" * chunk.size)
    done = replay(tmp_path / "again", path, "--speed", "max", "--quiet")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "failed: node det: " in done.stderr
    assert "it ended early, after 0 frames" in done.stdout
    assert "complete" not in done.stdout


def test_a_file_whose_writer_was_killed_is_replayed_and_repaired(tmp_path: Path) -> None:
    child = (
        "import os, signal, sys, numpy as np\n"
        "from undula.pipes.frame import Frame\n"
        "from undula.pipes.nodes.frame_file import FrameFileWriter\n"
        "node = FrameFileWriter(folder=sys.argv[1], flush_s=0, threads=0)\n"
        "for n in (4, 5, 6):\n"
        "    node.accumulate(Frame(n, np.full((40, 60), n, 'u2'), trigger=n - 4, time=1e9 + n))\n"
        "    node.done()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", child, str(tmp_path)], check=False, timeout=60)
    path, small = tmp_path / "frames_0001.h5", tmp_path / "small.yaml"
    small.write_text(
        "nodes:\n"
        "  det: {node: simulated, parameters: {width: 60, height: 40}}\n"
        "  low: {node: threshold, parameters: {low: 5}}\n"
        "  out: channel\n"
        "edges: [det -> low, low.count -> out]\n"
    )
    done = replay(tmp_path / "again", path, small, "--speed", "max", "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (told["complete"], told["triggers"]) == (True, 3)
    assert 0 <= told["status"]["nodes"]["low"]["latency_s"] < 1e6, "not the age of the record"
    with h5py.File(tmp_path / "again/replay-frames_0001/values.h5") as values:
        assert values["low.count/seq_num"][()].tolist() == [4, 5, 6], "as in the record"
        assert values["low.count/trigger"][()].tolist() == [0, 1, 2]
        assert values["low.count/data"][()].tolist() == [0, 2400, 2400]
    with pytest.raises(OSError, match="already open for write"):
        h5py.File(path)
    undula = str(Path(sys.executable).with_name("undula"))
    repaired = subprocess.run(
        [undula, "files", "repair", str(path), str(path)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert repaired.stdout == f"{path}: repaired\n{path}: nothing to repair\n", repaired.stderr
    with h5py.File(path) as file:
        assert file["entry/data/seq_num"][()].tolist() == [4, 5, 6]


def test_a_replay_whose_processes_are_killed_goes_on_with_the_numbers_of_the_record(
    tmp_path: Path,
) -> None:
    writer = FrameFileWriter(folder=str(tmp_path), compression="none")
    for n in range(11, 91):
        writer.accumulate(Frame(n, np.full((4, 4), n, "u2"), trigger=n - 11, time=1e9 + n / 100))
    writer.close()
    found = chosen(tmp_path / "frames_0001.h5", None)
    made = (
        GraphBuilder("kept").node("det", "simulated").node("file", "frame_file").edge("det -> file")
    )
    again = as_replay(checked(made.graph(), TYPES), found, TYPES, folder=tmp_path / "again")
    victims = ["file", "det"]

    def kill(status: GraphStatus) -> None:
        if victims and status.edges["det.frames -> file.frames"].passed > 20 / len(victims):
            os.kill(status.nodes[victims.pop()].pid, signal.SIGKILL)

    with Runner(again, TYPES) as runner:
        outcome = runner.run(show=kill, first=first_number(found))
    assert not victims
    assert outcome.ok, outcome.report.text
    assert outcome.report.triggers == 80
    numbers = [n for path in sorted((tmp_path / "again/file").iterdir())
               for n in contents(path)["seq_num"].tolist()]  # fmt: skip
    assert numbers == list(range(11, 91))


def test_a_frame_whose_point_was_taken_again_is_left_out_and_not_missed(tmp_path: Path) -> None:
    writer = FrameFileWriter(folder=str(tmp_path), compression="none")
    for n in range(11, 17):
        writer.accumulate(Frame(n, np.full((4, 4), n, "u2"), trigger=n - 11, time=1e9 + n / 100))
    writer.close()
    of_points = [0, 1, 3, 5]  # 13 and 15 were cut by a pause
    layout = h5py.VirtualLayout((4, 4, 4), "u2")
    source = h5py.VirtualSource("frames_0001.h5", "/entry/data/data", shape=(6, 4, 4), dtype="u2")
    for point, row in enumerate(of_points):
        layout[point] = source[row]
    with h5py.File(tmp_path / "run.nxs", "w") as file:
        data = file.create_virtual_dataset("entry/instrument/cam/cam", layout)
        data.attrs["frame_numbers"] = of_points
    found = chosen(tmp_path / "run.nxs", None)
    beside = of_no_point(found)
    assert beside.text() == "13, 15"
    made = (
        GraphBuilder("kept").node("det", "simulated").node("file", "frame_file").edge("det -> file")
    )
    again = as_replay(checked(made.graph(), TYPES), found, TYPES, folder=tmp_path / "again")
    with Runner(again, TYPES) as runner:
        report = runner.run(first=first_number(found)).report
    assert not report.complete, "the numbers are those of the record"
    told = without(report, beside, first_number(found))
    assert told.complete
    assert told.text == "complete: 4 frames, each accounted for on 1 edge"
    assert without(report, IntervalSet([(13, 14)]), 11).missing[0].frames.text() == "15"
