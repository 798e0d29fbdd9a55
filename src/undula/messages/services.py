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


def log_event(event: dict[str, Any]) -> LogEvent:
    """A structlog event as a message; what is not plain data becomes text."""
    known = ("service", "level", "event", "time")
    return LogEvent(
        service=str(event.get("service", "")),
        level=str(event.get("level", "info")),
        event=str(event.get("event", "")),
        time=float(event.get("time", 0.0)),
        fields={
            k: v if isinstance(v, str | int | float | bool | None) else str(v)
            for k, v in event.items()
            if k not in known
        },
    )


class BrokerStatus(Event):
    """How safe the broker is and how full."""

    tag: ClassVar[str] = "broker_status"

    fsync: str = Field(description="append-only policy: always, or everysec")
    fsync_ms: float | None = Field(default=None, description="measured at start, median, ms")
    power_cut_costs: str = Field(description="what a power cut may cost under this policy")
    used_bytes: int = Field(default=0, ge=0, description="memory in use")
    limit_bytes: int = Field(default=0, ge=0, description="memory bound; 0 is unlimited")
