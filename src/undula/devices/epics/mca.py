"""A multichannel analyser: the EPICS mca record with its regions of interest and its times.

In: a record's prefix, regions of interest. Out: a device that is triggered and gives the spectrum,
the counts of each region, real and live time, and the counts corrected for dead time: counts x real
time / live time. Fields as in the mca record's documentation
(epics-modules.github.io/mca/mcaRecord.html). Tried with a simulated analyser
(`undula.testing.counting_ioc`); it has not met a real one yet.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ophyd_async.core import AsyncStatus, StandardReadable, observe_value
from ophyd_async.core import StandardReadableFormat as Format
from ophyd_async.epics.core import epics_signal_r, epics_signal_rw

from undula.core.errors import DeviceError, InputError

MAX_ROIS = 32
SETTING_TIMEOUT_S = 5.0
START_TIMEOUT_S = 2.0
CORRECTED = "corrected"


class Mca(StandardReadable):
    """An mca record, or records that stand for its fields.

    Args:
        prefix: the record, e.g. `X:mca1`.
        rois: name to first and last channel, e.g. `{fe: [180, 220]}`; written to the record.
        preset: which time the count time is: `real` or `live`.
        protocol: `ca` or `pva`.
        separator: between record and field; `:` where records stand for the fields.
    """

    def __init__(
        self,
        prefix: str,
        name: str = "",
        *,
        rois: Mapping[str, Sequence[int]] | None = None,
        preset: Literal["real", "live"] = "real",
        protocol: Literal["ca", "pva"] = "ca",
        separator: str = ".",
    ) -> None:
        self._rois = {roi: (int(low), int(high)) for roi, (low, high) in (rois or {}).items()}
        self._live_preset = preset == "live"
        self._count_time_s = 0.0
        self._check(name)
        base = f"{protocol}://{prefix}{separator}"
        with self.add_children_as_readables(Format.HINTED_UNCACHED_SIGNAL):
            for number, roi in enumerate(self._rois):
                setattr(self, roi, epics_signal_r(None, f"{base}R{number}"))
        with self.add_children_as_readables(Format.UNCACHED_SIGNAL):
            self.spectrum = epics_signal_r(None, f"{base}VAL")
            self.real_time = epics_signal_r(float, f"{base}ERTM")
            self.live_time = epics_signal_r(float, f"{base}ELTM")
        with self.add_children_as_readables(Format.CONFIG_SIGNAL):
            self.offset = epics_signal_rw(float, f"{base}CALO")
            self.slope = epics_signal_rw(float, f"{base}CALS")
            self.quadratic = epics_signal_rw(float, f"{base}CALQ")
            self.energy_unit = epics_signal_rw(str, f"{base}EGU")
        self.preset_real_time = epics_signal_rw(float, f"{base}PRTM")
        self.preset_live_time = epics_signal_rw(float, f"{base}PLTM")
        self.acquiring = epics_signal_r(bool, f"{base}ACQG")
        self.erase_start = epics_signal_rw(bool, f"{base}ERST", wait=False)
        self.stop_acquiring = epics_signal_rw(bool, f"{base}STOP", wait=False)
        for number, roi in enumerate(self._rois):
            setattr(self, f"{roi}_first", epics_signal_rw(int, f"{base}R{number}LO"))
            setattr(self, f"{roi}_last", epics_signal_rw(int, f"{base}R{number}HI"))
        super().__init__(name)

    def _check(self, name: str) -> None:
        if len(self._rois) > MAX_ROIS:
            raise InputError(
                f"{len(self._rois)} regions of interest",
                remedy=f"the record has {MAX_ROIS}",
                device=name,
            )
        for roi, (low, high) in self._rois.items():
            if not roi.isidentifier() or hasattr(type(self), roi) or roi == "spectrum":
                raise InputError(
                    f"{roi!r} is no name for a region of interest",
                    remedy="use letters, digits and _, e.g. fe_ka",
                    device=name,
                )
            if not 0 <= low <= high:
                raise InputError(
                    f"region {roi} goes from channel {low} to {high}",
                    remedy="give the first channel, then the last",
                    device=name,
                )

    def set_name(self, name: str, *, child_name_separator: str | None = None) -> None:
        """Children are called `NAME_roi`."""
        del child_name_separator
        super().set_name(name, child_name_separator="_")

    def set_count_time(self, count_time_s: float) -> None:
        """Acquire for so many seconds at each trigger; 0: as the record is set."""
        if not 0.0 <= count_time_s < math.inf:
            raise InputError(
                f"{count_time_s} s is no count time", remedy="give 0 s or more", device=self.name
            )
        self._count_time_s = count_time_s

    @AsyncStatus.wrap
    async def stage(self) -> None:
        """Take it over: regions and presets as declared, not acquiring."""
        await super().stage()
        await self.restore()

    async def restore(self) -> None:
        """Write regions and presets; again when its IOC was away, perhaps started anew."""
        await self._halt()
        for roi, (low, high) in self._rois.items():
            await getattr(self, f"{roi}_first").set(low, timeout=SETTING_TIMEOUT_S)
            await getattr(self, f"{roi}_last").set(high, timeout=SETTING_TIMEOUT_S)
        if self._count_time_s:
            live = self._count_time_s if self._live_preset else 0.0
            real = 0.0 if self._live_preset else self._count_time_s
            await self.preset_live_time.set(live, timeout=SETTING_TIMEOUT_S)
            await self.preset_real_time.set(real, timeout=SETTING_TIMEOUT_S)

    @AsyncStatus.wrap
    async def unstage(self) -> None:
        """Give it back: an acquisition that goes on ends."""
        await super().unstage()
        await self._halt()

    @AsyncStatus.wrap
    async def trigger(self) -> None:
        """Erase, acquire, and wait for the end. Raises: DeviceError when it does not start."""
        started = asyncio.Event()
        ended = asyncio.ensure_future(self._ended(started))
        try:
            await self.erase_start.set(True)
            try:
                await asyncio.wait_for(started.wait(), START_TIMEOUT_S)
            except TimeoutError:
                if not await self.real_time.get_value():
                    raise DeviceError(
                        f"it did not start to acquire within {START_TIMEOUT_S:g} s",
                        remedy="look at the analyser's panel and its external gate",
                        device=self.name,
                    ) from None
                return  # so short that nobody saw it
            await ended
        finally:
            ended.cancel()

    async def _ended(self, started: asyncio.Event) -> None:
        async for acquiring in observe_value(self.acquiring):
            if acquiring:
                started.set()
            elif started.is_set():
                return

    async def _halt(self) -> None:
        if await self.acquiring.get_value():
            await self.stop_acquiring.set(True)

    async def stop(self, success: bool = False) -> None:
        """Give up an acquisition that is going on."""
        del success
        await asyncio.wait_for(self._halt(), SETTING_TIMEOUT_S)

    # ---- what is read --------------------------------------------------------------------------

    @property
    def hints(self) -> dict[str, Any]:
        """The corrected counts of each region are worth a column; without regions the spectrum."""
        names = [f"{getattr(self, roi).name}_{CORRECTED}" for roi in self._rois]
        return {"fields": names or [self.spectrum.name]}

    async def read(self) -> dict[str, Any]:
        """Spectrum, counts, times; counts corrected for dead time, NaN without live time."""
        reading: dict[str, Any] = dict(await super().read())
        real, live = reading[self.real_time.name], reading[self.live_time.name]
        factor = real["value"] / live["value"] if live["value"] > 0 else math.nan
        dead = 100.0 * (1.0 - 1.0 / factor) if factor else math.nan
        stamp = live["timestamp"]
        reading[f"{self.name}_dead_time"] = {"value": dead, "timestamp": stamp}
        for roi in self._rois:
            key = getattr(self, roi).name
            value = float(reading[key]["value"]) * factor
            reading[f"{key}_{CORRECTED}"] = {"value": value, "timestamp": stamp}
        return reading

    async def describe(self) -> dict[str, Any]:
        """Counts, seconds, percent of dead time."""
        keys: dict[str, Any] = dict(await super().describe())
        own = f"{self.name}_dead_time"
        keys[own] = _number(f"100 (1 - {self.live_time.name} / {self.real_time.name})", "%")
        for roi in self._rois:
            key = getattr(self, roi).name
            keys[key]["units"] = keys[key].get("units") or "counts"
            source = f"{key} {self.real_time.name} / {self.live_time.name}"
            keys[f"{key}_{CORRECTED}"] = _number(source, "counts")
        keys[self.spectrum.name]["units"] = "counts"
        for signal in (self.real_time, self.live_time):
            keys[signal.name]["units"] = "s"
        return keys


def _number(source: str, unit: str) -> dict[str, Any]:
    return {
        "source": f"calculated: {source}",
        "dtype": "number",
        "dtype_numpy": "<f8",
        "shape": [],
        "units": unit,
    }
