"""Conversation: the scan queue as everybody sees it."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from undula.messages.base import Event

QueueState = Literal["idle", "running", "pausing", "paused", "aborting", "recovering"]


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


class QueueStatus(Event):
    """The whole queue, published at every change and once a second while a scan runs."""

    tag: ClassVar[str] = "queue_status"

    state: QueueState = Field(description="what the engine does")
    running: QueueItem | None = Field(default=None, description="the scan that runs or is paused")
    run_uid: str | None = Field(default=None, description="uid of the open run")
    run_number: int | None = Field(default=None, description="number of the open run")
    points_done: int = Field(default=0, description="points taken in the open run")
    waiting_for: str = Field(default="", description="what is waited for, and since when")
    waiting: list[QueueItem] = Field(default_factory=list, description="scans that wait, in order")
    message: str = Field(default="", description="why it is paused or what failed last")


class ItemFinished(Event):
    """A queue item has ended; exactly one for each item that was accepted."""

    tag: ClassVar[str] = "item_finished"

    item_id: str = Field(description="the queue item")
    exit_status: Literal["success", "abort", "fail", "removed"] = Field(description="how it ended")
    run_uids: list[str] = Field(default_factory=list, description="runs that it made")
    run_numbers: list[int] = Field(default_factory=list, description="their numbers")
    reason: str = Field(default="", description="why, when not by itself")
    time: float = Field(description="UTC epoch s")
