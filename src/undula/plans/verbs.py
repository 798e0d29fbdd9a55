"""Verbs of our own for the RunEngine: move and wait, trigger and wait, each in one message; finish.

The RunEngine's `wait` starts a task for every group, a fifth of a point; these await the statuses
directly, and not at all when they are done on return. A pause replays a message whole, so a point
is never read in motion. Public RunEngine API only: `register_command`. The RunEngine stops, on a
pause or abort, the devices that it has set itself: a plan sends one ordinary `set` first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from bluesky.utils import Msg

from undula.core.errors import DeviceError, TimeoutUndulaError

MOVE = "move_and_wait"
TRIGGER = "trigger_and_wait"
FINISH = "finish_data"
CHECK = "check_first"
SET_OFF = "set_off"
CHANGE = "await_change"


class Wait(NamedTuple):
    """What is waited for: a `move`, a `trigger`, to `stage`, or any other status.

    `given up`: these did not do what they were waited for. `targets` are those of a move, by the
    name of the axis, each in its unit.
    """

    what: Literal["move", "trigger", "stage", "other", "given up"]
    names: Sequence[str]
    targets: Mapping[str, float] = {}


Told = Callable[[Wait | None], None]
Pending = list[tuple[Any, Any]]


async def run_move(msg: Msg) -> None:
    """`Msg(MOVE, None, [(axis, target), ...], timeout_s, told)`: set all, then wait for all."""
    targets, timeout_s, told = msg.args

    def wait(waiting: Sequence[Any]) -> Wait:
        numbers = {a.name: t for a, t in targets if isinstance(t, int | float)}
        return Wait("move", [axis.name for axis in waiting], numbers)

    started = [(axis, axis.set(target)) for axis, target in targets]
    await _finished(started, timeout_s, told, wait)


async def run_trigger(msg: Msg) -> None:
    """`Msg(TRIGGER, None, [detector, ...], timeout_s, told)`: trigger all, then wait for all."""
    detectors, timeout_s, told = msg.args
    started = [(d, d.trigger()) for d in detectors]
    await _finished(started, timeout_s, told, lambda w: Wait("trigger", [d.name for d in w]))


async def run_finish(msg: Msg) -> None:
    """`Msg(FINISH, None, [detector, ...])`: each closes its files and compares them with the run.

    Raises: what a detector raises that misses data, e.g. DeviceError.
    """
    (detectors,) = msg.args
    for detector in detectors:
        result = detector.finish_data()
        if asyncio.iscoroutine(result):
            await result


async def run_check(msg: Msg) -> None:
    """`Msg(CHECK, None, work)`: call `work` on a thread, so that it may ask devices on this loop.

    Raises: what it raises.
    """
    (work,) = msg.args
    await asyncio.to_thread(work)


async def run_set_off(msg: Msg) -> Any:
    """`Msg(SET_OFF, None, axis, target)`: set, and give back its status without waiting."""
    axis, target = msg.args
    return axis.set(target)


async def run_change(msg: Msg) -> bool:
    """`Msg(CHANGE, None, event, timeout_s)`: wait for the event; whether it came in time."""
    event, timeout_s = msg.args
    try:
        await asyncio.wait_for(event.wait(), timeout_s)
    except TimeoutError:
        return False
    event.clear()
    return True


def finishing(detectors: Iterable[Any]) -> list[Msg]:
    """The message for those that have files of their own; none when there are none."""
    found = [d for d in detectors if hasattr(d, FINISH)]
    return [Msg(FINISH, None, found)] if found else []


async def _finished(
    started: Pending, timeout_s: float | None, told: Told, wait: Callable[[Sequence[Any]], Wait]
) -> None:
    waiting: Pending = []
    for device, status in started:
        if not status.done:
            waiting.append((device, status))
        elif not status.success:
            raise _failure(device, status)
    if waiting:
        told(wait([device for device, _ in waiting]))
        try:
            await _all(waiting, timeout_s)
        except BaseException:  # also when a pause stops them
            told(Wait("given up", [device.name for device, _ in waiting]))
            raise
        finally:
            told(None)


async def _all(waiting: Pending, timeout_s: float | None) -> None:
    loop = asyncio.get_running_loop()
    end: asyncio.Future[None] = loop.create_future()
    left = {id(status): device for device, status in waiting}

    def settle(device: Any, status: Any) -> None:
        left.pop(id(status), None)
        if end.done():
            return
        if not status.success:
            end.set_exception(_failure(device, status))
        elif not left:
            end.set_result(None)

    def late() -> None:
        if not end.done():
            end.set_exception(
                TimeoutUndulaError(
                    f"it did not finish within {timeout_s:.0f} s",
                    remedy="look at the device: blocked, in fault, or slower than declared",
                    device=", ".join(sorted(d.name for d in left.values())),
                )
            )

    for device, status in waiting:
        status.add_callback(lambda *_, d=device, s=status: loop.call_soon_threadsafe(settle, d, s))
    timer = None if timeout_s is None else loop.call_later(timeout_s, late)
    try:
        await end
    finally:
        if timer is not None:
            timer.cancel()


def _failure(device: Any, status: Any) -> BaseException:
    error = status.exception(0)
    if isinstance(error, BaseException):
        return error
    return DeviceError(
        "it did not do what it was told", remedy="look at the device", device=device.name
    )
