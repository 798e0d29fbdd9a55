"""areaDetector cameras with the HDF5 plugin, by ophyd-async, as devices of a beamline.

In: a prefix; before each run the path of its file (`set_run_path`) and the count time. Out: one
frame a trigger, documents that name it, and `finish_data`, which compares the frame file with the
points of the run. Tried with an IOC that serves the records of ADCore's documentation and writes
real files (`undula.testing.camera_ioc`); none of these classes has met its hardware yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from aioca import caget
from ophyd_async.core import AsyncStatus, StandardDetector, TriggerInfo
from ophyd_async.epics.adandor import AndorDetector as _AndorDetector
from ophyd_async.epics.adaravis import AravisDetector as _AravisDetector
from ophyd_async.epics.adcore import ADWriterFactory, NDFileHDF5IO
from ophyd_async.epics.adkinetix import KinetixDetector as _KinetixDetector
from ophyd_async.epics.admerlin import MerlinDetector as _MerlinDetector
from ophyd_async.epics.adpilatus import PilatusDetector as _PilatusDetector
from ophyd_async.epics.adsimdetector import SimDetector
from ophyd_async.epics.advimba import VimbaDetector as _VimbaDetector

from undula.core.errors import DeviceError, InputError
from undula.core.log import get_logger
from undula.devices.epics.frames import (
    FrameLogic,
    FramePlace,
    missing_frames,
    wait_for_frames,
)
from undula.devices.telling import SILENT, Telling
from undula.messages import FileState

PREVIEW_S = 2.0
OnFailure = Literal["raise", "retry", "buffer"]


class FileCamera(StandardDetector):
    """What every camera of this module adds to ophyd-async's class.

    Args:
        prefix: of the IOC, e.g. `X:CAM:`.
        driver: suffix of the driver, usually `cam1:`.
        writer: suffix of the HDF5 plugin, usually `HDF1:`.
        frame_timeout: seconds that a frame may take beyond its count time.
        file_timeout: seconds that the frame file may take to show all frames.
        at_ioc: folder here to folder as the IOC sees it, e.g. `{/data: /mnt/data}`.
        preview: suffix of the NDStdArrays plugin, usually `image1:`, to see frames live.
    """

    tell: Telling = SILENT
    on_failure: OnFailure = "retry"
    """What a missing frame does: `raise` ends the run, `retry` takes it once more first, `buffer`
    leaves the point without a frame and warns."""

    driver: Any
    hdf: Any

    def __init__(
        self,
        prefix: str,
        name: str = "",
        *,
        driver: str = "cam1:",
        writer: str = "HDF1:",
        frame_timeout: float = 4.0,
        file_timeout: float = 3.0,
        at_ioc: Mapping[str, str] | None = None,
        preview: str = "",
    ) -> None:
        self._preview = f"{prefix}{preview}ArrayData" if preview else ""
        self._place = FramePlace(at_ioc or {})
        self._count_time_s = 0.0
        self._frame_timeout_s, self._file_timeout_s = frame_timeout, file_timeout
        self._prepared: TriggerInfo | None = None
        self._logic: FrameLogic | None = None
        factory = ADWriterFactory(NDFileHDF5IO, writer, "hdf", "", None, self._make_logic)
        super().__init__(prefix, factory, driver_suffix=driver, name=name)

    def _make_logic(self, writer: Any, description: Any, driver: Any, plugins: Any) -> FrameLogic:
        self._logic = FrameLogic(description, self._place, writer, driver, list(plugins))
        return self._logic

    # ---- told before a run ---------------------------------------------------------------------

    def set_run_path(self, path: Path) -> None:
        """A run begins, its file is `path`: the frames go beside it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._place.run = path

    def set_count_time(self, count_time_s: float) -> None:
        """Expose for so many seconds a frame; 0: as the camera is set. Raises: InputError."""
        if not 0.0 <= count_time_s < float("inf"):
            raise InputError(
                f"{count_time_s} s is no count time", remedy="give 0 s or more", device=self.name
            )
        self._count_time_s = count_time_s

    # ---- the run -------------------------------------------------------------------------------

    @AsyncStatus.wrap
    async def stage(self) -> None:
        """Make it ready for a run."""
        await self._reset()
        if self._logic is not None:
            self._logic.files = ()

    async def _reset(self) -> None:
        """Forget what was prepared: the next trigger begins a new frame file."""
        await super().stage()
        self._prepared = None

    async def restore(self) -> None:
        """Its IOC was away, perhaps started anew: write its settings again, begin a new file."""
        if self._prepared is not None:
            await self._reset()

    @AsyncStatus.wrap
    async def trigger(self) -> None:
        """Take one frame. Raises: DeviceError when it does not come."""
        for last in (False, True) if self.on_failure == "retry" else (True,):
            try:
                await self._ready()
                await super().trigger()
                break
            except TimeoutError:
                error = await self._no_frame()
                if last and self.on_failure != "buffer":
                    raise error from None
                get_logger().warning("frame_missing", device=self.name, problem=str(error))
        else:
            return
        try:
            await self._show()
        except Exception as exc:  # e.g. its plugin is off; a frame that is not shown is taken
            get_logger().warning("frame_not_shown", device=self.name, error=str(exc))

    async def _ready(self) -> None:
        info = TriggerInfo(
            livetime=self._count_time_s,
            exposure_timeout=self._count_time_s + self._frame_timeout_s,
        )
        if self._prepared != info:
            await self.prepare(info)
            self._prepared = info
            if self._place.file is not None:
                self.tell.file(self._place.file, "open")

    async def _show(self) -> None:
        """Tell the frame that was taken, when there is a plugin to ask for it."""
        if self._preview and self.tell.wanted("preview"):
            rows, columns = self.driver.array_size_y, self.driver.array_size_x
            shape = (await rows.get_value(), await columns.get_value())
            frame = await caget(self._preview, count=shape[0] * shape[1], timeout=PREVIEW_S)
            if frame.size == shape[0] * shape[1]:
                self.tell.preview(np.asarray(frame).reshape(shape))

    async def _no_frame(self) -> DeviceError:
        counted = await self.hdf.num_captured.get_value()
        state = await self.driver.detector_state.get_value()
        named = self._logic.documents.named if self._logic and self._logic.documents else 0
        return DeviceError(
            f"no frame within {self._frame_timeout_s:g} s after its exposure: expected "
            f"{max(named, counted) + 1} frames in {self._place.file}, its file plugin counted "
            f"{counted}, the camera says {state.value}",
            remedy="look at the camera and at the dropped-frame counters of its plugins",
            device=self.name,
        )

    async def finish_data(self) -> None:
        """Close the frame file and compare it with the points. Raises: DeviceError."""
        if self._logic is None or self._prepared is None:
            return
        await self._logic.stop()
        for path, documents in self._logic.files:
            if not documents.named:
                continue
            dataset = str(documents.resources[0].parameters["dataset"])
            found = await wait_for_frames(path, dataset, documents.named, self._file_timeout_s)
            state: FileState = "missing" if found is None or found < documents.named else "closed"
            self.tell.file(path, state, dataset=dataset, frames=found)
            if state == "missing":
                error = missing_frames(self.name, path, documents.named, found)
                if self.on_failure != "buffer":
                    raise error
                get_logger().warning("frames_missing", device=self.name, problem=str(error))

    async def describe(self) -> dict[str, Any]:
        """The frame's data key; between runs with the size that the camera reports now."""
        if self._prepared is not None:
            return dict(await super().describe())
        y, x = self.driver.array_size_y, self.driver.array_size_x
        shape = [await y.get_value(), await x.get_value()]
        kind = await self.driver.data_type.get_value()
        return {
            self.name: {
                "source": self.driver.array_size_x.source,
                "dtype": "array",
                "dtype_numpy": np.dtype(kind.value.lower()).str,
                "shape": [1, *shape],
                "external": "STREAM:",
            }
        }

    async def read(self) -> dict[str, Any]:
        """Nothing: frames are named by documents of their own. Between runs: nothing either."""
        return {} if self._prepared is None else dict(await super().read())

    async def stop(self, success: bool = False) -> None:
        """Give up the exposure that is going on."""
        del success
        await self.driver.acquire.set(False)


class AreaDetector(FileCamera, SimDetector):
    """Any camera that is triggered by software and needs nothing beyond ADBase and NDFileHDF5."""


class AndorDetector(FileCamera, _AndorDetector):
    """ADAndor. Not yet tried with the hardware."""


class AravisDetector(FileCamera, _AravisDetector):
    """ADAravis. Not yet tried with the hardware."""


class KinetixDetector(FileCamera, _KinetixDetector):
    """ADKinetix. Not yet tried with the hardware."""


class MerlinDetector(FileCamera, _MerlinDetector):
    """ADMerlin. Not yet tried with the hardware."""


class PilatusDetector(FileCamera, _PilatusDetector):
    """ADPilatus. Not yet tried with the hardware."""


class VimbaDetector(FileCamera, _VimbaDetector):
    """ADVimba. Not yet tried with the hardware."""
