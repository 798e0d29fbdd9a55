"""The scan queue as the engine holds it: one value that changes one event at a time, and is kept.

In: events. Out: the next value of `scans.queue`, in the catalogue before anybody is told of it, so
that it survives the engine. Who waits (the worker) is woken; items that will not run are ended.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from undula.catalogue import Catalogue, QueueItemRecord
from undula.core.clock import now
from undula.core.errors import InputError, UndulaError
from undula.core.faults import reached
from undula.core.log import get_logger
from undula.messages import (
    ItemFinished,
    QueueChange,
    QueueItem,
    QueueLock,
    ScanRequest,
)
from undula.messages.queue import HISTORY_PAGE
from undula.messages.runs import ExitStatus
from undula.scans.queue import step
from undula.scans.queue_events import (
    Copy,
    Do,
    Dropped,
    Ended,
    EndItem,
    Next,
    QueueEvent,
    Start,
)
from undula.scans.queue_said import said
from undula.scans.queue_value import ScanQueue, restarted
from undula.scans.start_check import fit_for_runs

SAVED_CHANGES = 50
"""Changes that a restarted engine still knows, to tell an edit what it missed."""

KEPT_ENDED = 1000
"""How far back what was taken out can be put back: so many ended items."""


def stored_items(catalogue: Catalogue) -> list[tuple[QueueItem, ScanRequest]]:
    """The items that waited when the last engine ended, in order; what cannot be read is logged."""
    found = []
    for record in catalogue.items():
        try:
            found.append(_read(record))
        except (KeyError, ValidationError):
            get_logger().exception("stored_item_unreadable", item=record.item_id)
    return found


def _read(record: QueueItemRecord) -> tuple[QueueItem, ScanRequest]:
    """A stored item and what it measures, as it may run today; it says what was taken away."""
    item = QueueItem.model_validate(record.payload["item"])
    request = ScanRequest.model_validate(record.payload["request"])
    metadata, notice = fit_for_runs(request.metadata)
    if not notice:
        return item, request
    get_logger().warning("metadata_taken_out", item=item.item_id, notice=notice)
    return (
        item.model_copy(update={"notice": notice}),
        request.model_copy(update={"metadata": metadata}),
    )


class Line:
    """The queue. All methods may be called from any thread.

    Args:
        lock: held only while the value is exchanged, never while the disk is written; its waiters
            are woken then.
        finished: told how each item ended.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        lock: threading.Condition,
        finished: Callable[[ItemFinished], None],
    ) -> None:
        self._catalogue, self._lock, self._finished = catalogue, lock, finished
        self._editing = threading.RLock()
        self._queue = ScanQueue()
        self._requests: dict[str, ScanRequest] = {}
        self._kept: dict[str, _Kept] = {}

    @property
    def queue(self) -> ScanQueue:
        """As it is now."""
        return self._queue

    def request(self, item_id: str) -> ScanRequest:
        """What an item measures. Raises: KeyError when it is not in the queue."""
        return self._requests[item_id]

    def begin(
        self,
        stored: Sequence[tuple[QueueItem, ScanRequest]],
        halt: str = "",
        ended: Sequence[tuple[QueueItem, ExitStatus]] = (),
    ) -> None:
        """Begin with the items that were stored before a restart, in their order.

        Args:
            halt: why the queue is to wait, when something waits.
            ended: what ran when the engine died, and how it ended: its further turns are held.
        """
        state = restarted(_state_of(self._catalogue.queue_state()), halt if stored else "")
        queue, todo = replace(state, waiting=tuple(item for item, _ in stored)), list[Do]()
        for item, status in ended:
            end = Ended(exit_status=status, time=now())
            queue, more = step(replace(queue, running=item), end)
            todo += more
        with self._editing:
            with self._lock:
                self._exchange(queue, {item.item_id: request for item, request in stored})
            if ended or (halt and stored):
                self._keep_quietly()  # the next engine is to know it as well
            self._end_all(todo)

    # ---- changes ----------------------------------------------------------------------------

    def apply(
        self,
        event: QueueEvent,
        requests: Mapping[str, ScanRequest] | None = None,
        *,
        unless: Callable[[], bool] | None = None,
    ) -> tuple[str, bool] | None:
        """Carry out what a person wants; it is on the disk when this returns.

        Args:
            requests: what new or edited items measure.
            unless: asked at the last moment; None is returned then and nothing has changed.
        Returns: what was done, or why nothing was; whether anything has changed.
        Raises: InputError, StaleError, AccessError, StorageError; nothing has changed.
        """
        with self._editing:
            while True:
                before = self._queue
                try:
                    after, todo = step(before, event)
                    given = self._given(after, todo, requests or {})
                    self._keep(after, given)
                    reached("engine.item_stored")
                except UndulaError:
                    self._keep_quietly()  # a value that was given up may be on the disk
                    raise
                with self._lock:
                    refused = unless is not None and unless()
                    done = not refused and self._queue is before  # else motion was stopped just now
                    if done:
                        self._exchange(after, given)
                if done:
                    self._end_all(todo)
                    return said(before, event, after)
                if refused:
                    self._keep_quietly()
                    return None

    def start_next(self, then: Callable[[QueueItem], None]) -> QueueItem | None:
        """Take the item that runs next; `then` is called while nobody can see it half done."""
        return self._advance(Next(time=now()), then)

    def end_running(self, event: QueueEvent, then: Callable[[], None]) -> None:
        """Nothing runs any more."""
        self._advance(event, lambda _: then())

    def _advance(self, event: QueueEvent, then: Callable[[QueueItem], None]) -> QueueItem | None:
        with self._editing:
            with self._lock:
                ran = self._queue.running
                after, todo = step(self._queue, event)
                self._exchange(after, self._given(after, todo, {}))
                started = next((do.item for do in todo if isinstance(do, Start)), None)
                item = started or ran
                if item is not None:
                    then(item)
            self._keep_quietly()
            self._end_all(todo)
        return started

    def drop_all(self, reason: str, user: str = "") -> list[str]:
        """Motion is stopped: nothing that waits will start. In memory only, never blocks.

        Returns: ids of the items, which `end` has to be told of.
        """
        with self._lock:
            after, todo = step(self._queue, Dropped(reason=reason, user=user, time=now()))
            self._exchange(after, dict(self._requests))
            return [do.item.item_id for do in todo if isinstance(do, EndItem)]

    def end(self, finished: ItemFinished) -> None:
        """Enter how an item ended, and tell it."""
        try:
            self._catalogue.finish_item(finished)
        except UndulaError:  # its run is known: a successor will not run it again
            get_logger().exception("item_not_recorded", item=finished.item_id)
        self._finished(finished)

    def end_dropped(self, item_ids: Sequence[str], reason: str) -> None:
        """Enter that dropped items will not run, and tell it.

        Raises: StorageError when they are still on the disk, and would wait there after a restart.
        """
        time = now()
        ended = [_removed(one, reason, time) for one in item_ids]
        try:
            self._enter(ended)
        finally:
            for one in ended:
                self._finished(one)
        with self._editing:
            self._keep_quietly()

    def remove(self, item_id: str, reason: str) -> None:
        """Enter that an item will not run."""
        self.end(_removed(item_id, reason, now()))

    def history(
        self, limit: int, before: str = "", until: float | None = None
    ) -> list[dict[str, Any]]:
        """Items that have ended, the last one first, each as an `EndedItem` on the bus is.

        Args:
            limit: at most so many, and at most `HISTORY_PAGE`: who wants more asks again.
            before: beginning of the id of one that was seen: those that ended before it.
            until: ended then or before, UTC epoch s.
        Raises: InputError when `before` names none, or several.
        """
        last = self._ended_id(before) if before else ""
        records = self._catalogue.ended_items(
            min(limit, HISTORY_PAGE), before=last, until=until, whole=False
        )
        return [
            {"item": record.payload.get("item"), "ended": ended_as(record).model_dump()}
            for record in records
        ]

    def _ended_id(self, beginning: str) -> str:
        found = self._catalogue.ids_of_ended(beginning, 2)
        if beginning in found or len(found) == 1:
            return beginning if beginning in found else found[0]
        none = f"no scan that has ended has an id that begins with {beginning!r}"
        several = f"the ids of several scans that have ended begin with {beginning!r}"
        raise InputError(
            several if found else none,
            remedy="take the whole id, from undula queue history --json",
        )

    def taken_out(self, beginnings: Sequence[str]) -> list[tuple[QueueItem, ScanRequest]]:
        """Items that were taken out before they ran, in the order in which they were added.

        Args:
            beginnings: of their ids; none: all that were taken out last, together.
        Raises: InputError when one of them names none, or several.
        """
        gone = [r for r in self._catalogue.ended_items(KEPT_ENDED) if r.exit_status == "removed"]
        if beginnings:
            gone = [_one_of(gone, beginning) for beginning in beginnings]
        elif gone:
            gone = [record for record in gone if record.finished == gone[0].finished]
        else:
            raise InputError("no scan was taken out", remedy="see undula queue history")
        return [_read(record) for record in sorted(gone, key=lambda record: record.position)]

    def knows(self, item_id: str) -> bool:
        """It waits, runs, or has ended. Raises: StorageError."""
        return item_id in self._queue.ids() or self._catalogue.item(item_id) is not None

    # ---- parts ------------------------------------------------------------------------------

    def _exchange(self, after: ScanQueue, requests: dict[str, ScanRequest]) -> None:
        known = after.ids()
        self._queue = after
        self._requests = {one: request for one, request in requests.items() if one in known}
        self._lock.notify_all()

    def _given(
        self, after: ScanQueue, todo: Sequence[Do], new: Mapping[str, ScanRequest]
    ) -> dict[str, ScanRequest]:
        requests = {**self._requests, **new}
        for do in todo:
            if isinstance(do, Copy):
                one = do.item.item_id
                requests[one] = requests[do.source_id].model_copy(update={"request_id": one})
        return {item.item_id: requests[item.item_id] for item in after.items()}

    def _end_all(self, todo: Sequence[Do]) -> None:
        time = now()  # one for all that were taken out together: so they are put back together
        gone = [do for do in todo if isinstance(do, EndItem)]
        ended = [_removed(do.item.item_id, do.reason, time) for do in gone]
        if not ended:
            return
        try:
            self._enter(ended)
        except UndulaError:
            get_logger().exception("items_not_recorded", items=[one.item_id for one in ended])
        for one in ended:
            self._finished(one)

    def _enter(self, ended: Sequence[ItemFinished]) -> None:
        """Raises: StorageError."""
        try:
            self._catalogue.finish_items(ended)
        except InputError:  # one that was never stored must not keep the others waiting there
            for one in ended:
                with contextlib.suppress(InputError):
                    self._catalogue.finish_item(one)

    def _keep(self, queue: ScanQueue, requests: Mapping[str, ScanRequest]) -> None:
        """Write what differs from what is on the disk."""
        items = queue.items()
        old = self._kept
        places = _places([old[i.item_id].position if i.item_id in old else None for i in items])
        kept = {
            item.item_id: _Kept(item, requests[item.item_id], place)
            for item, place in zip(items, places, strict=True)
        }
        changed = [one.record() for key, one in kept.items() if old.get(key) != one]
        self._catalogue.keep_queue(changed, _kept_state(queue))
        self._kept = kept

    def _keep_quietly(self) -> None:
        with self._lock:
            queue, requests = self._queue, dict(self._requests)
        try:
            self._keep(queue, requests)
        except UndulaError:  # the queue must go on; with the next change it is tried again
            get_logger().exception("queue_not_kept", revision=queue.revision)


