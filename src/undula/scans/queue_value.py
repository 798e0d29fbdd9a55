"""The scan queue as a value: what waits, what runs, and why nothing starts. Pure.

In: nothing; `scans.queue` makes the next one of it. Out: what comes next, and the reason why not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from undula.core.errors import InputError, StaleError
from undula.messages import QueueChange, QueueItem, QueueLock

BY_ITSELF = "the queue"
"""Who holds the turns of a repeated scan that failed."""
MANY = 10
"""Of so many items each is named."""
LOOK = "look at it again: undula queue"


@dataclass(frozen=True, slots=True)
class ScanQueue:
    """Waiting items in order, the one that runs, and what keeps the queue from going on."""

    waiting: tuple[QueueItem, ...] = ()
    running: QueueItem | None = None
    locks: tuple[QueueLock, ...] = ()
    halted: str = ""
    stop_after: str = ""
    revision: int = 0
    ordered: int = 0
    """Revision of the last change of which items wait, and in which order."""
    changes: tuple[QueueChange, ...] = ()

    def items(self) -> tuple[QueueItem, ...]:
        """All items, the one that runs first."""
        return (self.running, *self.waiting) if self.running else self.waiting

    def ids(self) -> set[str]:
        """Ids of all items."""
        return {item.item_id for item in self.items()}

    def find(self, item_id: str) -> QueueItem:
        """A waiting item.

        Raises: InputError when it runs or was never here; StaleError when it waits no more.
        """
        for item in self.waiting:
            if item.item_id == item_id:
                return item
        if self.running is not None and self.running.item_id == item_id:
            raise InputError(f"item {item_id} runs already", remedy="abort it: undula queue abort")
        for change in reversed(self.changes):
            if item_id in change.item_ids:
                raise StaleError(f"item {item_id} waits no more: {told(change)}", remedy=LOOK)
        raise InputError(f"no item {item_id} waits", remedy="see undula queue list")

    @property
    def next_item(self) -> QueueItem | None:
        """What would start now; None when something runs, or nothing may start."""
        if self.running is not None or self.locks or self.halted:
            return None
        return next((item for item in self.waiting if item.ready), None)

    @property
    def blocked(self) -> str:
        """Why nothing starts although items wait; '' when there is no such reason."""
        if self.running is not None or not self.waiting or self.next_item is not None:
            return ""
        if self.locks:
            return "; ".join(lock_text(lock) for lock in self.locks)
        if self.halted:
            return f"{self.halted}; undula queue resume lets it go on"
        return "; ".join(dict.fromkeys(_why_not(item) for item in self.waiting))


def lock_text(lock: QueueLock) -> str:
    """Who locked it, and why."""
    return f"locked by {lock.owner}" + (f": {lock.reason}" if lock.reason else "")


def name_of(item: QueueItem) -> str:
    """An item, as a person knows it."""
    return item.command or item.plan


def whose(item: QueueItem, user: str) -> str:
    """An item, as `user` is told of it: also whose it is, when it is somebody else's.

    >>> one = QueueItem(item_id="a", command="ct 1", plan="ct", user="ann", submitted=0.0)
    >>> whose(one, "ann"), whose(one, "ben")
    ('ct 1', 'ct 1 of ann')
    """
    return name_of(item) + (f" of {item.user}" if item.user not in ("", user) else "")


def all_of(items: Sequence[QueueItem], user: str) -> str:
    """Several items by name, as `user` is told of them; the first `MANY` of them.

    >>> one = QueueItem(item_id="a", command="ct 1", plan="ct", user="ann", submitted=0.0)
    >>> all_of([one], "ben"), all_of([one, one], "ann")
    ('ct 1 of ann', '2 scans: ct 1; ct 1')
    """
    if len(items) == 1:
        return whose(items[0], user)
    named = "; ".join(whose(item, user) for item in items[:MANY])
    more = f"; and {len(items) - MANY} more" if len(items) > MANY else ""
    return f"{len(items)} scans: {named}{more}"


def _why_not(item: QueueItem) -> str:
    if item.held_by:
        why = f": {item.hold_reason}" if item.hold_reason else ""
        return f"{name_of(item)} is held by {item.held_by}{why}"
    return f"{name_of(item)} waits for approval"


def restarted(queue: ScanQueue, halt: str = "") -> ScanQueue:
    """The queue after its engine died: what was to stop after the scan that ran waits now."""
    halted = queue.halted or halt
    if queue.stop_after:
        halted = f"stopped by {queue.stop_after}; the engine died meanwhile"
    return replace(queue, halted=halted, stop_after="")


def told(change: QueueChange) -> str:
    """A change, as whoever missed it is told."""
    return f"{change.user or BY_ITSELF} {change.text}"
