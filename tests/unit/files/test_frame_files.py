"""Frames that a detector wrote into its own file, as the run's file shows them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from undula.core.errors import StorageError
from undula.files import NexusFile, bslz4, open_run
from undula.files.frame_file import FrameFile, Row
from undula.pipes.nodes.replay import Replay

FILL = np.iinfo("<u2").max


def documents(folder: Path, datums: list[tuple[int, int]], num: int = 3) -> Any:
    """A count of `num` points with a camera; `datums` gives (point, frame), both from 0."""
    start = {"uid": "run-1", "time": 1.0, "scan_id": 1, "plan_name": "count", "detectors": ["cam"]}
    descriptor = {
        "uid": "d1", "name": "primary", "run_start": "run-1", "time": 1.0,
        "data_keys": {
            "i0": {"dtype": "integer", "shape": [], "source": "T", "object_name": "i0"},
            "cam": {
                "dtype": "array", "dtype_numpy": "<u2", "shape": [1, 2, 3], "source": "T",
                "external": "STREAM:", "object_name": "cam",
            },
        },
        "object_keys": {"i0": ["i0"], "cam": ["cam"]},
        "hints": {"i0": {"fields": ["i0"]}, "cam": {"fields": ["cam"]}},
    }  # fmt: skip
    resource = {
        "uid": "r1", "data_key": "cam", "mimetype": "application/x-hdf5", "run_start": "run-1",
        "uri": f"file://localhost{folder}/frames.h5",
        "parameters": {"dataset": "/entry/data/data", "chunk_shape": [1, 2, 3]},
    }  # fmt: skip
    found: list[tuple[str, Any]] = [("start", start), ("descriptor", descriptor)]
    found.append(("stream_resource", resource))
    for point in range(num):
        for at, frame in datums:
            if at == point:
                found.append(
                    (
                        "stream_datum",
                        {
                            "uid": f"r1/{len(found)}", "stream_resource": "r1", "descriptor": "d1",
                            "seq_nums": {"start": point + 1, "stop": point + 2},
                            "indices": {"start": frame, "stop": frame + 1},
                        },
                    )
                )  # fmt: skip
        event = {"uid": f"e{point}", "descriptor": "d1", "seq_num": point + 1, "time": 2.0}
        found.append(("event", {**event, "data": {"i0": point}, "timestamps": {"i0": 2.0}}))
    found.append(
        ("stop", {"uid": "s", "run_start": "run-1", "time": 3.0, "exit_status": "success"})
    )
    return found


def written(folder: Path, docs: Any, frames: int | None) -> Path:
    """The run's file; the frame file holds that many frames, all pixels the frame's number."""
    if frames is not None:
        with h5py.File(folder / "frames.h5", "w") as file:
            numbers = np.arange(frames, dtype="<u2")[:, None, None]
            file["entry/data/data"] = numbers * np.ones((1, 2, 3), "<u2")
    run = NexusFile.create(folder / "00001_count.nxs", docs[0][1])
    for name, doc in docs[1:-1]:
        run.write(name, doc)
    return run.close(docs[-1][1])


def test_frames_that_are_the_points_are_linked_by_relative_path(tmp_path: Path) -> None:
    path = written(tmp_path, documents(tmp_path, [(0, 0), (1, 1), (2, 2)]), 3)
    with h5py.File(path) as file:
        link = file["entry/instrument/cam"].get("cam", getlink=True)
        assert isinstance(link, h5py.ExternalLink)
        assert link.filename == "frames.h5"
        assert file["entry/instrument/cam/data"].shape == (3, 2, 3)
        assert file["entry/data"].attrs["signal"] == "i0"
    data = open_run(path)
    assert data.shapes["cam"] == (3, 2, 3)
    assert data.shapes["i0"] == (3,)
    assert data.linked_files == {"cam": "frames.h5"}
    assert "cam" not in data.to_dict()
    assert data["cam"][:, 0, 0].tolist() == [0, 1, 2]


DETECTOR = """
import h5py, numpy as np, sys
with h5py.File(sys.argv[1], "w") as file:
    file["entry/data/data"] = np.arange(3, dtype="<u2")[:, None, None] * np.ones((1, 2, 3), "<u2")
    file.flush()
    print("open", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("datums", [[(0, 0), (1, 1), (2, 2)], [(0, 0), (2, 1)]])
def test_a_frame_file_that_the_detector_still_has_open_keeps_no_run_from_its_file(
    tmp_path: Path, datums: list[tuple[int, int]]
) -> None:
    words = [sys.executable, "-c", DETECTOR, str(tmp_path / "frames.h5")]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as detector:
        assert detector.stdout is not None
        assert detector.stdin is not None
        assert detector.stdout.readline() == "open\n"
        with pytest.raises(OSError, match="lock"):
            h5py.File(tmp_path / "frames.h5")
        path = written(tmp_path, documents(tmp_path, datums), None)
        assert open_run(path)["i0"].tolist() == [0, 1, 2]
        detector.stdin.close()
    seen = open_run(path)["cam"][:, 0, 0].tolist()
    assert seen == [0, 1, 2] if len(datums) == 3 else seen == [0, FILL, 1]


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from undula.files.frame_file import FrameFile, Row
file = FrameFile(Path(sys.argv[1]), (2, 3), "u2", compression="none")
for number in (0, 1, 2):
    file.append(np.full((2, 3), number, "u2"), Row(number + 1))
file.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_close_of_a_run_opens_the_file_of_a_writer_that_died_with_all_others(
    tmp_path: Path,
) -> None:
    words = [sys.executable, "-c", KILLED, str(tmp_path / "frames.h5")]
    subprocess.run(words, check=False, timeout=60)
    with pytest.raises(OSError, match="already open for write"):
        h5py.File(tmp_path / "frames.h5")
    path = written(tmp_path, documents(tmp_path, [(0, 0), (1, 1), (2, 2)]), None)
    with h5py.File(path) as run:  # as any program does, which follows the link by itself
        assert run["entry/instrument/cam/cam"][:, 0, 0].tolist() == [0, 1, 2]


def test_file_and_frames_may_be_moved_together(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    written(tmp_path / "here", documents(tmp_path / "here", [(0, 0), (1, 1), (2, 2)]), 3)
    (tmp_path / "here").rename(tmp_path / "there")
    data = open_run(tmp_path / "there" / "00001_count.nxs")
    assert data["cam"][:, 0, 0].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("datums", "frames", "seen"),
    [
        ([(0, 0), (1, 2), (2, 3)], 4, [0, 2, 3]),  # point 1 was taken again
        ([(0, 0), (1, 1), (2, 2)], 5, [0, 1, 2]),  # frames after the last point
        ([(0, 0), (2, 1)], 2, [0, FILL, 1]),  # a point without a frame
        ([(0, 0), (1, 1), (2, 2)], 2, [0, 1, FILL]),  # a frame too few in the file
        ([(0, 0), (1, 1), (1, 2), (2, 3)], 4, [0, 2, 3]),  # the second one counts
    ],
)
def test_other_frames_are_shown_one_a_point(
    tmp_path: Path, datums: list[tuple[int, int]], frames: int, seen: list[int]
) -> None:
    path = written(tmp_path, documents(tmp_path, datums), frames)
    data = open_run(path)
    assert data.shapes["cam"] == (3, 2, 3)
    assert data["cam"][:, 1, 2].tolist() == seen
    assert data.linked_files == {"cam": "frames.h5"}
    with h5py.File(path) as file:
        assert file["entry/collection/primary/cam"].attrs["frame_numbers"].shape == (3,)


def test_frames_in_two_files_are_one_dataset(tmp_path: Path) -> None:
    """As after an IOC was killed and started again: the first file was never closed."""
    docs = documents(tmp_path, [(0, 0), (1, 1)], num=4)
    second = {**docs[2][1], "uid": "r2", "uri": f"file://localhost{tmp_path}/second.h5"}
    at = next(i for i, (n, d) in enumerate(docs) if n == "event" and d["seq_num"] == 3)
    datum = {"stream_resource": "r2", "descriptor": "d1"}
    docs[at:at] = [
        ("stream_resource", second),
        (
            "stream_datum",
            {**datum, "uid": "r2/0", "seq_nums": {"start": 3, "stop": 5},
             "indices": {"start": 0, "stop": 2}},
        ),
    ]  # fmt: skip
    with h5py.File(tmp_path / "second.h5", "w") as file:
        file["entry/data/data"] = np.array([70, 71], "<u2")[:, None, None] * np.ones((2, 3), "<u2")
    killed = (
        "import h5py, numpy, os, sys\n"
        "f = h5py.File(sys.argv[1], 'w', libver='latest')\n"
        "d = f.create_dataset('entry/data/data', (2, 2, 3), '<u2', chunks=(1, 2, 3))\n"
        "d[:] = numpy.arange(2)[:, None, None]\n"
        "f.swmr_mode = True\n"
        "f.flush()\n"
        "os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", killed, str(tmp_path / "frames.h5")], check=False)
    data = open_run(written(tmp_path, docs, None))
    assert data["cam"][:, 0, 0].tolist() == [0, 1, 70, 71]


