"""Plots in a terminal: a curve in braille dots, a map in colours or shades. Pure.

In: numbers. Out: lines of text, at most `width` wide; with ANSI colours only when asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

SHADES = " .:-=+*#%@"
_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], dtype=np.uint16)
_LABEL = 9
_MAX_CURVE_POINTS = 2000
# Dark blue to yellow through green, evenly growing in brightness, in the 256-colour palette.
_PALETTE = (17, 18, 19, 25, 31, 37, 36, 35, 71, 107, 143, 179, 185, 221, 227, 228)


def _label(value: float) -> str:
    return f"{value:.4g}".rjust(_LABEL)[:_LABEL]


def _spread(values: FloatArray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    if high > low:
        return low, high
    pad = abs(low) * 0.1 or 1.0
    return low - pad, high + pad


Range = tuple[float, float]


def _dots(
    xs: FloatArray,
    ys: FloatArray,
    size: tuple[int, int],
    ranges: tuple[Range, Range],
    *,
    joined: bool = True,
) -> npt.NDArray[np.bool_]:
    """Dots set by points, and by the lines between them; NaN is a gap.

    `size` is (width, height) in characters, the result has shape (4 height, 2 width).
    A point that is not joined is a small cross, so that it is seen on a line.
    """
    width, height = size
    canvas = np.zeros((4 * height, 2 * width), dtype=np.bool_)
    good = np.isfinite(xs) & np.isfinite(ys)
    (x0, x1), (y0, y1) = ranges
    columns = (xs - x0) / (x1 - x0) * (2 * width - 1)
    rows = (y1 - ys) / (y1 - y0) * (4 * height - 1)
    places = np.rint(rows[good]).astype(int), np.rint(columns[good]).astype(int)
    canvas[places] = True
    if not joined:
        for down, right in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            near = (
                np.clip(places[0] + down, 0, 4 * height - 1),
                np.clip(places[1] + right, 0, 2 * width - 1),
            )
            canvas[near] = True
        return canvas
    for i in np.flatnonzero(good[:-1] & good[1:]):
        steps = int(max(abs(columns[i + 1] - columns[i]), abs(rows[i + 1] - rows[i]))) + 2
        line_rows = np.rint(np.linspace(rows[i], rows[i + 1], steps)).astype(int)
        line_columns = np.rint(np.linspace(columns[i], columns[i + 1], steps)).astype(int)
        canvas[line_rows, line_columns] = True
    return canvas


def _within(
    x: Sequence[float], y: Sequence[float], x_range: Range, y_range: Range
) -> tuple[FloatArray, FloatArray]:
    """A line, with gaps where it leaves the ranges."""
    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    inside = (xs >= x_range[0]) & (xs <= x_range[1]) & (ys >= y_range[0]) & (ys <= y_range[1])
    return xs, np.where(inside, ys, np.nan)


def curve(
    x: Sequence[float],
    y: Sequence[float],
    *,
    title: str = "",
    x_label: str = "",
    width: int = 80,
    height: int = 10,
    colour: bool = False,
    line: tuple[Sequence[float], Sequence[float]] | None = None,
) -> list[str]:
    """A curve as lines of text: title, `height` rows with the y range at the left, the x range.

    >>> lines = curve([0, 1, 2], [0, 1, 0], title="diode", x_label="samx", height=3)
    >>> len(lines), max(map(len, lines)) <= 80
    (5, True)
    """
    step = max(1, len(x) // _MAX_CURVE_POINTS)
    xs = np.asarray(x[::step], dtype=np.float64)
    ys = np.asarray(y[::step], dtype=np.float64)
    good = np.isfinite(xs) & np.isfinite(ys)
    if not good.any():
        return [title, "(no point to plot)"]
    inner = width - _LABEL - 2
    ranges = (_spread(xs[good]), _spread(ys[good]))
    if line is None:
        dots = _dots(xs, ys, (inner, height), ranges)
    else:  # the model as a line, what was measured as points on it
        drawn = _within(*line, *ranges)
        dots = _dots(*drawn, (inner, height), ranges)
        dots |= _dots(xs, ys, (inner, height), ranges, joined=False)
    cells = dots.reshape(height, 4, inner, 2)
    codes = 0x2800 + np.einsum("hawb,ab->hw", cells.astype(np.uint16), _DOTS)
    (x0, x1), (y0, y1) = ranges
    lines = [" " * (_LABEL + 1) + title]
    for i, row in enumerate(codes):
        text = "".join(map(chr, row.tolist()))
        left = _label(y1) if i == 0 else _label(y0) if i == height - 1 else " " * _LABEL
        lines.append(f"{left}│" + (f"\x1b[36m{text}\x1b[0m" if colour else text.rstrip("⠀")))
    lines.append(_foot(x0, x1, x_label, inner))
    return lines


def _foot(low: float, high: float, label: str, inner: int) -> str:
    """The line below a plot, with both ends of its axis.

    >>> _foot(-1.11e-16, 1.0, "samx", 20).strip()
    '└0       samx       1'
    """
    tiny = 1e-9 * abs(high - low)  # what arithmetic leaves of zero
    low, high = (0.0 if abs(end) < tiny else end for end in (low, high))
    left, right = f"{low:.4g}", f"{high:.4g}"
    middle = label.center(max(0, inner - len(left) - len(right)))
    return (" " * _LABEL + "└" + left + middle + right).rstrip()


def heat_map(
    grid: Sequence[Sequence[float]],
    *,
    title: str = "",
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
    x_label: str = "",
    width: int = 80,
    height: int = 16,
    colour: bool = False,
) -> list[str]:
    """A map as lines of text, the first line of the grid at the bottom; blank where it is NaN.

    >>> heat_map([[0, 1], [2, 3]], title="diode", width=20, height=2)[1][-8:]
    '####@@@@'
    """
    values = np.asarray(grid, dtype=np.float64)
    finite = values[np.isfinite(values)]
    if not finite.size:
        return [title, "(no point to plot)"]
    low, high = _spread(finite)
    rows, columns = values.shape
    height, inner = min(height, rows), width - _LABEL - 2
    wide = max(1, min(inner // columns, 4))
    shown = min(columns, inner)
    picked = values[
        np.ix_(
            np.linspace(rows - 1, 0, height).round().astype(int),
            np.linspace(0, columns - 1, shown).round().astype(int),
        )
    ]
    levels = np.where(np.isfinite(picked), (picked - low) / (high - low), -1.0)
    lines = [" " * (_LABEL + 1) + f"{title}  {low:.4g} to {high:.4g}"]
    for i, row in enumerate(levels.tolist()):
        left = " " * _LABEL
        if y_range is not None and i in (0, height - 1):
            left = _label(y_range[1] if i == 0 else y_range[0])
        lines.append(left + "│" + "".join(_cell(level, wide, colour) for level in row).rstrip())
    if x_range is not None:
        lines.append(_foot(*x_range, x_label, shown * wide))
    return lines


def _cell(level: float, wide: int, colour: bool) -> str:
    if level < 0:
        return " " * wide
    if colour:
        index = min(len(_PALETTE) - 1, int(level * len(_PALETTE)))
        return f"\x1b[48;5;{_PALETTE[index]}m{' ' * wide}\x1b[0m"
    # The lowest level is a dot, not blank: a measured point differs from none.
    return SHADES[min(len(SHADES) - 1, 1 + int(level * (len(SHADES) - 1)))] * wide


def scatter_map(
    x: Sequence[float],
    y: Sequence[float],
    values: Sequence[float],
    *,
    title: str = "",
    x_label: str = "",
    width: int = 80,
    colour: bool = False,
) -> list[str]:
    """A map of points that lie on no grid, e.g. of a spiral; blank where no point is near.

    Each place of the picture shows the value of the nearest point.

    >>> lines = scatter_map([0, 1, 0, 1], [0, 0, 1, 1], [0, 1, 2, 3], title="diode")
    >>> lines[1][10:14], lines[-2][-4:]
    ('####', '====')
    """
    found = np.asarray([x, y, values], dtype=np.float64)
    found = found[:, np.isfinite(found).all(axis=0)]
    if not found.size:
        return [title, "(no point to plot)"]
    x_range, y_range = _spread(found[0]), _spread(found[1])
    inner = width - _LABEL - 2
    columns = max(2, min(inner // 2, _MAP_COLUMNS))
    grid = _nearest(found, x_range, y_range, (_MAP_ROWS, columns))
    return heat_map(
        grid.tolist(), title=title, x_range=x_range, y_range=y_range, x_label=x_label, width=width,
        colour=colour,
    )  # fmt: skip


_MAP_ROWS, _MAP_COLUMNS = 16, 32
_NEAR = 0.8
"""How near a point must be, in distances between points that are spread evenly."""
_MOST_NEAREST = 4000
"""Of more points every so many is looked at: each place has some of its own."""


def _nearest(
    found: FloatArray, x_range: Range, y_range: Range, shape: tuple[int, int]
) -> FloatArray:
    """Values on a grid of `shape`, the lowest y first; NaN where no point is near.

    `found` has x, y and value of each point, shape (3, points).
    """
    rows, columns = shape
    xs = (found[0] - x_range[0]) / (x_range[1] - x_range[0])
    ys = (found[1] - y_range[0]) / (y_range[1] - y_range[0])
    chosen = slice(None, None, max(1, len(xs) // _MOST_NEAREST))
    xs, ys, values = xs[chosen], ys[chosen], found[2][chosen]
    reach = max(_NEAR / max(np.sqrt(len(xs)) - 1.0, 1.0), 0.5 / rows)
    across = (np.arange(columns) + 0.5) / columns
    grid = np.full(shape, np.nan)
    for row in range(rows):
        up = (ys - (row + 0.5) / rows) ** 2
        apart = (xs[None, :] - across[:, None]) ** 2 + up[None, :]
        best = np.argmin(apart, axis=1)
        near = apart[np.arange(columns), best] <= reach**2
        grid[row, near] = values[best[near]]
    return grid
