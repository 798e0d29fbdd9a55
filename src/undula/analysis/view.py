"""Room: analysis. A run as it grows: rows, progress, time left, peak statistics. Pure.

In: event-model documents, in order. Out: what a table, a plot and a summary show. No clock, no
output: the caller says what time it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from undula.analysis.measured import fills_area
from undula.analysis.rows import event_rows
from undula.analysis.statistics import MapStats, PeakStats, map_stats, peak_stats
from undula.analysis.steered import (
    STEERING,
    Steered,
    Turn,
    last_rows,
    points_of,
    steered,
    turn_of,
)
from undula.messages import FitResult


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the live table: a scalar data key, its unit, whether an axis moves it."""

    key: str
    unit: str
    axis: bool


class RunView:
    """One run, followed from its start document to its stop document."""

    def __init__(self, number: int | None = None, path: str = "") -> None:
        self.number = number
        self.path = path
        self.start: dict[str, Any] = {}
        self.stop: dict[str, Any] = {}
        self.columns: list[Column] = []
        self.rows: list[list[float]] = []
        self.times: list[float] = []
        self.seq_nums: list[int] = []
        self._primary = self._steering = ""
        self.turns: list[Turn] = []
        """Where rows do not go on with the next point."""
        self._kept: tuple[tuple[int, int], list[int]] = ((0, 0), [])
        self.fits: list[FitResult] = []
        """What was fitted to it so far."""
        self.first: list[str] | None = None
        """Devices or data keys that count first; None: as the start document says."""

    # -- folding ----------------------------------------------------------------------------

    def feed(self, name: str, doc: dict[str, Any]) -> int:
        """Take the next document in; returns how many points of the primary stream it brought."""
        if name == "start":
            self.start = doc
        elif name == "descriptor":
            self._describe(doc)
        elif name in ("event", "event_page") and doc["descriptor"] == self._primary:
            return self._points(name, doc)
        elif name in ("event", "event_page") and doc["descriptor"] == self._steering:
            self.turns += [turn_of(row) for row in event_rows(name, doc)]
        elif name == "stop":
            self.stop = doc
        return 0

    def is_primary(self, doc: dict[str, Any]) -> bool:
        """True for an event document of the primary stream."""
        return doc.get("descriptor") == self._primary

    def _describe(self, doc: dict[str, Any]) -> None:
        if doc.get("name") == STEERING:
            self._steering = doc["uid"]
        if doc.get("name", "primary") != "primary":
            return
        self._primary = doc["uid"]
        keys = doc["data_keys"]
        hinted = [
            key
            for hint in (doc.get("hints") or {}).values()
            for key in hint.get("fields", [])
            if key in keys
        ]
        axes = [key for key in self.axis_keys if key in keys]
        chosen = list(dict.fromkeys([*axes, *(hinted or keys)]))
        self.columns = [
            Column(key, str(keys[key].get("units") or ""), key in axes)
            for key in self._ordered(chosen, axes, doc)
            if not keys[key].get("shape") and keys[key].get("dtype") in ("number", "integer")
        ]

    def _ordered(self, keys: list[str], axes: list[str], doc: dict[str, Any]) -> list[str]:
        """Axes first, then the detectors in the order they were asked for."""
        asked: list[str] = []
        by_object = doc.get("object_keys") or {}
        for device in self.start.get("detectors") or []:
            asked += [key for key in by_object.get(device, []) if key in keys and key not in axes]
        return list(dict.fromkeys([*axes, *asked, *keys]))

    def _points(self, name: str, doc: dict[str, Any]) -> int:
        count = 0
        for row in event_rows(name, doc):
            self.rows.append([_number(row.get(column.key)) for column in self.columns])
            self.times.append(float(row["time"]))
            self.seq_nums.append(int(row["seq_num"]))
            count += 1
        return count

    # -- what it is -------------------------------------------------------------------------

    @property
    def axis_keys(self) -> list[str]:
        """Data keys of the axes, slowest first; empty when nothing moves."""
        dimensions = (self.start.get("hints") or {}).get("dimensions") or []
        keys = [key for fields, stream in dimensions if stream == "primary" for key in fields]
        return [k for k in keys if k != "time"] or list(self.start.get("motors") or [])

    @property
    def num_points(self) -> int | None:
        """Planned number of points; None when the plan cannot know."""
        number = self.start.get("num_points")
        return int(number) if number else None

    @property
    def plan(self) -> str:
        """Plan name."""
        return str(self.start.get("plan_name") or "")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the grid, slowest first; empty or of length 1 when it is none."""
        return tuple(int(n) for n in self.start.get("shape") or ())

    @property
    def is_map(self) -> bool:
        """A grid of two dimensions."""
        return len(self.shape) == 2

    @property
    def map_keys(self) -> tuple[str, str] | None:
        """Data keys of x and y where the points cover an area, on a grid or not; None elsewhere.

        Of a grid x is the fast axis; of other maps, e.g. a spiral, the one named first.
        """
        keys = [column.key for column in self.columns if column.axis]
        if len(keys) != 2:
            return None
        if self.is_map:
            return keys[1], keys[0]
        moved = self.start.get("motors") or []
        if len(self.shape) > 1 or len(moved) != 2:
            return None
        return (keys[0], keys[1]) if fills_area(*map(self.values, keys)) else None

    @property
    def status(self) -> str:
        """`running`, or Bluesky's word for how it ended."""
        return str(self.stop.get("exit_status") or "running")

    @property
    def progress(self) -> float | None:
        """0 to 1; None when the number of points is not known."""
        return None if self.num_points is None else min(1.0, self.done / self.num_points)

    @property
    def steered(self) -> Steered:
        """Rows of points taken again, points left out."""
        return steered(self.turns, len(self.rows))

    @property
    def points(self) -> list[int]:
        """The point of the trajectory that each row is of, from 1."""
        return self.points_since(0)

    def points_since(self, row: int) -> list[int]:
        """The same of the rows from that index on."""
        first = (self.start.get("continues") or {}).get("first_point", 1)
        return points_of(self.turns, self.seq_nums[row:], int(first))

    @property
    def kept(self) -> list[int]:
        """Indices of the rows that count: the last one of each point, in their order."""
        at = len(self.rows), len(self.turns)
        if self._kept[0] != at:
            plain = not self.turns and self.seq_nums == list(range(1, at[0] + 1))
            self._kept = at, list(range(at[0])) if plain else last_rows(self.points)
        return self._kept[1]

    @property
    def done(self) -> int:
        """Distinct points that were taken."""
        return len(self.rows) - self.steered.retaken

    def duration_s(self, now: float) -> float:
        """Seconds since the start, or from start to stop."""
        if not self.start:
            return 0.0
        return max(0.0, float(self.stop.get("time", now)) - float(self.start["time"]))

    def left_s(self, now: float) -> float | None:
        """Seconds left, from the pace so far; None before the second point or without a plan."""
        rows, total = len(self.rows), self.num_points
        if total is None or rows < 2:
            return None
        pace = (self.times[-1] - self.times[0]) / (rows - 1)
        left = total - self.done - self.steered.skipped
        return max(0.0, left * pace - max(0.0, min(pace, now - self.times[-1])))

    # -- numbers ----------------------------------------------------------------------------

    @property
    def signals(self) -> list[str]:
        """Data keys that are shown beside the axes: detectors, then beam monitors, which are
        seldom meant, then positioners, e.g. the blades under a gap."""
        keys = [column.key for column in self.columns if not column.axis]
        first = self.start.get("plotselect") or () if self.first is None else self.first
        places = {str(name): place for place, name in enumerate(first)}
        return sorted(keys, key=lambda key: (self._place(key, places), self._rank(key)))

    def keys_of(self, device: str) -> list[str]:
        """Data keys of a device; a data key stands for itself."""
        about = (self.start.get("devices") or {}).get(device) or {}
        return [device, *about.get("keys", ())]

    def _place(self, key: str, places: dict[str, int]) -> int:
        found = [place for name, place in places.items() if key in self.keys_of(name)]
        return min(found, default=len(places))

    def _rank(self, key: str) -> int:
        about = self.start.get("devices") or {}
        found = [device for device in about.values() if key in device.get("keys", ())]
        if any(device.get("kind") == "positioner" for device in found):
            return 2
        return int(any(device.get("nx_class") == "NXmonitor" for device in found))

    def values(self, key: str) -> list[float]:
        """Values of a column so far, of the rows that count. NaN where a reading had none."""
        index = [column.key for column in self.columns].index(key)
        return [self.rows[row][index] for row in self.kept]

    @property
    def x(self) -> tuple[str, str, list[float]]:
        """Label, unit and values of the fastest axis; seconds since the start without an axis."""
        axes = [column for column in self.columns if column.axis]
        if not axes:
            begin = float(self.start.get("time", self.times[0] if self.times else 0.0))
            return "time", "s", [self.times[row] - begin for row in self.kept]
        # Axes that move together share one dimension: the first is the one a person names first.
        axis = axes[-1] if self.is_map else axes[0]
        return axis.key, axis.unit, self.values(axis.key)

    def unit(self, key: str) -> str:
        """Unit of a column."""
        return next((column.unit for column in self.columns if column.key == key), "")

    def stats(self, signal: str | None = None) -> PeakStats | None:
        """Peak statistics of a signal (None: the first) along the fastest axis."""
        name = signal or next(iter(self.signals), None)
        if name is None or not self.rows or not any(column.axis for column in self.columns):
            return None
        return peak_stats(self.x[2], self.values(name))

    def map_stats(self, signal: str | None = None) -> MapStats | None:
        """Statistics of a map's signal (None: the first); None when it is no map.

        Places are in the order of the axes, slow first.
        """
        name = signal or next(iter(self.signals), None)
        axes = [column.key for column in self.columns if column.axis]
        if name is None or self.map_keys is None:
            return None
        return map_stats(self.values(axes[0]), self.values(axes[1]), self.values(name))

    def grid(self, signal: str) -> list[list[float]]:
        """A map's values, shape (slow, fast), placed by the position that was meant; NaN: not yet.

        Points come in the order of the trajectory; a snaked axis runs back on odd lines.
        """
        slow, fast = self.shape
        snaking = self.start.get("snaking") or [False, False]
        grid = [[math.nan] * fast for _ in range(slow)]
        points = self.points
        for row, value in zip(self.kept, self.values(signal), strict=True):
            line, place = divmod(points[row] - 1, fast)
            if line < slow:
                back = bool(snaking[-1]) and line % 2 == 1
                grid[line][fast - 1 - place if back else place] = value
        return grid


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
