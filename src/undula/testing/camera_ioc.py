"""An areaDetector-like IOC: the records of a camera driver and its HDF5 plugin, frames on disk.

Written from the public ADCore documentation (areadetector.github.io/areaDetector/ADCore:
ADDriver, NDPluginDriver, NDPluginFile, NDFileHDF5; the `.template` tables there). It met no real
camera. In: `python -m undula.testing.camera_ioc PREFIX READY_FD`. Out: records `cam1:*`, `HDF1:*`
over CA and PVA; an HDF5 file with `/entry/data/data` (frame, row, column), uint16.

Pixel [0, 0] of a frame is its number since the camera was started, so that a test knows which
frame it has. Faults are switched on by the record `SIM:Fault`: `short` (counted, but the last one
is missing from the file), `lost` (one frame does not leave the camera: see `SIM:FaultAt`), `no
file`, `slow` (`SIM:SlowBy` seconds more a frame).
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from undula.testing.soft_ioc import running, serve, wait_on

ROWS, COLUMNS = 24, 32
TEXT_LENGTH = 256
FAULTS = ("none", "lost", "short", "no file", "slow")
DATA_TYPES = (
    "Int8",
    "UInt8",
    "Int16",
    "UInt16",
    "Int32",
    "UInt32",
    "Int64",
    "UInt64",
    "Float32",
    "Float64",
)
COLOR_MODES = ("Mono", "Bayer", "RGB1", "RGB2", "RGB3", "YUV444", "YUV422", "YUV421")
STATES = (
    "Idle",
    "Acquire",
    "Readout",
    "Correct",
    "Saving",
    "Aborting",
    "Error",
    "Waiting",
    "Initializing",
    "Disconnected",
    "Aborted",
)
COMPRESSIONS = ("None", "N-bit", "szip", "zlib", "Blosc", "BSLZ4", "LZ4", "JPEG")
WRITE_MODES = ("Single", "Capture", "Stream")


class Records:
    """Records by name; a setting has a readback `_RBV` that follows it."""

    def __init__(self) -> None:
        from softioc import builder

        self._builder = builder
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        return self._made[name]

    def status(self, name: str, value: Any, choices: tuple[str, ...] = ()) -> None:
        """A record that only the IOC writes."""
        self._made[name] = self._make(name, value, choices, out=False, on_update=None)

    def image(self, name: str, size: int) -> None:
        """NDStdArrays.template: the newest frame as a waveform."""
        self._made[name] = self._builder.WaveformIn(name, length=size, datatype="float64")

    def setting(
        self,
        name: str,
        value: Any,
        choices: tuple[str, ...] = (),
        *,
        readback: bool = True,
        then: Any = None,
    ) -> None:
        """A record that clients write; a put is answered when `then(value)` is done."""
        if readback:
            self.status(f"{name}_RBV", value, choices)

        async def updated(new: Any) -> None:
            result = then(new) if then is not None else None
            if asyncio.iscoroutine(result):
                await result
            if readback:
                self._made[f"{name}_RBV"].set(new)

        self._made[name] = self._make(
            name,
            value,
            choices,
            out=True,
            on_update=updated,
            blocking=True,
        )

    def _make(self, name: str, value: Any, choices: tuple[str, ...], **how: Any) -> Any:
        b, out = self._builder, how.pop("out")
        options = {"always_update": True, **how} if out else {}
        if choices:
            make = b.mbbOut if out else b.mbbIn
            index = choices.index(value)
            if len(choices) == 2:
                make = b.boolOut if out else b.boolIn
                return make(name, *choices, initial_value=index, **options)
            return make(name, *choices, initial_value=index, **options)
        if isinstance(value, bool):
            make = b.boolOut if out else b.boolIn
            return make(name, "No", "Yes", initial_value=int(value), **options)
        if isinstance(value, int):
            return (b.longOut if out else b.longIn)(name, initial_value=value, **options)
        if isinstance(value, float):
            return (b.aOut if out else b.aIn)(name, initial_value=value, PREC=4, **options)
        make = b.longStringOut if out else b.longStringIn
        return make(name, initial_value=value, length=TEXT_LENGTH, **options)


class Camera:
    """The driver and the plugin behind the records."""

    def __init__(self) -> None:
        self.records = Records()
        self._file: Any = None
        self._data: Any = None
        self._captured = 0
        self._taken = 0
        self._capturing = False
        self._array_records("cam1:")
        self._driver_records()
        self._array_records("HDF1:")
        self._plugin_records()
        self.records.image("image1:ArrayData", ROWS * COLUMNS)
        self.records.setting("SIM:Fault", "none", FAULTS, readback=False)
        self.records.setting("SIM:FaultAt", 3, readback=False)
        self.records.setting("SIM:SlowBy", 1.0, readback=False)

    def _array_records(self, part: str) -> None:
        """NDArrayBase.template."""
        r = self.records
        r.status(f"{part}PortName_RBV", "SIM1" if part == "cam1:" else "HDF1")
        r.status(f"{part}UniqueId_RBV", 0)
        r.status(f"{part}ADCoreVersion_RBV", "3.14.0")
        r.status(f"{part}DriverVersion_RBV", "1.0.0")
        for number, size in enumerate((COLUMNS, ROWS, 0)):
            r.status(f"{part}ArraySize{number}_RBV", size)
        r.setting(f"{part}NDAttributesFile", "", readback=False)
        for axis, size in (("X", COLUMNS), ("Y", ROWS), ("Z", 0)):
            r.status(f"{part}ArraySize{axis}_RBV", size)
        r.status(f"{part}DataType_RBV", "UInt16", DATA_TYPES)
        r.status(f"{part}ColorMode_RBV", "Mono", COLOR_MODES)
        r.setting(f"{part}ArrayCounter", 0)
        r.setting(f"{part}ArrayCallbacks", "Enable", ("Disable", "Enable"))

    def _driver_records(self) -> None:
        """ADBase.template."""
        r, part = self.records, "cam1:"
        r.setting(f"{part}AcquireTime", 0.01)
        r.setting(f"{part}AcquirePeriod", 0.01)
        r.setting(f"{part}NumImages", 1)
        r.setting(f"{part}ImageMode", "Single", ("Single", "Multiple", "Continuous"))
        r.status(f"{part}DetectorState_RBV", "Idle", STATES)
        r.status(f"{part}Acquire_RBV", "Done", ("Done", "Acquiring"))
        r.setting(
            f"{part}Acquire",
            "Done",
            ("Done", "Acquiring"),
            readback=False,
            then=self._acquire,
        )
        r.setting(f"{part}WaitForPlugins", False, readback=False)
        words = {"Manufacturer": "Undula", "Model": "simulated", "SerialNumber": "1"}
        for name, text in {**words, "SDKVersion": "1", "FirmwareVersion": "1"}.items():
            r.status(f"{part}{name}_RBV", text)

    def _plugin_records(self) -> None:
        """NDPluginBase.template, NDFile.template, NDFileHDF5.template."""
        r, part = self.records, "HDF1:"
        r.setting(f"{part}NDArrayPort", "SIM1")
        r.setting(f"{part}EnableCallbacks", "Enable", ("Disable", "Enable"))
        r.setting(f"{part}NDArrayAddress", 0)
        r.setting(f"{part}QueueSize", 20)
        r.setting(f"{part}FilePath", "", then=self._path_given)
        r.status(f"{part}FilePathExists_RBV", "No", ("No", "Yes"))
        r.setting(f"{part}FileName", "")
        r.setting(f"{part}FileTemplate", "%s%s.h5")
        r.status(f"{part}FullFileName_RBV", "")
        r.setting(f"{part}FileNumber", 0, readback=False)
        r.setting(f"{part}AutoIncrement", False, readback=False)
        r.setting(f"{part}FileWriteMode", "Single", WRITE_MODES)
        r.setting(f"{part}NumCapture", 0)
        r.status(f"{part}NumCaptured_RBV", 0)
        r.setting(f"{part}Capture", "Done", ("Done", "Capturing"), then=self._capture)
        r.status(f"{part}ArraySize0", COLUMNS)
        r.status(f"{part}ArraySize1", ROWS)
        r.setting(f"{part}CreateDirectory", 0, readback=False)
        r.setting(f"{part}PositionMode", False)
        r.setting(f"{part}Compression", "None", COMPRESSIONS)
        r.setting(f"{part}NumExtraDims", 0)
        r.setting(f"{part}SWMRMode", False)
        r.setting(f"{part}FlushNow", False, readback=False, then=self._flush)
        r.setting(f"{part}XMLFileName", "")
        r.setting(f"{part}NumFramesChunks", 1)
        r.setting(f"{part}ChunkSizeAuto", True)
        r.setting(f"{part}LazyOpen", False)

    @property
    def _fault(self) -> str:
        return FAULTS[int(self.records["SIM:Fault"].get())]

    def _path_given(self, path: str) -> None:
        folder, depth = Path(path), int(self.records["HDF1:CreateDirectory"].get())
        if path and depth:
            folder.mkdir(parents=True, exist_ok=True)
        self.records["HDF1:FilePathExists_RBV"].set(int(bool(path) and folder.is_dir()))

    # ---- the plugin ----------------------------------------------------------------------------

    def _capture(self, on: int) -> None:
        if on and not self._capturing:
            template = str(self.records["HDF1:FileTemplate"].get())
            values = (self.records["HDF1:FilePath"].get(), self.records["HDF1:FileName"].get())
            self.records["HDF1:FullFileName_RBV"].set(template % values)
            self._captured = self._taken = 0
            self.records["HDF1:NumCaptured_RBV"].set(0)
        elif not on and self._file is not None:
            self._shorten()
            self._file.close()
            self._file = self._data = None
        self._capturing = bool(on)

    def _shorten(self) -> None:
        if self._fault == "short" and self._data.shape[0]:
            self._data.resize(self._data.shape[0] - 1, axis=0)

    def _open(self) -> None:
        name = str(self.records["HDF1:FullFileName_RBV"].get())
        self._file = h5py.File(name, "w", libver=("v110", "v110"))
        entry = self._file.create_group("entry")
        entry.attrs["NX_class"] = "NXentry"
        group = entry.create_group("data")
        group.attrs.update({"NX_class": "NXdata", "signal": "data"})
        self._data = group.create_dataset(
            "data", (0, ROWS, COLUMNS), "<u2", maxshape=(None, ROWS, COLUMNS), chunks=(1, 24, 32)
        )
        self._file.swmr_mode = True

    def _write(self, frame: Any) -> None:
        if not self._capturing:
            return
        if self._fault != "no file":
            if self._file is None:
                self._open()
            self._data.resize(self._data.shape[0] + 1, axis=0)
            self._data[-1] = frame
            self._data.flush()
        self._captured += 1
        self.records["HDF1:NumCaptured_RBV"].set(self._captured)

    def _flush(self, _: int) -> None:
        if self._file is not None:
            self._file.flush()

    # ---- the driver ----------------------------------------------------------------------------

    async def _acquire(self, on: int) -> None:
        r = self.records
        if not on:
            return
        r["cam1:Acquire_RBV"].set(1)
        r["cam1:DetectorState_RBV"].set(STATES.index("Acquire"))
        many = int(r["cam1:ImageMode"].get()) != 0
        left = int(r["cam1:NumImages"].get()) if many else 1
        end = "Idle"
        while left > 0 and running(r["cam1:Acquire"]):
            slow_s = float(r["SIM:SlowBy"].get()) if self._fault == "slow" else 0.0
            if not await wait_on(r["cam1:Acquire"], float(r["cam1:AcquireTime"].get()) + slow_s):
                end = "Aborted"
                break
            self._frame()
            left -= 1
        r["cam1:DetectorState_RBV"].set(STATES.index(end))
        r["cam1:Acquire_RBV"].set(0)
        r["cam1:Acquire"].set(0, process=False)

    def _frame(self) -> None:
        self._taken += 1
        if self._fault == "lost" and self._taken == int(self.records["SIM:FaultAt"].get()):
            return
        counter = int(self.records["cam1:ArrayCounter_RBV"].get()) + 1
        self.records["cam1:ArrayCounter_RBV"].set(counter)
        self.records["cam1:ArrayCounter"].set(counter, process=False)
        y, x = np.mgrid[:ROWS, :COLUMNS]
        frame = 1000.0 * np.exp(-((x - 16) ** 2 + (y - 12) ** 2) / 20.0)
        frame = frame.astype("<u2")
        frame[0, 0] = self._taken
        self.records["image1:ArrayData"].set(frame.ravel().astype(float))
        self._write(frame)


def _make() -> None:
    Camera()  # the records hold it


if __name__ == "__main__":
    serve(_make)
