"""Room: pipes. The files that the writers of a detector's graph make in one run, frame by frame.

In: where the run's file is, and the number of a frame that is safe. Out: the file and the row in
it, as Bluesky documents. A writer that died has left a file, its successor writes the next one; a
frame that belongs to no point (it was taken again) has a row all the same. Called by: `graph_run`.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from undula.core.errors import DeviceError
from undula.core.log import get_logger
from undula.devices.telling import Telling
from undula.files.frame_file import DATASET, let_in_after_kill
from undula.files.frames import frames_in
from undula.files.repair import marked

NUMBERS = "/entry/data/seq_num"
Documents = list[tuple[str, dict[str, Any]]]


@dataclass(slots=True)
class RunFile:
    """A file of this run. `frames` are the rows up to the last one that a document names.

    That its writer lives can be seen on its own host only: `far` says that it is another one.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: str
    uid: str = field(default_factory=lambda: str(uuid.uuid4()))
    frames: int = 0
    told: int = 0
    far: bool = False
    newest: int = 0


class RunFiles:
    """Files of one writer in one run: `FOLDER/STEM_0001.h5` and so on.

    Args:
        key: the data key of its frames.
        found: called with the path of each new file.
        writer: how often its writer had been started anew when the run began.
        far: its writer is on another host.
    """

    def __init__(
        self, folder: Path, stem: str, key: str, found: Callable[[Path], object], writer: int = 0,
        *, far: bool = False,
    ) -> None:  # fmt: skip
        self._folder, self._stem, self._key, self._told = folder, stem, key, found
        self._far = far
        self.files: list[RunFile] = []
        self._writer = writer
        self._before = 0

    def begin_anew(self, writer: int) -> None:
        """The graph was started anew in mid-run, and numbers its frames from 1 on again.

        What was written before stays in this run; no further frame is looked for there.
        """
        self._look()
        self._before, self._writer = len(self.files), writer

    def place(self, number: int, writer: int) -> Documents:
        """Documents that name frame `number`, which is safe.

        Args:
            writer: how often its writer has been started anew by now. Each one begins a file of its
                own: while there are as many files as writers, the folder need not be looked at.
        Raises: DeviceError.
        """
        writers = self._before + writer - self._writer + 1
        if len(self.files) < writers:
            self._look()
        file = self.files[-1] if len(self.files) > self._before else None
        last = len(self.files) == writers  # it is that of the writer who writes now
        if last and file is not None and file.newest and file.newest == number - 1:
            row: int | None = file.frames
        else:  # the first one, or some were taken that no point has: the file knows
            file, row = self._found(number)
            if row is None:
                self._look()
                file, row = self._found(number)
        if file is None or row is None:
            raise DeviceError(
                f"its frame {number} was written, and no file {self._stem}_*.h5 has it",
                remedy="see whether somebody removes files in the data folder",
            )
        documents: Documents = []
        if not file.told:
            documents.append(("stream_resource", _resource(file, self._key)))
        documents.append(("stream_datum", _datum(file, row)))
        file.frames, file.newest = row + 1, number
        file.told += 1
        return documents

    def _found(self, number: int) -> tuple[RunFile | None, int | None]:
        """The file and the row of a frame, as the files themselves say."""
        for file in reversed(self.files[self._before :]):
            row = _row(file.path, number)
            if row is not None:
                return file, row
        return None, None

    def _look(self) -> None:
        known = {file.path for file in self.files}
        for path in sorted(self._folder.glob(f"{self._stem}_[0-9][0-9][0-9][0-9].h5")):
            if path in known:
                continue
            opened = _opened(path)
            if opened is not None:
                self.files.append(RunFile(path, *opened, far=self._far))
                self._told(path)


class StillMarked:
    """Files of killed writers that other programs have open: they are let in when those end.

    Until then only who follows them (SWMR) can read them.
    """

    def __init__(self) -> None:
        self._paths: set[Path] = set()

    def let_in(self, paths: Iterable[Path] = ()) -> None:
        """Open these to every reader, and those that could not be before."""
        before = self._paths
        left = set()
        for path in {*before, *paths}:
            let_in_after_kill(path)
            if marked(path):
                left.add(path)
        self._paths = left
        for path in sorted(left - before):
            get_logger().warning(
                "frame_file_stays_marked",
                path=str(path),
                remedy="end the program that has it open, then: undula files repair FILE",
            )


def close_files(
    files: Sequence[RunFile], tell: Telling, device: str, still_marked: StillMarked
) -> None:
    """Say of each file of a run that it is closed. Raises: DeviceError when one lacks frames.

    Those of writers of this host that were killed are opened to every reader, when nobody has them
    open.
    """
    still_marked.let_in(file.path for file in files if not file.far)
    for file in files:
        there = frames_in(file.path, DATASET)
        missing = there is None or there < file.frames
        tell.file(file.path, "missing" if missing else "closed", dataset=DATASET, frames=there)
        if missing:
            raise DeviceError(
                f"{file.path} holds {there or 0} frames, and the points name {file.frames}",
                remedy="see whether somebody else changed that file",
                device=device,
            )


def _opened(path: Path) -> tuple[tuple[int, ...], str] | None:
    """Shape and dtype of the frames in a file that is being written; None before it has any."""
    import h5py

    try:
        with h5py.File(path, "r", swmr=True, locking=False) as file:
            data = file[DATASET]
            return tuple(data.shape[1:]), str(data.dtype.str)
    except (OSError, KeyError):
        return None


def _row(path: Path, number: int) -> int | None:
    """The row of a frame in a file that is being written; None when it is not there."""
    import h5py
    import numpy as np

    try:
        with h5py.File(path, "r", swmr=True, locking=False) as file:
            rows = np.flatnonzero(file[NUMBERS][()] == number)
    except (OSError, KeyError):
        return None
    return int(rows[0]) if len(rows) else None


def _resource(file: RunFile, key: str) -> dict[str, Any]:
    return {
        "uid": file.uid,
        "data_key": key,
        "mimetype": "application/x-hdf5",
        "uri": f"file://localhost{file.path.absolute()}",
        "parameters": {"dataset": DATASET, "chunk_shape": [1, *file.shape]},
    }


def _datum(file: RunFile, row: int) -> dict[str, Any]:
    return {
        "uid": f"{file.uid}/{row}",
        "stream_resource": file.uid,
        "descriptor": "",
        "indices": {"start": row, "stop": row + 1},
        "seq_nums": {"start": 0, "stop": 0},
    }
