"""Step scans in blocks, for devices that are done on return (`instant`).

A custom verb of the RunEngine loops over set and read without waiting and fills column lists; the
rows leave as one event page a block. Blocks are bounded by rows and time, rewinding is off while
they run, progress and rows change together: so a pause loses nothing, repeats nothing and moves
nothing twice. Public RunEngine API only: `register_command`, `declare_stream`, `collect`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import bluesky.preprocessors as bpp
from bluesky.utils import Msg

from undula.plans.guarded import reader
from undula.plans.step import Messages, StepRun, first_move, measure, rows_of
from undula.plans.steps import Steps
from undula.plans.turns import TurnReader, tell_turns

MAX_ROWS = 100
MAX_BLOCK_S = 0.005
BLOCK = "instant_block"


class BlockRecorder:
    """Columns of the current block. A Bluesky flyer for `collect` only."""

    def __init__(self, run: StepRun, steps: Steps) -> None:
        self.name = BLOCK
        self.parent = None
        self._run = run
        self._steps = steps
        self._devices = [*run.axes, *run.detectors]
        self._row_of = rows_of(run)
        self._reads = [
            (d if hasattr(d, "offer") else None, reader(d, run.policy(d))) for d in self._devices
        ]
        self._values: dict[str, list[Any]] = {}
        self._stamps: dict[str, list[float]] = {}

    def take_back(self) -> None:
        """Forget the rows that were not handed over: they are taken again."""
        self._values, self._stamps = {}, {}

    def fill(self) -> None:
        """Take up to `MAX_ROWS` points or `MAX_BLOCK_S` seconds, whichever is less.

        One only when it is taken again.
        """
        end = time.monotonic() + MAX_BLOCK_S
        axes = self._run.axes
        triggers = [d.trigger for d in self._run.counters]
        reads, row_of = self._reads, self._row_of
        first, total = self._steps.point, self._steps.total or 0
        for point in range(
            first, first + 1 if self._steps.retaking else min(first + MAX_ROWS, total)
        ):
            for axis, target in zip(axes, row_of(point), strict=True):
                _finished(axis, axis.set(target))
            for trigger in triggers:
                trigger()
            row: dict[str, Any] = {}
            for device, read in reads:
                if device is not None:
                    device.offer(row)  # computed from this very point
                row.update(read())
            for key, reading in row.items():
                self._values.setdefault(key, []).append(reading["value"])
                self._stamps.setdefault(key, []).append(reading["timestamp"])
            if time.monotonic() > end:
                break

    def describe_collect(self) -> dict[str, Any]:
        """Data keys of all devices, as in a descriptor."""
        keys: dict[str, Any] = {}
        for device in self._devices:
            keys.update(device.describe())
        return keys

    def collect_pages(self) -> Iterator[dict[str, Any]]:
        """The block as one page; rows are handed over exactly once."""
        values, self._values = self._values, {}
        stamps, self._stamps = self._stamps, {}
        if values:
            self._steps.took(max(map(len, values.values())))
            yield {"data": values, "timestamps": stamps}

    def read_configuration(self) -> dict[str, Any]:
        """Configuration of all devices together."""
        return self._merged("read_configuration")

    def describe_configuration(self) -> dict[str, Any]:
        """Description of that configuration."""
        return self._merged("describe_configuration")

    def _merged(self, method: str) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for device in self._devices:
            if hasattr(device, method):
                merged.update(getattr(device, method)())
        return merged

    def kickoff(self) -> None:
        """Part of the flyer protocol; nothing is started."""

    def complete(self) -> None:
        """Part of the flyer protocol; nothing is waited for."""


def _finished(axis: Any, status: Any) -> None:
    if not status.done:
        raise RuntimeError(f"{axis.name} calls itself instant, but its set was not done on return")
    if not status.success:
        raise status.exception() or RuntimeError(f"{axis.name} failed to move")


async def run_block(msg: Msg) -> None:
    """The verb: fill one block. Registered with the RunEngine as `instant_block`."""
    msg.obj.fill()


def block_core(run: StepRun) -> Messages:
    """All points in blocks; a checkpoint between two, where every pause is taken."""
    steps, reader = run.place, TurnReader()
    recorder = BlockRecorder(run, steps)
    collect = Msg("collect", recorder, name="primary", return_payload=False)
    fill = Msg(BLOCK, recorder)
    yield Msg("declare_stream", None, recorder, name="primary", collect=True)
    if run.points is not None and not steps.over:
        yield from first_move(run, run.points[steps.point].tolist())
    yield Msg("rewindable", None, False)

    def blocks() -> Messages:
        while True:
            yield Msg("checkpoint")
            if run.pause_requested():
                yield Msg("pause")
            if steps.asked:
                steps.turn()
            if steps.turns:
                yield from tell_turns(steps, reader)
            if steps.over:
                return
            yield fill
            if run.spoiled():
                recorder.take_back()
                yield Msg("pause")
                continue
            yield collect

    def rest(_: Exception) -> Messages:
        yield collect

    def again() -> Messages:
        steps.open = False
        yield Msg("rewindable", None, True)

    steps.open = True
    yield from bpp.contingency_wrapper(blocks(), except_plan=rest, final_plan=again)


def block_scan(run: StepRun) -> Messages:
    """A whole step scan of `instant` devices, in blocks."""
    return (yield from measure(run, block_core))
