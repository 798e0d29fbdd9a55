"""Drivers that do something for a while: `Axis` moves, `Counter` counts. Both can be stopped.

In: `begin(target)` and `arrived()`, or `begin_count(count_time_s)` and `counted()`, and `halt()`.
Out: Bluesky's Movable, Locatable, Triggerable, Stoppable. A second `set` or `trigger` while one
goes on halts the first, whose status ends without success, and then begins.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from undula.core.errors import DeviceError, InputError, TimeoutUndulaError, UndulaError
from undula.devices.driver.base import GRACE_S, Driver
from undula.devices.driver.signals import Reading, check
from undula.devices.sim.status import SimStatus
from undula.devices.sim.timer import TIMER

WATCH_EVERY_S = 0.25
LOOK_EVERY_S = 0.02


@dataclass(slots=True)
class _Action:
    """Something that takes time: how it begins, whether it is over, and what then."""

    what: str
    number: int
    begin: Callable[[], None]
    is_over: Callable[[], bool]
    conclude: Callable[[], None]
    limit_s: float
    begin_limit_s: float
    status: SimStatus
    asked: float = field(default_factory=time.monotonic)
    ends: float = math.inf
    """When it must be over; infinite until it has begun."""

    def overdue(self, at: float, grace_s: float) -> bool:
        """The hardware does not even say that it is late."""
        if self.ends < math.inf:
            return at > self.ends + grace_s
        return at > self.asked + self.begin_limit_s


class Acting(Driver):
    """What moving and counting have in common: one action of each kind at a time."""

    def __init__(self, name: str, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self._actions: dict[str, _Action] = {}
        self._numbers = itertools.count(1)
        self._newest = self._stopped_up_to = 0
        self._watched: list[_Action] = []
        self._watch_lock = threading.Lock()

    def halt(self) -> None:
        """Stop whatever it does. Called on the device's thread, before all that waits."""
        raise NotImplementedError(f"{type(self).__name__} has no method halt")

    @property
    def moving(self) -> bool:
        """It is doing something."""
        return bool(self._actions)

    def stop(self, *, success: bool = False) -> None:
        """Stop; what it was doing ends without success, unless `success`. Raises: UndulaError."""
        self._stopped_up_to = self._newest
        error = None if success else self._stopped("it was stopped")
        try:
            self.work("stopping", self.halt, urgent=True)
        finally:
            self._end_all(error)

    def _stopped(self, why: str) -> DeviceError:
        return DeviceError(why, remedy="start it again", device=self.name)

    def _end_all(self, error: UndulaError | None) -> None:
        actions = list(self._actions.values())
        self._actions.clear()
        for action in actions:
            action.status.finish(error)

    def _act(
        self,
        what: str,
        *,
        begin: Callable[[], None],
        is_over: Callable[[], bool],
        conclude: Callable[[], None],
        limit_s: float,
        begin_limit_s: float,
    ) -> SimStatus:
        self._newest = next(self._numbers)
        action = _Action(
            what, self._newest, begin, is_over, conclude, limit_s, begin_limit_s, SimStatus(self)
        )
        self.later(what, lambda: self._begin(action))
        with self._watch_lock:
            first = not self._watched
            self._watched.append(action)
        if first:
            TIMER.after(WATCH_EVERY_S, self._watch)
        return action.status

    def _watch(self) -> None:
        """Off the device's thread: end what is overdue because that thread hangs."""
        at, grace_s = time.monotonic(), self._timeout_s + GRACE_S
        with self._watch_lock:
            self._watched = [a for a in self._watched if not a.status.done]
            watched = list(self._watched)
        for action in watched:
            if action.overdue(at, grace_s):
                self._lane.give_up()
                self._actions.pop(action.what, None)
                action.status.finish(
                    TimeoutUndulaError(
                        f"it hangs while {action.what}",
                        remedy="stop it by its own controls, switch it off and on",
                        device=self.name,
                    )
                )
        if watched:
            TIMER.after(WATCH_EVERY_S, self._watch)

    def _begin(self, action: _Action) -> None:
        """On the device's thread."""
        if action.status.done:
            return
        if action.number <= self._stopped_up_to:
            action.status.finish(self._stopped("it was stopped before it began"))
            return
        before = self._actions.pop(action.what, None)
        error = None
        if before is not None:
            error = self._attempt("stopping", self.halt)
            before.status.finish(self._stopped(f"a new one was asked for while {before.what}"))

        def begin() -> None:
            self._reach()
            action.begin()

        error = error or self._attempt(action.what, begin)
        if error is not None:
            action.status.finish(error)
            return
        if action.status.done or action.number <= self._stopped_up_to:  # given up meanwhile
            action.status.finish(self._attempt("stopping", self.halt) or self._stopped("stopped"))
            return
        action.ends = time.monotonic() + action.limit_s
        self._actions[action.what] = action
        self._look()
        self._lane.wake()

    def _look(self) -> None:
        """On the device's thread: end the actions that are over, late or in trouble."""
        for what, action in list(self._actions.items()):
            over, error = self._over(action)
            if not over and error is None:
                if time.monotonic() < action.ends:
                    continue
                error = self._late(action)
            if self._actions.get(what) is action:
                del self._actions[what]
            action.status.finish(error)

    def _over(self, action: _Action) -> tuple[bool, UndulaError | None]:
        """Whether it is over and concluded, and what went wrong."""
        found = [False]

        def look() -> None:
            found[0] = action.is_over()
            if found[0]:
                action.conclude()

        error = self._attempt(action.what, look)
        return found[0], error

    def _late(self, action: _Action) -> UndulaError:
        failed = self._attempt("stopping", self.halt)
        return failed or TimeoutUndulaError(
            f"{action.what} did not end within {action.limit_s:g} s and was stopped",
            remedy="see whether it is blocked, or allow more time in its deviceConfig",
            device=self.name,
        )

    def _tick(self) -> float:
        if not self._actions:
            return super()._tick()
        self._look()
        if self._subscribers and self._actions:
            self._attempt("reading", lambda: self._taken(self.of_kind("hinted", "normal")))
        return LOOK_EVERY_S