def test_a_frame_file_that_is_missing_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    data = open_run(written(tmp_path, documents(tmp_path, [(0, 0), (1, 1), (2, 2)]), None))
    assert data.shapes["cam"] is None
    assert data["i0"].tolist() == [0, 1, 2]
    assert data.units["cam"] == ""
    with pytest.raises(StorageError, match=r"frames\.h5.*Remedy"):
        data["cam"]


@pytest.mark.parametrize("datums", [[(0, 0), (1, 1), (2, 2)], [(0, 0), (2, 1)]])
def test_a_frame_file_of_ours_is_linked_compressed_and_with_gaps(
    tmp_path: Path, datums: list[tuple[int, int]]
) -> None:
    file = FrameFile(tmp_path / "frames.h5", (2, 3), "<u2")
    for _, frame in datums:
        file.append(bslz4.compress(np.full((2, 3), frame, "<u2")), Row(frame + 1, frame))
    file.close()
    data = open_run(written(tmp_path, documents(tmp_path, datums), None))
    wanted = [dict(datums).get(point, int(FILL)) for point in range(3)]
    assert data["cam"][:, 1, 2].tolist() == wanted
    assert data.linked_files == {"cam": "frames.h5"}


def test_a_file_that_a_device_wrote_on_its_own_is_linked_below_it(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "xrf.h5", "w") as file:
        file["mca/counts"] = np.arange(4)
    (tmp_path / "log.txt").write_text("words")

    def resource(name: str, dataset: str) -> tuple[str, dict[str, Any]]:
        said = {"device": "mca", "dataset": dataset, "frames": 0}
        path = str(tmp_path / name).lstrip("/")
        doc = {"uid": name, "spec": "undula_file", "root": "/", "resource_path": path}
        return "resource", {**doc, "resource_kwargs": said, "run_start": "r"}

    file = NexusFile.create(tmp_path / "a.nxs", {"uid": "r", "time": 1.0}, live=True)
    keys = {"x": {"dtype": "number", "shape": [], "source": "s"}}
    file.write("descriptor", {"uid": "d", "name": "primary", "data_keys": keys})
    point = {"descriptor": "d", "seq_num": 1, "time": 2.0, "data": {"x": 1.0}}
    file.write("event", {**point, "timestamps": {"x": 2.0}})
    for doc in (
        resource("xrf.h5", "/mca/counts"),
        resource("log.txt", ""),
        resource("gone.h5", ""),
    ):
        file.write(*doc)
    path = file.close({"time": 3.0, "exit_status": "success"})
    with h5py.File(path, "r") as opened:
        group = opened["entry/instrument/mca"]
        assert group["xrf"][()].tolist() == [0, 1, 2, 3]
        assert group.get("xrf", getlink=True).filename == "xrf.h5"
        assert group["log"].asstr()[()] == "log.txt"
        assert group.get("gone", getlink=True).filename == "gone.h5"


@pytest.mark.parametrize("datums", [[(0, 0), (1, 1), (2, 2)], [(0, 0), (2, 1)]])
def test_a_run_is_replayed_from_its_own_file(tmp_path: Path, datums: list[tuple[int, int]]) -> None:
    file = FrameFile(tmp_path / "frames.h5", (2, 3), "<u2")
    for point, frame in datums:
        image = np.full((2, 3), 10 + frame, "<u2")
        file.append(bslz4.compress(image), Row(point + 1, point, 1e9 + point))
    file.close()
    run = written(tmp_path, documents(tmp_path, datums), None)
    source = Replay(file=str(run), dataset="/entry/instrument/cam/data", speed=0, packed=True)
    frames = list(source)
    source.close()
    assert [(frame.seq_num, frame.trigger) for frame in frames] == [(p + 1, p) for p, _ in datums]
    whole = len(datums) == 3  # else a virtual dataset, whose frames are decompressed by HDF5
    assert {frame.compression for frame in frames} == {"bslz4" if whole else "none"}
    for (_, number), frame in zip(datums, frames, strict=True):
        data = bslz4.decompress(frame.data, (2, 3), "<u2") if whole else frame.data
        assert (data == 10 + number).all()
