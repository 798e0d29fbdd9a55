"""The queue's worker: one RunEngine, one thread, one scan at a time.

In: checked requests, steering (pause, resume, abort). Out: documents by way of the gate, changes of
the queue by way of `changed`. Pausing, aborting and cleaning up stay the RunEngine's; here stands
only what it is told and what is written down.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bluesky.run_engine import RunEngine

from undula.catalogue import Catalogue
from undula.core.clock import now
from undula.core.faults import reached
from undula.core.log import get_logger
from undula.core.settings import BeamlineSettings
from undula.devices.condition import Condition
from undula.devices.registry import Registry
from undula.messages import FileEvent, ItemFinished, QueueItem, QueueStatus, ScanRequest
from undula.messages.runs import ExitStatus
from undula.plans import VERBS
from undula.plans.steps import Done, Steps
from undula.scans.aside import Aside
from undula.scans.attendant import Attendant
from undula.scans.build import Asked, baseline_of, build_plan, explain, pushing
from undula.scans.checked_scan import CheckedScan
from undula.scans.conditions import Conditions
from undula.scans.continued import check_continued
from undula.scans.documents import DocumentGate
from undula.scans.file_layouts import FileLayouts
from undula.scans.frames import tell_grid, tell_path, tell_points, tell_repeats, with_ledgers
from undula.scans.held_up import HeldUp
from undula.scans.lease_wait import await_leases
from undula.scans.leases import Holding, Leases
from undula.scans.line import Line
from undula.scans.lost import LostDevices
from undula.scans.move_watch import MoveWatch
from undula.scans.outcome import outcome_of
from undula.scans.own_code import own_code_text
from undula.scans.places import run_path
from undula.scans.ports import Documents
from undula.scans.queue_events import Ended
from undula.scans.recovery import count_start
from undula.scans.refusals import Unsettled
from undula.scans.run_record import record_of
from undula.scans.safety import Touched
from undula.scans.samples import ChangerFaultError, Samples
from undula.scans.scan_hooks import ScanHooks
from undula.scans.shutters import Shutters
from undula.scans.start_check import check_start
from undula.scans.steering import AbortedBeforeError, Steering
from undula.scans.stoppable import stoppable
from undula.scans.time_left import time_left
from undula.scans.watchdog import Watchdog, expected_of
from undula.scans.watching import Watching

CLOSE_TIMEOUT_S = 8.0
HooksOf = Callable[[CheckedScan], ScanHooks | None]


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
        hooks_of: HooksOf = lambda _: None,
    ) -> None:
        self.devices = devices
        self.conditions = conditions
        self._attendant = attendant
        self._hooks_of = hooks_of
        self._hooks: ScanHooks | None = None
        self._aside = Aside(engine, lambda: self.steering.aborted)
        self._shutters = Shutters(devices)
        self._lost = LostDevices(devices, settings.lost_deadline_s)
        self._held_up = HeldUp(devices, settings.lost_deadline_s)
        self.steering = Steering(
            engine,
            shutters=self._shutters,
            lost=self._lost,
            held_up=self._held_up,
            conditions=conditions,
            changed=changed,
            points=lambda: self._gate.open.points if self._gate.open else 0,
            watchdog=Watchdog(settings.watchdog),
        )
        self.watching = Watching(self.steering, self._lost, self._held_up)
        self._watchdog = self.steering.watchdog
        self.moves = MoveWatch(settings.watchdog, changed)
        self.steering.stop_aside = self._aside.stop
        self.steering.repeats = lambda: tell_repeats(engine, devices)
        self._lock = self.steering.lock
        self.settings = settings
        self.layouts: FileLayouts | None = None
        self.leases = leases
        self._catalogue = catalogue
        self._touched = touched
        self._changed = changed
        self._gate = DocumentGate(
            outbox,
            self._opening,
            self.steering.asked_to_end,
            self._with_ledgers,
            self.steering.emptied,
        )
        self._unsettled = Unsettled(outbox, catalogue)
        self._engine = engine
        self._number = 0
        engine.scan_id_source = self._next_number
        engine.md_validator = lambda md: check_start(md, self._number)
        engine.waiting_hook = self.steering.waits
        for verb, function in VERBS.items():
            engine.register_command(verb, function)
        engine.subscribe(self._gate)
        self.line = Line(catalogue, self._lock, finished)
        self._stopped = False
        self._dropped: list[str] = []
        self.samples = Samples(devices, leases, attendant)
        self._fault = ""
        self._checked: CheckedScan | None = None
        self._holder = ""
        self._thread = threading.Thread(target=self._work, name="scans", daemon=True)

    # ---- asked by the service -------------------------------------------------------------

    def start(
        self,
        stored: list[tuple[QueueItem, ScanRequest]],
        died: bool = False,
        ended: Sequence[tuple[QueueItem, ExitStatus]] = (),
        fresh: bool = False,
    ) -> None:
        """Begin with the items that were stored before a restart.

        Args:
            died: the last engine died while a scan ran, which has failed by that.
            ended: what ran then, and how it ended.
            fresh: the beamline was brought up, and nobody has asked for motion since.
        """
        halt = ""
        if died and self._waits_after("fail"):
            halt = "the engine died while a scan ran"
        elif fresh and self.settings.queue.after_restart == "wait":
            halt = "the beamline was brought up anew"
        self.line.begin(stored, halt, ended)
        self._thread.start()

    def status(self) -> QueueStatus:
        """The whole queue now."""
        with self._lock:
            run, queue = self._gate.open, self.line.queue
            done = self._done(queue.running)
            left_s, unknown = time_left(queue.running, done.points + done.skipped, queue.waiting)
            return QueueStatus(
                state=self.steering.state,
                running=queue.running,
                run_uid=run.uid if run else None,
                run_number=run.number if run else None,
                points_done=done.points,
                points_retaken=done.retaken,
                points_skipped=done.skipped,
                waiting_for=own_code_text() or self._watchdog.text,
                overdue=[late.text for late in (*self.steering.overdue, *self.moves.overdue)],
                waiting=list(queue.waiting),
                message=self.steering.shown,
                revision=queue.revision,
                locks=list(queue.locks),
                halted=queue.halted,
                stop_after=queue.stop_after,
                blocked=queue.blocked,
                left_s=left_s,
                left_unknown=unknown,
            )

    def _done(self, running: QueueItem | None) -> Done:
        """Points of the running scan, of all its runs."""
        if running is None or self._gate.item_id != running.item_id:
            return Done()
        known = self.steering.done
        if known is not None:
            return known
        return Done(self._gate.rows())

    def check_continued(self, request: ScanRequest) -> None:
        """Raises: InputError, BusyError when the run that it continues is not to be continued."""
        check_continued(request, self._catalogue)

    @property
    def running_scan(self) -> CheckedScan | None:
        """What runs, as it was checked; None when nothing does."""
        return self._checked

    def want_stop(self, reason: str) -> None:
        """Motion is stopped: what runs ends, what waits does not start."""
        with self._lock:
            self._dropped += self.line.drop_all(reason)
            self.steering.message = f"{reason}; new scans are accepted"
            self._stopped = True
        self.steering.want_abort(reason)

    def end_all(self, reason: str, user: str) -> tuple[list[str], bool]:
        """Abort what runs and drop what waits, at once; the disk is not waited for.

        Returns: ids of what waited, for `Line.end_dropped`; whether something ran.
        """
        with self._lock:  # so that nothing starts in between
            dropped = self.line.drop_all("stop all", user)
            ended = self.steering.want_abort(reason)
        self.steering.nudge()
        return dropped, ended

    def watch_refusals(self) -> None:
        """Enter as failed what the broker refused after its run had ended, and show it."""
        for reason in self._unsettled.settle():
            with self._lock:
                self.steering.message = reason
            self._changed()

    def close(self, reason: str) -> bool:
        """Abort what runs and end the thread; False when it did not end in time."""
        with self._lock:
            self.steering.closing = True
            self._lock.notify_all()
        if self.steering.want_abort(reason):
            self.steering.nudge()
        if self._thread.is_alive():
            self._thread.join(CLOSE_TIMEOUT_S)
        return not self._thread.is_alive()

    def interrupt(self, reason: str, also: Callable[[], None]) -> None:
        """Interrupt the plan, then call `also` and end what was dropped, on another thread."""

        def work() -> None:
            self.steering.nudge()
            also()
            with self._lock:
                dropped, self._dropped = self._dropped, []
            for item_id in dropped:
                self.drop(item_id, reason)
            self._changed()

        threading.Thread(target=work, name="abort", daemon=True).start()

    def drop(self, item_id: str, reason: str) -> None:
        """Enter that an item will not run."""
        self.line.remove(item_id, reason)

    def active_objects(self) -> dict[str, Any]:
        """Devices that must stop when motion stops: of the scan and of all direct moves."""
        touched = {n: stoppable(self.devices[n]) for n in self._touched.names()}
        return {n: how for n, how in touched.items() if how is not None}

    # ---- called by the RunEngine ----------------------------------------------------------

    def _next_number(self, _: Any) -> int:
        number = self._catalogue.allocate_number(self.settings.data)
        reached("engine.run_numbered")
        self._number = number
        return number

    def _opening(self, start: dict[str, Any]) -> Path:
        scan = self._checked
        path = run_path(
            self.settings, start, str(start.get("plan_name", "run")), int(start["scan_id"])
        )
        tell_path(path, self.devices)
        tell_grid(scan, start, self.devices)
        if self._holder:
            self.leases.call(self._holder, f"run {start['scan_id']}, {self._holder}")
        self._catalogue.open_run(record_of(start, path, self._gate.item_id, scan))
        return path

    def _with_ledgers(self, stop: dict[str, Any]) -> dict[str, Any]:
        scan = self._checked
        return stop if scan is None else with_ledgers(stop, scan.devices, self.devices)

    # ---- the thread -----------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self._lock:
                self._lock.wait_for(lambda: self.steering.closing or self.line.queue.next_item)
                if self.steering.closing:
                    return
            item = self.line.start_next(self._starting)
            if item is None:
                continue
            self._changed()
            try:
                self._run_item(item, self.line.request(item.item_id))
            except Exception:  # e.g. a full disk under the catalogue; the queue must go on
                get_logger().exception("item_not_finished", item=item.item_id)
                self.line.end_running(
                    Ended(exit_status="fail", time=now()),
                    lambda: self.steering.end("see undula logs --service engine"),
                )

    def _layout(self, plan: str, scan: CheckedScan, md: dict[str, Any]) -> dict[str, Any]:
        """How the run's file is laid out, for its start document."""
        md.pop("file_layout", None)
        if self.layouts is None:
            return {}
        known = {"motors": list(scan.axes), "detectors": list(scan.detectors)}
        return self.layouts.chosen(plan, {**known, **md})

    def _starting(self, _: QueueItem) -> None:
        self._stopped, self._fault = False, ""
        self.steering.begin()

    def _run_item(self, item: QueueItem, request: ScanRequest) -> None:
        self._gate.begin(item.item_id)
        holder = f"scan {item.command or item.plan!r} of {item.user or 'somebody'}"
        self._holder, self._hooks = holder, None
        holding = Holding(self.leases, holder, self._touched, item.item_id)
        status: ExitStatus = "fail"
        try:
            count_start(self._catalogue, item.item_id)
            self.check_continued(request)
            self._checked = scan = self._attendant.check_scan(request, self.devices, self.settings)
            self.steering.on_its_way = True
            self._lease(scan, holder)
            self._lost.begin(scan.devices)
            self._held_up.begin(scan.devices)
            self._touched.add(item.item_id, scan.devices)
            self.steering.await_conditions()
            self.samples.mount(request.queue.sample, holder, self.steering)
            self._shutters.begin(scan.shutters, scan.opens == "per_scan")
            lease = partial(self._lease_more, holding)
            self._hooks = hooks = self._hooks_of(scan)
            self.steering.aside = self._aside.of(hooks)
            steps = None if scan.form is None else Steps(scan.form.num, scan.first)
            self._watchdog.begin(expected_of(scan, self.devices, hooks))
            self.steering.follows(steps)
            tell_points(steps, self.devices)
            asked = Asked(
                self.steering.asked_to_pause,
                self.steering.spoiled,
                self._lost,
                lease,
                steps,
                hooks,
                self._watchdog.sends,
                self._gate.rows,
                self.steering.clock,
            )
            plan, md = build_plan(scan, self.devices, self.settings, asked, self._watchdog.told)
            md |= self._layout(request.plan, scan, md)
            self.steering.drive(plan, md)
            status = "abort" if self.steering.aborted else "success"
        except AbortedBeforeError:
            status = "abort"
        except Exception as exc:  # whatever a plan or driver raises ends this item, not the engine
            if self.steering.aborted:
                status = "abort"  # devices that are stopped fail; the reason is the stop
            else:
                waiting = self._watchdog.waiting
                self.steering.reason = explain(exc, waiting.text if waiting else "")
                self._fault = str(exc) if isinstance(exc, ChangerFaultError) else ""
            get_logger().warning(
                "scan_failed", command=item.command, reason=self.steering.reason, exc_info=True
            )
        finally:
            self._shutters.end()
            self.steering.release()
            holding.release()
        self._finish(item, status)

    def _finish(self, item: QueueItem, status: ExitStatus) -> None:
        runs = [*self._gate.closed, *self._gate.still_open]
        early, why = self.steering.ended_early, self.steering.reason
        status, reason = outcome_of(status, runs, early, why)
        self._unsettled.add(runs)

        def ended() -> None:
            told = f"{self.steering.reason}; new scans are accepted" if self._stopped else reason
            self.steering.end(told)
            self._checked = None

        halt = self._fault or ((reason or status) if self._waits_after(status) else "")
        self.line.end_running(Ended(exit_status=status, halt=halt, time=now()), ended)
        self.line.end(
            ItemFinished(
                item_id=item.item_id,
                exit_status=status,
                run_uids=[r.uid for r in runs],
                run_numbers=[r.number for r in runs],
                reason=reason,
                warnings=[
                    *([item.notice] if item.notice else []),
                    *(self._hooks.warnings if self._hooks is not None else []),
                ],
                time=now(),
            )
        )
        reached("engine.item_finished")
        self._changed()

    def told_file(self, event: FileEvent) -> None:
        """A device wrote a file of its own."""
        self._gate.told_file(event)

    def _waits_after(self, status: ExitStatus) -> bool:
        """Whether the queue waits after a scan that ended so."""
        wait = {"abort": self.settings.queue.after_abort, "fail": self.settings.queue.after_fail}
        return wait.get(status) == "wait"

    def _lease(self, scan: CheckedScan, holder: str) -> None:
        read = [*baseline_of(scan, self.devices), *pushing(scan, self.devices)]
        read = [n for n in read if not isinstance(self.devices[n].obj, Condition)]
        await_leases(self.leases, holder, scan.devices, read, self.steering)

    def _lease_more(self, holding: Holding, names: Sequence[str]) -> None:
        """Devices that a plan turns out to need. Raises: BusyError when somebody has one."""
        holding.take(names)
        self._lost.also(names)
