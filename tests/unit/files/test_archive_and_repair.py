"""The archived journal and the repair of a file whose writer was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from undula.core.errors import StorageError
from undula.files import (
    archive_path,
    clear_writing_mark,
    open_run,
    read_archive,
    verify,
    write_archive,
)
from undula.files.places import run_uid_of
from undula.messages import RunDocument


def journal() -> list[RunDocument]:
    image = np.arange(6, dtype="<u2").reshape(2, 3)
    data = {"cam": image, "temperature": float("nan"), "name": "gold µ"}
    return [
        RunDocument(index=1, name="start", doc={"uid": "run-1", "time": 1.0}),
        RunDocument(index=2, name="event", doc={"seq_num": 1, "data": data}, sent=2.5),
        RunDocument(index=3, name="stop", doc={"exit_status": "success"}),
    ]


def test_an_archive_gives_back_every_document(tmp_path: Path) -> None:
    file = tmp_path / "00001_scan.nxs"
    assert write_archive(file, journal()) == 3
    assert verify(archive_path(file)) == 3
    back = list(read_archive(archive_path(file)))
    assert [d.name for d in back] == ["start", "event", "stop"]
    data = back[1].doc["data"]
    assert (data["cam"].dtype, data["cam"].tolist()) == (np.dtype("<u2"), [[0, 1, 2], [3, 4, 5]])
    assert np.isnan(data["temperature"])
    assert (data["name"], back[1].sent) == ("gold µ", 2.5)


def test_a_changed_or_shortened_archive_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.nxs"
    write_archive(file, journal())
    good = archive_path(file).read_bytes()
    for at in (0, 20, 25, 60, len(good) - 1):
        bad = bytearray(good)
        bad[at] ^= 0x41
        archive_path(file).write_bytes(bytes(bad))
        with pytest.raises(StorageError, match="damaged"):
            list(read_archive(archive_path(file)))
    for size in (0, 10, 30, len(good) - 1):
        archive_path(file).write_bytes(good[:size])
        with pytest.raises(StorageError, match="damaged"):
            verify(archive_path(file))


def test_a_file_left_by_a_killed_writer_opens_after_the_mark_is_cleared(tmp_path: Path) -> None:
    path = tmp_path / "a.nxs"
    writer = (
        "import h5py, os, signal, sys\n"
        "f = h5py.File(sys.argv[1], 'x', libver=('v110', 'v110'))\n"
        "d = f.create_dataset('d', (0,), maxshape=(None,), chunks=(8,))\n"
        "f.swmr_mode = True\n"
        "d.resize((5,)); d[:] = 1; f.flush()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", writer, str(path)], check=False, timeout=30)
    assert ended.returncode == -signal.SIGKILL
    with pytest.raises(OSError):
        h5py.File(path, "r")
    assert clear_writing_mark(path)
    with h5py.File(path, "r+") as file:
        assert file["d"][()].tolist() == [1] * 5
    assert not clear_writing_mark(path)


def test_what_is_no_hdf5_file_is_not_repaired(tmp_path: Path) -> None:
    path = tmp_path / "a.nxs"
    path.write_bytes(os.urandom(200))
    with pytest.raises(StorageError, match="no HDF5 file"):
        clear_writing_mark(path)


def test_a_file_without_its_end_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.nxs"
    with h5py.File(path, "x", libver=("v110", "v110")) as file:
        file["d"] = np.arange(1000)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(StorageError, match=r"the end of .* is missing"):
        open_run(path)
    assert run_uid_of(path) is None