class Axis(Acting):
    """A driver that moves. Declare its readback as the first hinted signal.

    Args:
        limits: lowest and highest target, in its unit; none when they are equal.
        tolerance: how far from the target it may come to rest, in its unit; 0: not looked at.
        move_timeout: deadline of a move, seconds.
    """

    def __init__(
        self,
        name: str,
        *,
        limits: tuple[float, float] | list[float] | None = None,
        tolerance: float = 0.0,
        move_timeout: float = 120.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(name, **kwargs)
        self._readback = next(
            (s for s in self.signals.values() if s.declared.kind == "hinted"), None
        )
        if self._readback is None:
            raise TypeError(f"{type(self).__name__} declares no hinted signal for its readback")
        given = limits or self._readback.declared.limits
        self.limits = (float(given[0]), float(given[1])) if given else None
        self.tolerance, self._move_timeout_s = tolerance, move_timeout
        self._target: float | None = None

    def begin(self, target: float) -> None:
        """Begin to move. Called on the device's thread."""
        raise NotImplementedError(f"{type(self).__name__} has no method begin")

    def arrived(self) -> bool:
        """The move is over. Raises: DeviceError when it went wrong. Called often while it moves."""
        return True

    @property
    def position(self) -> float:
        """Readback, in its unit. Raises: UndulaError that names the device."""
        assert self._readback is not None  # noqa: S101  # seen to by the constructor
        return float(self._readback.get())

    def check_value(self, target: float) -> None:
        """Raises: InputError, LimitError."""
        assert self._readback is not None  # noqa: S101  # seen to by the constructor
        check(self.name, target, self._readback.declared, self.limits)

    def set(self, target: float) -> SimStatus:
        """Move there. Raises: InputError, LimitError."""
        self.check_value(target)
        goal = float(target)

        def begin() -> None:
            self._target = goal
            self.begin(goal)

        soon_s = 2.0 * self._timeout_s + GRACE_S
        return self._act(
            "moving",
            begin=begin,
            is_over=self.arrived,
            conclude=self._at_rest,
            limit_s=self._move_timeout_s,
            begin_limit_s=soon_s,
        )

    def _at_rest(self) -> None:
        """Raises: DeviceError when it is not where it should be."""
        assert self._readback is not None  # noqa: S101  # seen to by the constructor
        place = float(self._taken([self._readback])[self._readback.name]["value"])
        if self._target is not None and 0 < self.tolerance < abs(place - self._target):
            raise DeviceError(
                f"it rests at {place:g} {self.egu}, not at {self._target:g} {self.egu}",
                remedy="see whether it is blocked or at a limit switch",
                device=self.name,
            )

    def locate(self) -> dict[str, float]:
        """Where it should be and where it is, in its unit."""
        place = self.position
        return {"setpoint": place if self._target is None else self._target, "readback": place}


class Counter(Acting):
    """A driver that counts for a time when it is triggered.

    While staged, a reading is what the last trigger counted; otherwise it is taken now.
    """

    NOMINAL_S = 0.1
    """Count time when none was told."""

    def __init__(self, name: str, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self.count_time_s = 0.0
        self._staged = False
        self._counted: dict[str, Reading] | None = None

    def begin_count(self, count_time_s: float) -> None:
        """Begin to count. It may block until the end. Called on the device's thread."""
        raise NotImplementedError(f"{type(self).__name__} has no method begin_count")

    def counted(self) -> bool:
        """The count is over. Raises: DeviceError when it went wrong. Called often meanwhile."""
        return True

    def set_count_time(self, count_time_s: float) -> None:
        """Count for so many seconds at each trigger; 0: as long as is usual. Raises: InputError."""
        if not 0.0 <= count_time_s < math.inf:
            raise InputError(
                f"{count_time_s} s is no count time", remedy="give 0 s or more", device=self.name
            )
        self.count_time_s = count_time_s

    def trigger(self) -> SimStatus:
        """Count; done when the values are there."""
        count_time_s = self.count_time_s or self.NOMINAL_S
        limit_s = count_time_s + self._timeout_s + GRACE_S
        self._counted = None

        def conclude() -> None:
            self._counted = self._taken(self.of_kind("hinted", "normal"))

        return self._act(
            "counting",
            begin=lambda: self.begin_count(count_time_s),
            is_over=self.counted,
            conclude=conclude,
            limit_s=limit_s,
            begin_limit_s=limit_s + self._timeout_s,
        )

    def read(self) -> dict[str, Reading]:
        """What was counted, while staged; else what it reads now. Raises: UndulaError."""
        if self._staged and self._counted is not None:
            return self._counted
        return super().read()

    def stage(self) -> list[Any]:
        """Take part in a run: from now on a reading is what a trigger counted."""
        self._staged, self._counted = True, None
        return [self]

    def unstage(self) -> list[Any]:
        """Take part no more; a count that is going on is given up."""
        self._staged = False
        if "counting" in self._actions:
            self.stop()
        return [self]
