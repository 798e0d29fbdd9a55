"""Conversation: the scan queue as everybody sees it."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from undula.messages.base import Command, Event
from undula.messages.errors import ErrorReport

QueueState = Literal["idle", "running", "pausing", "paused", "aborting", "recovering"]
SHORT_WAITING = 100
"""So many waiting items are published with each change; the others are asked for."""
HISTORY_PAGE = 500
"""So many ended items are in one reply; who wants more asks again."""
UNTIL_STOPPED = 0
"""As a number of repeats: again and again, until somebody ends it."""


class Place(Command):
    """Where an item goes among those that wait."""

    tag: ClassVar[str] = "queue_place"

    at: Literal["end", "front", "up", "down", "before", "after", "to"] = Field(
        default="end", description="up, down: by one; before, after: an item; to: a place"
    )
    item_id: str = Field(default="", description="for before and after: the other item")
    number: int | None = Field(default=None, ge=1, description="for to: 1 is the front")


class QueueOptions(Command):
    """How a scan waits and runs, beside what it measures."""

    tag: ClassVar[str] = "queue_options"

    place: Place = Field(default=Place(), description="where it is put")
    repeats: int = Field(default=1, ge=0, description="times it is run; 0: until stopped")
    sample: str = Field(default="", description="mounted by the sample changer before it runs")
    hold: str | None = Field(default=None, description="held from the beginning; the reason")
    needs_approval: bool = Field(default=False, description="waits until somebody approves it")
    seen: int | None = Field(default=None, description="revision of the queue its author saw")


class QueueLock(Event):
    """Somebody keeps the queue from starting anything; it still accepts."""

    tag: ClassVar[str] = "queue_lock"

    owner: str = Field(description="who locked it; only they, or staff, unlock it")
    reason: str = Field(default="", description="why")
    time: float = Field(description="UTC epoch s")


class QueueChange(Event):
    """One change of the queue: what, by whom."""

    tag: ClassVar[str] = "queue_change"

    revision: int = Field(description="of the queue after it; each change has the next number")
    user: str = Field(default="", description="who; '' for the queue itself")
    time: float = Field(default=0.0, description="UTC epoch s")
    text: str = Field(description="what was done, e.g. removed scan samx -1 1 21")
    item_ids: list[str] = Field(default_factory=list, description="items that it touched")


class QueueItem(Event):
    """One scan that waits or runs."""

    tag: ClassVar[str] = "queue_item"

    item_id: str = Field(description="equals the request id that made it")
    command: str = Field(description="as a person could type it")
    plan: str = Field(description="plan name")
    user: str = Field(description="who asked")
    submitted: float = Field(description="UTC epoch s")
    num_points: int | None = Field(default=None, description="None when the plan cannot know")
    estimate_s: float | None = Field(default=None, description="estimated duration, seconds")
    sample: str = Field(default="", description="mounted by the sample changer before it runs")
    repeats: int = Field(
        default=1, ge=0, description="times it is still to be run, this one included; 0: no end"
    )
    turn: int = Field(default=1, description="which time it is, of those that are repeated")
    origin: str = Field(default="", description="id of the first time; '' when it is the first")
    held_by: str = Field(default="", description="who holds it back; '' when nobody does")
    hold_reason: str = Field(default="", description="why it is held")
    needs_approval: bool = Field(default=False, description="it waits until it is approved")
    approved_by: str = Field(default="", description="who approved it")
    approved: float | None = Field(default=None, description="UTC epoch s of the approval")
    edited_by: str = Field(default="", description="who changed its arguments last")
    notice: str = Field(default="", description="what was changed of it by itself, and why")
    revision: int = Field(default=0, description="of the queue when it was changed last")

    @property
    def ready(self) -> bool:
        """It may start when its turn comes."""
        return not self.held_by and (not self.needs_approval or bool(self.approved_by))


class QueueStatus(Event):
    """The whole queue, published at every change and once a second while a scan runs."""

    tag: ClassVar[str] = "queue_status"

    state: QueueState = Field(description="what the engine does")
    running: QueueItem | None = Field(default=None, description="the scan that runs or is paused")
    run_uid: str | None = Field(default=None, description="uid of the open run")
    run_number: int | None = Field(default=None, description="number of the open run")
    points_done: int = Field(
        default=0,
        description="points of the running scan that were taken, all its runs together, each once",
    )
    points_retaken: int = Field(default=0, description="rows beside, of points taken again")
    points_skipped: int = Field(default=0, description="points that were left out")
    waiting_for: str = Field(default="", description="what is waited for, and since when")
    waiting: list[QueueItem] = Field(default_factory=list, description="scans that wait, in order")
    message: str = Field(default="", description="why it is paused or what failed last")
    revision: int = Field(default=0, description="grows with each change; an edit names it")
    locks: list[QueueLock] = Field(default_factory=list, description="who locked the queue")
    halted: str = Field(default="", description="why it waits for a resume; '' when it does not")
    stop_after: str = Field(default="", description="who asked it to stop after the running scan")
    blocked: str = Field(default="", description="why nothing starts although scans wait")
    left_s: float = Field(default=0.0, description="time left overall, as far as known, seconds")
    left_unknown: int = Field(default=0, description="scans whose time nobody knows")
    overdue: list[str] = Field(
        default_factory=list, description="what takes longer than it should, and how long"
    )
    did: str = Field(default="", description="in a reply: what was done, or why nothing was")
    changed: bool = Field(
        default=True, description="in a reply: false when all was so already, and nothing was done"
    )
    more: int = Field(
        default=0, description="scans that wait behind those listed; in a reply all are listed"
    )

    def short(self) -> QueueStatus:
        """With the first items only, to be published often."""
        more = len(self.waiting) - SHORT_WAITING
        if more <= 0:
            return self
        return self.model_copy(update={"waiting": self.waiting[:SHORT_WAITING], "more": more})


class ItemFinished(Event):
    """A queue item has ended; exactly one for each item that was accepted."""

    tag: ClassVar[str] = "item_finished"

    item_id: str = Field(description="the queue item")
    exit_status: Literal["success", "abort", "fail", "removed"] = Field(description="how it ended")
    run_uids: list[str] = Field(default_factory=list, description="runs that it made")
    run_numbers: list[int] = Field(default_factory=list, description="their numbers")
    reason: str = Field(default="", description="why, when not by itself")
    warnings: list[str] = Field(
        default_factory=list, description="what failed and was passed over: hooks that only warn"
    )
    time: float = Field(description="UTC epoch s")


class CheckedItem(Event):
    """What the check says of one of several scans, in the order in which they would run."""

    tag: ClassVar[str] = "checked_item"

    command: str = Field(description="as a person could type it")
    item_id: str = Field(default="", description="the waiting item, or that of the batch")
    num_points: int | None = Field(default=None, description="None when the plan cannot know")
    estimate_s: float | None = Field(default=None, description="of one time, seconds")
    repeats: int = Field(default=1, description="times it is run; 0: until stopped")
    sample: str = Field(default="", description="mounted before it")
    path: str = Field(default="", description="its file, NNNNN for the number")
    starts_at: dict[str, float] = Field(
        default_factory=dict, description="where its axes are then, each in its unit"
    )
    warnings: list[str] = Field(default_factory=list, description="what may surprise")
    error: ErrorReport | None = Field(default=None, description="why it would not run")


class EndedItem(Event):
    """An item that has ended, as the history of the queue keeps it."""

    tag: ClassVar[str] = "ended_item"

    item: QueueItem = Field(description="as it was when it ended")
    ended: ItemFinished = Field(description="how it ended")
