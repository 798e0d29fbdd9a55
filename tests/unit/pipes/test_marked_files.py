"""Files of killed writers that somebody else has open when they are to be let in."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from undula.devices.telling import Telling
from undula.files.frame_file import FrameFile, Row
from undula.files.repair import marked
from undula.pipes.nodes.frame_file import FrameFileWriter
from undula.pipes.run_files import RunFile, StillMarked, close_files

READER = "import h5py, sys; f = h5py.File(sys.argv[1], swmr=True); print(flush=True); input()"


@contextmanager
def read_by_another_program(path: Path) -> Iterator[None]:
    """It opens the file as HDF5 does by default: with a lock that readers share."""
    with subprocess.Popen(
        [sys.executable, "-c", READER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == b"\n"
        yield
        reader.communicate(b"\n")


def left_by_a_killed_writer(path: Path) -> Path:
    """A file of three frames whose writer holds no lock on it: a copy of one that is open."""
    open_file = path.with_suffix(".open")
    writer = FrameFile(open_file, (3, 4), "u2", compression="none")
    for number in (1, 2, 3):
        writer.append(np.full((3, 4), number, "u2"), Row(number, number - 1, float(number)))
    writer.flush()
    shutil.copyfile(open_file, path)
    writer.close()
    assert marked(path)
    return path


def test_a_file_behind_one_that_is_in_order_is_let_in_too(tmp_path: Path) -> None:
    first = left_by_a_killed_writer(tmp_path / "frames_0001.h5")
    FrameFile(tmp_path / "frames_0002.h5", (3, 4), "u2").close()
    FrameFileWriter.put_in_order(FrameFileWriter.checked(folder=str(tmp_path)))
    assert not marked(first)


def test_a_file_that_a_reader_has_open_at_the_end_is_let_in_later(tmp_path: Path) -> None:
    path = left_by_a_killed_writer(tmp_path / "cam_0001.h5")
    told: list[Any] = []
    still = StillMarked()
    with read_by_another_program(path):
        made = [RunFile(path, (3, 4), "<u2", frames=3)]
        close_files(made, Telling("cam", told.append), "cam", still)
        assert marked(path), "HDF5 has a lock on it for that reader"
        still.let_in()
        assert marked(path)
    assert [one.state for one in told] == ["closed"], "its frames are there all the same"
    still.let_in()
    assert not marked(path)
    with h5py.File(path) as file:
        assert len(file["entry/data/data"]) == 3


def test_the_file_of_a_writer_on_another_host_is_left_to_that_host(tmp_path: Path) -> None:
    path = left_by_a_killed_writer(tmp_path / "cam_0001.h5")
    made = [RunFile(path, (3, 4), "<u2", frames=3, far=True)]
    close_files(made, Telling("cam", lambda _: None), "cam", StillMarked())
    assert marked(path), "nobody can see from here whether its writer lives"
