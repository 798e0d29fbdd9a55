"""Conversation: comments and tags that people give a run afterwards."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from undula.core.clock import now
from undula.messages.base import Event
from undula.messages.requests import Request

NoteKind = Literal["comment", "tag", "untag"]


class RunNote(Event):
    """One remark about a run; kept for good, newer ones come after it."""

    tag: ClassVar[str] = "run_note"

    kind: NoteKind = Field(description="a comment, or a tag given or taken away")
    text: str = Field(min_length=1, max_length=10_000, description="the comment, or the tag")
    author: str = Field(default="", description="who said it")
    time: float = Field(default_factory=now, description="UTC epoch s")


class RunNotesRequest(Request):
    """Comment on a run, give it tags, take tags away."""

    tag: ClassVar[str] = "run_notes_request"

    run: int | str = Field(default=-1, description="number, uid, or -1 for the newest")
    action: Literal["show", "comment", "tag"] = Field(description="what is asked")
    text: str = Field(default="", max_length=10_000, description="for comment")
    add: list[str] = Field(default_factory=list, max_length=50, description="tags to give")
    remove: list[str] = Field(default_factory=list, max_length=50, description="tags to take away")
