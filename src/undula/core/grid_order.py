"""The order in which the points of a grid are taken: slowest axis first, some to and fro. Pure.

In: the shape of a grid, which of its axes run back on every other line, as `snaking` of a start
document says it. Out: the cell of each point, or the point of each cell. Lines are counted over the
whole grid, as scanspec and Bluesky do.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Whole = npt.NDArray[np.int64]


def cells(points: Whole, shape: Sequence[int], snaking: Sequence[bool]) -> tuple[Whole, ...]:
    """Cell of each point, point numbers from 0 in the order of time, one array an axis.

    >>> cells(np.array([2, 3]), (2, 3), (False, True))
    (array([0, 1]), array([2, 2]))
    """
    found, inner = [], int(np.prod(shape))
    for length, snake in zip(shape, snaking, strict=True):
        inner //= length
        count = points // inner
        index = count % length
        if snake:
            index = np.where((count // length) % 2 == 1, length - 1 - index, index)
        found.append(index)
    return tuple(found)


def point_of_each_cell(shape: Sequence[int], snaking: Sequence[bool]) -> Whole:
    """Number of the point, from 0, that is taken in each cell; an array of the grid's shape.

    >>> point_of_each_cell((2, 3), (False, True)).tolist()
    [[0, 1, 2], [5, 4, 3]]
    """
    points = np.arange(int(np.prod(shape)))
    found = np.empty(tuple(shape), dtype=np.int64)
    found[cells(points, shape, snaking)] = points
    return found
