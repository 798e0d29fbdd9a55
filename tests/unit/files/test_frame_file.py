"""A file of frames: what was flushed is there, however its writer ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
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
from undula.core.errors import StorageError, WireError
from undula.files import bslz4, clear_writing_mark
from undula.files.frame_file import (
    DATASET,
    FrameFile,
    Row,
    has_lock,
    let_in_after_kill,
    read_chunk,
    rows_of,
)
from undula.files.frames import frames_in
from undula.files.repair import let_readers_in, marked

assert hdf5plugin.FILTERS  # HDF5 knows the filters of the files that are read here

DTYPES = st.sampled_from(["u1", "i2", "u2", "u4", "i8", "f4", "f8"])
SHAPES = arrays.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=40)


@given(st.data(), SHAPES, DTYPES)
@settings(max_examples=60, deadline=None)
def test_a_chunk_decompresses_to_the_array_that_it_was_made_of(
    data: st.DataObject, shape: tuple[int, ...], dtype: str
) -> None:
    array = data.draw(arrays.arrays(dtype, shape))
    chunk = bslz4.compress(array)
    found = bslz4.decompress(chunk.copy(), array.shape, array.dtype)
    assert found.tobytes() == array.tobytes()


@given(st.integers(0, 2**32), st.integers(1, 200), st.sampled_from(["cut", "flip", "size"]))
@settings(max_examples=60, deadline=None)
def test_a_damaged_chunk_is_refused_or_gives_an_array_but_never_harms(
    seed: int, at: int, how: str
) -> None:
    array = np.random.default_rng(seed).poisson(3, (60, 50)).astype("u2")
    chunk = bslz4.compress(array).copy()
    if how == "cut":
        chunk = chunk[: -min(at, len(chunk))]
    elif how == "flip":
        chunk[at % len(chunk)] ^= 0xFF
    else:
        chunk[8:12] = np.frombuffer((at * 3).to_bytes(4, "big"), "u1")
    try:
        found = bslz4.decompress(chunk, array.shape, array.dtype)
    except WireError:
        return
    assert found.shape == array.shape


@given(st.data(), SHAPES, DTYPES, st.sampled_from(["none", "bslz4"]), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_what_is_written_is_what_is_read(
    data: st.DataObject, shape: tuple[int, ...], dtype: str, compression: Any, count: int
) -> None:
    frames = [data.draw(arrays.arrays(dtype, shape)) for _ in range(count)]
    rows = [Row(3 * n + 1, None if n % 2 else n, 1e9 + n, None if n % 3 else 0.1 * n)
            for n in range(count)]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frames.h5"
        file = FrameFile(path, shape, dtype, compression=compression)
        for frame, row in zip(frames, rows, strict=True):
            file.append(bslz4.compress(frame) if compression == "bslz4" else frame, row)
        file.close()
        file.close()
        assert frames_in(path, DATASET) == count
        with h5py.File(path) as read:
            assert read[DATASET].dtype == np.dtype(dtype)
            assert read["entry/frames_closed"][()] == 1
            assert rows_of(read["entry/data"]) == rows
            for number, frame in enumerate(frames):
                assert read[DATASET][number].tobytes() == frame.tobytes()
                chunk, bare = read_chunk(read[DATASET], number)
                assert not bare
                if compression == "bslz4":
                    assert bslz4.decompress(chunk, shape, dtype).tobytes() == frame.tobytes()


READER = """
import sys
import h5py, hdf5plugin
from undula.files.frame_file import DATASET, rows_of

file = h5py.File(sys.argv[1], "r", swmr=True, locking=False)
for line in sys.stdin:
    file[DATASET].id.refresh()
    rows = rows_of(file["entry/data"])
    print(len(rows), *(int(file[DATASET][n].max()) for n in range(len(rows))), flush=True)
