"""Room: pipes. Frames that a detector's server sends by ZeroMQ: JSON headers, then the data.

In: multipart messages, as SIMPLON's stream of version 1 has them, and as simpler servers do: one or
more JSON objects, then one part of data. Out: frames. What a header says: `shape` (SIMPLON: x, y;
else as numpy has it), `type` or `dtype`, `frame`, `encoding`; times where there are any.

Source: SIMPLON API 1.8, "Stream"; areaDetector's ADZMQ driver. Not here: the newer CBOR stream.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from undula.core.errors import InputError, WireError
from undula.files import bslz4
from undula.pipes.frame import Compression, Frame
from undula.pipes.nodes.base import Port, parameter
from undula.pipes.nodes.live import LiveSource

WAIT_MS = 50
MOST_BEHIND = 16
"""Messages that may wait in the socket of a sender that waits for us."""
MOST_HEADER_BYTES = 1_000_000
MOST_NUMBER = 2**62
ENDS = ("dseries_end", "series_end", "end")


class ZmqImages(LiveSource):
    """Frames from a ZeroMQ stream: JSON headers followed by the data, as SIMPLON sends them.

    Frames are numbered by the header's `frame`. bitshuffle/LZ4 is decompressed, or handed on with
    `packed`. The end of a series, where the sender tells it, ends the source. With `pull` the
    sender waits for us when we are slow; with `subscribe` it drops frames, whose numbers are then
    missing. A message that makes no sense is left out like those; when the first one does not, the
    source fails.

    Its times: `start_time` of the header, nanoseconds of the detector's clock (SIMPLON), or `time`
    or `timestamp` in s.
    """

    name = "zmq_images"
    outputs = (Port("frames", "frames as they were sent", ndim=None),)
    packing = "packed"
    address: str = parameter("", "of the sender", examples=["tcp://detector:9999"])
    kind: Literal["pull", "subscribe"] = parameter("pull", "how it sends: PUSH or PUB")
    packed: bool = parameter(
        False, "hand bitshuffle/LZ4 frames on as they are, for nodes that take compressed frames"
    )

    @property
    def sender_waits(self) -> bool:
        """One that pushes does, when nobody pulls."""
        return self.kind == "pull"

    def _listen(self) -> None:
        import zmq

        with (
            zmq.Context() as context,
            context.socket(zmq.PULL if self.kind == "pull" else zmq.SUB) as listening,
        ):
            listening.linger = 0
            if self.sender_waits:
                listening.rcvhwm = MOST_BEHIND
            if self.kind == "subscribe":
                listening.subscribe(b"")
            try:
                listening.connect(self.address)
            except zmq.ZMQError as exc:
                raise InputError(
                    f"{self.address!r} cannot be listened to: {exc}",
                    remedy="write an address such as tcp://detector:9999",
                    where=f"{self.name}.address",
                ) from exc
            while not self._stopped.is_set() and not self._over:
                if self.sender_waits and not self._wait_for_room(WAIT_MS / 1000):
                    continue
                if listening.poll(WAIT_MS):
                    self._hear(listening.recv_multipart(copy=False))

    def _hear(self, parts: Sequence[Any]) -> None:
        try:
            header, data = split([part.buffer for part in parts])
            if str(header.get("htype", "")).partition("-")[0] in ENDS:
                self._end()
            if data is None:
                return
            number = self._number(_whole(header, "frame"))
            if not number:
                return
            frame = self._fits(frame_of(header, data, number, packed=self.packed))
        except WireError as exc:
            self._refuse(exc)
            return
        except (ArithmeticError, LookupError, TypeError, ValueError, MemoryError) as exc:
            self._refuse(_nonsense(f"{type(exc).__name__}: {exc}"))
            return
        frame.time = time.time()
        self._put(frame)


def split(parts: Sequence[memoryview]) -> tuple[dict[str, Any], memoryview | None]:
    """All headers of a message as one, and its data; None when it has none. Raises: WireError."""
    header: dict[str, Any] = {}
    data: memoryview | None = None
    if parts and str((_json(parts[0]) or {}).get("htype", "")).startswith("dheader"):
        return header, None  # of the series; it may bring flat field and mask
    for part in parts:
        plain = _json(part)
        if plain is None:
            if data is not None:
                raise _nonsense("it has two parts of data")
            data = part
        else:
            header |= plain
    return header, data


def _json(part: memoryview) -> dict[str, Any] | None:
    if not 2 <= part.nbytes <= MOST_HEADER_BYTES or bytes(part[:1]) != b"{":
        return None
    try:
        found = json.loads(bytes(part))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def frame_of(header: Mapping[str, Any], data: memoryview, number: int, *, packed: bool) -> Frame:
    """The frame that header and data make. Raises: WireError."""
    shape = header.get("shape")
    if not isinstance(shape, list) or not 1 <= len(shape) <= 4:
        raise _nonsense(f"its shape is {shape!r}")
    if not all(type(one) is int and 0 < one < 2**20 for one in shape):
        raise _nonsense(f"its shape is {shape!r}")
    simplon = str(header.get("htype", "")).startswith("d")
    size = tuple(reversed(shape)) if simplon else tuple(shape)  # SIMPLON says x before y
    dtype = _dtype(header.get("type") or header.get("dtype"))
    raw = np.frombuffer(data, np.uint8)
    compression = _compression(str(header.get("encoding") or "<"), dtype)
    at = _hardware_time(header)
    if compression == "bslz4" and packed:
        bslz4.checked(raw, size, dtype)
        return Frame(
            number, raw, trigger=number - 1, hardware_time=at, compression="bslz4",
            shape=size, dtype=dtype,
        )  # fmt: skip
    if compression == "bslz4":
        image = bslz4.decompress(raw, size, dtype)
    elif raw.nbytes != math.prod(size) * dtype.itemsize:
        raise _nonsense(f"{raw.nbytes} bytes are no {size} {dtype}")
    else:
        image = raw.view(dtype).reshape(size)
    return Frame(number, image, trigger=number - 1, hardware_time=at)


def _dtype(name: Any) -> np.dtype[Any]:
    if not isinstance(name, str) or not re.fullmatch(r"[<>=|]?[a-z]+\d{0,2}", name):
        raise _nonsense(f"its type is {name!r}")
    try:
        dtype = np.dtype(name)
    except TypeError as exc:
        raise _nonsense(f"its type is {name!r}") from exc
    if dtype.kind not in "biuf" or not dtype.itemsize:
        raise _nonsense(f"its type is {name!r}")
    return dtype


def _compression(encoding: str, dtype: np.dtype[Any]) -> Compression:
    """SIMPLON writes `bs16-lz4<`: bitshuffled by 16 bits, LZ4, little-endian."""
    if encoding in ("<", "none", "raw"):
        return "none"
    if encoding in (f"bs{8 * dtype.itemsize}-lz4<", "bslz4"):
        return "bslz4"
    raise _nonsense(f"nobody here knows its encoding {encoding!r}; bitshuffle/LZ4 is known")


def _hardware_time(header: Mapping[str, Any]) -> float | None:
    start, at = header.get("start_time"), header.get("time", header.get("timestamp"))
    try:
        if isinstance(start, int | float):
            return start * 1e-9
        return float(at) if isinstance(at, int | float) else None
    except OverflowError as exc:
        raise _nonsense("no clock shows its time") from exc


def _whole(header: Mapping[str, Any], key: str) -> int:
    number = header.get(key)
    if not isinstance(number, int) or abs(number) >= MOST_NUMBER:
        raise _nonsense(f"its {key} is {number!r}")
    return number


def _nonsense(what: str) -> WireError:
    return WireError(
        f"a message of the image stream makes no sense: {what}",
        remedy="set the detector's stream to SIMPLON version 1, or to JSON headers with shape, "
        "type and frame",
    )
