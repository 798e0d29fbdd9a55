"""Conversation: what a client asks of the engine, and the one reply it gets."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from undula.core.clock import now
from undula.messages.base import Command, Event
from undula.messages.errors import ErrorReport
from undula.messages.plans import PlanSource
from undula.messages.queue import Place, QueueOptions


class Request(Command):
    """Base of all requests: who asks, under which id, until when."""

    request_id: str = Field(description="made by the client; a repeated one gets the first outcome")
    user: str = Field(default="", description="login name, for the record")
    token: str = Field(
        default="",
        repr=False,
        description="proof of who asks, for this one request (`bus.signing`); never kept",
    )
    deadline: float = Field(description="UTC epoch s after which nobody waits for the reply")
    sent: float = Field(
        default_factory=now,
        description="UTC epoch s when it was asked; a stop drops what was asked before",
    )


class Continues(Command):
    """Which run a scan goes on with, and from which point."""

    tag: ClassVar[str] = "continues"

    uid: str = Field(description="uid of the run that was interrupted")
    number: int = Field(ge=1, description="its number")
    first_point: int = Field(ge=1, description="point of the trajectory to begin with, from 1")
    total: int = Field(ge=1, description="points of the whole trajectory")
    origin: list[float] | None = Field(
        default=None, description="where the axes stood before the first run; None: not relative"
    )


class ScanRequest(Request):
    """Check a plan with its arguments, then queue it (or only check it)."""

    tag: ClassVar[str] = "scan_request"

    plan: str = Field(description="plan name, e.g. scan, ascan, grid_scan, or one of bluesky.plans")
    args: list[Any] = Field(
        default_factory=list, description="positional arguments; devices as their names"
    )
    kwargs: dict[str, Any] = Field(default_factory=dict, description="keyword arguments")
    source: PlanSource | None = Field(
        default=None, description="a plan that a person wrote; its call holds the arguments"
    )
    count_time_s: float | None = Field(
        default=None, ge=0, description="seconds per point; 0: what is usual for each detector"
    )
    detectors: list[str] | None = Field(
        default=None, description="None: the devices with readout priority monitored"
    )
    settle_s: float | None = Field(
        default=None, ge=0, description="seconds between move and reading, where the plan says none"
    )
    shutter: Literal["per_scan", "per_point", "closed", "none"] | None = Field(
        default=None, description="None: as the device file says; none: leave shutters alone"
    )
    darks: int = Field(default=0, ge=0, le=1000, description="points taken before, shutters closed")
    metadata: dict[str, Any] = Field(
        default_factory=dict, description="goes into the start document"
    )
    command: str = Field(default="", description="the line a person typed, for the record")
    dry_run: bool = Field(default=False, description="check and report, queue nothing")
    continues: Continues | None = Field(
        default=None, description="only the points that another run has left"
    )
    queue: QueueOptions = Field(
        default=QueueOptions(), description="where it waits, how often it runs, on which sample"
    )


class MoveRequest(Request):
    """Move axes now, outside the queue; the reply comes when they have arrived."""

    tag: ClassVar[str] = "move_request"

    targets: dict[str, float | int | str] = Field(
        min_length=1, description="device to target, in its unit"
    )
    relative: bool = Field(default=False, description="targets are relative to the readback")
    jog: bool = Field(default=False, description="targets are directions, 1 or -1, until a stop")
    velocity: float | None = Field(
        default=None, gt=0, description="of the one axis during this move, in its unit/s"
    )


class ReadRequest(Request):
    """Read devices now."""

    tag: ClassVar[str] = "read_request"

    devices: list[str] = Field(min_length=1, description="device names")
    configuration: bool = Field(
        default=False, description="their settings, with descriptions, in place of their values"
    )


class DevicesRequest(Request):
    """Describe the devices of the beamline."""

    tag: ClassVar[str] = "devices_request"


class DeviceSetRequest(Request):
    """Change what is known about a device at run time."""

    tag: ClassVar[str] = "device_set_request"

    device: str = Field(description="device name")
    enabled: bool | None = Field(default=None, description="enable (connects) or disable")


class MotorRequest(Request):
    """Look at the parameters of a motor, or change one."""

    tag: ClassVar[str] = "motor_request"

    device: str = Field(description="device name; '' for all")
    action: Literal["show", "all", "set", "home", "history"] = Field(description="what is asked")
    parameter: str = Field(default="", description="for set, e.g. velocity, limits, position")
    values: list[float] = Field(default_factory=list, description="for set; two for limits")
    direction: Literal["forward", "reverse"] = Field(default="forward", description="for home")


class PipesRequest(Request):
    """Look at graphs, of detectors and of commands, or change what a node does."""

    tag: ClassVar[str] = "pipes_request"

    action: Literal["list", "show", "set", "clear", "result"] = Field(description="what is asked")
    graph: str = Field(default="", description="device that has it, or name; not for list")
    node: str = Field(default="", description="for set, clear and result")
    port: str = Field(default="", description="for result: which of its outputs")
    parameters: dict[str, Any] = Field(
        default_factory=dict,
        description="for set: by name; `rois.beam.x` is a part of a parameter that has parts",
    )


class PlansRequest(Request):
    """List plans, hooks and defaults that people added at the beamline."""

    tag: ClassVar[str] = "plans_request"

    again: bool = Field(default=False, description="read the files once more, also unchanged ones")


class QueueRequest(Request):
    """Look at the scan queue, edit it, or steer what runs."""

    tag: ClassVar[str] = "queue_request"

    action: Literal[
        "list", "show", "history", "check",
        "pause", "pause_at_point", "resume", "skip", "retake", "complete", "abort", "stop_all",
        "remove", "clear", "move", "edit", "duplicate", "repeat", "hold", "release",
        "lock", "unlock", "approve", "stop_after", "load", "put_back",
    ] = Field(
        description="pause: now; pause_at_point: at the next point; skip: leave out the point "
        "under way; retake: take one again; complete: end early, as good; stop_all: abort and clear"
    )  # fmt: skip
    item_id: str | None = Field(default=None, description="the waiting item that is meant")
    item_ids: list[str] = Field(
        default_factory=list,
        description="for put_back: beginnings of ids; none: what was taken out last, together",
    )
    point: int | None = Field(
        default=None, ge=1, description="for retake: number of the point; None: the last"
    )
    reason: str = Field(default="", description="for abort: kept in the run; for hold and lock")
    seen: int | None = Field(
        default=None, description="revision of the queue that the author of the edit saw"
    )
    place: Place = Field(default=Place(), description="for move and duplicate")
    scans: list[ScanRequest] = Field(
        default_factory=list, description="for edit: the scan as it is to be; for load: all"
    )
    repeats: int = Field(default=1, ge=0, description="for repeat; 0: until stopped")
    owner: str = Field(default="", description="for unlock: whose lock, when it is not one's own")
    off: bool = Field(default=False, description="for stop_after: go on after it, after all")
    dry_run: bool = Field(default=False, description="for load: check, and queue nothing")
    limit: int = Field(
        default=20, ge=1, le=10_000, description="for history: how many; a reply has 500 at most"
    )
    before: str = Field(
        default="", description="for history: those that ended before this one; beginning of its id"
    )
    until: float | None = Field(
        default=None, description="for history: ended then or before, UTC epoch s"
    )


class Reply(Event):
    """The one reply to a request: a result, or an error."""

    tag: ClassVar[str] = "reply"

    request_id: str = Field(description="the request that this answers")
    result: dict[str, Any] | None = Field(default=None, description="None when there is an error")
    error: ErrorReport | None = Field(default=None, description="None when there is a result")
