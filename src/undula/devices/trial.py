"""Trying one device of a device file without any service: connect, read, trigger, move a little.

In: a device file, a name. Out: `Step`s, each with its duration and, when it failed, a remedy. What
the device needs is built with it. Called by: `undula devices try`.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from undula.core.errors import DeviceError, InputError, UndulaError
from undula.core.shown import counted
from undula.devices.description import DeviceFile, load_device_file
from undula.devices.making import discard
from undula.devices.registry import LoadedDevice, Registry

SHARE_OF_RANGE = 0.01
STEP_WITHOUT_LIMITS = 0.1
MOVE_TIMEOUT_S = 30.0
NEAR = 1e-3
SEE_DRIVER = "see what the device says, or its driver"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was tried."""

    step: str
    ok: bool
    duration_s: float
    found: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Excursion:
    """The small move that would be made, in `unit`."""

    start: float
    target: float
    unit: str


def narrowed(file: DeviceFile, name: str) -> DeviceFile:
    """Only this device and what it needs, enabled. Raises: InputError when it is not there."""
    entries = {entry.name: entry for entry in file.entries}
    if name not in entries:
        raise InputError(
            f"there is no device {name!r} in {file.path.name}",
            remedy=f"name one of {', '.join(entries) or 'none'}",
        )
    wanted, left = {name}, [name]
    while left:
        fresh = [n for n in entries[left.pop()].needs if n in entries and n not in wanted]
        wanted.update(fresh)
        left += fresh
    kept = (e for e in file.entries if e.name in wanted)
    return replace(file, entries=tuple(e.model_copy(update={"enabled": True}) for e in kept))


def excursion(device: LoadedDevice) -> Excursion | None:
    """A hundredth of its range, or 0.1 without limits, inside the limits; None: it cannot move."""
    if not device.movable or device.read_only:
        return None
    try:
        start = device.position()
    except (TypeError, ValueError):  # e.g. a text that can be set
        return None
    if not math.isfinite(start):
        return None
    limits = device.limits()
    if limits is None:
        return Excursion(start, start + STEP_WITHOUT_LIMITS, device.unit)
    low, high = limits
    step = (high - low) * SHARE_OF_RANGE
    return Excursion(start, start + step if start + step <= high else start - step, device.unit)


def trial(path: Path, name: str, may_move: Callable[[Excursion], bool]) -> Iterator[Step]:
    """Try the device; the steps as they end. It is let go at the end.

    Args:
        may_move: asked before it is moved.
    Raises: DeviceFileError, InputError.
    """
    file = narrowed(load_device_file(path), name)
    with _loop() as loop:
        registry = Registry(file)
        device = registry[name]
        try:
            yield from _tried(registry, device, loop, may_move)
        finally:
            for each in registry.names():
                discard(registry[each].obj)


def _tried(
    registry: Registry,
    device: LoadedDevice,
    loop: asyncio.AbstractEventLoop,
    may_move: Callable[[Excursion], bool],
) -> Iterator[Step]:
    def connect() -> str:
        registry.connect(loop=loop)
        if not device.connected:
            what, _, remedy = (device.problem or "it does not answer").partition(" Remedy: ")
            usual = "switch it on; check its address, the network and connectionTimeout"
            raise DeviceError(
                what.rstrip("."), remedy=remedy.rstrip(".") or usual, device=device.name
            )
        return f"{device.entry.device_class}, {counted(len(device.describe()), 'value')}"

    def read() -> str:
        reading = registry.reading(device.name)
        values = [
            f"{k} = {v} {reading.units.get(k, '')}".strip() for k, v in reading.values.items()
        ]
        return "; ".join([*values, *(f"flag: {flag}" for flag in reading.flags)])[:400]

    def trigger() -> str:
        if device.takes_count_time:
            device.set_count_time(0.1)
        device.obj.trigger().wait(MOVE_TIMEOUT_S)
        return "done"

    steps: list[tuple[str, Callable[[], str]]] = [("connect", connect), ("read", read)]
    for what, action in steps:
        step = _timed(what, action)
        yield step
        if not step.ok:
            return
    if device.triggered and device.synchronous:
        yield _timed("trigger", trigger)
    yield from _moved(device, may_move)


def _moved(device: LoadedDevice, may_move: Callable[[Excursion], bool]) -> Iterator[Step]:
    way = excursion(device)
    if way is None:
        return
    if not may_move(way):
        yield Step("move", True, 0.0, "not moved: nobody said yes (--move says it beforehand)")
        return
    there = _timed("move", lambda: _to(device, way.target, way))
    yield there
    if there.ok:
        yield _timed("move back", lambda: _to(device, way.start, way))


def _to(device: LoadedDevice, target: float, way: Excursion) -> str:
    """Move and say where it is. Raises: DeviceError when it is not near; stopped on any failure."""
    expected_s = device.move_duration_s(way.start, way.target) or 0.0
    try:
        device.put(target, MOVE_TIMEOUT_S + 2.0 * expected_s)
    except BaseException:  # Ctrl-C too: nothing may move on; it is raised again below
        stop = getattr(device.obj, "stop", None)
        if stop is not None:
            with contextlib.suppress(Exception):  # the first failure is what must be told
                device.call(stop())
        raise
    place = device.position()
    tolerance = float(getattr(device.obj, "tolerance", 0.0) or 0.0)
    if abs(place - target) > max(tolerance, 0.5 * abs(way.target - way.start), NEAR * abs(target)):
        raise DeviceError(
            f"it was sent to {target:g} {way.unit} and says {place:g} {way.unit}",
            remedy="see whether it is blocked, or whether its readback is another axis",
            device=device.name,
        )
    return f"at {place:g} {way.unit}, sent to {target:g} {way.unit}"


def _timed(what: str, action: Callable[[], str]) -> Step:
    begin = time.monotonic()
    found, remedy = "", ""
    try:
        found = action()
    except UndulaError as exc:
        found, remedy = exc.what, exc.remedy
    except Exception as exc:  # a driver may raise anything: that is what is to be found out
        found, remedy = f"{type(exc).__name__}: {exc}", SEE_DRIVER
    return Step(what, not remedy, time.monotonic() - begin, found, remedy)


@contextlib.contextmanager
def _loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop on a thread, for asynchronous devices."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="trial loop", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5.0)
        if not thread.is_alive():
            loop.close()
