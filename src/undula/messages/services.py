"""Conversation: the services about themselves."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from undula.messages.base import Event


class LogEvent(Event):
    """One structured log event, for `undula logs --follow`."""

    tag: ClassVar[str] = "log_event"

    service: str = Field(description="who logged")
    level: str = Field(description="debug, info, warning, error, critical")
    event: str = Field(description="past-tense snake_case name")
    time: float = Field(description="UTC epoch s")
    fields: dict[str, Any] = Field(default_factory=dict, description="the rest")


class BrokerStatus(Event):
    """How safe the broker is and how full."""

    tag: ClassVar[str] = "broker_status"

    fsync: str = Field(description="append-only policy: always, or everysec")
    fsync_ms: float | None = Field(default=None, description="measured at start, median, ms")
    power_cut_costs: str = Field(description="what a power cut may cost under this policy")
    used_bytes: int = Field(default=0, ge=0, description="memory in use")
    limit_bytes: int = Field(default=0, ge=0, description="memory bound; 0 is unlimited")
