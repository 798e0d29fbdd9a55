"""Every endpoint of the bus, as data: name, message, delivery, bound, who may read and write.

Nobody formats a broker key by hand. The access-rule file and the endpoint reference page are
generated from `ENDPOINTS`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from undula.core.errors import BusError
from undula.messages import (
    AlarmRequest,
    AlarmTable,
    BeamlineMetadata,
    BrokerStatus,
    ConfigRequest,
    ConfigStatus,
    DeviceChanges,
    DevicePreview,
    DeviceProgress,
    DeviceSetRequest,
    DevicesRequest,
    DeviceTable,
    DeviceValues,
    FileEvent,
    GraphAnswered,
    GraphAsked,
    GraphOpened,
    GraphTold,
    ItemFinished,
    JournalProgress,
    LogEvent,
    Message,
    MetadataRequest,
    MotorRequest,
    MoveRequest,
    PipesRequest,
    PlansRequest,
    PlanTable,
    QueueRequest,
    QueueStatus,
    Readback,
    ReadRequest,
    RunDocument,
    RunFileClosed,
    RunFits,
    RunImportRequest,
    RunNoted,
    RunNotesRequest,
    RunOpened,
    ScanRequest,
)

Delivery = Literal["latest", "stream", "journal", "send", "request"]
Role = Literal["service", "client", "observer"]
M = TypeVar("M", bound=Message)

_FIELD = re.compile(r"\{(\w+)\}")
_VALUE = re.compile(r"[A-Za-z0-9_.:-]{1,128}")


@dataclass(frozen=True, slots=True)
class Endpoint(Generic[M]):
    """A named target: what it carries, how it is delivered, who may use it.

    Delivery: `latest` keeps the last value and publishes it; `stream` keeps the last `maxlen`;
    `journal` keeps everything until its run is archived; `send` is published and forgotten;
    `request` gets exactly one reply, or an error, before its deadline.
    """

    pattern: str
    message: type[M]
    delivery: Delivery
    description: str
    maxlen: int | None = None
    readers: tuple[Role, ...] = ("service", "client", "observer")
    writers: tuple[Role, ...] = ("service",)

    def key(self, **names: str) -> str:
        """The broker key. Raises BusError for a missing, surplus or unfit name.

        >>> RUN_DOCUMENTS.key(uid="abc")
        'runs/abc/documents'
        """
        fields = set(_FIELD.findall(self.pattern))
        if fields != set(names):
            raise BusError(
                f"endpoint {self.pattern} needs {sorted(fields)}, got {sorted(names)}",
                remedy="name exactly the fields of the pattern",
            )
        for name, value in names.items():
            if not _VALUE.fullmatch(value):
                raise BusError(
                    f"{name}={value!r} is unfit for a broker key",
                    remedy="use letters, digits, '_', '-', '.' and ':' only",
                )
        return self.pattern.format(**names)

    @property
    def glob(self) -> str:
        """The pattern with `*` for each field, as access rules use it."""
        return _FIELD.sub("*", self.pattern)


RUN_DOCUMENTS = Endpoint(
    "runs/{uid}/documents", RunDocument, "journal", "every document of a run, in order"
)
RUN_PROGRESS = Endpoint(
    "runs/{uid}/progress", JournalProgress, "latest", "how far a journal is safe"
)
RUN_FITS = Endpoint(
    "runs/{uid}/fits", RunFits, "latest", "what was fitted to a run, at most a few times a second"
)
RUNS_OPENED = Endpoint(
    "runs/opened", RunOpened, "stream", "runs in the order they were opened", maxlen=10_000
)
RUNS_CLOSED = Endpoint(
    "runs/closed", RunFileClosed, "stream", "runs whose file is complete", maxlen=10_000
)
RUNS_NOTED = Endpoint(
    "runs/noted", RunNoted, "stream", "comments and tags as people give them", maxlen=1_000
)
QUEUE_STATUS = Endpoint("queue/status", QueueStatus, "latest", "the whole scan queue")
QUEUE_FINISHED = Endpoint(
    "queue/finished", ItemFinished, "stream", "how each queue item ended", maxlen=10_000
)
DEVICE_TABLE = Endpoint("devices/table", DeviceTable, "latest", "all devices of the beamline")
DEVICE_READBACK = Endpoint(
    "devices/{name}/readback", Readback, "latest", "live values of one device"
)
DEVICE_CHANGES = Endpoint(
    "devices/changes", DeviceChanges, "send", "values that changed, at most 10 messages a second"
)
DEVICE_VALUES = Endpoint(
    "devices/values", DeviceValues, "latest", "what was last heard of all devices, once a second"
)
DEVICE_PREVIEW = Endpoint(
    "devices/{name}/preview", DevicePreview, "latest", "an image or curve to look at, 5 a second"
)
DEVICE_PROGRESS = Endpoint(
    "devices/{name}/progress", DeviceProgress, "latest", "how far a device is by itself"
)
FILE_EVENTS = Endpoint(
    "devices/files", FileEvent, "stream", "files that devices opened and closed", maxlen=1_000
)
PIPES_STATUS = Endpoint(
    "pipes/{name}/status", GraphTold, "latest", "a graph that runs, four times a second at most",
    writers=("service", "client"),
)  # fmt: skip
PIPES_OPENED = Endpoint(
    "pipes/opened", GraphOpened, "stream", "graphs that commands began to run", maxlen=200,
    writers=("service", "client"),
)  # fmt: skip
PIPES_ASKED = Endpoint(
    "pipes/{name}/asked", GraphAsked, "send", "asked of the command that runs a graph",
    readers=("service", "client"),
)  # fmt: skip
PIPES_ANSWERED = Endpoint(
    "pipes/{name}/answered", GraphAnswered, "latest", "what became of it",
    readers=("service", "client"), writers=("service", "client"),
)  # fmt: skip
ALARMS = Endpoint("alarms", AlarmTable, "latest", "alarms that last or that nobody has seen")
METADATA = Endpoint("metadata", BeamlineMetadata, "latest", "metadata that every further run has")
CONFIG_STATUS = Endpoint(
    "devices/configuration", ConfigStatus, "latest", "which configuration of the devices holds"
)
PLANS = Endpoint("plans", PlanTable, "latest", "the declared plans and how each is called")
LOG = Endpoint("log/events", LogEvent, "stream", "structured log of all services", maxlen=10_000)
BROKER_STATUS = Endpoint("broker/status", BrokerStatus, "latest", "how safe and how full it is")

_CLIENTS: tuple[Role, ...] = ("service", "client")
ENGINE_SCAN = Endpoint(
    "requests/engine/scan", ScanRequest, "request", "check and queue a scan",
    readers=("service",), writers=_CLIENTS,
)  # fmt: skip
ENGINE_MOVE = Endpoint(
    "requests/engine/move", MoveRequest, "request", "move axes now",
    readers=("service",), writers=_CLIENTS,
)  # fmt: skip
ENGINE_READ = Endpoint(
    "requests/engine/read", ReadRequest, "request", "read devices now",
    readers=("service",), writers=_CLIENTS,
)  # fmt: skip
ENGINE_DEVICES = Endpoint(
    "requests/engine/devices", DevicesRequest, "request", "describe all devices",
    readers=("service",), writers=_CLIENTS,
)  # fmt: skip
ENGINE_DEVICE_SET = Endpoint(
    "requests/engine/device_set", DeviceSetRequest, "request", "enable or disable a device",
    readers=("service",), writers=_CLIENTS,
)  # fmt: skip
ENGINE_CONFIG = Endpoint(
    "requests/engine/config", ConfigRequest, "request", "look at the configuration or change it",
    readers=("service",), writers=_CLIENTS,
)  # fmt: skip
ENGINE_ALARMS = Endpoint(
    "requests/engine/alarms", AlarmRequest, "request", "look at the alarms or acknowledge them",
    readers=("service",), writers=_CLIENTS,
)  # fmt: skip
ENGINE_METADATA = Endpoint(
    "requests/engine/metadata", MetadataRequest, "request", "metadata of all further runs",
    readers=("service",), writers=_CLIENTS,
)  # fmt: skip
ENGINE_RUNS = Endpoint(
    "requests/engine/runs", RunNotesRequest, "request", "comments and tags on runs",
    readers=("service",), writers=_CLIENTS,
)  # fmt: skip
ENGINE_IMPORT = Endpoint(
    "requests/engine/import", RunImportRequest, "request", "tell of runs that were made elsewhere",
    readers=("service",), writers=_CLIENTS,
)  # fmt: skip
ENGINE_MOTOR = Endpoint(
    "requests/engine/motor", MotorRequest, "request", "parameters of a motor",
    readers=("service",), writers=_CLIENTS,
)  # fmt: skip
ENGINE_PIPES = Endpoint(
    "requests/engine/pipes", PipesRequest, "request", "graphs, and parameters of their nodes",
    readers=("service",), writers=_CLIENTS,
)  # fmt: skip
ENGINE_PLANS = Endpoint(
    "requests/engine/plans", PlansRequest, "request", "plans and hooks of plan files and packages",
    readers=("service",), writers=_CLIENTS,
)  # fmt: skip
ENGINE_QUEUE = Endpoint(
    "requests/engine/queue", QueueRequest, "request", "look at the queue or steer it",
    readers=("service",), writers=_CLIENTS,
)  # fmt: skip

ENDPOINTS: tuple[Endpoint[Message], ...] = tuple(
    value for value in list(globals().values()) if isinstance(value, Endpoint)
)
