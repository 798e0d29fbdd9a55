"""A trajectory before its scan, drawn in a terminal: its path, and its place in the limits. Pure.

In: what the check of a scan says, limits and units of the axes. Out: lines of text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from undula.client import Accepted
from undula.core.shown import duration_text

Limits = Mapping[str, tuple[tuple[float, float] | None, str]]
"""Name of an axis to its limits, low and high, and its unit."""
MOST_CURVES = 3
HEIGHT = 12


def drawn(checked: Accepted, limits: Limits, width: int, *, colour: bool = False) -> list[str]:
    """All that is known of a scan before it starts, at most `width` wide; nothing is moved."""
    lines = [checked.command]
    for number, part in enumerate(checked.trajectory or [], 1):
        many = len(checked.trajectory or []) > 1 or part["conditions"]
        lines += ["", *(_heading(number, part) if many else [])]
        lines += _picture(part, limits, width, colour)
        lines += [_ruler(axis, part, k, limits, width) for k, axis in enumerate(part["axes"])]
    if not checked.trajectory:
        lines += ["", "  no axis moves" if not checked.axes else "  its points are not known yet"]
    return [*lines, "", *_numbers(checked)]


def _heading(number: int, part: Mapping[str, Any]) -> list[str]:
    at = ", ".join(f"{name} {value:g}" for name, value in part["conditions"].items())
    return [f"run {number}: {part['plan']}" + (f" at {at}" if at else "")]


def _picture(part: Mapping[str, Any], limits: Limits, width: int, colour: bool) -> list[str]:
    from undula.session.plot import curve

    axes, points = part["axes"], part["points"]
    if not part["known"]:
        return ["  its points are found on the way, between these bounds"]
    columns = list(zip(*points, strict=True))
    if len(axes) == 2:
        # a plan names its slow axis first: that one goes upwards
        across, up = _flat_first(columns)
        return curve(
            columns[across], columns[up], title=_label(axes[up], limits),
            x_label=_label(axes[across], limits), width=width, height=HEIGHT, colour=colour,
        )  # fmt: skip
    lines = []
    for k, axis in enumerate(axes[:MOST_CURVES]):
        lines += curve(
            _point_numbers(part), columns[k], title=_label(axis, limits), x_label="point",
            width=width, height=HEIGHT // min(len(axes), 2), colour=colour,
        )  # fmt: skip
    return lines


def _point_numbers(part: Mapping[str, Any]) -> list[int]:
    """Which points of the scan are drawn, from 1: of many only some, evenly.

    >>> _point_numbers({"points": [[0.0], [1.0], [2.0]], "num_points": 201})
    [1, 101, 201]
    """
    drawn_points, total = len(part["points"]), part.get("num_points") or 0
    if total <= drawn_points or drawn_points < 2:
        return list(range(1, drawn_points + 1))
    return [1 + k * (total - 1) // (drawn_points - 1) for k in range(drawn_points)]


def _flat_first(columns: Sequence[Sequence[float]]) -> tuple[int, int]:
    """Which of two axes is drawn across: the one that moves from point to point."""
    moves = [sum(a != b for a, b in pairwise(c)) for c in columns]
    return (1, 0) if moves[1] > moves[0] else (0, 1)


def _label(axis: str, limits: Limits) -> str:
    unit = limits[axis][1] if axis in limits else ""
    return f"{axis} ({unit})" if unit else axis


def _ruler(axis: str, part: Mapping[str, Any], k: int, limits: Limits, width: int) -> str:
    """One axis: its limits, and the range that the scan uses between them.

    >>> part = {"points": [[-5.0], [5.0]]}
    >>> _ruler("samx", part, 0, {"samx": ((-10.0, 10.0), "mm")}, 60)
    '  samx  -10 ├──────━━━━━━━━━━━━━──────┤ 10 mm   scan -5 to 5'
    """
    values = [point[k] for point in part["points"]]
    low, high = min(values), max(values)
    ends, unit = limits.get(axis, (None, ""))
    text = f"scan {low:.6g} to {high:.6g}"
    if ends is None or ends[0] >= ends[1]:
        return f"  {axis}  without limits   {text} {unit}".rstrip()
    left, right = f"  {axis}  {ends[0]:g} ├", f"┤ {ends[1]:g} {unit}".rstrip()
    room = max(10, min(60, width - len(left) - len(right) - len(text) - 3))
    at = [int((v - ends[0]) / (ends[1] - ends[0]) * (room - 1) + 0.5) for v in (low, high)]
    first, last = max(0, at[0]), min(room - 1, at[1])
    bar = "─" * first + "━" * (last - first + 1) + "─" * (room - 1 - last)
    return f"{left}{bar}{right}   {text}"


def _numbers(checked: Accepted) -> list[str]:
    points = "not known" if checked.num_points is None else str(checked.num_points)
    time = "not known" if checked.estimate_s is None else duration_text(checked.estimate_s)
    size = "not known" if checked.data_bytes is None else size_text(checked.data_bytes)
    lines = [f"  points     {points}", f"  estimate   {time}", f"  data       {size}"]
    lines += [f"  detectors  {', '.join(checked.detectors) or 'none'}"]
    lines += [f"  warning    {warning}" for warning in checked.warnings]
    return [*lines, "nothing was moved"]


def size_text(size: int) -> str:
    """A number of bytes for a person.

    >>> size_text(950), size_text(12_345_678)
    ('950 B', '12.3 MB')
    """
    if size < 1000:
        return f"{size} B"
    for unit, scale in (("kB", 1e3), ("MB", 1e6), ("GB", 1e9)):
        if size < 1000 * scale:
            return f"{size / scale:.3g} {unit}"
    return f"{size / 1e12:.3g} TB"


def limits_of(checked: Accepted, info: Callable[[str], Any]) -> Limits:
    """Limits and units of the axes that are drawn.

    Args:
        info: gives the description of a device.
    """
    axes = {axis for part in checked.trajectory or [] for axis in part["axes"]}
    return {axis: (info(axis).limits, info(axis).unit) for axis in axes}
