"""Conversation: devices. What there is, and their live values."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from undula.messages.base import Event

ReadoutPriority = Literal["monitored", "baseline", "async", "on_request", "continuous"]


Severity = Literal["minor", "major", "invalid"]
"""Of an alarm of the hardware, as EPICS has them; a Tango warning is minor, its alarm major."""


class DeviceInfo(Event):
    """What a client must know of a device to list, complete and check it."""

    tag: ClassVar[str] = "device_info"

    name: str = Field(description="name in the device file; no dot")
    path: str = Field(description="the Python expression that reaches it, e.g. M.samx")
    device_class: str = Field(description="as written in the device file")
    kind: Literal["positioner", "detector", "signal", "device"] = Field(
        description="what it can do"
    )
    readout_priority: ReadoutPriority = Field(description="when a scan reads it")
    enabled: bool = Field(description="False: listed, never touched")
    connected: bool = Field(description="it answered")
    problem: str = Field(default="", description="why it is not connected")
    read_only: bool = Field(default=False, description="moves and sets are refused")
    unit: str = Field(default="", description="engineering unit")
    limits: tuple[float, float] | None = Field(default=None, description="low, high in its unit")
    tags: list[str] = Field(default_factory=list, description="deviceTags")
    description: str = Field(default="", description="for people")
    instant: bool = Field(default=False, description="set and read return at once, without waiting")
    takes_count_time: bool = Field(default=False, description="it can be told the count time")
    precision: int | None = Field(default=None, description="digits after the point, as it says")
    choices: list[str] = Field(default_factory=list, description="words of an enum, from 0")
    data_keys: dict[str, Any] = Field(default_factory=dict, description="event-model data keys")
    leased_by: str = Field(default="", description="run and owner, while a scan uses it")


class DeviceTable(Event):
    """All devices; published whenever one of them changes."""

    tag: ClassVar[str] = "device_table"

    devices: list[DeviceInfo] = Field(description="in the order of the device file")
    source: str = Field(default="", description="the device file")


class Readback(Event):
    """A live reading of one device. NaN and old stamps pass, flagged."""

    tag: ClassVar[str] = "readback"

    name: str = Field(description="device name")
    values: dict[str, Any] = Field(description="data key to value")
    timestamps: dict[str, float] = Field(description="data key to device time, UTC epoch s")
    units: dict[str, str] = Field(default_factory=dict, description="data key to unit")
    time: float = Field(description="host time of the reading, UTC epoch s")
    flags: list[str] = Field(default_factory=list, description="e.g. 'samx: not a number'")
    severities: dict[str, Severity] = Field(
        default_factory=dict, description="data key to alarm; absent: none"
    )
    moving: bool | None = Field(default=None, description="None when it cannot move")


class DeviceChanges(Event):
    """Main values of devices that changed, gathered over a tenth of a second."""

    tag: ClassVar[str] = "device_changes"

    values: dict[str, Any] = Field(description="device to its value, in its unit")
    timestamps: dict[str, float] = Field(description="device to device time, UTC epoch s")
    time: float = Field(description="host time, UTC epoch s")
    severities: dict[str, Severity] = Field(
        default_factory=dict, description="device of `values` to alarm; absent: none"
    )
    limits: dict[str, tuple[float, float] | None] = Field(
        default_factory=dict, description="axis whose limits changed to low, high; None: without"
    )
    moving: dict[str, bool] = Field(
        default_factory=dict, description="axis that began or ended a motion"
    )


class DeviceValues(Event):
    """What was last heard of all devices that are followed; once a second while they change."""

    tag: ClassVar[str] = "device_values"

    values: dict[str, Any] = Field(description="device to its value, in its unit")
    timestamps: dict[str, float] = Field(description="device to device time, UTC epoch s")
    severities: dict[str, Severity] = Field(
        default_factory=dict, description="device to alarm; absent: none"
    )
    moving: list[str] = Field(default_factory=list, description="axes that move")
    time: float = Field(description="host time, UTC epoch s")


class DevicePreview(Event):
    """An image or a curve of a device, to look at; the newest only."""

    tag: ClassVar[str] = "device_preview"

    name: str = Field(description="device name")
    signal: str = Field(description="which of its previews; `preview` where it has one")
    data: Any = Field(description="(rows, columns) or (points,); thinned when it was large")
    shape: list[int] = Field(description="its shape before it was thinned")
    time: float = Field(description="host time, UTC epoch s")


class DeviceProgress(Event):
    """How far a device is with what it does by itself."""

    tag: ClassVar[str] = "device_progress"

    name: str = Field(description="device name")
    done: float = Field(description="what is done, in `unit`")
    total: float = Field(description="what is to be done, in `unit`")
    unit: str = Field(default="", description="e.g. frames")
    finished: bool = Field(description="nothing more is to come")
    time: float = Field(description="host time, UTC epoch s")


FileState = Literal["open", "closed", "missing"]


class FileEvent(Event):
    """A device opened or closed a file of its own, or should have written it and did not."""

    tag: ClassVar[str] = "file_event"

    name: str = Field(description="device name")
    path: str = Field(description="the file, as seen here")
    state: FileState = Field(description="missing: not there, or with too few frames")
    dataset: str = Field(default="", description="path of the data in the file")
    frames: int | None = Field(default=None, description="frames in it, when it was closed")
    time: float = Field(description="host time, UTC epoch s")
