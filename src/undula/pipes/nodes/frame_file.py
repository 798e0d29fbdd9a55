"""Room: pipes. Frames into HDF5 files: compressed in threads, written in order, kept until safe.

In: frames of one shape, bare or compressed already. Out: a file as `undula.files.frame_file` lays
it out, which a reader follows and the run's file links; and the numbers of the frames that are safe
in it. One process writes a file, and no file is ever written over.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from undula.core.errors import InputError, StorageError
from undula.files import bslz4
from undula.files.frame_file import DATASET, FrameFile, Row
from undula.pipes.frame import Frame
from undula.pipes.intervals import IntervalSet
from undula.pipes.nodes.base import Array, Node, Port, Results, parameter

MOST_FILES = 10_000


@dataclass(slots=True)
class _Waiting:
    """A frame on its way into the file."""

    row: Row
    chunk: Future[Array] | Array


class FrameFileWriter(Node):
    """Writes each frame into FOLDER/NAME_0001.h5, or the next number that is free.

    Frames are compressed in `threads` threads and written in the order in which they came, one
    chunk each; frames that are compressed already go through as they are. A frame is done with when
    the file was flushed behind it: from then on it survives the death of this process. The file is
    flushed when `flush_bytes` wait (of the frames as they came), when the oldest has waited for
    `flush_s`, and whenever all that came is written.

    A frame that comes again is left out. Frames of another shape or dtype are refused: clear the
    node, and the next frame begins a new file.
    """

    name = "frame_file"
    inputs = (
        Port("frames", "frames of any shape, bare or compressed", ndim=None, compressed=True),
    )
    outputs = (Port("written", "frames that are safe in the file", ndim=0, kinds="i"),)
    covers = "start"
    missing = "take no row; the file's `seq_num` says which frame each row is"
    masked = "are written as they are"
    keeps = True
    folder: str = parameter(".", "where the files go; made when it is not there")
    name_of_files: str = parameter("frames", "the first part of their names")
    compression: Literal["none", "bslz4"] = parameter("bslz4", "none, or bitshuffle with LZ4")
    threads: int = parameter(2, "that compress; 0: the one that brings the frames", ge=0, le=64)
    flush_s: float = parameter(0.1, "a frame is safe after so long", ge=0, unit="s")
    flush_bytes: int = parameter(32_000_000, "and when so much waits", ge=0, unit="B")
    live: bool | None = parameter(None, "let readers follow; none: where the file system can")

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, **parameters: object
    ) -> None:
        self._clock = clock
        self._file: FrameFile | None = None
        self._path: Path | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: deque[_Waiting] = deque()
        super().__init__(**parameters)

    def clear(self) -> None:
        """Close the file; the next frame begins another one."""
        self.close()
        self._numbers = IntervalSet()
        self._appended: list[int] = []
        self._done: list[int] = []
        self._written = 0
        self._bytes = 0
        self._since = 0.0

    def changed(self, names: frozenset[str]) -> None:
        """Other names and compression hold from the next file on, other threads at once."""
        if "threads" in names and self._pool is not None:
            self._drain(0)
            self._pool.shutdown()
            self._pool = None

    @property
    def path(self) -> Path | None:
        """The file that is being written, or was written last; None before the first frame."""
        return self._path

    @property
    def dataset(self) -> str:
        """Where the frames are in it."""
        return DATASET

    def accumulate(self, frame: Frame) -> None:
        """Take a frame; it is safe when `done` names it."""
        if frame.seq_num in self._numbers:
            self._done.append(frame.seq_num)
            return
        file = self._file
        if file is None:
            file = self._file = self._begin(frame)
            self._path = file.path
        if (frame.shape, frame.dtype) != (file.shape, file.dtype):
            raise InputError(
                f"frame {frame.seq_num} is {frame.shape} {frame.dtype}, and {file.path.name} "
                f"holds {file.shape} {file.dtype}",
                remedy="clear the node when the detector's frames are changed",
            )
        if not self._waiting and not self._appended:
            self._since = self._clock()
        row = Row(frame.seq_num, frame.trigger, frame.time, frame.hardware_time)
        self._waiting.append(_Waiting(row, self._chunk(frame, file)))
        self._numbers.add(frame.seq_num)
        self._bytes += frame.data.nbytes
        self._drain(2 * self.threads)
        if self._bytes >= self.flush_bytes:
            self._drain(0)
            self._flush()

    def _begin(self, frame: Frame) -> FrameFile:
        folder = Path(self.folder).expanduser()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise StorageError(
                f"{folder} cannot be made: {exc}", remedy="give another folder, or the right to it"
            ) from exc
        for number in range(1, MOST_FILES):
            path = folder / f"{self.name_of_files}_{number:04d}.h5"
            if path.exists():
                continue
            try:
                return FrameFile(
                    path, frame.shape, frame.dtype, compression=self.compression, live=self.live,
                    graph=self.graph_text, node=self.node_name,
                )  # fmt: skip
            except StorageError:
                if not path.exists():
                    raise
        raise StorageError(
            f"{folder} has {MOST_FILES} files {self.name_of_files}_*.h5",
            remedy="give another folder or name",
        )

    def _chunk(self, frame: Frame, file: FrameFile) -> Future[Array] | Array:
        """The frame as it is to lie in the file, at once or from a thread."""
        if frame.compression == file.compression:
            return frame.data
        work = _unpacked if file.compression == "none" else _packed
        if not self.threads:
            return work(frame)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="compress")
        return self._pool.submit(work, frame)

    def _drain(self, most: int) -> None:
        """Append what is ready, in order; wait until no more than `most` are on their way."""
        file = self._file
        while self._waiting and file is not None:
            head = self._waiting[0]
            chunk = head.chunk
            if isinstance(chunk, Future):
                if not chunk.done() and len(self._waiting) <= most:
                    return
                chunk = chunk.result()
            file.append(chunk, head.row)
            self._waiting.popleft()
            self._appended.append(head.row.seq_num)

    def _flush(self) -> None:
        if self._file is None or not self._appended:
            return
        self._file.flush()
        self._written += len(self._appended)
        self._done += self._appended
        self._appended = []
        self._bytes = 0
        self._since = self._clock()

    def done(self) -> list[int]:
        """The frames that are safe, since it was asked last. Ask again within `flush_s`."""
        late = self._clock() - self._since >= self.flush_s
        self._drain(0 if late else len(self._waiting))
        if late or not self._waiting:
            self._flush()
        done, self._done = self._done, []
        return done

    def result(self) -> Results:
        """How many frames are safe."""
        return {"written": self._written}

    def close(self) -> None:
        """Write what waits, close the file; `done` then names the last frames."""
        try:
            self._drain(0)
            self._flush()
        finally:
            if self._pool is not None:
                self._pool.shutdown()
                self._pool = None
            file, self._file = self._file, None
            if file is not None:
                file.close()


def _packed(frame: Frame) -> Array:
    return bslz4.compress(frame.data)


def _unpacked(frame: Frame) -> Array:
    return bslz4.decompress(frame.data, frame.shape, frame.dtype)