def _one_of(gone: Sequence[QueueItemRecord], beginning: str) -> QueueItemRecord:
    found = [record for record in gone if record.item_id.startswith(beginning)]
    if len(found) != 1:
        none = f"no scan that was taken out has an id that begins with {beginning!r}"
        several = f"the ids of {len(found)} scans that were taken out begin with {beginning!r}"
        raise InputError(several if found else none, remedy="take the id from undula queue history")
    return found[0]


@dataclass(frozen=True, slots=True)
class _Kept:
    """An item as it is on the disk."""

    item: QueueItem
    request: ScanRequest
    position: float

    def record(self) -> QueueItemRecord:
        """What the catalogue keeps of it."""
        return QueueItemRecord(
            item_id=self.item.item_id,
            position=self.position,
            submitted=self.item.submitted,
            payload={"item": self.item.model_dump(), "request": self.request.model_dump()},
        )


def _places(known: Sequence[float | None]) -> list[float]:
    """Ascending places of items, those that are known kept as far as possible.

    >>> _places([1.0, 2.0, None]), _places([3.0, None, 1.0, 2.0]), _places([None, 1.0])
    ([1.0, 2.0, 3.0], [3.0, 4.0, 5.0, 6.0], [0.5, 1.0])
    """
    places: list[float] = []
    for i, old in enumerate(known):
        before, place = places[-1] if places else 0.0, old
        if place is None or place <= before:
            later = next((p for p in known[i + 1 :] if p is not None and p > before), None)
            place = before + 1.0 if later is None else (before + later) / 2
            if later is not None and not before < place < later:  # no room is left between them
                return [float(n) for n in range(1, len(known) + 1)]
        places.append(place)
    return places


