"""An areaDetector-like camera that serves its frames by PV Access, in a process of its own.

Written from the public documentation: ADBase and NDPluginPva of ADCore (areadetector.github.io),
EPICS Normative Types (`NTNDArray`). It met no real camera. In: `python -m
undula.testing.pva_camera_ioc PREFIX READY_FD`. Out: `cam1:Acquire`, `cam1:AcquireTime`,
`cam1:ImageMode`, `cam1:NumImages`, `cam1:ArrayCounter_RBV`, and `Pva1:Image`, which is empty until
the first frame. A put to `Acquire` is answered when the frames were taken.

Pixel [0, 0] of a frame is its number since the start; the rest is what `picture` says, plus that
number. Faults by `SIM:Fault`: `lost` (the next frame is taken and not served), `doubled` (it is
served twice), `deaf` (Acquire is answered, and nothing is taken).
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Any

import numpy as np
import numpy.typing as npt

SIZE = 1024
RINGS_PX = (100.0, 220.0, 340.0)
FAULTS = ("none", "lost", "doubled", "deaf")


def picture() -> npt.NDArray[np.uint16]:
    """Rings around the centre, (SIZE, SIZE), counts."""
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    radius = np.hypot(x, y)
    rings = sum(2000 * np.exp(-0.5 * ((radius - at) / 3) ** 2) for at in RINGS_PX)
    return np.asarray(np.rint(10 + rings), np.uint16)


def frame(number: int) -> npt.NDArray[np.uint16]:
    """Frame `number`, as it is served."""
    image = picture() + np.uint16(number)
    image[0, 0] = number
    return image


class Camera:
    """The PVs, and the thread that takes frames."""

    def __init__(self, prefix: str) -> None:
        from p4p.nt import NTEnum, NTNDArray, NTScalar
        from p4p.server.thread import SharedPV

        self._taken = 0
        self._picture = picture()
        self._going = threading.Event()
        self._array = NTNDArray.buildType()

        def setting(kind: Any, initial: Any, put: Any = None) -> Any:
            pv = SharedPV(nt=kind, initial=initial)
            pv.put(put or self._set)
            return pv

        def enum(*choices: str) -> Any:
            return setting(NTEnum(), {"index": 0, "choices": list(choices)})

        self.pvs = {
            "cam1:Acquire": setting(NTScalar("i"), 0, self._acquire),
            "cam1:AcquireTime": setting(NTScalar("d"), 0.001),
            "cam1:ImageMode": enum("Continuous", "Single", "Multiple"),
            "cam1:NumImages": setting(NTScalar("i"), 1),
            "cam1:ArrayCounter_RBV": SharedPV(nt=NTScalar("i"), initial=0),
            "Pva1:Image": SharedPV(nt=None, initial=self._value(None)),
            "SIM:Fault": enum(*FAULTS),
        }
        self.provider = {f"{prefix}{name}": pv for name, pv in self.pvs.items()}

    def _set(self, pv: Any, op: Any) -> None:
        pv.post(op.value())
        op.done()

    def _acquire(self, pv: Any, op: Any) -> None:
        on = bool(int(op.value()))
        if not on or self._going.is_set():
            self._going.clear()
            op.done()
            return
        self._going.set()
        pv.post(1)
        threading.Thread(target=self._take, args=(pv, op), daemon=True).start()

    def _take(self, pv: Any, op: Any) -> None:
        mode = str(self.pvs["cam1:ImageMode"].current())
        left = {"Single": 1, "Multiple": int(self.pvs["cam1:NumImages"].current())}.get(mode, 10**9)
        fault = str(self.pvs["SIM:Fault"].current())
        while left and self._going.is_set() and fault != "deaf":
            time.sleep(float(self.pvs["cam1:AcquireTime"].current()))
            self._taken += 1
            left -= 1
            self._serve("lost" if fault == "lost" else "twice" if fault == "doubled" else "once")
            if fault != "none":
                self.pvs["SIM:Fault"].post(FAULTS[0])
                fault = "none"
        self._going.clear()
        pv.post(0)
        op.done()

    def _serve(self, how: str) -> None:
        self.pvs["cam1:ArrayCounter_RBV"].post(self._taken)
        if how == "lost":
            return
        value = self._value(self._taken)
        for _ in range(2 if how == "twice" else 1):
            self.pvs["Pva1:Image"].post(value)

    def _value(self, number: int | None) -> Any:
        """What NDPluginPva makes of a frame; None: before the first one."""
        from p4p import Value

        value = Value(self._array)
        if number is None:
            return value
        image = self._picture + np.uint16(number)
        image[0, 0] = number
        value["value"] = ("ushortValue", image.ravel())
        value["dimension"] = [{"size": size, "fullSize": size} for size in reversed(image.shape)]
        value["uniqueId"] = number
        value["compressedSize"] = value["uncompressedSize"] = image.nbytes
        now = time.time()
        stamp = {"secondsPastEpoch": int(now), "nanoseconds": int(now % 1 * 1e9)}
        value["dataTimeStamp"] = value["timeStamp"] = stamp
        return value


def main() -> None:
    """Serve `PREFIX` (first argument); write to the descriptor (second argument) when ready."""
    from p4p.server import Server

    camera = Camera(sys.argv[1])
    with Server(providers=[camera.provider]):
        os.write(int(sys.argv[2]), b"1")
        sys.stdin.read()  # until the parent ends
        os._exit(0)  # threads that take frames are not waited for


if __name__ == "__main__":
    main()
