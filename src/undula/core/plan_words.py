"""Words that plan files use without importing them: `Points`, `Movable`, `Readable`.

The last two stand in type hints only: `def align(axis: Movable, diode: Readable)` tells which
arguments are devices. A function that is annotated `-> Points` declares its trajectory.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any

from undula.core.errors import InputError
from undula.core.shown import counted


class Movable:
    """In a type hint: the argument is a device that can be moved."""


class Readable:
    """In a type hint: the argument is a device that can be read."""


class Points:
    """A declared trajectory: what a plan returns that lets the engine take its points.

    Args:
        axes: device to its positions, in its unit; all of the same length. Without axes it counts.
        detectors: what is read; None: as for every scan.
        time: count time per point, seconds; None: as the scan was asked for.
        num: number of points when there are no axes.
        relative: positions are counted from where the axes are, and they go back at the end.

    >>> Points({"samx": [0, 1, 4]}).num
    3
    """

    def __init__(
        self,
        axes: Mapping[Any, Sequence[float]] | None = None,
        *,
        detectors: Sequence[Any] | None = None,
        time: float | None = None,
        num: int = 1,
        relative: bool = False,
    ) -> None:
        given = _checked_axes({} if axes is None else axes)
        self.axes = {axis: [float(x) for x in places] for axis, places in given.items()}
        if isinstance(detectors, str) or not isinstance(detectors, Iterable | None):
            raise _wrong("detectors", detectors, "give a list of devices, e.g. [D.diode]")
        self.detectors = None if detectors is None else list(detectors)
        if time is not None and not (_is_number(time) and float(time) >= 0):
            one = "give one count time for all points, seconds, e.g. time=0.1"
            raise _wrong("time", time, one)
        self.time = None if time is None else float(time)
        if not _is_whole(num) or num < 1:
            raise _wrong("num", num, "give a whole number of points, 1 or more")
        self.relative = bool(relative)
        lengths = {len(places) for places in self.axes.values()}
        if len(lengths) > 1 or lengths == {0}:
            raise InputError(
                f"the axes of Points have {sorted(lengths)} positions",
                remedy="give each axis as many positions as the others, 1 or more",
            )
        self.num = lengths.pop() if lengths else int(num)

    def __repr__(self) -> str:
        axes = ", ".join(str(getattr(axis, "name", axis)) for axis in self.axes)
        return f"<{counted(self.num, 'point')} of {axes or 'nothing that moves'}>"


def _checked_axes(axes: Any) -> Mapping[Any, Any]:
    """The axes, each with numbers. Raises: InputError naming what is wrong."""
    if not isinstance(axes, Mapping):
        raise _wrong("axes", axes, "give a dict of axes, e.g. Points({axis: [0, 1, 2]})")
    taken: dict[Any, list[Any]] = {}
    for axis, places in axes.items():
        name = getattr(axis, "name", axis)
        if isinstance(places, str) or not isinstance(places, Iterable):
            raise _wrong(f"{name}", places, "give a list of positions")
        taken[axis] = list(places)
        wrong = [place for place in taken[axis] if not _is_number(place)]
        if wrong:
            raise _wrong(f"a position of {name}", wrong[0], "give finite numbers, in its unit")
    return taken


def _is_number(value: Any) -> bool:
    """A finite number, as a `float` takes it; no text and no list."""
    if isinstance(value, str | bytes):
        return False
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError, OverflowError):
        return False


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _wrong(what: str, value: Any, remedy: str) -> InputError:
    return InputError(f"Points: {what} is {str(value)[:60]}", remedy=remedy)


HINTS: dict[str, type] = {"Movable": Movable, "Readable": Readable, "Points": Points}
"""The names that plan files see."""
