"""Every shipped node in a real graph, in real processes: results as when it is used alone."""

from __future__ import annotations

import importlib
import json
import threading
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zmq

from undula.files import bslz4
from undula.pipes.frame import Frame
from undula.pipes.graph import GraphBuilder, checked
from undula.pipes.nodes.base import Node
from undula.pipes.nodes.replay import Replay
from undula.pipes.nodes.simulated import SimulatedDetector
from undula.pipes.nodes.user_nodes import NodeFolder
from undula.pipes.runner import GraphStatus, Outcome, Runner
from undula.testing.flow import flow_until

FRAMES = 24
DETECTOR: dict[str, Any] = {
    "width": 60, "height": 40, "frames": FRAMES, "rate_hz": 0, "pattern": "spots", "level": 300,
    "spot_count": 4, "width_px": 1.5, "faults": {7: "missing", 11: "late", 15: "doubled"},
}  # fmt: skip
ROIS = {
    "a": {"shape": "box", "x": 3, "y": 4, "width": 20, "height": 10},
    "b": {"shape": "circle", "x": 30, "y": 20, "radius": 9.5},
}
AXES = [{"start": 0, "stop": 23, "num": 24}, {"start": 0, "stop": 46, "num": 24}]
OF_FRAMES: dict[str, dict[str, Any]] = {
    "correct": {}, "odd_pixels": {}, "threshold": {"low": 4}, "hits": {"above": 6, "pixels": 4},
    "binning": {"rows": 4, "columns": 3}, "roi": {"rois": ROIS}, "sum": {}, "mean_variance": {},
    "histogram": {"bins": 20, "high": 400}, "rate": {}, "centre_of_mass": {"above": 20},
    "spots": {}, "radial_profile": {"bins": 50}, "preview": {"largest": 32}, "frame_file": {},
}  # fmt: skip
SHOWN = {
    "correct": "frames", "odd_pixels": "mask", "threshold": "frames", "hits": "bright",
    "binning": "frames", "roi": "sum", "sum": "sum", "mean_variance": "variance",
    "histogram": "counts", "centre_of_mass": "x", "radial_profile": "intensity",
    "preview": "image",
}  # fmt: skip
"""Output ports whose results go into files, and are compared."""


def run(made: GraphBuilder, types: NodeFolder) -> Outcome:
    with Runner(checked(made.graph(), types), types) as runner:
        return runner.run()


def written(path: Path) -> dict[int, Any]:
    """Sequence number: result, of a file; the last one where it came twice."""
    source = Replay(file=str(path), speed=0)
    found = {frame.seq_num: frame.data for frame in source}
    source.close()
    return found


def alone(node: Node, port: str) -> dict[int, Any]:
    """Sequence number: result, of the same node without any graph."""
    found = {}
    for frame in SimulatedDetector(**DETECTOR):
        node.receive("frames", frame)
        results = node.result()
        if results is not None and port in results:
            found[frame.seq_num] = np.array(results[port])
    return found


def test_each_node_gives_in_a_graph_what_it_gives_alone(tmp_path: Path) -> None:
    types = NodeFolder()
    made = GraphBuilder("all").node("det", "simulated", process="one", **DETECTOR)
    for name, parameters in OF_FRAMES.items():
        folder = {"folder": str(tmp_path / name)} if name == "frame_file" else {}
        made.node(name, name, process="two", **parameters, **folder).edge(f"det -> {name}.frames")
    for name, port in SHOWN.items():
        made.node(f"f_{name}", "frame_file", process="two", folder=str(tmp_path / name), threads=0)
        made.edge(f"{name}.{port} -> f_{name}")
    made.node("tracking", "tracking", process="two").edge("spots.spots -> tracking")
    made.node("peaks", "peaks", process="two").edge("radial_profile.intensity -> peaks")
    made.node("grid", "grid_map", process="two", shape=[4, 6]).edge("centre_of_mass.sum -> grid")
    made.node("blocks", "sum", process="two", block=10).edge("det -> blocks")
    made.node("f_blocks", "frame_file", process="two", folder=str(tmp_path / "blocks"))
    made.edge("blocks.valid -> f_blocks")
    outcome = run(made, types)
    assert not outcome.failed
    assert {(m.frames.text(), m.place) for m in outcome.report.missing} == {
        ("7", "never made by det")
    }
    nodes = outcome.status.nodes
    assert {name: node.error for name, node in nodes.items() if node.error} == {}
    assert all(node.state == "ended" for node in nodes.values())
    frames = {frame.seq_num: frame.data for frame in SimulatedDetector(**DETECTOR)}
    same(written(tmp_path / "frame_file" / "frames_0001.h5"), frames)
    blocks = written(tmp_path / "blocks" / "frames_0001.h5")
    assert [int(valid[0, 0]) for valid in blocks.values()] == [10, 10, 3]
    for name, port in SHOWN.items():
        wanted = alone(types[name](**OF_FRAMES[name]), port)
        same(written(tmp_path / name / "frames_0001.h5"), wanted)
        assert len(wanted) >= FRAMES - 2, name


