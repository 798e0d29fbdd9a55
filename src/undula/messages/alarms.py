"""Conversation: alarms. What is wrong, how badly, since when, and who has seen it."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from undula.messages.base import Event
from undula.messages.requests import Request

Severity = Literal["minor", "major"]


class Alarm(Event):
    """One alarm, from its beginning until it was over and somebody has seen it."""

    tag: ClassVar[str] = "alarm"

    number: int = Field(description="ascending, never given twice")
    source: str = Field(description="the device or condition it comes from")
    severity: Severity = Field(description="major: a scan is held up or ended by it")
    text: str = Field(description="what is wrong, for people")
    raised: float = Field(description="UTC epoch s")
    cleared: float | None = Field(default=None, description="UTC epoch s; None: it lasts")
    seen_by: str = Field(default="", description="who acknowledged it; '' nobody yet")
    seen: float | None = Field(default=None, description="UTC epoch s")


class AlarmTable(Event):
    """Alarms that last or that nobody has acknowledged; published when one changes."""

    tag: ClassVar[str] = "alarm_table"

    alarms: list[Alarm] = Field(description="the oldest first")


class AlarmRequest(Request):
    """Look at the alarms or acknowledge them."""

    tag: ClassVar[str] = "alarm_request"

    action: Literal["list", "history", "acknowledge"] = Field(description="what is asked")
    numbers: list[int] = Field(
        default_factory=list, description="for acknowledge; none: all that there are"
    )
