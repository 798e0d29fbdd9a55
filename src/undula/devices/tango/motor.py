"""A Tango device that moves: `Position` to write and read, `State` while it moves, `Stop`."""

from __future__ import annotations

import math
import threading
import time
from contextlib import suppress
from typing import Any

import tango

from undula.core.errors import DeviceError, InputError
from undula.devices.sim.status import SimStatus
from undula.devices.tango.attribute import TangoAttribute
from undula.devices.tango.proxy import checked_address

LOOK_EVERY_S = 0.02
STARTED_WITHIN_S = 0.2
MARGIN_S = 10.0
UNKNOWN_WAY_S = 600.0
MOVING = (tango.DevState.MOVING, tango.DevState.RUNNING)
BAD = (tango.DevState.FAULT, tango.DevState.UNKNOWN, tango.DevState.OFF, tango.DevState.DISABLE)


def deadline_s(distance: float, velocity: float | None) -> float:
    """How long a move may take: twice its way and a margin; 600 s where no velocity is known.

    >>> deadline_s(-30.0, 2.0), deadline_s(30.0, None)
    (40.0, 600.0)
    """
    way_s = abs(distance / velocity) if velocity else math.nan
    return 2.0 * way_s + MARGIN_S if math.isfinite(way_s) else UNKNOWN_WAY_S


class TangoMotor(TangoAttribute):
    """An axis served by Tango, as most motor servers do it.

    Args:
        uri: `DOMAIN/FAMILY/MEMBER`, or `tango://HOST:PORT/...#dbase=no`.
        position: attribute of the position.
        velocity: attribute of the velocity, unit per second; '' where there is none.
        stop_command: command that stops it.
        tolerance: how far from the target it may come to rest, in its unit; 0: not looked at.
        move_timeout: how long a move may take, seconds; None: `deadline_s` of its way and velocity.
    """

    def __init__(
        self,
        name: str,
        *,
        uri: str,
        position: str = "Position",
        velocity: str = "Velocity",
        stop_command: str = "Stop",
        tolerance: float = 0.0,
        poll: float = 0.2,
        move_timeout: float | None = None,
    ) -> None:
        self._move_timeout_s = move_timeout
        address, _ = checked_address(uri, attribute=False)
        path, mark, base = address.partition("#")
        super().__init__(name, uri=f"{path}/{position}{mark}{base}", poll=poll)
        self._velocity, self._stop_command, self._tolerance = velocity, stop_command, tolerance
        self._moves = 0
        self._sending = threading.Lock()
        self._stopped = -1

    @classmethod
    def check_config(cls, config: dict[str, Any]) -> None:
        """Raises: InputError for an address that is none, or a deadline that is no time."""
        checked_address(str(config.get("uri", "")), attribute=False)
        limit = config.get("move_timeout")
        if limit is not None and not (isinstance(limit, int | float) and limit > 0):
            raise InputError(
                f"move_timeout: {limit!r} is no time",
                remedy="write seconds above 0, or leave it out",
            )

    @property
    def position(self) -> float:
        """Readback. Raises: DeviceError."""
        return float(self._reading()["value"])

    @property
    def velocity(self) -> float | None:
        """Unit per second; None where its server does not say."""
        if not self._velocity:
            return None
        try:
            value = self._proxy.raw.read_attribute(self._velocity).value
        except tango.DevFailed:
            return None
        return None if value is None else float(value)

    @property
    def moving(self) -> bool:
        """Its state says so."""
        return self._state() in MOVING

    def _state(self) -> Any:
        return self._proxy.call(self._proxy.raw.state)

    def set(self, value: float) -> SimStatus:
        """Move there; done when its state says that it has come to rest.

        One that takes longer than `limit_s` is stopped and ends as DeviceError.
        """
        status = SimStatus(self)
        self._moves += 1
        threading.Thread(
            target=self._move, args=(float(value), status, self._moves),
            name=f"move {self.name}", daemon=True,
        ).start()  # fmt: skip
        return status

    def _move(self, target: float, status: SimStatus, number: int) -> None:
        try:
            proxy, limit_s = self._proxy, self.limit_s(target)
            with self._sending:  # each move has a thread: an older one is not to write last
                if number == self._moves and number != self._stopped:
                    proxy.call(lambda: proxy.raw.write_attribute(self._attribute, target))
                    if number == self._stopped:  # the stop may have been there before the target
                        self._send_stop()
            status.finish(self._rested(target, number, limit_s))
        except Exception as error:  # a server may give anything; whoever waits gets it
            status.finish(error)

    def limit_s(self, target: float) -> float:
        """How long a move from here to `target` may take, seconds. Raises: DeviceError."""
        if self._move_timeout_s is not None:
            return self._move_timeout_s
        return deadline_s(target - self.position, self.velocity)

    def _rested(self, target: float, number: int, limit_s: float) -> DeviceError | None:
        """Wait until it rests; None when it is where it should be."""
        pause, began, seen = threading.Event(), time.monotonic(), False
        while True:
            state, gone_s = self._state(), time.monotonic() - began
            seen = seen or state in MOVING
            if self._stopped == number:
                return DeviceError("it was stopped", remedy="move it again", device=self.name)
            if number != self._moves:
                return DeviceError("it was sent elsewhere", remedy="wait for it", device=self.name)
            if state in BAD:
                words = self._proxy.call(self._proxy.raw.status)
                return DeviceError(
                    f"its state is {state}: {' '.join(words.split())}",
                    remedy="see to the axis, then move it again",
                    device=self.name,
                )
            if state not in MOVING and (seen or gone_s >= STARTED_WITHIN_S or self._near(target)):
                break
            if gone_s > limit_s:
                return self._late(target, limit_s)
            pause.wait(LOOK_EVERY_S)
        if self._tolerance and not self._near(target):
            return DeviceError(
                f"it rests at {self.position:g} {self.egu}, not at {target:g} {self.egu}",
                remedy="see whether it is blocked or at a limit switch",
                device=self.name,
            )
        return None

    def _late(self, target: float, limit_s: float) -> DeviceError:
        """Stop it; what to say of it."""
        where, then = "", "it was told to stop"
        try:
            self._send_stop()
        except DeviceError as error:
            then = f"it could not be stopped ({error.what})"
        with suppress(DeviceError):
            where = f", and was at {self.position:g} {self.egu}"
        return DeviceError(
            f"it still moved {limit_s:g} s after it was sent to {target:g} {self.egu}{where}: "
            f"{then}",
            remedy="see whether it is blocked; if it is slow, set move_timeout in its deviceConfig",
            device=self.name,
        )

    def _near(self, target: float) -> bool:
        return abs(self.position - target) <= max(self._tolerance, 1e-9)

    def stop(self, *, success: bool = False) -> None:  # noqa: ARG002  # part of the protocol
        """Stop it; a move that goes on ends without success. Raises: DeviceError."""
        self._stopped = self._moves  # what was not sent yet will not be
        self._send_stop()

    def _send_stop(self) -> None:
        self._proxy.call(lambda: self._proxy.raw.command_inout(self._stop_command))
