"""Room: what travels on the bus, as pydantic models, one file a conversation.

In: nothing. Out: message classes and their registry by tag. Imports: pydantic, `undula.core`.
Not here: how they are packed and sent (`bus`), what is done about them.
"""

from undula.messages.alarms import Alarm, AlarmRequest, AlarmTable
from undula.messages.base import REGISTRY, Command, Event, Message
from undula.messages.config import ConfigRequest, ConfigStatus
from undula.messages.devices import (
    DeviceChanges,
    DeviceInfo,
    DevicePreview,
    DeviceProgress,
    DeviceTable,
    DeviceValues,
    FileEvent,
    FileState,
    Readback,
    Severity,
)
from undula.messages.errors import ErrorReport
from undula.messages.fits import FitParameter, FitResult, RunFits
from undula.messages.metadata import (
    BeamlineMetadata,
    MetadataKey,
    MetadataKeys,
    MetadataRequest,
)
from undula.messages.notes import RunNote, RunNoted, RunNotesRequest
from undula.messages.pipes import GraphTold, PipeEdge, PipeImage, PipeNode
from undula.messages.plans import (
    ArgumentInfo,
    HookInfo,
    PlanInfo,
    PlanList,
    PlanParameter,
    PlanSource,
    PlanTable,
    SourcePart,
    UserPlan,
)
from undula.messages.queue import (
    CheckedItem,
    EndedItem,
    ItemFinished,
    Place,
    QueueChange,
    QueueItem,
    QueueLock,
    QueueOptions,
    QueueStatus,
)
from undula.messages.requests import (
    Continues,
    DeviceSetRequest,
    DevicesRequest,
    MotorRequest,
    MoveRequest,
    PipesRequest,
    PlansRequest,
    QueueRequest,
    ReadRequest,
    Reply,
    Request,
    ScanRequest,
)
from undula.messages.runs import (
    JournalProgress,
    RunDocument,
    RunFileClosed,
    RunImportRequest,
    RunOpened,
)
from undula.messages.services import BrokerStatus, LogEvent

__all__ = [
    "REGISTRY",
    "Alarm",
    "AlarmRequest",
    "AlarmTable",
    "ArgumentInfo",
    "BeamlineMetadata",
    "BrokerStatus",
    "CheckedItem",
    "Command",
    "ConfigRequest",
    "ConfigStatus",
    "Continues",
    "DeviceChanges",
    "DeviceInfo",
    "DevicePreview",
    "DeviceProgress",
    "DeviceSetRequest",
    "DeviceTable",
    "DeviceValues",
    "DevicesRequest",
    "EndedItem",
    "ErrorReport",
    "Event",
    "FileEvent",
    "FileState",
    "FitParameter",
    "FitResult",
    "GraphTold",
    "HookInfo",
    "ItemFinished",
    "JournalProgress",
    "LogEvent",
    "Message",
    "MetadataKey",
    "MetadataKeys",
    "MetadataRequest",
    "MotorRequest",
    "MoveRequest",
    "PipeEdge",
    "PipeImage",
    "PipeNode",
    "PipesRequest",
    "Place",
    "PlanInfo",
    "PlanList",
    "PlanParameter",
    "PlanSource",
    "PlanTable",
    "PlansRequest",
    "QueueChange",
    "QueueItem",
    "QueueLock",
    "QueueOptions",
    "QueueRequest",
    "QueueStatus",
    "ReadRequest",
    "Readback",
    "Reply",
    "Request",
    "RunDocument",
    "RunFileClosed",
    "RunFits",
    "RunImportRequest",
    "RunNote",
    "RunNoted",
    "RunNotesRequest",
    "RunOpened",
    "ScanRequest",
    "Severity",
    "SourcePart",
    "UserPlan",
]
