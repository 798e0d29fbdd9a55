"""The moves of a declared scan: real axes, every point against the limits, how long they take.

In: axes, a trajectory. Out: what is driven, seconds. Touches no axis.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from undula.devices.pseudo_axis import real_moves
from undula.devices.registry import LoadedDevice
from undula.plans import Trajectory
from undula.scans.checked_scan import Driven
from undula.scans.involved import pseudo_of
from undula.scans.limits import check_limits, refuse_read_only

SAMPLED_MOVES = 500
MOVE_MARGIN_S = 10.0


def driven_by(
    axes: Sequence[LoadedDevice], path: Trajectory, origin: Sequence[float]
) -> tuple[list[LoadedDevice], Driven]:
    """The real axes with every point checked against their limits.

    Raises: LimitError naming the point; InputError for a target that a pseudo axis cannot reach.
    """
    moves = real_moves((axis, path.points[:, k]) for k, axis in enumerate(axes))
    over = pseudo_of(axes)
    for axis, targets in moves:
        refuse_read_only(axis)
        check_limits(axis, targets, () if axis in axes else over)
    start = real_moves(zip(axes, origin, strict=True))
    names = tuple(axis.name for axis, _ in moves)
    at = {axis.name: float(place) for axis, place in start}
    points = np.column_stack([np.broadcast_to(t, len(path.points)) for _, t in moves])
    return [axis for axis, _ in moves], Driven(names, points, tuple(at[n] for n in names))


def motion(axes: Sequence[LoadedDevice], driven: Driven) -> tuple[float, float | None]:
    """Expected time of all moves, seconds, and the deadline of a single one (None: unknown)."""
    if driven.points is None:
        return 0.0, None
    legs = np.vstack([np.asarray(driven.origin, dtype=np.float64)[None, :], driven.points])
    chosen = np.unique(np.linspace(0, len(legs) - 2, min(SAMPLED_MOVES, len(legs) - 1)).astype(int))
    total, longest, known = 0.0, 0.0, True
    for i in chosen:
        slowest = 0.0
        for k, axis in enumerate(axes):
            if legs[i][k] == legs[i + 1][k]:
                continue
            duration = axis.move_duration_s(float(legs[i][k]), float(legs[i + 1][k]))
            known = known and duration is not None
            slowest = max(slowest, duration or 0.0)
        total += slowest
        longest = max(longest, slowest)
    # the longest single way bounds moves that were not sampled
    for k, axis in enumerate(axes):
        span = axis.move_duration_s(float(legs[:, k].min()), float(legs[:, k].max()))
        known = known and span is not None
        longest = max(longest, span or 0.0)
    total *= (len(legs) - 1) / max(1, len(chosen))
    return total, (3.0 * longest + MOVE_MARGIN_S if known else None)
