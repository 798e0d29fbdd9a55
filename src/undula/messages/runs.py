"""Conversation: runs. Their documents, their opening and the file they end in."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from undula.messages.base import Event
from undula.messages.requests import Request

ExitStatus = Literal["success", "abort", "fail"]


class RunDocument(Event):
    """One event-model document of a run; the entries of a journal, in order from `index` 1."""

    tag: ClassVar[str] = "run_document"

    index: int = Field(ge=1, description="place in the journal, from 1, without gap")
    name: str = Field(description="start, descriptor, event, event_page, stream_resource, ...")
    doc: dict[str, Any] = Field(description="the event-model document")
    sent: float = Field(default=0.0, description="UTC epoch s when the engine emitted it")


class RunOpened(Event):
    """A run has a number and a journal; the writer starts on this."""

    tag: ClassVar[str] = "run_opened"

    uid: str = Field(description="uid of the run's start document")
    number: int = Field(ge=1, description="run number, never reused")
    plan_name: str = Field(description="name of the plan")
    command: str = Field(description="the exact command, as a person could type it")
    path: str = Field(description="path of the NeXus file to be written")
    item_id: str = Field(default="", description="the queue item that made it")
    time: float = Field(description="UTC epoch s")
    imported: bool = Field(
        default=False, description="made elsewhere: its file is complete, there is no journal"
    )


class RunFileClosed(Event):
    """The NeXus file of a run is complete and closed, and its journal archived beside it."""

    tag: ClassVar[str] = "run_file_closed"

    uid: str = Field(description="uid of the run")
    number: int = Field(ge=1, description="run number")
    path: str = Field(description="path of the NeXus file")
    exit_status: ExitStatus = Field(description="Bluesky's RunStop words")
    reason: str = Field(default="", description="why it ended, when not by itself")
    num_events: dict[str, int] = Field(default_factory=dict, description="events by stream")
    rebuilt: bool = Field(default=False, description="the file was rebuilt from the journal")


class JournalProgress(Event):
    """How far a journal is safe; kept as latest value by the publisher."""

    tag: ClassVar[str] = "journal_progress"

    uid: str = Field(description="uid of the run")
    appended: int = Field(ge=0, description="highest index in the broker")
    acknowledged: int = Field(ge=0, description="highest index that survives a broker's kill -9")


class RunImportRequest(Request):
    """May I import runs; and: this imported run is in the history now, tell everybody."""

    tag: ClassVar[str] = "run_import_request"

    run: str = Field(
        default="", description="uid of the run that is in; '' only asks for the right"
    )
