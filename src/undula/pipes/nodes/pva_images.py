"""Room: pipes. Frames of an areaDetector, or anything that serves `NTNDArray` by PV Access.

In: updates of one PV. Out: frames, numbered by `uniqueId`. An update that the server or the network
left out is a number that is missing. Needs the extra `epics`.

Source: EPICS Normative Types, NTNDArray; areaDetector's NDPluginPva and NDPluginCodec.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from undula.core.errors import ConfigError, DeviceError, WireError
from undula.files import bslz4
from undula.pipes.frame import Frame
from undula.pipes.nodes.base import Array, Port, parameter
from undula.pipes.nodes.live import LiveSource

POLL_S = 0.05
SCALAR_TYPES = ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8")
ND_TYPES = ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")
"""What a codec's number means: pvData's types in older servers, areaDetector's in newer ones."""


def coded_dtype(code: int, itemsize: int) -> np.dtype[Any]:
    """The dtype that a codec's number means; the size of a value says by which of the two lists.

    Only 1 may be both int8 and uint8; it is taken as uint8, which detectors have.
    Raises: WireError when it is in neither list.

    >>> coded_dtype(6, 2), coded_dtype(3, 2)
    (dtype('uint16'), dtype('uint16'))
    """
    for types in (ND_TYPES, SCALAR_TYPES):
        if 0 <= code < len(types) and np.dtype(types[code]).itemsize == itemsize:
            return np.dtype(types[code])
    raise _nonsense(f"its codec names the type {code} for values of {itemsize} bytes")


class PvaImages(LiveSource):
    """Frames from a PV that serves NTNDArray, as areaDetector's PVA plugin does.

    Frames are numbered by `uniqueId`. Let the camera begin with 1 and say `first: 1`, so that a
    loss before the first frame that comes is known too. Codecs: none, and bslz4, which is
    decompressed. `queue` is how many updates the server keeps for us; what comes beyond is lost
    there, and its number is missing. A PV that is not there is waited for.

    Host time is that of arrival; hardware time is `dataTimeStamp`.
    """

    name = "pva_images"
    outputs = (Port("frames", "frames as they were served", ndim=None),)
    pv: str = parameter("", "the PV", examples=["13SIM1:Pva1:Image"])
    queue: int = parameter(100, "updates that the server keeps for us", ge=1, le=100_000)
    provider: dict[str, str] = parameter(
        {}, "settings of the PVA client in place of the environment's",
        examples=[{"EPICS_PVA_ADDR_LIST": "10.1.2.3"}],
    )  # fmt: skip

    def _listen(self) -> None:
        try:
            from p4p.client.thread import Cancelled, Context, Disconnected
        except ImportError as exc:
            raise ConfigError(
                "PV Access is not installed", remedy="pip install 'undula[epics]'", where=self.name
            ) from exc
        conf = dict(self.provider) or None
        with Context("pva", conf=conf, useenv=conf is None, nt=False) as context:

            def heard(value: Any) -> None:
                if isinstance(value, Disconnected):
                    return  # it is waited for, and says when it is there again
                if isinstance(value, Cancelled | Exception):
                    self._fault = self._fault or _refused(self.pv, value)
                    return
                self._update(value)

            with context.monitor(
                self.pv, heard, request=f"record[queueSize={self.queue}]field()",
                notify_disconnect=True,
            ):  # fmt: skip
                while not self._stopped.is_set() and not self._over and self._fault is None:
                    self._stopped.wait(POLL_S)

    def _update(self, value: Any) -> None:
        try:
            if _is_empty(value):
                return  # the PV before its first image
            old, self._armed = self._armed, False
            if old:  # a PV says first what it had before; of triggered frames that is none
                self.before += 1
                return
            number = self._number(int(value["uniqueId"]), _stamp(value))
            if not number:
                return
            frame = frame_of(value, number)
        except WireError as exc:
            self._refuse_or_fail(exc)
            return
        except (KeyError, TypeError, ValueError) as exc:
            self._refuse_or_fail(_nonsense(f"{type(exc).__name__}: {exc}"))
            return
        frame.time = time.time()
        self._put(frame)

    def _refuse_or_fail(self, exc: WireError) -> None:
        """The client's thread takes no exception: the first one is kept for who takes frames."""
        try:
            self._refuse(exc)
        except WireError as fault:
            self._fault = fault


def _is_empty(value: Any) -> bool:
    return value["value"] is None or not len(value["dimension"])


def _stamp(value: Any) -> tuple[int, int]:
    """By which an image that is served twice is known."""
    stamp = value["dataTimeStamp"]
    return stamp["secondsPastEpoch"], stamp["nanoseconds"]


def frame_of(value: Any, number: int) -> Frame:
    """The frame of an NTNDArray that is not empty. Raises: WireError."""
    shape = tuple(int(one["size"]) for one in reversed(value["dimension"]))
    data = value["value"]
    codec = value["codec"]
    size = int(value["uncompressedSize"])
    image = _image(np.asarray(data), shape, str(codec["name"]), codec["parameters"], size)
    seconds, nanoseconds = _stamp(value)
    at = seconds + 1e-9 * nanoseconds
    return Frame(number, image, trigger=number - 1, hardware_time=at if at > 0 else None)


def _image(data: Array, shape: tuple[int, ...], codec: str, code: Any, nbytes: int) -> Array:
    pixels = int(np.prod(shape))
    if not codec:
        if data.size != pixels:
            raise _nonsense(f"{data.size} values are no {shape}")
        return data.reshape(shape)
    if codec != "bslz4":
        raise _nonsense(f"nobody here knows its codec {codec!r}; bslz4 and none are known")
    dtype = coded_dtype(int(code), nbytes // max(pixels, 1))
    return bslz4.decompress(bslz4.with_header(data.view(np.uint8), shape, dtype), shape, dtype)


def _refused(pv: str, fault: Any) -> DeviceError:
    return DeviceError(
        f"{pv} cannot be heard: {type(fault).__name__}: {fault}",
        remedy="check the PV's name and its access rights",
    )


def _nonsense(what: str) -> WireError:
    return WireError(
        f"an NTNDArray makes no sense: {what}", remedy="check the IOC's PVA and codec plugins"
    )