def _removed(item_id: str, reason: str, time: float) -> ItemFinished:
    return ItemFinished(item_id=item_id, exit_status="removed", reason=reason, time=time)


def ended_as(record: QueueItemRecord) -> ItemFinished:
    """How a stored item ended."""
    return ItemFinished(
        item_id=record.item_id,
        exit_status="fail" if record.exit_status == "waiting" else record.exit_status,
        run_uids=record.run_uids,
        run_numbers=record.run_numbers,
        reason=record.reason,
        time=record.finished or 0.0,
    )


def _kept_state(queue: ScanQueue) -> dict[str, Any]:
    return {
        "revision": queue.revision,
        "ordered": queue.ordered,
        "locks": [lock.model_dump() for lock in queue.locks],
        "halted": queue.halted,
        "stop_after": queue.stop_after,
        "changes": [change.model_dump() for change in queue.changes[-SAVED_CHANGES:]],
    }


def _state_of(kept: dict[str, Any]) -> ScanQueue:
    try:
        return ScanQueue(
            locks=tuple(QueueLock.model_validate(lock) for lock in kept.get("locks", ())),
            halted=str(kept.get("halted", "")),
            stop_after=str(kept.get("stop_after", "")),
            revision=int(kept.get("revision", 0)),
            ordered=int(kept.get("ordered", 0)),
            changes=tuple(QueueChange.model_validate(c) for c in kept.get("changes", ())),
        )
    except (ValidationError, TypeError, ValueError):  # the items are what counts
        get_logger().exception("queue_state_unreadable")
        return ScanQueue()
