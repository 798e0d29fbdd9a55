"""Room: files. The NXdata group: what a viewer draws first.

Line scans get soft links to the readings. Maps get arrays of their own, shaped like the map and
filled cell by cell as points come; cells without a point hold NaN, or a fill value and a 0 in
`NAME_valid` for integers. Signals are hinted scalars of the detectors in the order asked for,
beam monitors (NXmonitor) last.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np

from undula.files.columns import Column, StreamTable, fill_value
from undula.files.documents import Device, Document, Grid, KeyLayout, dimensions, grid, h5_name
from undula.files.layout import nx_group
from undula.files.points import Part, Turns


def signals(devices: Sequence[Device], table: StreamTable, axes: set[str]) -> list[str]:
    """Data keys to draw, the first one is `@signal`; arrays only where there is no scalar."""
    drawn = [d for d in devices if d.kind != "positioner"]
    drawn.sort(key=lambda d: d.kind == "monitor")  # a beam monitor is seldom what one looks for
    hinted = [k for d in drawn for k in d.hinted]
    every = [k for d in (*drawn, *devices) for k in d.keys]
    for keys, scalar in ((hinted, True), (every, True), (hinted, False), (every, False)):
        found = [
            k
            for k in dict.fromkeys(keys)
            if k in table.columns
            and k not in axes
            and table.columns[k].layout.numeric
            and table.columns[k].layout.scalar is scalar
        ]
        if found:
            return found if scalar and keys is hinted else found[:1]
    return []


class Plot:
    """The NXdata group of a run and, for a map, its cells."""

    def __init__(
        self, entry: Any, start: Document, devices: Sequence[Device], table: StreamTable
    ) -> None:
        self._table = table
        self.turns = Turns()
        """Where rows do not go on with the next point."""
        self.group = nx_group(entry, "data", "NXdata")
        self._title = str(start.get("command") or start.get("plan_name") or "")
        axes = [
            [k for k in fields if k in table.columns or k == "time"]
            for fields, _ in dimensions(start)
        ]
        axes = [fields for fields in axes if fields]
        if not axes:
            axes = [[d.hinted[0]] for d in devices if d.kind == "positioner" and d.hinted][:1]
        keys = {k for fields in axes for k in fields}
        self.signals = signals(devices, table, keys)
        self.grid: Grid | None = grid(start) if self.signals else None
        self._cells: dict[str, Any] = {}
        self._axes = [fields[0] for fields in axes]
        if self.grid is not None and len(axes) == len(self.grid.shape) and self._all_scalar():
            self._lay_grid(self.grid)
        else:
            self.grid = None
            self._lay_lines(axes)
        self._mark()

    def rebind(self, entry: Any) -> None:
        """Go on in another handle of the same file."""
        self.group = entry["data"]
        self._cells = {key: self.group[h5_name(key)] for key in self._cells}

    @property
    def axis_keys(self) -> list[str]:
        """Data key of each axis, slow first; `time` where nothing was scanned."""
        return list(self._axes) or ["time"]

    def _all_scalar(self) -> bool:
        return all(self._table.columns[k].layout.scalar for k in (*self.signals, *self._axes))

    def _mark(self) -> None:
        if not self.signals:
            return
        self.group.attrs["signal"] = h5_name(self.signals[0])
        if len(self.signals) > 1:
            self.group.attrs["auxiliary_signals"] = [h5_name(k) for k in self.signals[1:]]
        if self._title and "title" not in self.group:
            self.group["title"] = self._title.replace("\0", "")

    def _lay_lines(self, axes: list[list[str]]) -> None:
        stream = self._table.group.name
        for key in self.signals:
            self._link(h5_name(key), f"{stream}/{h5_name(key)}")
        names = []
        for fields in axes:
            for place, key in enumerate(fields):
                own = "elapsed_time" if key == "time" else h5_name(key)
                self._link(own, f"{stream}/{own}")
                self.group.attrs[f"{own}_indices"] = [0]
                if place == 0:
                    names.append(own)
        if not names:
            names = ["elapsed_time"]
            self._link("elapsed_time", f"{stream}/elapsed_time")
            self.group.attrs["elapsed_time_indices"] = [0]
        dims = 1
        if self.signals:
            dims += len(self._table.columns[self.signals[0]].layout.shape)
        if dims > 1:
            names = names[:1] + ["."] * (dims - 1)
        self.group.attrs["axes"] = names

    def draw_external(self, layout: KeyLayout) -> None:
        """Take frames in a linked file as the signal when there is nothing else to draw."""
        name = h5_name(layout.key)
        self._link(name, f"{self._table.group.name}/{name}")
        axes = [str(a) for a in self.group.attrs.get("axes", ["elapsed_time"])]
        self.signals = [layout.key]
        self.group.attrs["axes"] = axes[:1] + ["."] * max(0, layout.frame_dims - 1)
        self._mark()

    def _link(self, name: str, target: str) -> None:
        if name not in self.group:
            self.group[name] = h5py.SoftLink(target)

    def _lay_grid(self, cells: Grid) -> None:
        names = []
        for dim, (key, values) in enumerate(zip(self._axes, cells.axes, strict=True)):
            name = h5_name(key)
            known = np.full(cells.shape[dim], np.nan) if values is None else values
            data = self.group.create_dataset(name, data=known, chunks=known.shape)
            data.attrs["units"] = self._table.columns[key].layout.unit
            self.group.attrs[f"{name}_indices"] = [dim]
            names.append(name)
        self.group.attrs["axes"] = names
        for key in self.signals:
            self._lay_cells(key, self._table.columns[key], cells)

    def _lay_cells(self, key: str, column: Column, cells: Grid) -> None:
        name = h5_name(key)
        chunks = (*([1] * (len(cells.shape) - 1)), cells.shape[-1])
        data = self.group.create_dataset(
            name, cells.shape, column.dtype, chunks=chunks, fillvalue=fill_value(column.dtype)
        )
        data.attrs["units"] = column.layout.unit
        self._cells[key] = data
        if column.dtype.kind in "iub":
            valid = self.group.create_dataset(
                f"{name}_valid", cells.shape, "u1", chunks=chunks, fillvalue=0
            )
            valid.attrs["long_name"] = f"1 where {name} was measured"

    def fill(self, rows: Sequence[int]) -> None:
        """Put freshly written rows into their cells (maps only)."""
        if self.grid is None or not rows:
            return
        first, last = min(rows), max(rows) + 1
        chosen = np.asarray(sorted(set(rows))) - first
        rows_of = Part(self._table.seq_num[first:last][chosen], self.turns)
        points = rows_of.points - 1
        good = (points >= 0) & (points < int(np.prod(self.grid.shape)))
        chosen, points = chosen[good], points[good]
        if not len(points):
            return
        cells = self.grid.indices(points)
        self._fill_axes(first, last, chosen, cells)
        for key, data in self._cells.items():
            values = self._table.columns[key].data[first:last][chosen]
            _scatter(data, cells, values)
            if f"{h5_name(key)}_valid" in self.group:
                _scatter(self.group[f"{h5_name(key)}_valid"], cells, np.ones(len(values), "u1"))

    def _fill_axes(self, first: int, last: int, chosen: Any, cells: tuple[Any, ...]) -> None:
        """Midpoints not known beforehand: from the first reading (shifted whole if relative)."""
        grid_ = self.grid
        if grid_ is None:
            return
        for dim, key in enumerate(self._axes):
            planned = grid_.axes[dim]
            if planned is not None and not (grid_.relative and first == 0):
                continue
            readings = self._table.columns[key].data[first:last][chosen]
            axis = self.group[h5_name(key)]
            if planned is not None:
                axis[:] = planned + (readings[0] - planned[cells[dim][0]])
                continue
            values = axis[:]
            for index, reading in zip(cells[dim], readings, strict=True):
                if np.isnan(values[index]):
                    values[index] = reading
            axis[:] = values

    def refill(self) -> None:
        """At the close: maps of columns that had to be widened are laid anew."""
        if self.grid is None:
            return
        for key in list(self._cells):
            column = self._table.columns[key]
            if self._cells[key].dtype != column.data.dtype:
                for name in (h5_name(key), f"{h5_name(key)}_valid"):
                    if name in self.group:
                        del self.group[name]
                if column.dtype.kind not in "fiub":
                    del self._cells[key]
                    continue
                self._lay_cells(key, column, self.grid)
        self.fill(range(self._table.seq_num.shape[0]))


def _scatter(data: Any, cells: tuple[Any, ...], values: Any) -> None:
    """Write scattered cells; many at once by reading and writing the block around them."""
    block = tuple(slice(int(i.min()), int(i.max()) + 1) for i in cells)
    part = data[block]
    part[tuple(i - s.start for i, s in zip(cells, block, strict=True))] = values
    data[block] = part
