"""Direct moves: outside the queue, several at once, arbitrated by leases.

In: a `MoveRequest`. Out: a `Reply` when all axes have arrived. `set` is called on the engine's
loop and its status awaited there; no RunEngine is needed, so one long move blocks no other.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from undula.core.errors import DeviceError, InputError, TimeoutUndulaError, UndulaError
from undula.core.log import get_logger
from undula.devices.pseudo_axis import real_moves
from undula.devices.registry import LoadedDevice, Registry
from undula.messages import ErrorReport, MoveRequest, Reply
from undula.scans.attendant import Attendant
from undula.scans.involved import pseudo_of
from undula.scans.jog import Speed, jog_target
from undula.scans.leases import Leases
from undula.scans.limits import check_limits, movable_axis, refuse_read_only
from undula.scans.motion import MOVE_MARGIN_S
from undula.scans.move_watch import MoveWatch
from undula.scans.safety import Touched
from undula.scans.stop import stop_call
from undula.scans.stoppable import Closing, Declared, stoppable
from undula.scans.stopped import Permit
from undula.scans.velocities import Velocities

READBACK_EVERY_S = 0.1
HALT_TIMEOUT_S = 2.0
AFTER_STOP_S = 1.0
"""How long after a stop an axis may take to say that it stands."""


class Mover:
    """Runs direct moves on `loop`. `show(name, moving)` publishes a readback and never blocks."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        devices: Registry,
        leases: Leases,
        touched: Touched,
        show: Callable[[str, bool], None],
        *,
        attendant: Attendant,
        velocities: Velocities,
        watch: MoveWatch,
    ) -> None:
        self.velocities = velocities
        self._watch = watch
        self._loop = loop
        self._devices = devices
        self._leases = leases
        self._touched = touched
        self._show = show
        self._attendant = attendant

    def start(self, request: MoveRequest, reply: Callable[[Reply], None], permit: Permit) -> None:
        """Check, then move; `reply` is called exactly once, here or on the loop.

        Nothing is set once motion was stopped after `permit` was taken.
        """
        holder = f"a move by {request.user or 'somebody'} ({request.request_id[:8]})"
        try:
            permit.check()
            moves, expected_s = self._attendant.check(request.targets, lambda: self._moves(request))
            axes, targets = [axis for axis, _ in moves], [target for _, target in moves]
            used = list(dict.fromkeys([*request.targets, *(axis.name for axis in axes)]))
            self._leases.take(used, holder)
        except UndulaError as error:
            reply(Reply(request_id=request.request_id, error=ErrorReport.of(error)))
            return
        try:
            self._touched.add(holder, used)
            speed = self._speed(request)
        except BaseException as exc:  # whatever it is, no lease may stay behind
            self._leases.release(holder)
            self._forget(holder)
            if not isinstance(exc, UndulaError):
                raise
            reply(Reply(request_id=request.request_id, error=ErrorReport.of(exc)))
            return
        asyncio.run_coroutine_threadsafe(
            self._move(
                request,
                permit,
                axes=axes,
                targets=targets,
                expected_s=expected_s,
                holder=holder,
                speed=speed,
                reply=reply,
            ),
            self._loop,
        )

    def _moves(self, request: MoveRequest) -> tuple[list[tuple[LoadedDevice, Any]], float | None]:
        """Real axes and checked targets, and what it should take, seconds; None: nobody knows.

        Asks devices, sets nothing.
        """
        axes = [movable_axis(self._devices, name) for name in request.targets]
        moves = list(real_moves([(axis, self._target(axis, request)) for axis in axes]))
        pseudo = pseudo_of(axes)
        for axis, target in moves:
            if axis.name not in request.targets:  # under a pseudo axis
                refuse_read_only(axis)
                check_limits(axis, [target], pseudo)
        return moves, self._expected_s(moves, request.velocity) if moves else None

    def _speed(self, request: MoveRequest) -> Speed | None:
        """The velocity that was asked for, set until the move has ended. Raises: UndulaError."""
        if request.velocity is None:
            return None
        if len(request.targets) != 1:
            raise InputError("a velocity is for one axis", remedy="move one axis with it")
        speed = Speed(self._devices[next(iter(request.targets))], self._attendant, self.velocities)
        speed.take(request.velocity)
        return speed

    def _target(self, axis: LoadedDevice, request: MoveRequest) -> float | int | str:
        target = request.targets[axis.name]
        if request.jog:
            return jog_target(axis, target)
        if isinstance(target, str):
            about: dict[str, Any] = next(iter(axis.describe().values()), {})
            if about.get("dtype") == "number" and not hasattr(axis.obj, "WORDS"):
                raise InputError(
                    f"{target!r} is no place", remedy="give a number", device=axis.name
                )
            return target
        if request.relative:
            target = axis.position() + target
        check_limits(axis, [float(target)])
        return target

    def _expected_s(
        self,
        moves: Sequence[tuple[LoadedDevice, float | int | str]],
        velocity: float | None,
    ) -> float | None:
        longest = 0.0
        for axis, target in moves:
            if isinstance(target, str):
                longest = max(longest, float(getattr(axis.obj, "longest_s", 0.0)))
                continue
            start = axis.position()
            duration = axis.move_duration_s(start, float(target))
            if velocity is not None:
                duration = abs(float(target) - start) / velocity
            if duration is None:
                return None
            longest = max(longest, duration)
        return longest

    async def _move(
        self,
        request: MoveRequest,
        permit: Permit,
        *,
        axes: Sequence[LoadedDevice],
        targets: Sequence[float | int | str],
        expected_s: float | None,
        holder: str,
        speed: Speed | None,
        reply: Callable[[Reply], None],
    ) -> None:
        begin, statuses = time.monotonic(), dict[str, Any]()
        limit_s = None if expected_s is None else 3.0 * expected_s + MOVE_MARGIN_S
        done = {"duration_s": 0.0, "names": list(request.targets)}
        try:
            permit.check()
            statuses = {a.name: a.obj.set(t) for a, t in zip(axes, targets, strict=True)}
            if permit.revoked:  # stopped while it was set: stop what the stop came too early for
                permit.check()
            late = {n: s for n, s in statuses.items() if not (s.done and s.success)}
            if late:
                self._watch.begin(holder, late, expected_s, limit_s)
                waiting = {n: self._awaitable(s) for n, s in late.items()}
                await self._arrived(waiting, limit_s, permit, holder)
        except Exception as exc:  # drivers raise anything; the asker gets it as the one reply
            error = (
                exc if isinstance(exc, UndulaError) else _device_error(exc, list(request.targets))
            )
            answer = Reply(request_id=request.request_id, error=ErrorReport.of(error))
            await _halt(axes)  # before their leases go: nothing may move on unknown to others
            if request.jog and permit.revoked and statuses and _rest(statuses):
                answer = Reply(request_id=request.request_id, result=done)  # as a jog shall end
        else:
            answer = Reply(request_id=request.request_id, result=done)
        finally:
            self._watch.end(holder)
            trouble = await asyncio.to_thread(speed.put_back) if speed is not None else None
            self._leases.release(holder)
            self._forget(holder)
        for name in self._with_pseudo([*request.targets, *(axis.name for axis in axes)]):
            self._show(name, False)
        if answer.result is not None:
            answer.result["duration_s"] = time.monotonic() - begin
        if trouble is not None and answer.error is None:
            answer = Reply(request_id=request.request_id, error=ErrorReport.of(trouble))
        reply(answer)

    def _forget(self, holder: str) -> None:
        try:
            self._touched.drop(holder)
        except OSError:  # a full disk: its successor would stop one axis too many, no harm
            get_logger().exception("touched_file_not_written")

    def _awaitable(self, status: Any) -> asyncio.Future[None]:
        future: asyncio.Future[None] = self._loop.create_future()

        def settle() -> None:
            if future.done():
                return
            if status.success:
                future.set_result(None)
            else:
                exc = status.exception(0)
                future.set_exception(exc or RuntimeError("the move did not succeed"))

        status.add_callback(lambda _: self._loop.call_soon_threadsafe(settle))
        return future

    async def _arrived(
        self,
        waiting: dict[str, asyncio.Future[None]],
        limit_s: float | None,
        permit: Permit,
        holder: str,
    ) -> None:
        given_up: float | None = None
        end = None if limit_s is None else time.monotonic() + limit_s
        while True:
            done, pending = await asyncio.wait(waiting.values(), timeout=READBACK_EVERY_S)
            for future in done:
                future.result()
            if not pending:
                return
            late = [n for n, f in waiting.items() if f in pending]
            self._watch.waits(holder, late)
            if permit.revoked and given_up is None:
                given_up = time.monotonic() + AFTER_STOP_S
            if given_up is not None and time.monotonic() > given_up:
                raise DeviceError(
                    "motion was stopped, but it has not come to rest: it may still move",
                    remedy="use the hardware stop; declare stop: for it in the device file",
                    device=", ".join(late),
                )
            if end is not None and time.monotonic() > end:
                raise TimeoutUndulaError(
                    f"it did not arrive within {limit_s:.0f} s",
                    remedy="look at the axis; it may be blocked, in fault or slower than declared",
                    device=", ".join(late),
                )
            for name in self._with_pseudo(late):
                self._show(name, True)

    def _with_pseudo(self, names: Sequence[str]) -> list[str]:
        """These axes and the pseudo axes over them, whose position changes as well."""
        found = dict.fromkeys(names)
        for name in self._devices.names():  # in the order of building: reals before pseudo axes
            if any(real in found for real in getattr(self._devices[name].obj, "reals", ())):
                found[name] = None
        return list(found)


def _rest(statuses: dict[str, Any]) -> bool:
    """All of them have ended."""
    return all(status.done for status in statuses.values())


async def _halt(axes: Sequence[LoadedDevice]) -> None:
    for axis in axes:
        try:
            how = stoppable(axis)
            if isinstance(how, Declared | Closing):
                await asyncio.wait_for(asyncio.to_thread(how.stop), HALT_TIMEOUT_S)
                continue
            result = stop_call(axis.obj)
            if asyncio.iscoroutine(result):
                await asyncio.wait_for(result, HALT_TIMEOUT_S)
        except Exception:  # a driver may raise anything; the other axes must be stopped too
            get_logger().exception("axis_not_stopped", device=axis.name)


def _device_error(exc: Exception, names: Sequence[str]) -> DeviceError:
    text = str(exc) or "the move did not succeed; it was stopped or the device refused"
    return DeviceError(
        f"{type(exc).__name__}: {text}",
        remedy="look at the device; undula read NAME shows where it is",
        device=", ".join(names),
    )
