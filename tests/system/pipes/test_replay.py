"""A recorded run goes through its graph again: the same results, number by number."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  # the files are compressed
import numpy as np
import pytest

from undula.core.errors import InputError
from undula.pipes.frame import Frame
from undula.pipes.graph import Graph, GraphBuilder, checked
from undula.pipes.nodes.registry import Shipped
from undula.pipes.replaying import as_replay, chosen
from undula.pipes.runner import Outcome, Runner

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
    lines = [line for line in done.stderr.splitlines() if line[:1].isdigit()]
    assert len(lines) == 9, done.stdout + done.stderr
    assert f"roi.sum={heard['roi.sum -> out.values', 1][3]}" in lines[0]
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
    with pytest.raises(InputError, match="cannot be read"):
        chosen(tmp_path / "none.h5", None)
    with h5py.File(tmp_path / "stack.h5", "w") as file:
        file["a"] = np.zeros((3, 40, 60), "u2")
    with pytest.raises(InputError, match="--dataset"):
        chosen(tmp_path / "stack.h5", None)
    stack = chosen(tmp_path / "stack.h5", "/a")
    assert stack.graph is None
    outcome, heard = performed(as_replay(graph(tmp_path), stack, TYPES, folder=tmp_path / "b"))
    assert outcome.ok
    assert [key[1] for key in heard if key[0].startswith("roi")] == [1, 2, 3]
