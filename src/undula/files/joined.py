"""Room: files. Runs that continue each other as one data set, in the order of the trajectory.

In: the files of the runs. Out: numpy arrays by data key, as of one run. Called by: `client`. Only
the stream `primary` is joined; every other stream belongs to its run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import Any

import numpy as np

from undula.core.errors import InputError
from undula.core.shown import counted
from undula.files.points import STEERING, Joined, Part, Turns, join
from undula.files.reading import RunData

_PLACES = ("seq_num", "elapsed_time", "time", "point", "run", "retaken")


@dataclass(frozen=True, slots=True)
class RunPart:
    """One run of those that are joined: its number, its file, its first point (from 1)."""

    number: int
    data: RunData
    first_point: int = 1


def part_of(data: RunData, first_point: int = 1) -> Part:
    """What a file tells of the points of its rows; no rows when it has none yet."""
    streams = data.streams()
    seq_num = data["seq_num"] if data.stream_name in streams else []
    return Part(
        seq_num, turns_of(data.stream(STEERING)) if STEERING in streams else Turns(), first_point
    )


def turns_of(stream: RunData) -> Turns:
    """The turns in the stream `steering` of a run."""
    columns = stream.to_dict()
    names = ("action", "point", "row", "next")
    return Turns(*(columns[f"{STEERING}_{name}"].tolist() for name in names))


class JoinedData(RunData):
    """As `RunData`, of several runs: one row a point, the newest; the earlier ones are left out.

    Beside the data keys it has `point` (from 1), `run` (number) and `retaken` (a row of that point
    was replaced). `seq_num` counts the rows from 1. `skipped` are points that people left out,
    `missing` those that are still to be measured, `given_up` those that nobody measures any more.
    Every look reads the files anew.
    """

    def __init__(self, parts: Sequence[RunPart], total: int | None) -> None:
        super().__init__(parts[-1].data.path)
        self.parts = tuple(parts)
        self.total = total

    def __repr__(self) -> str:
        numbers = ", ".join(str(part.number) for part in self.parts)
        return f"<runs {numbers} joined, {counted(len(self), 'point')}: {', '.join(self.keys())}>"

    def _joined(self) -> Joined:
        return join([part_of(p.data, p.first_point) for p in self.parts], self.total)

    @property
    def skipped(self) -> list[int]:
        """Points that people left out, from 1."""
        return list(self._joined().skipped)

    @property
    def missing(self) -> list[int]:
        """Points that are still to be measured, from 1; none of a run that was completed."""
        return list(self._joined().missing)

    @property
    def given_up(self) -> list[int]:
        """Points that nobody measures any more, from 1: skipped, or behind an early end."""
        return list(self._joined().given_up)

    def _with_rows(self) -> list[RunData]:
        found = [p.data for p in self.parts if self.stream_name in p.data.streams()]
        if not found:
            last = self.parts[-1].number
            raise InputError(
                "no point was measured",
                remedy=f"go on with it: undula runs continue {last}"
                if self.missing
                else f"its points were left out on purpose; repeat it: undula runs repeat {last}",
            )
        return found

    def _data_keys(self) -> list[str]:
        """Data keys that all runs with rows have."""
        hidden = {*_PLACES, "replaced"}
        own = [[k for k in data.keys() if k not in hidden] for data in self._with_rows()]  # noqa: SIM118  # not a dict
        return [key for key in own[0] if all(key in keys for keys in own)]

    def keys(self) -> list[str]:
        """Data keys, then `seq_num`, `elapsed_time` (s), `time` (UTC epoch s), and the places."""
        return [*self._data_keys(), *_PLACES]

    def __len__(self) -> int:
        return len(self._joined().point)

    def streams(self) -> list[str]:
        """Only the joined one."""
        return [self.stream_name]

    def stream(self, name: str) -> RunData:
        """The joined stream. Raises: InputError for another one."""
        if name == self.stream_name:
            return self
        raise InputError(
            f"{name!r} is not joined", remedy=f"look at one run: runs[N].data.stream({name!r})"
        )

    def _columns(self, keys: Sequence[str]) -> dict[str, Any]:
        joined = self._joined()
        places: dict[str, Callable[[], Any]] = {
            "seq_num": lambda: np.arange(1, len(joined.point) + 1),
            "point": lambda: joined.point,
            "run": lambda: np.array([p.number for p in self.parts], dtype=np.int64)[joined.part],
            "retaken": lambda: joined.retaken,
        }
        return {
            key: places[key]() if key in places else self._gathered(joined, itemgetter(key))
            for key in keys
        }

    def _gathered(self, joined: Joined, of: Callable[[RunData], Any]) -> Any:
        order = np.argsort(joined.part, kind="stable")
        found = [
            np.asarray(of(part.data))[joined.row[joined.part == i]]
            for i, part in enumerate(self.parts)
            if np.any(joined.part == i)
        ]
        if not found:
            return np.zeros(0)
        values = np.concatenate(found)
        rows = np.empty_like(values)
        rows[order] = values
        return rows

    def __getitem__(self, key: str) -> Any:
        """numpy array, first axis is the point. Raises: InputError for an unknown key."""
        if key not in self.keys():
            raise InputError(
                f"the joined runs have no data key {key!r}",
                remedy=f"choose one of {', '.join(self.keys())}",
            )
        return self._columns([key])[key]

    @property
    def units(self) -> dict[str, str]:
        """Data key to unit."""
        return {**dict.fromkeys(_PLACES, ""), **self._with_rows()[-1].units}

    @property
    def shapes(self) -> dict[str, tuple[int, ...] | None]:
        """Data key to the shape of its array."""
        points, last = len(self), self._with_rows()[-1].shapes
        own = {k: shape and (points, *shape[1:]) for k, shape in last.items()}
        return {k: own.get(k, (points,)) for k in self.keys()}

    @property
    def linked_files(self) -> dict[str, str]:
        """Data keys with frames, to the file of the newest run."""
        return self._with_rows()[-1].linked_files

    @property
    def timestamps(self) -> dict[str, Any]:
        """Data key to device times, UTC epoch s."""
        joined, keys = self._joined(), self._data_keys()
        have: Mapping[str, Any] = self._with_rows()[0].timestamps
        return {
            key: self._gathered(joined, partial(_times_of, key=key)) for key in keys if key in have
        }

    def to_dict(self, *, frames: bool = False) -> dict[str, Any]:
        """All arrays at once, of equal length.

        Args:
            frames: also load what lies in linked files (a detector's frames may be huge).
        """
        linked = () if frames else self.linked_files
        return self._columns([k for k in self.keys() if k not in linked])

    def plot(self) -> dict[str, Any]:
        """The default plot: `signal`, `axes` (names) and `values` (name to array)."""
        found = self._with_rows()[0].plot()
        keys = [k for k in found["values"] if k in self.keys()]
        return {**found, "values": self._columns(keys)} if found["signal"] in keys else found


def _times_of(data: RunData, key: str) -> Any:
    return data.timestamps[key]
