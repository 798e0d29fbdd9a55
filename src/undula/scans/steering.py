"""What the running scan is told: pause, resume, skip, retake, complete, abort.

In: what people ask, and what is found by `scans.watching`. Out: the RunEngine is interrupted,
resumed, aborted. Only the thread that runs the scans resumes and aborts it, in `drive`; everybody
else sets flags and interrupts. Not here: what waits (`runner`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from bluesky.run_engine import RunEngine
from bluesky.utils import RunEngineInterrupted

from undula.core.errors import BusyError, UndulaError
from undula.core.log import get_logger
from undula.messages.queue import QueueState
from undula.messages.runs import ExitStatus
from undula.plans.step import Messages
from undula.plans.steps import Done, Steps
from undula.plans.verbs import Wait
from undula.scans.condition_wait import await_conditions
from undula.scans.conditions import Conditions, Trip, told
from undula.scans.course import Course
from undula.scans.held_up import HeldUp
from undula.scans.hold import Hold
from undula.scans.interrupting import Interrupter, end_computing
from undula.scans.lost import LostDevices
from undula.scans.shutters import Shutters
from undula.scans.wanted import Wanted
from undula.scans.watchdog import Late, Watchdog

COMPUTES_S = 5.0
"""A plan that is to end may compute for so long without a message."""


class AbortedBeforeError(Exception):
    """The scan was aborted before its plan began; a way out, not an error."""


class Steering:
    """Steers the scan that runs. All methods may be called from any thread but `drive`.

    `lock` guards what is shared with the queue: state, message, reason. `points` counts the rows of
    the open run.
    """

    def __init__(
        self,
        engine: RunEngine,
        *,
        shutters: Shutters,
        lost: LostDevices,
        held_up: HeldUp,
        conditions: Conditions,
        changed: Callable[[], None],
        points: Callable[[], int],
        watchdog: Watchdog,
    ) -> None:
        self._engine = engine
        self._shutters = shutters
        self._lost = lost
        self._held_up = held_up
        self._conditions = conditions
        self.changed = changed
        self._points = points
        self.watchdog = watchdog
        self.overdue: list[Late] = []
        """What takes longer than it should."""
        self._hold = Hold()
        self.lock = threading.Condition()
        self.active = False
        """An item runs, from its start to its end."""
        self.on_its_way = False
        """Its check is done and its plan may begin."""
        self._wanted = Wanted()
        self.message = ""
        self.reason = ""
        self.closing = False
        self.course = Course()
        """Its points, and what was asked of them."""
        self._ends_as: ExitStatus = "abort"
        self._in_plan = False
        self._returned = self._cut = False
        self._stood_s = 0.0
        self._ended = threading.Event()
        self._interrupter = Interrupter(engine, self._to_be_interrupted)
        self.computes_s = COMPUTES_S
        """So long a person's plan may compute on, s, before an abort ends it."""
        self.aside: Callable[[str], str] = lambda _: ""
        """Runs the hooks of a place (`on pause`) while the plan stands; returns what failed."""
        self.stop_aside: Callable[[], None] = lambda: None
        """Ends the hooks that run so."""
        self.repeats: Callable[[], None] = lambda: None
        """Called before the RunEngine goes on: it repeats what it was told since a checkpoint."""

    def begin(self) -> None:
        """An item begins: what was asked of the one before is over."""
        with self.lock:
            self.active, self.on_its_way = True, False
            self._wanted, self.message, self.reason = Wanted(), "", ""
            self._ends_as, self.course = "abort", Course()
            self._returned = self._cut = False
            self._ended.clear()
            self._lost.begin(())
            self._held_up.begin(())

    def end(self, message: str) -> None:
        """The item has ended; `message` says why, '' when there is nothing to say."""
        with self.lock:
            self.active = self.on_its_way = False
            self.message, self.overdue = message, []
            self.watchdog.end()
            self._ended.set()

    @property
    def state(self) -> QueueState:
        """What the queue does now."""
        return self._wanted.state if self.active else "idle"

    @property
    def wanted(self) -> Wanted:
        """What is wanted of the scan."""
        return self._wanted

    @property
    def begun(self) -> bool:
        """Its plan has begun."""
        return self.course.begun

    @property
    def in_plan(self) -> bool:
        """Its plan is being run, not cleaned up after."""
        return self._in_plan

    def hold_is_over(self, trips: Sequence[Trip]) -> bool:
        """It is held, and what tripped has been good for long enough."""
        held = self._wanted.phase == "paused" and self._hold.active
        return held and self._hold.see(trips, time.monotonic())

    def fail(self, reason: str) -> None:
        """End the running scan as failed, with clean-up. Never blocks."""
        self._ends_as = "fail"
        if self.want_abort(reason):
            self.nudge()

    @property
    def aborted(self) -> bool:
        """Somebody, or something, asked the scan to end."""
        return self._wanted.aborting

    @property
    def ended_early(self) -> ExitStatus | None:
        """How an item counts whose plan was asked to end and did; None: it came to its own end."""
        by_itself = self._returned and not self._cut
        return self._ends_as if self.aborted and not by_itself else None

    @property
    def shown(self) -> str:
        """What people are told: why it is paused or what failed last."""
        if self._hold.active and self.state in ("pausing", "paused"):
            return f"paused by itself: {self._hold.text(time.monotonic())}"
        return self.message

    def release(self) -> None:
        """The plan is over: nothing is held any more."""
        self._hold.end()

    def pause(self, *, at_point: bool, message: str = "paused by request") -> None:
        """Pause now, or at the next point, until somebody says that it goes on.

        It returns at once: what `holds_it_up` may have to return before it pauses.
        Raises: BusyError when nothing runs.
        """
        self.pause_by_itself(message, at_point=at_point, person=True)

    def holds_it_up(self) -> str:
        """What keeps the plan from being interrupted, in words; '' when nothing does."""
        return self._interrupter.held_up_by()

    def pause_by_itself(
        self, message: str, *, at_point: bool = False, person: bool = False, room: bool = False
    ) -> None:
        """Pause for what is over by itself; `room`: until documents have some. Raises: BusyError.

        Args:
            person: somebody has to say that it goes on.
        """
        with self.lock:
            if self.state not in ("running", "pausing", "paused"):
                raise BusyError("nothing runs that could be paused", remedy="see undula queue list")
            self._wanted = self._wanted.paused_by(person=person, room=room)
            self.message = message
            if self._wanted.phase == "paused":
                self._hold.end()
                self._lost.paused = False
        if not at_point and self._engine.resumable:
            self.nudge()  # before the first checkpoint a pause would abort: the flag has to do
        self.changed()

    def resume(self) -> None:
        """Go on; the interrupted point is taken again. Raises: BusyError."""
        if trips := self.trips():
            raise BusyError(
                f"it cannot go on: {told(trips)}",
                remedy="it goes on by itself when this holds; staff may disable the condition",
            )
        with self.lock:
            if not (self.active and self._wanted.stands):
                raise BusyError(
                    f"the queue is {self.state}, not paused", remedy="see undula queue list"
                )
            self._ask(self._wanted.resumed())

    def _ask(self, wanted: Wanted) -> None:
        """Now this is wanted; with the lock held."""
        self._wanted = wanted
        if wanted.moves_on:
            self._hold.end()
        self.lock.notify_all()

    def go_on_by_itself(self) -> None:
        """What it was paused for is over; not where somebody wants to say so."""
        with self.lock:
            if self._wanted.phase == "paused" and not self._wanted.stays:
                self._ask(self._wanted.resumed())

    def abort(self, reason: str) -> None:
        """End the running scan with clean-up; what was taken is kept. Raises: BusyError."""
        if not self.want_abort(reason or "aborted by request"):
            raise BusyError("nothing runs that could be aborted", remedy="see undula queue list")
        self.nudge()
        self.changed()

    # ---- between its points ---------------------------------------------------------------

    def follows(self, steps: Steps | None) -> None:
        """The plan that begins has these points; None: nobody knows them beforehand."""
        with self.lock:
            if self.course.follows(steps):
                self._wanted = self._wanted.completed(interrupt=True)

    @property
    def done(self) -> Done | None:
        """How far the running scan is; None when its points are not known."""
        return self.course.done

    def skip(self) -> str:
        """Leave out the point under way and go on. Returns: what is done. Raises: BusyError."""
        return self._steer("skipped", lambda steps, _: steps.skip(), now=True)

    def retake(self, point: int | None) -> str:
        """Take a point again, by its number from 1 (None: the last), and go on.

        While it is paused at once, else after the point under way. Returns: what is done.
        Raises: BusyError, InputError.
        """
        return self._steer("retaken", lambda steps, paused: steps.retake(point, now=paused))

    def complete(self, user: str) -> str:
        """End the scan early and count it as good; while it is paused at once.

        Returns: what is done. Raises: BusyError when nothing runs.
        """
        with self.lock:
            self._must_run("completed")
            stands = self._wanted.stands
            said = self.course.complete(user, now=stands)
            self._ask(self._wanted.completed(interrupt=self.course.stops and not stands))
        self.changed()
        return said

    def _steer(self, what: str, ask: Callable[[Steps, bool], str], *, now: bool = False) -> str:
        if trips := self.trips():
            raise BusyError(
                f"it cannot go on: {told(trips)}", remedy="it goes on by itself when this holds"
            )
        with self.lock:
            self._must_run(what)
            stands = self._wanted.stands
            said, gives_up = self.course.steer(what, lambda steps: ask(steps, stands))
            self._ask(self._wanted.steered_by(now=now and gives_up))
            interrupts, pauses = self._wanted.steered, self._wanted.pause
        if interrupts and self._engine.resumable:
            self.nudge()
        self.changed()
        return f"{said}, then it {'pauses' if pauses else 'goes on'}"

    def _must_run(self, what: str) -> None:
        if self.state not in ("running", "pausing", "paused"):
            raise BusyError(f"nothing runs that could be {what}", remedy="see undula queue list")

    # ---- its end, and what watches it -----------------------------------------------------

    def nudge_if_possible(self) -> None:
        """Before the first checkpoint a pause would abort: then the flags have to do."""
        if self._engine.resumable or self.aborted:
            self.nudge()

    def want_abort(self, reason: str) -> bool:
        """Let the running scan end at its next step; False when nothing runs. Never blocks."""
        with self.lock:
            if not self.active:
                return False
            if not self.aborted:
                threading.Thread(
                    target=end_computing,
                    args=(self._ended, lambda: self.computes_s),
                    name="ending",
                    daemon=True,
                ).start()
            self.reason = self.message = reason
            self._wanted = self._wanted.aborted()
            self.lock.notify_all()
            return True

    def nudge(self) -> None:
        """Interrupt the plan now. The flags decide; this only spares the wait for a checkpoint.

        Not while the RunEngine cleans up after the plan: what is open would stay so, and the
        RunEngine be of no use any more. Nor the next plan, which has no flag. Where its loop is
        held up it is interrupted as soon as that is over, and this returns before.
        """
        with self.lock:
            wanted = self._wanted.interrupts
        if self.aborted and self._engine.state == "paused":
            self.stop_aside()
        if not wanted or not self._in_plan or self._engine.state != "running":
            return
        self._interrupter.interrupt()

    def _to_be_interrupted(self) -> bool:
        return self._in_plan and self._wanted.interrupts

    def trips(self, *, now: bool = False) -> list[Trip]:
        """What does not hold and is to pause or abort a scan; `now`: asked anew."""
        return [t for t in self._conditions.trips(now=now) if t.action in ("pause", "abort")]

    def hold_for(self, trips: list[Trip]) -> None:
        """Ask for the pause, or the abort, that these want. Never blocks."""
        aborting = [t for t in trips if t.action == "abort"]
        if aborting:
            self.want_abort(f"aborted by itself: {told(aborting)}")
            return
        with self.lock:
            if self.state not in ("running", "pausing"):
                return
            self._hold.begin(trips, time.monotonic())
            self._wanted = self._wanted.paused_by(person=False)
        get_logger().warning("scan_held", why=told(trips))
        self.changed()

    def spoiled(self) -> bool:
        """Asked by the plan at the end of each point: whether it must be taken again."""
        trips = self.trips(now=True)
        if trips:
            self.hold_for(trips)
        return bool(trips)

    def asked_to_end(self) -> tuple[ExitStatus | None, str]:
        """How a run ends that somebody asked to end, and why; None when nobody did."""
        if self.aborted:
            return self._ends_as, self.reason
        early, why = self.course.ended_as(self._points())
        return (early, why) if early else (None, self.reason)

    def emptied(self) -> str:
        """Why a run that ends has no point, where all were left out; else ''."""
        return self.course.emptied

    def waits(self, statuses: Any) -> None:
        """Told by the RunEngine: the statuses that it waits for; None: none any more."""
        self.watchdog.told(None if statuses is None else Wait("other", _names(statuses)))

    def waits_for(self, text: str, since: float | None = None) -> None:
        """What the scan waits for whose length nobody knows, e.g. a sample; '' ends it."""
        self.watchdog.waits(text, since)

    def asked_to_pause(self) -> bool:
        """Asked by the plan behind each checkpoint."""
        wanted = self._wanted
        return wanted.pause or wanted.aborting

    def await_conditions(self) -> None:
        """Begin when all conditions hold. Raises: DeviceError where one refuses a start."""
        await_conditions(self._conditions, self.lock, self.waits_for, self.stop_if_aborted)

    def stop_if_aborted(self) -> None:
        """Raises: AbortedBeforeError when the scan is not to begin any more."""
        if self.aborted or self.closing:
            raise AbortedBeforeError

    def drive(self, plan: Any, md: dict[str, Any]) -> None:
        """Run the plan to its end. Only this thread resumes and aborts the RunEngine."""
        self.stop_if_aborted()
        noted = self._noted(plan)
        call: Callable[[], Any] = lambda: self._engine(noted, **md)  # noqa: E731  # or resume, abort
        while True:
            try:
                call()
            except RunEngineInterrupted:
                get_logger().info("plan_interrupted", engine=str(self._engine.state))
            if self._engine.state != "paused":
                return
            begin = time.monotonic()
            call = self._paused()
            self.watchdog.stood()
            self._stood_s += time.monotonic() - begin

    def clock(self) -> float:
        """Seconds, monotonic, that stand still while a plan does."""
        return time.monotonic() - self._stood_s

    def _noted(self, plan: Messages) -> Messages:
        """`plan`; it is known while it runs, and from its end on that it does not."""
        self._in_plan = True
        try:
            result = yield from plan
            self._returned = True
            return result
        finally:
            self._in_plan = False

    def _paused(self) -> Callable[[], Any]:
        """Wait for what to do next: resume, stop or abort."""
        with self.lock:
            self._wanted = self._wanted.interrupted(lost=self._lost.paused)
            if self._wanted.stays:
                self._hold.end()
                self._lost.paused = False
            elif self._wanted.phase == "paused" and self._lost.paused and self._lost.text:
                self.message = f"paused by itself: {self._lost.text}"
        while self._wanted.phase == "paused":
            self._shutters.close()
            self.changed()
            self._run_aside("on pause")
            with self.lock:
                self.lock.wait_for(lambda: self._wanted.moves_on)
                self._wanted = self._wanted.resuming()
            if not (self.aborted or self.course.stops):
                self._lost.restore()
                self._open_again()
                self._run_aside("on resume")
            with self.lock:
                self._wanted = self._wanted.off()
        with self.lock:
            if self.aborted:
                self._cut = True
                return lambda: self._engine.abort(self.reason)
            if self._wanted.phase == "running":
                self.message = ""
        self.changed()
        return self._engine.stop if self.course.stops else self._resumed

    def _run_aside(self, place: str) -> None:
        failed = "" if self.aborted else self.aside(place)
        if failed and not self.aborted:
            self._ends_as = "fail"
            self.want_abort(failed)

    def _resumed(self) -> Any:
        """Go on; a point that is given up is not repeated by the RunEngine first."""
        steps = self.course.steps
        if steps is not None and steps.open and steps.now:
            rewinds = self._engine.rewindable
            self._engine.rewindable = not rewinds  # a change of it forgets what would be repeated
            self._engine.rewindable = rewinds
        self.repeats()
        return self._engine.resume()

    def _open_again(self) -> None:
        try:
            self._shutters.open_again()
        except UndulaError as error:  # without beam the points would be worth nothing
            self.want_abort(str(error))


def _names(statuses: Any) -> list[str]:
    names = []
    for status in statuses:
        owner = getattr(status, "device", None) or getattr(status, "obj", None)
        name = getattr(owner, "name", "") or getattr(status, "name", "")
        names.append(str(name) or "a device")
    return names
