"""A counting card: the EPICS scaler record, over Channel Access or PV Access, by ophyd-async.

In: a record's prefix, names for its channels, presets. Out: a device that is triggered, counts for
the count time (or until a preset is reached) and is read by channel name. Fields as in the scaler
record's documentation (epics-modules.github.io/scaler/scalerRecord.html). Tried with a simulated
card (`undula.testing.counting_ioc`); it has not met a real one yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Literal

from aioca import caput
from ophyd_async.core import AsyncStatus, StandardReadable, non_zero
from ophyd_async.core import StandardReadableFormat as Format
from ophyd_async.epics.core import epics_signal_r, epics_signal_rw

from undula.core.errors import DeviceError, InputError
from undula.devices.epics.channels import ANSWER_S, readings, value_of

Protocol = Literal["ca", "pva"]
CLOCK = 1
MAX_CHANNELS = 64
SETTING_TIMEOUT_S = 5.0


class Scaler(StandardReadable):
    """A scaler record, or records that stand for its fields.

    Args:
        prefix: the record, e.g. `X:scaler1`.
        channels: name to channel number; channel 1 is the clock. `{i0: 2}` reads as `NAME_i0`.
        presets: channel name to counts: counting ends when the first of them is reached.
        protocol: `ca` or `pva`.
        separator: between record and field; `:` where records stand for the fields.
    """

    def __init__(
        self,
        prefix: str,
        name: str = "",
        *,
        channels: Mapping[str, int],
        presets: Mapping[str, float] | None = None,
        protocol: Protocol = "ca",
        separator: str = ".",
    ) -> None:
        self._channels = dict(channels)
        self._presets = dict(presets or {})
        self._count_time_s = 0.0
        self._auto_count = False
        self._check(name)
        base = f"{protocol}://{prefix}{separator}"
        self._direct = prefix + separator if protocol == "ca" else ""
        with self.add_children_as_readables(Format.HINTED_UNCACHED_SIGNAL):
            for channel, number in self._channels.items():
                setattr(self, channel, epics_signal_r(None, f"{base}S{number}"))
        with self.add_children_as_readables(Format.UNCACHED_SIGNAL):
            self.elapsed = epics_signal_r(float, f"{base}T")
        with self.add_children_as_readables(Format.CONFIG_SIGNAL):
            self.frequency = epics_signal_rw(float, f"{base}FREQ")
            self.preset_time = epics_signal_rw(float, f"{base}TP")
        self.count = epics_signal_rw(bool, f"{base}CNT", wait=non_zero)
        self.continuous = epics_signal_rw(bool, f"{base}CONT")
        numbers = sorted({CLOCK, *self._channels.values()})
        self._gates = {n: epics_signal_rw(bool, f"{base}G{n}") for n in numbers}
        self._limits = {n: epics_signal_rw(None, f"{base}PR{n}") for n in numbers}
        for n in numbers:
            setattr(self, f"gate_{n}", self._gates[n])
            setattr(self, f"preset_{n}", self._limits[n])
        super().__init__(name)

    def _place(self, channel: str) -> str:
        """PV of a channel over Channel Access."""
        return f"{self._direct}S{self._channels[channel]}"

    def _check(self, name: str) -> None:
        for channel, number in self._channels.items():
            if not channel.isidentifier() or hasattr(type(self), channel):
                raise InputError(
                    f"{channel!r} is no name for a channel",
                    remedy="use letters, digits and _, e.g. i0",
                    device=name,
                )
            if not 1 <= number <= MAX_CHANNELS:
                raise InputError(
                    f"channel {channel} has number {number}",
                    remedy=f"give 1..{MAX_CHANNELS}",
                    device=name,
                )
        for channel in self._presets:
            if channel not in self._channels:
                raise InputError(
                    f"presets names {channel!r}",
                    remedy=f"choose one of {', '.join(self._channels)}",
                    device=name,
                )

    def set_name(self, name: str, *, child_name_separator: str | None = None) -> None:
        """Children are called `NAME_channel`."""
        del child_name_separator
        super().set_name(name, child_name_separator="_")

    def set_count_time(self, count_time_s: float) -> None:
        """Count for so many seconds at each trigger; 0: as the card is set. Raises: InputError."""
        if not 0.0 <= count_time_s < float("inf"):
            raise InputError(
                f"{count_time_s} s is no count time", remedy="give 0 s or more", device=self.name
            )
        self._count_time_s = count_time_s

    @AsyncStatus.wrap
    async def stage(self) -> None:
        """Take the card over: no counting by itself, gates and presets as declared."""
        await super().stage()
        self._auto_count = bool(await self.continuous.get_value())
        await self.restore()

    async def restore(self) -> None:
        """Write gates and presets; again when its IOC was away, perhaps started anew."""
        await self.continuous.set(False, timeout=SETTING_TIMEOUT_S)
        await self._stop_counting()
        wanted = {self._channels[c]: value for c, value in self._presets.items()}
        if self._count_time_s:
            await self.preset_time.set(self._count_time_s, timeout=SETTING_TIMEOUT_S)
        for number, gate in self._gates.items():
            if number == CLOCK and CLOCK not in wanted:
                # without a time and without presets the card's own time preset holds
                on = bool(self._count_time_s) or not wanted
            else:
                on = number in wanted
            await gate.set(on, timeout=SETTING_TIMEOUT_S)
            if number in wanted:
                await self._limits[number].set(wanted[number], timeout=SETTING_TIMEOUT_S)

    @AsyncStatus.wrap
    async def unstage(self) -> None:
        """Give the card back: a count that goes on ends; it counts by itself as before."""
        await super().unstage()
        await self._stop_counting()
        if self._auto_count:
            await self.continuous.set(True, timeout=SETTING_TIMEOUT_S)

    @AsyncStatus.wrap
    async def trigger(self) -> None:
        """Count; done when the record says so. Raises: DeviceError when it does not."""
        if self._direct:
            await caput(self._direct + "CNT", 1, wait=True, timeout=None)
            async with asyncio.timeout(ANSWER_S):
                busy = await value_of(self._direct + "CNT")
        else:
            await self.count.set(True, timeout=None)
            busy = await self.count.get_value()
        if busy:
            raise DeviceError(
                "it still counts although it said that it was done",
                remedy="look at the scaler's panel: somebody else may have started it",
                device=self.name,
            )

    async def _stop_counting(self) -> None:
        if await self.count.get_value():
            await self.count.set(False)

    async def stop(self, success: bool = False) -> None:
        """Give up a count that is going on."""
        del success
        await asyncio.wait_for(self._stop_counting(), SETTING_TIMEOUT_S)

    @property
    def hints(self) -> dict[str, Any]:
        """All channels but the clock are worth a column, in the order of the device file."""
        drawn = [c for c, number in self._channels.items() if number != CLOCK]
        return {"fields": [getattr(self, c).name for c in drawn]}

    def _ordered(self, values: dict[str, Any]) -> dict[str, Any]:
        names = [getattr(self, channel).name for channel in self._channels]
        return {key: values[key] for key in dict.fromkeys((*names, *values))}

    async def read(self) -> dict[str, Any]:
        """Counts of each channel, then the elapsed time, s."""
        if self._direct:
            channels = {getattr(self, c).name: self._place(c) for c in self._channels}
            return await readings({**channels, self.elapsed.name: self._direct + "T"})
        return self._ordered(dict(await super().read()))

    async def describe(self) -> dict[str, Any]:
        """Channels in counts, the elapsed time in s."""
        keys = self._ordered(dict(await super().describe()))
        for channel in self._channels:
            about = keys[getattr(self, channel).name]
            about["units"] = about.get("units") or "counts"
        keys[self.elapsed.name]["units"] = "s"
        return keys
