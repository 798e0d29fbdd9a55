"""Conversation: comments, tags and fits that people give a run afterwards."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from undula.core.clock import now
from undula.messages.base import Event
from undula.messages.fits import FitResult
from undula.messages.requests import Request

NoteKind = Literal["comment", "tag", "untag", "fit"]


class RunNote(Event):
    """One remark about a run; kept for good, newer ones come after it."""

    tag: ClassVar[str] = "run_note"

    kind: NoteKind = Field(description="a comment, a tag given or taken away, or a fit")
    text: str = Field(
        min_length=1, max_length=10_000, description="the comment, the tag, or the fit in words"
    )
    author: str = Field(default="", description="who said it")
    time: float = Field(default_factory=now, description="UTC epoch s")
    fit: FitResult | None = Field(default=None, description="what was fitted; only for fit")


class RunNoted(Event):
    """Somebody has said something about a run."""

    tag: ClassVar[str] = "run_noted"

    uid: str = Field(description="uid of the run")
    number: int = Field(ge=1, description="run number")
    notes: list[RunNote] = Field(description="what was said now, in order")
    tags: list[str] = Field(default_factory=list, description="all tags that the run has now")


class RunNotesRequest(Request):
    """Comment on a run, give it tags, take tags away, keep a fit of it."""

    tag: ClassVar[str] = "run_notes_request"

    run: int | str = Field(default=-1, description="number, uid, or -1 for the newest")
    action: Literal["show", "comment", "tag", "fit"] = Field(description="what is asked")
    text: str = Field(default="", max_length=10_000, description="for comment")
    add: list[str] = Field(default_factory=list, max_length=50, description="tags to give")
    remove: list[str] = Field(default_factory=list, max_length=50, description="tags to take away")
    fit: FitResult | None = Field(default=None, description="for fit: what was fitted")
