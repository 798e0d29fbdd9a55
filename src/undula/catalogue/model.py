"""Room: catalogue. Values: a run, and an item of the scan queue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

RunStatus = Literal["open", "success", "abort", "fail"]
ItemStatus = Literal["waiting", "success", "abort", "fail", "removed"]


class RunRecord(BaseModel):
    """One run, as the history keeps it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uid: str = Field(description="uid of the start document")
    number: int = Field(ge=1, description="run number, never reused")
    plan: str = Field(default="", description="plan name")
    command: str = Field(default="", description="as a person could type it")
    user: str = Field(default="", description="who asked")
    item_id: str = Field(default="", description="the queue item that made it")
    path: str = Field(default="", description="the NeXus file")
    start_time: float = Field(default=0.0, description="UTC epoch s")
    end_time: float | None = Field(default=None, description="UTC epoch s; None while open")
    exit_status: RunStatus = Field(default="open", description="open while running")
    reason: str = Field(default="", description="why it ended, when not by itself")
    devices: list[str] = Field(default_factory=list, description="devices it read or moved")
    num_points: int | None = Field(default=None, description="points taken; planned while open")
    metadata: dict[str, Any] = Field(default_factory=dict, description="start document's own keys")
    archive_path: str = Field(default="", description="the archived journal")
    tags: list[str] = Field(default_factory=list, description="given by people afterwards")

    @property
    def points(self) -> int | str:
        """`num_points` as it is shown: '' where nobody knows it."""
        return "" if self.num_points is None else self.num_points


class QueueItemRecord(BaseModel):
    """One item of the scan queue, waiting or ended."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    item_id: str = Field(description="equals the request id that made it")
    position: float = Field(default=0.0, description="place in the queue, ascending")
    submitted: float = Field(default=0.0, description="UTC epoch s")
    payload: dict[str, Any] = Field(default_factory=dict, description="what the engine needs")
    exit_status: ItemStatus = Field(default="waiting", description="waiting until it has ended")
    run_uids: list[str] = Field(default_factory=list, description="runs that it made")
    run_numbers: list[int] = Field(default_factory=list, description="their numbers")
    reason: str = Field(default="", description="why it ended, when not by itself")
    finished: float | None = Field(default=None, description="UTC epoch s")


BESIDE = frozenset({"baseline", "steering"})
"""Streams that are no points of a run."""


def points_of(num_events: Mapping[str, int]) -> int:
    """Points of a run by the events of its streams.

    A run without the stream `primary` has those of its longest other one; what was read at its
    ends, how it was steered, and devices that were watched meanwhile are no points.

    >>> points_of({"baseline": 2, "steering": 1, "ring_monitor": 7}), points_of({"fly": 5})
    (0, 5)
    """
    beside = {n for n in num_events if n in BESIDE or n.endswith("_monitor")}
    others = (number for name, number in num_events.items() if name not in beside)
    return num_events.get("primary", max(others, default=0))
