"""Jogging: an axis goes towards a soft limit at an asked velocity until it is stopped.

In: an axis and a direction. Out: the target, and a velocity that is put back after the move,
whatever became of it.
"""

from __future__ import annotations

import math
import time

from undula.core.errors import DeviceError, InputError, UndulaError
from undula.core.log import get_logger
from undula.devices.loaded import LoadedDevice
from undula.devices.motor import MotorView
from undula.scans.attendant import Attendant
from undula.scans.velocities import Velocities

TAKES_S = 1.0
"""How long a record may take to show the velocity that it was given."""
CHANGE_TIMEOUT_S = 10.0


def jog_target(axis: LoadedDevice, direction: float | int | str) -> float:
    """The soft limit in a direction, 1 or -1, in the axis's unit. Asks the device.

    Raises: InputError for another direction, without limits, at the limit already, and for an axis
    that is there at once and so could not be stopped on its way.
    """
    if direction not in (1, -1):
        raise InputError(f"{direction!r} is no direction", remedy="give + or -", device=axis.name)
    if axis.instant:
        raise InputError(
            "its moves take no time, so nothing could stop it on its way",
            remedy="move it by steps: undula mvr",
            device=axis.name,
        )
    limits = axis.limits()
    if limits is None:
        raise InputError(
            "it has no soft limits, so a jog would have no end",
            remedy=f"set them first: undula set-lm {axis.name} LOW HIGH",
            device=axis.name,
        )
    side, target = ("high", limits[1]) if direction > 0 else ("low", limits[0])
    if (target - axis.position()) * float(direction) <= 0:
        raise InputError(
            f"it is at its {side} limit, {target:g} {axis.unit}, already",
            remedy="jog the other way, or ask staff to move the soft limit",
            device=axis.name,
        )
    return target


class Speed:
    """The velocity of one axis during one move. Blocks; not for the engine's loop."""

    def __init__(self, axis: LoadedDevice, attendant: Attendant, velocities: Velocities) -> None:
        self._velocities = velocities
        self._axis = axis
        self._attendant = attendant
        self._before: float | None = None
        self._given_up = False

    def take(self, velocity: float) -> None:
        """Set it. Raises: InputError, DeviceError; then it is as it was."""
        try:
            self._attendant.read(self._axis.name, lambda: self._take(velocity), CHANGE_TIMEOUT_S)
        except UndulaError:
            self._given_up = True
            raise

    def _take(self, velocity: float) -> None:
        view = MotorView(self._axis)
        before = view.get("velocity")
        if before is not None:
            self._before = before = self._velocities.note(self._axis.name, before)
        try:
            view.set("velocity", velocity)
            shown = _shown(view, velocity)
            if not math.isclose(shown, velocity, rel_tol=1e-6):
                raise InputError(
                    f"velocity {velocity:g} was not taken, it is {shown:g} {self._axis.unit}/s",
                    remedy="choose one that it can go at (EPICS: VBAS to VMAX)",
                    device=self._axis.name,
                )
            if self._given_up:
                raise DeviceError("it answered too late", remedy="try again")
        except UndulaError:
            if before is not None:
                view.set("velocity", before)
                self._velocities.drop(self._axis.name)
            raise

    def put_back(self) -> DeviceError | None:
        """Set what it was before; why it could not be, or None."""
        before, name = self._before, self._axis.name
        if before is None:
            return None
        try:
            self._attendant.read(
                name, lambda: MotorView(self._axis).set("velocity", before), CHANGE_TIMEOUT_S
            )
        except UndulaError as error:
            self._velocities.leave(name)
            get_logger().error("velocity_not_put_back", device=name, velocity=before)
            return DeviceError(
                f"its velocity was not put back to {before:g} {self._axis.unit}/s: {error.what}",
                remedy=f"undula motor {name} velocity {before:g}",
                device=name,
            )
        self._velocities.drop(name)
        return None


def _shown(view: MotorView, velocity: float) -> float:
    """The velocity that the axis shows, once it is the one given or time is up."""
    end = time.monotonic() + TAKES_S
    while True:
        shown = view.get("velocity") or 0.0
        if math.isclose(shown, velocity, rel_tol=1e-6) or time.monotonic() > end:
            return shown
        time.sleep(0.01)
