"""Frames that wait on disk: when it is full, and where they lie."""

from __future__ import annotations

import gc
import os
import resource
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from undula.core.errors import StorageError
from undula.pipes.frame import Frame
from undula.pipes.link import Inlet, Outlet
from undula.pipes.link.slab import SpillSlab
from undula.pipes.policy import Policy
from undula.testing.law import until

SIZE = 1 << 20
ON_DISK = 8
FIT = 3


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ul-") as made:
        yield Path(made)


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file of this process may grow beyond some frames: the kernel says so as of a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def attached(outlet: Outlet, folder: Path, policy: Policy) -> Inlet:
    """A consumer, and its producer pumped until it is there."""
    found: list[Inlet] = []
    thread = threading.Thread(target=lambda: found.append(Inlet(folder / "det", "disk", policy)))
    thread.start()
    while thread.is_alive():
        outlet.pump(0.01)
    thread.join()
    return found[0]


@pytest.mark.usefixtures("small_disk")
def test_a_full_disk_leaves_frames_out_says_so_once_and_fails_nothing(
    folder: Path,
) -> None:
    policy = Policy("spill", disk_bytes=ON_DISK * SIZE, budget_bytes=2 * ON_DISK * SIZE)
    outlet = Outlet(
        folder / "det", frame_bytes=SIZE, budget_bytes=(2 * ON_DISK + 4) * SIZE,
        expect={"disk": policy}, spill=folder, spill_bytes=ON_DISK * SIZE,
    )  # fmt: skip
    inlet = attached(outlet, folder, policy)
    got: list[int] = []
    try:
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (FIT * SIZE, most))
        frames = 2 * ON_DISK

        def through() -> bool:
            outlet.pump(0.01)
            for frame in inlet.take():
                assert np.all(frame.data == frame.seq_num), "these are another frame's data"
                got.append(frame.seq_num)
                inlet.confirm(frame)
            inlet.flush()
            return outlet.depths()["disk"] == 0

        with capture_logs() as said:
            for first in (1, frames + 1):  # in between there is room again
                for seq in range(first, first + frames):
                    assert outlet.send(Frame(seq, np.full(SIZE, seq, "u1")), timeout_s=0)
                until(through, "not confirmed")
        counts = outlet.ledgers()["disk"].counts
    finally:
        inlet.close()
        outlet.close()
    assert got[: ON_DISK + FIT] == list(range(1, ON_DISK + FIT + 1))
    assert got == sorted(got)
    assert (counts["passed"], counts["dropped"]) == (2 * (ON_DISK + FIT), 2 * (ON_DISK - FIT))
    assert [one["event"] for one in said].count("pipe_spill_disk_full") == 1


def test_spilling_leaves_a_part_of_the_disk_to_others(folder: Path) -> None:
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize
    slab = SpillSlab(folder, 4, 4096, reserve_bytes=2 * free)
    assert not slab.write(0, memoryview(b"x" * 4096))
    slab.close()
    slab = SpillSlab(folder, 4, 4096, reserve_bytes=0)
    assert slab.write(4096, memoryview(b"x" * 4096))
    assert bytes(slab.memory[4096:8192]) == b"x" * 4096
    assert list(folder.iterdir()) == [], "the file has no name"
    slab.close()


def test_a_folder_that_cannot_be_written_is_refused(folder: Path) -> None:
    (folder / "file").touch()
    with pytest.raises(StorageError, match="frames cannot be spilled into"):
        SpillSlab(folder / "file", 4, 4096)


def test_a_producer_that_cannot_begin_gives_all_descriptors_back(folder: Path) -> None:
    def is_open() -> set[tuple[str, str]]:
        """Slabs and spill files; other threads of this process open and close what they like."""
        gc.collect()  # an array may still keep a mapping
        found = set()
        for number in os.listdir("/proc/self/fd"):
            with suppress(OSError):  # closed meanwhile
                found.add((number, os.readlink(f"/proc/self/fd/{number}")))
        return {one for one in found if "memfd:" in one[1] or str(folder) in one[1]}

    before = is_open()
    with pytest.raises(OSError, match="No such file"):
        Outlet(
            folder / "nowhere" / "det", frame_bytes=SIZE, budget_bytes=4 * SIZE, spill=folder,
            spill_bytes=ON_DISK * SIZE,
        )  # fmt: skip
    assert is_open() <= before
