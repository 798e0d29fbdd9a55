"""Conversation: what every further run of the beamline is to say in its start document."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from undula.messages.base import Event
from undula.messages.requests import Request


class BeamlineMetadata(Event):
    """The metadata of all further runs, e.g. sample and proposal."""

    tag: ClassVar[str] = "beamline_metadata"

    values: dict[str, Any] = Field(description="goes into each start document")
    next_file: str = Field(default="", description="where the file of a scan would go now")


class MetadataRequest(Request):
    """Look at the metadata of all further runs, or change it."""

    tag: ClassVar[str] = "metadata_request"

    action: Literal["show", "change"] = Field(description="what is asked")
    values: dict[str, Any] = Field(default_factory=dict, description="keys that get a value")
    remove: list[str] = Field(default_factory=list, description="keys that go, before values")