def same(found: dict[int, Any], wanted: dict[int, Any]) -> None:
    assert sorted(found) == sorted(wanted)
    for number, result in wanted.items():
        assert np.array_equal(found[number], result, equal_nan=result.dtype.kind == "f"), number


def test_positions_find_their_frames_and_a_function_of_the_beamline_its_place(
    tmp_path: Path,
) -> None:
    with h5py.File(tmp_path / "axes.h5", "w") as file:
        file["places"] = np.array([(n, 2.0 * n) for n in range(FRAMES)])
    folder = tmp_path / "nodes"
    folder.mkdir()
    (folder / "total.py").write_text("def total(image):\n    return int(image.sum())\n")
    types = NodeFolder(folder)
    made = (
        GraphBuilder("joined")
        .node("det", "simulated", process="one", **DETECTOR)
        .node("axes", "replay", process="one", file=str(tmp_path / "axes.h5"), dataset="/places",
              speed=0)
        .node("join", "join", process="two")
        .node("total", "total", process="two")
        .node("map", "position_map", process="two", axes=AXES)
        .node("file", "frame_file", process="two", folder=str(tmp_path / "map"))
        .node("quality", "frame_file", process="two", folder=str(tmp_path / "quality"))
        .edge("det -> join.frames")
        .edge("axes -> join.positions")
        .edge("join.frames -> total")
        .edge("total -> map.values")
        .edge("join.positions -> map.positions")
        .edge("map.map -> file")
        .edge("join.quality -> quality")
    )  # fmt: skip
    outcome = run(made, types)
    assert not outcome.failed
    assert {name: node.error for name, node in outcome.status.nodes.items() if node.error} == {}
    found = written(tmp_path / "map" / "frames_0001.h5")
    frames = {frame.seq_num: frame for frame in SimulatedDetector(**DETECTOR)}
    wanted = np.full((24, 24), np.nan)
    for number, frame in frames.items():
        wanted[number - 1, number - 1] = frame.data.sum()
    assert np.array_equal(found[max(found)], wanted, equal_nan=True)
    quality = written(tmp_path / "quality" / "frames_0001.h5")
    assert sorted(quality) == sorted(frames)
    assert all(int(value) == 0 for value in quality.values())


