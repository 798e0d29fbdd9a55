"""The engine's request loop: takes requests from the bus, answers each exactly once.

The main thread takes; checks run on a few threads of their own, reads and the start of moves on a
small pool, each device within its deadline (`Attendant`); everything said on the bus leaves by
`Outgoing`. No decision is made here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from undula.bus.endpoints import (
    BROKER_STATUS,
    ENGINE_ALARMS,
    ENGINE_CONFIG,
    ENGINE_DEVICE_SET,
    ENGINE_DEVICES,
    ENGINE_IMPORT,
    ENGINE_METADATA,
    ENGINE_MOTOR,
    ENGINE_MOVE,
    ENGINE_PIPES,
    ENGINE_PLANS,
    ENGINE_QUEUE,
    ENGINE_READ,
    ENGINE_RUNS,
    ENGINE_SCAN,
    Endpoint,
)
from undula.bus.outgoing import Outgoing
from undula.bus.ports import Connector
from undula.core.errors import UndulaError
from undula.core.faults import reached
from undula.core.log import get_logger
from undula.core.settings import BeamlineSettings
from undula.devices.registry import Registry
from undula.messages import (
    AlarmRequest,
    ConfigRequest,
    DeviceSetRequest,
    DevicesRequest,
    ErrorReport,
    FileEvent,
    MetadataRequest,
    MotorRequest,
    MoveRequest,
    PipesRequest,
    PlansRequest,
    QueueRequest,
    ReadRequest,
    Reply,
    Request,
    RunImportRequest,
    RunNotesRequest,
    ScanRequest,
    UserPlan,
)
from undula.scans.additions import Additions
from undula.scans.alarms import Alarms
from undula.scans.announcements import Announcements
from undula.scans.attendant import Attendant
from undula.scans.common_metadata import CommonMetadata
from undula.scans.configuration import Configuration
from undula.scans.described import described
from undula.scans.device_desk import DeviceDesk
from undula.scans.device_news import DeviceNews
from undula.scans.engine_watch import EngineWatch
from undula.scans.graphs import answer_pipes
from undula.scans.motors import Motors
from undula.scans.moves import Mover
from undula.scans.notes import RunNotes
from undula.scans.places import with_place
from undula.scans.pools import Pools
from undula.scans.ports import Documents
from undula.scans.queue_desk import QueueDesk
from undula.scans.rights import Guard
from undula.scans.runner import ScanRunner
from undula.scans.stopped import Permit, Stops

ENDPOINTS: tuple[Endpoint[Any], ...] = (
    ENGINE_SCAN,
    ENGINE_MOVE,
    ENGINE_READ,
    ENGINE_DEVICES,
    ENGINE_DEVICE_SET,
    ENGINE_CONFIG,
    ENGINE_ALARMS,
    ENGINE_MOTOR,
    ENGINE_IMPORT,
    ENGINE_METADATA,
    ENGINE_PIPES,
    ENGINE_PLANS,
    ENGINE_QUEUE,
    ENGINE_RUNS,
)

DESKS: dict[type[Request], str] = {
    ConfigRequest: "configuration",
    MetadataRequest: "metadata",
    MotorRequest: "motors",
    RunImportRequest: "notes",
    RunNotesRequest: "notes",
}
"""Parts of the engine, which are attached later, that answer a kind of request themselves."""


class EngineService:
    """Requests in, replies and statuses out."""

    def __init__(
        self,
        connector: Connector,
        devices: Registry,
        settings: BeamlineSettings,
        outbox: Documents,
        stops: Stops,
        *,
        attendant: Attendant,
        guard: Guard,
    ) -> None:
        self._attendant = attendant
        self._guard = guard
        self._connector = connector
        self._stops = stops
        self._devices = devices
        self._settings = settings
        self._outbox = outbox
        self._outgoing = Outgoing()
        self._pools = Pools()
        self.says = Announcements(connector, self._outgoing, devices, attendant, self)
        self._devices_desk = DeviceDesk(devices, attendant, self.says, self)
        self.news = DeviceNews(
            connector, self._outgoing, self._devices_desk.reading, self._told_file
        )
        self._answers = self._others()
        self._closing = threading.Event()
        self._runner: ScanRunner | None = None
        self._mover: Mover | None = None
        self._desk: QueueDesk | None = None
        self._configuration: Configuration | None = None
        self._motors: Motors | None = None
        self._alarms: Alarms | None = None
        self._metadata: CommonMetadata | None = None
        self._notes: RunNotes | None = None
        self._additions: Additions | None = None

    def attach(
        self, runner: ScanRunner, mover: Mover, configuration: Configuration, motors: Motors
    ) -> None:
        """Give it what it steers."""
        self._motors = motors
        self._desk = QueueDesk(
            runner,
            self._attendant,
            self._settings,
            completed=lambda scan: self._completed(scan)[0],
            warned=self._warned,
            changed=self.says.queue_changed,
            in_places=self._in_places,
        )
        self._runner, self._mover, self._configuration = runner, mover, configuration

    @property
    def runner(self) -> ScanRunner:
        """The queue's worker."""
        if self._runner is None:
            raise RuntimeError("attach was not called")
        return self._runner

    @property
    def desk(self) -> QueueDesk:
        """Who answers requests about the queue."""
        if self._desk is None:
            raise RuntimeError("attach was not called")
        return self._desk

    def _told_file(self, told: FileEvent) -> None:
        if self._runner is not None:
            self._runner.told_file(told)

    @property
    def configuration(self) -> Configuration:
        """The devices' configuration."""
        if self._configuration is None:
            raise RuntimeError("attach was not called")
        return self._configuration

    @property
    def motors(self) -> Motors:
        """Parameters of motors."""
        if self._motors is None:
            raise RuntimeError("attach was not called")
        return self._motors

    # ---- the loop --------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until `close`; the broker may go and come back."""
        watch = EngineWatch(self, self._devices, self._outbox, self._closing)
        subscription = self._connector.subscribe(BROKER_STATUS, watch.broker_said)
        watch.start()
        self.says.start()
        try:
            while not self._closing.is_set():
                try:
                    taken = self._connector.take_requests(ENDPOINTS, block_s=0.25)
                except UndulaError as error:
                    get_logger().warning("broker_away", error=str(error))
                    self._closing.wait(0.2)
                    continue
                for _, request in taken:
                    reached("engine.request_received")
                    self._admit(request)
        finally:
            subscription.close()
            watch.join()
            self._pools.close()
            self.news.close()
            self.configuration.close()

    def close(self) -> None:
        """End `run`; safe in a signal handler."""
        self._closing.set()
        self.says.close()

    def finish(self) -> None:
        """Say what waits to be said."""
        self._outgoing.close()

    def _admit(self, request: Request) -> None:
        """Carry it out for those who may; whoever may not gets the reason."""
        try:
            admitted = self._guard.admit(request)
        except UndulaError as error:  # also of a request that is too long to be signed again
            get_logger().warning(
                "request_not_allowed", request=request.tag, user=request.user, why=error.what
            )
            self._reply(request, Reply(request_id=request.request_id, error=ErrorReport.of(error)))
        else:
            self._dispatch(admitted)

    def _dispatch(self, request: Request) -> None:
        pool = self._pools.of(request, self._devices.names())
        if isinstance(request, MoveRequest) and self._mover is not None:
            permit = self._stops.permit(request.sent)
            pool.submit(self._move, self._mover, request, permit)
        elif (work := self._work(request)) is not None:
            pool.submit(self._answer, request, work)

    def _work(self, request: Request) -> Callable[[], dict[str, Any]] | None:
        """What answers a request; what was asked before motion was stopped moves nothing."""
        permit = self._stops.permit(request.sent)
        if isinstance(request, ScanRequest):
            return lambda: self._scan(request, permit)
        if isinstance(request, QueueRequest):
            return lambda: self.desk.answer(request, permit)
        if (desk := DESKS.get(type(request))) is not None:
            return lambda: getattr(self, desk).answer(request)
        answer = self._answers.get(type(request))
        return None if answer is None else lambda: answer(request)

    def _others(self) -> dict[type[Request], Callable[[Any], dict[str, Any]]]:
        """What answers requests that no desk does."""
        return {
            AlarmRequest: self._alarms_asked,
            DeviceSetRequest: self._devices_desk.set,
            DevicesRequest: lambda _: self.says.table().model_dump(),
            PipesRequest: lambda asked: answer_pipes(asked, self._devices, self._connector),
            PlansRequest: self._list_plans,
            ReadRequest: self._read,
        }

    def _read(self, request: ReadRequest) -> dict[str, Any]:
        desk = self._devices_desk
        return (desk.read_configuration if request.configuration else desk.read)(request.devices)

    def _answer(self, request: Request, work: Callable[[], dict[str, Any]]) -> None:
        try:
            reply = Reply(request_id=request.request_id, result=work())
        except Exception as exc:  # the asker gets whatever went wrong, as the one reply
            if not isinstance(exc, UndulaError):
                get_logger().exception("request_failed", request=type(request).__name__)
            reply = Reply(request_id=request.request_id, error=ErrorReport.of(exc))
        self._reply(request, reply)

    def _reply(self, request: Request, reply: Reply) -> None:
        self._outgoing.say(lambda: self._connector.reply(request, reply), must=True)

    # ---- what is asked ---------------------------------------------------------------------

    def _scan(self, request: ScanRequest, permit: Permit) -> dict[str, Any]:
        if not request.dry_run:
            permit.check()
        request, said = self._completed(request)
        self.runner.check_continued(request)
        scan = self._attendant.check_scan(request, self._devices, self._settings)
        hooks = self.additions.for_scan(scan)
        result = described(scan, self._settings) | {"defaults": said}
        result["warnings"] += [*self.metadata.warnings(request), *self.additions.stale()]
        result["hooks"] = [] if hooks is None else hooks.shown
        if not request.dry_run:
            self.desk.submit(request, scan, permit)
        return result

    def _completed(self, request: ScanRequest) -> tuple[ScanRequest, list[str]]:
        """With defaults, the source of a user's plan and what every run says; what was added."""
        if request.continues is not None:  # it is to be as the run that it goes on with
            return request, []
        request, said = self.additions.completed(request)
        request = self.metadata.added(with_place(request))
        return self.runner.samples.completed(request), said

    def _in_places(self, scan: ScanRequest, before: ScanRequest) -> ScanRequest:
        return self.additions.in_places(scan, before)

    def _warned(self, request: ScanRequest) -> list[str]:
        """What may surprise of the metadata that a request has by now."""
        return self.metadata.warnings(request)

    def _move(self, mover: Mover, request: MoveRequest, permit: Permit) -> None:
        def answer(reply: Reply) -> None:
            # called on the engine's loop, where nothing may be read
            self._pools.requests.submit(self._answer_move, request, reply)

        try:
            mover.start(request, answer, permit)
        except Exception as exc:  # a driver may raise anything while its position is read
            get_logger().exception("move_failed", targets=list(request.targets))
            answer(Reply(request_id=request.request_id, error=ErrorReport.of(exc)))

    def _answer_move(self, request: MoveRequest, reply: Reply) -> None:
        try:
            reply = self._devices_desk.with_readbacks(reply)
        except UndulaError as error:
            reply = Reply(request_id=request.request_id, error=ErrorReport.of(error))
        self._reply(request, reply)

    def attach_alarms(self, alarms: Alarms) -> None:
        """Give it the alarms, which it feeds and shows."""
        self._alarms = alarms

    @property
    def alarms(self) -> Alarms:
        """What is wrong at the beamline."""
        if self._alarms is None:
            raise RuntimeError("attach_alarms was not called")
        return self._alarms

    def attach_metadata(self, metadata: CommonMetadata) -> None:
        """Give it what every further run is to say."""
        self._metadata = metadata
        self.says.metadata_changed(metadata.shown())

    @property
    def metadata(self) -> CommonMetadata:
        """Metadata of all further runs."""
        if self._metadata is None:
            raise RuntimeError("attach_metadata was not called")
        return self._metadata

    def attach_notes(self, notes: RunNotes) -> None:
        """Give it what people say about runs."""
        self._notes = notes

    @property
    def notes(self) -> RunNotes:
        """Comments and tags on runs."""
        if self._notes is None:
            raise RuntimeError("attach_notes was not called")
        return self._notes

    def attach_additions(self, additions: Additions) -> None:
        """Give it what the beamline adds to scans."""
        self._additions = additions
        self._attendant.reads_more = additions.reads_more

    @property
    def additions(self) -> Additions:
        """Plans, hooks and defaults that the beamline adds."""
        if self._additions is None:
            raise RuntimeError("attach_additions was not called")
        return self._additions

    def packaged(self) -> Sequence[UserPlan] | None:
        """Plans of installed packages; None before they were read."""
        return None if self._additions is None else self._additions.packaged()

    def _list_plans(self, request: PlansRequest) -> dict[str, Any]:
        found = self.additions.list(again=request.again)
        self.says.plans_changed()
        return found.model_dump()

    def _alarms_asked(self, request: AlarmRequest) -> dict[str, Any]:
        if request.action == "history":
            found = self.alarms.history()
        else:
            if request.action == "acknowledge":
                self.alarms.acknowledge(request.numbers, request.user)
            found = self.alarms.table().alarms
        return {"alarms": [alarm.model_dump() for alarm in found]}
