"""Conversation: how a run's file is laid out for a technique; it travels in the start document.

A layout is data: an application definition's tree with where each field comes from. The engine
chooses one (`scans.file_layouts`), the writer carries it out (`files.layout_fill`), and so does a
rebuilding, years later, since the archive holds the start document.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from undula.core.described import Wrong
from undula.core.nexus_classes import NAMES, meant
from undula.core.unit_kinds import UnitKind

SOURCES = {
    "axis": "axis 0: reading of the slowest scanned axis; 1 the next",
    "signal": "signal 0: reading that is drawn first; 1 the next",
    "frames": "frames: the images of the first detector that gives images",
    "device": "device NAME: main reading of a device; outside the points its first one",
    "role": "role WORD: device with userParameter role WORD, tag WORD, or the name WORD",
    "class": "class NXmonitor: first device declared as that NeXus class",
    "key": "key DATA_KEY: one data key",
    "metadata": "metadata KEY: from the start document; inside a dict scan.edge",
    "config": "config DEVICE.KEY: a device's configuration",
    "link": "link PATH: another place of this file, below entry",
    "plot": "plot signal 0, plot axis 1: as drawn, for a map in its shape",
}
_SOURCE = re.compile(
    r"(?:(?:axis|signal) \d|frames|(?:device|role|class|key) [^\s/]+|metadata [^\s/]+"
    r"|config [^\s/.]+\.[^\s/]+|link [^\s/]\S*|plot (?:signal|axis) \d)"
)
_PATH = re.compile(r"[A-Za-z_][\w.-]*(?:/[A-Za-z_][\w.-]*)*")
Plain = bool | int | float | str


class LayoutField(BaseModel):
    """One group or dataset of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    path: str = Field(description="below entry, e.g. instrument/source/name")
    nx_class: str = Field(default="", alias="class", description="makes a group of that class")
    sources: list[str] = Field(
        default_factory=list, alias="from", description="the first that gives something is taken"
    )
    value: Plain | list[Plain] | None = Field(
        default=None, description="a constant; with `from`: when no source gives anything"
    )
    each_point: int | float | None = Field(
        default=None,
        description="the same number for each point, e.g. image_key 0; with `from` as value",
    )
    unit: str = Field(default="", description="unit of a constant or of a key of the metadata")
    measures: UnitKind | None = Field(
        default=None, description="a source whose unit is of another kind is as if it were absent"
    )
    attributes: dict[str, Plain] = Field(
        default_factory=dict, description="of a group or of a constant"
    )
    required: bool = Field(default=False, description="the definition is not met without it")

    @field_validator("path")
    @classmethod
    def _a_path(cls, path: str) -> str:
        if not _PATH.fullmatch(path):
            raise Wrong(f"{path!r} is no path below entry", "write e.g. instrument/source/name")
        return path

    @field_validator("sources", mode="before")
    @classmethod
    def _listed(cls, sources: Any) -> Any:
        return [sources] if isinstance(sources, str) else sources

    @field_validator("sources")
    @classmethod
    def _known(cls, sources: list[str]) -> list[str]:
        for source in sources:
            if not _SOURCE.fullmatch(source):
                form = SOURCES.get(source.split(" ")[0])
                raise Wrong(
                    f"{source!r} is no source",
                    f"write {form}" if form else f"begin with one of {', '.join(SOURCES)}",
                )
        return sources

    @model_validator(mode="after")
    def _one_kind(self) -> LayoutField:
        given = [bool(self.nx_class), self.each_point is not None, self.value is not None]
        several = sum(given) > 1 or (bool(self.nx_class) and bool(self.sources))
        if several or not (any(given) or self.sources):
            raise Wrong(
                f"{self.path} is {'several things' if several else 'nothing'}",
                "give it class (a group), or from, with value or each_point for when that is not "
                "there",
            )
        if self.attributes and self.sources:
            raise Wrong(
                f"{self.path} would change attributes of what it leads to",
                "give attributes to a group or a constant only",
            )
        return self


OF_THE_FILE = frozenset(
    {
        "entry_identifier", "entry_identifier_uuid", "title", "scan_command", "plan_name",
        "start_time", "end_time", "duration", "exit_status", "program_name", "count_time",
        "definition",
    }
)  # fmt: skip
"""What each file says of its run itself."""


def _sound(field: LayoutField) -> LayoutField:
    """What no field of a file may be. Not asked of what old runs have: their files are made."""
    if field.path in OF_THE_FILE:
        raise Wrong(f"each file says its {field.path} itself", "choose another path")
    for name in (field.nx_class, *(s.removeprefix("class ") for s in _of_class(field.sources))):
        if name and name not in NAMES:
            near = meant(name)
            raise Wrong(
                f"{name} is no class of NeXus",
                f"did you mean {near}?" if near else "name a base class, e.g. NXcollection",
            )
    constant = field.value is not None and not field.sources
    if constant and field.path.startswith("data/"):
        raise Wrong(
            f"{field.path} would be a constant among what is drawn",
            "put it elsewhere, e.g. into collection or sample",
        )
    return field


def _of_class(sources: list[str]) -> list[str]:
    return [source for source in sources if source.startswith("class ")]


OwnField = Annotated[LayoutField, AfterValidator(_sound)]


class LayoutRule(BaseModel):
    """When a layout is chosen for a run that names no technique; all that is given must hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    plans: list[str] = Field(default_factory=list, description="one of these plans")
    axes: list[str] = Field(
        default_factory=list, description="each of these is scanned: role, tag or name of a device"
    )
    detectors: list[str] = Field(
        default_factory=list, description="each of these is read: role, tag or name of a device"
    )
    dimensions: int | None = Field(default=None, ge=1, le=9, description="1 a line, 2 a map")


class FileLayout(BaseModel):
    """The tree of a technique."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    name: str = Field(default="", description="as it is called; its file's name if left out")
    definition: str = Field(
        default="", description="NeXus application definition, said in the file when it is met"
    )
    description: str = Field(default="", description="for people")
    technique: list[str] = Field(
        default_factory=list, description="chosen when the run's technique is one of these"
    )
    rule: LayoutRule | None = Field(default=None, description="or chosen by this")
    fields: list[OwnField] = Field(description="what the file gets beside what each file has")


class FileFields(BaseModel):
    """A beamline's own fields, in the file of every run (`file_fields.yaml`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fields: list[OwnField] = Field(description="as those of a layout")


class ChosenLayout(BaseModel):
    """What a start document says under `file_layout`."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    name: str = Field(default="", description="of the layout; '' without one")
    definition: str = Field(default="", description="application definition to be met")
    fields: list[LayoutField] = Field(default_factory=list, description="in order")
