"""The queue's logic: laws over any order of events, and what each edit does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from undula.core.errors import AccessError, InputError, StaleError
from undula.messages import Place, QueueItem
from undula.messages.queue import UNTIL_STOPPED
from undula.scans.queue import step
from undula.scans.queue_events import (
    Approved,
    Copy,
    Dropped,
    Duplicated,
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
from undula.scans.queue_said import said
from undula.scans.queue_value import ScanQueue, restarted

REFUSALS = (InputError, StaleError, AccessError)


def _item(name: str, **fields: Any) -> QueueItem:
    return QueueItem(item_id=name, command=name, plan="count", user="u", submitted=0.0, **fields)


def _after(*events: QueueEvent, queue: ScanQueue | None = None) -> ScanQueue:
    now = queue or ScanQueue()
    for event in events:
        now, _ = step(now, event)
    return now


def _same(item: QueueItem | None) -> QueueItem | None:
    """Without the revision, which only the queue gives."""
    return item and item.model_copy(update={"revision": 0})


def _waiting(queue: ScanQueue) -> list[str]:
    return [item.item_id for item in queue.waiting]


def _three() -> ScanQueue:
    return _after(Submitted(items=(_item("a"), _item("b"), _item("c")), user="ann"))


class AnyQueue(RuleBasedStateMachine):
    """Any events in any order; a model beside it says what must hold."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = ScanQueue()
        self.events: list[QueueEvent] = []
        self.made = 0
        self.started: list[str] = []
        self.ended: list[str] = []
        self.wanted: dict[str, int] = {}
        """Turns of each item that are still to run: the model of repeats."""

    def _do(self, event: QueueEvent) -> bool:
        before, running = self.queue, self.queue.running
        try:
            self.queue, todo = step(before, event)
        except REFUSALS:
            assert self.queue is before
            return False
        self.events.append(event)
        assert self.queue is before or self.queue.revision == before.revision + 1
        text, changed = said(before, event, self.queue)
        assert text, "an edit is answered with nothing"
        assert changed == (self.queue is not before)
        if not isinstance(event, Next | Ended):
            assert self.queue.running == running, "an edit touched what runs"
        for do in todo:
            if isinstance(do, Start):
                self.started.append(do.item.item_id)
            elif isinstance(do, EndItem):
                self.ended.append(do.item.item_id)
        return True

    def _pick(self, data: st.DataObject) -> str:
        known = [item.item_id for item in self.queue.items()]
        return data.draw(st.sampled_from([*known, "nobody"]))

    @rule(
        repeats=st.integers(0, 3),
        place=st.sampled_from(["end", "front", "to"]),
        number=st.integers(1, 4),
        approval=st.booleans(),
    )
    def submit(self, repeats: int, place: Any, number: int, approval: bool) -> None:
        self.made += 1
        item = _item(f"i{self.made}", repeats=repeats, needs_approval=approval)
        waiting = _waiting(self.queue)
        assert self._do(Submitted(items=(item,), place=Place(at=place, number=number)))
        at = {"end": len(waiting), "front": 0, "to": number - 1}[place]
        assert _waiting(self.queue) == [*waiting[:at], item.item_id, *waiting[at:]]

    @rule(data=st.data(), at=st.sampled_from(["up", "down", "front", "end", "to", "before"]))
    def move(self, data: st.DataObject, at: Any) -> None:
        one, other = self._pick(data), self._pick(data)
        before = _waiting(self.queue)
        place = Place(at=at, item_id=other, number=data.draw(st.integers(1, 5)))
        if self._do(Moved(item_id=one, place=place)):
            rest = [i for i in before if i != one]
            assert [i for i in _waiting(self.queue) if i != one] == rest, "others changed order"

    @rule(data=st.data(), kind=st.sampled_from([Held, Released, Approved]))
    def mark(self, data: st.DataObject, kind: Any) -> None:
        before = _waiting(self.queue)
        self._do(kind(item_id=self._pick(data), user="ann"))
        assert _waiting(self.queue) == before

    @rule(data=st.data(), repeats=st.integers(0, 3))
    def repeat(self, data: st.DataObject, repeats: int) -> None:
        self._do(Repeated(item_id=self._pick(data), repeats=repeats))

    @rule(data=st.data())
    def edit(self, data: st.DataObject) -> None:
        one = self._pick(data)
        if self._do(Edited(item=_item(one).model_copy(update={"command": "new"}), user="bob")):
            found = next(item for item in self.queue.waiting if item.item_id == one)
            assert (found.command, found.approved_by, found.edited_by) == ("new", "", "bob")

    @rule(data=st.data())
    def duplicate(self, data: st.DataObject) -> None:
        self.made += 1
        self._do(Duplicated(item_id=self._pick(data), copy_id=f"i{self.made}"))

    @rule(data=st.data(), every=st.booleans())
    def remove(self, data: st.DataObject, every: bool) -> None:
        self._do(Removed(item_ids=None if every else (self._pick(data),)))

    @rule(lock=st.booleans(), user=st.sampled_from(["ann", "bob"]))
    def lock(self, lock: bool, user: str) -> None:
        self._do(Locked(user=user) if lock else Unlocked(user=user))

    @rule(go=st.booleans())
    def stop_after(self, go: bool) -> None:
        self._do(GoOn() if go else StopAfter(user="ann"))

    @rule()
    def drop(self) -> None:
        self._do(Dropped(reason="stop"))
        assert not self.queue.waiting

    @rule()
    def next(self) -> None:
        first = self.queue.next_item
        rest = [i for i in _waiting(self.queue) if first is None or i != first.item_id]
        self._do(Next())
        if first is None:
            return
        assert self.started[-1] == first.item_id
        again = [i for i in _waiting(self.queue) if i not in rest]
        assert [i for i in _waiting(self.queue) if i in rest] == rest
        assert len(again) == (first.repeats != 1)
        left = {item.item_id: item.repeats for item in self.queue.waiting}
        assert [left[i] for i in again] == ([max(first.repeats - 1, 0)] if again else [])

    @precondition(lambda self: self.queue.running)
    @rule(status=st.sampled_from(["success", "abort", "fail"]), halt=st.sampled_from(["", "why"]))
    def end(self, status: Any, halt: str) -> None:
        assert self.queue.running is not None
        self.ended.append(self.queue.running.item_id)
        self._do(Ended(exit_status=status, halt=halt))
        assert self.queue.running is None

    @invariant()
    def nothing_waits_while_the_engine_is_idle_without_a_reason(self) -> None:
        queue = self.queue
        if queue.running is None and queue.waiting and queue.next_item is None:
            assert queue.blocked
            blocked = queue.locks or queue.halted
            assert blocked or not any(item.ready for item in queue.waiting)
        else:
            assert queue.blocked == ""

    @invariant()
    def no_item_runs_or_ends_twice(self) -> None:
        assert len(set(self.started)) == len(self.started)
        assert len(set(self.ended)) == len(self.ended)
        assert not set(self.ended) & self.queue.ids()

    @invariant()
    def ids_are_unique(self) -> None:
        assert len(self.queue.ids()) == len(self.queue.items())

    def teardown(self) -> None:
        assert _after(*self.events) == self.queue, "replay gives another queue"


