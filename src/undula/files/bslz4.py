"""Room: files. Chunks of HDF5's filter 32008, bitshuffle with LZ4, made and read outside HDF5.

In: an array. Out: the bytes that a dataset with that filter keeps for it, and back. The work is
done in the library that `hdf5plugin` brings, which holds neither Python's lock nor HDF5's: several
threads work at once. Such a chunk goes into a file by `write_direct_chunk`, as it is.

Layout: 8 bytes size decompressed, 4 bytes size of a block, both big-endian, then the blocks.
Source: https://github.com/kiyo-masui/bitshuffle, `src/bshuf_h5filter.c` (MIT licence).
"""

from __future__ import annotations

import ctypes
import math
import struct
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from undula.core.errors import StorageError, WireError

FILTER = 32008
OPTIONS = (0, 2)
"""For `create_dataset(compression=..., compression_opts=...)`: block size by default, LZ4."""
_HEADER = struct.Struct(">QI")
MOST_RATIO = 255
"""LZ4 makes nothing smaller than by this: whoever claims more is not believed."""
_MULTIPLE = 8
"""Elements of a block are a multiple of this; the few beyond the last block lie bare."""


@cache
def _library() -> ctypes.CDLL:
    import hdf5plugin

    path = Path(hdf5plugin.PLUGINS_PATH) / "libh5bshuf.so"
    try:
        library = ctypes.CDLL(str(path))
        size, pointer = ctypes.c_size_t, ctypes.c_void_p
        for name, arguments, found in (
            ("bshuf_default_block_size", (size,), size),
            ("bshuf_compress_lz4_bound", (size, size, size), size),
            ("bshuf_compress_lz4", (pointer, pointer, size, size, size), ctypes.c_int64),
            ("bshuf_decompress_lz4", (pointer, pointer, size, size, size), ctypes.c_int64),
        ):
            function = getattr(library, name)
            function.argtypes, function.restype = arguments, found
    except (OSError, AttributeError) as exc:
        raise StorageError(
            f"bitshuffle/LZ4 is not to be had from {path}: {exc}",
            remedy="install hdf5plugin from its wheel; or write without compression",
        ) from exc
    return library


def bound_bytes(shape: tuple[int, ...], dtype: npt.DTypeLike) -> int:
    """How large the chunk of such an array may become at most, bytes."""
    size, elements = np.dtype(dtype).itemsize, int(np.prod(shape, dtype=np.int64))
    return _HEADER.size + int(_library().bshuf_compress_lz4_bound(elements, size, 0))


def compress(
    data: npt.NDArray[Any], out: npt.NDArray[np.uint8] | None = None
) -> npt.NDArray[np.uint8]:
    """The chunk of an array, as uint8; a part of `out` when that is given and large enough.

    >>> data = np.arange(1000, dtype="u2").reshape(20, 50)
    >>> bool((decompress(compress(data), data.shape, data.dtype) == data).all())
    True
    """
    library = _library()
    bare = np.ascontiguousarray(data)
    size = bare.dtype.itemsize
    block = int(library.bshuf_default_block_size(size))
    if out is None or out.nbytes < bound_bytes(bare.shape, bare.dtype):
        out = np.empty(bound_bytes(bare.shape, bare.dtype), np.uint8)
    out[: _HEADER.size] = np.frombuffer(_HEADER.pack(bare.nbytes, block * size), np.uint8)
    made = library.bshuf_compress_lz4(
        bare.ctypes.data, out.ctypes.data + _HEADER.size, bare.size, size, block
    )
    if made < 0:
        raise StorageError(
            f"bitshuffle/LZ4 gave {made} for {bare.shape} {bare.dtype}",
            remedy="report this; write without compression meanwhile",
        )
    return out[: _HEADER.size + made]


def with_header(
    blocks: npt.NDArray[np.uint8], shape: tuple[int, ...], dtype: npt.DTypeLike
) -> npt.NDArray[np.uint8]:
    """The chunk of bare blocks of the default size, as areaDetector's codec plugin makes them.

    Raises: WireError when so few bytes cannot be such an array.
    """
    size = np.dtype(dtype).itemsize
    total = math.prod(shape) * size
    if not 0 <= total <= MOST_RATIO * (blocks.size + _HEADER.size):
        raise _no_chunk(blocks, shape, dtype)
    block = int(_library().bshuf_default_block_size(size))
    header = np.frombuffer(_HEADER.pack(total, block * size), np.uint8)
    return np.concatenate([header, blocks])


def checked(chunk: npt.NDArray[np.uint8], shape: tuple[int, ...], dtype: npt.DTypeLike) -> int:
    """Elements of a block of a chunk of such an array, of which nothing is allocated yet.

    Raises: WireError when the chunk, as long as it is, cannot be one of such an array.
    """
    size, elements = np.dtype(dtype).itemsize, math.prod(shape)
    total, block_bytes = -1, 0
    if chunk.size >= _HEADER.size:
        total, block_bytes = _HEADER.unpack(chunk[: _HEADER.size].tobytes())
    block: int = block_bytes // size
    fits = min(shape, default=1) >= 0 and total == elements * size <= MOST_RATIO * chunk.size
    if not fits or block <= 0 or block % _MULTIPLE or not _whole(chunk, elements, size, block):
        raise _no_chunk(chunk, shape, dtype)
    return block


def decompress(
    chunk: npt.NDArray[np.uint8], shape: tuple[int, ...], dtype: npt.DTypeLike
) -> npt.NDArray[Any]:
    """The array of a chunk. Raises: WireError when the chunk cannot be one of such an array."""
    chunk = np.ascontiguousarray(chunk)
    block = checked(chunk, shape, dtype)
    out = np.empty(shape, dtype)
    used = _library().bshuf_decompress_lz4(
        chunk.ctypes.data + _HEADER.size, out.ctypes.data, out.size, out.dtype.itemsize, block
    )
    if used < 0 or used > chunk.size - _HEADER.size:
        raise WireError(
            f"a bitshuffle/LZ4 chunk of {shape} {out.dtype} is damaged (code {used})",
            remedy="look for a damaged file, or for a node that writes into its input",
        )
    return out


def _no_chunk(
    chunk: npt.NDArray[np.uint8], shape: tuple[int, ...], dtype: npt.DTypeLike
) -> WireError:
    return WireError(
        f"{chunk.size} bytes are no bitshuffle/LZ4 chunk of {shape} {np.dtype(dtype)}",
        remedy="look for a source that says a wrong shape, or for a damaged file",
    )


def _whole(chunk: npt.NDArray[np.uint8], elements: int, size: int, block: int) -> bool:
    """Whether the blocks end where the chunk does: the library itself reads without a bound."""
    whole, rest = divmod(elements, block)
    blocks = whole + (1 if rest >= _MULTIPLE else 0)
    at = _HEADER.size
    view = chunk.data
    for _ in range(blocks):
        if at + 4 > chunk.size:
            return False
        at += 4 + int.from_bytes(view[at : at + 4], "big")
    return at + (elements % _MULTIPLE) * size == chunk.size
