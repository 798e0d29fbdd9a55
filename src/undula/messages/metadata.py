"""Conversation: what every further run of the beamline is to say in its start document."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from undula.messages.base import Event
from undula.messages.layouts import Plain
from undula.messages.requests import Request


class BeamlineMetadata(Event):
    """The metadata of all further runs, e.g. sample and proposal."""

    tag: ClassVar[str] = "beamline_metadata"

    values: dict[str, Any] = Field(description="goes into each start document")
    next_file: str = Field(default="", description="where the file of a scan would go now")


class MetadataKey(Event):
    """One key of the metadata as the beamline wants it: enough for a form that asks for it."""

    key: str = Field(description="dotted inside a dict: sample.name")
    type: str = Field(description="text, number, integer, yes/no, list, mapping")
    wanted: str = Field(description="what to give, in words")
    description: str = Field(default="", description="help, for people")
    required: bool = Field(default=False, description="each scan must say it")
    required_for: list[str] = Field(
        default_factory=list, description="scans with these plans must say it; * and ? are wild"
    )
    choices: list[Plain] = Field(default_factory=list, description="it is one of these")
    pattern: str = Field(default="", description="a text is of this form (regular expression)")
    example: Plain | None = Field(default=None, description="one that would do")
    minimum: float | None = Field(default=None, description="a number is not below")
    maximum: float | None = Field(default=None, description="a number is not above")
    unit: str = Field(default="", description="of a number")


class MetadataKeys(Event):
    """What the beamline wants runs to say; without keys and with `other_keys`: anything."""

    tag: ClassVar[str] = "metadata_keys"

    keys: list[MetadataKey] = Field(description="in the schema's order; none: no schema")
    other_keys: bool = Field(default=True, description="further keys are allowed")


class MetadataRequest(Request):
    """Look at the metadata of all further runs or at what they are to say, or change it."""

    tag: ClassVar[str] = "metadata_request"

    action: Literal["show", "change", "schema"] = Field(description="what is asked")
    values: dict[str, Any] = Field(default_factory=dict, description="keys that get a value")
    remove: list[str] = Field(default_factory=list, description="keys that go, before values")
