"""The scan queue, as pure logic: what waits, what runs, what comes next. No clock, no device.

In: events (`scans.queue_events`), each edit with its author and the revision of the queue that they
saw. Out: the next queue, and what is to be done: start, end or copy an item. Called by:
`scans.line` only, which stores it. An event that cannot be raises, and nothing has changed then.

- The first item that is *ready* runs next: one that is held or not approved is passed over.
- Of an item that is repeated, the next turn is an item of its own: it waits while this one runs.
- A change of what a scan measures, or more turns of it, take its approval back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from undula.core.errors import AccessError, InputError, StaleError
from undula.messages import Place, QueueChange, QueueItem, QueueLock
from undula.messages.queue import UNTIL_STOPPED
from undula.scans.queue_events import (
    Approved,
    Copy,
    Do,
    Dropped,
    Duplicated,
    Edit,
    Edited,
    Ended,
    EndItem,
    GoOn,
    Held,
    Locked,
    Moved,
    Next,
    QueueEvent,
    Released,
    Removed,
    Repeated,
    Start,
    StopAfter,
    Submitted,
    Unlocked,
)
from undula.scans.queue_value import (
    BY_ITSELF,
    LOOK,
    ScanQueue,
    all_of,
    lock_text,
    name_of,
    told,
    whose,
)

KEPT_CHANGES = 200


def step(queue: ScanQueue, event: QueueEvent) -> tuple[ScanQueue, list[Do]]:
    """The queue after `event`, and what is to be done.

    Raises: InputError, StaleError, AccessError; the queue stays as it is.
    """
    return _DOING[type(event)](queue, event)


# ---- what people do ---------------------------------------------------------------------------


def _submitted(queue: ScanQueue, event: Submitted) -> tuple[ScanQueue, list[Do]]:
    known = queue.ids()
    new = tuple(item for item in event.items if item.item_id not in known)
    if not new:
        return queue, []
    _fresh_place(queue, event, event.place)
    waiting = _put(queue.waiting, new, event.place, queue)
    if event.again:
        what = f"put back {all_of(new, event.user)}"
    else:
        what = f"added {name_of(new[0])}" if len(new) == 1 else f"added {len(new)} scans"
    return _noted(replace(queue, waiting=waiting), event, what, new, order=True), []


def _moved(queue: ScanQueue, event: Moved) -> tuple[ScanQueue, list[Do]]:
    item = _fresh(queue, event, event.item_id)
    _fresh_place(queue, event, event.place)
    place, at = event.place, queue.waiting.index(item)
    rest = queue.waiting[:at] + queue.waiting[at + 1 :]
    if place.at == "up":
        place = Place(at="to", number=max(at, 1))
    elif place.at == "down":
        place = Place(at="to", number=at + 2)
    if place.item_id == item.item_id:
        raise InputError("an item cannot stand beside itself", remedy="name another item")
    waiting = _put(rest, (item,), place, queue)
    if waiting == queue.waiting:
        return queue, []
    new = replace(queue, waiting=waiting)
    return _noted(new, event, f"moved {whose(item, event.user)}", [item], order=True), []


def _edited(queue: ScanQueue, event: Edited) -> tuple[ScanQueue, list[Do]]:
    item = _fresh(queue, event, event.item.item_id)
    after = item.model_copy(
        update={
            "command": event.item.command,
            "plan": event.item.plan,
            "num_points": event.item.num_points,
            "estimate_s": event.item.estimate_s,
            "sample": event.item.sample,
            "edited_by": event.user,
            "approved_by": "",
            "approved": None,
        }
    )
    return _noted(_with(queue, after), event, f"changed {whose(item, event.user)}", [item]), []


def _duplicated(queue: ScanQueue, event: Duplicated) -> tuple[ScanQueue, list[Do]]:
    item = _fresh(queue, event, event.item_id)
    if event.copy_id in queue.ids():
        return queue, []
    _fresh_place(queue, event, event.place)
    copy = item.model_copy(
        update={
            "item_id": event.copy_id,
            "user": event.user or item.user,
            "submitted": event.time,
            "turn": 1,
            "origin": "",
            "approved_by": "",
            "approved": None,
        }
    )
    place = event.place
    if place.at in ("up", "down"):
        raise InputError(
            f"a copy has no place from which to go {place.at}",
            remedy="put it at the front or end, to a place, or before or after an item",
        )
    new = replace(queue, waiting=_put(queue.waiting, (copy,), place, queue))
    noted = _noted(new, event, f"duplicated {whose(item, event.user)}", [copy], order=True)
    return noted, [Copy(item.item_id, copy)]


def _removed(queue: ScanQueue, event: Removed) -> tuple[ScanQueue, list[Do]]:
    if event.item_ids is None:
        seen, gone = _seen(queue, event), queue.waiting
        fresh = [item.item_id for item in gone if item.revision > seen and item.user != event.user]
        if fresh:
            raise _stale(queue, seen, fresh)
    else:
        gone = tuple(_fresh(queue, event, one) for one in event.item_ids)
    if not gone:
        return queue, []
    left = tuple(item for item in queue.waiting if item not in gone)
    what = f"removed {all_of(gone, event.user)}"
    new = _noted(replace(queue, waiting=left), event, what, gone, order=True)
    return new, [EndItem(item, event.reason) for item in gone]


def _marked(
    queue: ScanQueue, event: Repeated | Held | Released | Approved
) -> tuple[ScanQueue, list[Do]]:
    item = _fresh(queue, event, event.item_id)
    match event:
        case Repeated():
            update: dict[str, Any] = {"repeats": event.repeats}
            if _more(event.repeats, item.repeats):  # so many turns nobody has approved
                update |= {"approved_by": "", "approved": None}
            times = "until it is stopped" if event.repeats == UNTIL_STOPPED else f"{event.repeats}x"
            what = f"set {whose(item, event.user)} to run {times}"
        case Held():
            update = {"held_by": event.user or "somebody", "hold_reason": event.reason}
            what = f"held {whose(item, event.user)}"
        case Released():
            update = {"held_by": "", "hold_reason": ""}
            what = f"released {whose(item, event.user)}"
        case Approved():
            wanted = item.needs_approval and not item.approved_by
            update = {"approved_by": event.user or "somebody", "approved": event.time}
            update = update if wanted else {}
            what = f"approved {whose(item, event.user)}"
    after = item.model_copy(update=update)
    if after == item:
        return queue, []
    return _noted(_with(queue, after), event, what, [item]), []


def _more(repeats: int, before: int) -> bool:
    if before == UNTIL_STOPPED:
        return False
    return repeats == UNTIL_STOPPED or repeats > before


def _locked(queue: ScanQueue, event: Locked | Unlocked) -> tuple[ScanQueue, list[Do]]:
    owner = event.user or "somebody"
    if isinstance(event, Locked):
        lock = QueueLock(owner=owner, reason=event.reason, time=event.time)
        locks = (*(k for k in queue.locks if k.owner != owner), lock)
        return _noted(replace(queue, locks=locks), event, "locked the queue"), []
    wanted = event.owner or owner
    if all(lock.owner != wanted for lock in queue.locks):
        others = "; ".join(lock_text(lock) for lock in queue.locks)
        if others and not event.owner:
            raise AccessError(
                f"{owner} has no lock on the queue; {others}",
                remedy="ask the owner, or staff: undula queue unlock --owner NAME",
            )
        raise InputError(
            f"the queue is not locked by {wanted}", remedy=f"it is {others or 'not locked'}"
        )
    left = tuple(lock for lock in queue.locks if lock.owner != wanted)
    text = "unlocked the queue" if wanted == owner else f"lifted the lock of {wanted}"
    return _noted(replace(queue, locks=left), event, text), []


def _stop_after(queue: ScanQueue, event: StopAfter) -> tuple[ScanQueue, list[Do]]:
    who = event.user or "somebody"
    if (event.off and not queue.stop_after) or (not event.off and _stops_already(queue)):
        return queue, []
    if event.off:
        return _noted(replace(queue, stop_after=""), event, "let the queue go on after it"), []
    if queue.running is None:
        halted = f"stopped by {who}"
        return _noted(replace(queue, halted=halted), event, "stopped the queue"), []
    what = f"asked to stop after {name_of(queue.running)}"
    return _noted(replace(queue, stop_after=who), event, what), []


def _stops_already(queue: ScanQueue) -> bool:
    return bool(queue.halted if queue.running is None else queue.stop_after)


def _go_on(queue: ScanQueue, event: GoOn) -> tuple[ScanQueue, list[Do]]:
    if not queue.halted:
        return queue, []
    return _noted(replace(queue, halted=""), event, "let the queue go on"), []


# ---- what the engine does ---------------------------------------------------------------------


def _dropped(queue: ScanQueue, event: Dropped) -> tuple[ScanQueue, list[Do]]:
    gone, what = queue.waiting, f"dropped what waited: {event.reason}"
    new = _noted(replace(queue, waiting=()), event, what, gone, order=True)
    return new, [EndItem(item, event.reason) for item in gone]


def _next(queue: ScanQueue, event: Next) -> tuple[ScanQueue, list[Do]]:
    head = queue.next_item
    if head is None:
        return queue, []
    at = queue.waiting.index(head)
    waiting = queue.waiting[:at] + queue.waiting[at + 1 :]
    running, todo = head.model_copy(update={"repeats": 1}), list[Do]()
    if head.repeats != 1:
        origin = head.origin or head.item_id
        again = head.model_copy(
            update={
                "item_id": f"{origin}.{head.turn + 1}",
                "origin": origin,
                "turn": head.turn + 1,
                "repeats": max(head.repeats - 1, UNTIL_STOPPED),
            }
        )
        waiting = (*waiting[:at], again, *waiting[at:])
        todo.append(Copy(head.item_id, again))
    new = replace(queue, waiting=waiting, running=running)
    noted = _noted(new, event, f"started {name_of(head)}", [head], order=True)
    return noted, [*todo, Start(running)]


def _ended(queue: ScanQueue, event: Ended) -> tuple[ScanQueue, list[Do]]:
    ran = queue.running
    if ran is None:
        return queue, []
    waiting, todo = queue.waiting, list[Do]()
    if event.exit_status != "success":
        origin = ran.origin or ran.item_id
        why = f"time {ran.turn} of it ended as {event.exit_status}"
        later = [item for item in waiting if item.origin == origin]
        if event.exit_status == "abort":
            waiting = tuple(item for item in waiting if item not in later)
            todo += [EndItem(item, why) for item in later]
        else:
            held = {"held_by": BY_ITSELF, "hold_reason": why}
            waiting = tuple(
                item.model_copy(update=held) if item in later and not item.held_by else item
                for item in waiting
            )
    halted = queue.halted
    if queue.stop_after:
        halted = f"stopped by {queue.stop_after} after {name_of(ran)}"
    elif event.halt and waiting:
        halted = f"{name_of(ran)} ended as {event.exit_status}: {event.halt}"
    new = replace(queue, running=None, waiting=waiting, halted=halted, stop_after="")
    return _noted(new, event, f"ended {name_of(ran)} as {event.exit_status}", [ran]), todo


_DOING: dict[type[Edit], Callable[[ScanQueue, Any], tuple[ScanQueue, list[Do]]]] = {
    Submitted: _submitted,
    Moved: _moved,
    Edited: _edited,
    Duplicated: _duplicated,
    Removed: _removed,
    Repeated: _marked,
    Held: _marked,
    Released: _marked,
    Approved: _marked,
    Locked: _locked,
    Unlocked: _locked,
    StopAfter: _stop_after,
    GoOn: _go_on,
    Dropped: _dropped,
    Next: _next,
    Ended: _ended,
}


# ---- common -----------------------------------------------------------------------------------


def _noted(
    queue: ScanQueue,
    event: Edit,
    text: str,
    items: Sequence[QueueItem] = (),
    *,
    order: bool = False,
) -> ScanQueue:
    """With the next revision, and a note of what was done to which items."""
    revision, touched = queue.revision + 1, {item.item_id for item in items}
    change = QueueChange(
        revision=revision,
        user=event.user,
        time=event.time,
        text=text,
        item_ids=[item.item_id for item in items],
    )
    return replace(
        queue,
        waiting=tuple(
            item.model_copy(update={"revision": revision}) if item.item_id in touched else item
            for item in queue.waiting
        ),
        revision=revision,
        ordered=revision if order else queue.ordered,
        changes=(*queue.changes, change)[-KEPT_CHANGES:],
    )


def _with(queue: ScanQueue, item: QueueItem) -> ScanQueue:
    waiting = tuple(item if i.item_id == item.item_id else i for i in queue.waiting)
    return replace(queue, waiting=waiting)


def _put(
    waiting: tuple[QueueItem, ...], new: tuple[QueueItem, ...], place: Place, queue: ScanQueue
) -> tuple[QueueItem, ...]:
    match place.at:
        case "front":
            at = 0
        case "before" | "after":
            beside = queue.find(place.item_id)
            at = waiting.index(beside) + (place.at == "after")
        case "to":
            if place.number is None:
                raise InputError("no place was named", remedy="give a number: 1 is the front")
            at = place.number - 1
        case _:
            at = len(waiting)
    return (*waiting[:at], *new, *waiting[at:])


def _seen(queue: ScanQueue, event: Edit) -> int:
    """The revision that the author of an edit saw. Raises: StaleError when it is to come."""
    seen = queue.revision if event.seen is None else event.seen
    if seen > queue.revision:
        raise StaleError(
            f"the queue is at revision {queue.revision}, the edit was made for {seen}", remedy=LOOK
        )
    return seen


def _fresh(queue: ScanQueue, event: Edit, item_id: str) -> QueueItem:
    """A waiting item that is as the author saw it. Raises: InputError, StaleError."""
    item, seen = queue.find(item_id), _seen(queue, event)
    if item.revision > seen:
        raise _stale(queue, seen, [item_id])
    return item


def _fresh_place(queue: ScanQueue, event: Edit, place: Place) -> None:
    """A place that is counted means what its author saw. Raises: StaleError."""
    seen = _seen(queue, event)
    if place.at in ("up", "down", "to") and queue.ordered > seen:
        raise _stale(queue, seen, ())


def _stale(queue: ScanQueue, seen: int, items: Sequence[str]) -> StaleError:
    """Names what was done since, and by whom; to these items, or else to any."""
    since = [change for change in queue.changes if change.revision > seen]
    mine = [c for c in since if not items or set(items) & set(c.item_ids)]
    said = "; ".join(dict.fromkeys(told(change) for change in mine[-5:]))
    return StaleError(
        f"the queue has changed since you looked: {said or 'too long ago to say how'}", remedy=LOOK
    )
