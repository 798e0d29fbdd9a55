"""Conversation: an error on its way to a person."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from undula.core.errors import CATEGORIES, UndulaError
from undula.messages.base import Event


class ErrorReport(Event):
    """An `UndulaError` as data."""

    tag: ClassVar[str] = "error_report"

    category: str = Field(description="stable word, see undula.core.errors")
    what: str = Field(description="what failed, one sentence")
    remedy: str = Field(description="what to do now")
    device: str | None = Field(default=None, description="the device concerned")
    where: str | None = Field(default=None, description="file and line, or another place")

    details: list[str] = Field(default_factory=list, description="every fault, a line each")

    @classmethod
    def of(cls, error: BaseException) -> ErrorReport:
        """Any exception as a report; a foreign one keeps its class name and text."""
        if isinstance(error, UndulaError):
            return cls(
                category=error.category,
                what=error.what,
                remedy=error.remedy,
                device=error.device,
                where=error.where,
                details=error.details,
            )
        return cls(
            category="error",
            what=f"{type(error).__name__}: {error}",
            remedy="see `undula logs` for the full trace",
        )

    def to_exception(self) -> UndulaError:
        """The exception again, of the class that its category names."""
        cls = CATEGORIES.get(self.category, UndulaError)
        error = cls(self.what, remedy=self.remedy, device=self.device, where=self.where)
        error.details = list(self.details)
        return error
