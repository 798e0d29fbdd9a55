"""Room: pipes. Frames of an areaDetector, or anything that serves `NTNDArray` by PV Access.

In: updates of one PV. Out: frames, numbered by `uniqueId`, or by the triggers that were given where
it makes the camera take them (`firing` decides when). An update that the server or the network left
out is a number that is missing. Needs the extra `epics`.

Source: EPICS Normative Types, NTNDArray; areaDetector's NDPluginPva and NDPluginCodec; `Acquire` of
its ADBase, whose put is answered when the frames were taken.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from undula.core.errors import ConfigError, DeviceError, InputError, WireError
from undula.files import bslz4
from undula.pipes.frame import Frame
from undula.pipes.nodes.base import Array, Port, parameter
from undula.pipes.nodes.firing import Firing, Value
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

    With `trigger` it makes the camera take a frame for each trigger of a scan, by writing
    `trigger_value` there; the next one is written when the camera has answered the last one and its
    frame came, or did not within 2 s of the answer. Frames are then numbered by their triggers, and
    a frame that nobody asked for, or waits for any more, is left out. `settings`
    are written before the first trigger, and again when the camera was away, `exposure_s` into the
    PV `exposure`. A frame that was asked for before the camera went away is asked for once more,
    behind the settings.

    Host time is that of arrival; hardware time is `dataTimeStamp`.
    """

    name = "pva_images"
    outputs = (Port("frames", "frames as they were served", ndim=None),)
    pv: str = parameter("", "the PV", examples=["13SIM1:Pva1:Image"])
    queue: int = parameter(100, "updates that the server keeps for us", ge=2, le=100_000)
    provider: dict[str, str] = parameter(
        {}, "settings of the PVA client in place of the environment's",
        examples=[{"EPICS_PVA_ADDR_LIST": "10.1.2.3"}],
    )  # fmt: skip
    trigger: str = parameter(
        "", "written for each trigger; empty: others make it take frames",
        examples=["13SIM1:cam1:Acquire"],
    )  # fmt: skip
    trigger_value: int | float | str = parameter(1, "that is written there")
    settings: dict[str, int | float | str] = parameter(
        {}, "values by PV, written beforehand", examples=[{"13SIM1:cam1:ImageMode": "Single"}]
    )
    exposure: str = parameter(
        "", "the PV that takes the exposure time", examples=["13SIM1:cam1:AcquireTime"]
    )
    exposure_s: float | None = parameter(
        None, "exposure time; none: as the camera is set", ge=0, unit="s"
    )

    def clear(self) -> None:
        """Hang up; listen anew when the first frame is asked for."""
        super().clear()
        self._turn = threading.Event()
        self._away_since = 0.0
        self._firing: Firing | None = None
        if self.trigger:
            exposed = {} if self.exposure_s is None else self._exposed()
            self._firing = Firing(self.trigger, self.trigger_value, self.settings | exposed)
        self._up = False
        self._puts = self._in_hand_as = 0
        self._in_hand: Any = None

    def _exposed(self) -> dict[str, Value]:
        if not self.exposure:
            raise InputError(
                "it knows no PV that takes the exposure time",
                remedy="name it, e.g. exposure: X:cam1:AcquireTime",
                where=f"{self.name}.exposure",
            )
        return {self.exposure: self.exposure_s or 0.0}

    @classmethod
    def count_time_s(cls, values: Any) -> float | None:
        """The exposure time of scans that say none, where it has a PV for it."""
        return values.exposure_s if values.exposure else None

    def changed(self, names: frozenset[str]) -> None:
        """Another exposure time holds for the next trigger; another PV: begin anew."""
        if names - {"exposure_s", "frames", "keep_bytes"}:
            self.clear()
        elif "exposure_s" in names and self._firing is not None and self.exposure_s is not None:
            with self._lock:
                for pv, value in self._exposed().items():
                    self._firing.change(pv, value)
            self._turn.set()

    def recall(self, words: Mapping[str, int], made: int) -> None:
        """Number as the one before did, which made frames up to `made`."""
        super().recall(words, made)
        if self._firing is not None:
            self._firing.resume(made)

    def begin_run(self, made: int) -> None:
        """What was asked for before and did not come is not waited for any more."""
        super().begin_run(made)
        if self._firing is not None:
            with self._lock:
                self._firing.resume(made)

    def fire(self, number: int) -> None:
        """Make the camera take frame `number`, if that is for us to do."""
        if self._firing is not None:
            with self._lock:
                self._firing.ask(number)
            self._turn.set()

    @property
    def away(self) -> bool:
        """The PV is not served."""
        return self._thread is not None and not self._up

    @property
    def waits_for(self) -> str:
        """The PV that is not there, or has not answered yet."""
        if self.away:
            if not self._away_since:
                return f"{self.pv}, which nobody serves"
            since = time.strftime("%H:%M:%S", time.localtime(self._away_since))
            return f"{self.pv}, which is not connected since {since}"
        busy = self._firing.busy if self._firing is not None else ""
        return f"{busy}, which has not answered yet" if busy else ""

    def _listen(self) -> None:
        try:
            from p4p.client.raw import Context as Puts
            from p4p.client.thread import Cancelled, Context, Disconnected, RemoteError
        except ImportError as exc:
            raise ConfigError(
                "PV Access is not installed", remedy="pip install 'undula[epics]'", where=self.name
            ) from exc
        conf = dict(self.provider) or None
        with (
            Context("pva", conf=conf, useenv=conf is None, nt=False) as context,
            Puts("pva", conf=conf, useenv=conf is None) as puts,
        ):

            def heard(value: Any) -> None:
                if isinstance(value, Disconnected):  # it is waited for
                    self._lost()
                    return
                if isinstance(value, Cancelled | Exception):
                    self._fault = self._fault or _refused(self.pv, value)
                    return
                self._update(value)

            with context.monitor(
                self.pv, heard, request=f"record[queueSize={self.queue}]field()",
                notify_disconnect=True,
            ):  # fmt: skip
                while not self._stopped.is_set() and not self._over and self._fault is None:
                    self._write(puts, RemoteError)
                    self._turn.wait(POLL_S)
                    self._turn.clear()

    def _write(self, puts: Any, refusal: type[Exception]) -> None:
        """What the camera is to be told next; the client calls back when it is done.

        A put that was cut off is taken back: the client would write it again as soon as the camera
        is there, before its settings.
        """
        if self._in_hand is not None and self._in_hand_as != self._puts:
            self._in_hand.close()
            self._in_hand = None
        with self._lock:
            due = self._firing.put(time.monotonic()) if self._firing is not None else None
            if due is None:
                return
            self._puts += 1
            mine = self._in_hand_as = self._puts
        pv, value = due

        def answered(answer: Any) -> None:
            with self._lock:
                if mine != self._puts or self._firing is None:
                    return  # the camera was away, and another one was made since
                self._firing.answered(pv, time.monotonic())
            if isinstance(answer, refusal):
                self._fault = self._fault or _not_written(pv, value, answer)
            self._turn.set()

        self._in_hand = puts.put(pv, answered, builder=value, request="field()record[block=true]")

    def _lost(self) -> None:
        if self._up:
            self._up, self._away_since = False, time.time()
        if self._firing is not None:
            with self._lock:
                self._firing.lost()
                self._puts += 1  # what is in hand is no more
            self._turn.set()

    def _number_of(self, value: Any) -> int:
        """The number of the frame that an update brings; 0: it is none of ours."""
        unique, stamp = int(value["uniqueId"]), _stamp(value)
        if self._firing is None:
            return self._number(unique, stamp)
        with self._lock:
            number = self._firing.heard((unique, stamp))
        self.before += not number
        return number

    def _update(self, value: Any) -> None:
        self._up = True
        self._turn.set()
        try:
            old, self._armed = self._armed, False
            if _is_empty(value):  # the PV before its first image
                if self._firing is not None:
                    with self._lock:
                        self._firing.heard(None)
                return
            if (
                old and self._firing is None
            ):  # a PV says first what it had before; of triggered frames that is none
                self.before += 1
                return
            number = self._number_of(value)
            if not number:
                return
            frame = self._fits(frame_of(value, number))
        except WireError as exc:
            self._refuse_or_fail(exc)
            return
        except Exception as exc:  # whatever an IOC sent: the client's thread takes none
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
    pixels = math.prod(shape)
    if not codec:
        if data.size != pixels:
            raise _nonsense(f"{data.size} values are no {shape}")
        return data.reshape(shape)
    if codec != "bslz4":
        raise _nonsense(f"nobody here knows its codec {codec!r}; bslz4 and none are known")
    dtype = coded_dtype(int(code), nbytes // max(pixels, 1))
    return bslz4.decompress(bslz4.with_header(data.view(np.uint8), shape, dtype), shape, dtype)


def _not_written(pv: str, value: Value, fault: Any) -> DeviceError:
    return DeviceError(
        f"{pv} does not take {value!r}: {fault}",
        remedy="check the PV's name, what it takes, and its access rights",
    )


def _refused(pv: str, fault: Any) -> DeviceError:
    return DeviceError(
        f"{pv} cannot be heard: {type(fault).__name__}: {fault}",
        remedy="check the PV's name and its access rights",
    )


def _nonsense(what: str) -> WireError:
    return WireError(
        f"an NTNDArray makes no sense: {what}", remedy="check the IOC's PVA and codec plugins"
    )
