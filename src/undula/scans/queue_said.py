"""What an edit did to the scan queue, or why it did nothing, in words for whoever made it. Pure.

In: the queue before and after an event that was accepted. Out: a sentence, and whether anything
changed. What was asked for and holds already is no error: the sentence says since when or by whom.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from undula.messages import QueueItem
from undula.messages.queue import UNTIL_STOPPED
from undula.scans.queue_events import (
    Approved,
    Duplicated,
    Edit,
    Edited,
    GoOn,
    Held,
    Moved,
    Released,
    Removed,
    Repeated,
    StopAfter,
)
from undula.scans.queue_value import ScanQueue, name_of


def said(before: ScanQueue, event: Edit, after: ScanQueue) -> tuple[str, bool]:
    """What was done, and True; or why nothing was to be done, and False."""
    if after.revision == before.revision:
        return _nothing(before, event), False
    text = after.changes[-1].text
    if more := _MORE.get(type(event)):
        text += more(after, event)
    return text, True


def place_text(queue: ScanQueue, item: QueueItem) -> str:
    """A waiting item by its place, as people name it.

    >>> one = QueueItem(item_id="a", command="ct 1", plan="ct", user="ann", submitted=0.0)
    >>> place_text(ScanQueue(waiting=(one,)), one)
    'item 1 (ct 1)'
    """
    return f"item {_place(queue, item.item_id)} ({name_of(item)})"


def _place(queue: ScanQueue, item_id: str) -> int:
    return [item.item_id for item in queue.waiting].index(item_id) + 1


def _nothing(queue: ScanQueue, event: Edit) -> str:
    match event:
        case Removed():
            return "nothing waits: there is nothing to take out"
        case StopAfter(off=True):
            return "the queue was not to stop after anything"
        case StopAfter():
            return f"nothing was changed: {_stops(queue)}"
        case GoOn():
            return "the queue does not wait for anybody"
        case Moved() | Held() | Released() | Approved() | Repeated():
            item = queue.find(event.item_id)
            return f"nothing was changed: {place_text(queue, item)} {_holds(queue, event, item)}"
    return "nothing was changed"


def _stops(queue: ScanQueue) -> str:
    if queue.running is None:
        return f"the queue waits already, {queue.halted}"
    return f"it stops after {name_of(queue.running)} already, for {queue.stop_after}"


def _holds(queue: ScanQueue, event: Edit, item: QueueItem) -> str:
    """What an item is already."""
    text = "is so already"
    match event:
        case Moved():
            text = f"is at place {_place(queue, item.item_id)} of {len(queue.waiting)} already"
        case Held():
            text = f"is held already, by {item.held_by}"
        case Released():
            text = f"is not held{_yet_to_come(item)}"
        case Approved() if not item.needs_approval:
            text = "needs no approval"
        case Approved():
            text = f"is approved already, by {item.approved_by}"
        case Repeated():
            times = "until it is stopped" if item.repeats == UNTIL_STOPPED else f"{item.repeats}x"
            text = f"is to run {times} already"
    return text


def _yet_to_come(item: QueueItem) -> str:
    """What keeps an item from starting all the same; '' for nothing."""
    if item.held_by:
        why = f": {item.hold_reason}" if item.hold_reason else ""
        return f"; it is still held by {item.held_by}{why}"
    return "" if item.ready else "; it waits for approval"


def _ready(queue: ScanQueue, event: Released | Approved | Repeated) -> str:
    return _yet_to_come(queue.find(event.item_id))


def _into(queue: ScanQueue, event: Edited) -> str:
    item = queue.find(event.item.item_id)
    return f" into {name_of(item)}{_yet_to_come(item)}"


def _at(queue: ScanQueue, event: Moved | Duplicated) -> str:
    one = event.copy_id if isinstance(event, Duplicated) else event.item_id
    return f", it is at place {_place(queue, one)} of {len(queue.waiting)}"


_MORE: dict[type[Edit], Callable[[ScanQueue, Any], str]] = {
    Released: _ready,
    Approved: _ready,
    Repeated: _ready,
    Edited: _into,
    Moved: _at,
    Duplicated: _at,
}
