"""The live table, the progress line and the summary as text, 80 columns wide. Pure.

In: a `RunView`. Out: lines of text without colour.
"""

from __future__ import annotations

import math

from undula.analysis.text import fit_lines
from undula.analysis.view import Column, RunView
from undula.client.queue_text import steered_text
from undula.core.shown import counted, duration_text

WIDTH = 80
_SEQ = 6
_CELL = 11


class TableText:
    """Head and rows of the live table of one run; columns that do not fit are named, not shown."""

    def __init__(self, columns: list[Column], width: int = WIDTH) -> None:
        self._shown: list[tuple[int, int]] = []
        self.left_out: list[str] = []
        used = _SEQ
        self._columns = columns
        for index, column in enumerate(columns):
            wide = max(_CELL, len(column.key), len(column.unit) + 2)
            if used + 1 + wide > width:
                self.left_out.append(column.key)
                continue
            self._shown.append((index, wide))
            used += 1 + wide

    def head(self) -> list[str]:
        """Two lines: names, and units."""
        names, units = "point".rjust(_SEQ), " " * _SEQ
        for index, wide in self._shown:
            column = self._columns[index]
            names += " " + column.key.rjust(wide)
            units += " " + (f"({column.unit})" if column.unit else "").rjust(wide)
        lines = [names] + ([units] if units.strip() else [])
        if self.left_out:
            lines.append(f"not shown: {', '.join(self.left_out)}"[:WIDTH])
        return lines

    def row(self, point: int, values: list[float]) -> str:
        """One row, with the number of its point."""
        cells = (
            # An axis that returns to zero by sums of steps is at 0, not at -2e-16.
            _cell_text(round(values[i], 9) if self._columns[i].axis else values[i]).rjust(wide)
            for i, wide in self._shown
        )
        return f"{point:>{_SEQ}} " + " ".join(cells)


def _cell_text(value: float) -> str:
    if not math.isfinite(value):
        return "-" if math.isnan(value) else str(value)
    if value == int(value) and abs(value) < 1e9:
        return str(int(value))
    return f"{value:.5g}" if abs(value) < 1e-3 or abs(value) >= 1e6 else f"{value:.4f}"


def progress_text(view: RunView, now: float, note: str = "", width: int = WIDTH) -> str:
    """Bar, points and time left; or points and elapsed time when the end is not known."""
    done, total, share = view.done, view.num_points, view.progress
    told = steered_text(*view.steered)
    if total is None or share is None:
        text = f"{counted(done, 'point')}{told}, {duration_text(view.duration_s(now))}"
        return f"{text}  {note}".rstrip()[:width]
    filled = int(share * 24)
    text = f"{'█' * filled}{'░' * (24 - filled)} {done}/{total}{told}"
    left = view.left_s(now)
    if left is not None and done < total:
        text += f"  {duration_text(left)} left"
    return f"{text}  {note}".rstrip()[:width]


def plot_lines(view: RunView, width: int = WIDTH, colour: bool = False) -> list[str]:
    """The plot of the first signal over the fastest axis, or the map of a grid."""
    signal = next(iter(view.signals), None)
    if signal is None or not view.rows:
        return []
    from undula.session.plot import curve, heat_map, scatter_map

    unit = view.unit(signal)
    title = f"{signal} ({unit})" if unit else signal
    label, axis_unit, x = view.x
    x_label = f"{label} ({axis_unit})" if axis_unit else label
    if view.is_map:
        extents = view.start.get("extents") or [None, None]
        slow, fast = (tuple(extents[0] or ()), tuple(extents[1] or ()))
        axes = [column.key for column in view.columns if column.axis]
        return heat_map(
            view.grid(signal),
            title=f"{title} over {' and '.join(axes)}",
            x_range=(fast[0], fast[1]) if fast else None,
            y_range=(slow[0], slow[1]) if slow else None,
            x_label=x_label,
            width=width,
            colour=colour,
        )
    if len(view.rows) < 3:  # two points are a straight line: the table says it better
        return []
    if (keys := view.map_keys) is not None:
        across, up = keys
        return scatter_map(
            view.values(across), view.values(up), view.values(signal),
            title=f"{title} over {up} and {across}", x_label=x_label, width=width, colour=colour,
        )  # fmt: skip
    fit = next((f for f in view.fits if f.signal == signal and f.curve_y), None)
    return curve(
        x, view.values(signal), title=title, x_label=x_label, width=width, colour=colour,
        line=(fit.curve_x, fit.curve_y) if fit is not None else None,
    )  # fmt: skip


def _with_unit(value: float, unit: str) -> str:
    return f"{value:.5g} {unit}".rstrip()


def _peak_place(view: RunView, signal: str) -> str:
    values = [-math.inf if math.isnan(value) else value for value in view.values(signal)]
    row = view.rows[view.kept[values.index(max(values))]]
    places = [
        f"{column.key} = {_with_unit(row[i], column.unit)}"
        for i, column in enumerate(view.columns)
        if column.axis
    ]
    return ", ".join(places)


def _map_lines(view: RunView) -> list[str]:
    """Centre of mass, middle of the half height and widths of a map."""
    found = view.map_stats()
    if found is None:
        return []
    axes = [column for column in view.columns if column.axis]
    lines = []
    for name, values in (("com", found.com), ("cen", found.cen), ("fwhm", found.fwhm)):
        if values is not None:
            shown = ", ".join(
                f"{axis.key} {'= ' if name != 'fwhm' else ''}{_with_unit(value, axis.unit)}"
                for axis, value in zip(axes, values, strict=True)
            )
            lines.append(f"  {name:<8}{shown}")
    return lines


def summary_lines(view: RunView, now: float, path: str | None = None) -> list[str]:
    """The end of a run for people: status, peak, centre of mass, width, file."""
    number = f"run {view.number}" if view.number is not None else "run"
    total = counted(view.num_points or view.done, "point")
    done = f"{view.done} of {total}" if view.num_points else total
    lines = [
        f"{number}: {view.status}, {done}"
        f"{steered_text(*view.steered)}, "
        f"{duration_text(view.duration_s(now))}"
    ]
    if view.stop.get("reason"):
        lines.append(f"  reason  {view.stop['reason']}")
    signal, stats = next(iter(view.signals), None), view.stats()
    if signal is not None and stats is not None:
        axis, unit, _ = view.x
        height = _with_unit(stats.peak[1], view.unit(signal))
        lines.append(f"  peak    {signal} = {height} at {_peak_place(view, signal)}")
        if view.map_keys is None:
            parts = [
                f"{name} {_with_unit(value, unit)}"
                for name, value in (("com", stats.com), ("cen", stats.cen), ("fwhm", stats.fwhm))
                if value is not None
            ]
            if parts:
                lines.append(f"  along {axis}: {', '.join(parts)}")
    lines += _map_lines(view)
    for fit in view.fits:
        lines += fit_lines(fit)
    if path or view.path:
        lines.append(f"  file    {path or view.path}")
    return lines
