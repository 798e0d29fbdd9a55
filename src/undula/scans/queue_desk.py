"""Requests about the scan queue: checked as scans are, then one event of the queue each.

In: requests whose author is attested. Out: the result of each, or its error. Called by:
`scans.service`, on its threads. What an edit does to the queue is decided in `scans.queue`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from undula.core.clock import now
from undula.core.errors import BusyError, InputError, StorageError
from undula.core.ids import id_after, new_id
from undula.core.settings import BeamlineSettings
from undula.devices.registry import Registry
from undula.messages import Place, QueueItem, QueueRequest, ScanRequest
from undula.scans.attendant import Attendant
from undula.scans.checked_scan import CheckedScan
from undula.scans.forecast import Forecast
from undula.scans.plan_recalled import edited
from undula.scans.queue_events import (
    Approved,
    Duplicated,
    Edited,
    GoOn,
    Held,
    Locked,
    Moved,
    QueueEvent,
    Released,
    Removed,
    Repeated,
    StopAfter,
    Submitted,
    Unlocked,
)
from undula.scans.queue_value import all_of, lock_text
from undula.scans.runner import ScanRunner
from undula.scans.stopped import Permit

Completed = Callable[[ScanRequest], ScanRequest]
InPlaces = Callable[[ScanRequest, ScanRequest], ScanRequest]


class QueueDesk:
    """Answers requests about the queue. Thread-safe.

    Args:
        completed: adds to a request what every run is to say.
        warned: what may surprise of the metadata of a completed request.
        changed: called when the queue is another one.
        in_places: arguments of an edit where those that they replace stood.
    """

    def __init__(
        self,
        runner: ScanRunner,
        attendant: Attendant,
        settings: BeamlineSettings,
        *,
        completed: Completed,
        warned: Callable[[ScanRequest], list[str]],
        changed: Callable[[], None],
        in_places: InPlaces = lambda scan, _: scan,
    ) -> None:
        self._runner, self._attendant, self._settings = runner, attendant, settings
        self._in_places = in_places
        self._completed, self._warned, self._changed = completed, warned, changed

    @property
    def _devices(self) -> Registry:
        return self._runner.devices

    def submit(self, request: ScanRequest, scan: CheckedScan, permit: Permit) -> QueueItem:
        """Queue a checked request.

        Args:
            permit: taken when the request came.
        Raises: UndulaError when motion was stopped since: then nothing may start by itself.
        """
        item = self._item(request, scan)
        self._submit(_submitted([item], request), {item.item_id: request}, permit)
        return item

    def _submit(
        self, event: Submitted, requests: dict[str, ScanRequest], permit: Permit
    ) -> tuple[str, bool]:
        permit.check()
        done = self._runner.line.apply(event, requests, unless=lambda: permit.revoked)
        if done is None:  # stopped while it was stored
            for item in event.items:
                self._runner.drop(item.item_id, "stopped while it was accepted")
            permit.check()
        self._changed()
        return done or ("", False)

    def _item(self, request: ScanRequest, scan: CheckedScan) -> QueueItem:
        options = request.queue
        holder = request.user or "somebody"
        return QueueItem(
            item_id=request.request_id,
            command=request.command,
            plan=request.plan,
            user=request.user,
            submitted=now(),
            num_points=scan.num_points,
            estimate_s=scan.estimate_s,
            sample=options.sample,
            repeats=options.repeats,
            held_by="" if options.hold is None else holder,
            hold_reason=options.hold or "",
            needs_approval=options.needs_approval or self._settings.queue.approval,
        )

    def answer(self, request: QueueRequest, permit: Permit) -> dict[str, Any]:
        """Carry out a request. Raises: InputError, StaleError, AccessError, BusyError ..."""
        runner, action, did, changed = self._runner, request.action, "", True
        match action:
            case "show":
                return self._show(request)
            case "history":
                found = runner.line.history(request.limit, request.before, request.until)
                return {"ended": found}
            case "pause" | "pause_at_point":
                did, changed = self._pause(at_point=action == "pause_at_point")
            case "resume":
                permit.check()
                did, changed = self._resume(request)
            case "abort":
                runner.steering.abort(request.reason)
                did = self._held_up("it ends, with its clean-up,")
            case "skip" | "retake" | "complete" | "stop_all":
                did = self._steer(request, permit)
            case "edit":
                did, changed = self._edit(request)
            case "put_back":
                did, changed = self._put_back(request, permit)
            case "check":
                return self._check()
            case "load":
                return self._load(request, permit)
            case "list":
                pass
            case _:
                did, changed = self._apply(_event(request))
        told = {"did": did or _DID.get(action, ""), "changed": changed}
        return {"status": runner.status().model_copy(update=told).model_dump()}

    def _pause(self, *, at_point: bool) -> tuple[str, bool]:
        steering = self._runner.steering
        paused = steering.state == "paused"
        steering.pause(at_point=at_point)
        if paused:
            return "it is paused already", False
        return ("" if at_point else self._held_up("it pauses"), True)

    def _held_up(self, does: str) -> str:
        """What is done, where something has to return before; '' where nothing holds it up."""
        name = self._runner.steering.holds_it_up()
        return f"{does} when {name} returns, which holds it up now" if name else ""

    def _steer(self, request: QueueRequest, permit: Permit) -> str:
        """Steer between points, or end all; what is done, in words."""
        steering, action = self._runner.steering, request.action
        if action == "complete":
            return steering.complete(request.user)
        if action == "stop_all":
            return self._stop_all(request)
        permit.check()
        return steering.skip() if action == "skip" else steering.retake(request.point)

    def _stop_all(self, request: QueueRequest) -> str:
        """The running scan first: neither the disk nor an edit of the queue may hold that up.

        Raises: StorageError when what waited is still on the disk; the scan ends all the same.
        """
        reason = request.reason or "aborted by request, with all that waited"
        dropped, ended = self._runner.end_all(reason, request.user)
        waiting = len(dropped)
        self._changed()
        try:
            self._runner.line.end_dropped(dropped, "stop all")
        except StorageError as error:
            raise StorageError(
                f"all ends, but what waited may be there again after a restart: {error.what}",
                remedy=error.remedy,
            ) from error
        running = "the running scan ends" if ended else "nothing ran"
        return f"{running}, {waiting} that waited {'was' if waiting == 1 else 'were'} taken out"

    def _apply(
        self, event: QueueEvent, requests: dict[str, ScanRequest] | None = None
    ) -> tuple[str, bool]:
        """What was done, or why nothing was; whether anything has changed."""
        done = self._runner.line.apply(event, requests)
        self._changed()
        return done or ("", False)

    def _resume(self, request: QueueRequest) -> tuple[str, bool]:
        """Go on with the paused scan, or with a queue that waits for it."""
        queue = self._runner.line.queue
        if queue.halted and queue.running is None:
            return self._apply(GoOn(user=request.user, time=now()))
        if queue.locks and queue.running is None:
            locked = "; ".join(lock_text(lock) for lock in queue.locks)
            raise BusyError(
                f"the queue is {locked}",
                remedy="undula queue unlock; staff lift the lock of somebody else: --owner NAME",
            )
        self._runner.steering.resume()
        return "it goes on", True

    def _show(self, request: QueueRequest) -> dict[str, Any]:
        queue = self._runner.line.queue
        wanted = None if request.item_id is None else [queue.find(request.item_id)]
        items = list(queue.waiting) if wanted is None else wanted
        found = []
        for item in items:
            try:
                scan = self._runner.line.request(item.item_id)
            except KeyError:  # it has started or was removed just now
                continue
            found.append({"item": item.model_dump(), "scan": scan.model_dump()})
        return {"items": found, "revision": queue.revision}

    def _forecast(self) -> Forecast:
        """From where the running scan leaves the axes."""
        found = Forecast(self._devices, self._settings, self._attendant)
        running = self._runner.running_scan
        if running is not None:
            found.leave(running)
        return found

    def _waiting(self) -> list[tuple[QueueItem, ScanRequest]]:
        """What waits, in order; each says how often it is still to run."""
        line, found = self._runner.line, list[tuple[QueueItem, ScanRequest]]()
        for item in line.queue.waiting:
            try:
                scan = line.request(item.item_id)
            except KeyError:  # it has started or was removed just now
                continue
            options = scan.queue.model_copy(update={"repeats": item.repeats})
            found.append((item, scan.model_copy(update={"queue": options})))
        return found

    def _check(self) -> dict[str, Any]:
        """All that waits, each from where the one before leaves the axes."""
        forecast, checked = self._forecast(), list[dict[str, Any]]()
        samples = self._runner.samples
        for item, scan in self._waiting():
            told, accepted = forecast.check(
                scan, samples.completed, warned=self._warned, leaves=item.ready
            )
            if accepted is not None and not item.ready:
                warning = "held or not approved: the next ones are checked as if it did not run"
                told = told.model_copy(update={"warnings": [*told.warnings, warning]})
            checked.append(told.model_dump())
        return {"checked": checked, "status": self._runner.status().model_dump()}

    def _load(self, request: QueueRequest, permit: Permit) -> dict[str, Any]:
        """Queue scans together, behind what waits; none when one of them is refused."""
        forecast, samples = self._forecast(), self._runner.samples
        for item, scan in self._waiting():
            forecast.check(scan, samples.completed, leaves=item.ready)
        checked, found, known = [], list[tuple[QueueItem, ScanRequest]](), set[str]()
        for given in request.scans:
            own = given.model_copy(update={"user": request.user, "token": ""})
            told, accepted = forecast.check(own, self._completed, warned=self._warned)
            checked.append(told.model_dump())
            if accepted is not None and own.request_id not in known:
                known.add(own.request_id)
                found.append((self._item(accepted.request, accepted), accepted.request))
        queued = not request.dry_run and len(found) == len(request.scans) > 0
        if queued:
            first = request.scans[0].model_copy(update={"user": request.user})
            event = _submitted([item for item, _ in found], first)
            self._submit(event, {item.item_id: scan for item, scan in found}, permit)
        status = self._runner.status().model_dump()
        return {"checked": checked, "queued": queued, "status": status}

    def _put_back(self, request: QueueRequest, permit: Permit) -> tuple[str, bool]:
        """Queue anew what was taken out, at the end, checked as new scans are; all or none.

        What was put back already is left out: an item comes back once, asked however often.
        """
        requests, items, line = dict[str, ScanRequest](), list[QueueItem](), self._runner.line
        gone = line.taken_out(request.item_ids)
        absent = [(old, scan) for old, scan in gone if not line.knows(id_after(old.item_id))]
        if not absent:
            return f"put back already: {all_of([old for old, _ in gone], request.user)}", False
        for old, before in absent:
            options = before.queue.model_copy(
                update={"repeats": old.repeats, "place": Place(), "seen": None}
            )
            own = {"request_id": id_after(old.item_id), "queue": options, "token": ""}
            scan = self._completed(before.model_copy(update=own))
            self._runner.check_continued(scan)
            checked = self._attendant.check_scan(scan, self._devices, self._settings)
            items.append(self._item(scan, checked).model_copy(update={"notice": old.notice}))
            requests[scan.request_id] = scan
        event = Submitted(items=tuple(items), user=request.user, time=now(), again=True)
        return self._submit(event, requests, permit)

    def _edit(self, request: QueueRequest) -> tuple[str, bool]:
        item = self._runner.line.queue.find(request.item_id or "")
        if len(request.scans) != 1:
            raise InputError("an edit gives one scan", remedy="give the scan as it is to be")
        before = self._runner.line.request(item.item_id)
        if before.continues is not None:
            raise InputError(
                f"it goes on with run {before.continues.number}, and is as that one was",
                remedy="remove it, and queue another scan",
            )
        own = {"request_id": item.item_id, "user": before.user, "sent": before.sent, "token": ""}
        try:
            devices = self._devices
            here = [name for name in devices.names() if devices[name].obj is not None]
            still = {name for name in here if not devices[name].movable}
            asked = edited(request.scans[0].model_copy(update=own), devices.names(), still)
            scan = self._completed(self._in_places(asked, before))
            self._runner.check_continued(scan)
            checked = self._attendant.check_scan(scan, self._devices, self._settings)
        except InputError as error:
            error.what = f"as {request.scans[0].plan}: {error.what}"
            raise
        after = self._item(scan, checked)
        seen = self._runner.line.queue.revision if request.seen is None else request.seen
        event = Edited(item=after, user=request.user, time=now(), seen=seen)
        return self._apply(event, {item.item_id: scan})


def _submitted(items: list[QueueItem], request: ScanRequest) -> Submitted:
    """Items are added as the options of a request say."""
    place, seen = request.queue.place, request.queue.seen
    return Submitted(items=tuple(items), place=place, user=request.user, time=now(), seen=seen)


_DID = {
    "pause": "motion stops, it pauses",
    "pause_at_point": "it pauses before its next point",
    "abort": "it ends, with its clean-up",
}
"""What is done, in words, where it is always the same."""
_OF_THE_QUEUE: dict[str, Callable[[QueueRequest, dict[str, Any]], QueueEvent]] = {
    "clear": lambda _, who: Removed(item_ids=None, **who),
    "lock": lambda asked, who: Locked(reason=asked.reason, **who),
    "unlock": lambda asked, who: Unlocked(owner=asked.owner, **who),
    "stop_after": lambda asked, who: StopAfter(off=asked.off, **who),
}
_OF_AN_ITEM: dict[str, Callable[[QueueRequest, dict[str, Any]], QueueEvent]] = {
    "remove": lambda a, who: Removed(item_ids=(who.pop("item_id"),), reason=a.reason, **who),
    "move": lambda asked, who: Moved(place=asked.place, **who),
    "duplicate": lambda asked, who: Duplicated(copy_id=new_id(), place=asked.place, **who),
    "repeat": lambda asked, who: Repeated(repeats=asked.repeats, **who),
    "hold": lambda asked, who: Held(reason=asked.reason, **who),
    "release": lambda _, who: Released(**who),
    "approve": lambda _, who: Approved(**who),
}


def _event(request: QueueRequest) -> QueueEvent:
    """The event that a plain edit is. Raises: InputError when it names no item."""
    who: dict[str, Any] = {"user": request.user, "time": now(), "seen": request.seen}
    if request.action in _OF_THE_QUEUE:
        return _OF_THE_QUEUE[request.action](request, who)
    if not request.item_id:
        raise InputError("no item was named", remedy="see undula queue list for the ids")
    return _OF_AN_ITEM[request.action](request, {"item_id": request.item_id, **who})