TestAnyQueue = AnyQueue.TestCase
TestAnyQueue.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("times", [1, 2, 5])
def test_a_repeated_item_runs_so_often_and_each_time_as_an_item_of_its_own(times: int) -> None:
    queue = _after(Submitted(items=(_item("a", repeats=times), _item("b"))))
    ran = []
    while queue.next_item is not None:
        queue, _ = step(queue, Next())
        assert queue.running is not None
        ran.append((queue.running.item_id, queue.running.turn))
        queue, _ = step(queue, Ended(exit_status="success"))
    assert ran == [
        ("a", 1), *((f"a.{n}", n) for n in range(2, times + 1)), ("b", 1)
    ]  # fmt: skip


def test_an_endless_item_goes_on_until_its_next_turn_is_removed() -> None:
    queue = _after(Submitted(items=(_item("a", repeats=0),)))
    for n in range(1, 6):
        queue = _after(Next(), Ended(exit_status="success"), queue=queue)
        assert [(i.item_id, i.repeats) for i in queue.waiting] == [(f"a.{n + 1}", 0)]
    queue = _after(Next(), Removed(item_ids=("a.7",)), Ended(exit_status="success"), queue=queue)
    assert queue.next_item is None


def test_the_further_turns_of_an_aborted_scan_are_dropped_and_of_a_failed_one_held() -> None:
    queue = _after(Submitted(items=(_item("a", repeats=3), _item("b"))), Next())
    aborted, todo = step(queue, Ended(exit_status="abort"))
    assert [do.item.item_id for do in todo if isinstance(do, EndItem)] == ["a.2"]
    assert _waiting(aborted) == ["b"]
    failed, todo = step(queue, Ended(exit_status="fail"))
    assert (todo, failed.waiting[0].held_by) == ([], "the queue")
    assert _same(failed.next_item) == _item("b")


