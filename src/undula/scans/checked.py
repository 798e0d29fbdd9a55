"""A plan whose points are not known beforehand: each message is looked at before it is sent.

In: any plan, the devices of its scan. Out: the plan's messages. A `set` that must not be sent is
refused inside the plan, at the line that asked for it, so that the plan's own clean-up runs. A
device that the check of the scan did not know of is leased when the plan moves, triggers or stages
it, and refused by name when somebody else has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from bluesky.utils import Msg

from undula.core.errors import InputError
from undula.devices.loaded import LoadedDevice
from undula.devices.registry import Registry
from undula.plans.beam import Beam
from undula.plans.step import Messages
from undula.plans.verbs import CHECK, MOVE, SET_OFF, TRIGGER, Told
from undula.scans.involved import reals_under
from undula.scans.limits import check_set, refuse_read_only, usable

USES = ("set", "trigger", "stage", "kickoff", "prepare")
SEVERAL = (MOVE, TRIGGER, SET_OFF)
"""Verbs of our own that set or trigger several devices in one message."""
Lease = Callable[[Sequence[str]], None]
Sends = Callable[[str, str, float | None], None]


class Checks:
    """What is done before each message of a plan.

    Args:
        known: names of the devices that are leased already.
        lease: takes further devices; raises BusyError.
        to_pause: whether somebody wants a pause at the next checkpoint.
        finish: messages before each run closes.
        failing_at: the line of the error that ends a run, for its reason.
        sends: told of each device that is set or triggered, the verb, and the target if a number.
        strict: a device that is none of the beamline's is refused.
    """

    def __init__(
        self,
        devices: Registry,
        known: Sequence[str],
        *,
        lease: Lease,
        to_pause: Callable[[], bool],
        finish: Sequence[Msg] = (),
        failing_at: Callable[[], str] = str,
        sends: Sends = lambda *_: None,
        strict: bool = False,
    ) -> None:
        self._sends = sends
        self._devices = devices
        self._leased = set(known)
        self._lease = lease
        self._to_pause = to_pause
        self._finish = finish
        self._failing_at = failing_at
        self._strict = strict
        self._by_id = {
            id(devices[n].obj): devices[n] for n in devices.names() if devices[n].obj is not None
        }

    def __call__(self, msg: Msg) -> Iterable[Msg]:
        """The messages to send for `msg`, each asked for when the one before was answered.

        Raises: UndulaError when it must not be sent.
        """
        if msg.command == "close_run":
            return [*self._finish, self._closing(msg)]
        if msg.command == "checkpoint":
            return self._at_checkpoint(msg)
        if msg.command in SEVERAL:
            return self._use_several(msg)
        device = self._owner(msg) if msg.command in USES else None
        return [msg] if device is None else self._use(msg, device)

    def _at_checkpoint(self, msg: Msg) -> Iterator[Msg]:
        # asked only after it: who paused there already, and went on, is not paused again
        yield msg
        if self._to_pause():
            yield Msg("pause")

    def _use(self, msg: Msg, device: LoadedDevice) -> Sequence[Msg]:
        if msg.command == "trigger" and device.obj is msg.obj and not device.triggered:
            return [Msg("null")]
        if msg.command in ("set", "trigger"):
            target = msg.args[0] if msg.command == "set" and msg.args else None
            known = isinstance(target, int | float) and msg.obj is device.obj
            self._sends(device.name, msg.command, target if known else None)
        fresh = device.name not in self._leased
        if msg.command != "set" and not fresh:
            return [msg]
        if device.synchronous and not fresh:
            self._look(msg, device)
            return [msg]
        # what asks an asynchronous device, or the disk, must not hold up the RunEngine's loop
        return [Msg(CHECK, None, lambda: self._look(msg, device)), msg]

    def _use_several(self, msg: Msg) -> Sequence[Msg]:
        owned = [(part, self._owner(part)) for part in parts_of(msg)]
        due = [
            (part, device)
            for part, device in owned
            if device is not None and (part.command == "set" or device.name not in self._leased)
        ]

        def look() -> None:
            for part, device in due:
                self._look(part, device)

        if all(device.synchronous and device.name in self._leased for _, device in due):
            look()
            return [msg]
        return [Msg(CHECK, None, look), msg]

    def _closing(self, msg: Msg) -> Msg:
        place = self._failing_at() if msg.kwargs.get("exit_status") == "fail" else ""
        if not place:
            return msg
        return msg._replace(
            kwargs={**msg.kwargs, "reason": f"{msg.kwargs.get('reason')}, at {place}"}
        )

    def _owner(self, msg: Msg) -> LoadedDevice | None:
        """The beamline's device that a message is for, or of which it is for a part."""
        part = msg.obj
        while part is not None:
            if id(part) in self._by_id:
                return self._by_id[id(part)]
            part = getattr(part, "parent", None)
        if self._strict and msg.command == "set":
            name = getattr(msg.obj, "name", "") or type(msg.obj).__name__
            raise InputError(
                f"{name!r} is no device of the beamline: it can be neither checked nor stopped",
                remedy="put it into the device file, then name it M.NAME or D.NAME",
            )
        return None

    def _look(self, msg: Msg, device: LoadedDevice) -> None:
        if device.name not in self._leased:
            usable(self._devices, device.name, "a device of the plan")
            wanted = [device.name, *reals_under(self._devices, [device.name])]
            self._lease(wanted)
            self._leased.update(wanted)
        if msg.command == "set" and msg.obj is device.obj:
            check_set(device, msg.args[0])
        elif msg.command == "set":
            refuse_read_only(device)


def parts_of(msg: Msg) -> list[Msg]:
    """What one of `SEVERAL` does, a message for each device.

    >>> [part.args for part in parts_of(Msg(MOVE, None, [("x", 1.0), ("y", 2.0)], None, None))]
    [(1.0,), (2.0,)]
    """
    if msg.command == TRIGGER:
        return [Msg("trigger", detector) for detector in msg.args[0]]
    pairs = msg.args[0] if msg.command == MOVE else [msg.args[:2]]
    return [Msg("set", axis, target) for axis, target in pairs]


def checked(plan: Messages, before: Callable[[Msg], Iterable[Msg]]) -> Messages:
    """`plan` with the messages that `before` says; what it raises is raised inside the plan.

    Args:
        before: called with each message of the plan, which gets the answer to that message, or
            to the last one when that message is not among those to send.
    """
    result: Any = None
    error: BaseException | None = None
    while True:
        try:
            msg = plan.send(result) if error is None else plan.throw(error)
        except StopIteration as stop:
            return stop.value
        result, error = None, None
        try:
            own = False
            for each in before(msg):
                answer = yield each
                if each is msg or not own:
                    result, own = answer, own or each is msg
        except GeneratorExit:
            plan.close()
            raise
        except BaseException as exc:  # also the RunEngine's abort: the plan cleans up
            error = exc


def with_beam(plan: Messages, beam: Beam, told: Told) -> Messages:
    """`plan` with the shutters open in its runs only: it may also just move."""
    opened = False

    def before(msg: Msg) -> Sequence[Msg]:
        nonlocal opened
        if msg.command == "open_run" and beam.opens == "per_scan":
            opened = True
            return [*beam.opened(told), msg]
        return [msg, *beam.closed(told)] if msg.command == "close_run" and opened else [msg]

    try:
        return (yield from checked(plan, before))
    finally:
        if opened:
            yield from beam.closed(told)
