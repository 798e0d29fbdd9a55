"""Conversation: configuration. Changing the set of devices while the beamline runs."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from undula.messages.base import Event
from undula.messages.requests import Request

ConfigAction = Literal[
    "show", "load", "add", "update", "remove", "reload", "restore", "undo", "history", "diff",
    "cancel",
]  # fmt: skip


class ConfigRequest(Request):
    """Look at the configuration or change it, whole or not at all."""

    tag: ClassVar[str] = "config_request"

    action: ConfigAction = Field(description="what is asked")
    path: str | None = Field(default=None, description="for load and add: a device file, absolute")
    names: list[str] = Field(default_factory=list, description="for remove; for add: only these")
    devices: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="for add: device to its keys; for update: device to changed keys, "
        "`deviceConfig.limits` reaches inside, None takes a key away",
    )
    revisions: list[int] = Field(
        default_factory=list, description="for restore: one; for diff: from, to; else none"
    )
    dry_run: bool = Field(default=False, description="say what would change, change nothing")
    when_free: bool = Field(
        default=False, description="wait for the end of runs that use the devices concerned"
    )
    accept_absent: bool = Field(
        default=False, description="change even if a changed device does not answer"
    )


class ConfigStatus(Event):
    """Which configuration holds; published when it changes."""

    tag: ClassVar[str] = "config_status"

    revision: int = Field(description="number in the history")
    time: float = Field(description="when it was made, UTC epoch s")
    user: str = Field(description="who made it")
    action: str = Field(description="what was done, e.g. update samx readOnly")
    source: str = Field(description="the device file it comes from")
    edited: bool = Field(default=False, description="has changes that the device file lacks")
    devices: int = Field(description="how many there are")
    absent: dict[str, str] = Field(
        default_factory=dict, description="devices that do not answer, and why"
    )
    problem: str = Field(default="", description="why the device file is not what holds")
    pending: str = Field(default="", description="a change that waits for the end of a run")