def test_the_next_turn_measures_what_this_one_does() -> None:
    queue, todo = step(_after(Submitted(items=(_item("a", repeats=2),))), Next())
    assert todo == [Copy("a", queue.waiting[0]), Start(queue.running)]


def test_of_two_edits_of_one_item_the_second_is_refused_with_who_did_what() -> None:
    queue = _three()
    seen = queue.revision
    queue = _after(Held(item_id="b", user="ann", seen=seen), queue=queue)
    with pytest.raises(StaleError, match="ann held b"):
        step(queue, Removed(item_ids=("b",), user="bob", seen=seen))
    assert _waiting(_after(Removed(item_ids=("c",), user="bob", seen=seen), queue=queue)) == [
        "a", "b"
    ]  # fmt: skip
    seen = queue.revision
    assert _waiting(_after(Removed(item_ids=("b",), user="bob", seen=seen), queue=queue)) == [
        "a", "c"
    ]  # fmt: skip


def test_an_item_that_somebody_removed_says_so_to_whoever_edits_it() -> None:
    queue = _after(Removed(item_ids=("b",), user="ann"), queue=_three())
    with pytest.raises(StaleError, match="b waits no more: ann removed b"):
        step(queue, Held(item_id="b", user="bob", seen=1))
    with pytest.raises(InputError, match="no item x waits"):
        step(queue, Held(item_id="x"))


def test_clearing_takes_nothing_that_its_author_has_not_seen() -> None:
    queue = _three()
    seen = queue.revision
    queue = _after(Submitted(items=(_item("d"),), user="ann"), queue=queue)
    with pytest.raises(StaleError, match="ann added d"):
        step(queue, Removed(item_ids=None, user="bob", seen=seen))
    assert not _after(Removed(item_ids=None, user="bob", seen=queue.revision), queue=queue).waiting


def test_a_counted_place_means_what_its_author_saw() -> None:
    queue = _three()
    seen = queue.revision
    queue = _after(Moved(item_id="c", place=Place(at="front"), user="ann"), queue=queue)
    with pytest.raises(StaleError, match="ann moved c"):
        step(queue, Moved(item_id="b", place=Place(at="to", number=1), seen=seen))
    beside = Place(at="after", item_id="c")
    assert _waiting(_after(Moved(item_id="b", place=beside, seen=seen), queue=queue)) == [
        "c", "b", "a"
    ]  # fmt: skip


def test_a_revision_that_is_not_this_queues_is_refused() -> None:
    with pytest.raises(StaleError, match="at revision 1"):
        step(_three(), Held(item_id="a", seen=7))


def test_a_running_item_is_not_edited() -> None:
    queue = _after(Next(), queue=_three())
    with pytest.raises(InputError, match="runs already"):
        step(queue, Edited(item=_item("a")))


def test_only_the_owner_lifts_a_lock_unless_another_one_is_named() -> None:
    queue = _after(Locked(user="ann", reason="beam studies"), queue=_three())
    assert queue.blocked == "locked by ann: beam studies"
    with pytest.raises(AccessError, match="bob has no lock on the queue; locked by ann"):
        step(queue, Unlocked(user="bob"))
    with pytest.raises(InputError, match="not locked by eve"):
        step(queue, Unlocked(user="bob", owner="eve"))
    assert _same(_after(Unlocked(user="ann"), queue=queue).next_item) == _item("a")
    assert _same(_after(Unlocked(user="bob", owner="ann"), queue=queue).next_item) == _item("a")


