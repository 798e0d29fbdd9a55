"""Room: pipes. Frames into HDF5 files: compressed in threads, written in order, kept until safe.

In: frames of one shape, bare or compressed already. Out: a file as `undula.files.frame_file` lays
it out, which a reader follows and the run's file links; and the numbers of the frames that are safe
in it. One process writes a file, and no file is ever written over. The file of a writer that was
killed is opened to every reader by its successor.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import h5py

from undula.core.errors import InputError, StorageError
from undula.files import bslz4
from undula.files.frame_file import DATASET, FrameFile, FramesOf, Row, let_in_after_kill
from undula.files.places import can_follow_live, check_space
from undula.pipes.frame import Frame
from undula.pipes.intervals import IntervalSet
from undula.pipes.nodes.base import Array, Node, Port, Results, parameter

MOST_FILES = 10_000
MEASURED = ("compressing_s", "waiting_s", "writing_s", "frame_bytes", "file_bytes")


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

    A frame that comes again is left out, also when the writer before this one was killed behind it.
    One that cannot be packed or written counts as failed, and the next one is written. Frames of
    another shape or dtype are refused: clear the node, and the next frame begins a new file.
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
    one_shape = True
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
        self._done: list[int] = []
        self._failed: list[tuple[int, Exception]] = []
        self._measured = dict.fromkeys(MEASURED, 0.0)
        self._lock = threading.Lock()
        super().__init__(**parameters)

    @classmethod
    def check_places(cls, values: Any) -> None:
        """Its folder can be made, and written. Raises: StorageError."""
        folder = Path(values.folder).expanduser().absolute()
        there = next(path for path in (folder, *folder.parents) if path.exists())
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            why = "is no folder" if not there.is_dir() else "cannot be written"
            raise StorageError(
                f"frames cannot be written into {folder}: {there} {why}",
                remedy="give another folder, or the right to write there",
            )
        check_space(there)

    @classmethod
    def put_in_order(cls, values: Any) -> None:
        """Files that killed writers have left: let readers in.

        All are looked at: an old one may have been open elsewhere when it was to be let in.
        """
        if can_follow_live(Path(values.folder).expanduser()):
            for path in _newest_first(values.folder, values.name_of_files):
                let_in_after_kill(path)

    def prepare(self) -> None:
        """The writer before this one may have been killed."""
        self.put_in_order(self._values)

    def own_measures(self) -> Mapping[str, float]:
        """Since it was made.

        `compressing_s` in all its threads together, `waiting_s` for them, `writing_s` into the
        file; `frame_bytes` as they came, `file_bytes` as they lie there.
        """
        with self._lock:
            return dict(self._measured)

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            with self._lock:
                self._measured[what] += time.perf_counter() - started

    def clear(self) -> None:
        """Close the file; the next frame begins another one. `done` still names the last frames."""
        try:
            self.close()
        finally:
            self._forget()

    def _forget(self) -> None:
        self._numbers = IntervalSet()
        self._appended: list[int] = []
        self._former: FramesOf | None = None
        self._written = 0
        self._bytes = 0
        self._since = 0.0

    def changed(self, names: frozenset[str]) -> None:
        """Other names and compression hold from the next file on, other threads at once."""
        if "folder" in names:
            self.check_places(self._values)
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
        if frame.again and self._is_in_former_file(frame):
            self._numbers.add(frame.seq_num)
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

    def _is_in_former_file(self, frame: Frame) -> bool:
        """Whether the writer before this one, which was killed, wrote it and could not say so."""
        if self._former is None:
            self._former = self._in_newest_file()
        return bool(frame.time) and self._former.has(frame.seq_num, frame.time)

    def _in_newest_file(self) -> FramesOf:
        """The frames of the newest file that this node did not begin."""
        for path in _newest_first(self.folder, self.name_of_files):
            if self._file is not None and path >= self._file.path:
                continue
            try:
                with h5py.File(path, "r", swmr=True, locking=False) as file:
                    return FramesOf(file["/entry/data"])
            except (OSError, KeyError):
                break  # it died before anything was safe in it
        return FramesOf()

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

        def timed() -> Array:
            with self._timed("compressing_s"):
                return work(frame)

        if not self.threads:
            return timed()
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="compress")
        return self._pool.submit(timed)

    def _drain(self, most: int) -> None:
        """Append what is ready, in order; wait until no more than `most` are on their way.

        A frame that cannot be packed or written is left out, and `failed` names it.
        """
        file = self._file
        while self._waiting and file is not None:
            head = self._waiting[0]
            chunk = head.chunk
            if isinstance(chunk, Future) and not chunk.done() and len(self._waiting) <= most:
                return
            self._waiting.popleft()
            try:
                with self._timed("waiting_s"):
                    data = chunk.result() if isinstance(chunk, Future) else chunk
                with self._timed("writing_s"):
                    file.append(data, head.row)
            except Exception as exc:  # whatever its data make of the packing
                self._fail([head.row.seq_num], exc)
            else:
                self._appended.append(head.row.seq_num)
                self._measured["file_bytes"] += data.nbytes
                self._measured["frame_bytes"] += file.frame_bytes

    def _flush(self) -> None:
        if self._file is None or not self._appended:
            return
        appended, self._appended = self._appended, []
        self._bytes = 0
        self._since = self._clock()
        try:
            with self._timed("writing_s"):
                self._file.flush()
        except StorageError as exc:
            self._fail(appended, exc)
            return
        self._written += len(appended)
        self._done += appended

    def _fail(self, numbers: list[int], exc: Exception) -> None:
        """They are not in the file; their link has them as failed, and brings them no more."""
        self._failed += [(number, exc) for number in numbers]
        self._numbers -= IntervalSet([(number, number + 1) for number in numbers])

    def failed(self) -> list[tuple[int, Exception]]:
        """The frames that could not be written, since it was asked last, and why."""
        failed, self._failed = self._failed, []
        return failed

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


def _newest_first(folder: str, name: str) -> list[Path]:
    """The files of this name, the one with the highest number first."""
    return sorted(Path(folder).expanduser().glob(f"{name}_[0-9][0-9][0-9][0-9].h5"), reverse=True)


def _packed(frame: Frame) -> Array:
    return bslz4.compress(frame.data)


def _unpacked(frame: Frame) -> Array:
    return bslz4.decompress(frame.data, frame.shape, frame.dtype)