"""


def test_a_reader_follows_the_file_while_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "frames.h5"
    file = FrameFile(path, (20, 30), "u2", live=True)
    with subprocess.Popen(
        [sys.executable, "-c", READER, str(path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
    ) as reader:  # fmt: skip
        assert reader.stdin is not None
        assert reader.stdout is not None

        def seen() -> list[int]:
            print(file=reader.stdin, flush=True)
            return [int(word) for word in reader.stdout.readline().split()]

        for number in range(1, 4):
            file.append(bslz4.compress(np.full((20, 30), number, "u2")), Row(number))
            assert seen()[0] == number - 1
            file.flush()
            assert seen() == [number, *range(1, number + 1)]
        reader.stdin.close()
    file.close()


def test_no_file_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "frames.h5"
    path.write_text("mine")
    with pytest.raises(StorageError, match="exists"):
        FrameFile(path, (2, 2), "u2")
    with pytest.raises(StorageError, match="cannot be written"):
        FrameFile(tmp_path / "nowhere" / "frames.h5", (2, 2), "u2")
    with pytest.raises(StorageError, match="no pixels"):
        FrameFile(tmp_path / "other.h5", (0, 2), "u2")
    assert path.read_text() == "mine"


def killed_at(point: str, path: Path, told: int) -> int:
    """Write 30 frames in a child that is killed at a fault point; its end, as the kernel says."""
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1]
    try:
        os.environ.update(UNDULA_TEST="1", UNDULA_FAULT=point)
        faults.arm()
        file = FrameFile(path, (50, 40), "u2", live=True)
        for number in range(1, 31):
            file.append(bslz4.compress(np.full((50, 40), number, "u2")), Row(number, number - 1))
            if number % 5 == 0:
                os.write(told, bytes([file.flush()]))
        file.close()
    finally:
        os._exit(1)


@pytest.mark.parametrize(
    "point",
    [
        "frames.created:1", "frames.chunk_written:1", "frames.chunk_written:18",
        "frames.data_flushed:1", "frames.data_flushed:4", "frames.flushed:1", "frames.flushed:6",
        "frames.closing:1", "frames.closed:1",
    ],
)  # fmt: skip
def test_what_was_flushed_survives_a_kill_at_any_point(tmp_path: Path, point: str) -> None:
    path = tmp_path / "frames.h5"
    read, write = os.pipe()
    assert killed_at(point, path, write) == signal.SIGKILL
    os.close(write)
    flushed = max(os.read(read, 100), default=0)
    os.close(read)
    with h5py.File(path, "r", swmr=point != "frames.closed:1", locking=False) as file:
        check(file, flushed)
    clear_writing_mark(path)
    with h5py.File(path) as file:
        check(file, flushed)


def check(file: Any, flushed: int) -> None:
    rows = rows_of(file["entry/data"])
    assert len(rows) >= flushed
    assert [row.seq_num for row in rows] == list(range(1, len(rows) + 1))
    for number in range(len(rows)):
        assert (file[DATASET][number] == number + 1).all()


WRITER = """
import sys
from pathlib import Path
import numpy as np
from undula.files.frame_file import FrameFile, Row
live = {"live": True, "bare": False}[sys.argv[2]]
file = FrameFile(Path(sys.argv[1]), (3, 4), "u2", compression="none", live=live)
for number in (1, 2, 3):
    file.append(np.full((3, 4), number, "u2"), Row(number))
file.flush()
print("flushed", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("kind", ["live", "bare"])
def test_a_file_is_opened_to_every_reader_when_its_writer_is_dead_and_never_before(
    tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "cam_0001.h5"
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), kind],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as writer:  # fmt: skip
        assert writer.stdout is not None
        assert writer.stdout.readline() == "flushed\n"
        assert has_lock(path)
        assert not let_in_after_kill(path)
        assert not let_readers_in(path)
        assert marked(path), "it is written still"
        writer.kill()
    with pytest.raises(OSError, match="already open for write"):
        h5py.File(path)
    assert let_in_after_kill(path)
    assert not let_in_after_kill(path)
    with h5py.File(path) as file:
        assert file[DATASET][:, 0, 0].tolist() == [1, 2, 3]
        assert [row.seq_num for row in rows_of(file["entry/data"])] == [1, 2, 3]


def test_a_file_of_another_program_that_may_be_followed_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "ioc.h5"
    with h5py.File(path, "x", libver=("v110", "v110")) as file:
        file["entry/data/data"] = np.zeros((2, 3, 4))
        file.swmr_mode = True
        assert not has_lock(path), "its writer may live on another host"
        assert not let_in_after_kill(path)
        assert marked(path)
    assert not marked(path)


def test_what_is_no_file_of_frames_is_not_repaired(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("mine")
    assert not let_in_after_kill(tmp_path / "a.txt")
    assert not let_in_after_kill(tmp_path / "none.h5")
    with pytest.raises(StorageError, match="no HDF5 file"):
        let_readers_in(tmp_path / "a.txt")
    with pytest.raises(StorageError, match="No such file"):
        let_readers_in(tmp_path / "none.h5")