def test_an_edit_takes_an_approval_back() -> None:
    queue = _after(
        Submitted(items=(_item("a", needs_approval=True),)),
        Approved(item_id="a", user="staff", time=5.0),
    )
    assert queue.next_item is not None
    assert (queue.waiting[0].approved_by, queue.waiting[0].approved) == ("staff", 5.0)
    queue = _after(Edited(item=_item("a"), user="u"), queue=queue)
    assert queue.blocked == "a waits for approval"


@pytest.mark.parametrize(("repeats", "kept"), [(2, False), (UNTIL_STOPPED, False), (1, True)])
def test_more_turns_than_were_approved_take_the_approval_back(repeats: int, kept: bool) -> None:
    queue = _after(
        Submitted(items=(_item("a", needs_approval=True),)),
        Approved(item_id="a", user="staff", time=5.0),
        Repeated(item_id="a", repeats=repeats, user="u"),
    )
    assert (queue.next_item is not None) == kept


def test_the_queue_waits_after_this_item_until_it_is_let_on() -> None:
    queue = _after(Next(), StopAfter(user="ann"), Ended(exit_status="success"), queue=_three())
    assert queue.next_item is None
    assert queue.blocked == "stopped by ann after a; undula queue resume lets it go on"
    assert _same(_after(GoOn(), queue=queue).next_item) == _item("b")


def test_what_was_to_stop_after_this_scan_waits_when_the_engine_dies() -> None:
    queue = restarted(_after(Next(), StopAfter(user="ann"), queue=_three()))
    assert (queue.halted, queue.stop_after) == ("stopped by ann; the engine died meanwhile", "")
    assert restarted(_three(), "the engine died").blocked.startswith("the engine died; ")
    assert restarted(_three()) == _three()


def test_a_halt_after_an_abort_is_only_for_what_waited() -> None:
    alone = _after(Submitted(items=(_item("a"),)), Next())
    assert _after(Ended(exit_status="abort", halt="bad"), queue=alone).halted == ""
    more = _after(Next(), Ended(exit_status="abort", halt="bad"), queue=_three())
    assert more.blocked.startswith("a ended as abort: bad")


_HELD = _item("a", held_by="eve", hold_reason="it dries")
_ASKS = _item("a", needs_approval=True)
_BOTH = _item("a", needs_approval=True, held_by="eve")


@pytest.mark.parametrize(
    ("item", "event", "told"),
    [
        (_HELD, Released(item_id="a"), "released a of u"),
        (_BOTH, Released(item_id="a"), "released a of u; it waits for approval"),
        (_item("a"), Released(item_id="a"), "nothing was changed: item 1 (a) is not held"),
        (_ASKS, Released(item_id="a"), "item 1 (a) is not held; it waits for approval"),
        (_ASKS, Approved(item_id="a", user="ann"), "approved a of u"),
        (_BOTH, Approved(item_id="a", user="ann"), "approved a of u; it is still held by eve"),
        (_item("a"), Approved(item_id="a"), "item 1 (a) needs no approval"),
        (
            _ASKS.model_copy(update={"approved_by": "ann"}),
            Approved(item_id="a", user="bob"),
            "item 1 (a) is approved already, by ann",
        ),
        (
            _item("a"),
            Moved(item_id="a", place=Place(at="up")),
            "item 1 (a) is at place 1 of 2 already",
        ),
        (_item("a"), Moved(item_id="a", place=Place(at="down")), "is at place 2 of 2"),
        (_item("a"), Repeated(item_id="a", repeats=1), "item 1 (a) is to run 1x already"),
        (_HELD, Held(item_id="a", user="eve", reason="it dries"), "is held already, by eve"),
        (_item("a"), StopAfter(off=True), "the queue was not to stop after anything"),
    ],
)
def test_an_edit_is_answered_with_what_was_done_or_why_nothing_was(
    item: QueueItem, event: QueueEvent, told: str
) -> None:
    before = _after(Submitted(items=(item, _item("b"))))
    after, _ = step(before, event)
    assert said(before, event, after)[0].endswith(told)


def test_who_approved_it_first_stays_the_one_who_did() -> None:
    queue = _after(Submitted(items=(_ASKS,)), Approved(item_id="a", user="ann", time=1.0))
    again, _ = step(queue, Approved(item_id="a", user="bob", time=2.0))
    assert (again.waiting[0].approved_by, again.waiting[0].approved) == ("ann", 1.0)
