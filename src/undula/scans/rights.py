"""Which role a request needs, as one table; and the guard that asks for it.

In: requests as they come from the bus. Out: the request without its pass and with the name that is
attested, or an `AccessError`. Called by: `scans.service`, before anything else looks at a request.
What is not in the table needs staff.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from undula.bus.signing import signed_content
from undula.core.access import Access, need
from undula.core.errors import AccessError
from undula.core.roles import Role
from undula.core.tokens import LOGIN
from undula.messages import (
    AlarmRequest,
    ConfigRequest,
    DeviceSetRequest,
    DevicesRequest,
    MetadataRequest,
    MotorRequest,
    MoveRequest,
    PipesRequest,
    PlansRequest,
    QueueRequest,
    ReadRequest,
    Request,
    RunImportRequest,
    RunNotesRequest,
    ScanRequest,
)

R = TypeVar("R", bound=Request)


@dataclass(frozen=True, slots=True)
class Right:
    """One thing that may be asked: the role it needs, and how a refusal names it."""

    key: str
    role: Role
    doing: str


_SEE, _USE, _CARE = Role.OBSERVER, Role.USER, Role.STAFF
RIGHTS: dict[str, Right] = {
    right.key: right
    for right in (
        Right("scan check", _SEE, "checking a scan"),
        Right("scan", _USE, "scanning"),
        Right("scan code", _USE, "running or checking a plan of one's own"),
        Right("move", _USE, "moving"),
        Right("plans", _SEE, "listing plans and hooks"),
        Right("pipes list", _SEE, "listing graphs"),
        Right("pipes show", _SEE, "looking at a graph"),
        Right("pipes result", _SEE, "looking at what a node gave"),
        Right("pipes set", _USE, "changing a graph"),
        Right("pipes clear", _USE, "letting a node forget"),
        Right("read", _SEE, "reading devices"),
        Right("devices", _SEE, "listing devices"),
        Right("device enable", _USE, "enabling and disabling devices"),
        Right("motor show", _SEE, "looking at motors"),
        Right("motor all", _SEE, "looking at motors"),
        Right("motor history", _SEE, "looking at motors"),
        Right("motor home", _USE, "homing a motor"),
        Right("motor set position", _USE, "redefining a position"),
        Right("motor set velocity", _USE, "changing a velocity"),
        Right("motor set acceleration", _USE, "changing an acceleration"),
        Right("motor set acceleration_time", _USE, "changing an acceleration"),
        Right("motor set", _CARE, "changing limits and other parameters of a motor"),
        Right("config show", _SEE, "looking at the configuration"),
        Right("config history", _SEE, "looking at the configuration"),
        Right("config diff", _SEE, "looking at the configuration"),
        Right("config check", _USE, "trying a configuration"),
        Right("config update everyday", _USE, "choosing what is read"),
        Right("config update", _CARE, "changing the configuration"),
        Right("config load", _CARE, "changing the configuration"),
        Right("config add", _CARE, "changing the configuration"),
        Right("config remove", _CARE, "changing the configuration"),
        Right("config reload", _CARE, "changing the configuration"),
        Right("config restore", _CARE, "changing the configuration"),
        Right("config undo", _CARE, "changing the configuration"),
        Right("config cancel", _CARE, "changing the configuration"),
        Right("alarms list", _SEE, "looking at alarms"),
        Right("alarms history", _SEE, "looking at alarms"),
        Right("alarms acknowledge", _USE, "acknowledging alarms"),
        Right("metadata show", _SEE, "looking at metadata"),
        Right("metadata schema", _SEE, "looking at metadata"),
        Right("metadata change", _USE, "changing metadata"),
        Right("runs show", _SEE, "looking at notes on runs"),
        Right("runs comment", _USE, "commenting on a run"),
        Right("runs tag", _USE, "tagging a run"),
        Right("runs fit", _USE, "keeping a fit of a run"),
        Right("import", _USE, "importing runs"),
        Right("queue list", _SEE, "looking at the queue"),
        Right("queue show", _SEE, "looking at the queue"),
        Right("queue history", _SEE, "looking at the queue"),
        Right("queue check", _SEE, "checking what waits"),
        Right("queue pause", _USE, "pausing a scan"),
        Right("queue pause_at_point", _USE, "pausing a scan"),
        Right("queue resume", _USE, "going on with a scan"),
        Right("queue skip", _USE, "leaving out a point"),
        Right("queue retake", _USE, "taking a point again"),
        Right("queue complete", _USE, "ending a scan"),
        Right("queue abort", _USE, "ending a scan"),
        Right("queue stop_all", _USE, "ending all scans"),
        Right("queue remove", _USE, "changing the queue"),
        Right("queue clear", _USE, "changing the queue"),
        Right("queue move", _USE, "changing the queue"),
        Right("queue edit", _USE, "changing a waiting scan"),
        Right("queue duplicate", _USE, "changing the queue"),
        Right("queue repeat", _USE, "changing the queue"),
        Right("queue load", _USE, "queueing scans from a file"),
        Right("queue put_back", _USE, "putting back what was taken out of the queue"),
        Right("queue hold", _USE, "holding a waiting scan"),
        Right("queue release", _USE, "releasing a waiting scan"),
        Right("queue stop_after", _USE, "stopping the queue"),
        Right("queue lock", _USE, "locking the queue"),
        Right("queue unlock", _USE, "unlocking the queue"),
        Right("queue unlock other", _CARE, "lifting the lock of somebody else"),
        Right("queue approve", _CARE, "approving a scan"),
    )
}
EVERYDAY_KEYS = frozenset(
    {"enabled", "readoutPriority", "deviceConfig.state", "deviceConfig.without"}
)
"""Keys of a device that people change while they measure: what is read, states of groups."""


_WORDS: dict[type[Request], str] = {
    ScanRequest: "scan",
    MoveRequest: "move",
    PlansRequest: "plans",
    PipesRequest: "pipes",
    ReadRequest: "read",
    DevicesRequest: "devices",
    DeviceSetRequest: "device enable",
    MotorRequest: "motor",
    ConfigRequest: "config",
    AlarmRequest: "alarms",
    MetadataRequest: "metadata",
    QueueRequest: "queue",
    RunNotesRequest: "runs",
    RunImportRequest: "import",
}


def key_of(request: Request) -> str:
    """The row of the table that a request falls under; one that is not there when nobody thought
    of it.
    """
    if isinstance(request, ConfigRequest):
        return _config_key(request)
    if isinstance(request, ScanRequest) and _runs_code(request):
        return "scan code"  # already the check runs what somebody wrote
    if isinstance(request, ScanRequest) and request.dry_run:
        return "scan check"
    if isinstance(request, QueueRequest) and request.action == "unlock" and request.owner:
        return "queue unlock other"
    words = [_WORDS.get(type(request), type(request).__name__), getattr(request, "action", "")]
    if isinstance(request, MotorRequest) and request.action == "set":
        key = f"motor set {request.parameter}"
        return key if key in RIGHTS else "motor set"
    return " ".join(word for word in words if word)


def _runs_code(request: ScanRequest) -> bool:
    """A plan that a person wrote: sent along, or of the plan folder by its name."""
    from undula.scans.plan_library import taken

    return request.source is not None or (request.dry_run and not taken(request.plan))


def _config_key(request: ConfigRequest) -> str:
    key = f"config {request.action}"
    if key in RIGHTS and RIGHTS[key].role is Role.OBSERVER:
        return key
    changed = {name for keys in request.devices.values() for name in keys}
    if request.action == "update" and changed <= EVERYDAY_KEYS:
        return "config update everyday"
    return "config check" if request.dry_run else key


def right_of(request: Request) -> Right:
    """What a request needs; staff for what is not in the table."""
    unknown = Right("", Role.STAFF, f"a {type(request).__name__}")
    return RIGHTS.get(key_of(request), unknown)


class Guard:
    """Lets requests in. Without users everybody who reaches the broker is let in, as `user` says.

    Who logs in is bound by the role; what an observer may needs no log in, since everybody of the
    beamline's group reads the bus.
    """

    def __init__(self, access: Access) -> None:
        self._access = access

    def admit(self, request: R) -> R:
        """The request without its pass, `user` attested. Raises: AccessError."""
        bare = request.model_copy(update={"token": ""}) if request.token else request
        right = right_of(request)
        if right.role is Role.OBSERVER or not self._access.required:
            return bare
        if not request.token:
            raise AccessError(
                f"{request.user or 'somebody'} is not logged in, but {right.doing} needs the role "
                f"{right.role}",
                remedy=f"log in: {LOGIN} NAME",
            )
        claims = self._access.pass_claims(request.token, signed_content(request))
        need(claims, right.role, right.doing)
        return bare.model_copy(update={"user": claims.user})
