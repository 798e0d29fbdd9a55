"""Room: pipes. One frame, and its descriptor: what travels beside the data. Pure.

In: an array and what is known about it. Out: 112 bytes that describe it on any link, little-endian,
the same for every edge; and back. The data themselves lie in a slot (`link.slab`) or are passed by
reference, and never travel with the descriptor.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from undula.core.errors import WireError
from undula.pipes.errors import PipeError

Array = npt.NDArray[Any]
Compression = Literal["none", "bslz4"]
COMPRESSIONS: tuple[Compression, ...] = ("none", "bslz4")

DESCRIPTOR = struct.Struct("<IBBBB4sI4IQqddQQII24s")
"""Slot, region, flags, compression, dimensions, dtype, frames covered, shape (4), sequence number,
trigger index, hardware time, host time, bytes, first covered, checksum, made again at, stream."""
MAX_DIMENSIONS = 4
MAX_STREAM_BYTES = 24

AGAIN, CHECKED = 1, 2
_FLAGS_AT = 5
_NO_TRIGGER = -1
_NAN = math.nan
_streams: dict[bytes, str] = {}
_names: dict[str, bytes] = {}
_dtypes: dict[bytes, np.dtype[Any]] = {}
_codes: dict[np.dtype[Any], bytes] = {}
MAX_KNOWN = 1000
TICKS_HZ, TICKS = 10_000, 1 << 32
"""When a recorded frame was made again is told in ticks, modulo so many."""


@dataclass(slots=True)
class Frame:
    """An array with its place in a stream.

    Args:
        seq_num: of the frame in its stream, from 1 on; a number that is missing is a frame lost.
        data: the frame, any shape up to 4 dimensions; when compressed, its bytes as uint8.
        stream: name of the stream, e.g. `primary`, at most 24 bytes.
        trigger: which trigger of the run it answers, from 0 on; None when nobody knows.
        time: when the host had it, UTC epoch s.
        hardware_time: when it was taken by the detector's own clock, s; None without one.
        compression: of `data`: `none`, or `bslz4`, a chunk of HDF5's filter 32008.
        shape: of the frame when decompressed; that of `data` by default.
        dtype: of the frame when decompressed; that of `data` by default.
        checksum: CRC-32 of the bytes of `data`, when somebody asked for it.
        first: the first frame that this result covers; `seq_num` is the last one.
        count: how many frames it covers; fewer than the distance says that some are missing.
        again: it may have been handed out before, to one that died.
        replayed: of a recorded frame, when it was made again (`ticks`); 0: it is new.
        slot: where it lies in its link; for the link's own use.

    `data` that come from a link are read-only, and valid until the frame is confirmed.
    """

    seq_num: int
    data: Array
    stream: str = "primary"
    trigger: int | None = None
    time: float = 0.0
    hardware_time: float | None = None
    compression: Compression = "none"
    shape: tuple[int, ...] = ()
    dtype: np.dtype[Any] = field(default_factory=lambda: np.dtype("u1"))
    checksum: int | None = None
    first: int = 0
    count: int = 1
    again: bool = False
    slot: int = -1
    replayed: int = 0

    def __post_init__(self) -> None:
        if self.compression == "none":
            self.shape, self.dtype = self.data.shape, self.data.dtype
        self.first = self.first or self.seq_num

    def age_s(self, now: float) -> float:
        """So long ago the host had it, or made it again, s; `now` in UTC epoch s."""
        if self.replayed:
            return (ticks(now) - self.replayed) % TICKS / TICKS_HZ
        return now - self.time

    def check(self) -> None:
        """Compare the checksum, when there is one. Raises: WireError."""
        if self.checksum is not None and checksum(self.data) != self.checksum:
            raise WireError(
                f"frame {self.seq_num} of {self.stream} is not what was sent: its checksum differs",
                remedy="look for a node that writes into its input, or for faulty memory",
            )


def ticks(now: float) -> int:
    """A time, UTC epoch s, as a frame's `replayed` has it; never 0.

    >>> frame = Frame(1, np.zeros(2), time=5.0, replayed=ticks(1e9))
    >>> frame.age_s(1e9 + 0.25)
    0.25
    """
    return int(now * TICKS_HZ) % TICKS or 1


def checksum(data: Array) -> int:
    """CRC-32 of an array's bytes.

    >>> checksum(np.zeros(4, "u1"))
    558161692
    """
    return zlib.crc32(np.ascontiguousarray(data).view("u1").data)


def dtype_code(dtype: np.dtype[Any]) -> bytes:
    """Four bytes that name a dtype. Raises: PipeError for what has no short name.

    >>> dtype_code(np.dtype("uint16"))
    b'<u2'
    """
    code = _codes.get(dtype)
    if code is None:
        code = dtype.str.encode()
        if (
            dtype.hasobject
            or dtype.fields is not None
            or len(code) > 4
            or dtype.kind not in "biufc"
        ):
            raise PipeError(
                f"a frame cannot have the dtype {dtype}",
                remedy="use a number: bool, int, uint, float or complex",
            )
        _codes[dtype] = code
    return code


def _stream_code(name: str) -> bytes:
    code = _names.get(name)
    if code is None:
        code = name.encode()
        if not 0 < len(code) <= MAX_STREAM_BYTES or b"\0" in code:
            raise PipeError(
                f"{name!r} cannot be the name of a stream",
                remedy=f"use 1 to {MAX_STREAM_BYTES} bytes",
            )
        if len(_names) < MAX_KNOWN:
            _names[name] = code
    return code


def pack(frame: Frame, slot: int, region: int = 0) -> bytes:
    """The descriptor of a frame that lies in `slot`. Raises: PipeError for what has no place."""
    shape: Sequence[int] = frame.shape
    dimensions = len(shape)
    if dimensions == 1:
        a, b, c, d = shape[0], 0, 0, 0
    elif dimensions == 2:
        (a, b), c, d = shape, 0, 0
    elif dimensions <= MAX_DIMENSIONS:
        a, b, c, d = (*shape, 0, 0, 0, 0)[:4]
    else:
        raise PipeError(
            f"a frame of {dimensions} dimensions has no place in a descriptor",
            remedy=f"use {MAX_DIMENSIONS} at most; send the parts one by one",
        )
    flags = (AGAIN if frame.again else 0) | (0 if frame.checksum is None else CHECKED)
    return DESCRIPTOR.pack(
        slot, region, flags, 0 if frame.compression == "none" else 1, dimensions,
        _codes.get(frame.dtype) or dtype_code(frame.dtype), frame.count, a, b, c, d, frame.seq_num,
        _NO_TRIGGER if frame.trigger is None else frame.trigger,
        _NAN if frame.hardware_time is None else frame.hardware_time,
        frame.time, frame.data.nbytes, frame.first, frame.checksum or 0, frame.replayed,
        _names.get(frame.stream) or _stream_code(frame.stream),
    )  # fmt: skip


def marked_again(descriptor: bytes) -> bytes:
    """The same descriptor, of a frame that may have been handed out before."""
    flags = descriptor[_FLAGS_AT] | AGAIN
    return descriptor[:_FLAGS_AT] + bytes([flags]) + descriptor[_FLAGS_AT + 1 :]


def in_slot(descriptor: bytes, slot: int, region: int) -> bytes:
    """The same descriptor for a copy of the frame in another slot."""
    return struct.pack("<IB", slot, region) + descriptor[_FLAGS_AT:]


def _dtype_of(code: bytes) -> np.dtype[Any]:
    try:
        dtype = np.dtype(code.rstrip(b"\0").decode("ascii"))
    except (TypeError, UnicodeDecodeError, ValueError, SyntaxError) as exc:
        raise _wrong(f"{code!r} is no dtype") from exc
    if dtype.kind not in "biufc":
        raise _wrong(f"{code!r} is no dtype of a frame")
    if len(_dtypes) < MAX_KNOWN:
        _dtypes[code] = dtype
    return dtype


def _stream_of(code: bytes) -> str:
    try:
        name = code.rstrip(b"\0").decode()
    except UnicodeDecodeError as exc:
        raise _wrong(f"{code!r} is no name") from exc
    if len(_streams) < MAX_KNOWN:
        _streams[code] = name
    return name


def unpack(fields: tuple[Any, ...], buffer: Any, offset: int, room_bytes: int) -> Frame:
    """The frame that a descriptor speaks of, its data a read-only view into `buffer`.

    Args:
        fields: what `DESCRIPTOR.unpack` gave.
        buffer: the memory that the slots lie in.
        offset: of the slot in it, bytes.
        room_bytes: size of a slot.
    Raises: WireError when the descriptor contradicts itself or the slot.
    """
    (slot, _, flags, compression, dimensions, dtype_text, count, a, b, c, d, seq_num, trigger,
     hardware, host, nbytes, first, check, replayed, stream_text) = fields  # fmt: skip
    dtype = _dtypes.get(dtype_text) or _dtype_of(dtype_text)
    stream = _streams.get(stream_text) or _stream_of(stream_text)
    if nbytes > room_bytes or dimensions > MAX_DIMENSIONS or compression >= len(COMPRESSIONS):
        raise _wrong(f"{nbytes} bytes, {dimensions} dimensions, compression {compression}")
    shape = (a, b, c, d)[:dimensions]
    if compression:
        data: Array = np.ndarray((nbytes,), "u1", buffer, offset)
    else:
        if math.prod(shape) * dtype.itemsize != nbytes:
            raise _wrong(f"shape {shape} of {dtype} is not {nbytes} bytes")
        data = np.ndarray(shape, dtype, buffer, offset)
    return Frame(
        seq_num, data, stream, None if trigger < 0 else trigger, host,
        None if hardware != hardware else hardware, COMPRESSIONS[compression], shape, dtype,  # noqa: PLR0124  # NaN
        check if flags & CHECKED else None, first, count, bool(flags & AGAIN), slot, replayed,
    )  # fmt: skip


def _wrong(what: str) -> WireError:
    return WireError(
        f"a descriptor makes no sense: {what}",
        remedy="let both ends run the same version of Undula",
    )
