"""Room: pipes. Frames of a file or a run, once more. Reads; waits never.

In: an HDF5 file, or the NeXus file of a run, and where in it the frames are. Out: the same frames
with the same numbers, triggers and times, so that a graph gives the same results again. When they
were made again is told beside (`Frame.replayed`), so that latencies are those of now.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from undula.core.errors import ConfigError
from undula.files import bslz4
from undula.files.frame_file import COLUMNS, DATASET, Row, read_chunk, rows_of
from undula.files.frames import NO_FRAME
from undula.pipes.frame import Frame, ticks
from undula.pipes.nodes.base import Port, Shape, Source, parameter

MOST_LINKS = 8


class Replay(Source):
    """Frames of a file or a run as a source: numbers, triggers and times as they were recorded.

    Where the file does not say them, frames are numbered from 1 on, their trigger is their place,
    and they come `rate_hz` times a second. A frame that was missing is missing again. Frames of a
    run whose graph was started anew in mid-run, and counted from 1 on again, are numbered anew.

    `speed` 1 is as it was, 10 ten times as fast, 0 as fast as frames are taken.
    """

    name = "replay"
    outputs = (Port("frames", "the recorded frames", ndim=None, kinds="biuf"),)
    missing = "missing again where they were missing: their numbers are left out"
    file: str = parameter("", "an HDF5 file of frames, or the NeXus file of a run")
    dataset: str = parameter(
        DATASET, "where the frames are, (frames, ...)", examples=["/entry/instrument/cam/data"]
    )
    speed: float = parameter(1.0, "1 as recorded, 10 ten times as fast, 0 as fast as can be", ge=0)
    rate_hz: float = parameter(10.0, "where the file has no times", gt=0, unit="Hz")
    first: int = parameter(0, "begin at this frame of the file, from 0 on", ge=0)
    frames: int = parameter(0, "end after so many; 0: at the end of the file", ge=0)
    from_one: bool = parameter(
        False, "number the frames from 1 on, where their detector had counted before"
    )
    packed: bool = parameter(
        False, "hand bitshuffle/LZ4 chunks on as they are, for nodes that take compressed frames"
    )

    files = ("file",)
    packing = "packed"

    @classmethod
    def shapes(cls, values: Any, inputs: Mapping[str, Shape]) -> Mapping[str, Shape]:
        """That of the recorded frames, where the file is there already."""
        if not values.file:
            return {}
        import h5py

        path = Path(values.file).expanduser()
        with suppress(OSError, KeyError, AttributeError), h5py.File(path, locking=False) as file:
            return {"frames": tuple(file[values.dataset].shape[1:])}
        return {}

    def clear(self) -> None:
        """Begin at the first frame again."""
        self.close()
        self._rows: list[Row | None] = []
        self._at = 0
        self._begun_at = 0.0
        self._beside: set[int] = set()
        self._data: Any = None

    def changed(self, names: frozenset[str]) -> None:
        """Another file or part of it: begin anew."""
        if names - {"speed", "rate_hz"}:
            self.clear()

    def _open(self) -> None:
        if self._data is not None:
            return
        import h5py
        import hdf5plugin  # noqa: F401  # the file may be compressed

        path = Path(self.file).expanduser()
        for swmr in (False, True):
            try:
                self._file = h5py.File(path, "r", swmr=swmr, locking=False)
                break
            except OSError as exc:
                fault = exc
        else:
            raise ConfigError(
                f"{path} cannot be read: {fault}", remedy="name an HDF5 file of frames"
            )
        try:
            self._data = self._file[self.dataset]
            count = int(self._data.shape[0])
        except (KeyError, AttributeError, IndexError) as exc:
            self.close()
            raise ConfigError(
                f"{path} has no frames at {self.dataset}",
                remedy="name the dataset that holds them, (frames, ...)",
            ) from exc
        recorded = self._recorded(count)
        rows = numbered_apart(recorded)
        if rows != recorded or self.from_one:
            self._beside.clear()  # their numbers are those of others now
        known = [row.seq_num for row in rows if row is not None]
        if self.from_one and known:
            less = min(known) - 1
            rows = [row and replace(row, seq_num=row.seq_num - less) for row in rows]
        last = self.first + self.frames if self.frames else count
        self._rows = rows[self.first : last]
        self._begun_at = next((row.time for row in self._rows if row is not None), 0.0)

    def _recorded(self, count: int) -> list[Row | None]:
        """What is known of each frame; None where there is none."""
        numbers = self._data.attrs.get("frame_numbers")
        if numbers is not None:  # a virtual dataset: one frame a point, some without
            return self._of_points(numbers.tolist())
        group = _group_of(self._file, self.dataset, self._data)
        if group is not None and set(COLUMNS) <= set(group):
            return [*rows_of(group)[:count]]
        return [Row(n + 1, n) for n in range(count)]

    def _of_points(self, numbers: list[int]) -> list[Row | None]:
        """One row a point, as the files that hold the frames say; by the point where they do not.

        A frame that stands for two points is theirs by its number, once.
        """
        import h5py

        by_point = [Row(n + 1, n) if at != NO_FRAME else None for n, at in enumerate(numbers)]
        if not self._data.is_virtual:
            return by_point
        rows: list[Row | None] = [None] * len(numbers)
        for part in self._data.virtual_sources():
            path = Path(self._file.filename).parent / part.file_name
            try:
                with h5py.File(path, "r", swmr=True, locking=False) as file:
                    told = rows_of(file[posixpath.dirname(part.dset_name)])
            except (OSError, KeyError):
                return by_point
            begin, end = (int(bound[0]) for bound in part.vspace.get_select_bounds())
            for point in range(begin, end + 1):
                if 0 <= numbers[point] < len(told):
                    rows[point] = told[numbers[point]]
            self._beside.update(row.seq_num for row in told)
        self._beside -= {row.seq_num for row in rows if row is not None}
        return rows

    @property
    def lowest(self) -> int:
        """The number of the first frame that was triggered, as far as the file tells; 0: none."""
        self._open()
        rows = [row for row in self._rows if row is not None]
        return min((max(1, row.seq_num - (row.trigger or 0)) for row in rows), default=0)

    @property
    def beside(self) -> set[int]:
        """Numbers of frames that lie beside those of a run and are of no point: taken again."""
        self._open()
        return set(self._beside)

    def resume(self, seq_num: int) -> None:
        """Go on behind a frame, and those before it in the file."""
        self._open()
        behind = [n for n, row in enumerate(self._rows, 1) if row and row.seq_num <= seq_num]
        ahead = [n for n, row in enumerate(self._rows) if row and row.seq_num > seq_num]
        self._at = max(self._at, min(max(behind, default=0), min(ahead, default=len(self._rows))))

    @property
    def ended(self) -> bool:
        """All frames were handed on."""
        self._open()
        return self._at >= len(self._rows)

    def due_s(self) -> float:
        """When the next frame is due, s after the first one."""
        self._open()
        if not self.speed or self.ended:
            return 0.0
        row = self._rows[self._at]
        if row is not None and self._begun_at > 0 and row.time > 0:
            return max(row.time - self._begun_at, 0.0) / self.speed
        return self._at / self.rate_hz / self.speed

    def take(self, time: float = 0.0) -> list[Frame]:
        """The next frame; none where one is missing, or at the end."""
        self._open()
        while not self.speed and not self.ended and self._rows[self._at] is None:
            self._at += 1  # nothing is due at a certain time: go on to the next one there is
        if self._at >= len(self._rows):
            return []
        row, place = self._rows[self._at], self.first + self._at
        self._at += 1
        if row is None:
            return []
        told: dict[str, Any] = {
            "trigger": row.trigger, "time": row.time or time, "hardware_time": row.hardware_time,
            "replayed": ticks(time) if time and row.time else 0,
        }  # fmt: skip
        if self.packed and self._can_pass():
            chunk, bare = read_chunk(self._data, place)
            if not bare:
                return [
                    Frame(
                        row.seq_num, chunk, compression="bslz4",
                        shape=self._data.shape[1:], dtype=self._data.dtype, **told,
                    )
                ]  # fmt: skip
        return [Frame(row.seq_num, np.asarray(self._data[place]), **told)]

    def _can_pass(self) -> bool:
        """Whether a chunk of the dataset is a frame of ours."""
        filters = self._data.id.get_create_plist()
        return bool(
            self._data.chunks == (1, *self._data.shape[1:])
            and filters.get_nfilters() == 1
            and filters.get_filter(0)[0] == bslz4.FILTER
            and tuple(filters.get_filter(0)[2][-1:]) == bslz4.OPTIONS[-1:]
        )

    def close(self) -> None:
        """Let go of the file."""
        file, self._file = getattr(self, "_file", None), None
        self._data = None
        if file is not None:
            file.close()


def numbered_apart(rows: Sequence[Row | None]) -> list[Row | None]:
    """The same rows; from 1 on in this order, where two frames have one number.

    >>> [row.seq_num for row in numbered_apart([Row(4, time=1.0), Row(5, time=2.0)])]
    [4, 5]
    >>> [row.seq_num for row in numbered_apart([Row(4, time=1.0), Row(4, time=2.0)])]
    [1, 2]
    """
    frames = dict.fromkeys((row.seq_num, row.time) for row in rows if row is not None)
    if len({number for number, _ in frames}) == len(frames):
        return list(rows)
    anew = {frame: number for number, frame in enumerate(frames, 1)}
    return [row and replace(row, seq_num=anew[row.seq_num, row.time]) for row in rows]


def _group_of(file: Any, path: str, dataset: Any) -> Any:
    """The group of a dataset in the file that it lies in, through links; None when it has none."""
    import h5py

    for _ in range(MOST_LINKS):
        link = file.get(path, getlink=True) if path in file else None
        if isinstance(link, h5py.SoftLink):
            path = posixpath.join(posixpath.dirname(path), link.path)
            continue
        if isinstance(link, h5py.ExternalLink):
            path = link.path
        break
    group = dataset.file.get(posixpath.dirname(path))
    return group if isinstance(group, h5py.Group) else None