def test_results_may_grow_and_a_fault_of_a_node_is_shown_with_its_line(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "nodes"
    folder.mkdir()
    (folder / "growing.py").write_text(
        "import numpy as np\n\n"
        "calls = []\n\n"
        "def growing(image):\n"
        "    calls.append(1)\n"
        "    made = np.zeros((60, 60), 'u2')\n"
        "    made[1::3, 1::3].flat[: 16 * (len(calls) - 1)] = 500\n"
        "    if len(calls) == 9:\n"
        "        made = np.concatenate([made, image[0]])\n"
        "    return made\n"
    )
    types = NodeFolder(folder)
    made = (
        GraphBuilder("growing")
        .node("det", "simulated", process="one", width=4, height=4, frames=10, rate_hz=0)
        .node("growing", "growing", process="two")
        .node("spots", "spots", process="one", smallest=1)
        .node("tracking", "tracking", process="two")
        .node("compress", "compress", process="two")
        .node("decompress", "decompress", process="one")
        .node("file", "frame_file", process="one", folder=str(tmp_path / "data"))
        .edge("growing -> compress")
        .edge("compress -> decompress")
        .edge("decompress -> file")
        .edge("det -> growing")
        .edge("growing -> spots")
        .edge("spots.spots -> tracking")
    )
    outcome = run(made, types)
    assert {(m.frames.text(), m.place) for m in outcome.report.missing} == {
        ("9", "failed in growing")
    }
    errors = {name: node.error for name, node in outcome.status.nodes.items() if node.error}
    assert list(errors) == ["growing"]
    assert "(growing.py, line 10) at frame 9" in errors["growing"]
    found = written(tmp_path / "data" / "frames_0001.h5")
    assert [int((image > 0).sum()) for image in found.values()] == [
        16 * n for n in (0, 1, 2, 3, 4, 5, 6, 7, 9)
    ]


def test_a_writer_that_is_killed_loses_no_frame_and_leaves_sound_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "once"
    token.touch()
    for name, value in (
        ("UNDULA_TEST", "1"), ("UNDULA_FAULT", "frames.chunk_written:30"),
        ("UNDULA_FAULT_ONCE", str(token)),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    made = (
        GraphBuilder("killed")
        .node("det", "simulated", width=50, height=40, frames=100, rate_hz=0, budget="200 kB")
        .node("file", "frame_file", folder=str(tmp_path / "data"))
        .edge("det -> file")
    )
    outcome = run(made, NodeFolder())
    assert not token.exists(), "nobody was killed"
    assert outcome.ok, outcome.report.text
    assert outcome.status.nodes["file"].restarts == 1
    parts = [written(path) for path in sorted((tmp_path / "data").iterdir())]
    assert len(parts) == 2
    detector = SimulatedDetector(width=50, height=40, frames=100)
    same(parts[0] | parts[1], {frame.seq_num: frame.data for frame in detector})


def test_a_detectors_stream_by_zeromq_feeds_a_graph_and_its_losses_are_named(
    tmp_path: Path,
) -> None:
    images = [np.arange(20, dtype="u2").reshape(4, 5) * n for n in range(12)]
    with zmq.Context() as context, context.socket(zmq.PUSH) as push:
        push.linger = 0
        port = push.bind_to_random_port("tcp://127.0.0.1")
        made = (
            GraphBuilder("stream")
            .node("det", "zmq_images", address=f"tcp://127.0.0.1:{port}", first=0)
            .node("file", "frame_file", folder=str(tmp_path / "data"))
            .edge("det -> file")
        )

        def send() -> None:
            for number, image in enumerate(images):
                head = {"shape": [4, 5], "type": "uint16", "frame": number}
                if number != 4:
                    push.send_multipart([json.dumps(head).encode(), image.tobytes()])
            push.send_multipart([b'{"htype": "dseries_end-1.0"}'])

        sender = threading.Thread(target=send)
        sender.start()  # it waits until somebody listens
        outcome = run(made, NodeFolder())
        sender.join()
    assert not outcome.failed
    assert {(m.frames.text(), m.place) for m in outcome.report.missing} == {
        ("5", "never made by det")
    }
    found = written(tmp_path / "data" / "frames_0001.h5")
    same(found, {n + 1: image for n, image in enumerate(images) if n != 4})


def test_compressed_images_of_a_stream_go_into_the_file_as_they_came(tmp_path: Path) -> None:
    images = [np.arange(2000, dtype="u2").reshape(40, 50) + n for n in range(8)]
    chunks = [bslz4.compress(image).tobytes() for image in images]
    with zmq.Context() as context, context.socket(zmq.PUSH) as push:
        push.linger = 0
        port = push.bind_to_random_port("tcp://127.0.0.1")
        made = (
            GraphBuilder("packed")
            .node("det", "zmq_images", address=f"tcp://127.0.0.1:{port}", first=0, packed=True,
                  shape=[40, 50])
            .node("file", "frame_file", process="two", folder=str(tmp_path / "data"), threads=2)
            .node("open", "decompress", process="two")
            .node("bare", "frame_file", process="two", folder=str(tmp_path / "bare"),
                  compression="none")
            .edge("det -> file").edge("det -> open").edge("open -> bare")
        )  # fmt: skip

        def send() -> None:
            for number, chunk in enumerate(chunks):
                head = {"shape": [40, 50], "type": "uint16", "frame": number, "encoding": "bslz4"}
                push.send_multipart([json.dumps(head).encode(), chunk])
            push.send_multipart([b'{"htype": "dseries_end-1.0"}'])

        sender = threading.Thread(target=send)
        sender.start()
        outcome = run(made, NodeFolder())
        sender.join()
    assert outcome.ok, outcome.report.text
    wanted = dict(enumerate(images, 1))
    same(written(tmp_path / "data" / "frames_0001.h5"), wanted)
    same(written(tmp_path / "bare" / "frames_0001.h5"), wanted)
    with h5py.File(tmp_path / "data" / "frames_0001.h5") as file:
        data = file["entry/data/data"].id
        assert [data.read_direct_chunk((n, 0, 0))[1] for n in range(8)] == chunks


SAMPLING = '''
from undula.pipes.nodes.base import Node, Port, parameter

class Sampling(Node):
    """Each n-th frame, and every frame while the last one that was looked at is a hit."""

    inputs = (Port("frames", "frames"), Port("hit", "of a hit finder", ndim=0, kinds="i"))
    outputs = (Port("frames", "some of the frames"), Port("given", "1 if so", ndim=0, kinds="i"))
    every: int = parameter(5, "frames, while there is no hit", ge=1)

    def clear(self):
        self.hit = False
        self.found = {}

    def receive(self, port, frame):
        if port == "hit":
            self.hit, self.found = bool(frame.data), {}
            return
        given = self.hit or frame.seq_num % self.every == 1
        self.found = {"given": int(given)} | ({"frames": frame.data} if given else {})

    def result(self):
        return self.found
'''


def test_a_hit_finder_changes_the_rate_of_what_is_looked_at_by_a_feedback_edge(
    tmp_path: Path,
) -> None:
    bright = {n for n in range(1, 41) if 11 <= n <= 22}
    with h5py.File(tmp_path / "frames.h5", "w") as file:
        file["frames"] = np.array(
            [np.full((4, 4), 100 * (n in bright)) for n in range(1, 41)], "u2"
        )
    folder = tmp_path / "nodes"
    folder.mkdir()
    (folder / "sampling.py").write_text(SAMPLING)
    types = NodeFolder(folder)
    made = (
        GraphBuilder("adaptive")
        .node("det", "replay", process="one", file=str(tmp_path / "frames.h5"), dataset="/frames",
              speed=0)
        .node("some", "sampling", process="one")
        .node("hits", "hits", process="one", above=10, pixels=4)
        .node("out", "channel")
        .edge("hits.hit -> some.hit", feedback=True)
        .edge("det -> some.frames")
        .edge("some.frames -> hits")
        .edge("some.given -> out")
        .edge("hits.hit -> out")
    )  # fmt: skip
    given: dict[int, int] = {}
    looked: dict[int, int] = {}

    def hear(edge: str, frame: Frame) -> None:
        (given if edge.startswith("some") else looked)[frame.seq_num] = int(frame.data)

    def told_of(number: int) -> bool:
        return number in given and (not given[number] or number in looked)

    with Runner(checked(made.graph(), types), types) as runner:
        runner.heard = hear
        runner.begin(triggered=True)
        for number in range(1, 41):  # the next one when this one was looked at, or left out
            runner.trigger("det", number - 1)
            flow_until(runner, partial(told_of, number), f"nothing is told of frame {number}")
    passed = {number for number, one in given.items() if one}
    assert {number for number, hit in looked.items() if hit} == bright
    assert passed == {1, 6, *range(11, 24), 26, 31, 36}, "the first blank frame ends it"


def test_a_pv_of_another_process_feeds_a_graph(tmp_path: Path) -> None:
    server = importlib.import_module("p4p.server")
    from p4p import Value
    from p4p.nt import NTNDArray
    from p4p.server.thread import SharedPV

    images = {n: np.arange(20, dtype="u2").reshape(4, 5) * n for n in (1, 2, 3, 5)}

    def update(number: int) -> Any:
        value = Value(NTNDArray.buildType())
        value["value"] = ("ushortValue", images[number].ravel())
        value["dimension"] = [{"size": 5}, {"size": 4}]
        value["uniqueId"] = number
        return value

    pv = SharedPV(initial=update(1), nt=None)
    with server.Server(providers=[{"UNDULA:IMAGE": pv}], isolate=True) as serving:
        provider = {key: str(value) for key, value in serving.conf().items()}
        made = (
            GraphBuilder("served")
            .node("det", "pva_images", pv="UNDULA:IMAGE", provider=provider, first=1, frames=5)
            .node("file", "frame_file", folder=str(tmp_path / "data"))
            .edge("det -> file")
        )
        types = NodeFolder()
        waiting = [2, 3, 5]

        def post(status: GraphStatus) -> None:
            """The others, when the first one is there."""
            while status.nodes["det"].frames and waiting:
                pv.post(update(waiting.pop(0)))

        with Runner(checked(made.graph(), types), types) as runner:
            outcome = runner.run(show=post)
    assert not outcome.failed
    assert {(m.frames.text(), m.place) for m in outcome.report.missing} == {
        ("4", "never made by det")
    }
    same(written(tmp_path / "data" / "frames_0001.h5"), images)
