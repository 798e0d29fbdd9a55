"""Arrays of a run's file that xarray reads when they are looked at. Imports xarray.

In: a data key and where its points lie. Out: `xarray.Variable`. The file is opened for each look
and closed again, so that it can be followed while it grows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from xarray import Variable
from xarray.backends import BackendArray
from xarray.core import indexing

from undula.files.reading import know_filters, open_file

if TYPE_CHECKING:
    from undula.client.data import Data


NEAR_BYTES = 1 << 16
"""Rows no further apart are read in one piece: the bytes between them cost less than a look."""


class FileArray(BackendArray):
    """One data key; `rows` says which row of the file is at which place of a grid."""

    def __init__(self, data: Data, key: str, rows: Any | None, points: int) -> None:
        self._data, self._key, self._rows, self._points = data, key, rows, points
        with open_file(data.path) as file:
            node = data.group_of(file)[key]
            text = node.dtype.kind in "OS"
            inner, dtype = tuple(node.shape[1:]), np.dtype(object) if text else node.dtype
        whole = rows is None or bool((rows < points).all())
        self._fill = not whole and not text
        self.shape = ((points,) if rows is None else rows.shape) + inner
        self.dtype = np.result_type(dtype, np.float32) if self._fill else dtype

    def __getitem__(self, key: Any) -> Any:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.OUTER, self._read
        )

    def _read(self, key: tuple[Any, ...]) -> Any:
        outer = 1 if self._rows is None else self._rows.ndim
        inner = key[outer:]
        rows = np.arange(self._points) if self._rows is None else self._rows
        wanted = _outer(rows, key[:outer])
        flat = wanted.reshape(-1)
        there = flat < self._points
        with open_file(self._data.path) as file:
            node = self._data.group_of(file)[self._key]
            found = _take(node, flat[there], inner)
        if there.all():
            return found.reshape(wanted.shape + found.shape[1:])
        shape = (len(flat), *found.shape[1:])
        filled = np.full(shape, np.nan if self._fill else "", dtype=self.dtype)
        filled[there] = found
        return filled.reshape(wanted.shape + shape[1:])


def _outer(array: Any, key: tuple[Any, ...]) -> Any:
    """Each axis indexed by itself: integers drop it, slices and arrays keep it."""
    dropped = 0
    for axis, part in enumerate(key):
        place = (slice(None),) * (axis - dropped)
        array = array[(*place, part)]
        dropped += isinstance(part, int | np.integer)
    return np.asarray(array)


def _take(node: Any, rows: Any, inner: tuple[Any, ...]) -> Any:
    """Rows in any order; what lies together is read together, what lies between is left."""
    know_filters(node)
    source = node.asstr() if node.dtype.kind in "OS" else node
    if not len(rows):
        return _outer(np.empty((0, *node.shape[1:]), dtype=node.dtype), (slice(None), *inner))
    slices = all(isinstance(part, slice) for part in inner)
    wanted, place = np.unique(rows, return_inverse=True)
    size = int(np.prod(node.shape[1:], dtype=np.int64)) * node.dtype.itemsize
    gaps = np.flatnonzero(np.diff(wanted) > max(1, NEAR_BYTES // max(1, size))) + 1
    blocks = []
    for part in np.split(wanted, gaps):
        low, high = int(part[0]), int(part[-1]) + 1
        block = source[(slice(low, high), *inner)] if slices else source[low:high]
        block = block if slices else _outer(block, (slice(None), *inner))
        blocks.append(np.asarray(block)[part - low])
    return np.concatenate(blocks)[place]


def placed(values: Any, rows: Any | None) -> Any:
    """Values by row at the places of a grid; NaN where there is no row."""
    if rows is None:
        return values
    there = rows < len(values)
    if there.all():
        return values[rows]
    if values.dtype.kind in "OSU":
        filled = np.full(rows.shape + values.shape[1:], "", dtype=object)
    else:
        kind = np.result_type(values.dtype, np.float32)
        filled = np.full(rows.shape + values.shape[1:], np.nan, dtype=kind)
    filled[there] = values[rows[there]]
    return filled


def variable_of(array: Any, dims: tuple[str, ...], unit: str) -> Any:
    """A variable over `dims`; a `FileArray` is read when it is looked at."""
    lazy = indexing.LazilyIndexedArray(array) if isinstance(array, FileArray) else array
    return Variable(dims, lazy, {"units": unit} if unit else {})
