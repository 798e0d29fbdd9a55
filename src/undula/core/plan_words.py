"""Words that plan files use without importing them: `Points`, `Movable`, `Readable`.

The last two stand in type hints only: `def align(axis: Movable, diode: Readable)` tells which
arguments are devices. A function that is annotated `-> Points` declares its trajectory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        self.axes = {axis: [float(x) for x in places] for axis, places in (axes or {}).items()}
        self.detectors = None if detectors is None else list(detectors)
        self.time = time
        self.relative = relative
        lengths = {len(places) for places in self.axes.values()}
        if len(lengths) > 1 or lengths == {0}:
            raise InputError(
                f"the axes of Points have {sorted(lengths)} positions",
                remedy="give each axis as many positions as the others, 1 or more",
            )
        self.num = lengths.pop() if lengths else num

    def __repr__(self) -> str:
        axes = ", ".join(str(getattr(axis, "name", axis)) for axis in self.axes)
        return f"<{counted(self.num, 'point')} of {axes or 'nothing that moves'}>"


HINTS: dict[str, type] = {"Movable": Movable, "Readable": Readable, "Points": Points}
"""The names that plan files see."""
