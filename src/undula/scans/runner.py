"""The queue's worker: one RunEngine, one thread, one scan at a time.

In: checked requests, steering (pause, resume, abort). Out: documents by way of the gate, changes of
the queue by way of `changed`. Pausing, aborting and cleaning up stay the RunEngine's; here stands
only what it is told and what is written down.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bluesky.run_engine import RunEngine
from bluesky.utils import RunEngineInterrupted, TransitionError

from undula.catalogue import Catalogue, QueueItemRecord, RunRecord
from undula.core.clock import now
from undula.core.errors import BusyError, DeviceError, InputError, UndulaError
from undula.core.faults import reached
from undula.core.log import get_logger
from undula.core.settings import BeamlineSettings
from undula.devices.condition import Condition
from undula.devices.registry import Registry
from undula.messages import ItemFinished, QueueItem, QueueStatus, ScanRequest
from undula.messages.queue import QueueState
from undula.messages.runs import ExitStatus
from undula.plans import VERBS
from undula.plans.step import Messages
from undula.scans.attendant import Attendant
from undula.scans.build import Asked, baseline_of, build_plan, explain, pushing
from undula.scans.check import CheckedScan
from undula.scans.conditions import Conditions, Trip, told
from undula.scans.documents import DocumentGate
from undula.scans.frames import tell_path
from undula.scans.hold import Hold
from undula.scans.leases import Holding, Leases
from undula.scans.lost import LostDevices
from undula.scans.places import run_path
from undula.scans.ports import Documents
from undula.scans.queue import ScanQueue
from undula.scans.recovery import count_start
from undula.scans.refusals import Unsettled
from undula.scans.safety import Touched
from undula.scans.shutters import Shutters
from undula.scans.stoppable import stoppable
from undula.scans.stopped import Permit

RESUME_BELOW = 0.2
CONDITIONS_EVERY_S = 0.1
SHOW_WAIT_AFTER_S = 1.0
CLOSE_TIMEOUT_S = 8.0


class ScanRunner:
    """Runs the queue. All methods may be called from any thread."""

    def __init__(
        self,
        devices: Registry,
        settings: BeamlineSettings,
        catalogue: Catalogue,
        outbox: Documents,
        *,
        touched: Touched,
        leases: Leases,
        engine: RunEngine,
        changed: Callable[[], None],
        finished: Callable[[ItemFinished], None],
        conditions: Conditions,
        attendant: Attendant,
    ) -> None:
        self.devices = devices
        self.conditions = conditions
        self._attendant = attendant
        self._hold = Hold()
        self._shutters = Shutters(devices)
        self.settings = settings
        self.leases = leases
        self._catalogue = catalogue
        self._touched = touched
        self._changed = changed
        self._finished = finished
        self._gate = DocumentGate(outbox, self._opening, self._asked_to_end)
        self._unsettled = Unsettled(outbox, catalogue)
        self._engine = engine
        engine.scan_id_source = self._next_number
        engine.waiting_hook = self._waits
        for verb, function in VERBS.items():
            engine.register_command(verb, function)
        engine.subscribe(self._gate)
        self._lock = threading.Condition()
        self._queue = ScanQueue()
        self._requests: dict[str, ScanRequest] = {}
        self._state: QueueState = "idle"
        self._message = ""
        self._reason = ""
        self._pause_wanted = self._resume_wanted = self._abort_wanted = False
        self._paused_for_room = self._stopped = False
        self._ends_as: ExitStatus = "abort"
        self._lost = LostDevices(devices, settings.lost_deadline_s)
        self._dropped: list[str] = []
        self._waiting: tuple[float, str] | None = None
        self._checked: CheckedScan | None = None
        self._in_plan = False
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="scans", daemon=True)

    # ---- asked by the service -------------------------------------------------------------

    def start(self, stored: list[tuple[QueueItem, ScanRequest]]) -> None:
        """Begin with the items that were stored before a restart."""
        with self._lock:
            for item, request in stored:
                self._queue = self._queue.submitted(item)
                self._requests[item.item_id] = request
        self._thread.start()

    def submit(self, request: ScanRequest, scan: CheckedScan, permit: Permit) -> QueueItem:
        """Store a checked request and put it at the end of the queue.

        Args:
            permit: taken when the request came.
        Raises: UndulaError when motion was stopped since: then nothing may start by itself.
        """
        permit.check()
        item = QueueItem(
            item_id=request.request_id,
            command=request.command,
            plan=request.plan,
            user=request.user,
            submitted=now(),
            num_points=scan.num_points,
            estimate_s=scan.estimate_s,
        )
        payload = {"item": item.model_dump(), "request": request.model_dump()}
        self._catalogue.store_item(
            QueueItemRecord(item_id=item.item_id, submitted=item.submitted, payload=payload)
        )
        reached("engine.item_stored")
        with self._lock:
            stopped = permit.revoked
            if not stopped:
                self._queue = self._queue.submitted(item)
                self._requests[item.item_id] = request
                self._lock.notify_all()
        if stopped:  # while it was stored
            self.drop(item.item_id, "stopped while it was accepted")
            permit.check()
        self._changed()
        return item

    def status(self) -> QueueStatus:
        """The whole queue now."""
        with self._lock:
            run, waiting = self._gate.open, self._waiting
            text = ""
            message = self._message
            if self._hold.active and self._state in ("pausing", "paused"):
                message = f"paused by itself: {self._hold.text(time.monotonic())}"
            if waiting and time.monotonic() - waiting[0] > SHOW_WAIT_AFTER_S:
                text = f"{waiting[1]}, since {time.monotonic() - waiting[0]:.0f} s"
            return QueueStatus(
                state=self._state,
                running=self._queue.running,
                run_uid=run.uid if run else None,
                run_number=run.number if run else None,
                points_done=run.points if run else 0,
                waiting_for=text,
                waiting=list(self._queue.waiting),
                message=message,
            )

    def pause(self, *, at_point: bool, message: str = "paused by request") -> None:
        """Pause now, or at the next point. Raises: BusyError when nothing runs."""
        with self._lock:
            if self._state == "paused":
                self._hold.end()  # from now on somebody has to say that it goes on
                self._lost.paused = False
                self._message = message
                return
            if self._state not in ("running", "pausing"):
                raise BusyError("nothing runs that could be paused", remedy="see undula queue list")
            self._message, self._state = message, "pausing"
            self._pause_wanted = True
        if not at_point and self._engine.resumable:
            self._nudge()  # before the first checkpoint a pause would abort: the flag has to do
        self._changed()

    def resume(self) -> None:
        """Go on; the interrupted point is taken again. Raises: BusyError."""
        if trips := self._trips():
            raise BusyError(
                f"it cannot go on: {told(trips)}",
                remedy="it goes on by itself when this holds; staff may disable the condition",
            )
        self._go_on()

    def _go_on(self) -> None:
        with self._lock:
            if self._state != "paused":
                raise BusyError(
                    f"the queue is {self._state}, not paused", remedy="see undula queue list"
                )
            self._resume_wanted, self._paused_for_room = True, False
            self._hold.end()
            self._lock.notify_all()

    def abort(self, reason: str) -> None:
        """End the running scan with clean-up; what was taken is kept. Raises: BusyError."""
        if not self.want_abort(reason or "aborted by request"):
            raise BusyError("nothing runs that could be aborted", remedy="see undula queue list")
        self._nudge()
        self._changed()

    def _nudge_if_possible(self) -> None:
        """Before the first checkpoint a pause would abort: then the flags have to do."""
        if self._engine.resumable or self._abort_wanted:
            self._nudge()

    def want_abort(self, reason: str) -> bool:
        """Let the running scan end at its next step; False when nothing runs. Never blocks."""
        with self._lock:
            if self._queue.running is None:
                return False
            self._reason = self._message = reason
            self._abort_wanted, self._state = True, "aborting"
            self._lock.notify_all()
            return True

    def want_stop(self, reason: str) -> None:
        """Motion is stopped: what runs ends, what waits does not start."""
        with self._lock:
            self._dropped += [item.item_id for item in self._queue.waiting]
            for item in self._queue.waiting:
                self._queue = self._queue.removed(item.item_id)
                self._requests.pop(item.item_id, None)
            self._message = f"{reason}; new scans are accepted"
            self._stopped = True
        self.want_abort(reason)

    def _nudge(self) -> None:
        """Interrupt the plan now. The flags decide; this only spares the wait for a checkpoint.

        Not while the RunEngine cleans up after the plan: what is open would stay so, and the
        RunEngine be of no use any more. Nor the next plan, which has no flag.
        """
        with self._lock:
            wanted = self._pause_wanted or self._abort_wanted
        if not wanted or not self._in_plan or self._engine.state != "running":
            return
        try:
            self._engine.request_pause(defer=False)
        except TransitionError as exc:
            get_logger().info("not_interrupted", why=str(exc))

    def remove(self, item_id: str | None) -> None:
        """Take a waiting item, or with None all of them, out of the queue. Raises: InputError."""
        with self._lock:
            if item_id is None:
                gone = [i.item_id for i in self._queue.waiting]
            elif item_id:
                gone = [item_id]
            else:
                raise InputError("no item was named", remedy="see undula queue list for the ids")
            for one in gone:
                self._queue = self._queue.removed(one)
                self._requests.pop(one, None)
        for one in gone:
            self._end(ItemFinished(item_id=one, exit_status="removed", time=now()))
        self._changed()

    def watch_conditions(self) -> None:
        """Pause or abort when a condition does not hold; go on when it has held for a while."""
        trips = self._trips()
        with self._lock:
            running = self._state == "running" and self._checked is not None
            held = self._state == "paused" and self._hold.active
            go_on = held and self._hold.see(trips, time.monotonic())
        if running and trips:
            self._tripped(trips)
            self._nudge_if_possible()
        elif go_on:
            self._go_on()

    def _trips(self, *, now: bool = False) -> list[Trip]:
        return [t for t in self.conditions.trips(now=now) if t.action in ("pause", "abort")]

    def _tripped(self, trips: list[Trip]) -> None:
        """Ask for the pause, or the abort, that these want. Never blocks."""
        aborting = [t for t in trips if t.action == "abort"]
        if aborting:
            self.want_abort(f"aborted by itself: {told(aborting)}")
            return
        with self._lock:
            if self._state not in ("running", "pausing"):
                return
            self._hold.begin(trips, time.monotonic())
            self._state, self._pause_wanted = "pausing", True
        get_logger().warning("scan_held", why=told(trips))
        self._changed()

    def _spoiled(self) -> bool:
        """Asked by the plan at the end of each point: whether it must be taken again."""
        trips = self._trips(now=True)
        if trips:
            self._tripped(trips)
        return bool(trips)

    def watch_room(self, fill: float, broker_full: bool) -> None:
        """Pause while documents cannot leave; go on by itself when there is room again."""
        with self._lock:
            running, paused_for_room = self._state == "running", self._paused_for_room
            paused, pausing = self._state == "paused", self._state == "pausing"
        urgent = fill >= 0.8
        if (running and (fill >= 0.5 or broker_full)) or (pausing and paused_for_room and urgent):
            why = "the broker is nearly full" if broker_full else "documents wait for the broker"
            with self._lock:
                self._paused_for_room = True
            self.pause(at_point=not urgent, message=f"paused by itself: {why}")
        elif paused and paused_for_room and fill < RESUME_BELOW and not broker_full:
            self._go_on()

    def watch_lost(self) -> None:
        """Pause while a device of the scan is out of reach; go on when it is back, or end."""
        with self._lock:
            state = self._state
        if state not in ("running", "pausing", "paused"):
            return
        if self._lost.look():
            if late := self._lost.overdue:
                self._ends_as = "fail"
                if self.want_abort(late):
                    self._nudge()
            elif state == "running":
                self._lost.paused = True
                self.pause(at_point=False, message=f"paused by itself: {self._lost.text}")
        elif state == "paused" and self._lost.paused and not self._trips():
            self._go_on()

    def _asked_to_end(self) -> tuple[ExitStatus | None, str]:
        return (self._ends_as if self._abort_wanted else None), self._reason

    def watch_refusals(self) -> None:
        """Enter as failed what the broker refused after its run had ended, and show it."""
        for reason in self._unsettled.settle():
            with self._lock:
                self._message = reason
            self._changed()

    def close(self, reason: str) -> bool:
        """Abort what runs and end the thread; False when it did not end in time."""
        with self._lock:
            self._closing = True
            self._lock.notify_all()
        if self.want_abort(reason):
            self._nudge()
        if self._thread.is_alive():
            self._thread.join(CLOSE_TIMEOUT_S)
        return not self._thread.is_alive()

    def interrupt(self, reason: str, also: Callable[[], None]) -> None:
        """Interrupt the plan, then call `also` and end what was dropped, on another thread."""

        def work() -> None:
            self._nudge()
            also()
            with self._lock:
                dropped, self._dropped = self._dropped, []
            for item_id in dropped:
                self.drop(item_id, reason)
            self._changed()

        threading.Thread(target=work, name="abort", daemon=True).start()

    def drop(self, item_id: str, reason: str) -> None:
        """Enter that an item will not run."""
        self._end(ItemFinished(item_id=item_id, exit_status="removed", reason=reason, time=now()))

    def active_objects(self) -> dict[str, Any]:
        """Devices that must stop when motion stops: of the scan and of all direct moves."""
        touched = {n: stoppable(self.devices[n]) for n in self._touched.names()}
        return {n: how for n, how in touched.items() if how is not None}

    # ---- called by the RunEngine ----------------------------------------------------------

    def _next_number(self, _: Any) -> int:
        number = self._catalogue.allocate_number(self.settings.data)
        reached("engine.run_numbered")
        return number

    def _opening(self, start: dict[str, Any]) -> Path:
        scan = self._checked
        path = run_path(
            self.settings, start, str(start.get("plan_name", "run")), int(start["scan_id"])
        )
        tell_path(path, self.devices)
        self._catalogue.open_run(
            RunRecord(
                uid=start["uid"],
                number=start["scan_id"],
                plan=str(start.get("plan_name", "")),
                command=str(start.get("command", "")),
                user=str(start.get("user", "")),
                item_id=self._gate.item_id,
                path=str(path),
                start_time=start["time"],
                devices=list(scan.devices) if scan else [],
                num_points=scan.num_points if scan else None,
                metadata=dict(start),
            )
        )
        return path

    def _waits(self, statuses: Any) -> None:
        self._waiting = None if statuses is None else (time.monotonic(), _names(statuses))

    def _asked_to_pause(self) -> bool:
        return self._pause_wanted or self._abort_wanted

    # ---- the thread -----------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self._lock:
                self._lock.wait_for(lambda: self._closing or self._queue.waiting)
                if self._closing:
                    return
                self._queue = self._queue.started()
                item = self._queue.running
                self._state, self._message, self._reason = "running", "", ""
                self._pause_wanted = self._resume_wanted = self._abort_wanted = False
                self._paused_for_room = self._stopped = False
                self._ends_as = "abort"
                self._lost.begin(())
            if item is None:
                continue
            self._changed()
            try:
                self._run_item(item, self._requests[item.item_id])
            except Exception:  # e.g. a full disk under the catalogue; the queue must go on
                get_logger().exception("item_not_finished", item=item.item_id)
                with self._lock:
                    self._queue = self._queue.finished()
                    self._state, self._message = "idle", "see undula logs --service engine"

    def _run_item(self, item: QueueItem, request: ScanRequest) -> None:
        self._gate.begin(item.item_id)
        holder = f"scan {item.command or item.plan!r} of {item.user or 'somebody'}"
        holding = Holding(self.leases, holder, self._touched, item.item_id)
        status: ExitStatus = "fail"
        try:
            count_start(self._catalogue, item.item_id)
            self._checked = scan = self._attendant.check_scan(request, self.devices, self.settings)
            self._lease(scan, holder)
            self._lost.begin(scan.devices)
            self._touched.add(item.item_id, scan.devices)
            self._await_conditions()
            self._shutters.begin(scan.shutters, scan.opens == "per_scan")
            lease = partial(self._lease_more, holding)
            asked = Asked(self._asked_to_pause, self._spoiled, self._lost, lease)
            plan, md = build_plan(scan, self.devices, self.settings, asked, self._waits)
            self._drive(plan, md)
            status = "abort" if self._abort_wanted else "success"
        except _Aborted:
            status = "abort"
        except Exception as exc:  # whatever a plan or driver raises ends this item, not the engine
            if self._abort_wanted:
                status = "abort"  # devices that are stopped fail; the reason is the stop
            else:
                self._reason = explain(exc, self._waiting[1] if self._waiting else "")
            get_logger().warning(
                "scan_failed", command=item.command, reason=self._reason, exc_info=True
            )
        finally:
            self._shutters.end()
            self._hold.end()
            holding.release()
        self._finish(item, status)

    def _finish(self, item: QueueItem, status: ExitStatus) -> None:
        runs = [*self._gate.closed, *self._gate.still_open]
        if status != "fail" and runs and runs[-1].exit_status:
            # the runs' own word: an abort may have come too late
            words = [run.exit_status for run in runs if run.exit_status]
            status = next((word for word in words if word != "success"), "success")
        self._unsettled.add(runs)
        with self._lock:
            self._queue = self._queue.finished()
            self._state, self._message = "idle", "" if status == "success" else self._reason
            if self._stopped:
                self._message = f"{self._reason}; new scans are accepted"
            self._waiting, self._checked = None, None
            self._requests.pop(item.item_id, None)
        self._end(
            ItemFinished(
                item_id=item.item_id,
                exit_status=status,
                run_uids=[r.uid for r in runs],
                run_numbers=[r.number for r in runs],
                reason="" if status == "success" else self._reason,
                time=now(),
            )
        )
        reached("engine.item_finished")
        self._changed()

    def _lease(self, scan: CheckedScan, holder: str) -> None:
        begin = time.monotonic()
        read = [*baseline_of(scan, self.devices), *pushing(scan, self.devices)]
        read = [n for n in read if not isinstance(self.devices[n].obj, Condition)]
        while other := self.leases.wait_free(scan.devices, 0.5, shared=read):
            self._waiting = (begin, f"waiting for {other}")
            self._stop_if_aborted()
        self._waiting = None
        self.leases.take(scan.devices, holder)
        self.leases.share(read, holder)  # a condition may be lifted while it holds the scan

    def _lease_more(self, holding: Holding, names: Sequence[str]) -> None:
        """Devices that a plan turns out to need. Raises: BusyError when somebody has one."""
        holding.take(names)
        self._lost.also(names)

    def _await_conditions(self) -> None:
        """Begin when all conditions hold. Raises: DeviceError where one refuses a start."""
        begin, hold = time.monotonic(), Hold()
        trips = [t for t in self.conditions.trips(now=True) if t.action != "warn"]
        while trips or hold.active:
            if refusing := [t for t in trips if t.action != "pause"]:
                raise DeviceError(
                    told(refusing), remedy="wait until it holds; staff may disable the condition"
                )
            self._waiting = (begin, f"waiting until it holds: {told(trips)}")
            if not hold.active:
                hold.begin(trips, time.monotonic())
            elif hold.see(trips, time.monotonic()):
                break
            self._stop_if_aborted()
            with self._lock:
                self._lock.wait(CONDITIONS_EVERY_S)
            trips = [t for t in self.conditions.trips(now=True) if t.action != "warn"]
        self._waiting = None

    def _stop_if_aborted(self) -> None:
        if self._abort_wanted or self._closing:
            raise _Aborted

    def _drive(self, plan: Any, md: dict[str, Any]) -> None:
        """Run the plan to its end. Only this thread resumes and aborts the RunEngine."""
        self._stop_if_aborted()
        noted = self._noted(plan)
        call: Callable[[], Any] = lambda: self._engine(noted, **md)  # noqa: E731  # or resume, abort
        while True:
            try:
                call()
            except RunEngineInterrupted:
                get_logger().info("plan_interrupted", engine=str(self._engine.state))
            if self._engine.state != "paused":
                return
            call = self._paused()

    def _noted(self, plan: Messages) -> Messages:
        """`plan`; it is known while it runs, and from its end on that it does not."""
        self._in_plan = True
        try:
            return (yield from plan)
        finally:
            self._in_plan = False

    def _paused(self) -> Callable[[], Any]:
        """Wait for what to do next: resume or abort."""
        with self._lock:
            self._pause_wanted = self._resume_wanted = False
            if not self._abort_wanted:
                self._state = "paused"
                if self._lost.paused and self._lost.text:
                    self._message = f"paused by itself: {self._lost.text}"
        self._shutters.close()
        self._changed()
        with self._lock:
            self._lock.wait_for(lambda: self._resume_wanted or self._abort_wanted)
        if not self._abort_wanted:
            self._lost.restore()
            self._open_again()
        with self._lock:
            if self._abort_wanted:
                return lambda: self._engine.abort(self._reason)
            self._resume_wanted = False
            self._state, self._message = "running", ""
        self._changed()
        return self._engine.resume  # type: ignore[no-any-return]  # bluesky is untyped

    def _open_again(self) -> None:
        try:
            self._shutters.open_again()
        except UndulaError as error:  # without beam the points would be worth nothing
            self.want_abort(str(error))

    def _end(self, finished: ItemFinished) -> None:
        try:
            self._catalogue.finish_item(finished)
        except UndulaError:  # its run is known: a successor will not run it again
            get_logger().exception("item_not_recorded", item=finished.item_id)
        self._finished(finished)


class _Aborted(Exception):  # noqa: N818  # a way out, not an error
    """The scan was aborted before its plan began."""


def _names(statuses: Any) -> str:
    names = []
    for status in statuses:
        owner = getattr(status, "device", None) or getattr(status, "obj", None)
        name = getattr(owner, "name", "") or getattr(status, "name", "")
        names.append(str(name) or "a device")
    return ", ".join(sorted(set(names)))
