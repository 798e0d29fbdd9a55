"""The order in which scattered points are visited, so that the way is short: BEC's three methods.

In: points of two axes, shape (points, 2). Out: the same points in another order.
Source: the meaning of `optim_trajectory` in BEC 4.3, compared with a record of it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from undula.core.errors import InputError
from undula.plans.trajectory import FloatArray

IndexArray = npt.NDArray[np.intp]
METHODS = ("corridor", "shell", "nearest")
TRIES = 5
MOST = 20_000
"""Points that are put in order; the distances of more would take too long."""


def ordered(points: FloatArray, method: str, rising: bool = True) -> FloatArray:
    """The points in the order of `method`.

    Args:
        method: corridor: lanes along the first axis, there and back; shell: rings from the inside
            out; nearest: always to the nearest point that is left.
        rising: whether the first lane rises.
    """
    if len(points) > MOST:
        raise InputError(
            f"{len(points):,} points cannot be put in order", remedy=f"ask for {MOST:,} or fewer"
        )
    if len(points) < 3:
        return points
    if method == "corridor":
        return points[_corridors(points, rising)]
    return points[_shells(points) if method == "shell" else _nearest(points)]


def length(points: FloatArray) -> float:
    """Length of the way through all points.

    >>> length(np.array([[0.0, 0.0], [3.0, 4.0]]))
    5.0
    """
    return float(_steps(points).sum())


def _steps(points: FloatArray) -> FloatArray:
    steps: FloatArray = np.hypot(*np.diff(points, axis=0).T)
    return steps


def _neighbours(points: FloatArray, count: int) -> FloatArray:
    """Distances to the nearest `count` others, shape (points, count), the nearest first."""
    found = []
    for block in np.array_split(points, max(1, len(points) // 500)):
        away = np.hypot(*(block[:, None, :] - points[None, :, :]).transpose(2, 0, 1))
        found.append(np.sort(np.partition(away, count, axis=1)[:, : count + 1], axis=1)[:, 1:])
    return np.vstack(found)


def _corridors(points: FloatArray, rising: bool) -> IndexArray:
    width = 1.5 * float(np.median(_neighbours(points, 1)))
    across = points[:, 1] - points[:, 1].min()
    tried = []
    for size in (width * np.logspace(-0.7, 0.7, TRIES)).tolist():
        if size <= 0:
            continue
        lane = (across / size).astype(int)
        up = np.where((lane % 2 == 0) == rising, 1.0, -1.0)
        tried.append(np.lexsort((up * points[:, 0], lane)))
    return min(tried, key=lambda order: length(points[order]), default=np.arange(len(points)))


def _shells(points: FloatArray) -> IndexArray:
    radius = np.hypot(*points.T)
    spacing = float(np.percentile(_neighbours(points, min(4, len(points) - 1)), 75))
    width = max(2.0 * spacing, float(radius.max()) / np.sqrt(len(points)))
    tried = [_in_shells(points, radius, w) for w in np.linspace(0.7, 1.3, TRIES) * width]

    def cost(order: IndexArray) -> float:
        steps = _steps(points[order])
        return float(0.7 * steps.max() + 0.3 * steps.sum())

    return min(tried, key=cost)


def _in_shells(points: FloatArray, radius: FloatArray, width: float) -> IndexArray:
    shell, angle = np.floor(radius / width).astype(int), np.arctan2(*points.T)
    order: list[IndexArray] = []
    for number in np.unique(shell):
        here = np.flatnonzero(shell == number)
        turn = angle[here]
        if order:  # goes on where the shell inside it ended
            turn = (turn - angle[order[-1][-1]]) % (2 * np.pi)
        order.append(here[np.argsort(turn)])
    return np.concatenate(order)


def _nearest(points: FloatArray) -> IndexArray:
    now = int(np.argmin((points**2).sum(axis=1)))
    left = np.ones(len(points), dtype=bool)
    order = [now]
    for _ in range(len(points) - 1):
        left[now] = False
        away = np.hypot(*(points - points[now]).T)
        away[~left] = np.inf
        now = int(np.argmin(away))
        order.append(now)
    return np.array(order, dtype=np.intp)
