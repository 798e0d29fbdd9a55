"""Frames into a file and back: all of them, in order, whatever happens to the writer."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from undula.core import faults
from undula.core.errors import ConfigError, InputError, StorageError
from undula.files import bslz4, clear_writing_mark
from undula.files.frame_file import DATASET, Row, rows_of
from undula.pipes.frame import Frame
from undula.pipes.nodes.compression import Compress, Decompress
from undula.pipes.nodes.frame_file import FrameFileWriter
from undula.pipes.nodes.replay import Replay, numbered_apart
from undula.pipes.nodes.simulated import SimulatedDetector
from undula.testing.armed import armed

assert hdf5plugin.FILTERS


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def replayed(path: Path | None, **parameters: Any) -> list[Frame]:
    source = Replay(file=str(path), speed=0, **parameters)
    frames = list(source)
    source.close()
    return frames


def same(a: Frame, b: Frame) -> bool:
    told = ("seq_num", "trigger", "time", "hardware_time", "shape", "dtype")
    return all(getattr(a, key) == getattr(b, key) for key in told)


@given(
    st.data(), arrays.array_shapes(min_dims=1, max_dims=3, max_side=12),
    st.sampled_from(["u1", "u2", "i4", "f4"]), st.sampled_from(["none", "bslz4"]),
    st.sampled_from([0, 1, 3]), st.sets(st.integers(1, 20), min_size=1, max_size=8),
    st.booleans(), st.sampled_from([0, 200, 10**9]),
)  # fmt: skip
@settings(max_examples=30, deadline=None)
def test_what_goes_through_a_file_comes_back_as_it_was(
    data: st.DataObject, shape: Any, dtype: str, compression: Any, threads: int,
    numbers: set[int], packed: bool, flush_bytes: int,
) -> None:  # fmt: skip
    frames = []
    for number in sorted(numbers):
        array = data.draw(arrays.arrays(dtype, shape))
        told: dict[str, Any] = {"trigger": number - 1, "time": 1e9 + number}
        told["hardware_time"] = None if number % 3 == 0 else number / 8
        if data.draw(st.booleans()):
            frames.append(Frame(number, array, **told))
        else:
            frames.append(
                Frame(
                    number, bslz4.compress(array), compression="bslz4",
                    shape=array.shape, dtype=array.dtype, **told,
                )
            )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        node = FrameFileWriter(
            folder=folder, compression=compression, threads=threads, flush_bytes=flush_bytes
        )
        done = []
        for frame in frames:
            node.accumulate(frame)
            done += node.done() if data.draw(st.booleans()) else []
        node.close()
        assert done + node.done() == sorted(numbers)
        assert node.result() == {"written": len(numbers)}
        found = replayed(node.path, packed=packed)
        assert len(found) == len(frames)
        for was, is_now in zip(frames, found, strict=True):
            assert same(was, is_now)
            assert bare(was).tobytes() == bare(is_now).tobytes()
            assert is_now.compression == (compression if packed else "none")


@given(
    st.data(), arrays.array_shapes(min_dims=1, max_dims=3, max_side=12),
    st.sampled_from(["u1", "u2", "i4", "f4"]),
)  # fmt: skip
@settings(max_examples=30, deadline=None)
def test_what_is_compressed_and_decompressed_is_what_it_was(
    data: st.DataObject, shape: Any, dtype: str
) -> None:
    array = data.draw(arrays.arrays(dtype, shape))
    frame = Frame(7, array, trigger=3, time=5.0, hardware_time=0.5)
    packed: Any = through(Compress(), frame)
    assert (packed.compression, packed.shape, packed.dtype) == ("bslz4", shape, np.dtype(dtype))
    again: Any = through(Compress(), packed)
    assert again.data.tobytes() == packed.data.tobytes()
    for one in (frame, packed):
        found: Any = through(Decompress(), one)
        assert same(found, frame)
        assert found.compression == "none"
        assert found.data.tobytes() == array.tobytes()


def through(node: Any, frame: Frame) -> Frame:
    assert node.result() is None
    node.accumulate(frame)
    found: Frame = node.result()["frames"]
    return found


def bare(frame: Frame) -> Any:
    if frame.compression == "none":
        return frame.data
    return bslz4.decompress(frame.data, frame.shape, frame.dtype)


def test_a_frame_is_done_with_when_the_file_was_flushed_behind_it(tmp_path: Path) -> None:
    clock = Clock()
    node = FrameFileWriter(folder=str(tmp_path), threads=0, flush_s=1.0, clock=clock)
    for number in (1, 2, 2):
        node.accumulate(Frame(number, np.full((4, 4), number, "u2")))
    assert sorted(node.done()) == [1, 2, 2]
    assert node.done() == []
    slow = FrameFileWriter(
        folder=str(tmp_path), threads=0, flush_bytes=64, flush_s=9.0, clock=clock
    )
    slow.accumulate(Frame(1, np.ones((4, 4), "u2")))
    assert slow.result() == {"written": 0}
    slow.accumulate(Frame(2, np.ones((4, 4), "u2")))
    assert slow.result() == {"written": 2}
    node.close()
    slow.close()
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "frames_0001.h5", "frames_0002.h5",
    ]  # fmt: skip


def test_a_run_begins_another_file_and_overwrites_none(tmp_path: Path) -> None:
    (tmp_path / "cam_0001.h5").write_text("mine")
    node = FrameFileWriter(folder=str(tmp_path / "."), name_of_files="cam", threads=1)
    node.accumulate(Frame(1, np.ones((3, 3), "u2")))
    with pytest.raises(InputError, match="clear the node"):
        node.accumulate(Frame(2, np.ones((4, 3), "u2")))
    first = node.path
    node.clear()
    node.change(threads=0, compression="none")
    node.accumulate(Frame(1, np.ones((4, 3), "f4")))
    node.close()
    assert [first.name, node.path.name] == ["cam_0002.h5", "cam_0003.h5"]  # type: ignore[union-attr]
    assert (tmp_path / "cam_0001.h5").read_text() == "mine"
    assert replayed(node.path)[0].dtype == np.float32
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be made"):
        FrameFileWriter(folder=str(tmp_path / "file/x")).accumulate(Frame(1, np.ones((2, 2))))


def killed_at(point: str, folder: Path, told: int) -> int:
    """Write 40 frames through threads in a child that is killed; its end, as the kernel says."""
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1]
    try:
        os.environ.update(UNDULA_TEST="1", UNDULA_FAULT=point)
        faults.arm()
        node = FrameFileWriter(folder=str(folder), threads=2, flush_bytes=25_000, live=True)
        for number in range(1, 41):
            node.accumulate(Frame(number, np.full((50, 40), number, "u2"), trigger=number - 1))
            os.write(told, bytes(node.done()))
        node.close()
        os.write(told, bytes(node.done()))
    finally:
        os._exit(1)


@pytest.mark.parametrize(
    "point",
    [
        "frames.created:1", "frames.chunk_written:1", "frames.chunk_written:23",
        "frames.data_flushed:2", "frames.flushed:1", "frames.flushed:3", "frames.closing:1",
        "frames.closed:1",
    ],
)  # fmt: skip
def test_frames_that_are_done_with_survive_a_kill(tmp_path: Path, point: str) -> None:
    read, write = os.pipe()
    assert killed_at(point, tmp_path, write) == signal.SIGKILL
    os.close(write)
    done = list(os.read(read, 1000))
    os.close(read)
    assert done == list(range(1, len(done) + 1))
    for mend in (False, True):
        if mend:
            clear_writing_mark(tmp_path / "frames_0001.h5")
            with h5py.File(tmp_path / "frames_0001.h5") as file:
                assert len(rows_of(file["entry/data"])) <= len(file[DATASET])
        frames = replayed(tmp_path / "frames_0001.h5")
        assert [frame.seq_num for frame in frames] == list(range(1, len(frames) + 1))
        assert len(frames) >= len(done)
        assert all((frame.data == frame.seq_num).all() for frame in frames)
    successor = FrameFileWriter(folder=str(tmp_path))
    successor.accumulate(Frame(40, np.zeros((50, 40), "u2"), again=True))
    successor.close()
    assert successor.path == tmp_path / "frames_0002.h5"


@pytest.mark.parametrize("point", ["frames.chunk_written:23", "frames.flushed:1"])
def test_every_reader_opens_the_file_of_a_killed_writer_once_its_successor_is_there(
    tmp_path: Path, point: str
) -> None:
    read, write = os.pipe()
    assert killed_at(point, tmp_path, write) == signal.SIGKILL
    os.close(write)
    done = list(os.read(read, 1000))
    os.close(read)
    path = tmp_path / "frames_0001.h5"
    with pytest.raises(OSError, match="already open for write"):
        h5py.File(path)
    FrameFileWriter(folder=str(tmp_path)).prepare()
    with h5py.File(path) as file:
        numbers = [row.seq_num for row in rows_of(file["entry/data"])]
    assert numbers[: len(done)] == done


def test_a_folder_that_takes_no_file_is_refused_before_a_frame_comes(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    node = FrameFileWriter(folder=str(tmp_path / "new/deeper"))
    node.check_places(node.checked(**node.parameters))
    assert not (tmp_path / "new").exists(), "looking makes no folder"
    with pytest.raises(StorageError, match=r"file is no folder\. Remedy: give another folder"):
        node.change(folder=str(tmp_path / "file/x"))
    assert node.folder == str(tmp_path / "new/deeper")


def test_a_writer_tells_where_its_time_went(tmp_path: Path) -> None:
    node = FrameFileWriter(folder=str(tmp_path), threads=1, flush_s=0)
    for number in (1, 2, 3):
        node.accumulate(filled(number))
    node.close()
    found = node.own_measures()
    assert found["frame_bytes"] == 3 * 4 * 4 * 2
    assert all(found[key] > 0 for key in ("compressing_s", "writing_s", "file_bytes"))


def numbers_in(path: Path | None) -> list[tuple[int, int]]:
    assert path is not None
    with h5py.File(path) as file:
        data = file[DATASET][:, 0, 0].tolist()
        return list(zip(file["entry/data/seq_num"][()].tolist(), data, strict=True))


def filled(number: int, **more: Any) -> Frame:
    return Frame(number, np.full((4, 4), number, "u2"), time=100.0 + number, **more)


def test_a_frame_that_the_killed_writer_had_in_its_file_is_not_written_again(
    tmp_path: Path,
) -> None:
    first = FrameFileWriter(folder=str(tmp_path), compression="none")
    for number in (1, 2, 3):
        first.accumulate(filled(number))
    first.close()
    successor = FrameFileWriter(folder=str(tmp_path), compression="none")
    for number in (3, 4, 5):
        successor.accumulate(filled(number, again=True))
    successor.accumulate(Frame(2, np.full((4, 4), 2, "u2"), time=900.0, again=True))
    successor.close()
    assert sorted(successor.done()) == [2, 3, 4, 5]
    assert numbers_in(successor.path) == [(4, 4), (5, 5), (2, 2)], "2 is of another run"


def test_a_frame_that_cannot_be_written_is_named_and_the_next_ones_are_written(
    tmp_path: Path,
) -> None:
    node = FrameFileWriter(folder=str(tmp_path), compression="none", flush_s=0)
    node.accumulate(filled(1))
    slot = np.full((4, 4), 2, "u2")
    with armed("frames.chunk_written:1:ENOSPC"):
        node.accumulate(Frame(2, slot))
    ((number, why),) = node.failed()
    assert number == 2
    assert "No space left on device" in str(why)
    slot[:] = 77  # the producer uses its slot again
    node.accumulate(filled(3))
    node.close()
    assert node.done() == [1, 3]
    assert node.failed() == []
    assert numbers_in(node.path) == [(1, 1), (3, 3)]


def test_a_frame_whose_data_are_damaged_does_not_block_those_behind_it(tmp_path: Path) -> None:
    node = FrameFileWriter(folder=str(tmp_path), compression="none", flush_s=0)
    for number in (1, 2, 3):
        packed = bslz4.compress(np.full((64, 64), number, "u2"))
        data = packed[:50] if number == 2 else packed
        node.accumulate(
            Frame(number, data, compression="bslz4", shape=(64, 64), dtype=np.dtype("u2"))
        )
    node.clear()
    assert node.done() == [1, 3], "those that it wrote last are named behind a clear"
    assert [number for number, _ in node.failed()] == [2]


def test_a_replay_is_due_as_it_was_recorded_at_any_speed(tmp_path: Path) -> None:
    node = FrameFileWriter(folder=str(tmp_path))
    detector = SimulatedDetector(width=8, height=8, frames=4, rate_hz=10, faults={2: "missing"})
    now = 1e9
    while not detector.ended:
        for frame in detector.take(now):
            node.accumulate(frame)
        now += 0.1
    node.close()
    due = []
    source = Replay(file=str(node.path), speed=2)
    while not source.ended:
        due.append(source.due_s())
        source.take()
    assert due == pytest.approx([0, 0.1, 0.15])
    source.clear()
    assert [frame.seq_num for frame in source] == [1, 3, 4]
    source.change(first=1, frames=1)
    assert [frame.seq_num for frame in source] == [3]
    source.close()


def test_recorded_frames_keep_their_numbers_and_are_as_old_as_their_replay(
    tmp_path: Path,
) -> None:
    node = FrameFileWriter(folder=str(tmp_path), compression="none")
    for number in (4, 5, 7):
        node.accumulate(filled(number, trigger=number - 4))
    node.close()
    source = Replay(file=str(node.path), speed=0)
    assert source.lowest == 4
    (first,) = source.take(1e9)
    assert (first.seq_num, first.trigger, first.time) == (4, 0, 104.0)
    assert first.age_s(1e9 + 0.5) == 0.5
    source.clear()
    source.resume(5)
    assert [frame.seq_num for frame in source] == [7]
    source.close()


def test_frames_of_a_graph_that_counted_anew_in_mid_run_are_told_apart(tmp_path: Path) -> None:
    frames = [(1, 101.0), (2, 102.0), (1, 103.0), (2, 104.0), (2, 104.0)]
    rows = [Row(number, time=time) for number, time in frames]
    found = numbered_apart([*rows[:2], None, *rows[2:]])
    assert [row and row.seq_num for row in found] == [1, 2, None, 3, 4, 4]


def test_a_plain_stack_is_replayed_and_missing_points_stay_missing(tmp_path: Path) -> None:
    path = tmp_path / "stack.h5"
    with h5py.File(path, "w") as file:
        file["a"] = np.arange(24, dtype="u2").reshape(4, 2, 3)
        file["v"] = file["a"][()]
        file["v"].attrs["frame_numbers"] = np.array([0, -1, 2, 3])
    frames = replayed(path, dataset="/a", packed=True)
    assert [(frame.seq_num, frame.trigger) for frame in frames] == [(1, 0), (2, 1), (3, 2), (4, 3)]
    assert [frame.compression for frame in frames] == ["none"] * 4
    assert [frame.seq_num for frame in replayed(path, dataset="/v")] == [1, 3, 4]
    source = Replay(file=str(path), dataset="/a", rate_hz=4, speed=2)
    source.take()
    assert source.due_s() == pytest.approx(1 / 8)
    source.close()
    for wrong in ({"file": str(path), "dataset": "/b"}, {"file": str(tmp_path / "no.h5")}):
        with pytest.raises(ConfigError):
            Replay(**wrong).take()
