"""A counting card and a multichannel analyser: the fields of scaler and mca record as records.

Written from the public record documentation (epics-modules.github.io/scaler/scalerRecord.html,
epics-modules.github.io/mca/mcaRecord.html). pythonSoftIOC has neither record type, so what is a
field there (`scaler1.CNT`) is a record here (`scaler1:CNT`). It met no real card. In: `python -m
undula.testing.counting_ioc PREFIX READY_FD`. Out: `scaler1:*`, `mca1:*` over CA and PVA.

What is counted is known beforehand: channel n of the scaler counts `RATES[n - 1]` a second; the
MCA sees `INPUT_RATE` pulses a second, of which `DEAD` of the time is lost.
"""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np

from undula.testing.soft_ioc import POLL_S, running, serve

FREQUENCY_HZ = 1e7
RATES = (FREQUENCY_HZ, 50_000.0, 20_000.0, 5_000.0, 0.0, 0.0, 0.0, 0.0)
NAMES = ("time", "I0", "It", "If", "", "", "", "")
CHANNELS = 512
INPUT_RATE = 40_000.0
DEAD = 0.2
LINE_CHANNEL, LINE_WIDTH = 200, 8.0
ROIS = ((180, 221), (300, 341))


class Scaler:
    """Counts until a gated channel reaches its preset, or until it is told to stop."""

    def __init__(self) -> None:
        from softioc import builder as b

        part = "scaler1:"
        self._gates = [b.boolOut(f"{part}G{n}", "N", "Y", initial_value=int(n == 1)) for n in _n()]
        first = FREQUENCY_HZ
        self._presets = [
            b.aOut(f"{part}PR{n}", initial_value=first if n == 1 else 0.0, always_update=True)
            for n in _n()
        ]
        self._counts = [b.aIn(f"{part}S{n}", initial_value=0.0, EGU="counts") for n in _n()]
        for n in _n():
            b.stringOut(f"{part}NM{n}", initial_value=NAMES[n - 1])
        b.aOut(f"{part}FREQ", initial_value=FREQUENCY_HZ, EGU="Hz")
        b.boolOut(f"{part}CONT", "OneShot", "AutoCount", initial_value=0)
        self._time = b.aIn(f"{part}T", initial_value=0.0, EGU="s", PREC=4)
        b.aOut(f"{part}TP", initial_value=1.0, EGU="s", PREC=4, on_update=self._time_preset)
        self._count = b.boolOut(
            f"{part}CNT", "Done", "Count", on_update=self._run, always_update=True, blocking=True
        )

    def _time_preset(self, seconds: float) -> None:
        """TP and the preset of channel 1 are one thing, and channel 1 becomes a gate."""
        self._presets[0].set(seconds * FREQUENCY_HZ)
        self._gates[0].set(1)

    def _enough_s(self) -> float:
        """When the first gated channel reaches its preset, seconds; infinite without one."""
        times = [
            float(preset.get()) / rate
            for gate, preset, rate in zip(self._gates, self._presets, RATES, strict=True)
            if gate.get() and rate
        ]
        return min(times, default=float("inf"))

    async def _run(self, on: int) -> None:
        if not on:
            return
        loop = asyncio.get_running_loop()
        begin, enough_s = loop.time(), self._enough_s()
        while running(self._count) and loop.time() - begin < enough_s:
            await asyncio.sleep(min(POLL_S, max(0.0, begin + enough_s - loop.time())))
        elapsed_s = min(loop.time() - begin, enough_s)
        for record, rate in zip(self._counts, RATES, strict=True):
            record.set(round(rate * elapsed_s))
        self._time.set(elapsed_s)
        self._count.set(0, process=False)


def _n() -> range:
    return range(1, len(RATES) + 1)


class Mca:
    """A spectrum with one line, and regions of interest summed over it."""

    def __init__(self) -> None:
        from softioc import builder as b

        part = "mca1:"
        self._spectrum = b.WaveformIn(f"{part}VAL", np.zeros(CHANNELS, np.int32))
        b.longIn(f"{part}NUSE", initial_value=CHANNELS)
        for name, value in (("CALO", 0.0), ("CALS", 0.01), ("CALQ", 0.0)):
            b.aOut(f"{part}{name}", initial_value=value, PREC=4)
        b.stringOut(f"{part}EGU", initial_value="keV")
        self._real_preset = b.aOut(f"{part}PRTM", initial_value=0.0, EGU="s", PREC=4)
        self._live_preset = b.aOut(f"{part}PLTM", initial_value=0.0, EGU="s", PREC=4)
        self._real = b.aIn(f"{part}ERTM", initial_value=0.0, EGU="s", PREC=4)
        self._live = b.aIn(f"{part}ELTM", initial_value=0.0, EGU="s", PREC=4)
        self._dead = b.aIn(f"{part}DTIM", initial_value=0.0, EGU="%", PREC=2)
        self._busy = b.boolIn(f"{part}ACQG", "Done", "Acquire", initial_value=0)
        self._bounds = [
            (
                b.longOut(f"{part}R{i}LO", initial_value=ROIS[i][0] if i < len(ROIS) else -1),
                b.longOut(f"{part}R{i}HI", initial_value=ROIS[i][1] if i < len(ROIS) else -1),
            )
            for i in range(4)
        ]
        self._sums = [b.aIn(f"{part}R{i}", initial_value=0.0) for i in range(4)]
        self._start = b.boolOut(f"{part}ERST", "0", "1", on_update=self._erase_start, **_BLOCK)
        self._stopped = asyncio.Event()
        b.boolOut(f"{part}STOP", "0", "1", on_update=lambda _: self._stopped.set(), **_ALWAYS)

    async def _erase_start(self, on: int) -> None:
        if not on:
            return
        self._stopped.clear()
        self._spectrum.set(np.zeros(CHANNELS, np.int32))
        for record in (self._real, self._live, *self._sums):
            record.set(0.0)
        self._busy.set(1)
        real, live = float(self._real_preset.get()), float(self._live_preset.get())
        ends = [t for t in (real, live / (1.0 - DEAD)) if t > 0]
        loop = asyncio.get_running_loop()
        begin, enough_s = loop.time(), min(ends, default=float("inf"))
        while not self._stopped.is_set() and loop.time() - begin < enough_s:
            await asyncio.sleep(min(POLL_S, max(0.0, begin + enough_s - loop.time())))
        self._finish(min(loop.time() - begin, enough_s))

    def _finish(self, real_s: float) -> None:
        live_s = real_s * (1.0 - DEAD)
        channel = np.arange(CHANNELS)
        line = np.exp(-((channel - LINE_CHANNEL) ** 2) / (2 * LINE_WIDTH**2))
        counts = np.round(INPUT_RATE * live_s * line / line.sum()).astype(np.int32)
        self._spectrum.set(counts)
        for (low, high), total in zip(self._bounds, self._sums, strict=True):
            first, last = int(low.get()), int(high.get())
            total.set(float(counts[first : last + 1].sum()) if 0 <= first <= last else 0.0)
        self._real.set(real_s)
        self._live.set(live_s)
        self._dead.set(100.0 * DEAD)
        self._busy.set(0)
        self._start.set(0, process=False)


_ALWAYS: dict[str, Any] = {"always_update": True}
_BLOCK: dict[str, Any] = {"always_update": True, "blocking": True}


def _make() -> None:
    Scaler()
    Mca()


if __name__ == "__main__":
    serve(_make)
